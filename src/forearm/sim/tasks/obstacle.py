"""Reach around an obstacle."""

from dataclasses import replace
from typing import ClassVar

import numpy as np

from forearm.sim.kinematics import Grip
from forearm.sim.objects import OBSTACLE, World
from forearm.sim.operator import Operator, Targets
from forearm.sim.tasks.task import TRIES, Task, Unsuitable, low, named

MOVED = 0.008
"""Metres by which the obstacle may have moved."""
NEXT = 0.035
"""Metres from the point between the jaws to the object's side at which it counts as reached."""
_BEFORE, _BEHIND = 0.07, 0.08  # metres from the obstacle to the gripper at first, and to the object
_AROUND = 0.055  # metres beside the obstacle


class Obstacle(Task):
    """Reach an object behind a wall, around the wall and without moving it; the gripper stays low."""

    world: ClassVar[World] = World(objects=2, obstacle=True)

    def arrange(self) -> None:
        wall = next(i for i, thing in enumerate(self.simulator.objects) if thing.name == OBSTACLE)
        self.target, self._wall = int(self.rng.integers(wall)), wall
        half = float(self.simulator.objects[wall].outline[:, 1].max())
        for _ in range(TRIES):
            angle = self.rng.uniform(-np.pi, np.pi)
            onwards, aside = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
            self.barrier, side = self.anywhere(), self.rng.choice([-1, 1])
            beside = self.barrier + side * (half + _AROUND) * aside
            way = [self.barrier - _BEFORE * onwards, beside, beside + 0.5 * _BEHIND * onwards]
            goal = self.barrier + _BEHIND * onwards
            grips = [Grip(np.array([*place, 0.03]), opening=5.0) for place in (*way, goal)]
            pitch = self.kinematics.pitch(grips, self.rest) if all(map(self.is_near, (way[0], goal))) else None
            if pitch is not None and pitch >= 60:
                break
        else:
            raise Unsuitable
        self._way = [replace(grip, pitch=pitch, at=np.array([*grip.at[:2], low(pitch) + 0.006])) for grip in grips[:3]]
        others = [self.anywhere() for _ in range(wall)]
        others[self.target] = goal
        lanes = [*(grip.at[:2] for grip in self._way), self.barrier, goal]
        for number, place in enumerate(others):
            if number != self.target and min(np.linalg.norm(place - lane) for lane in lanes) < 0.08:
                raise Unsuitable
        self.simulator.place(self.kinematics.solve(self._way[0], self.rest, 60)[0])
        self.stand([*others, self.barrier], turned={wall: angle})
        self.rest = self.simulator.joints()
        if np.linalg.norm(self.object_at(wall)[:2] - self.barrier) > 0.002:
            raise Unsuitable

    @property
    def text(self) -> str:
        return f"reach around the wall and touch {named(self.simulator.objects[self.target])}"

    def success(self) -> bool:
        stayed = np.linalg.norm(self.object_at(self._wall)[:2] - self.barrier) < MOVED
        return bool(stayed and self._distance() < self.simulator.objects[self.target].radius + NEXT)

    def _distance(self) -> float:
        """From the jaws to the middle of the object, along the table, metres."""
        tips = self.kinematics.point(self.simulator.joints())
        return float(np.linalg.norm(tips[:2] - self.object_at(self.target)[:2]))

    def expert(self, operator: Operator) -> Targets:
        here = self._way[0]
        for place in self._way[1:]:
            there = replace(place, at=place.at + operator.misaimed())
            yield from operator.slide(here, there)
            here = there
        goal = replace(here, at=np.array([*self.object_at(self.target)[:2], here.at[2]]))
        for share in np.linspace(0, 1, 60):
            if self.simulator.touched()[self.target]:
                break
            yield operator.at(replace(here, at=here.at + share * (goal.at - here.at)))
        yield from operator.wait(0.2)
