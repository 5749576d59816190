"""Whose dream is whose: one for each visitor, in memory, the oldest giving way."""

import time
from collections import OrderedDict
from collections.abc import Callable

from forearm.play.dream import Dream

MOST = 16
"""So many visitors have a dream at a time."""
IDLE = 2 * 3600.0
"""Seconds after which a dream that nobody asks for is forgotten."""


class Visitors:
    """Dreams by the name that only their visitor's browser knows.

    Args:
        begin: makes a fresh dream.
        most: how many are kept at once.
        idle: seconds without a request after which one is forgotten.
        clock: seconds.
    """

    def __init__(
        self,
        begin: Callable[[], Dream],
        most: int = MOST,
        idle: float = IDLE,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._begin, self._most, self._idle, self._clock = begin, most, idle, clock
        self._dreams: OrderedDict[str, tuple[Dream, float]] = OrderedDict()  # who came last stands last

    def __len__(self) -> int:
        return len(self._dreams)

    def dream(self, visitor: str) -> Dream:
        """The visitor's dream, begun now if there is none or it was forgotten."""
        now = self._clock()
        while self._dreams and next(iter(self._dreams.values()))[1] < now - self._idle:
            self._dreams.popitem(last=False)
        dream = self._dreams.pop(visitor)[0] if visitor in self._dreams else self._begin()
        self._dreams[visitor] = dream, now
        if len(self._dreams) > self._most:
            self._dreams.popitem(last=False)
        return dream
