"""How often planning with each family reaches its goal, beside a planner with the true simulator and ways without a
model. One command, after benchmarks/quality.py, whose runs it uses:

    python benchmarks/control.py

drives a simulated arm in scenes that no run was trained on: shoulder_pan towards goal pictures, and all six joints
towards goal positions, once with full moves and once with moves of any size. For the latter it records moves of four
sizes and trains the flagship on them. Every method gets the same starts and goals. It writes docs/benchmarks/control.md
and docs/pictures/planning.gif. What is done already is not done again: an interrupted run goes on where it stopped.
"""

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import ROOT, circumstances, write_table
from quality import CHOSEN, forearm, model_options

from forearm.batch import Batch, Prediction, Predictor, present
from forearm.canvas import Action, Layout
from forearm.control.episode_log import film, film_gif
from forearm.control.goals import Goal, JointGoal, PictureGoal
from forearm.control.loop import control
from forearm.control.planners import CEM, Plan, Planner, TreeSearch, full_moves
from forearm.environment.simulated import TrueDynamics
from forearm.evaluation.baselines import Persistence
from forearm.evaluation.intervals import MIN_GROUPS, share_interval, too_few
from forearm.models import family_names
from forearm.sim import JOINTS, Simulator, settle
from forearm.sim.arm import SimulatedArm
from forearm.sim.poses import is_usable, reach, sample_pose
from forearm.training.run import Run

PAGE = ROOT / "docs" / "benchmarks" / "control.md"
FILM = ROOT / "docs" / "pictures" / "planning.gif"
TOLERANCE, STEPS, DELTA = 3.0, 12, 10.0
FARTHEST = {"shoulder": 6, "arm": 10, "arm-pictures": 4, "shoulder-any": 6, "arm-any": 10}
"""Most moves between start and goal."""
PAIRS = {"arm-pictures": 40, "shoulder-any": 20, "arm-any": 20}
"""Tasks that are given fewer pairs, and the flagship alone, as each decision takes many predictions."""
ANY = "-any"
"""Ends the name of a task whose moves and goals are of any size."""
SIZES = (2.5, 5.0, 7.5, 10.0)
"""Degrees of the moves that are recorded for those tasks."""
PAIRS_A_SCENE = 4
SEED = 9
FLAGSHIP, TRUTH, GREEDY, RANDOM = "warp", "true simulator", "greedy on joints", "random"
SLOW = {"gpt": 24, "true simulator, CEM": 12}
"""Methods that are given fewer pairs, as a prediction takes them long."""
TARGETS = {"shoulder": "at least 95 % of the true simulator's", "arm": "at least 90 %"}
TITLES = {
    "shoulder": "Goal pictures, shoulder_pan (every sequence of up to three moves)",
    "arm": "Goal positions, all six joints (every move, one deep)",
    "arm-pictures": "Goal pictures, all six joints (beam of 4, two deep)",
    "shoulder-any": "Goal pictures at any angle, shoulder_pan, moves of any size (CEM)",
    "arm-any": "Goal positions at any angle, all six joints, moves of any size (CEM)",
}


@dataclass(frozen=True)
class Pair:
    """A start and a goal, joints (6,) each, so many moves apart, in a scene."""

    number: int
    start: np.ndarray
    goal: np.ndarray
    moves: int


# Starts and goals


def scene_of(number: int) -> int:
    """The simulator's seed of a scene: none that a recording's settings lead to."""
    return int(np.random.SeedSequence([SEED, 7, number]).generate_state(1)[0])


def pairs_of(task: str, simulator: Simulator, layout: Layout, scene: int) -> list[Pair]:
    """Starts and goals of a scene, by a way on which the arm touches nothing.

    They are whole moves of 10° apart where a full move is the smallest thing that a run can do, as a goal between two
    moves could not be reached within 3°; any distance apart where moves may have any size.
    """
    random = np.random.default_rng([SEED, scene])
    pairs: list[Pair] = []
    while len(pairs) < PAIRS_A_SCENE:
        make = shoulder_pair if task.startswith("shoulder") else arm_pair
        found = make(simulator, random, FARTHEST[task], task.endswith(ANY))
        settle(simulator, found[1])
        goal = simulator.joints()
        if ((layout.lows < goal) & (goal < layout.highs)).all():
            pairs.append(Pair(scene * PAIRS_A_SCENE + len(pairs), found[0], goal, found[2]))
    return pairs


