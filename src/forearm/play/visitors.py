"""Whose path is whose: one for each visitor, in memory, as many as there are places."""

import time
from collections import OrderedDict
from collections.abc import Callable

from forearm.base.errors import ForearmError
from forearm.play.session import PlaySession

MOST = 16
"""So many visitors have a path at a time."""
IDLE = 2 * 3600.0
"""Seconds after which a path that nobody asks for is forgotten."""
KEPT, KEPT_START = 600.0, 60.0
"""Seconds for which a path is kept from a newcomer where all places are taken: one with steps, one without."""


class Full(ForearmError):
    """All places are taken by visitors who are playing."""


class Visitors:
    """Paths by the name that only their visitor's browser knows: at most ``most``, forgotten after ``idle`` seconds."""

    def __init__(
        self,
        begin: Callable[[], PlaySession],
        most: int = MOST,
        idle: float = IDLE,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._begin, self._most, self._idle, self._clock = begin, most, idle, clock
        self._paths: OrderedDict[str, tuple[PlaySession, float]] = OrderedDict()  # who came last stands last

    def __len__(self) -> int:
        return len(self._paths)

    def path(self, visitor: str) -> PlaySession:
        """The visitor's path, begun now if there is none or it was forgotten.

        Raises:
            Full: there is no place for a newcomer.
        """
        now = self._clock()
        while self._paths and next(iter(self._paths.values()))[1] < now - self._idle:
            self._paths.popitem(last=False)
        if visitor not in self._paths and len(self._paths) >= self._most:
            self._make_room(now)
        path = self._paths.pop(visitor)[0] if visitor in self._paths else self._begin()
        self._paths[visitor] = path, now
        return path

    def _make_room(self, now: float) -> None:
        """Forget the path that has been idle longest of those that may be."""
        for visitor, (path, asked) in self._paths.items():
            if now - asked >= (KEPT if len(path.path) > 1 else KEPT_START):
                del self._paths[visitor]
                return
        raise Full(f"all {self._most} places are taken by others who are playing; try again in a few minutes")
