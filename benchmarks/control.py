"""How often planning with each family reaches its goal, beside a planner with the true simulator and ways without a
model. One command, after benchmarks/quality.py, whose runs it uses:

    python benchmarks/control.py

drives a simulated arm in scenes that no run was trained on: towards goal pictures and goal positions, with full moves
and with moves of any size. For the latter it records moves of four sizes and trains the flagship alone. Every method
gets the same starts and goals, one in each scene, so that attempts are independent and methods are compared in pairs.
It writes docs/benchmarks/control.md and docs/pictures/planning.gif, and its summary into docs/results.md. What is done
already is not done again: an interrupted run goes on where it stopped.

The page says how much processor time each method took. With all families it is about two and a half hours of one core:
shoulder 15 minutes, arm 10, arm-pictures 45 (10 with `--families warp`), moves of any size 90, trainings included.
Several processes can share the tasks (`--only`, and `--out` somewhere else); a last run with all tasks writes the page.
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
from typing import Any, ClassVar

import numpy as np
import torch
from measuring import ROOT, circumstances, command, insert, write_table
from quality import CHOSEN, FLAGSHIP, forearm, model_options

from forearm.batch import Batch, Prediction, Predictor, present
from forearm.canvas import Action, Layout
from forearm.control.episode_log import film, film_gif
from forearm.control.goals import Goal, JointGoal, PictureGoal
from forearm.control.loop import control
from forearm.control.planners import CEM, Plan, Planner, TreeSearch, full_moves
from forearm.environment.simulated import TrueDynamics
from forearm.evaluation.baselines import UNTRAINED, Persistence
from forearm.evaluation.intervals import (
    ERROR_RATE,
    MIN_GROUPS,
    PairedShares,
    holm,
    mean_interval,
    share_interval,
    too_few,
)
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
PAIRS = {"arm-pictures": 40, "shoulder-any": 24, "arm-any": 24}
"""Tasks that are given fewer pairs, as each decision takes many predictions."""
ANY = "-any"
"""Ends the name of a task whose moves and goals are of any size."""
SIZES = (2.5, 5.0, 7.5, 10.0)
"""Degrees of the moves that are recorded for those tasks."""
SEED = 9
TRUTH, GREEDY, RANDOM = "true simulator", "greedy on joints", "random"
FAMILIES = sorted(family_names(), key=lambda family: family != FLAGSHIP)
"""The flagship first, with which all are compared."""
SLOW = {"gpt": 24, "true simulator, CEM": 12}
"""Methods that are given fewer pairs, as a prediction takes them long."""
TARGETS = {"shoulder": "at least 95 % of the true simulator's", "arm": "at least 90 %"}
TITLES = {
    "shoulder": ("goal pictures, shoulder", "every sequence of up to three moves"),
    "arm": ("goal positions, six joints: given by the action", "every move, one deep"),
    "arm-pictures": ("goal pictures, six joints", "beam of 4, two deep"),
    "shoulder-any": ("goal pictures at any angle, shoulder", "moves of any size, cross-entropy method"),
    "arm-any": (
        "goal positions at any angle, six joints: given by the action",
        "moves of any size, cross-entropy method",
    ),
}
"""What is wanted, and how the planner looks for it."""


@dataclass(frozen=True)
class Pair:
    """A start and a goal, joints (6,) each, so many moves apart, in a scene of their own."""

    start: np.ndarray
    goal: np.ndarray
    moves: int


# Starts and goals


def scene_of(number: int) -> int:
    """The simulator's seed of a scene: none that a recording's settings lead to."""
    return int(np.random.SeedSequence([SEED, 7, number]).generate_state(1)[0])


def pair_of(task: str, simulator: Simulator, layout: Layout, scene: int) -> Pair:
    """Start and goal of a scene, by a way on which the arm touches nothing.

    They are whole moves of 10° apart where a full move is the smallest thing that a run can do, as a goal between two
    moves could not be reached within 3°; any distance apart where moves may have any size.
    """
    random = np.random.default_rng([SEED, scene])
    make = shoulder_pair if task.startswith("shoulder") else arm_pair
    while True:
        start, wanted, moves = make(simulator, random, FARTHEST[task], task.endswith(ANY))
        settle(simulator, wanted)
        goal = simulator.joints()
        if ((layout.lows < goal) & (goal < layout.highs)).all():
            return Pair(start, goal, moves)


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
    """Digest of the run's that it uses."""
    trained: bool = False
    rival: str = ""
    """The method that it is compared with; empty: the first of the table."""


