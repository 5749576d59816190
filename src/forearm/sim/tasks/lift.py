"""Grasp an object and raise it."""

from collections.abc import Generator
from dataclasses import replace
from typing import ClassVar

import numpy as np

from forearm.sim.kinematics import Grip
from forearm.sim.objects import World
from forearm.sim.operator import Operator, Targets
from forearm.sim.tasks.task import Task, Unsuitable, above, named

RAISED, UP = 0.04, 0.10
"""Metres above where it stood at which an object counts as raised, and the height to which it is brought."""
ATTEMPTS = 3
_AROUND = 0.06  # metres around an object that the open jaws need


class Lift(Task):
    """Grasp an object from above and hold it 4 cm or more above the table."""

    world: ClassVar[World] = World(objects=3)

    def arrange(self) -> None:
        self.scatter()
        self.target = self.graspable()

    def graspable(self) -> int:
        """The number of an object that can be grasped."""
        for number in self.rng.permutation(len(self.simulator.objects)):
            at = self.object_at(number)[:2]
            if self.is_free(at, at, _AROUND, (number,)) and self.grasp(number) is not None:
                return int(number)
        raise Unsuitable

    @property
    def text(self) -> str:
        return f"lift {named(self.simulator.objects[self.target])}"

    def is_held(self) -> bool:
        """Whether the object hangs in the jaws."""
        raised = self.object_at(self.target)[2] - self.simulator.objects[self.target].height
        return bool(raised > RAISED and self.simulator.touched()[self.target])

    def success(self) -> bool:
        return self.is_held()

    def expert(self, operator: Operator) -> Targets:
        for _ in range(ATTEMPTS):
            yield from lift(self, operator, self.target)
            if self.is_held():
                break
            yield from operator.open_to(40.0)


def lift(task: Task, operator: Operator, number: int) -> Generator[np.ndarray, None, Grip | None]:
    """Grasp an object, wherever it is now, and raise it; returns how it is held, or None where it is out of reach."""
    grip = task.grasp(number)
    if grip is None:
        return None
    missed = operator.misaimed() / 2  # people grasp with more care than they push
    grip = replace(grip, at=grip.at + missed)
    yield from operator.reach(above(grip))
    yield from operator.slide(above(grip), grip)
    yield from operator.close()
    up = raised(operator, grip)
    yield from operator.reach(up, pace=0.8)
    return up


def raised(operator: Operator, grip: Grip) -> Grip:
    """A grip at the height to which things are brought, as closed as the gripper is now."""
    up = replace(above(grip, UP), opening=float(operator.joints[-1]))
    return replace(up, pitch=operator.kinematics.pitch([up], operator.joints) or grip.pitch)
