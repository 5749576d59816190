"""Which of several runs is ahead on which metric, and how sure that is: evaluations in, ranks and verdicts out."""

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from forearm.evaluation.catalogue import (
    FED_BACK,
    KEY_METRICS,
    METRICS,
    Metric,
    fed_back_for,
    key_metrics,
    legible,
)
from forearm.evaluation.intervals import (
    Difference,
    LeaveOneOut,
    SeedSpread,
    left_out_differences,
    smallest_effect,
    spans,
    too_few,
    verdicts,
)
from forearm.evaluation.samples import MODEL, Samples
from forearm.evaluation.saved import Saved

COLUMNS = (
    *KEY_METRICS,
    "psnr_moves",
    "ssim_valid_moves",
    "sharpness",
    "val_mse_action_0",
    "acting_joint_direction_accuracy",
    "readout_position_mae",
    "object_position_error",
    "object_direction_accuracy",
    "object_motion_slope",
    "object_moved_balanced_accuracy",
    "object_mse_pushed",
    "object_mse_untouched",
    "counterfactual_mse",
    "counterfactual_order",
    "k_way_accuracy",
    "controllability_psnr_moves",
)
"""The metrics of a leaderboard, from left to right; those that no run has are left out."""
OPPOSITE = {"better": "worse", "worse": "better", "level": "level"}


@dataclass(frozen=True, eq=False)
class Row:
    """The model of a run, or a baseline, on the samples of the leaderboard."""

    name: str
    """The run's name; for a baseline its own, followed by those of its runs where runs have different ones."""
    samples: Samples
    metrics: dict[str, Any]
    intervals: dict[str, Any]
    """Made anew from the samples, as an older evaluation has others."""
    left_out: LeaveOneOut
    """The figures of ``COLUMNS`` over all groups but each."""
    baseline: str = ""
    """The baseline's name; empty for a run."""

    def competes(self, metric: Metric) -> bool:
        """Whether it may win or lose on a metric; a baseline does not where its rule decides the figure."""
        return self.metrics.get(metric.name) is not None and (not self.baseline or metric.fair(self.baseline))


@dataclass(frozen=True)
class Lead:
    """Who leads on a metric, and how sure that is."""

    metric: Metric
    title: str
    """The metric's."""
    run: Row
    """The best run."""
    second: Row | None
    ahead: bool
    """Whether its figure is better than the second's by the smallest effect that counts, be that sure or not."""
    over_second: str | None
    """Whether the best run is "better", "level" or "worse"; None where that cannot be said."""
    baseline: Row | None
    """The best baseline."""
    over_baseline: str | None
    """As ``over_second``, against the best baseline."""
    level: tuple[str, ...] = ()
    """Runs behind the second that are level with the best: their figures are worse and vary more."""


