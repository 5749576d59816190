"""A path to take home: as a film, as an animation, as numbers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from forearm.canvas import Layout
from forearm.environment import Imagined
from forearm.media import films
from forearm.media.pictures import enlarge, tile
from forearm.play.state import words

HEIGHT = 256
"""About how high a camera's picture is in a clip, pixels."""
GAP = 8
FPS = 2
"""States a second, as long as an action of the arm takes."""


def frames(layout: Layout, path: Sequence[Imagined]) -> list[np.ndarray]:
    """The pictures of a path, as on a canvas: the cameras, right of them a bar in the colour of the action to come.

    Where the truth is known anywhere beyond the start, it stands below, dark where it is unknown. They are (H, W, 3)
    uint8 of one size, H and W even.
    """
    with_truth = any(state.truth for state in path[1:])
    pictures = []
    for state, following in zip(path, [*path[1:], None], strict=True):
        picture = state.observation.picture
        rows = [side_by_side(layout, picture)]
        if with_truth:
            rows.append(side_by_side(layout, state.truth.picture if state.truth else np.full_like(picture, 24)))
        sheet = tile(rows, columns=1, gap=GAP, fill=0)
        bar = np.zeros((len(sheet), 2 * GAP, 3), np.uint8)
        if following and following.action:
            bar[:, GAP // 2 :] = layout.palette[following.action.code]
        sheet = np.concatenate([sheet, bar], axis=1)
        pictures.append(np.pad(sheet, ((0, len(sheet) % 2), (0, sheet.shape[1] % 2), (0, 0))))
    return pictures


def side_by_side(layout: Layout, picture: np.ndarray) -> np.ndarray:
    """The cameras of a picture (h, w, 3) uint8 next to each other, enlarged, (H, W, 3) uint8."""
    cameras = tile(layout.split(picture), fill=0)
    return enlarge(cameras, max(1, round(HEIGHT / len(cameras))))


def gif(layout: Layout, path: Sequence[Imagined]) -> bytes:
    """The path as an animated GIF."""
    return films.gif(frames(layout, path), 1 / FPS)


def mp4(layout: Layout, path: Sequence[Imagined]) -> bytes:
    """The path as an H.264 film."""
    return films.mp4(frames(layout, path), FPS)


def numbers(layout: Layout, path: Sequence[Imagined]) -> list[dict[str, Any]]:
    """The path as JSON: for each state the action that led there, the joints, what was expected and what is true."""
    return [
        {
            "action": words(layout, state.action) if state.action else None,
            "values": state.action.values.tolist() if state.action else None,
            "joints": _named(layout, state.observation.joints),
            "expected_mse": _mean(state.observation.expected_error),
            "true_joints": _named(layout, state.truth.joints) if state.truth else None,
            "mse": _mean(state.error),
        }
        for state in path
    ]


def _mean(squared: np.ndarray | None) -> float | None:
    return None if squared is None else float(squared.mean())


def _named(layout: Layout, joints: np.ndarray) -> dict[str, float]:
    return {joint.name: float(position) for joint, position in zip(layout.joints, joints, strict=True)}
