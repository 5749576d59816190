"""How well anybody can tell where a pushed object ends: the true simulator, told what a model is told. One command:

    python benchmarks/knowable.py --data RECORDING [--moments N]

The recording is one of simulated play, such as

    forearm record --task play --episodes 48 --sessions 48 --size 64 --fps 10 --seed 2 --out play

At moments from which an object is pushed, the simulator goes on from what it is told: the commands, or the joints'
change alone along a straight line, as a model of changes is told; and the objects' places as they are, or as far off as
pictures leave them. What it says is scored as predictions are (docs/metrics.md). It writes
docs/benchmarks/knowable.md.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from measuring import ROOT, circumstances, command, write_table

from forearm.evaluation.intervals import intervals
from forearm.evaluation.objects import ALIKE, LEAST
from forearm.evaluation.samples import Samples
from forearm.sim import Simulator
from forearm.sim.names import CONTROL_HZ
from forearm.sim.protocol import scene_of
from forearm.sim.settings import RecordingSettings, recorded_settings
from forearm.sim.teleoperation import world_of
from forearm.transitions.objects import PUSHED

PAGE = ROOT / "docs" / "benchmarks" / "knowable.md"
STEPS = (0.1, 0.2, 0.5)
LEAD = 3
"""Rows before a moment from which the simulator comes along, so that arm and objects move as they do there."""
TOLD = {
    "commands": ("commands", 0.0),
    "commands, objects off by 4 mm": ("commands", 4.0),
    "joints' change": ("change", 0.0),
    "joints' change, objects off by 4 mm": ("change", 4.0),
    "joints' change, objects off by 8 mm": ("change", 8.0),
}
"""What the simulator is told of the action, and the standard deviation of the objects' places, each way along the
table."""
FIGURES = {"direction": "{:.0%}", "slope": "{:.2f}", "mm off": "{:.1f}"}


@dataclass(frozen=True)
class Play:
    """A recording of simulated play."""

    settings: RecordingSettings
    episodes: np.ndarray
    """(N,) of each row."""
    states: np.ndarray
    """(N, 6) joints."""
    commands: np.ndarray
    """(N, 6) targets sent at each row."""
    poses: np.ndarray
    """(N, K, 7) of the objects."""

    @classmethod
    def read(cls, folder: Path) -> "Play":
        names = ["observation.state", "action", "observation.environment_state"]
        files = sorted((folder / "data").rglob("*.parquet"))
        table = pq.ParquetDataset(files).read(columns=[*names, "episode_index"])
        states, commands, environment = (np.stack(table[name].to_numpy()) for name in names)
        poses = environment.reshape(len(table), -1, 16)[..., :7].astype(np.float64)
        return cls(recorded_settings(folder, {}), table["episode_index"].to_numpy(), states, commands, poses)

    def shifts(self, row: int, rows: int) -> np.ndarray:
        """How far the objects move along the table in so many rows, (K, 2) millimetres."""
        return 1000 * (self.poses[row + rows] - self.poses[row])[:, :2]

    def moments(self, rows: int) -> list[int]:
        """Rows from which an object is pushed within so many rows, with what comes before."""
        inside = range(LEAD, len(self.episodes) - rows)
        whole = (row for row in inside if self.episodes[row - LEAD] == self.episodes[row + rows])
        return [row for row in whole if (np.linalg.norm(self.shifts(row, rows), axis=1) >= PUSHED).any()]


def go_on(simulator: Simulator, play: Play, row: int, rows: int, told: str, off: np.ndarray) -> np.ndarray:
    """What the simulator says of the objects' shifts from a row on, (K, 2) millimetres.

    Along the straight line targets stay as far before the joints as they are at its start.

    Args:
        told: "commands" or "change".
        off: (K, 2) millimetres by which it takes the objects to be elsewhere.
    """
    simulator.place_objects(play.poses[row - LEAD + 1])
    simulator.place(play.states[row - LEAD + 1])
    steps, last = CONTROL_HZ // play.settings.fps, play.commands[row - LEAD]
    for target in play.commands[row - LEAD + 1 : row]:
        simulator.approach(last, target, steps)
        last = target
    velocities, poses = simulator.data.qvel.copy(), play.poses[row].copy()
    poses[:, :2] += off / 1000
    simulator.place_objects(poses)
    simulator.data.qvel[:] = velocities
    offset, ahead = simulator.targets() - simulator.joints(), play.states[row + rows] - play.states[row]
    for n in range(rows):
        line = play.states[row] + offset + (n + 1) / rows * ahead
        target = play.commands[row + n] if told == "commands" else line
        simulator.approach(last, target, steps)
        last = target
    return 1000 * (simulator.poses() - poses)[:, :2]


def score(said: np.ndarray, true: np.ndarray) -> dict[str, tuple[float, float]]:
    """Sums and weights over the pushed ones of K objects, as `forearm.evaluation.objects` scores them."""
    far, length, along = np.linalg.norm(true, axis=1), np.linalg.norm(said, axis=1), (said * true).sum(1)
    pushed = far >= PUSHED
    right = (length >= LEAST) & (along > ALIKE * length * far)
    return {
        "direction": (right[pushed].sum(), pushed.sum()),
        "slope": (along[pushed].sum(), (far[pushed] ** 2).sum()),
        "mm off": (np.linalg.norm(said - true, axis=1)[pushed].sum(), pushed.sum()),
        "far": (far[pushed].sum(), pushed.sum()),
    }


def measure(play: Play, step: float, most: int) -> Iterator[tuple[str, Samples, np.ndarray]]:
    """For each way of telling: what came out, and the episodes of its samples."""
    rows = round(step * play.settings.fps)
    moments = play.moments(rows)
    chosen = np.random.default_rng(0).choice(moments, min(most, len(moments)), replace=False)
    simulators = {}
    for name, (told, deviation) in TOLD.items():
        chance, found = np.random.default_rng(1), []
        for row in np.sort(chosen).tolist():
            scene = scene_of(play.settings, int(play.episodes[row]))
            if scene not in simulators:
                simulators[scene] = Simulator(scene, world_of(play.settings))
            off = chance.normal(0, deviation, play.poses[row, :, :2].shape)
            said = go_on(simulators[scene], play, row, rows, told, off)
            found.append(score(said, play.shifts(row, rows)))
        sums, weights = ({key: np.array([each[key][i] for each in found], float) for key in found[0]} for i in (0, 1))
        yield name, Samples(sums, weights), play.episodes[np.sort(chosen)]
    for simulator in simulators.values():
        simulator.close()


def table(play: Play, most: int) -> list[str]:
    lines = [
        f"| step | the simulator is told | {' | '.join(FIGURES)} | true way, mm | pushed objects |",
        f"|---|---|{'---:|' * (len(FIGURES) + 2)}",
    ]
    for step in STEPS:
        for name, samples, episodes in measure(play, step, most):
            values, spans = samples.table(), intervals(samples, episodes)
            cells = []
            for key, form in FIGURES.items():
                low, high = spans[key] if key != "direction" else np.clip(spans[key], 0, 1)
                cells.append(f"{form.format(values[key])} ({form.format(low)} to {form.format(high)})")
            count = int(samples.weights["far"].sum())
            lines.append(f"| {step} s | {name} | {' | '.join(cells)} | {values['far']:.1f} | {count} |")
            print(lines[-1], flush=True)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a recording of simulated play")
    parser.add_argument("--moments", type=int, default=300, help="most moments of a step")
    arguments = parser.parse_args()
    lines = [
        "# How well a push can be known",
        "",
        f"{circumstances()}.",
        f"Made by `{command()}`: simulated play in scenes of which nothing was learned.",
        "",
        "The true simulator goes on from moments at which an object is pushed, and is told what a model could know.",
        "It also has the objects' true shapes, weights and friction, so a model is not expected to be better. Its",
        "answers are scored as predictions are, but are not read from pictures: *direction* is the share of pushed",
        "objects that go the right way (within 45°), *slope* how far of the true way they go, and *mm off* how far",
        "beside their place they end. Arm and objects move at the start as they did. With *commands* the simulator",
        "gets the recorded targets; with the *joints' change* only where the joints get to, on a straight line, which",
        "is what `--actions change` tells. At 64 × 64 a pixel of the base camera is about 9 mm of the table. 95 %",
        "intervals over episodes; slopes' are wide, as a few objects that fall go far.",
        "",
        *table(Play.read(arguments.data), arguments.moments),
        "",
    ]
    write_table(PAGE, "\n".join(lines))


if __name__ == "__main__":
    main()
