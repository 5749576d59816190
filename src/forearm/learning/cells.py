"""Cells of what an arm can do: a joint, a part of its range, and an action; and which cell to record next.

Arrays over cells are (A, bins, 3): action dimension, part of the range of the joint that it drives, code.
"""

from dataclasses import dataclass

import numpy as np

from forearm.base.errors import ForearmError
from forearm.canvas import CODES, MOVE_MINUS, MOVE_PLUS, Action, Layout

Cell = tuple[int, int, int]
"""Action dimension, part of the joint's range, code."""
SIGNS = {MOVE_PLUS: 1.0, MOVE_MINUS: -1.0}
RECENT = 3
"""The past error of a cell is the mean of so many of its last errors."""


@dataclass(frozen=True)
class Grid:
    """The cells of a layout, and the ranges in which an arm moves.

    Raises:
        ForearmError: the layout's actions are not discrete, or one drives no joint.
    """

    layout: Layout
    """Whose bounds the parts divide evenly."""
    bins: int
    """Parts of a joint's range."""
    home: np.ndarray
    """(J,) where the joints usually are; ranges grow from there."""

    def __post_init__(self) -> None:
        if not self.layout.discrete or (self.layout.joint_of_dimension() < 0).any():
            raise ForearmError(
                "learn needs a run of single actions, each of one joint: train on what forearm record writes, or on a "
                "recording with a discrete-action log"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """(A, bins, 3)."""
        return len(self.layout.actions), self.bins, len(CODES)

    def joint(self, dimension: int) -> int:
        """The index of the joint that an action dimension drives."""
        return int(self.layout.joint_of_dimension()[dimension])

    def cell_of(self, dimension: int, position: float, code: int) -> Cell:
        """The cell of an action from a position of its joint; what lies beyond the bounds counts to the last part."""
        joint = self.layout.joints[self.joint(dimension)]
        part = int((position - joint.low) / (joint.high - joint.low) * self.bins)
        return dimension, min(max(part, 0), self.bins - 1), code

    def action(self, cell: Cell) -> Action:
        """The action of a cell."""
        values = np.zeros(len(self.layout.actions), np.float32)
        values[cell[0]] = SIGNS.get(cell[2], 0.0)
        return Action(values, cell[0])

    def limits(self, share: float) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest joints (J,) of the range that is a share of the bounds."""
        lows, highs = self.layout.lows, self.layout.highs
        return self.home - share * (self.home - lows), self.home + share * (highs - self.home)

    def interval(self, cell: Cell, share: float) -> tuple[float, float] | None:
        """Where the acting joint may start, so that it stays within the range and the bounds; None where nowhere."""
        dimension, part, code = cell
        joint, scale = self.layout.joints[self.joint(dimension)], self.layout.actions[dimension].scale
        width = (joint.high - joint.low) / self.bins
        low, high = joint.low + part * width, joint.low + (part + 1) * width
        lows, highs = self.limits(share)
        low, high = max(low, lows[self.joint(dimension)]), min(high, highs[self.joint(dimension)])
        high = min(high, joint.high - scale) if code == MOVE_PLUS else high
        low = max(low, joint.low + scale) if code == MOVE_MINUS else low
        return (float(low), float(high)) if low < high else None

    def pose(self, cell: Cell, share: float, poses: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
        """Draw joints (J,) float32 to act from: one of ``poses`` (n, J), which an arm has been in, brought into the
        range, with the acting joint anywhere within the cell. None where the cell lies out of the range.
        """
        interval = self.interval(cell, share)
        if interval is None:
            return None
        lows, highs = self.limits(share)
        pose = np.clip(poses[rng.integers(len(poses))], lows, highs)
        pose[self.joint(cell[0])] = rng.uniform(*interval)
        return pose.astype(np.float32)


def choose(allowed: np.ndarray, visits: np.ndarray, scores: np.ndarray | None, rng: np.random.Generator) -> Cell:
    """Draw a cell: one that was never visited if there is any, else in proportion to its score.

    Args:
        allowed: (A, bins, 3) bool, at least one True.
        visits: (A, bins, 3) how often each was recorded.
        scores: (A, bins, 3), at least 0; NaN, where nobody knows, counts like the mean of the others. None: any allowed
            cell is as likely, visited or not.
        rng: decides.
    """
    fresh = allowed & (visits == 0)
    if scores is None or fresh.any():
        weights = (allowed if scores is None else fresh).astype(float)
    else:
        known = np.isfinite(scores) & allowed
        usual = scores[known].mean() if known.any() else 1.0
        weights = np.where(allowed, np.where(known, scores, usual), 0.0)
        weights = weights if weights.sum() > 0 else allowed.astype(float)
    number = rng.choice(weights.size, p=weights.ravel() / weights.sum())
    dimension, part, code = np.unravel_index(number, weights.shape)
    return int(dimension), int(part), int(code)


def past_errors(shape: tuple[int, int, int], cells: list[Cell], errors: list[float]) -> np.ndarray:
    """The mean of the last errors of each cell, of `shape`; NaN where none was measured.

    Args:
        shape: (A, bins, 3).
        cells: of each action, in the order in which they were measured.
        errors: of each action.
    """
    latest: dict[Cell, list[float]] = {}
    for cell, error in zip(cells, errors, strict=True):
        latest[cell] = [*latest.get(cell, []), error][-RECENT:]
    found = np.full(shape, np.nan)
    for cell, recent in latest.items():
        found[cell] = np.mean(recent)
    return found


def visits_of(shape: tuple[int, int, int], cells: list[Cell]) -> np.ndarray:
    """How often each cell occurs, of `shape`, int64."""
    counts = np.zeros(shape, np.int64)
    for cell in cells:
        counts[cell] += 1
    return counts


def listed(values: np.ndarray) -> list[list[list[float | None]]]:
    """Values over cells, ready for JSON: None for NaN."""
    return [[[v if np.isfinite(v) else None for v in codes] for codes in parts] for parts in values.tolist()]
