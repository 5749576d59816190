"""The truth about objects, as a simulated recording holds it under ``observation.environment_state``.

Only an evaluation reads it, never a model. For each object the feature has ``NAME.x`` … ``NAME.touched`` and, for each
camera, ``NAME.CAMERA.left`` … ``NAME.CAMERA.bottom``; see docs/formats.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

OBJECTS_KEY = "observation.environment_state"
POSE = ("x", "y", "z", "qw", "qx", "qy", "qz", "touched")
SIDES = ("left", "top", "right", "bottom")


@dataclass(frozen=True)
class ObjectNames:
    """Whose truth a recording holds: K objects, in the pictures of C cameras."""

    objects: tuple[str, ...] = ()
    """Names of the objects, in the order of their numbers; empty where nothing is known of any."""
    cameras: tuple[str, ...] = ()
    """Plain names of the cameras, in the order of their numbers."""

    @classmethod
    def of(cls, names: Sequence[str]) -> "ObjectNames":
        """From the names of the feature's dimensions; no objects where these are named in any other way."""
        parts = [name.split(".") for name in names]
        objects, cameras = dict.fromkeys(part[0] for part in parts), dict.fromkeys(p[1] for p in parts if len(p) == 3)
        found = cls(tuple(objects), tuple(cameras))
        return found if found.names() == list(names) else cls()

    def names(self) -> list[str]:
        """The names of the feature's dimensions."""
        boxes = [f"{camera}.{side}" for camera in self.cameras for side in SIDES]
        return [f"{name}.{value}" for name in self.objects for value in (*POSE, *boxes)]

    def truth(self, values: np.ndarray) -> "ObjectTruth":
        """What rows (n, D) of the feature say; an object with a value that is no finite number is not there."""
        each = values.reshape(len(values), len(self.objects), len(POSE) + len(SIDES) * len(self.cameras))
        each = np.where(np.isfinite(each).all(axis=-1, keepdims=True), each, np.float32(np.nan))
        boxes = each[..., len(POSE) :].reshape(*each.shape[:2], len(self.cameras), len(SIDES))
        boxes[(boxes == 0).all(axis=-1)] = np.nan
        return ObjectTruth(each[..., :3], each[..., POSE.index("touched")] > 0, boxes)


@dataclass(frozen=True)
class ObjectTruth:
    """Where K objects truly are in n rows; NaN for an object that is not there."""

    positions: np.ndarray
    """(n, K, 3) float32, metres in the table's frame, z up."""
    touched: np.ndarray
    """(n, K) bool, whether the arm touched it at any moment since the row before."""
    boxes: np.ndarray
    """(n, K, C, 4) float32: left, top, right, bottom in each camera as fractions of the picture's width and height; NaN
    behind the camera."""
