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

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from control import Method
from moving import SECONDS, TOLERANCE, Moving, Scene, measured, parser_of

from forearm.batch import Batch, Predictor
from forearm.canvas import dominant_dimensions
from forearm.control.episode_log import film, film_gif
from forearm.control.goals import ObjectGoal
from forearm.control.planners import Plan, staying
from forearm.control.strokes import StrokeSearch
from forearm.environment.reach import SimulatedReach
from forearm.sim.arm import SimulatedArm
from forearm.sim.tasks.push import Push


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


class Pushing(Moving):
    """Pushes of one object."""

    poses: ClassVar[type] = Push
    aimed: ClassVar[str] = "one aimed stroke after another"
    expert: ClassVar[str] = "pusher that knows poses"

    def planner(self, method: Method, arm: SimulatedArm) -> Aimed | StrokeSearch:
        search = StrokeSearch(reach=SimulatedReach(arm.simulator, self.layout))
        return Aimed(search) if method.name == self.aimed else search

    def centimetres(self, scene: Scene) -> float:
        return 100 * float(np.linalg.norm(scene.task.object_at(scene.task.target)[:2] - scene.task.goal))


EXPLAINED = f"""\
- Each scene has three objects, one start and one goal. The base camera sees the object at first. The planner is told
  its box there and the place where its middle is to be seen, no pose. It aims by the arm's kinematics and the place
  of the camera, and reads where the object gets from predicted pictures alone.
- *Success*: at the end the object is within {TOLERANCE:g} cm of the goal on the table. Intervals are wide where
  scenes are few. An attempt lasts at most {SECONDS:g} s; the pusher has {Push.seconds:g} s.
- *Beside the true simulator*: difference in the same scenes. ▲ is significantly better, ▼ worse, ≈ neither, by
  McNemar's exact test with Holm's correction. Intervals are without that correction.
- *{Pushing.aimed.capitalize()}*: the same strokes, straight at the target, without a model and so without a choice.
- *ms a decision* is the processor's, median of those in which something is predicted; *minutes* are for all attempts.
"""


def filmed(task: Moving, method: Method, scenes: Sequence[int], path: Path) -> None:
    """Film the first of some scenes in which a method reaches the goal."""
    for number in scenes:
        simulator = task.simulator(number)
        pair, arm = task.pair(simulator, number), SimulatedArm(simulator, task.layout)
        episode, _ = task.driven(method, pair, arm)
        if task.centimetres(pair) <= TOLERANCE:
            path.write_bytes(film_gif(film(episode, task.goal_of(pair, arm))))
            print(path)
            return


def main() -> None:
    parser = parser_of(__doc__, "pushing", pairs=50)
    parser.add_argument("--film", type=Path, help="a GIF to write of a goal reached by the first run, or the simulator")
    arguments = parser.parse_args()
    task = measured(Pushing, "Pushing an object to a place", EXPLAINED, arguments)
    if arguments.film:
        method = next((m for m in task.methods if m.trained), task.methods[0])
        filmed(task, method, range(arguments.pairs), arguments.film)


if __name__ == "__main__":
    main()
