"""How sure figures are: 95% intervals, p-values and verdicts, over groups of samples that are independent.

A group is an episode, or a scene that several episodes share. The jackknife (Tukey 1958) leaves out one group at a
time, which gives the standard error of any figure. An interval is the wider of two: Student's t, with as many groups as
count equally (Kish 1965), and the same after Hall's transformation for skewness (1992). For shares it also covers
Wilson's interval (1927) with the effective sample size. ``benchmarks/coverage.py`` simulates how often intervals hold
the truth.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from scipy.special import bdtr, betaincinv, stdtr, stdtrit

from forearm.evaluation.catalogue import KEY_METRICS, METRICS, Metric
from forearm.evaluation.samples import Interval, Samples, ratio

ERROR_RATE = 0.05
"""How often an interval may miss the truth, and how often any verdict of a family may be wrong."""
MIN_GROUPS = 6
"""Fewer groups give no verdict."""
SMALLEST_EFFECT = 0.01
"""A difference below this share of the other's error is level, however sure it is."""

Span = tuple[float, float] | None
Key = TypeVar("Key", bound=tuple[Any, ...])


@dataclass(frozen=True)
class Estimate:
    """A figure, and what is known of how it would vary with other groups (and seeds)."""

    value: float
    variance: float
    freedom: float
    """Degrees of freedom of the variance."""
    skewness: float
    """Of the figure's own distribution: that of a group's, divided by √groups."""
    groups: int
    count: float
    """How many samples, or what is counted in them."""

    def interval(self) -> tuple[float, float]:
        """The wider of t's interval and Hall's."""
        error, t = float(np.sqrt(self.variance)), float(stdtrit(self.freedom, 1 - ERROR_RATE / 2))
        low, high = (self._inverse(bound) for bound in (t, -t))
        return self.value - error * max(t, low), self.value + error * max(t, -high)

    def p(self) -> float:
        """Two-sided p-value of the figure being 0: below 0.05 exactly where the interval leaves out 0."""
        if self.variance <= 0:
            return 0.0 if self.value else 1.0
        t = self.value / np.sqrt(self.variance)
        least = min(abs(t), abs(self._transformed(t)) if self.skewness else abs(t))
        return float(2 * stdtr(self.freedom, -least))

    def share(self) -> tuple[float, float]:
        """The interval of a share in [0, 1]: it covers Wilson's too, and so has a width where all groups agree."""
        low, high = self.interval()
        p, t2 = min(max(self.value, 0.0), 1.0), float(stdtrit(self.freedom, 1 - ERROR_RATE / 2)) ** 2
        n = p * (1 - p) / self.variance if self.variance > 0 else self.groups
        n = min(max(n, 1.0), max(self.count, 1.0))
        centre, half = p + t2 / (2 * n), np.sqrt(t2 * (p * (1 - p) / n + t2 / (4 * n * n)))
        low, high = (min(low, (centre - half) / (1 + t2 / n)), max(high, (centre + half) / (1 + t2 / n)))
        return max(float(low), 0.0), min(float(high), 1.0)

    def share_difference(self) -> tuple[tuple[float, float], float]:
        """Interval and p-value of a difference of shares in [−1, 1].

        Where all groups have the same difference, its variance is unknown and not 0: as many as the rule of three says
        may be of another kind, with the difference at its end.
        """
        if self.variance > 0:
            low, high = self.interval()
            return (max(low, -1.0), min(high, 1.0)), self.p()
        unseen = 1 - (ERROR_RATE / 2) ** (1 / self.groups)
        low, high = self.value - unseen * (1 + self.value), self.value + unseen * (1 - self.value)
        return (low, high), min(1.0, 2 * (1 + abs(self.value)) ** -self.groups)

    def _transformed(self, t: float) -> float:
        """Hall's transformation of (estimate − truth) / standard error; it grows with t."""
        a = self.skewness
        return t + a * t * t / 3 + a * a * t**3 / 27 + a / 6

    def _inverse(self, value: float) -> float:
        a = self.skewness
        return value if abs(a) < 1e-6 else float(3 / a * (np.cbrt(1 + a * (value - a / 6)) - 1))