Way = tuple[np.ndarray, np.ndarray, int]
"""Start, goal, and the fewest moves between."""


def shoulder_pair(simulator: Simulator, random: np.random.Generator, farthest: int, any_size: bool) -> Way:
    """shoulder_pan turned to either side."""
    start = sample_pose(simulator, 0, DELTA, "acting", random)
    below, above = reach(simulator, start, 0, DELTA, farthest)
    moves = int(random.choice([k for k in range(-below, above + 1) if k]))
    goal = start.copy()
    goal[0] += DELTA * (moves - np.sign(moves) * random.uniform(0, 0.7) * any_size)
    return start, goal, abs(moves)


def arm_pair(simulator: Simulator, random: np.random.Generator, farthest: int, any_size: bool) -> Way:
    """The same by a walk of all joints, each of which keeps its direction."""
    start = sample_pose(simulator, int(random.integers(6)), DELTA, "all", random)
    directions, wanted = random.choice([-1, 1], 6), int(random.integers(1, farthest + 1))
    goal, moves = start.copy(), 0
    for joint in random.integers(6, size=4 * wanted):
        there, size = goal.copy(), random.uniform(0.3, 1) if any_size else 1
        there[joint] += DELTA * directions[joint] * size
        if moves < wanted and is_usable(simulator, there, joint, DELTA):
            goal, moves = there, moves + 1
    return (start, goal, moves) if moves else arm_pair(simulator, random, farthest, any_size)


# Methods


class NominalJoints(Persistence):
    """What needs no learning: each action changes its joint by its scale, pictures stay."""

    def predict(self, batch: Batch) -> Prediction:
        region, layout = super().predict(batch).frame, batch.layout
        for dimension, joint in enumerate(layout.joint_of_dimension()):
            rows, columns = layout.strip_cells()[joint]
            share = layout.actions[dimension].scale / (layout.highs - layout.lows)[joint]
            region[:, :, rows, columns] += (share * batch.actions[:, -1, dimension])[:, None, None, None]
        return Prediction(region.clamp(0, 1))


@dataclass(frozen=True)
class Method:
    """A way to drive: foresight and how it is used; no predictor: moves drawn at random."""

    name: str
    predictor: Callable[[SimulatedArm], Predictor] | None
    planner: Planner
    joints: bool
    """Whether it is told the goal's joints, even where the goal is a picture."""
    weights: str = ""


@dataclass(frozen=True)
class Task:
    """What is to be reached, with which runs."""

    name: str
    runs: dict[str, Run]

    @cached_property
    def layout(self) -> Layout:
        return next(iter(self.runs.values())).layout()

    @property
    def acting(self) -> list[int]:
        """The joints that are to reach the goal; where the action is all joints' change, those that were moved."""
        if self.name.startswith("shoulder"):
            return [0]
        return [JOINTS.index(dimension.name) for dimension in self.layout.actions]

    @property
    def planner(self) -> TreeSearch | CEM:
        return {
            "shoulder": TreeSearch(3),
            "arm": TreeSearch(1),  # joint goals have no hollows, so a step ahead is enough
            "arm-pictures": TreeSearch(2, width=4),
        }.get(self.name, CEM())

    @property
    def farther(self) -> TreeSearch | None:
        return self.planner.farther() if isinstance(self.planner, TreeSearch) and self.name != "arm" else None

    @cached_property
    def methods(self) -> list[Method]:
        """In the table's order."""
        joints = self.name.startswith("arm") and self.name != "arm-pictures"
        planner = self.planner

        def learned(model: Predictor) -> Callable[[SimulatedArm], Predictor]:
            return lambda arm: model

        found = []
        for family, run in self.runs.items():
            model, weights = learned(run.load()), run.weights_digest("best")
            if isinstance(planner, TreeSearch):
                found.append(Method(family, model, planner, joints, weights))
            else:
                for name, way in CEM_WAYS.items():
                    found.append(Method(f"{family}, {name}", model, way, joints, weights))
        truth, greedy = (TRUTH, TreeSearch(1)) if isinstance(planner, TreeSearch) else (f"{TRUTH}, CEM", planner)
        return [
            *found,
            Method(truth, TrueDynamics, planner, joints),
            Method(GREEDY, lambda arm: NominalJoints(), greedy, True),
            Method(RANDOM, None, planner, joints),
        ]

    def goal(self, method: Method, pair: Pair, arm: SimulatedArm) -> Goal:
        if method.joints:
            return JointGoal.named(self.layout, {JOINTS[joint]: float(pair.goal[joint]) for joint in self.acting})
        settle(arm.simulator, pair.goal)
        return PictureGoal.of(self.layout, self.layout.split(arm.observe().picture))


