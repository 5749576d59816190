"""How well success in the dream agrees with success in truth, over policies that were tried on the same starts."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.stats import rankdata

from forearm.evaluation.samples import Interval

DRAWS = 2000
"""Bootstrap draws of the starts, or of runs."""
ORDERS = 20_000
"""In which a permutation test puts runs: so many that Holm's correction for a hundred comparisons can be passed."""
SUCCESS = 0.5
"""The score from which on a trial counts as a success."""
BINS = 5
"""Of equal width, in which predicted success is compared with true success."""


@dataclass(frozen=True)
class Figure:
    """A figure with its interval."""

    value: float | None
    """None where it is not defined, such as a correlation of policies that all do equally well."""
    interval: Interval = None
    """95 %, over starts; None where the figure is not defined."""


@dataclass(frozen=True)
class Bin:
    """Trials with about the same score."""

    low: float
    high: float
    trials: int
    predicted: float
    """Mean score."""
    true: float
    """Share of true successes."""


@dataclass(frozen=True)
class Agreement:
    """Of P policies on the same N starts."""

    pearson: Figure
    """Correlation of the P success rates."""
    spearman: Figure
    """Rank correlation of the P success rates."""
    ranked: Figure
    """Rank correlation of the P mean scores with the P true success rates: a dream in which few trials succeed may
    still tell better policies from worse ones."""
    mmrv: Figure
    """Mean maximum rank violation (Li et al. 2024, SIMPLER): by how much true success differs at worst between a policy
    and another that the dream ranks the wrong way round, mean over policies; 0 is best."""
    gap: Figure
    """Mean over policies of |success in the dream − true success|."""
    bias: Figure
    """Mean over policies of success in the dream − true success: above 0 the dream is too kind."""
    same: Figure
    """Share of trials that end alike in both."""
    calibration: tuple[Bin, ...]
    """By score; empty bins are left out."""

    @classmethod
    def of(cls, scores: np.ndarray, truth: np.ndarray, judged: np.ndarray | None = None) -> "Agreement":
        """From scores (P, N) in [0, 1] and true successes (P, N) bool.

        Intervals are percentiles of a bootstrap of the N starts (Efron 1979), which policies share.

        Args:
            judged: (P, N) bool, the trials that count; those in which the model abstained do not. All by default.
        """
        counted = np.ones(scores.shape, bool) if judged is None else judged
        rng = np.random.default_rng(0)
        draws = rng.integers(0, scores.shape[1], (DRAWS, scores.shape[1]))
        dreamt = (scores >= SUCCESS).astype(float)

        def figure(make: Callable[[np.ndarray, np.ndarray], float], predicted: np.ndarray = dreamt) -> Figure:
            def at(columns: np.ndarray | slice) -> float:
                weights = counted[:, columns]
                total = weights.sum(axis=1)
                kept = total > 0
                if not kept.any():
                    return np.nan
                shares = [(each[:, columns] * weights).sum(axis=1)[kept] / total[kept] for each in (predicted, truth)]
                return make(*shares)

            value = at(slice(None))
            if not np.isfinite(value):
                return Figure(None)
            drawn = np.array([at(columns) for columns in draws])
            drawn = drawn[np.isfinite(drawn)]
            low, high = np.percentile(drawn, [2.5, 97.5])
            return Figure(float(value), (float(low), float(high)))

        same = (dreamt > 0) == truth
        agree = [
            float(same[:, c][counted[:, c]].mean()) if counted[:, c].any() else np.nan for c in (slice(None), *draws)
        ]
        spread = np.nanpercentile(agree[1:], [2.5, 97.5]) if np.isfinite(agree[0]) else None
        return cls(
            figure(pearson),
            figure(spearman),
            figure(spearman, scores),
            figure(mean_maximum_rank_violation),
            figure(lambda dream, true: float(np.abs(dream - true).mean())),
            figure(lambda dream, true: float((dream - true).mean())),
            Figure(None) if spread is None else Figure(agree[0], (float(spread[0]), float(spread[1]))),
            calibration(scores[counted], truth[counted]),
        )


