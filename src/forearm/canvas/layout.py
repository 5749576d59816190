"""Where everything stands on a canvas, as one small immutable value."""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from forearm.base.errors import ForearmError

STAY, MOVE_PLUS, MOVE_MINUS = 0, 1, 2
CODES = (STAY, MOVE_PLUS, MOVE_MINUS)
CODE_NAMES = ("STAY", "MOVE+", "MOVE−")

Colour = tuple[int, int, int]
Fit = Literal["squeeze", "crop", "letterbox"]
UnitOrigin = Literal["guessed", "declared", "given"]
"""How a unit is known: guessed from the values, declared by the recording, or given by a person."""
UNIT_ORIGINS: tuple[UnitOrigin, ...] = ("guessed", "declared", "given")
"""From the weakest to the strongest."""
ActionMeaning = Literal["target", "delta", "velocity"]
"""What a command of a joint is: where it is to go, by how much, or how fast."""
ACTION_MEANINGS: tuple[ActionMeaning, ...] = ("target", "delta", "velocity")
NEWER_FIELDS = {
    "unit_origin": "guessed",
    "action_duration": None,
    "action_is": None,
    "recorded_size": None,
    "fps": None,
    "fit": "squeeze",
    "zero": 0.0,
}
"""Fields that layouts of before 2026-11-26 lack, with their defaults. A default is not written, so that the digest of
an older layout, by which weights know it, stays what it was."""

MOST_PIXELS, MOST_PATCHES = 2**26, 2**16
"""Of a canvas; more would only fill memory."""


@dataclass(frozen=True)
class Preset:
    """Pixel sizes that belong together: square cameras, patches, and the separator between frames."""

    camera: int
    patch: int
    separator: int


PRESETS = {
    "so101": Preset(camera=224, patch=16, separator=32),
    "tiny": Preset(camera=64, patch=8, separator=8),
}


@dataclass(frozen=True)
class Camera:
    """One picture of a frame: its name and its size in pixels."""

    name: str
    height: int
    width: int
    recorded_size: tuple[int, int] | None = field(default=None, compare=False)
    """Height and width as recorded, before it was resized; None where nobody knows."""
    fps: float | None = field(default=None, compare=False)
    """Pictures per second as recorded."""
    fit: Fit = "squeeze"
    """How a picture of another shape fits: squeezed, cropped to its middle, or whole with black beside it."""


@dataclass(frozen=True)
class Joint:
    """One motor: its name, its unit, and the bounds between which the strip runs from black to white."""

    name: str
    unit: str = "deg"
    low: float = -180.0
    high: float = 180.0
    max_velocity: float = 30.0
    unit_origin: UnitOrigin = "guessed"
    """How the unit is known; a guess is a label and never decides how an arm is moved."""


@dataclass(frozen=True)
class ActionDimension:
    """One cell of the separator: value 1 means ``scale`` of ``unit``; ``joint`` is the joint it drives.

    ``zero`` is the command that value 0 means, where no joint answers it.
    """

    name: str
    joint: str | None = None
    unit: str = "deg"
    scale: float = 1.0
    zero: float = 0.0


