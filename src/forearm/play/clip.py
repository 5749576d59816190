"""A path to take home: as a film, as an animation, as numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from forearm.canvas import Layout
from forearm.environment import Imagined
from forearm.media import films
from forearm.media.labels import PAPER, labelled
from forearm.play.state import percent, words

BAR = 16
"""Width of the bar in the colour of the action, pixels."""
FPS = 2
"""States a second, as long as an action of the arm takes."""


def frames(layout: Layout, path: Sequence[Imagined]) -> list[np.ndarray]:
    """A picture for each state: truth and imagined frame by name, empty where the truth is unknown; the action that led
    there in words and, left of them as on a canvas, as a bar in its colour. (H, W, 3) uint8 of one size, H and W even.
    """
    return [_frame(layout, state, number, len(path) - 1) for number, state in enumerate(path)]


def _frame(layout: Layout, state: Imagined, number: int, steps: int) -> np.ndarray:
    caption = ("start", "both show the frame that is known")
    if state.action:
        error = "" if state.error is None else f", path error {percent(state.error)}"
        caption = (f"step {number} of {steps}{error}", words(layout, state.action))
    truth = ("truth", state.truth.picture) if state.truth else ("truth unknown", None)
    page = labelled([truth, ("imagined", state.observation.picture)], caption)
    colour = layout.palette[state.action.code] if state.action else PAPER
    return np.concatenate([np.full((len(page), BAR, 3), colour, np.uint8), page], axis=1)


def gif(layout: Layout, path: Sequence[Imagined]) -> bytes:
    """The path as an animated GIF."""
    return films.gif(frames(layout, path), 1 / FPS)


def mp4(layout: Layout, path: Sequence[Imagined]) -> bytes:
    """The path as an H.264 film."""
    return films.mp4(frames(layout, path), FPS)


def numbers(layout: Layout, path: Sequence[Imagined], step_errors: Mapping[int, float]) -> list[dict[str, Any]]:
    """The path as JSON: for each state the action that led there, the joints, what was expected and what is true.

    ``step_errors`` are those of a `PlaySession`.
    """
    return [
        {
            "action": words(layout, state.action) if state.action else None,
            "values": state.action.values.tolist() if state.action else None,
            "joints": _named(layout, state.observation.joints),
            "expected_mse": _mean(state.observation.expected_error),
            "true_joints": _named(layout, state.truth.joints) if state.truth else None,
            "step_mse": step_errors.get(state.number),
            "mse": _mean(state.error),
        }
        for state in path
    ]


def _mean(squared: np.ndarray | None) -> float | None:
    return None if squared is None else float(squared.mean())


def _named(layout: Layout, joints: np.ndarray) -> dict[str, float]:
    return {joint.name: float(position) for joint, position in zip(layout.joints, joints, strict=True)}
