"""What the benchmarks of pushing and of placing share: a task with one object in a simulated scene, the ways that are
tried in it, and the page.
"""

import argparse
import time
from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from control import SEED, Method, Section, Task, Timed, drive, judged, scene_of, wander
from measuring import ROOT, circumstances, command, write_table

from forearm.base.errors import ForearmError
from forearm.canvas import Layout
from forearm.control.goals import ObjectGoal
from forearm.control.loop import EpisodeLog, control
from forearm.control.planners import TreeSearch
from forearm.environment.simulated import TrueDynamics
from forearm.evaluation.baselines import Persistence
from forearm.sim import Simulator
from forearm.sim.arm import SimulatedArm
from forearm.sim.operator import Operator
from forearm.sim.tasks import pose_task
from forearm.sim.teleoperation import carry_out
from forearm.training.run import Run
from forearm.transitions import TransitionSet

TOLERANCE, SECONDS = 2.0, 15.0
"""Centimetres from the goal within which an object is there, and seconds of an attempt."""
CAMERA = 0
TRUTH, RANDOM = "true simulator", "random moves"
SEEN = 0.6
"""Pixels of a 64 pixel picture by which an object at first may seem to be elsewhere than it is; else it is covered."""


@dataclass(frozen=True)
class Scene:
    """A task posed in its simulator, and the state in which it begins."""

    task: Any
    """A task of the simulator with a ``target``, a ``goal`` and an expert."""
    start: np.ndarray
    box: tuple[float, float, float, float]
    """Of the object in the camera's picture, pixels."""
    target: tuple[float, float]
    """Where its middle is to be seen, pixels."""


class Moving(Task):
    """One object is to get to a place, with the true simulator and perhaps with runs."""

    tolerance: ClassVar[float] = TOLERANCE
    poses: ClassVar[type]
    """The simulator's task."""
    first: ClassVar[int] = 0
    """Number of the first scene."""
    aimed: ClassVar[str]
    """What the way without a model is called."""
    expert: ClassVar[str]

    def __init__(self, runs: dict[str, Run], layout: Layout):
        super().__init__(type(self).__name__.lower(), runs)
        self.__dict__["layout"] = layout

    @abstractmethod
    def planner(self, method: Method, arm: SimulatedArm) -> Any:
        """What a method plans with, which needs the arm."""

    @abstractmethod
    def centimetres(self, scene: Scene) -> float:
        """From the object to its goal, at present."""

    @property
    def steps(self) -> int:
        """Most actions of an attempt."""
        return round(SECONDS / (self.layout.action_duration or 0.5))

    @cached_property
    def methods(self) -> list[Method]:
        nothing = TreeSearch(1)  # `planner` makes the one that is used
        found = [Method(TRUTH, TrueDynamics, nothing, False)]
        for name, run in self.runs.items():
            model, weights = run.load(), run.weights_digest("best")
            found.append(Method(name, lambda arm, model=model: model, nothing, False, weights, trained=True))
        found.append(Method(self.aimed, lambda arm: Persistence(), nothing, False))
        return [*found, Method(self.expert, None, nothing, False), Method(RANDOM, None, nothing, False)]

    def simulator(self, scene: int) -> Simulator:
        return Simulator(scene_of(self.first + scene), self.poses.world)

    def pair(self, simulator: Simulator, scene: int) -> Scene:
        """Draw until the camera sees the object at first."""
        random, arm = np.random.default_rng([SEED, self.first + scene]), SimulatedArm(simulator, self.layout)
        while True:
            posed = self.posed(pose_task(simulator, self.poses, random))
            try:
                goal = self.goal_of(posed, arm)
            except ForearmError:
                continue
            if float(goal.appearance.offset.norm()) <= SEEN * self.layout.cameras[CAMERA].width / 64:
                return posed

    def posed(self, task: Any) -> Scene:
        simulator, camera = task.simulator, self.layout.cameras[CAMERA]
        size, name = np.array([camera.width, camera.height]), camera.name.rpartition(".")[2]
        boxes = simulator.environment().reshape(len(simulator.objects), -1)
        box = boxes[task.target, 8:12] * np.tile(size, 2)  # cameras in the simulator's order, the base camera first
        at = np.array([[*task.goal, simulator.objects[task.target].height]])
        seen = simulator.seen(name, at)[0] * size
        return Scene(task, simulator.snapshot(), tuple(box.tolist()), tuple(seen.tolist()))

    def goal_of(self, scene: Scene, arm: SimulatedArm) -> ObjectGoal:
        camera = self.layout.cameras[CAMERA].name
        return ObjectGoal.of(self.layout, arm.observe().picture, camera, scene.box, scene.target)

    def attempt(self, method: Method, scene: int, pair: Scene, simulator: Simulator) -> dict[str, Any]:
        begin = time.process_time()
        simulator.restore(pair.start)
        moves, random = self.centimetres(pair), np.random.default_rng([SEED, 3, scene])
        arm, timed, outcome = SimulatedArm(simulator, self.layout), Timed(TreeSearch(1)), method.name
        if method.name == self.expert:
            carry_out(pair.task, Operator(simulator, 0.0, random))
            actions = round(self.poses.seconds / arm.duration)
        elif method.name == RANDOM:
            wander(arm, random, self.steps)
            actions = self.steps
        else:
            episode, timed = self.driven(method, pair, arm)
            actions, outcome = episode.actions, episode.outcome
        error = self.centimetres(pair)
        return {
            "method": method.name,
            "weights": method.weights,
            "scene": scene,
            "moves": moves,
            "actions": actions,
            "error": error,
            "first_there": actions if error <= TOLERANCE else None,
            "outcome": outcome,
            "wall": timed.wall,
            "processor": timed.processor,
            "cost": time.process_time() - begin,
        }

    def driven(self, method: Method, pair: Scene, arm: SimulatedArm) -> tuple[EpisodeLog, Timed]:
        """Drive from a scene's start."""
        arm.simulator.restore(pair.start)
        timed = Timed(self.planner(method, arm))
        assert method.predictor is not None
        return control(arm, method.predictor(arm), self.goal_of(pair, arm), timed, steps=self.steps), timed


