"""What an action vector means: its code, the joint it moves, and what else could have been done."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from forearm.canvas.layout import MOVE_MINUS, MOVE_PLUS, STAY, Layout

DEAD_BAND = 0.02
"""Amounts up to this share of an entry's scale count as no motion."""

SAME = 1e-3
"""Up to which difference of any value two actions are the same."""


@dataclass(frozen=True)
class Action:
    """One action."""

    values: np.ndarray
    """(A,) float32 signed action values in [−1, 1]."""
    dimension: int
    """The action dimension that the decision is about."""

    @cached_property
    def code(self) -> int:
        """STAY, MOVE_PLUS or MOVE_MINUS."""
        return int(action_codes(self.values[None])[0])

    def equals(self, other: "Action") -> bool:
        """Whether both do the same, whatever they are about."""
        return bool(np.abs(self.values - other.values).max() <= SAME)


def action_codes(actions: np.ndarray) -> np.ndarray:
    """The code of each action, (N, A) amounts to (N,) int64: the sign of its largest entry, STAY if all are small."""
    largest = np.take_along_axis(actions, dominant_entries(actions)[:, None], axis=1)[:, 0]
    codes = np.where(largest > 0, MOVE_PLUS, MOVE_MINUS)
    return np.where(np.abs(largest) <= DEAD_BAND, STAY, codes)


def dominant_entries(actions: np.ndarray) -> np.ndarray:
    """Index of the entry with the largest magnitude, (N, A) to (N,) int64."""
    return np.abs(actions).argmax(axis=1)


def counterfactual(layout: Layout, actions: np.ndarray, code: int, entries: np.ndarray | None = None) -> np.ndarray:
    """The same moments under another action.

    STAY is the zero action. MOVE+ and MOVE− are the action taken or its reverse, so that under its own code an
    action stays what it was; where nothing was done, the entry in question moves by a full amount (discrete) or
    by half of it (continuous).

    Args:
        actions: (N, A) signed amounts that were taken.
        code: STAY, MOVE_PLUS or MOVE_MINUS.
        entries: (N,) the entry that each decision was about; by default the largest one.

    Returns:
        (N, A) float32 signed amounts.
    """
    if code == STAY:
        return np.zeros(actions.shape, np.float32)
    entries = dominant_entries(actions) if entries is None else entries
    taken = action_codes(actions)
    sign = 1.0 if code == MOVE_PLUS else -1.0
    nudges = np.zeros(actions.shape, np.float32)
    nudges[np.arange(len(actions)), entries] = sign if layout.discrete else 0.5 * sign
    flipped = np.where((taken == code)[:, None], actions, -actions)
    return np.where((taken == STAY)[:, None], nudges, flipped).astype(np.float32)
