"""From a predictor and validation batches to everything that a report says."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from forearm.base.errors import ForearmError
from forearm.base.processes import in_threads
from forearm.batch import Batch, Predictor
from forearm.canvas import CODES
from forearm.evaluation.asking import Answers, ByCode, Clock, Questions, ask, taken
from forearm.evaluation.baselines import standard_baselines
from forearm.evaluation.catalogue import ERRORS, FED_BACK
from forearm.evaluation.evaluation import Baseline, Evaluation
from forearm.evaluation.examples import Gallery, example_of
from forearm.evaluation.intervals import differences, intervals, skill_intervals
from forearm.evaluation.metrics import Truth, against_outcomes, counterfactuals, per_patch, per_sample
from forearm.evaluation.object_reader import ObjectReader
from forearm.evaluation.objects import BALANCED, ObjectSight, ObjectStatistics, balanced
from forearm.evaluation.readout import Reader, Readout, Sight
from forearm.evaluation.rollouts import Rollouts
from forearm.evaluation.samples import MODEL, Collection, Samples, skills
from forearm.evaluation.uncertainty import Kinds, UncertaintyStatistics
from forearm.transitions.objects import Motions
from forearm.transitions.store import Outcomes

TIMED = 8
"""So many batches are scored one by one, so that the time of predictions can be taken."""


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
    asked: dict[str, np.ndarray] | None = None,
    threads: int = 1,
    rollouts: Rollouts | None = None,
) -> Evaluation:
    """Score a predictor and the baselines on batches, in one pass and with few batches in memory.

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
        asked: the rows about which a baseline is asked, by its name; by default about all.
        threads: so many batches are scored at a time. Predictor and baselines have to allow that.
        rollouts: of predictor and baselines, along paths of groups that the batches have samples of.
    """
    baselines = standard_baselines() if baselines is None else baselines
    if isinstance(predictor, torch.nn.Module):
        predictor.eval()
    ours, floor, theirs = Collection(), Collection(), {name: Collection() for name in baselines}
    objects = ObjectStatistics(object_names, finder)
    rows, codes = [], []
    gallery, extras = Gallery(samples), RunningMeans()
    clock, uncertainty = Clock(predictor, device), UncertaintyStatistics()
    judge = Judge(clock, baselines, asked or {}, outcomes, motions, reader, finder)
    for scored in judge.all(batches, threads):
        case, under, expected = scored.case, scored.answers.under, scored.answers.expected
        batch, truth, own = case.batch, case.truth, taken(under, case.truth.codes)
        layout = batch.layout
        floor.add(scored.floor)
        ours.add(scored.ours)
        objects.add(case.objects, batch.rows.numpy(), truth, own)
        for name, samples_of in scored.theirs.items():
            theirs[name].add(samples_of)
        extras.add({"squared_error_per_patch": per_patch((own - truth.last) ** 2, layout.patch)})
        extras.add(scored.answers.figures)
        own_expected = None
        if expected is not None:
            uncertainty.add(truth, batch.dimensions.numpy(), expected, under, case.outcomes)
            own_expected = taken(expected, truth.codes)
            extras.add({"expected_error_per_patch": per_patch(own_expected[:, None], layout.patch)})
        for i, error in enumerate(scored.ours.sums["val_mse"]):
            row, code = int(batch.rows[i]), int(truth.codes[i])
            make = partial(example_of, i, batch, truth, under, scored.copies, error, case.outcomes, own_expected)
            gallery.consider(row, code, error, make)
        rows.append(batch.rows.numpy())
        codes.append(truth.codes)
    if not rows:
        raise ForearmError("there are no validation samples to evaluate on; build the dataset with a validation part")
    all_rows, all_codes = np.concatenate(rows), np.concatenate(codes)
    groups_of = groups if callable(groups) else np.asarray(groups).__getitem__
    of_rows, true, nowhere = groups_of(all_rows), floor.samples(), np.zeros(len(all_rows))
    of_kinds = true.weights[BALANCED].sum(0)
    true = balanced(true, *of_kinds)
    fed_back = rollouts.fed_back.samples(all_rows, groups_of) if rollouts else {}
    undefined = Samples({FED_BACK: nowhere}, {FED_BACK: nowhere})
    mine = balanced(ours.samples(), *of_kinds) | fed_back.get(MODEL, undefined)
    others = {
        name: balanced(collected.samples(), *of_kinds) | fed_back.get(name, undefined)
        for name, collected in theirs.items()
    }
    return Evaluation(
        layout=layout,
        metrics=mine.table(),
        intervals=intervals(mine, of_rows),
        baselines={
            name: _compare(mine, other, of_rows, judge.asked_of(name, all_rows)) for name, other in others.items()
        },
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
        rollouts=rollouts,
        uncertainty=uncertainty.result(of_rows, kinds_seen),
        readout=Readout.of(reader, true) if reader else None,
        objects=objects.result(true),
    )


@dataclass(frozen=True)
class Case:
    """B transitions, what is asked about them, and what is known of the answers."""

    batch: Batch
    truth: Truth
    questions: Questions
    outcomes: Outcomes | None
    """What the actions truly lead to, where that is known."""
    sight: Sight
    objects: ObjectSight

    def measured(self, under: ByCode) -> Samples:
        """Every metric of last frames (B, 3, H, w) that are predicted under each action."""
        truth, own = self.truth, taken(under, self.truth.codes)
        of_actions = counterfactuals(truth, under) | against_outcomes(truth, under, self.outcomes)
        return per_sample(truth, own) | of_actions | self.sight.samples(own) | self.objects.samples(own)

    def floor(self) -> Samples:
        """What is read from the true last frames."""
        return self.sight.samples(self.truth.last) | self.objects.floor()


@dataclass(frozen=True)
class Scored:
    """A case in which everyone has answered."""

    case: Case
    answers: Answers
    """The predictor's."""
    ours: Samples
    theirs: dict[str, Samples]
    floor: Samples
    copies: dict[str, np.ndarray]
    """Last frames (B, 3, H, w) under the actions taken, of each baseline that was asked about all samples."""


