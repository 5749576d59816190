"""What a task is: objects arranged, a goal, an expert, and whether it is done."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import ClassVar

import numpy as np

from forearm.base.errors import ForearmError
from forearm.sim.kinematics import Grip, Kinematics
from forearm.sim.names import PAN_AXIS
from forearm.sim.objects import FreeObject, World
from forearm.sim.operator import Operator, Targets
from forearm.sim.poses import sample_pose
from forearm.sim.simulator import Simulator

NEAR, FAR, ASIDE = 0.155, 0.285, 50.0
"""Metres from the axis of shoulder_pan, and degrees to either side, between which objects are put and moved."""
EDGE = 0.06
"""Share of the base camera's picture at its edges in which nothing is put."""
OPEN, JAW_FACE = 48.0, -0.0035
"""Of the gripper before it grasps, and metres across it to the fixed jaw's inner face."""
HOVER = 0.085
"""Height of the jaws' tips from which they come down, metres."""
TRIES, DRAWS = 300, 50
ROOM = 5.0
"""Degrees by which the shoulder can move from where an episode begins."""


class Unsuitable(Exception):
    """The objects stand so that the task cannot be posed; draw others."""


class Task(ABC):
    """One instance of a task in a simulator whose objects it arranges.

    Args:
        simulator: of the task's ``world``; its arm is where the episode begins.
        rng: decides objects' poses and the goal.

    Raises:
        Unsuitable: with these draws there is no goal within reach.
    """

    seconds: ClassVar[float] = 12.0
    """An episode is at most so long."""
    world: ClassVar[World]
    """What the simulator needs."""

    def __init__(self, simulator: Simulator, rng: np.random.Generator) -> None:
        self.simulator, self.rng = simulator, rng
        self.kinematics, self.rest = Kinematics(simulator), simulator.joints()
        self.arrange()

    @property
    @abstractmethod
    def text(self) -> str:
        """What is to be done, in words."""

    @abstractmethod
    def arrange(self) -> None:
        """Put the objects somewhere and choose the goal."""

    @abstractmethod
    def success(self) -> bool:
        """Whether the task is done, in the simulator's present state."""

    @abstractmethod
    def expert(self, operator: Operator) -> Targets:
        """What a skilled operator would command, from the present state on; it looks at the simulator as it goes."""

    def object_at(self, number: int) -> np.ndarray:
        """Where an object is, (3,) metres."""
        return self.simulator.poses()[number, :3]

    def scatter(self, apart: float = 0.05) -> None:
        """Stand all objects somewhere on the table, turned anyhow, at least so many metres between them."""
        placed: list[np.ndarray] = []
        objects = self.simulator.objects
        for thing in objects:
            for _ in range(TRIES):
                at = self.anywhere()
                free = all(
                    np.linalg.norm(at - other) > apart + thing.radius + objects[i].radius
                    for i, other in enumerate(placed)
                )
                if free:
                    placed.append(at)
                    break
            else:
                raise Unsuitable
        self.stand(placed)

    def stand(self, places: Sequence[np.ndarray], turned: Mapping[int, float] = MappingProxyType({})) -> None:
        """Stand each object at a place (2,), ``turned`` by radians or else anyhow, and let them come to rest."""
        turns = self.rng.uniform(-np.pi, np.pi, len(places)) / 2
        turns[list(turned)] = np.array(list(turned.values())) / 2
        poses = [
            [*at, thing.height + 0.0005, np.cos(turn), 0, 0, np.sin(turn)]
            for at, thing, turn in zip(places, self.simulator.objects, turns, strict=True)
        ]
        self.simulator.place_objects(np.array(poses))
        if self.simulator.touching():
            raise Unsuitable
        self.simulator.step(self.simulator.targets(), 0.3)

    def anywhere(self, rng: np.random.Generator | None = None) -> np.ndarray:
        """Some place (2,) before the arm, within its reach and in view; drawn by the task's generator or another."""
        rng = rng or self.rng
        while True:
            angle, distance = np.radians(rng.uniform(-ASIDE, ASIDE)), rng.uniform(NEAR, FAR)
            place = PAN_AXIS + distance * np.array([np.cos(angle), np.sin(angle)])
            if self.is_near(place):
                return place

    def is_near(self, place: np.ndarray) -> bool:
        """Whether a place (2,) is before the arm, within its reach and well inside the base camera's picture."""
        x, y = place - PAN_AXIS
        near = NEAR - 0.01 <= np.hypot(x, y) <= FAR + 0.01 and abs(np.degrees(np.arctan2(y, x))) <= ASIDE + 3
        seen = self.simulator.seen("base", np.array([[*place, 0.02]]))
        return bool(near and (np.abs(seen - 0.5) < 0.5 - EDGE).all())

    def grasp(self, number: int) -> Grip | None:
        """The grip from above with the open jaws around an object, or None where none is within reach."""
        thing, pose = self.simulator.objects[number], self.simulator.poses()[number]
        yaw = np.degrees(2 * np.arctan2(pose[6], pose[3]))
        if thing.is_round:
            yaw = 90 + np.degrees(np.arctan2(*(pose[:2] - PAN_AXIS)[::-1]))
        aside = thing.half_width + JAW_FACE + 0.005  # the fixed jaw comes down 5 mm off it
        grip = Grip(np.array([*pose[:2], 0.03]), across=yaw, opening=OPEN, tip=(Grip.tip[0], aside))
        pitch = self.kinematics.pitch([grip, above(grip)], self.rest)
        if pitch is None or pitch < 60:
            return None
        return replace(grip, pitch=pitch, at=np.array([*pose[:2], low(pitch)]))

    def is_free(self, start: np.ndarray, end: np.ndarray, width: float, but: Sequence[int]) -> bool:
        """Whether the way (2,) to (2,) keeps ``width`` metres off all objects but some, by their numbers."""
        along = end - start
        for number, thing in enumerate(self.simulator.objects):
            if number in but:
                continue
            offset = self.object_at(number)[:2] - start
            nearest = np.clip(offset @ along / max(along @ along, 1e-9), 0, 1) * along
            if np.linalg.norm(offset - nearest) < width + thing.radius:
                return False
        return True


