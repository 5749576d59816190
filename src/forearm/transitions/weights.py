"""How often a training draws each transition beside the others, as a file says."""

from pathlib import Path

import numpy as np

from forearm.base.errors import ForearmError
from forearm.base.files import read_text
from forearm.transitions.store import TransitionSet


def read_weights(path: Path, data: TransitionSet) -> np.ndarray:
    """The weight of each transition, (N,) float64: one of 2 is drawn twice as often as one of 1, one of 0 never.

    The file has one number a line: one for each transition, in the order of ``transitions.parquet``, or one for each
    episode, in the order of ``episodes.parquet``. Where there are as many of both, they are the transitions'.

    Raises:
        ForearmError: the file cannot be read, has another count of numbers, or one that is no weight; or nothing is
            left to train on.
    """
    words = read_text(path).split()
    try:
        weights = np.array(words, float)
    except ValueError as error:
        raise ForearmError(f"{path}: {error}; write one number a line") from error
    if len(weights) not in (len(data), len(data.episodes)):
        raise ForearmError(
            f"{path} has {len(weights)} numbers; {data.path} needs {len(data)}, one for each transition, or "
            f"{len(data.episodes)}, one for each episode"
        )
    return checked_weights(weights if len(weights) == len(data) else weights[data.columns.episodes], data, path)


def checked_weights(weights: np.ndarray, data: TransitionSet, path: Path) -> np.ndarray:
    """Weights (N,) of a dataset's transitions that were read from ``path``, as they may be.

    Raises:
        ForearmError: one is negative or no number, or all training transitions have 0.
    """
    if weights.shape != (len(data),):
        raise ForearmError(f"{path} is of {len(weights)} transitions, but {data.path} has {len(data)}")
    wrong = np.flatnonzero(~np.isfinite(weights) | (weights < 0))
    if len(wrong):
        raise ForearmError(f"{path} gives transition {wrong[0]} the weight {weights[wrong[0]]:g}; give 0 or more")
    if not weights[data.rows("train")].any():
        raise ForearmError(f"{path} gives every training transition the weight 0; give some of them more")
    return weights
