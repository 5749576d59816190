"""How much must be recorded, and does it help to choose what? Heavy: about 20 core-minutes.

    python benchmarks/learning.py --work FOLDER [--seeds 3]

records a pool of single actions of six joints of the simulated SO-101 (32×32 pixels, 12 scenes, 300 actions each, every
action from each state), and two test sets: `locked`, in the pool's 12 scenes and 12 others, and `wide`, in 24 further
ones. Then arms that learn draw from the pool instead of acting: 100 actions at random, then more at each stage, chosen
by the error that the run expects in a cell, by the past error there, or at random, as `forearm learn` does. At each
stage the run is fine-tuned for as many steps. Other runs learn from 300 random actions of one, three or all 12 scenes.

It goes on where it was interrupted, and writes docs/benchmarks/learning.md of what there is after every point.
"""

import argparse
import dataclasses
import datetime
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from measuring import ROOT, circumstances, command

from forearm.evaluation.intervals import LeaveOneOut, SeedSpread
from forearm.evaluation.samples import Samples
from forearm.learning.cells import Grid, choose, past_errors, visits_of
from forearm.learning.judging import METRIC, errors_on, expected_by_cell
from forearm.learning.retraining import retrained
from forearm.learning.settings import LearnSettings
from forearm.recordings import Recorder, RecordingSpec
from forearm.training.config import TrainConfig
from forearm.training.launch import resume_run, train_run
from forearm.training.run import Run
from forearm.transitions.build import build
from forearm.transitions.settings import BuildConfig
from forearm.transitions.store import Columns, TransitionSet, TransitionWriter

TABLE = ROOT / "docs/benchmarks/learning.md"
STAGES = (100, 200, 400, 800, 1500)
CHOICES = ("expected-error", "past-error", "random")
SCENES = (1, 3, 12)
OF_SCENES = 300
"""Actions with which numbers of scenes are compared."""
STEPS, BATCH = 250, 16
POOL_SCENES = 12
"""Of the 24 sessions of the pool's settings, so many are recorded."""
BINS = 6
VALIDATING = 8
"""Every so many-th moment chooses a training's best weights."""
LOCKED, WIDE = "locked", "wide"


@dataclasses.dataclass(frozen=True)
class Study:
    """What is learned from, and where."""

    pool: TransitionSet
    locked: TransitionSet
    wide: TransitionSet
    grid: Grid
    work: Path

    @property
    def scenes(self) -> np.ndarray:
        """The scene of each of the pool's rows, (N,)."""
        return np.array([episode["session"] for episode in self.pool.episodes])[self.pool.columns.episodes]

    def cells(self, rows: np.ndarray) -> list[tuple[int, int, int]]:
        """The cell of each row of the pool."""
        columns, codes = self.pool.columns, self.pool.codes
        starts = self.pool.positions(rows)[:, -2]
        return [
            self.grid.cell_of(d, float(start[self.grid.joint(d)]), int(code))
            for d, start, code in zip(columns.dimensions[rows].tolist(), starts, codes[rows], strict=True)
        ]


def settings(**changes):
    """What is recorded: every action from each state, six joints, 32×32 pixels, two frames an action."""
    from forearm.sim import JOINTS, RecordingSettings

    usual = {"joints": JOINTS, "every_action": True, "fps": 2, "size": 32, "sessions": 24, "scene_seed": 0}
    return RecordingSettings(**usual | changes)


def recorded(out: Path, of, sessions: int) -> Path:
    """Record the episodes of the first sessions, unless they are there."""
    from forearm.sim import CAMERAS, JOINTS, Simulator, record_episode
    from forearm.sim.names import UNITS
    from forearm.sim.protocol import session_of, session_seed

    if out.is_dir():
        return out
    names = tuple(f"{joint}.pos" for joint in JOINTS)
    cameras = {f"observation.images.{camera}": (of.size, of.size) for camera in CAMERAS}
    kept = {**dataclasses.asdict(of), "joints": list(of.joints), "actions": dict(of.actions)}
    recorder = Recorder(out, RecordingSpec(of.fps, names, names, cameras, units=UNITS), kept)
    with recorder.recording():
        for session in range(sessions):
            wanted = [index for index in range(of.episodes) if session_of(of, index) == session]
            missing = sorted(set(wanted) - set(recorder.staged()))
            simulator = Simulator(session_seed(of, session)) if missing else None
            for index in missing:
                recorder.stage(index, record_episode(simulator, of, index))
            print(f"{out.name}: scene {session + 1} of {sessions}", flush=True)
        recorder.finish()
    return out


