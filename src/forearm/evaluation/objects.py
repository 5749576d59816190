"""How far a model pushes objects, measured in its predicted pictures; on true pictures the same error is the floor."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from forearm.canvas import as_uint8
from forearm.evaluation.metrics import Truth, mean_where
from forearm.evaluation.object_reader import ObjectReader
from forearm.evaluation.projection import box_middles, object_masks, visible_objects
from forearm.evaluation.samples import Samples, Value
from forearm.transitions.objects import PUSHED, Motions

BALANCED = "object_moved_balanced_accuracy"
"""Whether a picture shows rightly that an object moved, mean of the shares of pushed and of untouched objects."""
READ_OBJECTS = (
    "object_position_error",
    "object_position_error_untouched",
    "object_direction_accuracy",
    "object_motion_slope",
    BALANCED,
)
"""The metrics that are read from pictures."""
OBJECT_METRICS = (*READ_OBJECTS, "object_mse_pushed", "object_mse_untouched")
ALIKE = np.cos(np.pi / 4)
"""An object moves the right way if the angle between the read and the true shift is below 45°."""
LEAST = 1.0
"""A shift that is read as less than so many millimetres has no direction."""
SHOWN = 8
"""So many samples with a pushed object are kept, of which the report shows the one of median error."""


@dataclass(frozen=True)
class ObjectExample:
    """A sample with a pushed object, as the report shows it; arrows go from ``start`` to ``true`` and to ``read``."""

    row: int
    error: float
    """Mean position error of its pushed objects, millimetres."""
    before: np.ndarray
    """(3, h, w) uint8, the picture of the first fixed camera."""
    truth: np.ndarray
    """The later one."""
    predicted: np.ndarray
    """What was predicted of it."""
    start: np.ndarray
    """(k, 2) pixels from the left and the top: where each pushed object was."""
    true: np.ndarray
    """Where it truly ended."""
    read: np.ndarray
    """Where it is found in the prediction."""


@dataclass(frozen=True)
class Objects:
    """What a report says of objects."""

    names: tuple[str, ...]
    pictures: int
    """How many true pictures the reader learned from; 0 without a reader."""
    pushed: int
    """How many objects were pushed, over all samples, and can be found."""
    untouched: int
    touched: int
    """How many were touched, whether they moved or not."""
    shift: float | None
    """Mean true shift of the pushed objects, millimetres."""
    floor: dict[str, Value]
    """The metrics of ``OBJECT_METRICS`` of the true pictures of the scored samples."""
    example: ObjectExample | None = None

    def to_json(self) -> dict[str, Any]:
        """What ``metrics.json`` holds under ``objects``."""
        return {name: value for name, value in vars(self).items() if name != "example"}


class ObjectSight:
    """What is to be said of the objects in some samples; without their truth no sample defines any metric.

    Args:
        reader: finds them in pictures, if there is one.
        motions: how they truly moved up to the last frames of the n samples, if that is known.
        truth: of the samples.
        before: (n, 3, H, w) the frames from which they moved.
    """

    def __init__(self, reader: ObjectReader | None, motions: Motions | None, truth: Truth, before: np.ndarray):
        self._reader, self.motions, self._layout, self._truth = reader, motions, truth.layout, truth
        self._before, self._after = self._pictures(before), self._pictures(truth.last)

    def _pictures(self, region: np.ndarray) -> np.ndarray:
        """Of frames (n, 3, H, w) with strips: (n, 3, h, w)."""
        return region[:, :, : self._layout.frame_height]

    @cached_property
    def seen(self) -> np.ndarray:
        """(n, K) bool, which objects can be found: those that a fixed camera sees before and after."""
        assert self._reader is not None
        assert self.motions is not None
        return np.any(visible_objects(self.motions.boxes)[:, :, self._reader.cameras], axis=-1)

    @property
    def pushed(self) -> np.ndarray:
        """(n, K) bool, which of those were pushed along the table."""
        assert self.motions is not None
        return self.seen & (np.linalg.norm(self.motions.shifts[..., :2], axis=-1) >= PUSHED)

    def samples(self, region: np.ndarray) -> Samples:
        """``OBJECT_METRICS`` of predicted (or true) last frames (n, 3, H, w), float in [0, 1].

        ``BALANCED`` has two columns, of pushed and of untouched objects, until ``balanced`` weighs them.
        """
        pictures = self._pictures(region)
        if self.motions is None:
            return _undefined(OBJECT_METRICS, len(region))
        errors = ((pictures - self._after) ** 2).mean(1)
        pushed, untouched = self._masks
        pixels = Samples.of(
            {"object_mse_pushed": mean_where(errors, pushed), "object_mse_untouched": mean_where(errors, untouched)}
        )
        if self._reader is None:
            return _undefined(READ_OBJECTS, len(region)) | pixels
        return self._read(self.shifts(pictures)) | pixels

    def floor(self) -> Samples:
        """``OBJECT_METRICS`` of the true pictures; the slope is that of the reader, beside the true motion."""
        found = self.samples(self._truth.last)
        if self.motions is None or self._reader is None:
            return found
        far = np.linalg.norm(self.motions.shifts[..., :2], axis=-1)
        way = np.where(self.pushed, far**2, 0).sum(1)
        return Samples(found.sums, found.weights | {"object_motion_slope": way})

    @cached_property
    def _offsets(self) -> np.ndarray:
        """Of the objects that a metric asks for."""
        assert self._reader is not None
        assert self.motions is not None
        return self._reader.offsets(self._before, self.motions, self.pushed | self.motions.untouched)

    def places(self, pictures: np.ndarray) -> np.ndarray:
        """Where they are found in later pictures (n, 3, h, w): `ObjectReader.places`."""
        assert self._reader is not None
        assert self.motions is not None
        return self._reader.places(self._before, pictures, self.motions, self._offsets)

    def shifts(self, pictures: np.ndarray) -> np.ndarray:
        """How far along the table they are found to have moved: `ObjectReader.shifts`."""
        assert self._reader is not None
        assert self.motions is not None
        return self._reader.shifts(self.places(pictures), self.motions)

    def _read(self, read: np.ndarray) -> Samples:
        """The metrics of shifts that are read, (n, K, 2) millimetres."""
        assert self.motions is not None
        true, pushed, still = self.motions.shifts[..., :2], self.pushed, self.seen & self.motions.untouched
        along, far, length = (read * true).sum(-1), np.linalg.norm(true, axis=-1), np.linalg.norm(read, axis=-1)
        right = (length >= LEAST) & (along > ALIKE * length * far)
        moved = length >= PUSHED
        of_objects = {
            "object_position_error": (np.linalg.norm(read - true, axis=-1), pushed),
            "object_position_error_untouched": (length, still),
            "object_direction_accuracy": (right, pushed),
        }
        sums = {name: np.where(of, values, 0).sum(1, dtype=np.float64) for name, (values, of) in of_objects.items()}
        weights = {name: of.sum(1, dtype=np.float64) for name, (_, of) in of_objects.items()}
        kinds = (pushed, still)
        sums[BALANCED] = np.stack([((moved == pushed) & of).sum(1, dtype=np.float64) for of in kinds], 1)
        weights[BALANCED] = np.stack([of.sum(1, dtype=np.float64) for of in kinds], 1)
        sums["object_motion_slope"] = np.where(pushed, along, 0).sum(1)
        weights["object_motion_slope"] = np.where(pushed, (self._read_in_truth * true).sum(-1), 0).sum(1)
        return Samples(sums, weights)

    @cached_property
    def _read_in_truth(self) -> np.ndarray:
        """(n, K, 2) millimetres, the shifts that are read in the true pictures."""
        return self.shifts(self._after)

    @cached_property
    def _masks(self) -> tuple[np.ndarray, np.ndarray]:
        """(n, h, w) bool, twice: pixels of pushed objects, and pixels of untouched ones alone."""
        assert self.motions is not None
        boxes = object_masks(self._layout, self.motions.boxes)
        pushed, untouched = self.motions.pushed, self.motions.untouched
        of_pushed = (boxes & pushed[..., None, None]).any(1)
        return of_pushed, (boxes & untouched[..., None, None]).any(1) & ~of_pushed


def balanced(samples: Samples, pushed: float, untouched: float) -> Samples:
    """All samples of a predictor, with ``BALANCED`` as one figure: the mean of the shares found right of either kind.

    An object's weight is twice the share of the other kind, so that both kinds count alike. The weights add up to the
    effective number of objects (Kish). Without objects of either kind no sample defines the figure.

    Args:
        pushed: how many pushed objects are in all samples.
        untouched: how many untouched ones.
    """
    both = np.array([untouched, pushed]) * 2 / max(pushed + untouched, 1)
    tables = (of | {BALANCED: of[BALANCED] @ both} for of in (samples.sums, samples.weights))
    return Samples(*tables)


def _undefined(names: Sequence[str], n: int) -> Samples:
    """Metrics that none of n samples defines."""
    empty = {name: np.zeros((n, 2) if name == BALANCED else n) for name in names}
    return Samples(empty, empty)


class ObjectStatistics:
    """Counts objects while samples stream by, and keeps a few with a pushed one for pictures."""

    def __init__(self, names: tuple[str, ...], reader: ObjectReader | None):
        self._names, self._reader = names, reader
        self._counts = {"pushed": 0, "untouched": 0, "touched": 0}
        self._shifts: list[np.ndarray] = []
        self._kept: list[tuple[float, ObjectExample]] = []

    def add(self, sight: ObjectSight, rows: np.ndarray, truth: Truth, predicted: np.ndarray) -> None:
        """Add samples, of rows (n,), of which last frames (n, 3, H, w) were predicted."""
        motions = sight.motions
        if motions is None:
            return
        self._counts["touched"] += int(motions.touched.sum())
        if self._reader is None:
            return
        pushed = sight.pushed
        self._counts["pushed"] += int(pushed.sum())
        self._counts["untouched"] += int((sight.seen & motions.untouched).sum())
        self._shifts.append(np.linalg.norm(motions.shifts[..., :2], axis=-1)[pushed])
        for i in np.flatnonzero(pushed.any(1)).tolist():
            order = np.random.default_rng(int(rows[i])).random()
            if len(self._kept) < SHOWN or order < self._kept[-1][0]:
                one = slice(i, i + 1)
                example = _example(self._reader, int(rows[i]), motions[one], truth, i, predicted[i], pushed[i])
                self._kept = sorted([*self._kept, (order, example)], key=lambda pair: pair[0])[:SHOWN]

    def result(self, floor: Samples) -> Objects | None:
        """What was found; None where nothing is known of objects.

        Args:
            floor: what is read from the true pictures of the same samples.
        """
        if not self._names:
            return None
        shifts, counts = np.concatenate(self._shifts or [np.empty(0)]), self._counts
        examples = sorted((example for _, example in self._kept), key=lambda example: example.error)
        return Objects(
            names=self._names,
            pictures=self._reader.pictures if self._reader else 0,
            **counts,
            shift=float(shifts.mean()) if len(shifts) else None,
            floor=floor.only(OBJECT_METRICS).table(),
            example=examples[len(examples) // 2] if examples else None,
        )


def _example(
    reader: ObjectReader, row: int, motions: Motions, truth: Truth, i: int, predicted: np.ndarray, pushed: np.ndarray
) -> ObjectExample:
    """The i-th of some samples, with the pushed ones (K,) of its objects; ``motions`` are of it alone."""
    layout, camera = truth.layout, reader.cameras[0]
    rows, columns = layout.camera_boxes()[camera]
    frames = [frame[None, :, : layout.frame_height] for frame in (truth.previous[i], truth.last[i], predicted)]
    places = reader.places(frames[0], frames[2], motions, reader.offsets(frames[0], motions))
    read, true = reader.shifts(places, motions)[0], motions.shifts[0, :, :2]
    shown = np.isfinite(places[0, :, camera]).all(-1) & pushed
    before, after = box_middles(motions.boxes[0, :, :, camera])
    size = np.array((columns.stop - columns.start, rows.stop - rows.start))
    return ObjectExample(
        row,
        float(np.linalg.norm(read - true, axis=-1)[pushed].mean()),
        *(as_uint8(frame[0, :, rows, columns]) for frame in frames),
        *(points[shown] * size for points in (before, after, places[0, :, camera])),
    )
