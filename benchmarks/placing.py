"""How often an object is grasped and put down at a place: planning with the true simulator and with a run, beside ways
without a model. One command:

    python benchmarks/placing.py --data FOLDER [--run FOLDER]

drives a simulated arm in scenes that no run was trained on, one start and goal in each: an object that can be grasped,
that the base camera sees, and a place 8 cm or more away. Every method gets the same. It writes
docs/benchmarks/placing.md. What is done already is not done again: an interrupted run goes on where it stopped.

The data decide cameras, joints and actions. They are made as those of benchmarks/pushing.py, of a task in which things
are grasped: `forearm record --task play`.
"""

from typing import ClassVar

import numpy as np
from control import Method
from moving import SECONDS, TOLERANCE, Moving, Scene, measured, parser_of

from forearm.control.carries import CarrySearch
from forearm.environment.reach import SimulatedReach
from forearm.sim.arm import SimulatedArm
from forearm.sim.objects import World
from forearm.sim.tasks import Unsuitable
from forearm.sim.tasks.lift import Lift
from forearm.sim.tasks.place import Place
from forearm.sim.tasks.task import TRIES

APART, FREE = 0.08, 0.05
"""Metres between start and goal, and around the goal without objects."""
HELD = 1e3
"""The error where the object does not stand by itself in the end."""


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


class Placing(Moving):
    """Carries of one object."""

    poses: ClassVar[type] = Somewhere
    first: ClassVar[int] = 100  # carries were built while looking at scenes of lower numbers
    aimed: ClassVar[str] = "one straight carry after another"
    expert: ClassVar[str] = "placer that knows poses"

    def planner(self, method: Method, arm: SimulatedArm) -> CarrySearch:
        reach = SimulatedReach(arm.simulator, self.layout)
        return CarrySearch(samples=1, rounds=1, reach=reach) if method.name == self.aimed else CarrySearch(reach=reach)

    def centimetres(self, scene: Scene) -> float:
        return scene.task.error


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
- *{Placing.aimed.capitalize()}*: the same carries without variation and without a model, aimed anew when one has ended.
- *ms a decision* is the processor's, median of those in which something is predicted; *minutes* are for all attempts.
"""


if __name__ == "__main__":
    measured(Placing, "Placing an object", EXPLAINED, parser_of(__doc__, "placing", pairs=20).parse_args())
