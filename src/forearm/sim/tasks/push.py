"""Push an object to a place."""

from dataclasses import replace
from typing import ClassVar

import numpy as np

from forearm.sim.kinematics import Grip
from forearm.sim.names import CONTROL_HZ
from forearm.sim.objects import World
from forearm.sim.operator import Operator, Targets
from forearm.sim.tasks.task import TRIES, Task, Unsuitable, above, low, named, way

DONE = 0.015
"""Metres from the goal at which an object counts as pushed there."""
ATTEMPTS = 3
_JAWS = 0.012  # half of their thickness along the push
_ENOUGH, _LONGEST = 0.002, 3.0  # metres before the goal at which a push ends, and seconds after which it does
_BEHIND = 0.016  # metres between jaws and object before the push


class Push(Task):
    """Push an object over the table to a place 5 to 12 cm away."""

    world: ClassVar[World] = World(objects=3)
    apart: ClassVar[float] = 0.05
    """Metres of free table between two objects at first."""

    def arrange(self) -> None:
        self.scatter(self.apart)
        self.target = int(self.rng.integers(len(self.simulator.objects)))
        self.start = self.object_at(self.target)[:2]
        self.goal = self._goal()

    def _goal(self) -> np.ndarray:
        """A place (2,) to which the object can be pushed without another in the way."""
        for _ in range(TRIES):
            angle, distance = self.rng.uniform(-np.pi, np.pi), self.rng.uniform(0.05, 0.12)
            goal = self.start + distance * np.array([np.cos(angle), np.sin(angle)])
            if self.is_near(goal) and self.can_push(self.target, goal):
                return goal
        raise Unsuitable

    def can_push(self, number: int, goal: np.ndarray) -> bool:
        """Whether an object can be pushed to a place (2,) and no other is in the way."""
        thing, at = self.simulator.objects[number], self.object_at(number)[:2]
        begin = push_grip(at, goal, thing.radius)
        end = replace(begin, at=np.array([*goal, 0.02]))
        clear = self.is_free(begin.at[:2], goal, thing.radius + 0.005, (number,))
        return clear and self.kinematics.pitch([begin, above(begin), end], self.rest) is not None

    @property
    def text(self) -> str:
        return f"push {named(self.simulator.objects[self.target])} {way(self.goal - self.start)}"

    def success(self) -> bool:
        return bool(np.linalg.norm(self.object_at(self.target)[:2] - self.goal) < DONE)

    def expert(self, operator: Operator) -> Targets:
        for _ in range(ATTEMPTS):
            yield from push(self, operator, self.target, self.goal)
            if self.success():
                break


def push_grip(at: np.ndarray, goal: np.ndarray, radius: float) -> Grip:
    """The grip beside an object at a place (2,) from which a straight push leads to the goal (2,)."""
    towards = (goal - at) / max(float(np.linalg.norm(goal - at)), 1e-9)
    behind = at - towards * (radius + _JAWS + _BEHIND)
    across = np.degrees(np.arctan2(towards[1], towards[0])) + 90
    return Grip(np.array([*behind, 0.02]), across=across)


def push(
    task: Task, operator: Operator, number: int, goal: np.ndarray, speed: float = 0.10, opening: float = 1.0
) -> Targets:
    """Come down behind an object, push it to a place (2,), correcting on the way, and leave it there.

    Args:
        task: in whose simulator the object is.
        operator: which pushes.
        number: of the object.
        goal: where the object is to be.
        speed: metres a second.
        opening: of the gripper; things get stuck between open jaws.
    """
    thing, at = task.simulator.objects[number], task.object_at(number)[:2]
    grip = replace(push_grip(at, goal, thing.radius), opening=opening)
    pitch = _pitch(operator, grip, goal)
    missed, onwards = operator.misaimed(), (goal - at) / max(float(np.linalg.norm(goal - at)), 1e-9)
    grip = replace(grip, pitch=pitch, at=np.array([*grip.at[:2], low(pitch)]) + missed)
    yield from operator.reach(above(grip))
    yield from operator.slide(above(grip), grip)
    for _ in range(round(_LONGEST * CONTROL_HZ)):
        left = goal - task.object_at(number)[:2]
        if left @ onwards < _ENOUGH:
            break
        behind = task.object_at(number)[:2] + missed[:2] - grip.at[:2]
        towards = left / np.linalg.norm(left)
        step = towards * np.clip(2.5 * np.linalg.norm(left), 0.02, speed) + 2.0 * (
            behind - (behind @ towards) * towards
        )
        grip = replace(grip, at=grip.at + np.array([*step, 0.0]) / CONTROL_HZ)
        yield operator.at(grip)
    back = replace(grip, at=grip.at - np.array([*onwards, 0.0]) * 0.02)
    yield from operator.slide(grip, back)
    yield from operator.reach(above(back))


def _pitch(operator: Operator, grip: Grip, goal: np.ndarray) -> float:
    end = replace(grip, at=np.array([*goal, 0.02]))
    pitch, joints = operator.kinematics.pitch, operator.joints
    return pitch([grip, above(grip), end], joints) or pitch([grip, end], joints) or 60.0