def pearson(dream: np.ndarray, true: np.ndarray) -> float:
    """Correlation of rates (P,) and (P,); NaN where either does not vary."""
    if len(dream) < 2 or np.ptp(dream) == 0 or np.ptp(true) == 0:
        return float("nan")
    return float(np.corrcoef(dream, true)[0, 1])


def spearman(dream: np.ndarray, true: np.ndarray) -> float:
    """Rank correlation of rates (P,) and (P,); equal rates share the mean of their ranks."""
    return pearson(rankdata(dream), rankdata(true))


def mean_maximum_rank_violation(dream: np.ndarray, true: np.ndarray) -> float:
    """Of rates (P,) and (P,): mean over i of the largest |true i − true j| among j that the dream ranks otherwise."""
    apart = np.abs(true[:, None] - true[None])
    wrong = (dream[:, None] < dream[None]) != (true[:, None] < true[None])
    return float((apart * wrong).max(axis=1).mean())


def calibration(scores: np.ndarray, truth: np.ndarray) -> tuple[Bin, ...]:
    """Scores (n,) in [0, 1] beside true successes (n,) bool."""
    number = np.minimum((scores * BINS).astype(int), BINS - 1)
    return tuple(
        Bin(i / BINS, (i + 1) / BINS, int(rows.sum()), float(scores[rows].mean()), float(truth[rows].mean()))
        for i in range(BINS)
        if (rows := number == i).any()
    )


def right_choices(scores: np.ndarray, truth: np.ndarray) -> float:
    """How often the dream tells a plan that truly succeeds from one that fails, from the same start.

    Args:
        scores: (P, N) in the dream, of P plans from each of N starts.
        truth: (P, N) bool.

    Returns:
        the share of such pairs in which the one that succeeds scores higher; equal scores count half. So chance is ½.
        NaN where no start has such a pair.
    """
    pairs = truth[:, None] & ~truth[None]
    above, equal = scores[:, None] > scores[None], scores[:, None] == scores[None]
    return float((above + 0.5 * equal)[pairs].mean()) if pairs.any() else float("nan")


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's correlation of a metric with its use, over runs."""

    value: float | None
    """None where either does not vary."""
    interval: Interval = None
    """95 %, over runs."""
    p: float = 1.0
    """Of a permutation test, both sides."""

    @classmethod
    def of(cls, metric: np.ndarray, use: np.ndarray) -> "RankCorrelation":
        """From figures (R,) and (R,) of the same R runs.

        The interval has the percentiles of a bootstrap of the runs (Efron 1979). Draws in which either does not vary do
        not count. All calls with equally many runs share their draws, so differences of two correlations are paired.
        """
        if np.isnan(value := spearman(metric, use)):
            return cls(None)
        drawn = drawn_correlations(metric, use)
        low, high = np.nanpercentile(drawn, [2.5, 97.5])
        ranks = [rankdata(each) - (len(use) + 1) / 2 for each in (metric, use)]
        by_chance = ranks[1][_orders(len(use))] @ ranks[0] / np.sqrt((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum())
        p = (1 + (np.abs(by_chance) >= abs(value) - 1e-9).sum()) / (1 + ORDERS)
        return cls(value, (float(low), float(high)), float(p))


@lru_cache(maxsize=1)
def _orders(runs: int) -> np.ndarray:
    """(ORDERS, R) int64, each row all runs in another order."""
    return np.random.default_rng(1).permuted(np.tile(np.arange(runs), (ORDERS, 1)), axis=1)


def drawn_correlations(metric: np.ndarray, use: np.ndarray) -> np.ndarray:
    """Spearman's correlation of (R,) and (R,) over each bootstrap draw of the runs, (DRAWS,); NaN if undefined."""
    draws = np.random.default_rng(0).integers(0, len(use), (DRAWS, len(use)))
    return _row_correlations(metric[draws], use[draws])


def _row_correlations(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Spearman's correlation of each row of (D, R) with the same row of (D, R)."""
    ranks = [rankdata(each, axis=1) - (each.shape[1] + 1) / 2 for each in (one, other)]
    below = np.sqrt((ranks[0] ** 2).sum(axis=1) * (ranks[1] ** 2).sum(axis=1))
    return np.divide((ranks[0] * ranks[1]).sum(axis=1), below, out=np.full(len(one), np.nan), where=below > 0)
