"""How often an object is grasped and put down at a place: planning with the true simulator and with a run, beside ways
without a model. One command:

    python benchmarks/placing.py --data FOLDER [--run FOLDER]

drives a simulated arm in scenes that no run was trained on, one start and goal in each: an object that can be grasped,
that the base camera sees, and a place 8 cm or more away. Every method gets the same. It writes
docs/benchmarks/placing.md. What is done already is not done again: an interrupted run goes on where it stopped.

The data decide cameras, joints and actions. They are made as those of benchmarks/pushing.py, of a task in which things
are grasped: `forearm record --task play`.
"""

import argparse
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from control import SEED, Method, Section, Task, Timed, drive, judged, scene_of, wander
from measuring import ROOT, circumstances, command, write_table
from pushing import CAMERA, RANDOM, SEEN, TRUTH, table

from forearm.base.errors import ForearmError
from forearm.canvas import Layout
from forearm.control.carries import CarrySearch
from forearm.control.goals import ObjectGoal
from forearm.control.loop import EpisodeLog, control
from forearm.control.planners import TreeSearch
from forearm.environment.reach import SimulatedReach
from forearm.environment.simulated import TrueDynamics
from forearm.evaluation.baselines import Persistence
from forearm.sim import Simulator
from forearm.sim.arm import SimulatedArm
from forearm.sim.objects import World
from forearm.sim.operator import Operator
from forearm.sim.tasks import Unsuitable, pose_task
from forearm.sim.tasks.lift import Lift
from forearm.sim.tasks.place import Place
from forearm.sim.tasks.task import TRIES
from forearm.sim.teleoperation import carry_out
from forearm.training.run import Run
from forearm.transitions import TransitionSet

PAGE = ROOT / "docs" / "benchmarks" / "placing.md"
FIRST = 100
"""Number of the first scene: carries were built while looking at scenes of lower numbers."""
TOLERANCE, SECONDS, APART, FREE = 2.0, 15.0, 0.08, 0.05
"""Centimetres, seconds of an attempt, metres between start and goal, metres around the goal without objects."""
HELD = 1e3
"""The error where the object does not stand by itself in the end."""
AIMED, EXPERT = "one straight carry after another", "placer that knows poses"


class Somewhere(Place):
    """Grasp an object and put it down at a place, which nothing marks."""

    world: ClassVar[World] = World(objects=3)

    def arrange(self) -> None:
        Lift.arrange(self)
        start = self.object_at(self.target)[:2]
        for _ in range(TRIES):
            self.goal = self.anywhere()
            far = np.linalg.norm(self.goal - start) >= APART
            if far and self.is_free(self.goal, self.goal, FREE, ()) and self._is_within_reach():
                return
        raise Unsuitable

    def success(self) -> bool:
        return self.error <= TOLERANCE

    @property
    def error(self) -> float:
        """Centimetres from the object to its goal; ``HELD`` where it does not stand by itself."""
        at, thing = self.object_at(self.target), self.simulator.objects[self.target]
        stands = at[2] < thing.height + 0.02 and not self.simulator.touched()[self.target]
        return 100 * float(np.linalg.norm(at[:2] - self.goal)) if stands else HELD


@dataclass(frozen=True)
class Scene:
    """A task posed in its simulator, and the state in which it begins."""

    task: Somewhere
    start: np.ndarray
    box: tuple[float, float, float, float]
    """Of the object in the camera's picture, pixels."""
    target: tuple[float, float]
    """Where its middle is to be seen, pixels."""


