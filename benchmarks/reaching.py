"""How often an arm reaches joint positions around an object that it may not move: by waypoints that the true simulator
or a run foresees, beside ways without a model. One command:

    python benchmarks/reaching.py --data FOLDER [--run FOLDER]

drives a simulated arm in scenes that no run was trained on. The gripper stands low on one side of an object that the
base camera sees and is to stand low on the other side; the straight way of the joints would move the object. Every
method gets the same. It writes docs/benchmarks/reaching.md. What is done already is not done again. Data and run are
those of benchmarks/pushing.py, or the `play` task of benchmarks/quality.py.
"""

import argparse
import time
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from control import SEED, Method, Section, Task, Timed, drive, judged, scene_of
from measuring import ROOT, circumstances, command, write_table
from moving import CAMERA, SEEN

from forearm.base.errors import ForearmError
from forearm.batch import Batch, Predictor, present
from forearm.canvas import Action, Layout, dominant_dimensions
from forearm.control.goals import Goal, JointGoal, KeepingGoal, ObjectGoal, inner
from forearm.control.loop import control
from forearm.control.planners import Plan, TreeSearch, actions_along, known_position, staying
from forearm.control.waypoints import WaypointSearch
from forearm.environment.simulated import TrueDynamics
from forearm.evaluation.baselines import Persistence
from forearm.sim import JOINTS, Simulator
from forearm.sim.arm import SimulatedArm
from forearm.sim.kinematics import Grip
from forearm.sim.objects import World
from forearm.sim.operator import Operator
from forearm.sim.tasks import Task as PosedTask
from forearm.sim.tasks import Unsuitable, pose_task
from forearm.sim.tasks.task import above, low
from forearm.training.run import Run
from forearm.transitions import TransitionSet

PAGE = ROOT / "docs" / "benchmarks" / "reaching.md"
STEPS = 16
BESIDE = 0.075
"""Metres from the object's middle to the gripper, at first and in the end."""
NEAR, KEPT, KNOCKED = 6.0, 1.0, 2.0
"""Degrees (gripper: hundredths) off that count as reached; centimetres by which an object that counts as left alone may
have moved; centimetres by which the straight way moves it, in scenes that are taken."""
TRUTH, STRAIGHT, OVER, IGNORING = "true simulator", "straight on", "up, over and down", ", told of no object"


class Between(PosedTask):
    """The gripper on one side of an object, its goal on the other; nobody shows how."""

    world: ClassVar[World] = World(objects=3)

    def arrange(self) -> None:
        self.target = int(self.rng.integers(3))
        places = [self.anywhere() for _ in range(3)]
        angle = self.rng.uniform(-np.pi, np.pi)
        onwards = BESIDE * np.array([np.cos(angle), np.sin(angle)])
        ends = [places[self.target] - onwards, places[self.target] + onwards]
        others = np.delete(np.array(places), self.target, axis=0)
        apart = [np.linalg.norm(other - at) for other in others for at in (*ends, places[self.target])]
        if not all(map(self.is_near, ends)) or min(apart) < 0.07 or np.linalg.norm(others[0] - others[1]) < 0.07:
            raise Unsuitable
        grips = [Grip(np.array([*at, 0.03]), opening=10.0) for at in ends]
        pitch = self.kinematics.pitch([*grips, *map(above, grips)], self.rest)
        if pitch is None:
            raise Unsuitable
        grips = [replace(grip, pitch=pitch, at=np.array([*grip.at[:2], low(pitch) + 0.006])) for grip in grips]
        joints, ways = self.rest, []
        for grip in (grips[0], above(grips[0]), above(grips[1]), grips[1]):
            joints, _ = self.kinematics.solve(grip, joints, 60, near=bool(ways))
            ways.append(joints)
        self.start, self.over, self.goal = ways[0], ways[1:3], ways[3]
        self.simulator.place(self.start)
        self.stand(places)
        self.at = self.object_at(self.target)[:2]

    @property
    def text(self) -> str:
        return "reach the other side"

    def success(self) -> bool:
        return self.moved <= KEPT

    def expert(self, operator: Operator) -> Any:
        raise NotImplementedError

    @property
    def moved(self) -> float:
        """By how many centimetres the object has moved."""
        return 100 * float(np.linalg.norm(self.object_at(self.target)[:2] - self.at))


