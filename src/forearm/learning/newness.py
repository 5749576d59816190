"""How new a batch of fresh moments is: to the data, to the cells, and to the run."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forearm.learning.trials import Trial
from forearm.transitions.fingerprint import look
from forearm.transitions.store import TransitionSet

USUAL = 0.95
"""A moment is new if it looks farther from all of training than this share of training's moments from one another."""
MOST = 1000
"""So many moments of training are compared at most."""


@dataclass(frozen=True)
class Newness:
    """How new a batch is."""

    unlike: float
    """Share of its first frames that look like none of training; 0.05 would be usual."""
    unvisited: float
    """Share of its actions in cells that had never been visited."""
    error: float | None
    """The run's mean squared error on its moves, before it was trained on them; None without moves."""
    expected_error: float | None
    """That the run expected of the same moves."""


def newness(data: TransitionSet, fresh: np.ndarray, trials: Sequence[Trial], unvisited: int) -> Newness:
    """How new a batch is to training data.

    Args:
        data: what the run was trained on.
        fresh: (n, h, w, 3) uint8 first frames of the batch.
        trials: of the batch.
        unvisited: how many of its actions were in cells that had never been visited.
    """
    moves = [trial for trial in trials if trial.cell[2]]
    expected = [trial.expected_error for trial in moves if trial.expected_error is not None]
    return Newness(
        unlike=float(np.mean(_unlike(data, fresh))) if len(fresh) else 0.0,
        unvisited=float(unvisited / max(len(trials), 1)),
        error=float(np.mean([trial.error for trial in moves])) if moves else None,
        expected_error=float(np.mean(expected)) if moves and len(expected) == len(moves) else None,
    )


def _unlike(data: TransitionSet, fresh: np.ndarray) -> np.ndarray:
    """Which of the frames (n, h, w, 3) look like none of training, (n,) bool."""
    rows = data.rows("train")
    rows = rows[np.linspace(0, len(rows) - 1, min(MOST, len(rows))).astype(int)]
    known = _looks(data.frames[data.columns.frames[rows, -2]])
    among = _distances(known, known)
    episodes = data.columns.episodes[rows]
    among[episodes[:, None] == episodes[None]] = np.inf  # frames of one episode are alike anyhow
    nearest = among.min(axis=1)
    usual = np.quantile(nearest[np.isfinite(nearest)], USUAL) if np.isfinite(nearest).any() else 0.0
    return _distances(_looks(fresh), known).min(axis=1) > usual


def _looks(frames: np.ndarray) -> np.ndarray:
    return np.stack([look(frame) for frame in frames]).reshape(len(frames), -1).astype(np.float32)


def _distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    squares = (one**2).sum(1)[:, None] + (other**2).sum(1)[None] - 2 * one @ other.T
    return np.sqrt(np.maximum(squares, 0))
