"""What the page shows of a path, as JSON."""

from typing import Any

import numpy as np

from forearm.arms import Health
from forearm.canvas import CODE_NAMES, Action, Layout
from forearm.environment import Imagined
from forearm.media.colours import OVERLAY, heat_map
from forearm.media.pictures import data_uri
from forearm.media.words import action_words, figure, reading
from forearm.play.live import LiveSession
from forearm.play.session import PlaySession
from forearm.play.trials import Summary

HEAT_TOP = 0.4
"""The root of the squared error at which heat is at its strongest, as a share of the range from black to white."""

AT_BOUND = 0.01
"""A joint is at a bound if it is nearer to it than this share of its range."""


def state_of(session: PlaySession, whole: bool = False) -> dict[str, Any]:
    """Where a path has come to: the present, what each action would show, and the path so far.

    What earlier moments showed is included only with ``whole``: who has followed the path has seen it.
    """
    layout, errors = session.layout, session.step_errors
    steps = [_step(layout, state, whole, errors.get(state.number)) for state in session.path]
    return {**_present(session), "path": steps}


def live_state_of(session: LiveSession, since: int = -1) -> dict[str, Any]:
    """What an arm shows, what each action would show, and the last trials.

    What a trial showed is included where its number is above ``since``: who has seen the others knows them.
    """
    layout, summary = session.layout, Summary.of(session.folder.trials)
    trials = [
        {
            **_step(layout, state, state.number > since, float(trial.mse)),
            "unchanged_error": percent(trial.unchanged_mse),
            "seconds": f"{trial.action_seconds:.1f} s",
        }
        for trial, state in session.shown
    ]
    low, high = summary.interval or (None, None)
    return {
        **_present(session),
        "version": session.version,
        "health": health_words(session.health),
        "forbidden": [session.forbidden(action) for action in session.actions()],
        "path": trials,
        "summary": {
            "count": summary.count,
            "error": percent(summary.mse),
            "interval": [percent(low), percent(high)],
            "expected_error": percent(summary.expected_mse),
            "unchanged_error": percent(summary.unchanged_mse),
        },
    }


def health_words(health: Health) -> str:
    """The warmest servo and the lowest voltage, such as "elbow_flex 34 °C, 12.1 V"; empty where nobody knows."""
    told = []
    if health.temperature:
        joint, heat = max(health.temperature.items(), key=lambda each: each[1])
        told.append(f"{joint} {heat:.0f} °C")
    if health.voltage:
        told.append(f"{min(health.voltage.values()):.1f} V")
    return ", ".join(told)


def _present(session: PlaySession) -> dict[str, Any]:
    layout, previews = session.layout, session.previews()
    reach = layout.actions[session.dimension]
    return {
        "start": {"source": session.start.source, "number": session.start.number, "note": session.start.note},
        "dimension": session.dimension,
        "value": session.value,
        "recorded": session.recorded(),
        "reach": f"±{figure(session.value * reach.scale, reach.unit)}",
        "now": _moment(layout, session.now),
        "previews": [_preview(layout, session.now, preview) for preview in previews],
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


def at_bounds(layout: Layout, joints: np.ndarray) -> list[int]:
    """For each joint (J,) whether it is at its lower bound (−1), at its upper one (1), or at neither (0)."""
    near = AT_BOUND * (layout.highs - layout.lows)
    return ((joints >= layout.highs - near).astype(int) - (joints <= layout.lows + near)).tolist()


def _moment(layout: Layout, state: Imagined) -> dict[str, Any]:
    shown, truth = state.observation, state.truth
    return {
        "number": state.number,
        "pictures": cameras(layout, shown.picture),
        **_joints(layout, shown.joints),
        "uncertainty": _heat(layout, shown.expected_error),
        "truth": None if truth is None else cameras(layout, truth.picture),
        "true_joints": None if truth is None else truth.joints.tolist(),
        "error": _heat(layout, state.error),
    }


def _joints(layout: Layout, joints: np.ndarray) -> dict[str, Any]:
    return {
        "joints": joints.tolist(),
        "readings": [reading(value, joint, unit=True) for value, joint in zip(joints, layout.joints, strict=True)],
        "bounds": at_bounds(layout, joints),
    }


def _preview(layout: Layout, now: Imagined, state: Imagined) -> dict[str, Any]:
    shown = state.observation
    changes = zip(shown.joints - now.observation.joints, layout.joints, strict=True)
    return {
        "code": state.action.code if state.action else None,
        "words": words(layout, state.action),
        "pictures": cameras(layout, shown.picture),
        **_joints(layout, shown.joints),
        "changes": [reading(change, joint, signed=True, unit=True) for change, joint in changes],
        "expected_error": percent(shown.expected_error),
        "uncertainty": _heat(layout, shown.expected_error),
    }


def _step(layout: Layout, state: Imagined, whole: bool, step_error: float | None) -> dict[str, Any]:
    return {
        "number": state.number,
        "moment": _moment(layout, state) if whole else None,
        "code": state.action.code if state.action else None,
        "words": words(layout, state.action),
        "expected_error": percent(state.observation.expected_error),
        "step_error": percent(step_error),
        "path_error": percent(None if state.is_start else state.error),
    }


def _heat(layout: Layout, squared: np.ndarray | None) -> list[str] | None:
    """Squared errors (h, w) as colours to lay over each camera; no error is transparent."""
    return None if squared is None else cameras(layout, heat_map(np.sqrt(squared), HEAT_TOP, OVERLAY))


def percent(squared: np.ndarray | float | None) -> str | None:
    """The root of the mean squared error, as a share of the range from black to white, in words."""
    return None if squared is None else figure(np.sqrt(np.mean(squared)), "share")