@dataclass(frozen=True)
class Task:
    """What is to be reached, with which runs."""

    name: str
    runs: dict[str, Run]

    @cached_property
    def layout(self) -> Layout:
        return next(iter(self.runs.values())).layout()

    @property
    def title(self) -> str:
        """What is wanted."""
        return TITLES[self.name][0]

    @property
    def heading(self) -> str:
        """With how the planner looks for it."""
        return f"{self.title[0].upper()}{self.title[1:]} ({TITLES[self.name][1]})"

    @property
    def acting(self) -> list[int]:
        """The joints that are to reach the goal; where the action is all joints' change, those that were moved."""
        if self.name.startswith("shoulder"):
            return [0]
        return [JOINTS.index(dimension.name) for dimension in self.layout.actions]

    tolerance: ClassVar[float] = TOLERANCE
    """The largest error that counts as success."""

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

        found, first_weights = [], []
        whole = isinstance(planner, TreeSearch)
        for family, run in self.runs.items():
            weights = run.weights_digest("best")
            ways: dict[str, Planner] = {"": planner} if whole else CEM_WAYS
            for name, way in ways.items():
                rival = f"{family}{WARM}" if name == COLD else ""
                found.append(Method(f"{family}{name}", learned(run.load()), way, joints, weights, True, rival))
            usual = "" if whole else WARM
            rival = f"{family}{usual}" if usual else ""
            model = learned(run.untrained())
            untrained = Method(f"{UNTRAINED} {family}{usual}", model, ways[usual], joints, weights, rival=rival)
            first_weights.append(untrained)
        truth, greedy = (TRUTH, TreeSearch(1)) if whole else (f"{TRUTH}, CEM", planner)
        return [
            *found,
            *first_weights,
            Method(truth, TrueDynamics, planner, joints),
            Method(GREEDY, lambda arm: NominalJoints(), greedy, True),
            Method(RANDOM, None, planner, joints),
        ]

    def simulator(self, scene: int) -> Simulator:
        return Simulator(scene_of(scene))

    def pair(self, simulator: Simulator, scene: int) -> Any:
        """Start and goal in a scene."""
        return pair_of(self.name, simulator, self.layout, scene)

    def attempt(self, method: Method, scene: int, pair: Any, simulator: Simulator) -> dict[str, Any]:
        """What comes of it when a method drives from start to goal."""
        return attempt(self, method, scene, pair, simulator)

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


WARM, COLD = ", CEM of 2 rounds", ", CEM of 2 rounds, cold start"
CEM_WAYS: dict[str, Planner] = {", CEM": CEM(), WARM: CEM(rounds=2), COLD: Cold(CEM(rounds=2))}
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


def attempt(task: Task, method: Method, scene: int, pair: Pair, simulator: Simulator) -> dict[str, Any]:
    """Drive from start to goal; what came of it."""
    begin = time.process_time()
    arm = SimulatedArm(simulator, task.layout)
    goal = task.goal(method, pair, arm)
    settle(simulator, pair.start)
    planner = Timed(method.planner)
    if method.predictor is None:
        seen = wander(arm, np.random.default_rng([SEED, 3, scene]))
        outcome = "drawn at random"
    else:
        episode = control(arm, method.predictor(arm), goal, planner, farther=task.farther, steps=STEPS)
        seen, outcome = [step.seen.joints for step in episode.steps], episode.outcome
    errors = [float(np.abs(joints - pair.goal)[task.acting].max()) for joints in seen]
    there = [i for i, error in enumerate(errors) if error <= TOLERANCE]
    return {
        "method": method.name,
        "weights": method.weights,
        "scene": scene,
        "moves": pair.moves,
        "actions": len(seen) - 1,
        "error": errors[-1],
        "first_there": there[0] if there else None,
        "outcome": outcome,
        "wall": planner.wall,
        "processor": planner.processor,
        "cost": time.process_time() - begin,
    }


