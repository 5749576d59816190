"""What a task is: objects arranged, a goal, an expert, and whether it is done."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np

from forearm.sim.hand import Hand, Targets
from forearm.sim.kinematics import Grip
from forearm.sim.objects import FreeObject, World
from forearm.sim.simulator import Simulator

PAN = np.array([0.0388, 0.0])
"""Where the arm turns, (2,) metres."""
NEAR, FAR, ASIDE = 0.155, 0.285, 50.0
"""Metres from there, and degrees to either side, between which objects are put and moved."""
EDGE = 0.06
"""Share of the base camera's picture at its edges in which nothing is put."""
HOVER = 0.085
"""Height of the jaws' tips from which they come down, metres."""
TRIES = 300


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
        self.hand = Hand(simulator, 0.0, rng)  # to ask what is within reach
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
    def expert(self, hand: Hand) -> Targets:
        """What a skilled operator would command, from the present state on; it looks at the simulator as it goes."""

    def object_at(self, number: int) -> np.ndarray:
        """Where an object is, (3,) metres."""
        return self.simulator.poses()[number, :3]

    def scatter(self, apart: float = 0.05, fits: Callable[[int, np.ndarray], bool] = lambda number, at: True) -> None:
        """Stand all objects somewhere on the table, turned anyhow, at least so many metres between them.

        Args:
            apart: metres of free table between two.
            fits: whether an object, by its number, may stand at a place (2,).
        """
        placed: list[np.ndarray] = []
        objects = self.simulator.objects
        for number, thing in enumerate(objects):
            for _ in range(TRIES):
                at = self.anywhere()
                free = all(
                    np.linalg.norm(at - other) > apart + thing.radius + objects[i].radius
                    for i, other in enumerate(placed)
                )
                if free and fits(number, at):
                    placed.append(at)
                    break
            else:
                raise Unsuitable
        self.stand(placed)

    def stand(self, places: Sequence[np.ndarray]) -> None:
        """Stand each object at a place (2,), turned anyhow, and let them come to rest."""
        turns = self.rng.uniform(-np.pi, np.pi, len(places)) / 2
        poses = [
            [*at, thing.height + 0.0005, np.cos(turn), 0, 0, np.sin(turn)]
            for at, thing, turn in zip(places, self.simulator.objects, turns, strict=True)
        ]
        self.simulator.place_objects(np.array(poses))
        if self.simulator.touching():
            raise Unsuitable
        self.simulator.step(self.simulator.targets(), 0.3)

    def anywhere(self) -> np.ndarray:
        """Some place (2,) before the arm, within its reach and in view."""
        while True:
            angle, distance = np.radians(self.rng.uniform(-ASIDE, ASIDE)), self.rng.uniform(NEAR, FAR)
            place = PAN + distance * np.array([np.cos(angle), np.sin(angle)])
            if self.is_near(place):
                return place

    def is_near(self, place: np.ndarray) -> bool:
        """Whether a place (2,) is before the arm, within its reach and well inside the base camera's picture."""
        x, y = place - PAN
        near = NEAR - 0.01 <= np.hypot(x, y) <= FAR + 0.01 and abs(np.degrees(np.arctan2(y, x))) <= ASIDE + 3
        seen = self.simulator.seen("base", np.array([[*place, 0.02]]))
        return bool(near and (np.abs(seen - 0.5) < 0.5 - EDGE).all())

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


def low(pitch: float, clear: float = 0.007) -> float:
    """The height of the point between the tips at which nothing of the jaws touches the table, metres."""
    return clear + 0.010 * np.sin(np.radians(pitch)) + 0.012 * np.cos(np.radians(pitch))


def above(grip: Grip, height: float = HOVER) -> Grip:
    """The grip at another height."""
    return Grip(np.array([*grip.at[:2], height]), grip.pitch, grip.across, grip.opening, grip.tip)


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
