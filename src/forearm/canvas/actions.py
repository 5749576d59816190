"""What an action vector means: its code, the joint it moves, and what else could have been done."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from forearm.canvas.layout import CODE_NAMES, CODES, MOVE_MINUS, MOVE_PLUS, STAY, Layout

DEAD_BAND = 0.02
"""Values up to this share of a dimension's scale count as no motion."""

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


def typed_name(code: int) -> str:
    """The name of a code as it is typed on a keyboard and in file names: MOVE- for MOVE−."""
    return CODE_NAMES[code].replace("−", "-")


def code_named(name: str) -> int | None:
    """The code of a name, MOVE− shown or typed as MOVE-; None where there is none."""
    return next((code for code in CODES if name in (CODE_NAMES[code], typed_name(code))), None)


def action_codes(actions: np.ndarray) -> np.ndarray:
    """The code of each action, (N, A) values to (N,) int64: the sign of its largest value, STAY if all are small."""
    largest = np.take_along_axis(actions, dominant_dimensions(actions)[:, None], axis=1)[:, 0]
    codes = np.where(largest > 0, MOVE_PLUS, MOVE_MINUS)
    return np.where(np.abs(largest) <= DEAD_BAND, STAY, codes)


def dominant_dimensions(actions: np.ndarray) -> np.ndarray:
    """Index of the dimension with the largest magnitude, (N, A) to (N,) int64."""
    return np.abs(actions).argmax(axis=1)


def counterfactual(layout: Layout, actions: np.ndarray, code: int, dimensions: np.ndarray | None = None) -> np.ndarray:
    """The same transitions under another action.

    STAY is the zero action. MOVE+ and MOVE− are the action taken or its reverse, so that under its own code an
    action stays what it was; where nothing was done, the dimension in question moves by a full value (discrete) or
    by half of it (continuous).

    Args:
        actions: (N, A) signed values that were taken.
        code: STAY, MOVE_PLUS or MOVE_MINUS.
        dimensions: (N,) the dimension that each decision was about; by default the largest one.

    Returns:
        (N, A) float32 signed values.
    """
    if code == STAY:
        return np.zeros(actions.shape, np.float32)
    dimensions = dominant_dimensions(actions) if dimensions is None else dimensions
    taken = action_codes(actions)
    sign = 1.0 if code == MOVE_PLUS else -1.0
    nudges = np.zeros(actions.shape, np.float32)
    nudges[np.arange(len(actions)), dimensions] = sign if layout.discrete else 0.5 * sign
    flipped = np.where((taken == code)[:, None], actions, -actions)
    return np.where((taken == STAY)[:, None], nudges, flipped).astype(np.float32)
