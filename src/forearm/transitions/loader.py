"""Batches in order for evaluation, and in a repeatable shuffle for training."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch
from torch.utils.data import Dataset

from forearm.batch import Batch, RawBatch
from forearm.transitions.store import TransitionSet


def batches(data: TransitionSet, rows: np.ndarray, size: int) -> Iterator[Batch]:
    """Draw ``rows`` in order, ``size`` at a time."""
    for start in range(0, len(rows), size):
        yield data.batch(rows[start : start + size])


def raw_batch(data: TransitionSet, rows: np.ndarray) -> RawBatch:
    """Transitions as the dataset holds them, to be drawn on another device."""
    return RawBatch(
        data.layout,
        torch.from_numpy(data.frames[data.columns.frames[rows]]),
        torch.from_numpy(data.positions(rows)),
        torch.from_numpy(data.action_values(rows)),
        torch.from_numpy(data.columns.dimensions[rows]),
        torch.from_numpy(rows),
    )


def batch_on(device: torch.device, data: TransitionSet, rows: np.ndarray) -> Batch:
    """Transitions drawn on a device; its pictures travel there as bytes."""
    return data.batch(rows) if device.type == "cpu" else raw_batch(data, rows).to(device).draw()


class TrainingSteps(Dataset):
    """Item s is what training step s sees, drawn already or, if it is to be drawn on a device, raw.

    The training rows are shuffled anew every epoch and the epochs are strung together; step s takes the s-th
    stretch of ``batch_size`` rows. Where the dataset or ``weights`` (n,), one for each row, weigh transitions, an epoch
    has each as often as the product says, up to one time more or less. Nothing depends on what was drawn before, so
    that a resumed training sees what an unbroken one would have seen. Of ``shards`` processes each draws its equal part
    of every stretch.
    """

    def __init__(
        self,
        data: TransitionSet,
        rows: np.ndarray,
        batch_size: int,
        seed: int,
        shard: int = 0,
        shards: int = 1,
        drawn: bool = True,
        weights: np.ndarray | None = None,
    ):
        known = [each for each in (data.weights(rows), weights) if each is not None]
        self.data, self.rows, self.weights = data, rows, np.prod(known, axis=0) if known else None
        self.batch_size, self.seed = batch_size, seed
        self.shard, self.shards, self.drawn = shard, shards, drawn

    def rows_of(self, step: int) -> np.ndarray:
        """Rows that step ``step`` sees in all processes together, (batch_size,) int64."""
        places = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        epochs, within = np.divmod(places, len(self.rows))
        orders = [self._order(int(e))[within[epochs == e]] for e in np.unique(epochs)]
        return self.rows[np.concatenate(orders)]

    def _order(self, epoch: int) -> np.ndarray:
        order = _order(len(self.rows), self.seed, epoch)
        return order if self.weights is None else drawn_by_weight(self.weights, self.seed, epoch)[order]

    def __getitem__(self, step: int) -> Batch | RawBatch:
        share = self.batch_size // self.shards
        rows = self.rows_of(step)[self.shard * share : (self.shard + 1) * share]
        return self.data.batch(rows) if self.drawn else raw_batch(self.data, rows)


def drawn_by_weight(weights: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """As many places as there are weights (n,), each as often as its share of them says, rounded up or down by lot.

    Systematic sampling: evenly spaced points along the weights, some of which are above 0, laid end to end; the first
    point is drawn.
    """
    points = (np.random.default_rng((seed, epoch, 1)).random() + np.arange(len(weights))) / len(weights)
    ends = np.cumsum(weights)
    return np.searchsorted(ends, points * ends[-1], side="right").clip(max=np.flatnonzero(weights)[-1])


@lru_cache(maxsize=2)
def _order(rows: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(rows)