@dataclass(frozen=True)
class Layout:
    """Geometry, joints, actions and bounds of a canvas.

    Lengths in pixels. A frame is ``frame_height`` × ``frame_width`` of stacked cameras with a motor strip of
    ``strip_height`` below; ``history`` frames stand side by side with a separator between neighbours.
    Cells, and the patches that models cut a canvas into, are squares of ``patch`` pixels.

    Raises:
        ForearmError: sizes that the patch does not divide, bounds that are not an interval, and the like.
    """

    cameras: tuple[Camera, ...]
    joints: tuple[Joint, ...]
    actions: tuple[ActionDimension, ...]
    patch: int
    separator: int
    discrete: bool = True
    history: int = 2
    stacking: Literal["vertical", "horizontal"] = "vertical"
    palette: tuple[Colour, Colour, Colour] = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
    action_duration: float | None = None
    """Seconds from frame to frame, in which an action is carried out; None where nobody knows."""
    action_is: ActionMeaning | None = None
    """What the recorded commands were, from which actions come; None where actions are changes of the joints."""

    def __post_init__(self) -> None:
        self._require(bool(self.cameras), "a layout needs at least one camera")
        self._require(bool(self.joints), "a layout needs at least one joint")
        self._require(bool(self.actions), "a layout needs at least one action dimension")
        self._require(self.history >= 2, f"history is {self.history}; a canvas needs at least 2 frames")
        self._require(self.stacking in ("vertical", "horizontal"), f"unknown stacking {self.stacking!r}")
        self._require(self.patch >= 1, f"the patch is {self.patch}; it has to be at least 1")
        for kind, names in (("cameras", self.cameras), ("joints", self.joints), ("action dimensions", self.actions)):
            self._require(len({part.name for part in names}) == len(names), f"two {kind} have one name")
        for colour in self.palette:
            self._require(all(0 <= part <= 255 for part in colour), f"{colour} in the palette is no colour")
        across = "width" if self.stacking == "vertical" else "height"
        sizes = {getattr(camera, across) for camera in self.cameras}
        self._require(len(sizes) == 1, f"cameras stacked {self.stacking}ly need one {across}, not {sorted(sizes)}")
        for what, size in (
            ("frame height", self.frame_height),
            ("frame width", self.frame_width),
            ("separator", self.separator),
        ):
            self._require(
                size > 0 and size % self.patch == 0,
                f"{what} {size} is not divisible by the patch {self.patch}; choose sizes that are multiples of it",
            )
        for camera in self.cameras:
            smallest = min(camera.height, camera.width, *(camera.recorded_size or ()))
            self._require(smallest >= 1, f"camera {camera.name} has no pixels")
            rate = camera.fps
            self._require(
                rate is None or 0 < rate < math.inf,
                f"camera {camera.name} shows {rate} pictures a second; that has to be positive",
            )
        pixels = self.height * self.width
        self._require(pixels <= MOST_PIXELS, f"a canvas of {pixels} pixels is too large; {MOST_PIXELS} are possible")
        patches = pixels // self.patch**2
        self._require(patches <= MOST_PATCHES, f"{patches} patches are too many; {MOST_PATCHES} are possible")
        self._require(
            len(self.actions) <= self.height,
            f"{len(self.actions)} action dimensions do not fit in a separator {self.height} pixels tall",
        )
        self._require(
            self.action_is is None or self.action_is in ACTION_MEANINGS,
            f"an action is {self.action_is!r}; it is one of {', '.join(ACTION_MEANINGS)}",
        )
        duration = self.action_duration
        self._require(
            duration is None or 0 < duration < math.inf, f"an action lasts {duration} seconds; it has to be positive"
        )
        for joint in self.joints:
            good = joint.low < joint.high and joint.max_velocity > 0 and math.isfinite(joint.high - joint.low)
            self._require(
                good,
                f"joint {joint.name} has no interval between {joint.low} and {joint.high}, or no velocity range",
            )
            self._require(
                joint.unit_origin in UNIT_ORIGINS,
                f"the unit of joint {joint.name} is {joint.unit_origin!r}; it is one of {', '.join(UNIT_ORIGINS)}",
            )
        for dimension in self.actions:
            self._require(
                0 < dimension.scale < math.inf,
                f"action {dimension.name} has scale {dimension.scale}; it must be positive",
            )
            known = dimension.joint is None or dimension.joint in self.joint_names
            self._require(
                known, f"action {dimension.name} drives joint {dimension.joint}, which the layout does not have"
            )

    @staticmethod
    def _require(good: bool, otherwise: str) -> None:
        if not good:
            raise ForearmError(otherwise)

    # Sizes

    @property
    def frame_height(self) -> int:
        heights = [camera.height for camera in self.cameras]
        return sum(heights) if self.stacking == "vertical" else heights[0]

    @property
    def frame_width(self) -> int:
        widths = [camera.width for camera in self.cameras]
        return widths[0] if self.stacking == "vertical" else sum(widths)

    @property
    def strip_height(self) -> int:
        cells_per_row = self.frame_width // self.patch
        return math.ceil(2 * len(self.joints) / cells_per_row) * self.patch

    @property
    def height(self) -> int:
        return self.frame_height + self.strip_height

    @property
    def width(self) -> int:
        return self.history * self.frame_width + (self.history - 1) * self.separator

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches on the whole canvas."""
        return self.height // self.patch, self.width // self.patch

    # Places

    def frame_columns(self, t: int) -> slice:
        """Columns of frame ``t``; negative ``t`` counts from the last frame."""
        start = (t % self.history) * (self.frame_width + self.separator)
        return slice(start, start + self.frame_width)

    def separator_columns(self, t: int) -> slice:
        """Columns of the separator between frames ``t`` and ``t + 1``; negative ``t`` counts from the last."""
        start = (t % (self.history - 1)) * (self.frame_width + self.separator) + self.frame_width
        return slice(start, start + self.separator)

    def camera_boxes(self) -> list[tuple[slice, slice]]:
        """Rows and columns of each camera within a frame."""
        boxes, y, x = [], 0, 0
        for camera in self.cameras:
            boxes.append((slice(y, y + camera.height), slice(x, x + camera.width)))
            if self.stacking == "vertical":
                y += camera.height
            else:
                x += camera.width
        return boxes

    def strip_cells(self) -> list[tuple[slice, slice]]:
        """Rows and columns within a frame of the strip's cells: positions of all joints, then velocities."""
        per_row, p = self.frame_width // self.patch, self.patch
        cells = (divmod(i, per_row) for i in range(2 * len(self.joints)))
        return [
            (slice(self.frame_height + r * p, self.frame_height + (r + 1) * p), slice(c * p, (c + 1) * p))
            for r, c in cells
        ]

    def split(self, picture: np.ndarray) -> list[np.ndarray]:
        """The cameras' pictures, in order, of a picture (h, w, …) in which they are stacked."""
        return [picture[box] for box in self.camera_boxes()]

    def action_rows(self) -> list[slice]:
        """Rows of the separator's cells, one an action dimension, from top to bottom."""
        edges = np.linspace(0, self.height, len(self.actions) + 1).round().astype(int)
        return [slice(int(a), int(b)) for a, b in itertools.pairwise(edges)]

    # Joints

    @property
    def joint_names(self) -> tuple[str, ...]:
        return tuple(joint.name for joint in self.joints)

    @property
    def lows(self) -> np.ndarray:
        """Lower bound of each joint, (J,) float64 in the joint's unit."""
        return np.array([joint.low for joint in self.joints])

    @property
    def highs(self) -> np.ndarray:
        """Upper bound of each joint, (J,) float64 in the joint's unit."""
        return np.array([joint.high for joint in self.joints])

    @property
    def max_velocities(self) -> np.ndarray:
        """Change per frame at which a velocity cell is white, (J,) float64 in the joint's unit."""
        return np.array([joint.max_velocity for joint in self.joints])

    def joint_of_dimension(self) -> np.ndarray:
        """For each action dimension the index of the joint it drives, (A,) int64, −1 where there is none."""
        names = self.joint_names
        return np.array([names.index(e.joint) if e.joint in names else -1 for e in self.actions])

    def with_bounds(self, lows: np.ndarray, highs: np.ndarray, max_velocities: np.ndarray) -> "Layout":
        """The same layout with other bounds, each (J,) in the joints' units."""
        joints = tuple(
            dataclasses.replace(joint, low=float(a), high=float(b), max_velocity=float(v))
            for joint, a, b, v in zip(self.joints, lows, highs, max_velocities, strict=True)
        )
        return dataclasses.replace(self, joints=joints)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary from which `forearm.transitions.layout.read_layout` makes an equal layout."""
        return dataclasses.asdict(self, dict_factory=_without_newer_defaults)


def with_weakest_origins(sets: Sequence[tuple[Joint, ...]]) -> tuple[Joint, ...]:
    """The joints of the first of several sets; each unit is known only as well as in the set that knows least."""
    return tuple(
        dataclasses.replace(same[0], unit_origin=min((joint.unit_origin for joint in same), key=UNIT_ORIGINS.index))
        for same in zip(*sets, strict=True)
    )


def _without_newer_defaults(items: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in items if name not in NEWER_FIELDS or value != NEWER_FIELDS[name]}