def table(section: Section, marks: dict[tuple[str, str], str]) -> list[str]:
    """Rows of markdown, a method each."""
    rows = []
    for name, outcome in section.outcomes.items():
        errors = [trial["error"] for trial in outcome.trials]
        good = [trial["actions"] for trial in outcome.trials if outcome.succeeded(trial)]
        thought = [1e3 * s for trial in outcome.trials for s in trial["processor"] if s > 0.05]
        beside = "–"
        if compared := section.compared.get(name):
            low, high = compared.interval
            mark = marks.get((section.task.name, name), "")
            beside = f"{100 * compared.value:+.0f} ({100 * low:+.0f} to {100 * high:+.0f}) {mark}".rstrip()
        rows.append(
            f"| {name if outcome.method.trained else f'*{name}*'} | {len(errors)} | {outcome.success} | {beside} | "
            f"{np.median(errors):.1f} | {f'{np.mean(good):.1f}' if good else '–'} | "
            f"{f'{np.median(thought):.0f}' if thought else '–'} | {sum(t['cost'] for t in outcome.trials) / 60:.1f} |"
        )
    return [
        "| | pairs | success (95 %) | beside the true simulator | cm off (median) | actions | ms a decision | "
        "minutes |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
        *rows,
        "",
    ]


def page(section: Section, title: str, explained: str) -> str:
    trials = next(iter(section.outcomes.values())).trials
    far = np.mean([trial["moves"] for trial in trials])
    head = [f"# {title}", "", f"{circumstances()}.", f"Made by `{command()}`.", "", explained]
    return "\n".join([*head, *table(section, judged([section])), f"Objects begin {far:.1f} cm from their goals.", ""])


def parser_of(description: str | None, name: str, pairs: int) -> argparse.ArgumentParser:
    """Options of a benchmark whose page and folder of results have a name."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="with objects, seen by the base camera first")
    parser.add_argument("--run", type=Path, nargs="*", default=[], help="runs that were trained on it")
    parser.add_argument("--pairs", type=int, default=pairs, help="scenes, one start and goal each")
    parser.add_argument("--results", type=Path, default=ROOT / "quality" / name, help="where attempts are kept")
    default = ROOT / "docs" / "benchmarks" / f"{name}.md"
    parser.add_argument("--out", type=Path, default=default, help="the page to write (default: %(default)s)")
    return parser


def measured(kind: type[Moving], title: str, explained: str, arguments: argparse.Namespace) -> Moving:
    """Make all attempts and write the page."""
    torch.set_num_threads(1)
    arguments.results.mkdir(parents=True, exist_ok=True)
    runs = [Run.open(path) for path in arguments.run]
    task = kind({run.config()["family"]: run for run in runs}, TransitionSet(arguments.data).layout)
    trials = drive(task, arguments.pairs, arguments.results)
    write_table(arguments.out, page(Section.of(task, trials), title, explained))
    return task