@dataclass(frozen=True)
class Difference:
    """One predictor's figure minus another's on the same samples, in pairs."""

    value: float
    interval: tuple[float, float]
    p: float
    """Two-sided p-value of no difference, of this comparison alone."""
    groups: int
    relevant: bool
    """Whether it is as large as the smallest effect that counts."""


Differences = dict[str, Any]
"""A `Difference` or None for each metric, or a list of them for a metric per joint or horizon."""


@dataclass(frozen=True)
class SeedSpread:
    """Variance of a figure over the seeds of its training, as far as it enters a comparison."""

    variance: float
    freedom: float

    @classmethod
    def of(cls, figures: Sequence[float], averaged: bool = True) -> "SeedSpread | None":
        """From the figures of several seeds: the variance of their mean, or of one of them; None of one seed."""
        if len(figures) < 2:
            return None
        variance = float(np.var(figures, ddof=1))
        return cls(variance / len(figures) if averaged else variance, len(figures) - 1)


@dataclass(frozen=True)
class LeaveOneOut:
    """Figures over all G groups, and over all but each.

    figures: for each name (1 + G,), or (1 + G, J), the figure of all first. weights: for each name (G,), or (G, J), how
    much each group counts in it.
    """

    figures: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]

    @classmethod
    def of(cls, samples: Samples, groups: np.ndarray) -> "LeaveOneOut":
        """From samples, each of one of the groups (N,)."""
        _, group_of = np.unique(groups, return_inverse=True)
        count = int(group_of.max()) + 1

        def totals(values: np.ndarray) -> np.ndarray:
            sums = np.zeros((count, *values.shape[1:]))
            np.add.at(sums, group_of, values)
            return sums

        def without(sums: np.ndarray) -> np.ndarray:
            whole = sums.sum(0, keepdims=True)
            return np.concatenate([whole, whole - sums])

        figures, weights = {}, {}
        for name, values in samples.sums.items():
            weights[name] = totals(samples.weights[name])
            counts = without(weights[name])
            counts[counts < 1e-9 * counts[:1]] = 0  # what subtraction leaves of a group that holds everything
            figures[name] = ratio(without(totals(values)), counts)
        return cls(figures, weights)

    def against(
        self, other: "LeaveOneOut", combine: Callable[[np.ndarray, np.ndarray], np.ndarray] = np.subtract
    ) -> "LeaveOneOut":
        """Figures made of these and another's on the same samples."""
        names = [name for name in self.figures if name in other.figures]
        return LeaveOneOut(
            {name: combine(self.figures[name], other.figures[name]) for name in names},
            {name: self.weights[name] + other.weights[name] for name in names},
        )

    def estimate(
        self, name: str, column: int | None = None, seeds: Iterable[SeedSpread | None] = ()
    ) -> Estimate | None:
        """One figure and its variance; None where fewer than two groups define it."""
        index = (slice(None),) if column is None else (slice(None), column)
        return estimate(self.figures[name][index], self.weights[name][index], seeds)

    def each(self, make: Callable[[str, int | None], Any]) -> dict[str, Any]:
        """What is made of every figure, of each column where there are several."""
        return {
            name: make(name, None) if values.ndim == 1 else [make(name, j) for j in range(values.shape[1])]
            for name, values in self.figures.items()
        }


