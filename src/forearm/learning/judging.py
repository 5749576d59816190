"""How good a run is on data that it was never trained on, and whether another one is surely worse."""

from dataclasses import dataclass

import numpy as np
import torch

from forearm.base.errors import ForearmError
from forearm.batch import Predictor
from forearm.canvas import CODES, STAY, action_codes
from forearm.evaluation.intervals import differences, intervals
from forearm.evaluation.samples import Samples
from forearm.learning.cells import Grid
from forearm.transitions.loader import batches
from forearm.transitions.store import TransitionSet

METRIC = "val_mse_moves"
"""What is judged: the mean squared error of predicted pictures after moves."""
BATCH = 32
CONTEXTS = 96
"""Moments of the data in which a run is asked what error it expects."""


@dataclass(frozen=True)
class Judged:
    """A figure and its 95% interval; None where there are too few groups to tell."""

    value: float
    interval: tuple[float, float] | None


def errors_on(predictor: Predictor, data: TransitionSet, device: str, rows: np.ndarray | None = None) -> Samples:
    """The squared error of each transition's predicted picture, over all and over moves; of some rows, or of all.

    Every prediction is made from a batch's context, in which the truth is blacked out.
    """
    layout, rows = data.layout, data.rows() if rows is None else rows
    errors = []
    for batch in batches(data, rows, BATCH):
        with torch.inference_mode():
            frame = predictor.predict(batch.context().to(device)).to("cpu").frame
        truth = batch.canvas[..., layout.frame_columns(-1)]
        squares = (frame - truth)[:, :, : layout.frame_height].double() ** 2
        errors.append(squares.mean((1, 2, 3)).numpy())
    every = np.concatenate(errors)
    moves = action_codes(data.action_values(rows)[:, -1]) != STAY
    return Samples.of({"val_mse": every, METRIC: (every, moves)})


def judged(samples: Samples, groups: np.ndarray) -> Judged:
    """The error over moves of samples, each of one of the groups (N,)."""
    value, interval = samples.table()[METRIC], intervals(samples, groups)[METRIC]
    assert isinstance(value, float)
    return Judged(value, interval if isinstance(interval, tuple) else None)


def gain(ours: Samples, theirs: Samples, groups: np.ndarray) -> Judged:
    """Our error over moves minus theirs, on the same samples."""
    found = differences(ours, theirs, groups)[METRIC]
    mine, other = ours.table()[METRIC], theirs.table()[METRIC]
    assert isinstance(mine, float)
    assert isinstance(other, float)
    return Judged(mine - other, found.interval if found else None)


def surely_worse(difference: Judged) -> bool:
    """Whether ours is worse than theirs: for sure, or by the figure alone where there are too few groups to tell."""
    return difference.interval[0] > 0 if difference.interval else difference.value > 0


def surely_better(difference: Judged) -> bool:
    """Whether ours is better than theirs for sure."""
    return difference.interval is not None and difference.interval[1] < 0


def expected_by_cell(predictor: Predictor, data: TransitionSet, grid: Grid, device: str) -> np.ndarray:
    """The mean squared error that a run expects in each cell, in moments of the data; NaN where there is none.

    Every moment is asked under every action of every joint, whatever was done in it.

    Args:
        predictor: on the device.
        data: whose training part is asked.
        grid: the cells; its layout is the run's.
        device: where the run is.

    Returns:
        (A, bins, 3).

    Raises:
        ForearmError: the run estimates no error.
    """
    rows = data.rows("train")
    rows = rows[np.linspace(0, len(rows) - 1, min(CONTEXTS, len(rows))).astype(int)]
    contexts = data.with_layout(grid.layout, "learning").batch(rows).context()
    starts = contexts.positions[:, -2].numpy()
    sums, counts = np.zeros(grid.shape), np.zeros(grid.shape)
    for dimension in range(len(grid.layout.actions)):
        for code in CODES:
            values = torch.from_numpy(grid.action((dimension, 0, code)).values).expand(len(rows), -1)
            asked = contexts.with_action(values, torch.full((len(rows),), dimension))
            with torch.inference_mode():
                expected = predictor.predict(asked.to(device)).expected_error
            if expected is None:
                raise ForearmError("this run expects no error of its own; choose --choose past-error or random")
            cells = [grid.cell_of(dimension, start, code) for start in starts[:, grid.joint(dimension)].tolist()]
            for cell, error in zip(cells, expected.float().mean((1, 2)).tolist(), strict=True):
                sums[cell] += error
                counts[cell] += 1
    return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
