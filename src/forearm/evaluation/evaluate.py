"""From a predictor and validation batches to everything that a report says."""

import dataclasses
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from forearm.batch import Batch, Prediction, Predictor
from forearm.canvas import CODE_NAMES, CODES, Layout, as_uint8, decode_strip
from forearm.errors import ForearmError
from forearm.evaluation.baselines import PERSISTENCE, standard_baselines
from forearm.evaluation.catalogue import ERRORS, METRICS
from forearm.evaluation.doubt import Doubt, Doubts, Kinds
from forearm.evaluation.examples import Example, Gallery
from forearm.evaluation.metrics import Truth, against_outcomes, counterfactuals, per_sample, picture_error
from forearm.evaluation.rollouts import Rollouts
from forearm.evaluation.samples import Interval, Samples, Value, differences, intervals, skill_intervals, skills
from forearm.transitions.store import Outcomes

FEW_EPISODES = 10


@runtime_checkable
class Diagnosable(Protocol):
    """A predictor that knows how to look into itself."""

    def diagnose(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Figures per sample, each (B,), (B, K) or (B, rows, columns); their means become ``Evaluation.extras``."""
        ...


@dataclass(frozen=True)
class Baseline:
    """How a baseline does on the same samples, and how the model compares.

    skill: 1 − the model's error / the baseline's, for metrics that are errors. differences: 95% intervals of
    (the model's metric − the baseline's), paired.
    """

    metrics: dict[str, Value]
    intervals: dict[str, Interval]
    skill: dict[str, Value]
    skill_intervals: dict[str, Interval]
    differences: dict[str, Interval]


@dataclass(frozen=True)
class Evaluation:
    """Everything that is known about a predictor.

    actions_seen: how often each code occurs in training; validated: how often among the scored samples.
    latency: milliseconds. extras: means of the family's own figures, and ``squared_error_per_patch`` (rows,
    columns) of the last frame. samples: the metrics per sample, in the order of ``rows``, which come from the episodes
    ``episode_of_rows``; baseline_samples: the baselines' likewise. cautions: sentences that whoever evaluated knows,
    and that belong to ``warnings``. rollouts: errors by horizon, where ``roll_out`` measured them. doubt: how far the
    errors that the predictor expects can be trusted, if it expects any.
    """

    layout: Layout
    metrics: dict[str, Value]
    intervals: dict[str, Interval]
    baselines: dict[str, Baseline]
    actions_seen: dict[int, int]
    validated: dict[int, int]
    episodes: int
    latency: dict[str, float]
    drawn: list[Example]
    best: list[Example]
    worst: list[Example]
    extras: dict[str, np.ndarray]
    samples: Samples
    baseline_samples: dict[str, Samples]
    rows: np.ndarray
    episode_of_rows: np.ndarray
    cautions: tuple[str, ...] = ()
    rollouts: Rollouts | None = None
    doubt: Doubt | None = None

    @property
    def guesses(self) -> list[int]:
        """Codes that training never saw: whatever is predicted under them is a guess."""
        return [code for code in CODES if not self.actions_seen.get(code)]

    @property
    def warnings(self) -> list[str]:
        """What makes the figures less sure than they look, a sentence each."""
        warnings = list(self.cautions)
        if self.episodes == 1:
            warnings.append("All validation samples are from one episode, so nothing can be said about their spread.")
        elif self.episodes < FEW_EPISODES:
            warnings.append(
                f"Only {self.episodes} validation episodes: the 95% intervals are rough, likely too narrow."
            )
        for code in self.guesses:
            warnings.append(f"{CODE_NAMES[code]} was never seen in training: predictions under it are guesses.")
        return warnings

    def verdict(self, name: str, baseline: str = PERSISTENCE) -> str | None:
        """Whether the model is "better" or "worse" than a baseline, or "level" as the interval includes both.

        None where it cannot be said: the metric is undefined, one episode gives no interval, or the baseline is
        no rival in this metric (``Metric.fair``).
        """
        if not METRICS[name].fair(baseline):
            return None
        difference = self.baselines[baseline].differences.get(name) if baseline in self.baselines else None
        return METRICS[name].verdict(difference)

    def ahead(self, name: str) -> str | None:
        """The best of the baselines that are surely better than the model where persistence is not; None without one.

        Where persistence is better too, there is nothing to add: copying is the plainer reproach.
        """
        if self.verdict(name) == "worse":
            return None
        better = {b.metrics[name]: title for title, b in self.baselines.items() if self.verdict(name, title) == "worse"}
        best = min if METRICS[name].better == "lower" else max
        return better[best(better)] if better else None  # type: ignore[type-var]

    def to_json(self) -> dict[str, Any]:
        """What ``metrics.json`` holds; ``docs/metrics.md`` describes it."""
        persistence = self.baselines.get(PERSISTENCE)
        return {
            **self.metrics,
            "samples": len(self.samples),
            "episodes": self.episodes,
            "intervals": self.intervals,
            "skill": persistence.skill if persistence else {},
            "skill_intervals": persistence.skill_intervals if persistence else {},
            "baselines": {name: dataclasses.asdict(baseline) for name, baseline in self.baselines.items()},
            "actions_seen": {str(code): self.actions_seen.get(code, 0) for code in CODES},
            "guesses": self.guesses,
            "per_action": {str(code): self._of_action(code) for code in CODES},
            "latency": self.latency,
            "extras": {name: values.tolist() for name, values in self.extras.items()},
            "rollouts": self.rollouts.to_json() if self.rollouts else None,
            "doubt": self.doubt.to_json() if self.doubt else None,
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


def evaluate(
    predictor: Predictor,
    batches: Iterable[Batch],
    episodes: np.ndarray | Callable[[np.ndarray], np.ndarray],
    actions_seen: dict[int, int],
    baselines: dict[str, Predictor] | None = None,
    outcomes: Callable[[np.ndarray], Outcomes] | None = None,
    samples: int = 8,
    device: torch.device | str = "cpu",
    cautions: tuple[str, ...] = (),
    kinds_seen: Kinds | None = None,
) -> Evaluation:
    """Score a predictor and the baselines on batches, in one pass and with one batch in memory.

    Every prediction is made from a batch's context, in which the truth is blacked out.

    Args:
        episodes: the episode (or group of them) that each row of the dataset comes from: an array that rows index, or
            a function of rows (n,).
        actions_seen: how often training saw each action code.
        baselines: predictors on the CPU; by default ``standard_baselines``, as others have to be fitted.
        outcomes: what every action leads to from the moments of rows (n,), where that is known.
        samples: how many samples to keep for pictures, besides the best and the worst.
        device: where the predictor is.
        cautions: sentences to put among the warnings.
        kinds_seen: how often training saw each move of each action entry, where that is known.

    Raises:
        ForearmError: there are no batches, or predictions are no numbers or of the wrong shape.
    """
    baselines = standard_baselines() if baselines is None else baselines
    if isinstance(predictor, torch.nn.Module):
        predictor.eval()
    ours: list[Samples] = []
    theirs: dict[str, list[Samples]] = {name: [] for name in baselines}
    rows, codes = [], []
    gallery, extras, clock, doubts = Gallery(samples), Means(), Clock(predictor, device), Doubts()
    for batch in batches:
        layout, truth = batch.layout, Truth.of(batch)
        known = outcomes(batch.rows.numpy()) if outcomes else None
        under, expected = _predict_under(clock.predict, batch, truth)
        own = _own(under, truth)
        ours.append(_measure(truth, under, own, known))
        copies = {}
        for name, baseline in baselines.items():
            baseline_under, _ = _predict_under(baseline.predict, batch, truth)
            copies[name] = _own(baseline_under, truth)
            theirs[name].append(_measure(truth, baseline_under, copies[name], known))
        extras.add({"squared_error_per_patch": _per_patch((own - truth.last) ** 2, layout.patch)})
        extras.add(_diagnosis(predictor, batch, device))
        own_doubt = None
        if expected is not None:
            doubts.add(truth, batch.entries.numpy(), expected, under, known)
            own_doubt = _own(expected, truth)
            extras.add({"expected_error_per_patch": _per_patch(own_doubt[:, None], layout.patch)})
        for i, error in enumerate(ours[-1].sums["val_mse"]):
            row, code = int(batch.rows[i]), int(truth.codes[i])
            gallery.offer(row, code, error, partial(_example, i, batch, truth, under, copies, error, known, own_doubt))
        rows.append(batch.rows.numpy())
        codes.append(truth.codes)
    if not ours:
        raise ForearmError("there are no validation samples to evaluate on; build the dataset with a validation part")
    all_rows, all_codes = np.concatenate(rows), np.concatenate(codes)
    of_rows = episodes(all_rows) if callable(episodes) else np.asarray(episodes)[all_rows]
    mine = Samples.concatenate(ours)
    others = {name: Samples.concatenate(parts) for name, parts in theirs.items()}
    return Evaluation(
        layout=layout,
        metrics=mine.table(),
        intervals=intervals(mine, of_rows),
        baselines={name: _compare(mine, other, of_rows) for name, other in others.items()},
        actions_seen=actions_seen,
        validated={code: int((all_codes == code).sum()) for code in CODES},
        episodes=len(np.unique(of_rows)),
        latency=clock.latency(),
        drawn=gallery.drawn(),
        best=gallery.best(),
        worst=gallery.worst(),
        extras=extras.means(),
        samples=mine,
        baseline_samples=others,
        rows=all_rows,
        episode_of_rows=of_rows,
        cautions=cautions,
        doubt=doubts.result(of_rows, kinds_seen),
    )


class Clock:
    """Predicts, and remembers how long it took."""

    def __init__(self, predictor: Predictor, device: torch.device | str):
        self._predictor, self._device = predictor, device
        self._per_sample: list[float] = []
        self._single: list[float] = []
        self._batch_size = 0

    def predict(self, context: Batch) -> Prediction:
        """What is predicted of contexts, on the CPU."""
        if not self._single:
            self._time_single(context)
        start = time.perf_counter()
        prediction = self._call(context)
        self._per_sample.append((time.perf_counter() - start) / len(context))
        self._batch_size = max(self._batch_size, len(context))
        return prediction

    def latency(self) -> dict[str, float]:
        """Median milliseconds: for one sample alone, and per sample in a batch of ``batch_size``."""
        return {
            "single_ms": float(np.median(self._single) * 1000),
            "per_sample_ms": float(np.median(self._per_sample) * 1000),
            "batch_size": float(self._batch_size),
        }

    def _time_single(self, context: Batch, repeats: int = 10, budget_s: float = 2.0) -> None:
        one = context[:1]
        self._call(one)  # warms up
        while len(self._single) < repeats and sum(self._single) < budget_s:
            start = time.perf_counter()
            self._call(one)
            self._single.append(time.perf_counter() - start)

    def _call(self, context: Batch) -> Prediction:
        with torch.inference_mode():
            return self._predictor.predict(context.to(self._device)).to("cpu")


class Means:
    """Running means over samples of figures of any shape."""

    def __init__(self) -> None:
        self._sums: dict[str, np.ndarray] = {}
        self._counts: dict[str, int] = {}

    def add(self, figures: dict[str, np.ndarray]) -> None:
        """Add samples: figures (B, …)."""
        for name, values in figures.items():
            self._sums[name] = self._sums.get(name, 0) + values.sum(0, dtype=np.float64)
            self._counts[name] = self._counts.get(name, 0) + len(values)

    def means(self) -> dict[str, np.ndarray]:
        """The means so far, each of its figure's shape without B."""
        return {name: np.asarray(total / self._counts[name]) for name, total in self._sums.items()}