def estimate(figures: np.ndarray, weights: np.ndarray, seeds: Iterable[SeedSpread | None] = ()) -> Estimate | None:
    """From a figure of all groups and of all but each (1 + G,), and how much each group counts (G,).

    The variances over groups and over seeds add up (Satterthwaite 1946 gives the degrees of freedom). None where fewer
    than two groups define the figure.
    """
    counting = weights > 0
    groups, whole, without = int(counting.sum()), figures[0], figures[1:][counting]
    if groups < 2 or not (np.isfinite(whole) and np.isfinite(without).all()):
        return None
    shares = weights[counting] / weights.sum()
    equal = 1 / (shares**2).sum()  # so many groups of one size tell as much
    deviations = (groups - 1) * (whole - without)
    deviations[np.abs(deviations) < 1e-12 * groups * np.abs(whole)] = 0  # rounding
    variance = float((deviations**2).sum() / (groups - 1) / groups)
    centred, enough = deviations - deviations.mean(), max(equal, 3.0)
    spread = float((centred**2).sum())
    skewness = 0.0
    if spread > 0 and variance > 0:
        skewness = float((centred**3).sum()) / spread**1.5 * np.sqrt(enough * (enough - 1)) / (enough - 2)
    parts = [(variance, max(equal - 1, 1.0)), *((s.variance, s.freedom) for s in seeds if s is not None)]
    total = sum(part for part, _ in parts)
    freedom = total**2 / sum(part**2 / df for part, df in parts) if total > 0 else parts[0][1]
    skewness *= (variance / total) ** 1.5 if total > 0 else 0
    return Estimate(float(whole), total, freedom, float(skewness), groups, float(weights.sum()))


def intervals(samples: Samples, groups: np.ndarray) -> dict[str, Interval]:
    """95% interval of every metric, from samples of the groups (N,); None where fewer than two groups define it."""
    return spans(LeaveOneOut.of(samples, groups))


def spans(left_out: LeaveOneOut) -> dict[str, Interval]:
    """95% interval of every figure."""

    def span(name: str, column: int | None) -> Span:
        found = left_out.estimate(name, column)
        if found is None:
            return None
        metric = METRICS.get(name)
        if metric is not None and metric.unit == "share":
            return found.share()
        low, high = found.interval()
        least, most = metric.bounds if metric is not None else (-np.inf, np.inf)
        return max(low, least), min(high, most)

    return left_out.each(span)


def share_interval(successes: np.ndarray, groups: np.ndarray) -> Span:
    """95% interval of a share of successes (N,), each 0 or 1 and of one of the groups (N,); None of a single group."""
    found = LeaveOneOut.of(Samples.of({"share": np.asarray(successes, float)}), groups).estimate("share")
    return found.share() if found else None


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """95% interval of the mean of N ≥ 2 independent differences of shares, each within −1 and 1."""
    found = LeaveOneOut.of(Samples.of({"share": np.asarray(values, float)}), np.arange(len(values))).estimate("share")
    assert found is not None
    return found.share_difference()[0]


@dataclass(frozen=True)
class PairedShares:
    """The share of successes of one method minus that of another, both tried on the same independent trials."""

    value: float
    interval: tuple[float, float]
    p: float
    """McNemar's exact p-value (1947), two-sided, of this comparison alone."""
    trials: int

    @classmethod
    def of(cls, ours: np.ndarray, theirs: np.ndarray) -> "PairedShares":
        """From successes (N,) bool, twice, N ≥ 2.

        The interval is the wider of that of the mean difference and of the exact one that goes with the p-value: of the
        trials in which the two differ, Clopper and Pearson's interval (1934) of the share that is ours.
        """
        ours, theirs = np.asarray(ours, bool), np.asarray(theirs, bool)
        won, lost, trials = int((ours & ~theirs).sum()), int((theirs & ~ours).sum()), len(ours)
        differing, tail = won + lost, ERROR_RATE / 2
        low, high = mean_interval(ours.astype(float) - theirs)
        if differing:
            least = betaincinv(won, lost + 1, tail) if won else 0.0
            most = betaincinv(won + 1, lost, 1 - tail) if lost else 1.0
            exact = [differing / trials * (2 * float(share) - 1) for share in (least, most)]
            low, high = min(low, exact[0]), max(high, exact[1])
        p = min(1.0, 2 * float(bdtr(min(won, lost), differing, 0.5))) if differing else 1.0
        return cls((won - lost) / trials, (low, high), p, trials)


def skill_intervals(ours: Samples, theirs: Samples, groups: np.ndarray) -> dict[str, Interval]:
    """95% interval of 1 − our metric / theirs on the same samples, paired; None as in ``intervals``."""
    mine, other = LeaveOneOut.of(ours, groups), LeaveOneOut.of(theirs, groups)
    skills = mine.against(other, lambda one, another: 1 - ratio(one, another))

    def span(name: str, column: int | None) -> Span:
        found = skills.estimate(name, column)
        low, high = found.interval() if found else (np.nan, np.nan)
        return (low, min(high, 1.0)) if found else None

    return skills.each(span)


