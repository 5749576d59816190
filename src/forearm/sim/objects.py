"""Free objects: what stands on the table and can be pushed, grasped and knocked over. Imports nothing of MuJoCo."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

ObjectSet = Literal["training", "held-out"]
"""Objects of the training's shapes and colours, or of others that serve to test."""
Shape = Literal["box", "bar", "cylinder", "ball", "disc", "capsule", "cross", "step"]
SHAPES: dict[ObjectSet, tuple[Shape, ...]] = {
    "training": ("box", "bar", "cylinder", "ball"),
    "held-out": ("cross", "step", "disc", "capsule"),
}
COLOURS: dict[ObjectSet, dict[str, tuple[float, float, float]]] = {
    "training": {
        "red": (0.85, 0.10, 0.10),
        "blue": (0.10, 0.25, 0.90),
        "yellow": (0.98, 0.86, 0.10),
        "green": (0.08, 0.62, 0.20),
        "cyan": (0.10, 0.80, 0.88),
        "magenta": (0.80, 0.15, 0.75),
        "white": (0.95, 0.95, 0.95),
    },
    "held-out": {
        "purple": (0.42, 0.12, 0.70),
        "lime": (0.62, 0.95, 0.15),
        "pink": (1.00, 0.55, 0.75),
        "teal": (0.02, 0.45, 0.45),
        "navy": (0.08, 0.10, 0.40),
        "grey": (0.55, 0.57, 0.60),
    },
}
OBSTACLE = "obstacle"
"""The name of the object that is to be reached around."""
DENSITY = 450.0
"""Kilograms per cubic metre, as of light wood: 9 to 57 grams an object."""
FRICTION = (0.6, 0.01, 0.0008)
"""Of sliding, spinning and rolling."""


@dataclass(frozen=True)
class Part:
    """A primitive of an object."""

    kind: Literal["box", "cylinder", "sphere", "capsule"]
    """The primitive's shape."""
    size: tuple[float, ...]
    """Half sides of a box; radius, and half height or half length, of a cylinder or capsule; radius of a sphere."""
    at: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Its centre in the object's frame."""
    lying: bool = False
    """Whether its axis lies along the object's y instead of standing along z."""

    def outline(self) -> np.ndarray:
        """Points (k, 3) of its surface that bound it as seen from anywhere."""
        if self.kind == "box":
            corners = np.stack(np.meshgrid(*[(-1, 1)] * 3), axis=-1).reshape(-1, 3)
            return corners * np.array(self.size) + np.array(self.at)
        angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
        radius, half = (self.size[0], self.size[-1]) if self.kind != "sphere" else (self.size[0], 0.0)
        if self.kind == "cylinder":
            ring = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius
            points = np.concatenate([np.column_stack([ring, np.full(16, side * half)]) for side in (-1, 1)])
        else:  # a ball, or one at either end of a capsule
            z = np.linspace(-1, 1, 9)[:, None]
            around = np.sqrt(1 - z * z)
            ball = np.stack([around * np.cos(angles), around * np.sin(angles), z + 0 * angles], axis=-1).reshape(-1, 3)
            points = np.concatenate([ball * radius + [0, 0, side * half] for side in ((-1, 1) if half else (0,))])
        points = points[:, [0, 2, 1]] if self.lying else points
        return points + np.array(self.at)


@dataclass(frozen=True)
class FreeObject:
    """An object that moves when it is touched."""

    name: str
    """By which its pose is recorded; the same in all sessions of a recording."""
    shape: str
    """In a word."""
    colour: str
    """In a word."""
    rgb: tuple[float, float, float]
    """In [0, 1]."""
    parts: tuple[Part, ...]
    """Which form it together, in its own frame; the frame's origin is its middle."""
    density: float = DENSITY
    """Kilograms per cubic metre."""

    @property
    def outline(self) -> np.ndarray:
        """Points (k, 3) in its own frame that bound it as seen from anywhere."""
        return np.concatenate([part.outline() for part in self.parts])

    @property
    def radius(self) -> float:
        """Of the smallest upright cylinder around it, metres."""
        return float(np.hypot(*self.outline[:, :2].T).max())

    @property
    def half_width(self) -> float:
        """Half of its extent along its own x, across which it is grasped, metres."""
        return float(self.outline[:, 0].max())

    @property
    def is_round(self) -> bool:
        """Whether it looks the same from all sides, so that it can be grasped from any."""
        return all(part.kind in ("cylinder", "sphere") for part in self.parts)

    @property
    def height(self) -> float:
        """Of its middle when it stands, metres."""
        return float(-self.outline[:, 2].min())

    @property
    def words(self) -> str:
        """As a task calls it: ``red box``."""
        return f"{self.colour} {self.shape}"


@dataclass(frozen=True)
class World:
    """What there is on the table besides the arm; the session's seed decides the rest."""

    objects: int
    """How many free objects of the set."""
    which: ObjectSet = "training"
    """Of which set."""
    obstacle: bool = False
    """Whether there is a wall to reach around, too."""
    region: bool = False
    """Whether a region is marked on the table, into which things are put."""

    def draw(self, session_seed: int) -> tuple[FreeObject, ...]:
        """The objects of a session."""
        rng = np.random.default_rng([session_seed, 1])
        colours = COLOURS[self.which]
        names = list(rng.permutation(list(colours)))
        things = [
            _object(f"object_{number + 1}", names[number % len(names)], self.which, rng)
            for number in range(self.objects)
        ]
        if self.obstacle:
            wall = Part("box", (0.012, rng.uniform(0.025, 0.035), rng.uniform(0.03, 0.04)))
            things.append(FreeObject(OBSTACLE, "wall", "black", (0.07, 0.07, 0.08), (wall,), 4 * DENSITY))
        return tuple(things)


def _object(name: str, colour: str, which: ObjectSet, rng: np.random.Generator) -> FreeObject:
    shape = SHAPES[which][rng.integers(len(SHAPES[which]))]
    rgb = np.clip(np.array(COLOURS[which][colour]) + rng.uniform(-0.05, 0.05, 3), 0, 1)
    return FreeObject(name, shape, colour, tuple(rgb.tolist()), _parts(shape, rng))


def _parts(shape: Shape, rng: np.random.Generator) -> tuple[Part, ...]:
    """Parts of a shape in a size that the gripper can grasp: 27 to 46 mm wide."""
    r, h = rng.uniform(0.015, 0.021), rng.uniform(0.016, 0.028)
    match shape:
        case "box":
            return (Part("box", (r, r * rng.uniform(0.9, 1.15), h)),)
        case "bar":
            return (Part("box", (r * 0.9, r * rng.uniform(1.5, 2.0), r)),)
        case "cylinder":
            return (Part("cylinder", (r, h)),)
        case "ball":
            return (Part("sphere", (r * 1.1,)),)
        case "disc":
            return (Part("cylinder", (r * 1.1, 0.012)),)
        case "capsule":
            return (Part("capsule", (r * 0.9, r * 0.9), lying=True),)
        case "cross":
            return (Part("box", (r * 1.1, r * 0.45, h * 0.8)), Part("box", (r * 0.45, r * 1.4, h * 0.8)))
        case "step":
            low = Part("box", (r, r * 1.2, h * 0.5), (0.0, 0.0, -h * 0.4))
            return (low, Part("box", (r, r * 0.6, h * 0.4), (0.0, -r * 0.6, h * 0.5)))
