"""What is known about a predictor when it has been evaluated."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from forearm.canvas import CODE_NAMES, CODES, Layout
from forearm.evaluation.baselines import PERSISTENCE
from forearm.evaluation.catalogue import (
    CATALOGUE,
    METRICS,
    key_metrics,
    legible,
)
from forearm.evaluation.examples import Example
from forearm.evaluation.intervals import Difference, Differences, difference_spans, too_few, verdicts
from forearm.evaluation.objects import Objects
from forearm.evaluation.readout import Readout
from forearm.evaluation.rollouts import Rollouts
from forearm.evaluation.samples import Interval, Samples, Value
from forearm.evaluation.uncertainty import Uncertainty


@dataclass(frozen=True)
class Baseline:
    """How a baseline does on the same samples, and how the model compares.

    skill: 1 − the model's error / the baseline's, for metrics that are errors. differences: the model's metric − the
    baseline's, paired.
    """

    metrics: dict[str, Value]
    intervals: dict[str, Interval]
    skill: dict[str, Value]
    skill_intervals: dict[str, Interval]
    differences: Differences

    def to_json(self) -> dict[str, Any]:
        """What ``metrics.json`` holds of it: of differences their intervals."""
        return {**vars(self), "differences": difference_spans(self.differences)}


@dataclass(frozen=True)
class Evaluation:
    """Everything that is known about a predictor.

    actions_seen: how often each code occurs in training; validated: how often among the scored samples.
    latency: milliseconds. extras: means of the family's own figures, and ``squared_error_per_patch`` (rows,
    columns) of the last frame. samples: the metrics per sample, in the order of ``rows``; group_of_rows: the
    independent group of each, of which there are ``groups``, each an episode or a scene (``grouped_by``);
    baseline_samples: the baselines' metrics per sample. cautions: sentences that whoever evaluated knows, and that
    belong to ``warnings``. rollouts: errors by horizon, where ``roll_out`` measured them. uncertainty: how far the
    errors that the predictor expects can be trusted, if it expects any. readout: how well joints can be read from true
    pictures, if they were read. objects: how objects moved, if that is known.
    """

    layout: Layout
    metrics: dict[str, Value]
    intervals: dict[str, Interval]
    baselines: dict[str, Baseline]
    actions_seen: dict[int, int]
    validated: dict[int, int]
    groups: int
    grouped_by: str
    latency: dict[str, float]
    drawn: list[Example]
    best: list[Example]
    worst: list[Example]
    extras: dict[str, np.ndarray]
    samples: Samples
    baseline_samples: dict[str, Samples]
    rows: np.ndarray
    group_of_rows: np.ndarray
    cautions: tuple[str, ...] = ()
    rollouts: Rollouts | None = None
    uncertainty: Uncertainty | None = None
    readout: Readout | None = None
    objects: Objects | None = None

    @property
    def guesses(self) -> list[int]:
        """Codes that training never saw: whatever is predicted under them is a guess."""
        return [code for code in CODES if not self.actions_seen.get(code)]

    @property
    def given(self) -> list[str]:
        """Names of the metrics that the action answers, as it names the change of the joint."""
        return [metric.name for metric in CATALOGUE if metric.given(self.layout)]

    @property
    def key_metrics(self) -> dict[str, str]:
        """The key metrics that the action does not answer and that can be read, each with its title."""
        return key_metrics(self.given, self.legible, self.fed_back_for)

    @property
    def fed_back_for(self) -> str:
        """How long predictions were fed back for the first key metric, in words; empty where they were not."""
        return self.rollouts.fed_back.lasts if self.rollouts else ""

    @property
    def legible(self) -> bool:
        """Whether the joint as read from the picture says more of the model than of the reader."""
        still = self.baselines.get(PERSISTENCE)
        return legible(
            {
                "readout": {"floor": self.readout.floor if self.readout else {}},
                "baselines": {PERSISTENCE: {"metrics": still.metrics if still else {}}},
            }
        )

    @property
    def warnings(self) -> list[str]:
        """What makes the figures less sure than they look, a sentence each."""
        warnings = list(self.cautions)
        if few := self.too_few:
            warnings.append(f"No comparison is judged better or worse: the samples are from {few}.")
        for code in self.guesses:
            warnings.append(f"{CODE_NAMES[code]} was never seen in training: predictions under it are guesses.")
        return warnings

    @property
    def too_few(self) -> str | None:
        """Why nothing is judged better or worse, in words; None where there are groups enough."""
        return too_few(self.groups, self.grouped_by)

    @cached_property
    def _verdicts(self) -> dict[tuple[Any, ...], str | None]:
        """Every metric that is one number, against every baseline that is a rival in it."""
        return verdicts(
            {
                (metric.name, name): difference
                for metric in CATALOGUE
                for name, baseline in self.baselines.items()
                if metric.fair(name) and isinstance(difference := baseline.differences.get(metric.name), Difference)
            }
        )

    def verdict(self, name: str, baseline: str = PERSISTENCE) -> str | None:
        """Whether the model is "better" than a baseline, "worse", or "level" (``intervals.verdicts``).

        None where it cannot be said: the metric is undefined, the groups are too few, or the baseline is no rival in
        this metric (``Metric.fair``).
        """
        return self._verdicts.get((METRICS[name].name, baseline))

    def ahead(self, name: str) -> str | None:
        """The best of the baselines that are surely better than the model where persistence is not; None without one.

        Where persistence is better too, there is nothing to add: copying is the plainer reproach.
        """
        if self.verdict(name) == "worse":
            return None
        better = {b.metrics[name]: title for title, b in self.baselines.items() if self.verdict(name, title) == "worse"}
        return better[min(better, key=METRICS[name].loss)] if better else None  # type: ignore[arg-type]

    def to_json(self) -> dict[str, Any]:
        """What ``metrics.json`` holds; ``docs/metrics.md`` describes it."""
        persistence = self.baselines.get(PERSISTENCE)
        return {
            **self.metrics,
            "samples": len(self.samples),
            "groups": self.groups,
            "grouped_by": self.grouped_by,
            "intervals": self.intervals,
            "skill": persistence.skill if persistence else {},
            "skill_intervals": persistence.skill_intervals if persistence else {},
            "baselines": {name: baseline.to_json() for name, baseline in self.baselines.items()},
            "actions_seen": {str(code): self.actions_seen.get(code, 0) for code in CODES},
            "guesses": self.guesses,
            "given": self.given,
            "per_action": {str(code): self._of_action(code) for code in CODES},
            "latency": self.latency,
            "extras": {name: values.tolist() for name, values in self.extras.items()},
            "rollouts": self.rollouts.to_json() if self.rollouts else None,
            "uncertainty": self.uncertainty.to_json() if self.uncertainty else None,
            "readout": self.readout.to_json() if self.readout else None,
            "objects": self.objects.to_json() if self.objects else None,
            "warnings": self.warnings,
        }

    def _of_action(self, code: int) -> dict[str, Any]:
        return {
            "name": CODE_NAMES[code],
            "seen_in_training": self.actions_seen.get(code, 0),
            "guess": code in self.guesses,
            "samples": self.validated[code],
            "val_mse": self.metrics[f"val_mse_action_{code}"],
            "motor_position_mae": self.metrics[f"motor_position_mae_action_{code}"],
        }
