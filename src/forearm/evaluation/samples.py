"""Metrics per sample, and their means."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

Value = float | None | list[float | None]
Interval = tuple[float, float] | None | list[tuple[float, float] | None]

MODEL = "model"
"""The predictor that is no baseline, where both stand in one table."""


@dataclass(frozen=True)
class Samples:
    """What every metric is made of: metric = Σ sums / Σ weights over the samples.

    sums and weights: for each metric's name (N,) float64, or (N, J) for a metric per joint. A plain mean has
    weights 1; a mean over some samples has weight 0 elsewhere; a share pooled over samples and joints has counts.
    Kept per sample so that groups can be left out and two predictors compared on the same samples.
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

    def __getitem__(self, rows: np.ndarray) -> "Samples":
        """Some of the samples, by index or mask."""
        return self._each(lambda values: values[rows])

    def among(self, asked: np.ndarray) -> "Samples":
        """All samples (N,), of which these are the ``asked`` ones and no other defines any metric."""

        def spread(values: np.ndarray) -> np.ndarray:
            whole = np.zeros((len(asked), *values.shape[1:]))
            whole[asked] = values
            return whole

        return self._each(spread)

    def _each(self, change: Callable[[np.ndarray], np.ndarray]) -> "Samples":
        tables = ({name: change(values) for name, values in of.items()} for of in (self.sums, self.weights))
        return Samples(*tables)

    def __or__(self, other: "Samples") -> "Samples":
        """The same samples with the metrics of both."""
        return Samples(self.sums | other.sums, self.weights | other.weights)

    def only(self, names: Iterable[str]) -> "Samples":
        """The same samples with some of the metrics."""
        names = [name for name in names if name in self.sums]
        return Samples({name: self.sums[name] for name in names}, {name: self.weights[name] for name in names})

    def table(self) -> dict[str, Value]:
        """Every metric's value; None where no sample defines it."""
        return {name: _value(ratio(s.sum(0), self.weights[name].sum(0))) for name, s in self.sums.items()}


def skills(ours: dict[str, Value], theirs: dict[str, Value]) -> dict[str, Value]:
    """1 − error / error of the other; None where either is undefined or the other makes no error."""

    def skill(mine: Any, other: Any) -> Any:
        if isinstance(mine, list):
            return [skill(*pair) for pair in zip(mine, other, strict=True)]
        return 1 - mine / other if mine is not None and other else None

    return {name: skill(mine, theirs[name]) for name, mine in ours.items()}


def ratio(numerators: np.ndarray, denominators: np.ndarray) -> np.ndarray:
    """The one divided by the other; NaN where the other is not above 0."""
    return np.divide(
        numerators, denominators, out=np.full(np.shape(numerators), np.nan), where=np.asarray(denominators) > 0
    )


def _value(value: np.ndarray) -> Value:
    if value.ndim:
        return [_value(figure) for figure in value]  # type: ignore[misc]
    return float(value) if np.isfinite(value) else None


class Growing:
    """An array that grows at its end; its memory doubles whenever it is full."""

    def __init__(self) -> None:
        self._held: np.ndarray | None = None
        self._count = 0

    def extend(self, rows: np.ndarray) -> None:
        """Add rows (n, …), of the shape and type of those before."""
        if self._held is None:
            self._held = np.empty((0, *rows.shape[1:]), rows.dtype)
        needed = self._count + len(rows)
        if needed > len(self._held):
            larger = np.empty((max(needed, 2 * len(self._held)), *rows.shape[1:]), rows.dtype)
            larger[: self._count] = self.rows
            self._held = larger
        self._held[self._count : needed] = rows
        self._count = needed

    @property
    def rows(self) -> np.ndarray:
        """All rows (N, …), not copied; nothing (0,) before the first."""
        return np.empty(0) if self._held is None else self._held[: self._count]


class Collection:
    """Samples that come batch by batch, all with the same metrics: many small arrays would take twice the memory."""

    def __init__(self) -> None:
        self._sums: dict[str, Growing] = defaultdict(Growing)
        self._weights: dict[str, Growing] = defaultdict(Growing)

    def add(self, part: Samples) -> None:
        """Add a batch."""
        for held, new in ((self._sums, part.sums), (self._weights, part.weights)):
            for name, values in new.items():
                held[name].extend(values)

    def samples(self) -> Samples:
        """All of them, not copied."""
        tables = ({name: each.rows for name, each in held.items()} for held in (self._sums, self._weights))
        return Samples(*tables)
