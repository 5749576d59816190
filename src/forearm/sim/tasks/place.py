"""Put an object into a region."""

from dataclasses import replace
from typing import ClassVar

import numpy as np

from forearm.sim.kinematics import Grip
from forearm.sim.objects import World
from forearm.sim.operator import Operator, Targets
from forearm.sim.scene import REGION_RADIUS
from forearm.sim.tasks.lift import ATTEMPTS, Lift, lift, raised
from forearm.sim.tasks.task import TRIES, Unsuitable, above, low, named

_FREE = 0.05  # metres around the region without objects


class Place(Lift):
    """Grasp an object and put it down on the black region, letting go of it."""

    seconds: ClassVar[float] = 15.0
    world: ClassVar[World] = World(objects=3, region=True)

    def arrange(self) -> None:
        super().arrange()
        for _ in range(TRIES):
            self.goal = self.anywhere()
            if self.is_free(self.goal, self.goal, _FREE, ()) and self._is_within_reach():
                self.simulator.place_objects(self.simulator.poses(), region=self.goal)
                return
        raise Unsuitable

    def _is_within_reach(self) -> bool:
        grip = self.grasp(self.target)
        there = grip and replace(grip, at=np.array([*self.goal, 0.03]))
        return there is not None and self.kinematics.pitch([there, above(there)], self.rest) is not None

    @property
    def text(self) -> str:
        return f"put {named(self.simulator.objects[self.target])} on the black disc"

    def success(self) -> bool:
        at = self.object_at(self.target)
        stands = at[2] < self.simulator.objects[self.target].height + 0.02
        inside = np.linalg.norm(at[:2] - self.goal) < REGION_RADIUS
        return bool(stands and inside and not self.simulator.touched()[self.target])

    def expert(self, operator: Operator) -> Targets:
        for _ in range(ATTEMPTS):
            grip = yield from lift(self, operator, self.target)
            if grip and self.is_held():
                yield from put_down(operator, grip, self.goal)
            if self.success():
                break
            yield from operator.open_to(40.0)


def put_down(operator: Operator, grip: Grip, goal: np.ndarray) -> Targets:
    """Bring what is held with a grip over a place (2,), lower it and let go."""
    aim = goal + operator.misaimed()[:2] / 2
    over = raised(operator, replace(grip, at=np.array([*aim, 0.0])))
    down = replace(over, at=np.array([*aim, 0.03]))
    pitch = operator.kinematics.pitch([down, above(down)], operator.joints) or 60.0
    down = replace(down, pitch=pitch, at=np.array([*aim, low(pitch) + 0.004]))
    yield from operator.reach(over, pace=0.8)
    yield from operator.slide(over, down)
    yield from operator.open_to(30.0)
    yield from operator.reach(above(replace(down, opening=30.0)))
