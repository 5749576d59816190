"""When an arm moves, and when it stands still."""

from collections.abc import Sequence

import numpy as np

STILL_SHARE = 0.01
"""A joint stands still while it changes by less than this share of the widest range of a joint in its unit."""
NOISE = 6.0
"""Standard deviations of a joint's noise that count as standing still too."""
WINDOW = 0.5
"""Seconds over which a change is looked for."""


def moving(states: np.ndarray, units: Sequence[str], fps: float) -> np.ndarray:
    """Where each joint moves: (n, J) bool for joint positions (n, J) in their units, ``fps`` rows a second."""
    if not len(states):
        return np.zeros(states.shape, bool)
    ranges = np.ptp(states, axis=0)
    widest = np.array([max(r for r, other in zip(ranges, units, strict=True) if other == unit) for unit in units])
    noise = 1.4826 / np.sqrt(6) * np.median(np.abs(np.diff(states, 2, axis=0)), axis=0) if len(states) > 2 else 0.0
    span = max(1, round(WINDOW * fps))
    padded = np.pad(states, ((span // 2, span - span // 2), (0, 0)), mode="edge")
    change = np.abs(padded[span:] - padded[:-span])
    return change > np.maximum(STILL_SHARE * widest, NOISE * noise)


def active_rows(states: np.ndarray, units: Sequence[str], fps: float) -> slice:
    """The rows from the first motion to the end of the last one; none where no joint moves."""
    rows = np.flatnonzero(moving(states, units, fps).any(axis=1))
    return slice(int(rows[0]), int(rows[-1]) + 1) if len(rows) else slice(0, 0)
