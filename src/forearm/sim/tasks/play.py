"""Play: varied motions, most of them aimed at objects."""

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

import numpy as np

from forearm.sim.kinematics import Grip
from forearm.sim.names import JOINTS
from forearm.sim.objects import World
from forearm.sim.operator import Operator, Targets
from forearm.sim.tasks.lift import lift
from forearm.sim.tasks.push import push
from forearm.sim.tasks.task import Task, above, low

HIGH = 0.12
"""Metres above the table from which objects are tapped."""
MOVED = 0.01
"""Metres by which an object has moved where play has moved one."""


class Play(Task):
    """Ten seconds of whatever one does with things: push, sweep, tap, grasp, drop, and move about."""

    seconds: ClassVar[float] = 10.0
    world: ClassVar[World] = World(objects=4)

    def arrange(self) -> None:
        self.scatter(apart=0.03)
        self.start = self.simulator.poses()[:, :3]

    @property
    def text(self) -> str:
        return "play with the objects"

    def success(self) -> bool:
        """Whether an object was moved."""
        return bool((np.linalg.norm(self.simulator.poses()[:, :3] - self.start, axis=1) > MOVED).any())

    def expert(self, operator: Operator) -> Targets:
        motions: list[Callable[[Operator], Targets]] = [
            self._push,
            self._sweep,
            self._tap,
            self._grasp,
            self._move,
            self._turn,
        ]
        while True:
            yield from motions[operator.rng.choice(len(motions), p=[0.3, 0.25, 0.1, 0.15, 0.08, 0.12])](operator)

    def _any_object(self, operator: Operator) -> int:
        """The number of an object, rather one that is within reach."""
        numbers = operator.rng.permutation(len(self.simulator.objects)).tolist()
        return next((n for n in numbers if self.is_near(self.object_at(n)[:2])), numbers[0])

    def _push(self, operator: Operator) -> Targets:
        number, angle = self._any_object(operator), operator.rng.uniform(-np.pi, np.pi)
        along = operator.rng.uniform(0.03, 0.12) * np.array([np.cos(angle), np.sin(angle)])
        yield from push(
            self, operator, number, self.object_at(number)[:2] + along, speed=operator.rng.uniform(0.05, 0.25)
        )

    def _sweep(self, operator: Operator) -> Targets:
        """A straight stroke near an object, whatever it meets."""
        angle, across = operator.rng.uniform(-np.pi, np.pi), operator.rng.uniform(0, 180)
        along = np.array([np.cos(angle), np.sin(angle)])
        middle = self.object_at(self._any_object(operator))[:2] + operator.rng.normal(0, 0.015, 2)
        ends = [
            Grip(np.array([*(middle + at * along), 0.02]), across=across, opening=operator.rng.uniform(5, 45))
            for at in (-0.08, 0.08)
        ]
        pitch = operator.kinematics.pitch(ends, operator.joints)
        if pitch is None:
            return
        height = low(pitch) + operator.rng.uniform(0, 0.02)
        start, end = (replace(grip, pitch=pitch, at=np.array([*grip.at[:2], height])) for grip in ends)
        yield from operator.reach(above(start))
        yield from operator.slide(above(start), start)
        yield from operator.slide(start, end, speed=operator.rng.uniform(0.06, 0.3))
        yield from operator.reach(above(end))

    def _tap(self, operator: Operator) -> Targets:
        """Down on an object from above and up again."""
        number = self._any_object(operator)
        at = self.object_at(number)[:2] + operator.rng.normal(0, 0.006, 2)
        top = 2 * self.simulator.objects[number].height
        grip = Grip(
            np.array([*at, top + 0.008]), across=operator.rng.uniform(0, 180), opening=operator.rng.uniform(0, 40)
        )
        pitch = operator.kinematics.pitch([grip, above(grip, HIGH)], operator.joints)
        if pitch is None:
            return
        grip = replace(grip, pitch=pitch)
        yield from operator.reach(above(grip, HIGH))
        yield from operator.slide(above(grip, HIGH), grip)
        yield from operator.slide(grip, above(grip, HIGH))

    def _grasp(self, operator: Operator) -> Targets:
        """Lift an object, carry it elsewhere and let it fall or put it down."""
        number = self._any_object(operator)
        grasp = self.grasp(number)
        if grasp is None:
            return
        yield from lift(self, operator, number)
        height = operator.rng.choice([0.03, 0.06, 0.09])
        there = replace(grasp, at=np.array([*self.anywhere(operator.rng), height]), opening=float(operator.joints[-1]))
        there = replace(there, pitch=operator.kinematics.pitch([there], operator.joints) or 60.0)
        yield from operator.reach(there, pace=0.8)
        yield from operator.open_to(45.0)
        yield from operator.reach(above(replace(there, opening=45.0), 0.1))

    def _move(self, operator: Operator) -> Targets:
        """Somewhere above the table."""
        at = np.array([*self.anywhere(operator.rng), operator.rng.uniform(0.05, 0.13)])
        grip = Grip(at, across=operator.rng.uniform(0, 180), opening=operator.rng.uniform(0, 60))
        pitch = operator.kinematics.pitch([grip], operator.joints) or 60.0
        yield from operator.reach(replace(grip, pitch=pitch), pace=operator.rng.uniform(0.5, 1.5))

    def _turn(self, operator: Operator) -> Targets:
        """One joint alone, to and fro, where it has room."""
        joints = operator.joints.copy()
        joints[operator.rng.integers(len(JOINTS))] += operator.rng.choice([-1, 1]) * operator.rng.uniform(5, 20)
        low_bound, high_bound = self.simulator.limits
        if (low_bound < joints).all() and (joints < high_bound).all() and operator.clears(joints):
            yield from operator.move(joints, operator.rng.uniform(0.3, 0.6))