ByCode = dict[int, np.ndarray]


def _predict_under(predict: Callable[[Batch], Prediction], batch: Batch, truth: Truth) -> tuple[ByCode, ByCode | None]:
    """Predicted last frames (B, 3, H, w) under each code, and expected errors (B, h, w) if there are any.

    Under its own code a sample's action stays what it was.
    """
    own = predict(batch.context())
    others = {code: truth.codes != code for code in CODES}
    predicted = {code: predict(batch[other].under(code)) for code, other in others.items() if other.any()}

    def of_all(part: str) -> ByCode:
        under = {code: getattr(own, part).numpy().copy() for code in CODES}
        for code, prediction in predicted.items():
            under[code][others[code]] = getattr(prediction, part).numpy()
        return under

    return of_all("frame"), None if own.expected_error is None else of_all("expected_error")


def _measure(truth: Truth, under: dict[int, np.ndarray], own: np.ndarray, outcomes: Outcomes | None) -> Samples:
    return per_sample(truth, own) | counterfactuals(truth, under) | against_outcomes(truth, under, outcomes)


def _own(under: dict[int, np.ndarray], truth: Truth) -> np.ndarray:
    """Of what is said under each code, (B, …), that under the action that was taken."""
    return np.stack([under[int(code)][i] for i, code in enumerate(truth.codes)])


