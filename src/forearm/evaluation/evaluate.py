"""From a predictor and validation batches to everything that a report says."""

from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
import torch

from forearm.base.errors import ForearmError
from forearm.batch import Batch, Predictor
from forearm.canvas import CODES
from forearm.evaluation.asking import Clock, ask, taken
from forearm.evaluation.baselines import standard_baselines
from forearm.evaluation.catalogue import ERRORS
from forearm.evaluation.evaluation import Baseline, Evaluation
from forearm.evaluation.examples import Gallery, example_of
from forearm.evaluation.intervals import differences, intervals, skill_intervals
from forearm.evaluation.metrics import Truth, against_outcomes, counterfactuals, per_patch, per_sample
from forearm.evaluation.object_reader import ObjectReader
from forearm.evaluation.objects import ObjectSight, ObjectStatistics
from forearm.evaluation.readout import Reader, Readout, Sight
from forearm.evaluation.samples import Samples, skills
from forearm.evaluation.uncertainty import Kinds, UncertaintyStatistics
from forearm.transitions.objects import Motions
from forearm.transitions.store import Outcomes

Sights = tuple[Sight, ObjectSight]
"""What can be read from the pictures of some samples: joints, and objects."""


def evaluate(
    predictor: Predictor,
    batches: Iterable[Batch],
    groups: np.ndarray | Callable[[np.ndarray], np.ndarray],
    actions_seen: dict[int, int],
    baselines: dict[str, Predictor] | None = None,
    outcomes: Callable[[np.ndarray], Outcomes] | None = None,
    samples: int = 8,
    device: torch.device | str = "cpu",
    cautions: tuple[str, ...] = (),
    kinds_seen: Kinds | None = None,
    reader: Reader | None = None,
    grouped_by: str = "episodes",
    motions: Callable[[np.ndarray], Motions | None] = lambda rows: None,
    finder: ObjectReader | None = None,
    object_names: tuple[str, ...] = (),
) -> Evaluation:
    """Score a predictor and the baselines on batches, in one pass and with one batch in memory.

    Every prediction is made from a batch's context, in which the truth is blacked out.

    Args:
        groups: the independent group (an episode, or a scene that several share) that each row of the dataset comes
            from: an array that rows index, or a function of rows (n,).
        actions_seen: how often training saw each action code.
        baselines: predictors on the CPU; by default ``standard_baselines``, as others have to be fitted.
        outcomes: what every action leads to from the contexts of rows (n,), where that is known.
        samples: how many samples to keep for pictures, besides the best and the worst.
        device: where the predictor is.
        cautions: sentences to put among the warnings.
        kinds_seen: how often training saw each move of each action dimension, where that is known.
        reader: reads joints from pictures; it was tested on the same samples.
        grouped_by: what a group is, "episodes" or "scenes".
        motions: how objects truly moved in rows (n,), where that is known.
        finder: finds objects in pictures.
        object_names: their names.
    """
    baselines = standard_baselines() if baselines is None else baselines
    if isinstance(predictor, torch.nn.Module):
        predictor.eval()
    ours: list[Samples] = []
    theirs: dict[str, list[Samples]] = {name: [] for name in baselines}
    floor: list[Samples] = []
    objects = ObjectStatistics(object_names, finder)
    rows, codes = [], []
    gallery, extras = Gallery(samples), RunningMeans()
    clock, uncertainty = Clock(predictor, device), UncertaintyStatistics()
    for batch in batches:
        layout, truth = batch.layout, Truth.of(batch)
        known = outcomes(batch.rows.numpy()) if outcomes else None
        answers = clock.ask(batch, truth.codes)
        under, expected, own = answers.under, answers.expected, taken(answers.under, truth.codes)
        sights = (Sight(reader, truth), ObjectSight(finder, motions(batch.rows.numpy()), truth, truth.previous))
        floor.append(sights[0].samples(truth.last) | sights[1].floor())
        ours.append(_measure(truth, under, own, known, sights))
        objects.add(sights[1], batch.rows.numpy(), truth, own)
        copies = {}
        for name, baseline in baselines.items():
            baseline_under = ask(baseline.predict, batch, truth.codes).under
            copies[name] = taken(baseline_under, truth.codes)
            theirs[name].append(_measure(truth, baseline_under, copies[name], known, sights))
        extras.add({"squared_error_per_patch": per_patch((own - truth.last) ** 2, layout.patch)})
        extras.add(answers.figures)
        own_expected = None
        if expected is not None:
            uncertainty.add(truth, batch.dimensions.numpy(), expected, under, known)
            own_expected = taken(expected, truth.codes)
            extras.add({"expected_error_per_patch": per_patch(own_expected[:, None], layout.patch)})
        for i, error in enumerate(ours[-1].sums["val_mse"]):
            row, code = int(batch.rows[i]), int(truth.codes[i])
            make = partial(example_of, i, batch, truth, under, copies, error, known, own_expected)
            gallery.consider(row, code, error, make)
        rows.append(batch.rows.numpy())
        codes.append(truth.codes)
    if not ours:
        raise ForearmError("there are no validation samples to evaluate on; build the dataset with a validation part")
    all_rows, all_codes = np.concatenate(rows), np.concatenate(codes)
    of_rows = groups(all_rows) if callable(groups) else np.asarray(groups)[all_rows]
    mine = Samples.concatenate(ours)
    others = {name: Samples.concatenate(parts) for name, parts in theirs.items()}
    return Evaluation(
        layout=layout,
        metrics=mine.table(),
        intervals=intervals(mine, of_rows),
        baselines={name: _compare(mine, other, of_rows) for name, other in others.items()},
        actions_seen=actions_seen,
        validated={code: int((all_codes == code).sum()) for code in CODES},
        groups=len(np.unique(of_rows)),
        grouped_by=grouped_by,
        latency=clock.latency(),
        drawn=gallery.drawn(),
        best=gallery.best(),
        worst=gallery.worst(),
        extras=extras.means(),
        samples=mine,
        baseline_samples=others,
        rows=all_rows,
        group_of_rows=of_rows,
        cautions=cautions,
        uncertainty=uncertainty.result(of_rows, kinds_seen),
        readout=Readout.of(reader, Samples.concatenate(floor)) if reader else None,
        objects=objects.result(Samples.concatenate(floor)),
    )


class RunningMeans:
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


def _measure(
    truth: Truth, under: dict[int, np.ndarray], own: np.ndarray, outcomes: Outcomes | None, sights: Sights
) -> Samples:
    of_actions = counterfactuals(truth, under) | against_outcomes(truth, under, outcomes)
    return per_sample(truth, own) | of_actions | _seen(sights, own)


def _seen(sights: Sights, region: np.ndarray) -> Samples:
    """What is read from last frames."""
    joints, objects = sights
    return joints.samples(region) | objects.samples(region)


def _compare(mine: Samples, theirs: Samples, groups: np.ndarray) -> Baseline:
    metrics = theirs.table()
    my_errors, their_errors = mine.only(ERRORS), theirs.only(ERRORS)
    return Baseline(
        metrics=metrics,
        intervals=intervals(theirs, groups),
        skill=skills(my_errors.table(), their_errors.table()),
        skill_intervals=skill_intervals(my_errors, their_errors, groups),
        differences=differences(mine, theirs, groups),
    )