def wander(arm: SimulatedArm, random: np.random.Generator, steps: int = STEPS) -> list[np.ndarray]:
    """Joints along moves drawn at random: full ones and STAY, or of any size."""
    moves, dimensions = (values.numpy() for values in full_moves(arm.layout))
    seen = [arm.observe().joints]
    for _ in range(steps):
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
    done = {(trial["method"], trial["weights"], trial["scene"]): trial for trial in known}
    wanted = [(m, scene) for scene in range(pairs) for m in task.methods if scene < SLOW.get(m.name, pairs)]
    with path.open("a") as file:
        for scene in range(pairs):
            missing = [m for m, where in wanted if where == scene and (m.name, m.weights, scene) not in done]
            if not missing:
                continue
            with contextlib.closing(task.simulator(scene)) as simulator:
                pair = task.pair(simulator, scene)
                for method in missing:
                    trial = task.attempt(method, scene, pair, simulator)
                    done[method.name, method.weights, scene] = trial
                    file.write(json.dumps(trial) + "\n")
                    file.flush()
            print(f"{task.name}: scene {scene + 1} of {pairs}", file=sys.stderr)
    return [done[m.name, m.weights, scene] for m, scene in wanted]


def filmed(task: Task) -> None:
    """Film how the flagship reaches a picture at least five moves away."""
    method = next(method for method in task.methods if method.name == FLAGSHIP)
    for scene in range(100):
        with contextlib.closing(Simulator(scene_of(scene))) as simulator:
            pair = pair_of(task.name, simulator, task.layout, scene)
            if pair.moves < 5:
                continue
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
        pair = pair_of(task.name, simulator, layout, 0)
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


def was_there(trial: dict[str, Any]) -> bool:
    return trial["first_there"] is not None


@dataclass(frozen=True)
class Outcome:
    """What all attempts of a method came to."""

    method: Method
    trials: list[dict[str, Any]]
    tolerance: float = TOLERANCE

    def succeeded(self, trial: dict[str, Any]) -> bool:
        return was_there(trial) if self.method.name == RANDOM else trial["error"] <= self.tolerance

    @cached_property
    def hits(self) -> dict[int, bool]:
        """Whether it succeeded, by scene."""
        return {trial["scene"]: self.succeeded(trial) for trial in self.trials}

    @property
    def share(self) -> float:
        return float(np.mean(list(self.hits.values())))

    @property
    def interval(self) -> Span:
        return share_interval(np.array(list(self.hits.values())), np.array(list(self.hits)))

    @property
    def success(self) -> str:
        low, high = self.interval or (0.0, 1.0)
        return f"{100 * self.share:.0f} % ({100 * low:.0f} to {100 * high:.0f})"

    def shared(self, other: "Outcome") -> tuple[np.ndarray, np.ndarray]:
        """Success of both in the scenes that both were tried in."""
        scenes = [scene for scene in self.hits if scene in other.hits]
        return np.array([self.hits[scene] for scene in scenes]), np.array([other.hits[scene] for scene in scenes])


@dataclass(frozen=True)
class Section:
    """A task and what came of it."""

    task: Task
    outcomes: dict[str, Outcome]

    @classmethod
    def of(cls, task: Task, trials: list[dict[str, Any]]) -> "Section":
        def outcome(method: Method) -> Outcome:
            found = [trial for trial in trials if trial["method"] == method.name]
            return Outcome(method, found, task.tolerance)

        return cls(task, {method.name: outcome(method) for method in task.methods})

    @cached_property
    def compared(self) -> dict[str, PairedShares]:
        """Each method beside its rival, on the same starts and goals."""
        first = next(iter(self.outcomes))
        return {
            name: PairedShares.of(*outcome.shared(self.outcomes[rival]))
            for name, outcome in self.outcomes.items()
            if (rival := outcome.method.rival or first) != name
        }

    @property
    def target(self) -> str:
        """Whether the flagship meets the task's target, in words; empty where there is none."""
        ours = self.outcomes.get(FLAGSHIP)
        if self.task.name not in TARGETS or ours is None:
            return ""
        if self.task.name == "shoulder":
            hits, truth = ours.shared(self.outcomes[TRUTH])
            interval, bound = mean_interval(hits - 0.95 * truth), 0.0
        else:
            interval, bound = ours.interval or (0.0, 1.0), 0.9
        verdict = target_verdict(interval, bound, len(ours.hits))
        return f" Target: {TARGETS[self.task.name]}. {FLAGSHIP}: {ours.success}, **{verdict}**."