@dataclass(frozen=True)
class Scene:
    """A task posed in its simulator, the state in which it begins, and the object's box there, pixels."""

    task: Between
    start: np.ndarray
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class Fixed:
    """Known joints one after the other, without a model."""

    ways: tuple[np.ndarray, ...]

    def plan(self, predictor: Predictor, present: Batch, goal: Goal, previous: Plan | None = None) -> Plan:
        stay = staying(present, goal)
        if stay.cost <= goal.enough:
            return stay
        wanted = inner(goal)
        assert isinstance(wanted, JointGoal)
        left = previous.values[1:] if previous is not None else ()
        way = [known_position(present), *(self.ways if previous is None else ()), wanted.targets]
        values = left if len(left) else actions_along(present.layout, np.array(way, np.float32))
        return Plan(
            values, dominant_dimensions(values), predictor.predict(present.repeated(len(values))), 0.0, stay.cost
        )


class Reaching(Task):
    """Ways around an object."""

    tolerance: ClassVar[float] = NEAR

    def __init__(self, runs: dict[str, Run], layout: Layout):
        super().__init__("reaching", runs)
        self.__dict__["layout"] = layout

    @cached_property
    def methods(self) -> list[Method]:
        nothing = TreeSearch(1)  # planners are made in `attempt`
        found = [Method(TRUTH, TrueDynamics, nothing, True)]
        for name, run in self.runs.items():
            model, weights = run.load(), run.weights_digest("best")
            for ending in ("", IGNORING):
                found.append(Method(name + ending, lambda arm, m=model: m, nothing, True, weights, trained=True))
        return [*found, *(Method(name, lambda arm: Persistence(), nothing, True) for name in (OVER, STRAIGHT))]

    def simulator(self, scene: int) -> Simulator:
        return Simulator(scene_of(scene), Between.world)

    def pair(self, simulator: Simulator, scene: int) -> Scene:
        """Draw until the straight way would move the object, and the camera sees it at first."""
        random, arm = np.random.default_rng([SEED, scene]), SimulatedArm(simulator, self.layout)
        camera = self.layout.cameras[CAMERA]
        while True:
            task = pose_task(simulator, Between, random)
            assert isinstance(task, Between)
            boxes = simulator.environment().reshape(len(simulator.objects), -1)
            box = boxes[task.target, 8:12] * np.tile([camera.width, camera.height], 2)
            posed = Scene(task, simulator.snapshot(), tuple(box.tolist()))
            try:
                kept = self.kept(posed, arm)
                if float(kept.appearance.offset.norm()) > SEEN * camera.width / 64:
                    continue
                self.drive_straight(posed, arm)
            except ForearmError:
                continue
            if task.moved >= KNOCKED:
                return posed

    def drive_straight(self, scene: Scene, arm: SimulatedArm) -> None:
        now = arm.joints()
        for values in actions_along(self.layout, np.array([now, self.joints_of(scene.task.goal)], np.float32)):
            arm.step(Action(values, int(np.abs(values).argmax())))

    def joints_of(self, joints: np.ndarray) -> np.ndarray:
        """Of the layout, (J,), from the simulator's."""
        return joints[[JOINTS.index(name.removesuffix(".pos")) for name in self.layout.joint_names]]

    def kept(self, scene: Scene, arm: SimulatedArm) -> ObjectGoal:
        left, top, right, bottom = scene.box
        middle = ((left + right) / 2, (top + bottom) / 2)
        name = self.layout.cameras[CAMERA].name
        return ObjectGoal.of(self.layout, arm.observe().picture, name, scene.box, middle)

    def attempt(self, method: Method, scene: int, pair: Scene, simulator: Simulator) -> dict[str, Any]:
        begin = time.process_time()
        simulator.restore(pair.start)
        arm = SimulatedArm(simulator, self.layout)
        goal: Goal = JointGoal(self.layout, self.joints_of(pair.task.goal).astype(np.float64))
        if not method.name.endswith(IGNORING):
            goal = KeepingGoal.of(goal, [self.kept(pair, arm)], present(self.layout, arm.observe()).known())
        ways = tuple(map(self.joints_of, pair.task.over))
        planner = {OVER: Fixed(ways), STRAIGHT: Fixed(())}.get(method.name, WaypointSearch())
        timed = Timed(planner)
        assert method.predictor is not None
        episode = control(arm, method.predictor(arm), goal, timed, steps=STEPS)
        error = float(np.abs(arm.joints() - self.joints_of(pair.task.goal)).max())
        moved = pair.task.moved
        return {
            "method": method.name,
            "weights": method.weights,
            "scene": scene,
            "moves": 2 * 100 * BESIDE,
            "actions": episode.actions,
            "error": error if moved <= KEPT else 1e3,
            "off": error,
            "moved": moved,
            "first_there": None,
            "outcome": episode.outcome,
            "wall": timed.wall,
            "processor": timed.processor,
            "cost": time.process_time() - begin,
        }