def opened(work: Path) -> Study:
    """The pool and the test sets, recorded and built where they are missing."""
    sets = {}
    for name, of, sessions, val in (
        ("pool", settings(episodes=7200, seed=0), POOL_SCENES, 0.0),
        (LOCKED, settings(episodes=288, seed=1), 24, 1.0),
        (WIDE, settings(episodes=288, seed=2, scene_seed=1000), 24, 1.0),
    ):
        recording, data = recorded(work / name, of, sessions), work / f"{name}_data"
        bounds = work / "pool_data" / "layout.json" if name != "pool" else None
        sets[name] = (
            TransitionSet(data)
            if data.is_dir()
            else build(recording, data, BuildConfig(size=32, actions="log", val=val, bounds=bounds))
        )
    pool = sets["pool"]
    home = np.median(pool.states, axis=0).astype(np.float64)
    return Study(pool, sets[LOCKED], sets[WIDE], Grid(pool.layout, BINS, home), work)


def drawn(study: Study, rows: np.ndarray, out: Path) -> TransitionSet:
    """A dataset of some rows of the pool, with its bounds; every eighth moment validates."""
    if out.is_dir():
        return TransitionSet(out)
    pool = study.pool
    numbers = pool.columns.episodes[rows]
    moments = np.array([pool.episodes[number]["moment"] for number in numbers])
    of_moment = np.unique(moments, return_inverse=True)[1]
    out.mkdir(parents=True)
    frames = np.empty((len(rows), 2), np.int64)
    with TransitionWriter(out, pool.frames.shape[1:]) as writer:
        for number, row in enumerate(rows.tolist()):
            for place, frame in enumerate(pool.columns.frames[row].tolist()):
                frames[number, place] = writer.append(pool.frames[frame], pool.states[frame])
        table = Columns(
            frames,
            pool.columns.actions[rows],
            pool.columns.dimensions[rows],
            np.arange(len(rows)),
            of_moment % VALIDATING == 0,
        )
        episodes = [
            {key: pool.episodes[number][key] for key in ("recording", "index", "task", "session", "scene", "moment")}
            for number in numbers
        ]
        writer.finish(pool.layout, table, episodes, {**pool.facts, "recordings": pool.facts["recordings"]})
    return TransitionSet(out)


def first_run(data: TransitionSet, out: Path, seed: int, steps: int = STEPS) -> Run:
    """A run from fresh weights."""
    if out.is_dir():
        return resume_run(out, data.path, device="cpu")
    config = TrainConfig(steps=steps, batch_size=BATCH, warmup=20, ema=0.98, evaluate_every=steps, seed=seed)
    return train_run(data, out, family="warp", model={"mse_weight": 10.0}, config=config, device="cpu")


def more(study: Study, choice: str, rows: np.ndarray, errors: list[float], count: int, run: Run, data, seed: int):
    """Draw further rows of the pool as ``forearm learn`` chooses what to record: unvisited cells first, then in
    proportion to expected or past error, or at random. Returns all rows, and the errors before training on them."""
    rng = np.random.default_rng([seed, count, CHOICES.index(choice)])
    model = run.load("best")
    left = np.setdiff1d(study.pool.rows(), rows)
    by_cell: dict[tuple[int, int, int], list[int]] = {}
    for row, cell in zip(left.tolist(), study.cells(left), strict=True):
        by_cell.setdefault(cell, []).append(row)
    cells = study.cells(rows)
    scores = None
    if choice == "expected-error":
        scores = expected_by_cell(model, data, study.grid, "cpu")
    elif choice == "past-error":
        scores = past_errors(study.grid.shape, cells[-len(errors) :], errors)
    if choice == "random":
        fresh = rng.permutation(left)[: count - len(rows)].tolist()
    else:
        allowed, visits = np.zeros(study.grid.shape, bool), visits_of(study.grid.shape, cells)
        for cell in by_cell:
            allowed[cell] = True
        fresh = []
        while len(rows) + len(fresh) < count:
            cell = choose(allowed, visits, scores, rng)
            fresh.append(by_cell[cell].pop(int(rng.integers(len(by_cell[cell])))))
            visits[cell] += 1
            allowed[cell] = bool(by_cell[cell])
    return np.concatenate([rows, fresh]), [*errors, *errors_of(study, run, np.array(fresh))]


def point(study: Study, name: str, run: Run, seconds: float) -> None:
    """Keep the errors of a run on both test sets."""
    model = run.load("best")
    found = {which: errors_on(model, getattr(study, which), "cpu") for which in (LOCKED, WIDE)}
    out = study.work / "points" / f"{name}.npz"
    out.parent.mkdir(exist_ok=True)
    np.savez(out.with_suffix(".new.npz"), **{w: s.sums["val_mse"] for w, s in found.items()}, seconds=seconds)
    out.with_suffix(".new.npz").rename(out)
    print(f"{datetime.datetime.now():%H:%M} {name}: {found[LOCKED].table()[METRIC]:.5f}", flush=True)