class Leaderboard:
    """Runs and baselines that were evaluated on the same samples in the same order, and all paired differences."""

    def __init__(self, evaluations: Mapping[str, Saved], recipes: Mapping[str, Hashable] | None = None):
        """Take evaluations by the runs' names.

        Args:
            recipes: what tells the runs apart besides their seed: runs with equal recipes are seeds of one. Their
                spread then counts in every comparison, so that no verdict rests on the seed.
        """
        evaluations = _along_the_same_paths(evaluations)
        # Older evaluations hold smaller groups; the coarsest is right for all, as all have the same samples.
        self.groups = min((saved.groups for saved in evaluations.values()), key=lambda of: len(np.unique(of)))
        self.count = len(np.unique(self.groups))
        coarsest = next(saved for saved in evaluations.values() if saved.groups is self.groups)
        self.grouped_by = str(coarsest.figures.get("grouped_by", "episodes"))
        self.runs = [self._row(name, saved.samples[MODEL], saved.figures) for name, saved in evaluations.items()]
        self.baselines = [self._row(*parts) for parts in _baselines(evaluations)]
        self.rows = self.runs + self.baselines
        self.given = {name for run in self.runs for name in run.metrics.get("given", ())}
        """Metrics that the action answers, of one of the runs at least."""
        self.metrics = [
            METRICS[name] for name in COLUMNS if any(run.metrics.get(name) is not None for run in self.runs)
        ]
        recipes = recipes or {}
        self.seeds = {
            run.name: [other for other in self.runs if run.name in recipes and recipes[other.name] == recipes[run.name]]
            for run in self.runs
        }

    def ranked(self, rows: list[Row], metric: Metric) -> list[Row]:
        """Those of some rows that compete on a metric, the best first."""
        competing = [row for row in rows if row.competes(metric)]
        return sorted(competing, key=lambda row: metric.loss(row.metrics[metric.name]))

    def difference(self, one: Row, other: Row, metric: Metric) -> Difference | None:
        """One row's figure − another's, paired; None where there is none, or both are baselines."""
        if found := self._differences.get((metric.name, one, other)):
            return found
        turned = self._differences.get((metric.name, other, one))
        if turned is None:
            return None
        low, high = turned.interval
        return replace(turned, value=-turned.value, interval=(-high, -low))

    def verdict(self, one: Row, other: Row, metric: Metric) -> str | None:
        """Whether one row is "better", "worse" or "level" with another; None where it cannot be said.

        Holm's correction is for all comparisons of the page: every run with every other row, on every metric.
        """
        if verdict := self._verdicts.get((metric.name, one, other)):
            return verdict
        return OPPOSITE.get(self._verdicts.get((metric.name, other, one)) or "")

    def against_baselines(self, run: Row, metric: Metric) -> tuple[str | None, Row | None]:
        """How a run does against all baselines on a metric.

        Returns:
            "worse" and the best baseline that is surely better; "level" if it is level with one; "better" if it surely
            beats all; None where that cannot be said.
        """
        ranked = self.ranked(self.baselines, metric)
        verdicts = [self.verdict(run, baseline, metric) for baseline in ranked]
        if "worse" in verdicts:
            return "worse", ranked[verdicts.index("worse")]
        return next((verdict for verdict in ("level", "better") if verdict in verdicts), None), None

    @property
    def key_metrics(self) -> dict[str, str]:
        """The key metrics that the action does not answer and that can be read, each with its title."""
        return key_metrics(self.given, self.legible, next((fed_back_for(run.metrics) for run in self._fed_back), ""))

    @property
    def _fed_back(self) -> list[Row]:
        return [run for run in self.runs if run.metrics.get(FED_BACK) is not None]

    @property
    def not_fed_back(self) -> list[Row]:
        """Runs that lack the figure of predictions that are fed back, where others have it."""
        return [run for run in self.runs if run not in self._fed_back] if self._fed_back else []

    @property
    def legible(self) -> bool:
        """Whether the joint as read from pictures says more of the models than of a reader, for every run."""
        return all(legible(run.metrics) for run in self.runs)

    @property
    def too_few(self) -> str | None:
        """Why nothing is judged better or worse, in words; None where there are groups enough."""
        return too_few(self.count, self.grouped_by)

    @cached_property
    def leads(self) -> list[Lead]:
        """Who leads on each key metric that every run has and that the action does not answer."""
        return [
            self._lead(metric)
            for metric in self.metrics
            if metric.name in self.key_metrics and all(run.competes(metric) for run in self.runs)
        ]

    def _lead(self, metric: Metric) -> Lead:
        best, *others = self.ranked(self.runs, metric)
        second, baseline = next(iter(others), None), next(iter(self.ranked(self.baselines, metric)), None)
        over_second, over_baseline = (self.verdict(best, row, metric) if row else None for row in (second, baseline))
        ahead = second is None or self._ahead(best, second, metric)
        level = tuple(row.name for row in others[1:] if self.verdict(best, row, metric) == "level")
        title = self.key_metrics[metric.name]
        return Lead(metric, title, best, second, ahead, over_second, baseline, over_baseline, level)

    def _ahead(self, best: Row, second: Row, metric: Metric) -> bool:
        one, other = best.metrics[metric.name], second.metrics[metric.name]
        return bool(one != other and abs(one - other) >= smallest_effect(metric, other))

    def _row(self, name: str, samples: Samples, metrics: dict[str, Any], baseline: str = "") -> Row:
        left_out = LeaveOneOut.of(samples.only(COLUMNS), self.groups)
        return Row(name, samples, metrics, spans(left_out), left_out, baseline)

    @cached_property
    def _differences(self) -> dict[tuple[str, Row, Row], Difference | None]:
        """Every run's difference from every later run and from every baseline, where both compete."""
        return {
            (metric.name, run, other): found[metric.name]
            for i, run in enumerate(self.runs)
            for other in self.rows[i + 1 :]
            for found in [self._apart(run, other)]
            for metric in self.metrics
            if metric.name in found and run.competes(metric) and other.competes(metric)
        }

    def _apart(self, run: Row, other: Row) -> dict[str, Any]:
        def spread(name: str) -> list[SeedSpread | None]:
            alike = [self.seeds.get(row.name, []) for row in (run, other) if not row.baseline]
            figures = [[seed.metrics[name] for seed in seeds if seed.metrics.get(name) is not None] for seeds in alike]
            return [SeedSpread.of(values, averaged=False) for values in figures]

        return left_out_differences(run.left_out, other.left_out, spread)

    @cached_property
    def _verdicts(self) -> dict[tuple[str, Row, Row], str | None]:
        return verdicts(self._differences)