def _diagnosis(predictor: Predictor, batch: Batch, device: torch.device | str) -> dict[str, np.ndarray]:
    if not isinstance(predictor, Diagnosable):
        return {}
    with torch.inference_mode():
        figures = predictor.diagnose(batch.to(device))
    return {name: values.float().cpu().numpy() for name, values in figures.items()}


def _compare(mine: Samples, theirs: Samples, episodes: np.ndarray) -> Baseline:
    metrics = theirs.table()
    my_errors, their_errors = mine.only(ERRORS), theirs.only(ERRORS)
    return Baseline(
        metrics=metrics,
        intervals=intervals(theirs, episodes),
        skill=skills(my_errors.table(), their_errors.table()),
        skill_intervals=skill_intervals(my_errors, their_errors, episodes),
        differences=differences(mine, theirs, episodes),
    )


def _example(
    i: int,
    batch: Batch,
    truth: Truth,
    under: dict[int, np.ndarray],
    baselines: dict[str, np.ndarray],
    error: float,
    outcomes: Outcomes | None,
    doubt: np.ndarray | None,
) -> Example:
    layout, one = truth.layout, batch[i : i + 1]
    real = {code: outcomes.last[i, code] for code in CODES if outcomes.known[i, code]} if outcomes else {}
    canvases = {}
    for code, regions in under.items():
        canvas = (one if code == truth.codes[i] else one.under(code)).canvas.numpy()[0].copy()
        canvas[..., layout.frame_columns(-1)] = regions[i]
        canvases[code] = as_uint8(canvas)
    return Example(
        row=int(batch.rows[i]),
        code=int(truth.codes[i]),
        error=float(error),
        truth=as_uint8(one.canvas.numpy()[0]),
        under=canvases,
        baselines={name: as_uint8(regions[i]) for name, regions in baselines.items()},
        acting=int(truth.acting[i]),
        before=truth.before[i],
        positions=truth.positions[i],
        positions_under={code: decode_strip(layout, regions[i : i + 1])[0][0] for code, regions in under.items()},
        outcomes={code: as_uint8(region) for code, region in real.items()},
        positions_after={code: decode_strip(layout, region[None])[0][0] for code, region in real.items()},
        errors_under={code: picture_error(layout, under[code][i], region) for code, region in real.items()},
        doubt=None if doubt is None else doubt[i],
    )


def _per_patch(squares: np.ndarray, patch: int) -> np.ndarray:
    """Means over patches: (B, 3, H, w) to (B, rows, columns)."""
    b, c, h, w = squares.shape
    return squares.reshape(b, c, h // patch, patch, w // patch, patch).mean((1, 3, 5))
