"""The truth about objects beside a dataset's frames. The evaluation alone reads it; no batch holds it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from forearm.base.files import map_array
from forearm.canvas import Camera, box_in_camera
from forearm.recordings.objects import SIDES, ObjectNames, ObjectTruth
from forearm.transitions.plan import as_pictured

OBJECTS_FILE = "objects.npy"
PUSHED, STILL = 3.0, 0.5
"""An object that moved by `PUSHED` millimetres or more was pushed; one that moved less than `STILL` stood still."""
TOUCHES, BOXES = 3, 4
"""Of the columns: how often the object was touched so far, and where the boxes begin. Before them stands x, y, z."""


@dataclass(frozen=True)
class Motions:
    """How K objects moved between two frames, of n pairs of frames; NaN for an object that was not there."""

    shifts: np.ndarray
    """(n, K, 3) millimetres along the table's x, y and up."""
    boxes: np.ndarray
    """(n, 2, K, C, 4): left, top, right, bottom before and after, as fractions of each camera's picture."""
    touched: np.ndarray
    """(n, K) bool, whether the arm touched it in between."""
    heights: np.ndarray
    """(n, 2, K) metres, before and after."""

    @property
    def distances(self) -> np.ndarray:
        """(n, K) millimetres."""
        return np.linalg.norm(self.shifts, axis=-1)

    @property
    def pushed(self) -> np.ndarray:
        """(n, K) bool, whether it moved by ``PUSHED`` or more."""
        return self.distances >= PUSHED

    @property
    def untouched(self) -> np.ndarray:
        """(n, K) bool, whether nothing touched it and it moved less than ``STILL``."""
        return ~self.touched & (self.distances < STILL)

    def __getitem__(self, pairs: slice | np.ndarray) -> "Motions":
        """Some of the pairs."""
        return Motions(*(getattr(self, field.name)[pairs] for field in fields(self)))


class ObjectTable:
    """What a dataset knows about K objects in each of its frames, left on the disk.

    Raises:
        ForearmError: the file is missing or damaged.
        ValueError: it is of another number of frames, objects or cameras.
    """

    def __init__(self, folder: Path, names: Sequence[str], frames: int, cameras: int):
        self.names, shape = tuple(names), (frames, len(names), BOXES + len(SIDES) * cameras)
        self._values = map_array(folder / OBJECTS_FILE, "float32")
        if self._values.shape != shape:
            raise ValueError(f"{OBJECTS_FILE} is {self._values.shape}, not {shape}")

    def of_frame(self, frame: int) -> dict[str, np.ndarray]:
        """What is known of each object in a frame, as `write_objects` takes it."""
        return dict(zip(self.names, self._values[frame], strict=True))

    def at(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions (n, K, 3) in metres and boxes (n, K, C, 4) of the objects in frames (n,)."""
        values = self._values[frames]
        return values[..., :TOUCHES], values[..., BOXES:].reshape(*values.shape[:2], -1, len(SIDES))

    def between(self, before: np.ndarray, after: np.ndarray) -> Motions:
        """How the objects moved from frames (n,) to later frames (n,) of the same episodes."""
        (start, old), (end, new) = self.at(before), self.at(after)
        return Motions(
            shifts=1000 * (end - start).astype(np.float64),
            boxes=np.stack([old, new], axis=1),
            touched=self._values[after][..., TOUCHES] > self._values[before][..., TOUCHES],
            heights=np.stack([start[..., 2], end[..., 2]], axis=1).astype(np.float64),
        )


def object_rows(
    truth: ObjectTruth, known: ObjectNames, cameras: Mapping[Camera, tuple[int, int]], lag: float
) -> list[dict[str, np.ndarray]]:
    """What a dataset stores of each of an episode's n rows: by name of the object (4 + 4C,) float32.

    Args:
        truth: as recorded.
        known: whose truth it is.
        cameras: the dataset's cameras, each with the size (h, w) of its recorded pictures.
        lag: by how many rows the pictures are late.
    """
    nowhere = np.full((*truth.positions.shape[:2], len(SIDES)), np.nan, np.float32)
    boxes = [
        box_in_camera(truth.boxes[:, :, known.cameras.index(camera.name)], size, camera)
        if camera.name in known.cameras
        else nowhere
        for camera, size in cameras.items()
    ]
    touches = np.cumsum(truth.touched, axis=0, dtype=np.float32)[..., None]
    values = np.concatenate([truth.positions, touches, *boxes], axis=-1)
    pictured = as_pictured(values.reshape(len(values), -1), lag).reshape(values.shape)
    return [dict(zip(known.objects, row, strict=True)) for row in pictured]


def write_objects(folder: Path, rows: Sequence[Mapping[str, np.ndarray]]) -> list[str]:
    """Write what is known of objects in each frame, where anything is; return the names of all."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    if names:
        nothing = np.full_like(next(row for row in rows if row)[names[0]], np.nan) if rows else None
        np.save(folder / OBJECTS_FILE, np.stack([[row.get(name, nothing) for name in names] for row in rows]))
    return names
