"""How late a camera's pictures are, compared with the joints that were written down beside them.

A camera exposes, sends and decodes before a picture is there; servos are read at once. So the picture moves a little
after the joints do, and a model that gets both as of one time has to guess where the arm really was.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

LAGS = np.arange(-0.3, 0.301, 0.02)
"""Seconds that are tried; pictures that come before their joints would show as a negative lag."""
MOTION_SPAN = 0.2
"""Seconds over which a motion is measured."""
LEAST_EPISODES, LEAST_PICTURES = 5, 20
LEAST_LAG, WIDE_LAG = 0.03, 0.1
"""Seconds: a shorter lag is nothing to correct, and within a wider interval none can be told."""
LEAST_SHARE = 1 / 3
"""A lag that is a smaller share of the time between two rows cannot be told either: joints are taken to move evenly
from row to row, and where they speed up or slow down that alone looks like a lag. Simulated tasks at 5 rows a second,
whose pictures are on time, seem late by up to a fifth of it."""


@dataclass(frozen=True)
class Lag:
    """By how much pictures are late."""

    seconds: float
    """The estimate."""
    low: float
    """Lower end of the 95 % interval, from resampling episodes."""
    high: float
    """Upper end."""
    spacing: float = 0.0
    """Seconds from row to row."""

    @property
    def least(self) -> float:
        """Seconds; a shorter lag is nothing to correct, or cannot be told."""
        return max(LEAST_LAG, LEAST_SHARE * self.spacing)

    @property
    def unclear(self) -> bool:
        """Whether the interval is too wide to tell how late the pictures are."""
        return self.high - self.low > WIDE_LAG

    @property
    def late(self) -> bool:
        """Whether pictures surely come after their joints, by enough to correct."""
        return not self.unclear and self.low > 0 and self.seconds > self.least

    @property
    def early(self) -> bool:
        """Whether pictures surely come before their joints, by enough to matter."""
        return not self.unclear and self.high < 0 and self.seconds < -self.least


def estimate(episodes: Iterable[tuple[np.ndarray, np.ndarray]], spacing: float, span: int) -> Lag | None:
    """The lag at which pictures change most when the joints move most (generalised cross-correlation, Knapp and Carter
    1976), or None where there are too few episodes to tell.

    Args:
        episodes: (n − span,) mean change of the picture over ``span`` rows, and (n, J) joints in ranges of like size.
        spacing: seconds from row to row.
        span: rows over which motions are measured.
    """
    curves = [_correlations(*one, spacing, span) for one in episodes if len(one[1]) >= LEAST_PICTURES]
    if len(curves) < LEAST_EPISODES:
        return None
    each = np.stack(curves)
    random = np.random.default_rng(0)
    drawn = each[random.integers(len(each), size=(1000, len(each)))].mean(axis=1)
    low, high = np.quantile([_peak(curve) for curve in drawn], [0.025, 0.975])
    return Lag(_peak(each.mean(axis=0)), float(low), float(high), spacing)


def _correlations(changes: np.ndarray, joints: np.ndarray, spacing: float, span: int) -> np.ndarray:
    """Correlation of how much pictures change with how fast the joints move, for each of ``LAGS``."""
    changes, rows = np.sqrt(changes), np.arange(len(joints))
    edge = int(np.ceil(LAGS[-1] / spacing))  # beyond the ends nothing is known of the joints
    curve = []
    for lag in LAGS / spacing:
        late = np.stack([np.interp(rows - lag, rows, joint) for joint in joints.T], axis=1)
        speeds = np.sqrt(np.abs(late[span:] - late[:-span]).sum(axis=1))
        pair = np.stack([changes, speeds])[:, edge : len(changes) - edge]
        curve.append(np.corrcoef(pair)[0, 1] if pair.shape[1] > 1 and (pair.std(axis=1) > 0).all() else 0.0)
    return np.array(curve)


def _peak(curve: np.ndarray) -> float:
    """The lag at a curve's top, between those tried: that of the parabola through it and its neighbours."""
    top = int(np.clip(curve.argmax(), 1, len(curve) - 2))
    before, here, after = curve[top - 1 : top + 2]
    bend = before - 2 * here + after
    shift = 0.5 * (before - after) / bend if bend < 0 else 0.0
    return float(LAGS[top] + np.clip(shift, -1, 1) * (LAGS[1] - LAGS[0]))