@dataclass(frozen=True)
class Cold:
    """A planner that forgets its previous plan."""

    planner: Planner

    def plan(self, predictor: Predictor, present: Batch, goal: Goal, previous: Plan | None = None) -> Plan:
        return self.planner.plan(predictor, present, goal)


CEM_WAYS: dict[str, Planner] = {
    "CEM": CEM(),
    "CEM of 2 rounds": CEM(rounds=2),
    "CEM of 2 rounds, cold start": Cold(CEM(rounds=2)),
}
"""How the cross-entropy method is used; with a warm start where nothing else is said."""


class Timed:
    """A planner that notes how long it thinks, by the clock on the wall and by the processor's."""

    def __init__(self, planner: Planner):
        self.planner, self.wall, self.processor = planner, [], []

    def plan(self, *about: Any) -> Any:
        wall, processor = time.perf_counter(), time.process_time()
        plan = self.planner.plan(*about)
        self.wall.append(time.perf_counter() - wall)
        self.processor.append(time.process_time() - processor)
        return plan


# Driving


def attempt(task: Task, method: Method, pair: Pair, simulator: Simulator) -> dict[str, Any]:
    """Drive from start to goal; what came of it."""
    arm = SimulatedArm(simulator, task.layout)
    goal = task.goal(method, pair, arm)
    settle(simulator, pair.start)
    planner = Timed(method.planner)
    if method.predictor is None:
        seen = wander(arm, np.random.default_rng([SEED, 3, pair.number]))
        outcome = "drawn at random"
    else:
        episode = control(arm, method.predictor(arm), goal, planner, farther=task.farther, steps=STEPS)
        seen, outcome = [step.seen.joints for step in episode.steps], episode.outcome
    errors = [float(np.abs(joints - pair.goal)[task.acting].max()) for joints in seen]
    there = [i for i, error in enumerate(errors) if error <= TOLERANCE]
    return {
        "method": method.name,
        "weights": method.weights,
        "pair": pair.number,
        "moves": pair.moves,
        "actions": len(seen) - 1,
        "error": errors[-1],
        "first_there": there[0] if there else None,
        "outcome": outcome,
        "wall": planner.wall,
        "processor": planner.processor,
    }


def wander(arm: SimulatedArm, random: np.random.Generator) -> list[np.ndarray]:
    """Joints along moves drawn at random: full ones and STAY, or of any size."""
    moves, dimensions = (values.numpy() for values in full_moves(arm.layout))
    seen = [arm.observe().joints]
    for _ in range(STEPS):
        drawn = random.integers(len(moves) + 1)
        values = moves[drawn] if drawn < len(moves) else np.zeros_like(moves[0])
        size = 1.0 if arm.layout.discrete else random.uniform(0, 1)
        arm.step(Action(values * np.float32(size), int(dimensions[drawn % len(moves)])))
        seen.append(arm.simulator.joints())
    return seen


