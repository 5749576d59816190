"""A path to take home: as a film, as an animation, as numbers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from forearm.canvas import Layout
from forearm.media import films
from forearm.media.pictures import enlarge, tile
from forearm.play.dream import Moment

HEIGHT = 256
"""About how high a camera's picture is in a clip, pixels."""
GAP = 8
FPS = 2
"""Moments a second, as long as an action of the arm takes."""


def frames(layout: Layout, path: Sequence[Moment]) -> list[np.ndarray]:
    """The pictures of a path, as on a canvas: the cameras, right of them a bar in the colour of the action to come.

    Where the truth is known anywhere beyond the start, it stands below, dark where it is unknown.

    Args:
        path: from `Dream`, n moments.

    Returns:
        n pictures (H, W, 3) uint8 of one size, H and W even.
    """
    with_truth = any(moment.truth for moment in path[1:])
    pictures = []
    for place, moment in enumerate(path):
        rows = [side_by_side(layout, moment.picture)]
        if with_truth:
            truth = moment.truth.picture if moment.truth else np.full_like(moment.picture, 24)
            rows.append(side_by_side(layout, truth))
        sheet = tile(rows, columns=1, gap=GAP, fill=0)
        bar = np.zeros((len(sheet), 2 * GAP, 3), np.uint8)
        taken = path[place + 1].taken if place + 1 < len(path) else None
        if taken is not None:
            bar[:, GAP // 2 :] = layout.palette[taken.action.code]
        sheet = np.concatenate([sheet, bar], axis=1)
        pictures.append(np.pad(sheet, ((0, len(sheet) % 2), (0, sheet.shape[1] % 2), (0, 0))))
    return pictures


def side_by_side(layout: Layout, picture: np.ndarray) -> np.ndarray:
    """The cameras of a picture (h, w, 3) uint8 next to each other, enlarged, (H, W, 3) uint8."""
    cameras = tile([picture[box] for box in layout.camera_boxes()], fill=0)
    return enlarge(cameras, max(1, round(HEIGHT / len(cameras))))


def gif(layout: Layout, path: Sequence[Moment]) -> bytes:
    """The path as an animated GIF."""
    return films.gif(frames(layout, path), 1 / FPS)


def mp4(layout: Layout, path: Sequence[Moment]) -> bytes:
    """The path as an H.264 film."""
    return films.mp4(frames(layout, path), FPS)


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