def study_of(study: Study, seed: int) -> None:
    """All points of one seed."""

    def done(name: str) -> bool:
        return (study.work / "points" / f"{name}.npz").is_file()

    rng = np.random.default_rng([seed, 0])
    rows = rng.permutation(study.pool.rows())[: STAGES[0]]
    data = drawn(study, rows, study.work / f"data/{seed}_first")
    begin = time.process_time()
    run = first_run(data, study.work / f"runs/{seed}_first", seed)
    if not done(f"{seed}_first"):
        point(study, f"{seed}_first", run, time.process_time() - begin)
    state = {choice: (rows, errors_of(study, run, rows), run, data) for choice in CHOICES}
    for stage in STAGES[1:]:
        for choice in CHOICES:
            name = f"{seed}_{choice}_{stage}"
            chosen, errors, parent, before = state[choice]
            kept = study.work / f"points/{name}_rows.npz"
            if kept.is_file():
                with np.load(kept) as arrays:
                    chosen, errors = arrays["rows"], arrays["errors"].tolist()
            else:
                chosen, errors = more(study, choice, chosen, errors, stage, parent, before, seed)
                np.savez(kept, rows=chosen, errors=np.array(errors))
            data = drawn(study, chosen, study.work / f"data/{name}")
            begin = time.process_time()
            learning = LearnSettings(steps=STEPS, seed=seed)
            run = retrained(data, study.work / f"runs/{name}", parent, learning, "cpu")
            if not done(name):
                point(study, name, run, time.process_time() - begin)
                write(study)
            state[choice] = chosen, errors, run, data
    for scenes in SCENES:
        name = f"{seed}_scenes_{scenes}"
        if done(name):
            continue
        chosen = np.random.default_rng([seed, 1, scenes]).permutation(POOL_SCENES)[:scenes]
        among = np.flatnonzero(np.isin(study.scenes, chosen))
        mine = np.random.default_rng([seed, 2, scenes]).permutation(among)[:OF_SCENES]
        data = drawn(study, mine, study.work / f"data/{name}")
        run = first_run(data, study.work / f"runs/{name}", seed, 2 * STEPS)
        point(study, name, run, 0.0)
        write(study)


def errors_of(study: Study, run: Run, rows: np.ndarray) -> list[float]:
    """The errors of a run in some rows of the pool."""
    return errors_on(run.load("best"), study.pool, "cpu", rows).sums["val_mse"].tolist()


# The table


@dataclasses.dataclass(frozen=True)
class Curve:
    """The squared errors of a point, (seeds, N), on a test set, and which of its transitions are moves."""

    errors: np.ndarray
    moves: np.ndarray
    groups: np.ndarray

    def samples(self, errors: np.ndarray) -> Samples:
        return Samples.of({METRIC: (errors, self.moves)})

    def figures(self, errors: np.ndarray) -> list[float]:
        return [float(each[self.moves].mean()) for each in errors]

    def estimate(self, other: "Curve | None" = None):
        """The error, or its difference from another's on the same transitions, over seeds and scenes."""
        mine = LeaveOneOut.of(self.samples(self.errors.mean(0)), self.groups)
        figures = np.array(self.figures(self.errors))
        if other is not None:
            mine = mine.against(LeaveOneOut.of(self.samples(other.errors.mean(0)), self.groups))
            figures = figures - np.array(self.figures(other.errors))
        return mine.estimate(METRIC, None, [SeedSpread.of(figures.tolist())])


def curve(study: Study, which: str, name: str, seeds: int) -> Curve | None:
    """A point on a test set, by its name without the seed; None where a seed lacks it."""
    files = [study.work / f"points/{seed}_{name}.npz" for seed in range(seeds)]
    if not files or not all(file.is_file() for file in files):
        return None
    data = getattr(study, which)
    errors = np.stack([np.load(file)[which] for file in files])
    return Curve(errors, data.codes != 0, data.independent_groups(data.rows())[0])


def told(estimate) -> str:
    """An estimate times 1000, with its interval."""
    low, high = estimate.interval()
    return f"{1000 * estimate.value:.2f} ({1000 * low:.2f} to {1000 * high:.2f})"


