"""Push an object through others."""

from typing import ClassVar

import numpy as np

from forearm.sim.objects import World
from forearm.sim.tasks.push import Push, push_grip
from forearm.sim.tasks.task import above

_CLEAR = 0.022  # metres around the gripper where it comes down


class Clutter(Push):
    """Push an object to a place 5 to 12 cm away, with others in the way that are pushed along."""

    world: ClassVar[World] = World(objects=6)
    apart: ClassVar[float] = 0.012

    def can_push(self, number: int, goal: np.ndarray) -> bool:
        """Whether the gripper can come down behind an object, and another stands in the way."""
        thing, at = self.simulator.objects[number], self.object_at(number)[:2]
        begin = push_grip(at, goal, thing.radius)
        clear = self.is_free(begin.at[:2], begin.at[:2], _CLEAR, ())
        crowded = not self.is_free(at, goal, thing.radius, (number,))
        return clear and crowded and self.kinematics.pitch([begin, above(begin)], self.rest) is not None
