"""Which of several runs is ahead on which metric, and how sure that is: evaluations in, ranks and verdicts out."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from forearm.evaluation.catalogue import KEY_METRICS, METRICS, Metric
from forearm.evaluation.samples import MODEL, Interval, Resampled, Samples, percentiles, resample
from forearm.evaluation.saved import Saved

COLUMNS = (
    *KEY_METRICS,
    "psnr_moves",
    "ssim_valid_moves",
    "sharpness",
    "val_mse_action_0",
    "acting_joint_direction_accuracy",
    "readout_position_mae",
    "counterfactual_mse",
    "counterfactual_order",
    "k_way_accuracy",
    "controllability_psnr_moves",
)
"""The metrics of a leaderboard, from left to right; those that no run has are left out."""


@dataclass(frozen=True, eq=False)
class Row:
    """The model of a run, or a baseline, on the samples of the leaderboard."""

    name: str
    """The run's name; for a baseline its own, followed by those of its runs where runs have different ones."""
    samples: Samples
    metrics: dict[str, Any]
    intervals: dict[str, Any]
    baseline: str = ""
    """The baseline's name; empty for a run."""

    def competes(self, metric: Metric) -> bool:
        """Whether it may win or lose on a metric; a baseline does not where its rule decides the figure."""
        return self.metrics.get(metric.name) is not None and (not self.baseline or metric.fair(self.baseline))


@dataclass(frozen=True)
class Lead:
    """Who leads on a metric, and how sure that is."""

    metric: Metric
    run: Row
    """The best run."""
    second: Row | None
    over_second: str | None
    """Whether the best run is "better", "level" or "worse"; None where that cannot be said."""
    baseline: Row | None
    """The best baseline."""
    over_baseline: str | None
    """As ``over_second``, against the best baseline."""


class Leaderboard:
    """Runs and baselines that were evaluated on the same samples in the same order, and all paired differences."""

    def __init__(self, evaluations: dict[str, Saved]):
        self.runs = [
            Row(name, saved.samples[MODEL], saved.figures, saved.figures["intervals"])
            for name, saved in evaluations.items()
        ]
        self.baselines = list(_baselines(evaluations))
        self.rows = self.runs + self.baselines
        self.given = {name for run in self.runs for name in run.metrics.get("given", ())}
        """Metrics that the action answers, of one of the runs at least."""
        self.episodes = next(iter(evaluations.values())).episodes
        self.metrics = [
            METRICS[name] for name in COLUMNS if any(run.metrics.get(name) is not None for run in self.runs)
        ]

    def ranked(self, rows: list[Row], metric: Metric) -> list[Row]:
        """Those of some rows that compete on a metric, the best first."""
        competing = [row for row in rows if row.competes(metric)]
        return sorted(competing, key=lambda row: metric.loss(row.metrics[metric.name]))

    def difference(self, one: Row, other: Row, metric: Metric) -> Interval:
        """95% interval of (one's figure − the other's), the same episodes drawn for both; None where there is none."""
        mine, theirs = self._resampled[one], self._resampled[other]
        if metric.name not in mine or metric.name not in theirs:
            return None
        return percentiles({metric.name: mine[metric.name] - theirs[metric.name]})[metric.name]

    def verdict(self, one: Row, other: Row, metric: Metric) -> str | None:
        """Whether one row is "better", "worse" or "level" with another; None where it cannot be said."""
        if not (one.competes(metric) and other.competes(metric)):
            return None
        return metric.verdict(self.difference(one, other, metric))

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

    @cached_property
    def leads(self) -> list[Lead]:
        """Who leads on each key metric that the action does not answer."""
        return [self._lead(m) for m in self.metrics if m.name in KEY_METRICS and m.name not in self.given]

    def _lead(self, metric: Metric) -> Lead:
        best, *others = self.ranked(self.runs, metric)
        second, baseline = next(iter(others), None), next(iter(self.ranked(self.baselines, metric)), None)
        over_second, over_baseline = (self.verdict(best, row, metric) if row else None for row in (second, baseline))
        return Lead(metric, best, second, over_second, baseline, over_baseline)

    @cached_property
    def _resampled(self) -> dict[Row, Resampled]:
        if len(np.unique(self.episodes)) < 2:  # nothing to draw from, so nothing is sure
            return {row: {} for row in self.rows}
        names = [metric.name for metric in self.metrics]
        return {row: resample(row.samples.only(names), self.episodes) for row in self.rows}


def _baselines(evaluations: dict[str, Saved]) -> Iterator[Row]:
    """Every baseline once; where runs of different training data have different ones, each with its runs' names."""
    for baseline in dict.fromkeys(name for saved in evaluations.values() for name in saved.samples if name != MODEL):
        variants: list[list[str]] = []
        for run, saved in evaluations.items():
            if baseline in saved.samples:
                mine = saved.samples[baseline]
                equal = [runs for runs in variants if _equal(evaluations[runs[0]].samples[baseline], mine)]
                equal[0].append(run) if equal else variants.append([run])
        for runs in variants:
            saved = evaluations[runs[0]]
            figures = saved.figures["baselines"][baseline]
            name = baseline if len(variants) == 1 else f"{baseline} of {' and '.join(runs)}"
            yield Row(name, saved.samples[baseline], figures["metrics"], figures["intervals"], baseline)


def _equal(one: Samples, other: Samples) -> bool:
    return one.sums.keys() == other.sums.keys() and all(
        np.allclose(sums, other.sums[name], rtol=1e-5) for name, sums in one.sums.items()
    )