def needed(stages: Sequence[int], errors: Sequence[float], goal: float) -> float | None:
    """After how many actions an error first reaches a goal, interpolated in logarithms; None where it never does."""
    for (a, one), (b, other) in zip(zip(stages, errors), list(zip(stages, errors))[1:]):  # noqa: B905
        if one <= goal:
            return float(a)
        if other <= goal:
            share = (np.log(one) - np.log(goal)) / (np.log(one) - np.log(other))
            return float(np.exp(np.log(a) + share * (np.log(b) - np.log(a))))
    return None


def tables(study: Study, which: str) -> list[str]:
    """The error over actions on one test set, as far as every choice has come with the same seeds."""
    lines = [
        "| actions | seeds | " + " | ".join(CHOICES) + " | expected − random | past − random |",
        "|---:|---:|" + "---:|" * (len(CHOICES) + 2),
    ]
    reached = {choice: [] for choice in CHOICES}
    for stage in STAGES:
        names = {choice: f"{choice}_{stage}" if stage > STAGES[0] else "first" for choice in CHOICES}
        seeds = max(
            (n for n in (1, 2, 3, 4, 5) if all(curve(study, which, name, n) for name in names.values())), default=0
        )
        if not seeds:
            break
        found = {choice: curve(study, which, name, seeds) for choice, name in names.items()}
        row = [told(each.estimate()) for each in found.values()]
        row += [told(found[c].estimate(found["random"])) if stage > STAGES[0] else "–" for c in CHOICES[:2]]
        lines.append(f"| {stage} | {seeds} | " + " | ".join(row) + " |")
        for choice, each in found.items():
            reached[choice].append(float(np.mean(each.figures(each.errors))))
    stages = STAGES[: len(reached["random"])]
    lines.append("")
    for goal, of in zip(reached["random"][1:], stages[1:], strict=True):
        told_needs = []
        for choice in CHOICES[:2]:
            need = needed(stages, reached[choice], goal)
            told_needs.append(f"{choice} {f'{need:.0f} ({need / of:.0%})' if need else 'does not reach it'}")
        lines.append(f"- The error of {of} random actions, {1000 * goal:.2f}, takes: {', '.join(told_needs)}.")
    return lines


def scene_lines(study: Study) -> list[str]:
    lines = ["| scenes | seeds | locked | wide |", "|---:|---:|---:|---:|"]
    for scenes in SCENES:
        name = f"scenes_{scenes}"
        seeds = max((n for n in (1, 2, 3, 4, 5) if curve(study, WIDE, name, n)), default=0)
        if seeds:
            row = [told(curve(study, which, name, seeds).estimate()) for which in (LOCKED, WIDE)]
            lines.append(f"| {scenes} | {seeds} | " + " | ".join(row) + " |")
    return lines


def copied(study: Study, which: str) -> float:
    """The error over moves of the picture before the action, taken for the one after it."""
    data = getattr(study, which)
    frames = data.frames[data.columns.frames[data.codes != 0]].astype(np.float64) / 255
    return float(((frames[:, -1] - frames[:, -2]) ** 2).mean())


def write(study: Study) -> None:
    """Write the page."""
    from measuring import write_table

    write_table(
        TABLE,
        "\n".join(
            [
                "# How much must be recorded, and what?",
                "",
                f"{circumstances()}. Made by `{command()}`.",
                "",
                "Six joints of the simulated SO-101, 32×32 pixels a camera. Arms that learn draw from a pool of "
                f"{len(study.pool)} recorded actions in {POOL_SCENES} scenes instead of acting: {STAGES[0]} at random, "
                "then more at each stage, chosen as `forearm learn` chooses. At each stage the run is fine-tuned for "
                f"{STEPS} steps of {BATCH} transitions, whatever the choice. Errors are mean squared errors of "
                "pictures after moves, × 1000, with 95% intervals over scenes and seeds. The locked set has "
                f"{len(study.locked)} actions in the pool's scenes and 12 others, the wide set {len(study.wide)} in 24 "
                "further scenes. Copying the picture before the action has an error of "
                f"{1000 * copied(study, LOCKED):.2f} on the locked, {1000 * copied(study, WIDE):.2f} on the wide set. "
                "Nothing was chosen by these figures.",
                "",
                "## Locked set",
                "",
                *tables(study, LOCKED),
                "",
                "## Wide set",
                "",
                *tables(study, WIDE),
                "",
                f"## Scenes: {OF_SCENES} random actions, {2 * STEPS} steps from fresh weights",
                "",
                *scene_lines(study),
                "",
            ]
        ),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--table", action="store_true", help="only write the page of what there is")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    study = opened(args.work)
    for seed in range(0 if args.table else args.seeds):
        study_of(study, seed)
    write(study)


if __name__ == "__main__":
    main()
