"""How often an object is pushed to a place: planning with the true simulator and with a run, beside ways without a
model. One command:

    python benchmarks/pushing.py --data FOLDER [--run FOLDER]

drives a simulated arm in scenes that no run was trained on, one start and goal in each: an object that the base camera
sees, and a place 5 to 12 cm away. Every method gets the same. It writes docs/benchmarks/pushing.md. What is done
already is not done again: an interrupted run goes on where it stopped.

The data decide cameras, joints and actions, and are what a run is trained on. They are made by

    forearm record --task push --episodes 120 --size 64 --fps 10 --out pushes
    forearm build pushes --cameras base --actions change --step 0.5 --out data
    forearm train warp --data data --out run --minutes 4 --clock cpu --learning-rate 2.8e-3 --model.mse-weight 30 \\
        --model.charbonnier-weight 1
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from control import SEED, Method, Section, Task, Timed, drive, judged, scene_of, wander
from measuring import ROOT, circumstances, command, write_table

from forearm.base.errors import ForearmError
from forearm.batch import Batch, Predictor
from forearm.canvas import Layout, dominant_dimensions
from forearm.control.episode_log import film, film_gif
from forearm.control.goals import ObjectGoal
from forearm.control.loop import EpisodeLog, control
from forearm.control.planners import Plan, TreeSearch, staying
from forearm.control.strokes import StrokeSearch
from forearm.environment.reach import SimulatedReach
from forearm.environment.simulated import TrueDynamics
from forearm.evaluation.baselines import Persistence
from forearm.sim import Simulator
from forearm.sim.arm import SimulatedArm
from forearm.sim.operator import Operator
from forearm.sim.tasks import pose_task
from forearm.sim.tasks.push import Push
from forearm.sim.teleoperation import carry_out
from forearm.training.run import Run
from forearm.transitions import TransitionSet

PAGE = ROOT / "docs" / "benchmarks" / "pushing.md"
TOLERANCE, SECONDS = 2.0, 15.0
CAMERA = 0
TRUTH, AIMED, EXPERT, RANDOM = (
    "true simulator",
    "one aimed stroke after another",
    "pusher that knows poses",
    "random moves",
)
SEEN = 0.6
"""Pixels of a 64 pixel picture by which an object at first may seem to be elsewhere than it is; else it is covered."""


@dataclass(frozen=True)
class Scene:
    """A task posed in its simulator, and the state in which it begins."""

    push: Push
    start: np.ndarray
    box: tuple[float, float, float, float]
    """Of the object in the camera's picture, pixels."""
    target: tuple[float, float]
    """Where its middle is to be seen, pixels."""

    @property
    def centimetres(self) -> float:
        """From the object to its goal, at present."""
        return 100 * float(np.linalg.norm(self.push.object_at(self.push.target)[:2] - self.push.goal))


@dataclass(frozen=True)
class Aimed:
    """Strokes straight at the target, without a model: the greedy way."""

    search: StrokeSearch

    def plan(self, predictor: Predictor, present: Batch, goal: ObjectGoal, previous: Plan | None = None) -> Plan:
        stay = staying(present, goal)
        if stay.cost <= goal.enough:
            return stay
        left = previous.values[1:] if previous is not None else ()
        values = left if len(left) else self.search.actions(present, goal, np.zeros(3))
        shown = predictor.predict(present.repeated(len(values))) if len(values) else stay.predicted
        return Plan(values, dominant_dimensions(values), shown, 0.0, stay.cost)


