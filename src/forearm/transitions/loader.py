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


EARLIEST = 16
"""Most transitions between the one with which a rollout began and those that are imagined."""


class TrainingSteps(Dataset):
    """Item s is what training step s sees, drawn already or, if it is to be drawn on a device, raw.

    Its transitions come last, and before them those that lead to the first of them (`leading_to`).

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
        imagined_share: float = 0.0,
        imagined_steps: int = 1,
    ):
        self.imagined_share, self.imagined_steps = imagined_share, imagined_steps
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

    def __getitem__(self, step: int) -> list[Batch] | list[RawBatch]:
        share = self.batch_size // self.shards
        rows = self.rows_of(step)[self.shard * share : (self.shard + 1) * share]
        chain = self.leading_to(step, rows)
        if self.drawn:
            return [self.data.batch(each) for each in chain]
        return [raw_batch(self.data, each) for each in chain]

    def leading_to(self, step: int, rows: np.ndarray) -> list[np.ndarray]:
        """A step's rows, last, and before them the rows that lead to the first of them, in order.

        As far as there are any, ``imagined_share`` of the rows in the mean are led to, from 1 to ``imagined_steps``
        transitions before. Steps have as many of them as can be, or one more, so that few forms of chains have to be
        recorded on a GPU. First of all come those rows, up to `EARLIEST` further back, with which it all began.
        """
        if not self.imagined_share:
            return [rows]
        random = np.random.default_rng((self.seed, step, self.shard))
        count = int(self.imagined_share * len(rows) + random.random())
        led = random.permutation(len(rows))
        chain = [rows[led]]
        for _ in range(random.integers(1, self.imagined_steps + 1)):
            before = self.data.leaders[chain[0]]
            led, chain = led[before >= 0], [each[before >= 0] for each in (before, *chain)]
        led, chain = led[:count], [each[:count] for each in chain]
        if not len(led):
            return [rows]
        begun, back = chain[0], random.integers(EARLIEST + 1, size=len(led))
        for further in range(EARLIEST):
            before = self.data.leaders[begun]
            begun = np.where((before >= 0) & (further < back), before, begun)
        return [begun, *chain[:-1], np.concatenate([chain[-1], np.delete(rows, led)])]


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
