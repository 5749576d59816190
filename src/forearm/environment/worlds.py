"""Several worlds side by side, in which policies act by commands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Seen:
    """What n worlds show."""

    pictures: Mapping[str, np.ndarray]
    """Plain camera name to (n, h, w, 3) uint8."""
    positions: np.ndarray
    """(n, J) float32, in the joints' units."""
    expected_error: np.ndarray
    """(n,) the squared error expected of the pictures, mean over pixels and channels: 0 of what a simulator shows, NaN
    where the model cannot say and where it has predicted nothing yet."""
    done: np.ndarray
    """(n,) bool, where the world itself says that its task is done."""
    tasks: Sequence[str]
    """What is to be done in each, in words; empty where nobody knows."""


class Worlds(Protocol):
    """Any number of worlds; each begins at a recorded episode's first frame."""

    @property
    def cameras(self) -> Mapping[str, tuple[int, int]]:
        """Plain camera name to height and width, pixels."""
        ...

    @property
    def joints(self) -> tuple[str, ...]:
        """Names of the J joints, in order."""
        ...

    @property
    def command_bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """The least and the largest command, (A,) float32 each."""
        ...

    @property
    def seconds(self) -> float:
        """Of a step."""
        ...

    @property
    def starts(self) -> Sequence[int]:
        """Numbers of the episodes at which worlds usually begin."""
        ...

    @property
    def horizon(self) -> int:
        """Steps that a trial usually takes at most."""
        ...

    def begin(self, worlds: np.ndarray, starts: Sequence[int]) -> Seen:
        """Put worlds (n,) at the first frames of episodes (n,).

        Raises:
            ForearmError: there is no such episode.
        """
        ...

    def step(self, worlds: np.ndarray, commands: np.ndarray) -> Seen:
        """Let worlds (n,) go on for a step with commands (n, A)."""
        ...

    def close(self) -> None:
        """Free what they hold."""
        ...