class Pushing(Task):
    """Pushes of one object, with the true simulator and perhaps with a run."""

    tolerance: ClassVar[float] = TOLERANCE

    def __init__(self, runs: dict[str, Run], layout: Layout):
        super().__init__("pushing", runs)
        self.__dict__["layout"] = layout

    @property
    def steps(self) -> int:
        """Most actions of an attempt."""
        return round(SECONDS / (self.layout.action_duration or 0.5))

    @cached_property
    def methods(self) -> list[Method]:
        nothing = TreeSearch(1)  # strokes need the arm, so planners are made in `attempt`
        found = [Method(TRUTH, TrueDynamics, nothing, False)]
        for name, run in self.runs.items():
            model, weights = run.load(), run.weights_digest("best")
            found.append(Method(name, lambda arm, model=model: model, nothing, False, weights, trained=True))
        found.append(Method(AIMED, lambda arm: Persistence(), nothing, False))
        return [*found, Method(EXPERT, None, nothing, False), Method(RANDOM, None, nothing, False)]

    def simulator(self, scene: int) -> Simulator:
        return Simulator(scene_of(scene), Push.world)

    def pair(self, simulator: Simulator, scene: int) -> Scene:
        """Draw until the camera sees the object at first."""
        random, arm = np.random.default_rng([SEED, scene]), SimulatedArm(simulator, self.layout)
        while True:
            push = pose_task(simulator, Push, random)
            assert isinstance(push, Push)
            posed = self.posed(push, arm)
            try:
                goal = self.goal_of(posed, arm)
            except ForearmError:
                continue
            if float(goal.appearance.offset.norm()) <= SEEN * self.layout.cameras[CAMERA].width / 64:
                return posed

    def posed(self, push: Push, arm: SimulatedArm) -> Scene:
        simulator, camera = push.simulator, self.layout.cameras[CAMERA]
        size = np.array([camera.width, camera.height])
        start, name = simulator.snapshot(), camera.name.rpartition(".")[2]
        boxes = simulator.environment().reshape(len(simulator.objects), -1)
        box = boxes[push.target, 8:12] * np.tile(size, 2)  # cameras in the simulator's order, the base camera first
        at = [[*push.goal, simulator.objects[push.target].height]]
        return Scene(push, start, tuple(box.tolist()), tuple((simulator.seen(name, np.array(at))[0] * size).tolist()))

    def goal_of(self, scene: Scene, arm: SimulatedArm) -> ObjectGoal:
        camera = self.layout.cameras[CAMERA].name
        return ObjectGoal.of(self.layout, arm.observe().picture, camera, scene.box, scene.target)

    def attempt(self, method: Method, scene: int, pair: Scene, simulator: Simulator) -> dict[str, Any]:
        begin = time.process_time()
        simulator.restore(pair.start)
        first, random = pair.centimetres, np.random.default_rng([SEED, 3, scene])
        arm, timed, outcome = SimulatedArm(simulator, self.layout), Timed(TreeSearch(1)), method.name
        if method.name == EXPERT:
            carry_out(pair.push, Operator(simulator, 0.0, random))
            actions = round(Push.seconds / arm.duration)
        elif method.name == RANDOM:
            wander(arm, random, self.steps)
            actions = self.steps
        else:
            episode, timed = self.driven(method, pair, arm)
            actions, outcome = episode.actions, episode.outcome
        error = pair.centimetres
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
        """Drive by strokes from a scene's start."""
        arm.simulator.restore(pair.start)
        goal, search = self.goal_of(pair, arm), StrokeSearch(reach=SimulatedReach(arm.simulator, self.layout))
        timed = Timed(Aimed(search) if method.name == AIMED else search)
        assert method.predictor is not None
        return control(arm, method.predictor(arm), goal, timed, steps=self.steps), timed


EXPLAINED = f"""\
- Each scene has three objects, one start and one goal. The base camera sees the object at first. The planner is told
  its box there and the place where its middle is to be seen, no pose. It aims by the arm's kinematics and the place
  of the camera, and reads where the object gets from predicted pictures alone.
- *Success*: at the end the object is within {TOLERANCE:g} cm of the goal on the table. Intervals are wide where
  scenes are few. An attempt lasts at most {SECONDS:g} s; the pusher has {Push.seconds:g} s.
- *Beside the true simulator*: difference in the same scenes. ▲ is significantly better, ▼ worse, ≈ neither, by
  McNemar's exact test with Holm's correction. Intervals are without that correction.
- *{AIMED.capitalize()}*: the same strokes, straight at the target, without a model and so without a choice.
- *ms a decision* is the processor's, median of those in which something is predicted; *minutes* are for all attempts.
"""


def table(section: Section, marks: dict[tuple[str, str], str]) -> list[str]:
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


def page(section: Section) -> str:
    trials = next(iter(section.outcomes.values())).trials
    far = np.mean([trial["moves"] for trial in trials])
    head = ["# Pushing an object to a place", "", f"{circumstances()}.", f"Made by `{command()}`.", "", EXPLAINED]
    return "\n".join([*head, *table(section, judged([section])), f"Objects begin {far:.1f} cm from their goals.", ""])


def filmed(task: Pushing, method: Method, scenes: Sequence[int], path: Path) -> None:
    """Film the first of some scenes in which a method reaches the goal."""
    for number in scenes:
        simulator = task.simulator(number)
        pair, arm = task.pair(simulator, number), SimulatedArm(simulator, task.layout)
        episode, _ = task.driven(method, pair, arm)
        if pair.centimetres <= TOLERANCE:
            path.write_bytes(film_gif(film(episode, task.goal_of(pair, arm))))
            print(path)
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a dataset of pushes, seen by the base camera first")
    parser.add_argument("--run", type=Path, nargs="*", default=[], help="runs that were trained on it")
    parser.add_argument("--pairs", type=int, default=50, help="scenes, one start and goal each")
    parser.add_argument("--results", type=Path, default=ROOT / "quality" / "pushing", help="where attempts are kept")
    parser.add_argument("--film", type=Path, help="a GIF to write of a goal reached by the first run, or the simulator")
    parser.add_argument("--out", type=Path, default=PAGE, help="the page to write (default: %(default)s)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.results.mkdir(parents=True, exist_ok=True)
    runs = [Run.open(path) for path in arguments.run]
    task = Pushing({run.config()["family"]: run for run in runs}, TransitionSet(arguments.data).layout)
    trials = drive(task, arguments.pairs, arguments.results)
    write_table(arguments.out, page(Section.of(task, trials)))
    if arguments.film:
        method = next((m for m in task.methods if m.trained), task.methods[0])
        filmed(task, method, range(arguments.pairs), arguments.film)


if __name__ == "__main__":
    main()