def differences(
    ours: Samples,
    theirs: Samples,
    groups: np.ndarray,
    seeds: Callable[[str], Iterable[SeedSpread | None]] = lambda name: (),
) -> Differences:
    """(Our metric − theirs) on the same samples, paired; None as in ``intervals``.

    Args:
        seeds: for a metric the variance over the seeds of either's training, where it is known.
    """
    return left_out_differences(LeaveOneOut.of(ours, groups), LeaveOneOut.of(theirs, groups), seeds)


def left_out_differences(
    ours: LeaveOneOut, theirs: LeaveOneOut, seeds: Callable[[str], Iterable[SeedSpread | None]] = lambda name: ()
) -> Differences:
    """``differences`` of what has been left out already."""
    apart = ours.against(theirs)

    def difference(name: str, column: int | None) -> Difference | None:
        found = apart.estimate(name, column, seeds(name))
        if found is None:
            return None
        metric = METRICS.get(name)
        if metric is not None and metric.unit == "share":
            interval, p = found.share_difference()
        else:
            interval, p = found.interval(), found.p()
        other = float(theirs.figures[name][0] if column is None else theirs.figures[name][0, column])
        least = smallest_effect(metric, other) if metric is not None else 0.0
        relevant = abs(found.value) >= least
        return Difference(found.value, interval, p, found.groups, relevant)

    return apart.each(difference)


def difference_spans(found: Differences) -> dict[str, Interval]:
    """The intervals of differences."""

    def span(of: Any) -> Any:
        return [span(one) for one in of] if isinstance(of, list) else of.interval if of is not None else None

    return {name: span(of) for name, of in found.items()}


def smallest_effect(metric: Metric, other: float) -> float:
    """The smallest difference from another's figure that counts: 1 % of the other's error, in dB as much.

    The error of a share or a similarity is what it lacks to 1.
    """
    if metric.unit == "dB":
        return float(10 * np.log10(1 + SMALLEST_EFFECT))
    similarity = metric.better == "higher" and (metric.unit == "share" or metric.name.startswith("ssim"))
    return SMALLEST_EFFECT * abs(1 - other if similarity else other)


def holm(ps: Sequence[float]) -> list[float]:
    """p-values adjusted for there being several (Holm 1979): each below 0.05 is sure beside all others."""
    order = np.argsort(ps, kind="stable")
    steps = np.asarray(ps, float)[order] * np.arange(len(ps), 0, -1)
    adjusted = np.empty(len(ps))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted.tolist()


def verdicts(compared: Mapping[Key, Difference | None]) -> dict[Key, str | None]:
    """What all comparisons of a page say of the one that is compared: "better", "worse" or "level".

    Keys begin with the metric's name. Key figures are a family, other metrics another; Holm's correction holds within
    each. None where there is no difference to judge, fewer than ``MIN_GROUPS`` groups, or nearest 1 is best, as a
    difference does not say which is nearer.
    """
    families: dict[bool, list[Key]] = defaultdict(list)
    for key, found in compared.items():
        if found is not None and found.groups >= MIN_GROUPS and METRICS[str(key[0])].better != "nearest 1":
            families[key[0] in KEY_METRICS].append(key)
    judged: dict[Key, str | None] = dict.fromkeys(compared)
    for keys in families.values():
        members = [(key, found) for key in keys if (found := compared[key])]
        for (key, found), p in zip(members, holm([found.p for _, found in members]), strict=True):
            lower = METRICS[str(key[0])].better == "lower"
            sure = p < ERROR_RATE and found.relevant
            judged[key] = ("better" if (found.value < 0) == lower else "worse") if sure else "level"
    return judged


def too_few(groups: int, kind: str = "episodes") -> str | None:
    """Why there is no verdict, in words; None where there are groups enough."""
    kind = kind.removesuffix("s") if groups == 1 else kind
    return f"{groups} {kind}: too few to tell (at least {MIN_GROUPS})" if groups < MIN_GROUPS else None
