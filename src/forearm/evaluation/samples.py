"""Metrics per sample, their means, and how sure one can be of them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

Value = float | None | list[float | None]
Interval = tuple[float, float] | None | list[tuple[float, float] | None]

RESAMPLES = 1000
MODEL = "model"
"""The predictor that is no baseline, where both stand in one table."""


@dataclass(frozen=True)
class Samples:
    """What every metric is made of: metric = Σ sums / Σ weights over the samples.

    sums and weights: for each metric's name (N,) float64, or (N, J) for a metric per joint. A plain mean has
    weights 1; a mean over some samples has weight 0 elsewhere; a share pooled over samples and joints has counts.
    Kept per sample so that episodes can be resampled and two predictors compared on the same samples.
    """

    sums: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(next(iter(self.sums.values())))

    @classmethod
    def of(cls, metrics: dict[str, np.ndarray | tuple[np.ndarray, np.ndarray]]) -> "Samples":
        """From values per sample, or pairs of (values, weights); a value of weight 0 may be anything."""
        sums, weights = {}, {}
        for name, metric in metrics.items():
            values, weight = metric if isinstance(metric, tuple) else (metric, np.ones_like(metric, np.float64))
            weights[name] = np.asarray(weight, np.float64)
            sums[name] = np.where(weights[name] > 0, values, 0) * weights[name]
        return cls(sums, weights)

    @classmethod
    def concatenate(cls, parts: Iterable["Samples"]) -> "Samples":
        """Put batches of samples, which have the same metrics, one after the other."""
        parts = list(parts)
        return cls(
            {name: np.concatenate([part.sums[name] for part in parts]) for name in parts[0].sums},
            {name: np.concatenate([part.weights[name] for part in parts]) for name in parts[0].weights},
        )

    def __or__(self, other: "Samples") -> "Samples":
        """The same samples with the metrics of both."""
        return Samples(self.sums | other.sums, self.weights | other.weights)

    def only(self, names: Iterable[str]) -> "Samples":
        """The same samples with some of the metrics."""
        names = [name for name in names if name in self.sums]
        return Samples({name: self.sums[name] for name in names}, {name: self.weights[name] for name in names})

    def table(self) -> dict[str, Value]:
        """Every metric's value; None where no sample defines it."""
        return {name: _value(_ratio(s.sum(0), self.weights[name].sum(0))) for name, s in self.sums.items()}


Resampled = dict[str, np.ndarray]
"""Metrics of R resampled validation sets: for each name (R,), or (R, J); NaN where undefined."""


def resample(samples: Samples, episodes: np.ndarray, resamples: int = RESAMPLES, seed: int = 0) -> Resampled:
    """Draw whole episodes (N,), one number a sample, with replacement and compute every metric anew.

    Samples of one episode resemble each other, so it is episodes, not samples, that count as independent. Equal
    episodes, ``resamples`` and ``seed`` give the same draws, so that two predictors are compared draw by draw.
    """
    _, episode_of = np.unique(episodes, return_inverse=True)
    count = int(episode_of.max()) + 1
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples).astype(float)

    def drawn(values: np.ndarray) -> np.ndarray:
        totals = np.zeros((count, *values.shape[1:]))
        np.add.at(totals, episode_of, values)
        return draws @ totals

    return {name: _ratio(drawn(s), drawn(samples.weights[name])) for name, s in samples.sums.items()}


def percentiles(resampled: Resampled) -> dict[str, Interval]:
    """95% interval of every metric."""
    return {name: interval(values) for name, values in resampled.items()}


def intervals(samples: Samples, episodes: np.ndarray, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Interval]:
    """95% interval of every metric, by bootstrap over the episodes (N,); all None if there is only one episode."""
    if len(np.unique(episodes)) < 2:
        return _undefined(samples)
    return percentiles(resample(samples, episodes, resamples, seed))


def differences(ours: Samples, theirs: Samples, episodes: np.ndarray, seed: int = 0) -> dict[str, Interval]:
    """95% interval of (our metric − theirs) on the same samples, paired; None as in ``intervals``."""
    return _paired(ours, theirs, episodes, seed, np.subtract)


def skill_intervals(ours: Samples, theirs: Samples, episodes: np.ndarray, seed: int = 0) -> dict[str, Interval]:
    """95% interval of 1 − our metric / theirs on the same samples, paired; None as in ``intervals``."""
    return _paired(ours, theirs, episodes, seed, lambda mine, other: 1 - _ratio(mine, other))


def skills(ours: dict[str, Value], theirs: dict[str, Value]) -> dict[str, Value]:
    """1 − error / error of the other; None where either is undefined or the other makes no error."""

    def skill(mine: Any, other: Any) -> Any:
        if isinstance(mine, list):
            return [skill(*pair) for pair in zip(mine, other, strict=True)]
        return 1 - mine / other if mine is not None and other else None

    return {name: skill(mine, theirs[name]) for name, mine in ours.items()}


def _paired(
    ours: Samples,
    theirs: Samples,
    episodes: np.ndarray,
    seed: int,
    combine: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> dict[str, Interval]:
    if len(np.unique(episodes)) < 2:
        return _undefined(ours)
    mine, other = resample(ours, episodes, seed=seed), resample(theirs, episodes, seed=seed)
    return percentiles({name: combine(mine[name], other[name]) for name in mine if name in other})


def _undefined(samples: Samples) -> dict[str, Interval]:
    return {name: None if s.ndim == 1 else [None] * s.shape[1] for name, s in samples.sums.items()}


def _ratio(numerators: np.ndarray, denominators: np.ndarray) -> np.ndarray:
    return np.divide(
        numerators, denominators, out=np.full(np.shape(numerators), np.nan), where=np.asarray(denominators) > 0
    )


def _value(value: np.ndarray) -> Value:
    if value.ndim:
        return [_value(figure) for figure in value]  # type: ignore[misc]
    return float(value) if np.isfinite(value) else None


def interval(values: np.ndarray) -> Interval:
    """95% interval of resampled figures (R,), or of each column of (R, J); None if fewer than half are defined."""
    if values.ndim > 1:
        return [interval(column) for column in values.T]  # type: ignore[misc]
    defined = values[np.isfinite(values)]
    if len(defined) < len(values) / 2:
        return None
    low, high = np.percentile(defined, (2.5, 97.5))
    return float(low), float(high)