class Placing(Task):
    """Carries of one object, with the true simulator and perhaps with runs."""

    tolerance: ClassVar[float] = TOLERANCE

    def __init__(self, runs: dict[str, Run], layout: Layout):
        super().__init__("placing", runs)
        self.__dict__["layout"] = layout

    @property
    def steps(self) -> int:
        """Most actions of an attempt."""
        return round(SECONDS / (self.layout.action_duration or 0.5))

    @cached_property
    def methods(self) -> list[Method]:
        nothing = TreeSearch(1)  # carries need the arm, so planners are made in `driven`
        found = [Method(TRUTH, TrueDynamics, nothing, False)]
        for name, run in self.runs.items():
            model, weights = run.load(), run.weights_digest("best")
            found.append(Method(name, lambda arm, model=model: model, nothing, False, weights, trained=True))
        found.append(Method(AIMED, lambda arm: Persistence(), nothing, False))
        return [*found, Method(EXPERT, None, nothing, False), Method(RANDOM, None, nothing, False)]

    def simulator(self, scene: int) -> Simulator:
        return Simulator(scene_of(FIRST + scene), Somewhere.world)

    def pair(self, simulator: Simulator, scene: int) -> Scene:
        """Draw until the camera sees the object at first."""
        random, arm = np.random.default_rng([SEED, FIRST + scene]), SimulatedArm(simulator, self.layout)
        while True:
            task = pose_task(simulator, Somewhere, random)
            assert isinstance(task, Somewhere)
            posed = self.posed(task)
            try:
                goal = self.goal_of(posed, arm)
            except ForearmError:
                continue
            if float(goal.appearance.offset.norm()) <= SEEN * self.layout.cameras[CAMERA].width / 64:
                return posed

    def posed(self, task: Somewhere) -> Scene:
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
        first, random = pair.task.error, np.random.default_rng([SEED, 3, scene])
        arm, timed, outcome = SimulatedArm(simulator, self.layout), Timed(TreeSearch(1)), method.name
        if method.name == EXPERT:
            carry_out(pair.task, Operator(simulator, 0.0, random))
            actions = round(Somewhere.seconds / arm.duration)
        elif method.name == RANDOM:
            wander(arm, random, self.steps)
            actions = self.steps
        else:
            episode, timed = self.driven(method, pair, arm)
            actions, outcome = episode.actions, episode.outcome
        error = pair.task.error
        return {
            "method": method.name,
            "weights": method.weights,
            "scene": scene,
            "moves": first,
            "actions": actions,
            "error": error,
            "first_there": actions if error <= TOLERANCE else None,
            "outcome": outcome,
            "wall": timed.wall,
            "processor": timed.processor,
            "cost": time.process_time() - begin,
        }

    def driven(self, method: Method, pair: Scene, arm: SimulatedArm) -> tuple[EpisodeLog, Timed]:
        """Drive by carries from a scene's start."""
        reach = SimulatedReach(arm.simulator, self.layout)
        straight = method.name == AIMED
        timed = Timed(CarrySearch(samples=1, rounds=1, reach=reach) if straight else CarrySearch(reach=reach))
        assert method.predictor is not None
        return control(arm, method.predictor(arm), self.goal_of(pair, arm), timed, steps=self.steps), timed


EXPLAINED = f"""\
- Each scene has three objects, one start and one goal, {100 * APART:g} cm or more apart. The object can be grasped from
  above, and the base camera sees it at first. The planner is told its box there and the place where its middle is to be
  seen, no pose: not how the object is turned either. It aims by the arm's kinematics and the place of the camera, and
  reads where the object ends from predicted pictures alone.
- *Success*: at the end the object stands by itself within {TOLERANCE:g} cm of the goal on the table. Intervals are wide
  where scenes are few. An attempt lasts at most {SECONDS:g} s, about two carries, and no carry is begun that could not
  be ended. The placer has as long.
- *Beside the true simulator*: difference in the same scenes. ▲ is significantly better, ▼ worse, ≈ neither, by
  McNemar's exact test with Holm's correction. Intervals are without that correction.
- *{AIMED.capitalize()}*: the same carries without variation and without a model, aimed anew when one has ended.
- *ms a decision* is the processor's, median of those in which something is predicted; *minutes* are for all attempts.
"""


def page(section: Section) -> str:
    trials = next(iter(section.outcomes.values())).trials
    far = np.mean([trial["moves"] for trial in trials])
    head = ["# Placing an object", "", f"{circumstances()}.", f"Made by `{command()}`.", "", EXPLAINED]
    return "\n".join([*head, *table(section, judged([section])), f"Objects begin {far:.1f} cm from their goals.", ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a dataset of play, seen by the base camera first")
    parser.add_argument("--run", type=Path, nargs="*", default=[], help="runs that were trained on it")
    parser.add_argument("--pairs", type=int, default=20, help="scenes, one start and goal each")
    parser.add_argument("--results", type=Path, default=ROOT / "quality" / "placing", help="where attempts are kept")
    parser.add_argument("--out", type=Path, default=PAGE, help="the page to write (default: %(default)s)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.results.mkdir(parents=True, exist_ok=True)
    runs = [Run.open(path) for path in arguments.run]
    task = Placing({run.config()["family"]: run for run in runs}, TransitionSet(arguments.data).layout)
    trials = drive(task, arguments.pairs, arguments.results)
    write_table(arguments.out, page(Section.of(task, trials)))


if __name__ == "__main__":
    main()