def target_verdict(interval: tuple[float, float], bound: float, scenes: int) -> str:
    """Whether a figure surely keeps a bound."""
    if few := too_few(scenes, "scenes"):
        return few
    low, high = interval
    return "met" if low >= bound else "missed" if high < bound else "too close to call"


def judged(sections: list[Section]) -> dict[tuple[str, str], str]:
    """▲, ▼ or ≈ for each method of each task beside its rival, by Holm's correction for all comparisons of the page."""
    found = {(s.task.name, name): one for s in sections for name, one in s.compared.items() if one.trials >= MIN_GROUPS}
    ps = holm([one.p for one in found.values()])
    return {
        key: ("▲" if one.value > 0 else "▼") if p < ERROR_RATE else "≈"
        for (key, one), p in zip(found.items(), ps, strict=True)
    }


def table(section: Section, marks: dict[tuple[str, str], str]) -> list[str]:
    """Rows of markdown, and whether the target is met."""
    rows, task = [], section.task
    for name, outcome in section.outcomes.items():
        good = [trial for trial in outcome.trials if outcome.succeeded(trial)]
        steps = [trial["first_there"] if name == RANDOM else trial["actions"] for trial in good]
        detours = [taken - trial["moves"] for taken, trial in zip(steps, good, strict=True)]
        thought = [1e3 * seconds for trial in outcome.trials for seconds in trial["processor"]]
        beside = "–"
        if compared := section.compared.get(name):
            low, high = compared.interval
            mark = marks.get((task.name, name), "")
            beside = f"{100 * compared.value:+.0f} ({100 * low:+.0f} to {100 * high:+.0f}) {mark}".rstrip()
        rows.append(
            f"| {name if outcome.method.trained else f'*{name}*'} | {len(outcome.trials)} | {outcome.success} | "
            f"{beside} | {100 * np.mean([was_there(trial) for trial in outcome.trials]):.0f} % | "
            f"{f'{np.mean(steps):.1f}' if good else '–'} | {f'{np.mean(detours):.2f}' if good else '–'} | "
            f"{f'{np.median(thought):.0f}' if thought else '–'} | "
            f"{sum(trial['cost'] for trial in outcome.trials) / 60:.1f} |"
        )
    every = [trial for outcome in section.outcomes.values() for trial in outcome.trials]
    return [
        "| | pairs | success (95 %) | beside its rival | was there | steps | detour | ms a decision | minutes |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
        *rows,
        "",
        f"Start and goal are {np.mean([trial['moves'] for trial in every]):.1f} moves apart in the mean. All attempts "
        f"took {sum(trial['cost'] for trial in every) / 60:.1f} minutes of one core.{section.target}",
        "",
    ]


def summary(sections: list[Section], marks: dict[tuple[str, str], str]) -> list[str]:
    """For docs/results.md: success alone, a table of the tasks with full moves and one of those with any."""
    lines = []
    for any_size in (False, True):
        shown = [section for section in sections if section.task.name.endswith(ANY) == any_size]
        if not shown:
            continue
        methods = {name: outcome.method for section in shown for name, outcome in section.outcomes.items()}
        ordered = sorted(methods, key=lambda name: not methods[name].trained)
        lines += [
            f"| {'moves of any size' if any_size else 'full moves'} | "
            f"{' | '.join(section.task.title for section in shown)} |",
            f"|---|{'---:|' * len(shown)}",
        ]
        for name in ordered:
            cells = [
                f"{section.outcomes[name].success} {marks.get((section.task.name, name), '')}".rstrip()
                if name in section.outcomes
                else "–"
                for section in shown
            ]
            lines.append(f"| {name if methods[name].trained else f'*{name}*'} | {' | '.join(cells)} |")
        lines.append("")
    counts = {
        section.task.title: max(len(outcome.trials) for outcome in section.outcomes.values()) for section in sections
    }
    return [
        *lines,
        f"Scenes, each with one start and goal: {', '.join(f'{n} ({title})' for title, n in counts.items())}.",
    ]


