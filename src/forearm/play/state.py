"""What the page shows of a path, as JSON."""

from typing import Any

import numpy as np

from forearm.canvas import CODE_NAMES, Action, Layout
from forearm.environment import Imagined
from forearm.media.words import action_words
from forearm.play.pictures import cameras, heat
from forearm.play.session import PlaySession


def state_of(session: PlaySession, whole: bool = False) -> dict[str, Any]:
    """Where a path has come to: the present, what each action would show, and the path so far.

    The path's pictures are told only with ``whole``; who has followed the path has seen them.
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
    said, code = action_words(layout, action.values), CODE_NAMES[action.code]
    return said if said == code else f"{code} {said}"


def _now(layout: Layout, state: Imagined) -> dict[str, Any]:
    shown, truth = state.observation, state.truth
    return {
        "moment": state.number,
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
        "moment": state.number,
        "pictures": cameras(layout, state.observation.picture) if whole else None,
        "code": state.action.code if state.action else None,
        "words": words(layout, state.action),
        "expected_error": _root_mean(state.observation.expected_error),
        "error": _root_mean(state.error),
    }


def _heat(layout: Layout, squared: np.ndarray | None) -> list[str] | None:
    return None if squared is None else cameras(layout, heat(squared))


def _root_mean(squared: np.ndarray | None) -> float | None:
    """The root of the mean squared error: a share of the range from black to white."""
    return None if squared is None else float(np.sqrt(float(squared.mean())))