@dataclass(frozen=True)
class Judge:
    """Scores batches. Nothing is kept but the time that predictions take, so that batches can be scored in any order.

    The fields are what ``evaluate`` is given.
    """

    clock: Clock
    baselines: dict[str, Predictor]
    asked: dict[str, np.ndarray]
    outcomes: Callable[[np.ndarray], Outcomes] | None
    motions: Callable[[np.ndarray], Motions | None]
    reader: Reader | None
    finder: ObjectReader | None

    def all(self, batches: Iterable[Batch], threads: int) -> Iterator[Scored]:
        """Batches scored, in order: the first ones one by one, timed; then several at a time, each in one thread."""
        source = iter(batches)
        yield from map(self.score, itertools.islice(source, TIMED))
        if threads == 1:
            yield from map(self.score, source)
            return
        usual, self.clock.running = torch.get_num_threads(), False
        try:
            yield from in_threads(self.score, source, threads, partial(torch.set_num_threads, 1))
        finally:
            torch.set_num_threads(usual)

    def score(self, batch: Batch) -> Scored:
        """Ask everyone about a batch."""
        case = self._case(batch)
        answers = self.clock.ask(case.questions, case.truth.last)
        ours, theirs, copies = case.measured(answers.under), {}, {}
        for name, baseline in self.baselines.items():
            asked = self.asked_of(name, batch.rows.numpy())
            if asked.all():
                under = ask(baseline.predict, case.questions).under
                theirs[name], copies[name] = case.measured(under), taken(under, case.truth.codes)
            else:
                theirs[name] = (self._of_some(baseline, batch, asked) if asked.any() else ours[asked]).among(asked)
        return Scored(case, answers, ours, theirs, case.floor(), copies)

    def asked_of(self, baseline: str, rows: np.ndarray) -> np.ndarray:
        """Of which rows (n,) a baseline is asked, (n,) bool."""
        return np.isin(rows, self.asked[baseline]) if baseline in self.asked else np.ones(len(rows), bool)

    def _of_some(self, baseline: Predictor, batch: Batch, asked: np.ndarray) -> Samples:
        case = self._case(batch[torch.from_numpy(asked)])
        return case.measured(ask(baseline.predict, case.questions).under)

    def _case(self, batch: Batch) -> Case:
        rows, truth = batch.rows.numpy(), Truth.of(batch)
        objects = ObjectSight(self.finder, self.motions(rows), truth, truth.previous)
        outcomes = self.outcomes(rows) if self.outcomes else None
        return Case(batch, truth, Questions(batch, truth.codes), outcomes, Sight(self.reader, truth), objects)


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


def _compare(mine: Samples, theirs: Samples, groups: np.ndarray, asked: np.ndarray) -> Baseline:
    """Compare on the samples of which a baseline was asked, (N,) bool; all were fed back along the same paths."""
    if not asked.all():
        mine = mine[asked].among(asked) | mine.only([FED_BACK])
    my_errors, their_errors = mine.only(ERRORS), theirs.only(ERRORS)
    return Baseline(
        metrics=theirs.table(),
        intervals=intervals(theirs, groups),
        skill=skills(my_errors.table(), their_errors.table()),
        skill_intervals=skill_intervals(my_errors, their_errors, groups),
        differences=differences(mine, theirs, groups),
    )
