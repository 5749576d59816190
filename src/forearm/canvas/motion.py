"""How an action moves an arm's joints: by how much, and along which ramp."""

from collections.abc import Mapping

import numpy as np

from forearm.base.errors import ForearmError
from forearm.canvas.layout import Layout

RAMP = 0.6
"""Share of an action's duration in which the targets move; the arm arrives in the rest."""


USUAL_SECONDS = 0.5
"""How long an action of our recordings and datasets lasts unless they say otherwise."""


def plain(name: str) -> str:
    """A joint's name without LeRobot's ending."""
    return name.removesuffix(".pos")


def driven_joints(layout: Layout) -> list[str]:
    """The plain name of the joint that each action dimension drives."""
    return [plain(dimension.joint or dimension.name) for dimension in layout.actions]


def target_changes(layout: Layout, values: np.ndarray, ahead: Mapping[str, float]) -> dict[str, float]:
    """By how much an action moves the joints' targets: plain joint name to a change in its unit.

    Where actions come from recorded targets, their values count from where the joint is, else from its present target.
    Otherwise what gravity holds back would add up from action to action.

    Args:
        values: (A,) signed action values; 1 moves the dimension's joint by its scale.
        ahead: present target minus position of each driven joint, by plain name, in its unit.
    """
    changes = {name: -ahead[name] if layout.action_is == "target" else 0.0 for name in driven_joints(layout)}
    for name, dimension, value in zip(driven_joints(layout), layout.actions, values, strict=True):
        changes[name] += float(value) * dimension.scale
    return changes


def action_seconds(layout: Layout, asked: float | None = None) -> float:
    """How long an action lasts: as in the data that the layout comes from.

    Layouts of before 2026-11-26 do not say it; there it is what was asked for, or ``USUAL_SECONDS``.

    Raises:
        ForearmError: no duration above 0 and up to a minute is asked for, or another than the layout's, in which the
            arm would move faster or slower than foreseen.
    """
    known = layout.action_duration
    if asked is not None and not 0 < asked <= 60:
        raise ForearmError(f"action duration is {asked:g}; choose one above 0 and up to 60 seconds")
    if known is None:
        return USUAL_SECONDS if asked is None else asked
    if asked is not None and abs(asked - known) > 1e-3:
        raise ForearmError(
            f"action duration is {asked:g} s, but the actions of this run last {known:g} s; leave --action-duration out"
        )
    return known


def trajectory(start: np.ndarray, change: np.ndarray, steps: int) -> np.ndarray:
    """Joint targets on their way from ``start`` to ``start + change`` without a jerk.

    Args:
        start: (J,) targets.
        change: (J,) in the joints' units.
        steps: how many targets are sent during the action's duration, equally spaced in time.

    Returns:
        (steps, J) of ``start``'s dtype; the last is the end of the action.
    """
    x = np.minimum(np.arange(1, steps + 1) / steps / RAMP, 1.0)
    shares = x * x * (3 - 2 * x)
    return start + (shares[:, None] * change).astype(start.dtype)