def _baselines(evaluations: Mapping[str, Saved]) -> Iterator[tuple[str, Samples, dict[str, Any], str]]:
    """Every baseline once; where runs of different training data have different ones, each with its runs' names."""
    for baseline in dict.fromkeys(name for saved in evaluations.values() for name in saved.samples if name != MODEL):
        variants: list[list[str]] = []
        for run, saved in evaluations.items():
            if baseline in saved.samples:
                mine = saved.samples[baseline]
                equal = [runs for runs in variants if _equal(evaluations[runs[0]].samples[baseline], mine)]
                equal[0].append(run) if equal else variants.append([run])
        for runs in variants:
            saved = max((evaluations[run] for run in runs), key=lambda saved: len(_defined(saved.samples[baseline])))
            name = baseline if len(variants) == 1 else f"{baseline} of {' and '.join(runs)}"
            yield name, saved.samples[baseline], saved.figures["baselines"][baseline]["metrics"], baseline


def _equal(one: Samples, other: Samples) -> bool:
    """Whether two are equal in every metric that both have, as an older evaluation has fewer."""
    return all(np.allclose(one.sums[name], other.sums[name], rtol=1e-5) for name in _defined(one) & _defined(other))


def _defined(samples: Samples) -> set[str]:
    return {name for name, weights in samples.weights.items() if weights.any()}


def _along_the_same_paths(evaluations: Mapping[str, Saved]) -> Mapping[str, Saved]:
    """Evaluations of which only those have ``FED_BACK`` that were fed back along the same paths and for as long.

    Of several such sets the largest keeps it; of equally large ones that of the first run.
    """
    paths = {name: _paths(saved) for name, saved in evaluations.items()}
    kept = Counter(found for found in paths.values() if found).most_common(1)
    return {
        name: saved if kept and paths[name] == kept[0][0] else saved.without(FED_BACK)
        for name, saved in evaluations.items()
    }


def _paths(saved: Saved) -> tuple[bytes, str] | None:
    """Where the paths of an evaluation begin and for how long they were followed; None without any."""
    starts, lasts = saved.samples[MODEL].weights.get(FED_BACK), fed_back_for(saved.figures)
    return (starts.tobytes(), lasts) if starts is not None and starts.any() and lasts else None
