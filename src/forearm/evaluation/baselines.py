"""What anybody can predict without learning, or with a table of means."""

from collections.abc import Callable

import numpy as np
import torch
from scipy.spatial.distance import cdist

from forearm.base.errors import ForearmError
from forearm.batch import Batch, Prediction, Predictor
from forearm.canvas import STAY, action_codes, dominant_dimensions, draw_strips
from forearm.transitions.store import TransitionSet

PERSISTENCE = "persistence"
MEAN_FRAME = "mean-frame"
NEAREST_NEIGHBOUR = "nearest-neighbour"
JOINT_ONLY = "joint-only"
UNTRAINED = "untrained"
"""The model itself with its first weights: what its architecture and its inputs answer without any learning."""

MOST_AVERAGED = 5_000
"""Of more training transitions than these, mean frames are taken over as many of each kind of action as make these."""
MOST_NEIGHBOURS = 20_000
"""The same for the transitions among which a neighbour is looked for."""
CHUNK = 32


def standard_baselines() -> dict[str, Predictor]:
    """The baselines that need no data, by the name under which reports show them."""
    return {PERSISTENCE: Persistence()}


def fitted_baselines(data: TransitionSet) -> dict[str, Predictor]:
    """All baselines, by the name under which reports show them, fitted on the training part of a dataset.

    Args:
        data: with the layout of the model beside which they stand.
    """
    if not len(data.rows("train")):
        raise ForearmError(f"{data.path} has no training transitions; build it with --val below 1")
    return {
        **standard_baselines(),
        MEAN_FRAME: MeanFrame(data),
        NEAREST_NEIGHBOUR: NearestNeighbour(data),
        JOINT_ONLY: JointOnly(data),
    }


class Persistence:
    """Nothing changes: the previous frame and positions again, and so no velocity (grey 0.5)."""

    def predict(self, batch: Batch) -> Prediction:
        """Copy the frames before the last."""
        frame = batch.known().frame.clone()
        for rows, columns in batch.layout.strip_cells()[len(batch.layout.joints) :]:
            frame[:, :, rows, columns] = 0.5
        return Prediction(frame, batch.positions[:, -2])


class MeanFrame:
    """The mean last frame, strip included, of the training transitions with the same kind of action.

    A kind that training never saw gets the mean over all of training.
    """

    def __init__(self, data: TransitionSet):
        rows = data.rows("train")
        kinds = action_kinds(data.action_values(rows)[:, -1])
        drawn = spread(kinds, MOST_AVERAGED)

        def mean(kind: int) -> np.ndarray:
            chosen = rows[drawn[kinds[drawn] == kind]]
            parts = (chosen[start : start + CHUNK] for start in range(0, len(chosen), CHUNK))
            return sum(data.last_frames(part).sum(0, dtype=np.float64) for part in parts) / len(chosen)

        self._means = means_by_kind(kinds, mean)

    def predict(self, batch: Batch) -> Prediction:
        """Show the mean frames of the actions."""
        return Prediction(torch.from_numpy(self._means(action_kinds(_last_values(batch))).astype(np.float32)))


class NearestNeighbour:
    """The last frame, strip included, of the training transition that began most like this one.

    Near is a small sum of squares of the previous positions' differences, each over its joint's range. Discrete
    actions have to be of the same kind, unless training never saw it: then any action will do. Continuous ones
    rarely recur, so the differences of the values are summed with those of the positions. Only the numbers of
    rows and their joints are held in memory; frames are fetched from the dataset when they are asked for.
    """

    def __init__(self, data: TransitionSet):
        self.data, self.layout = data, data.layout
        rows = data.rows("train")
        values = data.action_values(rows)[:, -1]
        kinds = self._kinds(values)
        drawn = spread(kinds, MOST_NEIGHBOURS)
        self._rows, self._row_kinds = rows[drawn], kinds[drawn]
        self._points = self._coordinates(data.positions(self._rows)[:, -2], values[drawn])

    def predict(self, batch: Batch) -> Prediction:
        """Fetch the neighbours' last frames."""
        return Prediction(torch.from_numpy(self.data.last_frames(self.neighbours(batch))))

    def neighbours(self, batch: Batch) -> np.ndarray:
        """Rows of the neighbours in their dataset, (B,) int64."""
        values = _last_values(batch)
        points, kinds = self._coordinates(batch.positions[:, -2].numpy(), values), self._kinds(values)
        nearest = np.empty(len(batch), np.int64)
        for kind in np.unique(kinds):
            alike = self._row_kinds == kind
            candidates = np.flatnonzero(alike if alike.any() else ~alike)
            distances = cdist(points[kinds == kind], self._points[candidates], "sqeuclidean")
            nearest[kinds == kind] = candidates[distances.argmin(1)]
        return self._rows[nearest]

    def _kinds(self, values: np.ndarray) -> np.ndarray:
        return action_kinds(values) if self.layout.discrete else np.zeros(len(values), np.int64)

    def _coordinates(self, positions: np.ndarray, values: np.ndarray) -> np.ndarray:
        scaled = (positions - self.layout.lows) / (self.layout.highs - self.layout.lows)
        return scaled if self.layout.discrete else np.concatenate([scaled, values], axis=1)


