"""How often the simulator's experts do their tasks, by clumsiness, and in how many episodes the arm touches something.

    python benchmarks/experts.py
    python benchmarks/experts.py --episodes 20 --tasks push lift --clumsiness 0 0.3

poses every task in as many scenes as episodes, without cameras, and writes docs/benchmarks/experts.md.
"""

import argparse
from dataclasses import dataclass, replace

import numpy as np
from measuring import ROOT, circumstances, command, write_table

from forearm.evaluation.intervals import share_interval
from forearm.sim import Simulator
from forearm.sim.names import CONTROL_HZ
from forearm.sim.objects import OBSTACLE, SHAPES
from forearm.sim.operator import Operator
from forearm.sim.tasks import TASKS, pose_task
from forearm.sim.teleoperation import carry_out

DOCUMENT = ROOT / "docs" / "benchmarks" / "experts.md"
UNSEEN = 1000
"""The first scene; experts were developed in those before."""
MOVED = 0.003
"""Metres by which an object has moved that counts as pushed."""


@dataclass(frozen=True)
class Episode:
    """What an expert did."""

    success: bool
    seconds: float
    touched: float
    """Share of the frames in which the arm touches a free object."""
    moved: int
    """Objects that lie elsewhere in the end."""
    fallen: bool
    """Whether an object has left the table."""


def episode(name: str, which: str, clumsiness: float, seed: int) -> Episode:
    """One instance of a task in a scene of its own."""
    seed += UNSEEN
    simulator = Simulator(seed, replace(TASKS[name].world, which=which))
    task = pose_task(simulator, TASKS[name], np.random.default_rng([seed, 0]))
    touched: list[bool] = []

    def look() -> None:
        touched.append(bool(simulator.was_touched().any()))
        simulator.environment()

    before = simulator.poses()[:, :3]
    success = carry_out(task, Operator(simulator, clumsiness, np.random.default_rng([seed, 1])), look)
    after = simulator.poses()[:, :3]
    free = [thing.name != OBSTACLE for thing in simulator.objects]
    moved = np.linalg.norm(after - before, axis=1) > MOVED
    fallen = bool((after[:, 2] < 0).any())
    return Episode(success, len(touched) / CONTROL_HZ, float(np.mean(touched)), int(moved[free].sum()), fallen)


def row(name: str, which: str, clumsiness: float, episodes: int) -> str:
    """A line of the table."""
    done = [episode(name, which, clumsiness, seed) for seed in range(episodes)]
    successes = np.array([one.success for one in done], float)
    low, high = share_interval(successes, np.arange(episodes))
    contact = np.mean([one.touched > 0 for one in done])
    figures = [
        f"{successes.mean():.0%} ({low:.0%} to {high:.0%})",
        f"{np.mean([one.seconds for one in done]):.1f}",
        f"{contact:.0%}",
        f"{np.mean([one.touched for one in done]):.0%}",
        f"{np.mean([one.moved for one in done]):.1f}",
        f"{np.mean([one.fallen for one in done]):.0%}",
    ]
    line = f"| {name} | {which} | {clumsiness:g} | {' | '.join(figures)} |"
    print(line, flush=True)
    return line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=50)
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--clumsiness", nargs="+", type=float, default=[0.0, 0.3, 1.0])
    arguments = parser.parse_args()
    lines: list[str] = []
    for which in SHAPES:
        for clumsiness in arguments.clumsiness if which == "training" else arguments.clumsiness[:1]:
            for name in arguments.tasks:
                lines.append(row(name, which, clumsiness, arguments.episodes))
                write_table(DOCUMENT, page(lines, arguments.episodes))


def page(lines: list[str], episodes: int) -> str:
    """The document with the rows that are there so far."""
    return f"""# Experts of the simulator

How often the scripted experts do their [tasks](../simulator.md#tasks): {episodes} episodes a row, each in a scene of
its own that was not used to develop them, with 95 % intervals of the share. *Contact*: episodes in which the arm
touches a free object, and the share of all frames in which it does. *Moved*: objects that lie 3 mm or more elsewhere
in the end. *Fallen*: episodes in which an object leaves the table. `play` succeeds where an object has moved by 1 cm.

| task | objects | clumsiness | success | seconds | contact, episodes | contact, frames | moved | fallen |
|---|---|---|---|---|---|---|---|---|
{chr(10).join(lines)}

`{command()}`; {circumstances()}.
"""


if __name__ == "__main__":
    main()
