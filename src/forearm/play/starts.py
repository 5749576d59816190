"""Where paths begin: at a recorded frame, or at a random pose of the simulated arm.

Both kinds of source have a ``name``, a ``title`` to show, starts 0 to ``count`` − 1, of which ``counts`` says what
they are, and one that is ``usual`` to show first.
"""

import copy
from typing import Protocol

import numpy as np

from forearm.base.errors import ForearmError
from forearm.batch import present
from forearm.canvas import Layout
from forearm.environment import RecordedEnvironment
from forearm.play.session import Start
from forearm.transitions import TransitionSet


class Recording:
    """The recorded frames of a dataset; the truth is known for as long as one does what was done then."""

    name = title = "recording"
    counts = "row"

    def __init__(self, data: TransitionSet):
        self.data = data
        if not len(data):
            raise ForearmError(f"{data.path} has no frames to begin from; build it from recordings that have")
        self.count = len(data)
        validation = data.rows("val")
        self.usual = int(validation[0]) if len(validation) else 0

    def begin(self, number: int) -> Start:
        """The start of a number."""
        require_number(number, self.count)
        data, truth = self.data, RecordedEnvironment(self.data)
        truth.reset(number)
        episode = data.episodes[data.columns.episodes[number]]
        part = "validation" if data.columns.validation[number] else "training"
        note = f"episode {episode['index']} of {episode['recording']}, {part}"
        return Start(self.name, number, data.batch(np.array([number])).context(), truth, note)


class Simulation:
    """Random poses of the simulated SO-101 in the scene of a seed; its truth is known whatever one does."""

    name = "simulator"
    counts = "pose"
    count = 1_000_000
    usual = 0

    def __init__(self, layout: Layout, seed: int):
        from forearm.environment.simulated import SimulatedEnvironment

        self.title = f"simulator, scene {seed}"
        self.seed, self._world = seed, SimulatedEnvironment.in_scene(layout, seed)

    def begin(self, number: int) -> Start:
        """As of a `Recording`."""
        require_number(number, self.count)
        truth = copy.copy(self._world)  # all starts share the arm
        context = present(truth.layout, truth.reset(number))
        return Start(self.name, number, context, truth, f"scene {self.seed}, pose {number}")


class Source(Protocol):
    """Where paths begin."""

    name: str
    title: str
    counts: str
    count: int
    usual: int

    def begin(self, number: int) -> Start:
        """The start of a number.

        Raises:
            ForearmError: there is none.
        """
        ...


def require_number(number: int, count: int) -> None:
    """Refuse a start that a source does not have."""
    if not 0 <= number < count:
        raise ForearmError(f"there is no start {number}; choose one from 0 to {count - 1}")