class JointOnly:
    """The previous picture; every joint goes on from its previous position by what the action does to it in the mean.

    For discrete actions that is the mean training change of the same kind of action (over all of training for a
    kind that it never saw), for continuous ones the least-squares line of the change on the values.
    """

    def __init__(self, data: TransitionSet):
        rows = data.rows("train")
        values, positions = data.action_values(rows)[:, -1], data.positions(rows).astype(np.float64)
        changes = positions[:, -1] - positions[:, -2]
        self._change = _mean_changes(values, changes) if data.layout.discrete else _line(values, changes)

    def predict(self, batch: Batch) -> Prediction:
        """Copy the picture, draw the joints where they should be."""
        before = batch.positions[:, -2].numpy().astype(np.float64)
        after = before + self._change(_last_values(batch))
        frame = batch.known().frame.clone()
        strips = draw_strips(batch.layout, np.stack([before, after], axis=1))[:, -1]
        frame[:, :, batch.layout.frame_height :] = torch.from_numpy(strips)[:, None]
        return Prediction(frame, torch.from_numpy(after).float())


def action_kinds(values: np.ndarray) -> np.ndarray:
    """A number for each kind of action, (N, A) values to (N,) int64: its largest dimension, up or down, or STAY.

    Taken from what the canvas shows, and so one STAY for all dimensions: a canvas does not show which of them stayed.
    """
    codes = action_codes(values)
    return np.where(codes == STAY, STAY, 3 * dominant_dimensions(values) + codes)


def spread(kinds: np.ndarray, most: int) -> np.ndarray:
    """Indices of at most ``most`` of (N,) kinds: all if they are as few, else equally many drawn of each kind.

    So a rare kind is not lost. There is at least one of each, and the draw is always the same.
    """
    if len(kinds) <= most:
        return np.arange(len(kinds))
    present = np.unique(kinds)
    random, each = np.random.default_rng(0), max(1, most // len(present))
    return np.sort(np.concatenate([random.permutation(np.flatnonzero(kinds == kind))[:each] for kind in present]))


def means_by_kind(kinds: np.ndarray, mean: Callable[[int], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """From the kinds of all samples (N,) and the mean of each to a table: looks up (n,) kinds.

    A kind that does not occur gets the mean over all samples.
    """
    present, counts = np.unique(kinds, return_counts=True)
    of_kinds = {int(kind): mean(int(kind)) for kind in present}
    overall = sum(count / len(kinds) * of_kinds[int(kind)] for kind, count in zip(present, counts, strict=True))
    return lambda asked: np.stack([of_kinds.get(int(kind), overall) for kind in asked])


def _mean_changes(values: np.ndarray, changes: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    kinds = action_kinds(values)
    means = means_by_kind(kinds, lambda kind: changes[kinds == kind].mean(0))
    return lambda asked: means(action_kinds(asked))


def _line(values: np.ndarray, changes: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    def with_one(values: np.ndarray) -> np.ndarray:
        return np.concatenate([values, np.ones((len(values), 1))], axis=1)

    # The solution of least norm: a dimension that never moved has no say.
    weights, *_ = np.linalg.lstsq(with_one(values), changes, rcond=None)
    return lambda asked: with_one(asked) @ weights


def _last_values(batch: Batch) -> np.ndarray:
    return batch.actions[:, -1].numpy()
