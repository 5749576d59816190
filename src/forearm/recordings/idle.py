"""When an arm moves, and when it stands still."""

from collections.abc import Sequence

import numpy as np

STILL_SHARE = 0.01
"""A joint stands still while it changes by less than this share of the widest range of a joint in its unit."""
NOISE = 6.0
"""Standard deviations of a joint's noise that count as standing still too."""
WINDOW = 0.5
"""Seconds over which a change is looked for."""


def widest_ranges(states: np.ndarray, units: Sequence[str]) -> np.ndarray:
    """For each joint the widest range of a joint in its unit, (J,), for joint positions (n, J)."""
    ranges = np.ptp(states, axis=0)
    return np.array([max(r for r, other in zip(ranges, units, strict=True) if other == unit) for unit in units])


def moving(states: np.ndarray, units: Sequence[str], fps: float, widest: np.ndarray | None = None) -> np.ndarray:
    """Where each joint moves.

    Args:
        states: joint positions (n, J).
        units: the joints' units.
        fps: rows a second.
        widest: (J,) see `widest_ranges`; of these rows by default.

    Returns:
        (n, J) bool.
    """
    if not len(states):
        return np.zeros(states.shape, bool)
    widest = widest_ranges(states, units) if widest is None else widest
    noise = 1.4826 / np.sqrt(6) * np.median(np.abs(np.diff(states, 2, axis=0)), axis=0) if len(states) > 2 else 0.0
    span = max(1, round(WINDOW * fps))
    padded = np.pad(states, ((span // 2, span - span // 2), (0, 0)), mode="edge")
    change = np.abs(padded[span:] - padded[:-span])
    return change > np.maximum(STILL_SHARE * widest, NOISE * noise)


def active_rows(states: np.ndarray, units: Sequence[str], fps: float) -> slice:
    """The rows from the first motion to the end of the last one; none where no joint moves."""
    rows = np.flatnonzero(moving(states, units, fps).any(axis=1))
    return slice(int(rows[0]), int(rows[-1]) + 1) if len(rows) else slice(0, 0)
