"""What the page shows of a path, as JSON."""

from typing import Any

import numpy as np

from forearm.canvas import CODE_NAMES, Action, Layout
from forearm.environment import Imagined
from forearm.media.colours import OVERLAY, heat_map
from forearm.media.pictures import data_uri
from forearm.media.words import action_words
from forearm.play.session import PlaySession

HEAT_TOP = 0.4
"""The root of the squared error at which heat is at its strongest, as a share of the range from black to white."""


def state_of(session: PlaySession, whole: bool = False) -> dict[str, Any]:
    """Where a path has come to: the present, what each action would show, and the path so far.

    The path's pictures are included only with ``whole``: who has followed the path has seen them.
    """
    layout, now = session.layout, session.now
    previews = session.previews()
    return {
        "start": {"source": session.start.source, "number": session.start.number, "note": session.start.note},
        "dimension": session.dimension,
        "value": session.value,
        "recorded": session.recorded(),
        "now": _now(layout, now),
        "previews": [_preview(layout, preview) for preview in previews],
        "path": [_step(layout, state, whole) for state in session.path],
    }


def words(layout: Layout, action: Action | None) -> str:
    """An action as the page names it, such as "MOVE+ shoulder_pan +10°"; none leads to the start."""
    if action is None:
        return "the start"
    change, code = action_words(layout, action.values), CODE_NAMES[action.code]
    return change if change == code else f"{code} {change}"


def cameras(layout: Layout, picture: np.ndarray) -> list[str]:
    """A data URI for each camera of a picture (h, w, 3 or 4) uint8, exact to the pixel."""
    return [data_uri(each, "fast") for each in layout.split(picture)]


def _now(layout: Layout, state: Imagined) -> dict[str, Any]:
    shown, truth = state.observation, state.truth
    return {
        "number": state.number,
        "pictures": cameras(layout, shown.picture),
        "joints": shown.joints.tolist(),
        "uncertainty": _heat(layout, shown.expected_error),
        "truth": None if truth is None else cameras(layout, truth.picture),
        "true_joints": None if truth is None else truth.joints.tolist(),
        "error": _heat(layout, state.error),
    }


def _preview(layout: Layout, state: Imagined) -> dict[str, Any]:
    shown = state.observation
    return {
        "code": state.action.code if state.action else None,
        "words": words(layout, state.action),
        "pictures": cameras(layout, shown.picture),
        "joints": shown.joints.tolist(),
        "expected_error": _root_mean(shown.expected_error),
        "uncertainty": _heat(layout, shown.expected_error),
    }


def _step(layout: Layout, state: Imagined, whole: bool) -> dict[str, Any]:
    return {
        "number": state.number,
        "pictures": cameras(layout, state.observation.picture) if whole else None,
        "code": state.action.code if state.action else None,
        "words": words(layout, state.action),
        "expected_error": _root_mean(state.observation.expected_error),
        "error": _root_mean(state.error),
    }


def _heat(layout: Layout, squared: np.ndarray | None) -> list[str] | None:
    """Squared errors (h, w) as colours to lay over each camera; no error is transparent."""
    return None if squared is None else cameras(layout, heat_map(np.sqrt(squared), HEAT_TOP, OVERLAY))


def _root_mean(squared: np.ndarray | None) -> float | None:
    """The root of the mean squared error: a share of the range from black to white."""
    return None if squared is None else float(np.sqrt(float(squared.mean())))