def pose_task(simulator: Simulator, task: type[Task], rng: np.random.Generator) -> Task:
    """Draw an instance of a task: the arm rests somewhere, the objects stand on the table, and there is a goal.

    Args:
        simulator: of the task's world.
        task: which.
        rng: decides.

    Raises:
        ForearmError: none was found.
    """
    for _ in range(DRAWS):
        simulator.place_objects(simulator.away)
        simulator.place(sample_pose(simulator, 0, ROOM, "all", rng))
        try:
            return task(simulator, rng)
        except Unsuitable:
            continue
    raise ForearmError(f"the objects of this scene allow no {task.__name__.lower()}; choose another seed")


def low(pitch: float, clear: float = 0.007) -> float:
    """The height of the point between the tips at which nothing of the jaws touches the table, metres."""
    return clear + 0.010 * np.sin(np.radians(pitch)) + 0.012 * np.cos(np.radians(pitch))


def above(grip: Grip, height: float = HOVER) -> Grip:
    """The grip at another height."""
    return replace(grip, at=np.array([*grip.at[:2], height]))


def way(direction: np.ndarray) -> str:
    """A direction (2,) on the table in words, as seen from the arm."""
    words = (
        "away",
        "away and to the left",
        "to the left",
        "back and to the left",
        "back",
        "back and to the right",
        "to the right",
        "away and to the right",
    )
    return words[round(np.degrees(np.arctan2(direction[1], direction[0])) / 45) % 8]


def named(thing: FreeObject) -> str:
    """An object as a task calls it: ``the red box``."""
    return f"the {thing.words}"
