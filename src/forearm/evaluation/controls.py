"""Success in the dream, corrected by controls: imagined trials whose outcome is known without a simulator."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from forearm.evaluation.agreement import DRAWS, SUCCESS, Figure

CONTROLS = ("replay", "still")
"""Policies whose outcome is known: what was recorded, and an arm that holds still."""
FEWEST = 10
"""Known successes, and known failures, below which nothing is corrected."""
LEAST_APART = 0.3
"""Difference of success in the dream, between known successes and known failures, below which nothing is corrected."""
Z = 1.959964
"""Of 95 %."""


@dataclass(frozen=True)
class Controls:
    """What the dream says of K policies whose outcome at N starts is known.

    A dream in which known successes succeed in 70 % is too hard on all policies, and is corrected for it as a test for
    a disease is for its errors (Rogan and Gladen 1978): (success − false positive rate) / (sensitivity − false positive
    rate).
    """

    scores: np.ndarray
    """(K, N) from 0 to 1, in the dream."""
    known: np.ndarray
    """(K, N) bool, what the judge says of the recorded pictures."""
    groups: np.ndarray
    """(N,) the scene of each start."""

    @cached_property
    def rates(self) -> tuple[float, float] | None:
        """Sensitivity and false positive rate: shares of known successes and known failures that succeed in the dream.

        None where too few are known.
        """
        return rates(self.scores >= SUCCESS, self.known)

    @property
    def useful(self) -> bool:
        """Whether the dream tells known successes from known failures well enough to correct by it."""
        return self.rates is not None and self.rates[0] - self.rates[1] >= LEAST_APART

    def corrected(self, success: float) -> float | None:
        """A share of successes in the dream, corrected; None where the controls do not allow it."""
        if self.rates is None or not self.useful:
            return None
        true, false = self.rates
        return float(np.clip((success - false) / (true - false), 0, 1))

    def interval(self, success: float) -> tuple[float, float] | None:
        """Of a corrected share of successes at all N starts, 95 % (Lang and Reiczigel 2014, Preventive Veterinary
        Medicine 113).

        Starts of one scene count as one. Policies and controls share their starts, which makes it too wide rather than
        too narrow.
        """
        if (middle := self.corrected(success)) is None:
            return None
        assert self.rates is not None
        starts = len(np.unique(self.groups))
        positive, negative = (max(1, len(np.unique(self.groups[of.any(axis=0)]))) for of in (self.known, ~self.known))
        p = (starts * success + Z**2 / 2) / (starts + Z**2)
        true, false = (
            (count * rate + 1) / (count + 2) for rate, count in zip(self.rates, (positive, negative), strict=True)
        )
        if true <= false:  # of one or two scenes, which say nothing
            return 0.0, 1.0
        spread_true, spread_false = true * (1 - true) / (positive + 2), false * (1 - false) / (negative + 2)
        x = (p - false) / (true - false)
        shift = 2 * Z**2 * (x * spread_true - (1 - x) * spread_false)
        spread = p * (1 - p) / (starts + Z**2) + x**2 * spread_true + (1 - x) ** 2 * spread_false
        half = Z * np.sqrt(spread) / (true - false)
        low, high = np.clip([x + shift - half, x + shift + half], 0, 1)
        return min(float(low), middle), max(float(high), middle)


@dataclass(frozen=True)
class CorrectedGap:
    """How far predicted success is from true success, over policies that are no controls."""

    raw: Figure
    """Mean over policies of |success in the dream − true success|."""
    gap: Figure
    """The same of corrected success."""
    bias: Figure
    """Mean over policies of corrected success − true success."""

    @classmethod
    def of(cls, scores: np.ndarray, truth: np.ndarray, controls: Controls) -> "CorrectedGap | None":
        """From scores (P, N) in the dream and true successes (P, N) bool; None where nothing can be corrected.

        Intervals are percentiles of a bootstrap of the N starts (Efron 1979), which policies and controls share.
        """
        if not controls.useful or not len(scores):
            return None
        draws = np.random.default_rng(0).integers(0, scores.shape[1], (DRAWS, scores.shape[1]))
        dream, sure = scores >= SUCCESS, controls.scores >= SUCCESS

        def figure(make: Callable[[np.ndarray, np.ndarray, np.ndarray], float]) -> Figure:
            def at(columns: np.ndarray | slice) -> float:
                found = rates(sure[:, columns], controls.known[:, columns], fewest=1)
                if found is None or found[0] <= found[1]:
                    return np.nan
                predicted, true = dream[:, columns].mean(axis=1), truth[:, columns].mean(axis=1)
                corrected = np.clip((predicted - found[1]) / (found[0] - found[1]), 0, 1)
                return make(predicted, corrected, true)

            low, high = np.nanpercentile([at(columns) for columns in draws], [2.5, 97.5])
            return Figure(at(slice(None)), (float(low), float(high)))

        return cls(
            figure(lambda predicted, corrected, true: float(np.abs(predicted - true).mean())),
            figure(lambda predicted, corrected, true: float(np.abs(corrected - true).mean())),
            figure(lambda predicted, corrected, true: float((corrected - true).mean())),
        )


def rates(successes: np.ndarray, known: np.ndarray, fewest: int = FEWEST) -> tuple[float, float] | None:
    """Sensitivity and false positive rate of ``successes`` in the dream by what is ``known``, both (K, N) bool.

    None where there are fewer than ``fewest`` known successes or known failures.
    """
    if min(known.sum(), (~known).sum()) < fewest:
        return None
    return float(successes[known].mean()), float(successes[~known].mean())
