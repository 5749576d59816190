"""A path to take home: as a film, as an animation, as numbers."""

import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from forearm.canvas import Layout
from forearm.play.dream import Moment
from forearm.recordings.encoding import encode

HEIGHT = 256
"""About how high a camera's picture is in a clip, pixels."""
GAP = 8
FPS = 2
"""Moments a second, as long as an action of the arm takes."""


def frames(layout: Layout, path: Sequence[Moment]) -> np.ndarray:
    """The pictures of a path, as on a canvas: the cameras, right of them a bar in the colour of the action to come.

    Where the truth is known anywhere beyond the start, it stands below, dark where it is unknown.

    Args:
        path: from `Dream`, n moments.

    Returns:
        (n, H, W, 3) uint8, H and W even.
    """
    with_truth = any(moment.truth for moment in path[1:])
    pictures = []
    for place, moment in enumerate(path):
        rows = [side_by_side(layout, moment.picture)]
        if with_truth:
            truth = moment.truth.picture if moment.truth else np.full_like(moment.picture, 24)
            rows += [np.zeros((GAP, rows[0].shape[1], 3), np.uint8), side_by_side(layout, truth)]
        sheet = np.concatenate(rows)
        bar = np.zeros((len(sheet), 2 * GAP, 3), np.uint8)
        taken = path[place + 1].taken if place + 1 < len(path) else None
        if taken is not None:
            bar[:, GAP // 2 :] = layout.palette[taken.action.code]
        sheet = np.concatenate([sheet, bar], axis=1)
        pictures.append(np.pad(sheet, ((0, len(sheet) % 2), (0, sheet.shape[1] % 2), (0, 0))))
    return np.stack(pictures)


def side_by_side(layout: Layout, picture: np.ndarray) -> np.ndarray:
    """The cameras of a picture (h, w, 3) uint8 next to each other, each pixel enlarged to a square, (H, W, 3)."""
    seen = [picture[box] for box in layout.camera_boxes()]
    tallest = max(len(camera) for camera in seen)
    padded = [np.pad(camera, ((0, tallest - len(camera)), (0, 0), (0, 0))) for camera in seen]
    times = max(1, round(HEIGHT / tallest))
    return np.concatenate(padded, axis=1).repeat(times, axis=0).repeat(times, axis=1)


def gif(layout: Layout, path: Sequence[Moment]) -> bytes:
    """The path as an animated GIF."""
    first, *others = (Image.fromarray(picture) for picture in frames(layout, path))
    buffer = io.BytesIO()
    first.save(buffer, "GIF", save_all=True, append_images=others, duration=1000 // FPS, loop=0)
    return buffer.getvalue()


def mp4(layout: Layout, path: Sequence[Moment]) -> bytes:
    """The path as an H.264 film."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "dream.mp4"
        encode(file, frames(layout, path), FPS)
        return file.read_bytes()


def numbers(layout: Layout, path: Sequence[Moment]) -> list[dict[str, Any]]:
    """The path as JSON: for each moment the action that led there, the joints, what was expected and what is true."""
    return [
        {
            "action": moment.taken.action.in_words(layout) if moment.taken else None,
            "amounts": moment.taken.action.amounts.tolist() if moment.taken else None,
            "joints": _named(layout, moment.joints),
            "expected_mse": moment.taken.expected if moment.taken else None,
            "true_joints": _named(layout, moment.truth.joints) if moment.truth else None,
            "mse": moment.mse,
        }
        for moment in path
    ]


def _named(layout: Layout, joints: np.ndarray) -> dict[str, float]:
    return {joint.name: float(position) for joint, position in zip(layout.joints, joints, strict=True)}
