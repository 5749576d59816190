"""What judges trials, and at which of their pictures it looks."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from forearm.trials.trying import Film

LOOKS = 3
"""Last pictures that are judged; the score is their mean."""


class Scorer(Protocol):
    """Judges trials."""

    def scores(self, films: Sequence[Film]) -> np.ndarray:
        """How well each of n trials ended, (n,) float64 from 0 to 1."""
        ...


def last_looks(film: Film) -> list[int]:
    """The last pictures of a film."""
    length = len(next(iter(film.pictures.values())))
    return list(range(max(1, length - LOOKS), length)) or [0]