EXPLAINED = """\
- Each scene has one start and one goal, drawn at random by a way on which the arm touches nothing. They are whole moves
  of 10° apart where the runs know no smaller move, as nothing between could be reached within 3°; at any angle where
  moves may have any size.
- *Success*: when the method stops, every joint that may move is within 3° of the goal (gripper: 3 %). A target is met
  or missed if the whole interval says so; one that names the true simulator is judged in pairs with it.
- *Beside its rival*: the difference from the first row in the same scenes; of two rounds with a cold start, or
  untrained, from two rounds with a warm one. ▲ is significantly better, ▼ worse, ≈ neither, by McNemar's exact test
  with Holm's correction for all comparisons of this page. Intervals are without that correction.
- *Was there*: it was so at some time, which is all that is asked of *random*, who never stops.
- *Steps* and *detour* (steps beyond the fewest) are means over successes.
- *ms* is the processor's time for a decision, median, without looks farther ahead before staying or turning back.
  *Minutes* are the processor's for all attempts, simulator included.
- *Untrained* is the same model with its first weights. *Greedy on joints* is told the goal's joints, also where all
  others see only its picture. Goal positions are *given by the action*: a method that sees no picture reaches them.
"""


def page(sections: list[Section], marks: dict[tuple[str, str], str], speed: dict[str, list[float]] | None) -> str:
    return "\n".join(
        [
            "# Control",
            "",
            f"{circumstances()}.",
            f"Made by `{command()}` with the runs of `python benchmarks/quality.py`, one seed of each family,",
            "in simulated scenes that no run has seen.",
            f"At most {STEPS} steps, planned anew after every one.",
            "",
            EXPLAINED,
            *(line for section in sections for line in (f"## {section.task.heading}", "", *table(section, marks))),
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
        families = [FLAGSHIP] if name.endswith(ANY) else arguments.families
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
    parser.add_argument("--pairs", type=int, default=100, help="scenes of a task, one start and goal each")
    parser.add_argument("--families", nargs="+", choices=family_names(), default=FAMILIES)
    parser.add_argument("--minutes", type=float, default=6.0, help="of one core, for the runs with moves of any size")
    parser.add_argument("--only", nargs="+", choices=list(FARTHEST), default=list(FARTHEST))
    parser.add_argument("--work", type=Path, default=ROOT / "quality", help="where benchmarks/quality.py left its runs")
    parser.add_argument("--runs", nargs="*", default=[], help="other runs, as arm/warp=FOLDER")
    parser.add_argument("--results", type=Path, default=ROOT / "quality" / "control", help="where attempts are kept")
    parser.add_argument("--out", type=Path, default=PAGE, help="the page to write (default: %(default)s)")
    arguments = parser.parse_args()
    arguments.results.mkdir(parents=True, exist_ok=True)
    official = arguments.out == PAGE
    sections, speed = [], None
    for task in tasks(arguments):
        pairs = min(arguments.pairs, PAIRS.get(task.name, arguments.pairs))
        sections.append(Section.of(task, drive(task, pairs, arguments.results)))
        if task.name == "shoulder" and FLAGSHIP in task.runs:
            speed = decision(task)
            if official:
                filmed(task)
                print(FILM)
    marks = judged(sections)
    write_table(arguments.out, page(sections, marks, speed))
    if official:
        insert(ROOT / "docs" / "results.md", "control", summary(sections, marks))


if __name__ == "__main__":
    main()