def drive(task: Task, pairs: int, results: Path) -> list[dict[str, Any]]:
    """All attempts of a task, those that are missing made now, scene by scene."""
    path = results / f"{task.name}.jsonl"
    known = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = {(trial["method"], trial["weights"], trial["pair"]): trial for trial in known}
    wanted = [(m, p) for p in range(pairs) for m in task.methods if p < SLOW.get(m.name, pairs)]
    missing = [(m, p) for m, p in wanted if (m.name, m.weights, p) not in done]
    with path.open("a") as file:
        for scene in sorted({pair // PAIRS_A_SCENE for _, pair in missing}):
            with contextlib.closing(Simulator(scene_of(scene))) as simulator:
                found = {pair.number: pair for pair in pairs_of(task.name, simulator, task.layout, scene)}
                for method, number in missing:
                    if number in found:
                        trial = attempt(task, method, found[number], simulator)
                        done[method.name, method.weights, number] = trial
                        file.write(json.dumps(trial) + "\n")
                        file.flush()
            print(f"{task.name}: scene {scene} of {-(-pairs // PAIRS_A_SCENE)}", file=sys.stderr)
    return [done[m.name, m.weights, p] for m, p in wanted]


def filmed(task: Task) -> None:
    """Film how the flagship reaches a picture at least five moves away."""
    method = next(method for method in task.methods if method.name == FLAGSHIP)
    for scene in range(100):
        with contextlib.closing(Simulator(scene_of(scene))) as simulator:
            for pair in pairs_of(task.name, simulator, task.layout, scene):
                if pair.moves >= 5:
                    arm = SimulatedArm(simulator, task.layout)
                    goal = task.goal(method, pair, arm)
                    settle(simulator, pair.start)
                    assert method.predictor is not None
                    foresight, planner = method.predictor(arm), method.planner
                    episode = control(arm, foresight, goal, planner, farther=task.farther, steps=STEPS)
                    FILM.parent.mkdir(parents=True, exist_ok=True)
                    FILM.write_bytes(film_gif(film(episode, goal)))
                    return


def decision(task: Task) -> dict[str, list[float]]:
    """How long one decision of the flagship takes, three deep, and how long all 39 predictions of three actions would:
    median and least by the clock on the wall, median by the processor's, in ms."""
    model, layout = task.runs[FLAGSHIP].load(), task.layout
    with contextlib.closing(Simulator(scene_of(0))) as simulator:
        pair = pairs_of(task.name, simulator, layout, 0)[0]
        arm = SimulatedArm(simulator, layout)
        goal = task.goal(Method("", None, TreeSearch(3), False), pair, arm)
        settle(simulator, pair.start)
        seen = arm.observe()
    context = present(layout, seen)
    moves = torch.tensor([[1.0], [-1.0], [0.0]]).repeat(13, 1), torch.zeros(39, dtype=torch.long)

    @torch.inference_mode()
    def all_three() -> None:
        for count in (3, 9, 27):
            batch = context.repeated(count).with_action(moves[0][:count], moves[1][:count])
            goal.cost(model.predict(batch))

    figures = {"load": [os.getloadavg()[0]]}
    for name, work in {
        "6": lambda: TreeSearch(3).plan(model, context, goal),
        "14": lambda: TreeSearch(3, detours=True).plan(model, context, goal),
        "39": all_three,
    }.items():
        wall, processor = [], []
        for _ in range(24):
            begin = time.perf_counter(), time.process_time()
            work()
            wall.append(1e3 * (time.perf_counter() - begin[0]))
            processor.append(1e3 * (time.process_time() - begin[1]))
        figures[name] = [float(np.median(wall[4:])), min(wall), float(np.median(processor[4:]))]
    return figures


# The page


Span = tuple[float, float] | None


def share(trials: list[dict[str, Any]], reached: Callable[[dict[str, Any]], bool]) -> tuple[float, Span]:
    """The share of attempts that reached their goal, and its interval over scenes; None of a single scene."""
    hits = np.array([reached(trial) for trial in trials])
    return float(hits.mean()), share_interval(hits, np.array([trial["pair"] // PAIRS_A_SCENE for trial in trials]))


def in_words(value: float, interval: Span) -> str:
    return f"{value:.0%} ({interval[0]:.0%} to {interval[1]:.0%})" if interval else f"{value:.0%}"


def target_verdict(interval: Span, bound: float, scenes: int) -> str:
    """Whether a share surely keeps a bound."""
    if interval is None or scenes < MIN_GROUPS:
        return too_few(scenes, "scenes") or "too few to tell"
    low, high = interval
    return "met" if low >= bound else "missed" if high < bound else "too close to call"


def stays_there(trial: dict[str, Any]) -> bool:
    return trial["error"] <= TOLERANCE


def was_there(trial: dict[str, Any]) -> bool:
    return trial["first_there"] is not None


def table(task: Task, trials: list[dict[str, Any]]) -> list[str]:
    """Rows of markdown, and whether the target is met."""
    rows, success, spans = [], {}, {}
    for method in task.methods:
        mine = [trial for trial in trials if trial["method"] == method.name]
        judged = was_there if method.name == RANDOM else stays_there
        success[method.name], spans[method.name] = share(mine, judged)
        good = [trial for trial in mine if judged(trial)]
        steps = [trial["first_there"] if method.name == RANDOM else trial["actions"] for trial in good]
        detours = [taken - trial["moves"] for taken, trial in zip(steps, good, strict=True)]
        thought = [1e3 * seconds for trial in mine for seconds in trial["processor"]]
        rows.append(
            f"| {method.name if method.weights else f'*{method.name}*'} | {len(mine)} | "
            f"{in_words(success[method.name], spans[method.name])} | "
            f"{share(mine, was_there)[0]:.0%} | "
            f"{f'{np.mean(steps):.1f}' if good else '–'} | {f'{np.mean(detours):.2f}' if good else '–'} | "
            f"{f'{np.median(thought):.0f}' if thought else '–'} |"
        )
    measured = success.get(FLAGSHIP)
    verdict = ""
    if task.name in TARGETS and measured is not None:
        bound = 0.95 * success[TRUTH] if task.name == "shoulder" else 0.9
        scenes = len({trial["pair"] // PAIRS_A_SCENE for trial in trials if trial["method"] == FLAGSHIP})
        met = target_verdict(spans[FLAGSHIP], bound, scenes)
        verdict = f" Target: {TARGETS[task.name]}. {FLAGSHIP}: {measured:.0%}, **{met}**."
    shortest = np.mean([trial["moves"] for trial in trials if trial["method"] == TRUTH])
    return [
        "| | pairs | success (95 %) | was there | steps | detour | ms a decision |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *rows,
        "",
        f"Start and goal are {shortest:.1f} moves apart in the mean.{verdict}",
        "",
    ]


def page(sections: list[tuple[str, list[str]]], speed: dict[str, list[float]] | None) -> str:
    return "\n".join(
        [
            "# Control",
            "",
            f"{circumstances()}.",
            "Made by `python benchmarks/control.py` with the runs of `python benchmarks/quality.py`, in simulated "
            "scenes that no run has seen.",
            f"At most {STEPS} steps, planned anew after every one.",
            "",
            "- Starts and goals are drawn at random, by a way on which the arm touches nothing. They are whole moves "
            "of 10° apart where",
            "  the runs know no smaller move, as nothing between could be reached within 3°; at any angle where moves "
            "may have any size.",
            "- *Success*: when the method stops, every joint that may move is within 3° of the goal (gripper: 3 %). "
            "Intervals are",
            "  over scenes ([how sure](../metrics.md#how-sure)); a target is met or missed if the whole "
            "interval says so.",
            "- *Was there*: it was so at some time, which is all that is asked of *random*, who never stops.",
            "- *Steps* and *detour* (steps beyond the fewest) are means over successes.",
            "- *ms* is the processor's time for a decision, median. Looks farther ahead, before staying or turning "
            "back, are not",
            "  counted.",
            "- *Greedy on joints* is told the goal's joints, also where all others see only its picture.",
            "",
            *(line for title, lines in sections for line in (f"## {title}", "", *lines)),
            *(speed_lines(speed) if speed else []),
        ]
    )


def speed_lines(speed: dict[str, list[float]]) -> list[str]:
    what = {
        "6": "a decision: what staying shows is known, and sequences never take back what they did",
        "14": "with such detours",
        "39": "every sequence of STAY, MOVE+ and MOVE−, all predicted",
    }
    return [
        "## One decision",
        "",
        f"Three actions, three deep, {FLAGSHIP}, `tiny`, {torch.get_num_threads()} thread(s), while "
        f"{speed['load'][0]:.1f} processes wanted the machine's cores. Target: 150 ms.",
        "",
        "| predictions | | ms (median) | least | processor |",
        "|---:|---|---:|---:|---:|",
        *(
            f"| {count} | {words} | {speed[count][0]:.0f} | {speed[count][1]:.0f} | {speed[count][2]:.0f} |"
            for count, words in what.items()
        ),
        "",
    ]


def tasks(arguments: argparse.Namespace) -> list[Task]:
    given = dict(text.split("=", 1) for text in arguments.runs)
    found = []
    for name in arguments.only:
        data = name.removesuffix("-pictures")
        if name.endswith(ANY) and f"{data}/{FLAGSHIP}" not in given:
            train_any(name, arguments.work / data, arguments.minutes)
        families = arguments.families if name in TARGETS else [FLAGSHIP]
        usual = {family: arguments.work / data / "runs" / f"{family}-0" for family in families}
        named = {family: Path(given.get(f"{data}/{family}", usual[family])) for family in families}
        runs = {family: Run.open(path) for family, path in named.items() if (path / "best.safetensors").is_file()}
        if not runs:
            raise SystemExit(f"no runs in {arguments.work / data / 'runs'}; run benchmarks/quality.py, or name --runs")
        found.append(Task(name, runs))
    return found


def train_any(name: str, folder: Path, minutes: float) -> None:
    """Train the flagship on single moves of several sizes, the joints' change as the action, where that is missing."""
    run, data = folder / "runs" / f"{FLAGSHIP}-0", folder / "train"
    if (run / "best.safetensors").is_file():
        return
    joints = JOINTS if name.startswith("arm") else JOINTS[:1]
    parts = [folder / f"moves-{size:g}" for size in SIZES]
    for number, (size, part) in enumerate(zip(SIZES, parts, strict=True)):
        if not part.exists():
            episodes = 400 if len(joints) > 1 else 200
            moves = "--joints", *joints, "--position-delta", size, "--episodes", episodes, "--sessions", 8
            forearm("record", "--out", part, *moves, "--size", 64, "--fps", 2, "--seed", 40 + number)
    if not data.exists():
        forearm("build", *parts, "--preset", "tiny", "--actions", "change", "--out", data)
    chosen = CHOSEN[FLAGSHIP]
    budget = "--minutes", minutes, "--clock", "cpu", "--learning-rate", chosen.rate
    options = *budget, *model_options(chosen.settings)
    forearm("train", FLAGSHIP, "--data", data, "--out", run, "--device", "cpu", *options)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--families", nargs="+", choices=family_names(), default=[FLAGSHIP, "diffusion", "mae", "gpt"])
    parser.add_argument("--minutes", type=float, default=6.0, help="of one core, for the runs with moves of any size")
    parser.add_argument("--only", nargs="+", choices=list(FARTHEST), default=list(FARTHEST))
    parser.add_argument("--work", type=Path, default=ROOT / "quality", help="where benchmarks/quality.py left its runs")
    parser.add_argument("--runs", nargs="*", default=[], help="other runs, as arm/warp=FOLDER")
    parser.add_argument("--results", type=Path, default=ROOT / "quality" / "control", help="where attempts are kept")
    arguments = parser.parse_args()
    arguments.results.mkdir(parents=True, exist_ok=True)
    sections, speed = [], None
    for task in tasks(arguments):
        pairs = min(arguments.pairs, PAIRS.get(task.name, arguments.pairs))
        sections.append((TITLES[task.name], table(task, drive(task, pairs, arguments.results))))
        if task.name == "shoulder" and FLAGSHIP in task.runs:
            speed = decision(task)
            filmed(task)
            print(FILM)
    write_table(PAGE, page(sections, speed))


if __name__ == "__main__":
    main()