EXPLAINED = f"""\
- The gripper stands low, {100 * BESIDE:g} cm from the middle of an object, and is to stand as far behind it. The goal
  is given as joint positions, the object as its box in the base camera's picture. Scenes are taken where the straight
  way of the joints moves the object by {KNOCKED:g} cm or more, so *{STRAIGHT}* fails in all of them.
- *Success*: in the end every joint is within {NEAR:g}° of the goal (the gripper within {NEAR:g} hundredths), and the
  object has moved {KEPT:g} cm at most. At most {STEPS} actions of 0.5 s.
- *Told of no object*: the same planner, whose goal is the joints alone.
- *{OVER.capitalize()}* knows the arm's kinematics and that there is something to avoid, and uses no model.
- *Beside the true simulator*: difference in the same scenes. ▲ is significantly better, ▼ worse, ≈ neither, by
  McNemar's exact test with Holm's correction.
- *ms a decision* is the processor's, median of those in which something is predicted.
"""


def page(section: Section) -> str:
    marks, rows = judged([section]), []
    for name, outcome in section.outcomes.items():
        trials, beside = outcome.trials, "–"
        if compared := section.compared.get(name):
            low, high = compared.interval
            mark = marks.get((section.task.name, name), "")
            beside = f"{100 * compared.value:+.0f} ({100 * low:+.0f} to {100 * high:+.0f}) {mark}".rstrip()
        thought = [1e3 * s for trial in trials for s in trial["processor"] if s > 0.05]
        rows.append(
            f"| {name if outcome.method.trained else f'*{name}*'} | {len(trials)} | {outcome.success} | {beside} | "
            f"{np.mean([trial['off'] <= NEAR for trial in trials]):.0%} | "
            f"{np.mean([trial['moved'] <= KEPT for trial in trials]):.0%} | "
            f"{np.mean([trial['moved'] for trial in trials]):.1f} | "
            f"{np.mean([trial['actions'] for trial in trials]):.1f} | "
            f"{f'{np.median(thought):.0f}' if thought else '–'} |"
        )
    head = ["# Reaching around an object", "", f"{circumstances()}.", f"Made by `{command()}`.", "", EXPLAINED]
    columns = [
        "| | scenes | success (95 %) | beside the true simulator | reached | object left alone | cm that it moved | "
        "actions | ms a decision |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    return "\n".join([*head, *columns, *rows, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a dataset of pushes, seen by the base camera first")
    parser.add_argument("--run", type=Path, nargs="*", default=[], help="runs that were trained on it")
    parser.add_argument("--scenes", type=int, default=50, help="one start and goal each")
    parser.add_argument("--results", type=Path, default=ROOT / "quality" / "reaching", help="where attempts are kept")
    parser.add_argument("--out", type=Path, default=PAGE, help="the page to write (default: %(default)s)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.results.mkdir(parents=True, exist_ok=True)
    runs = [Run.open(path) for path in arguments.run]
    task = Reaching({run.config()["family"]: run for run in runs}, TransitionSet(arguments.data).layout)
    trials = drive(task, arguments.scenes, arguments.results)
    write_table(arguments.out, page(Section.of(task, trials)))


if __name__ == "__main__":
    main()
