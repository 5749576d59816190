"""Who may move the arm: one visitor at a time, for as long as their page is open."""

import time
from collections.abc import Callable
from typing import Literal

from forearm.base.errors import ForearmError

LAPSE = 10.0
"""Seconds without a word from the page of whoever holds control, after which somebody else may take it."""


class Control:
    """Held by one visitor or by nobody."""

    def __init__(self, lapse: float = LAPSE, clock: Callable[[], float] = time.monotonic):
        self._lapse, self._clock = lapse, clock
        self._holder: str | None = None
        self._heard = 0.0

    def of(self, visitor: str) -> Literal["you", "other", "free"]:
        """Who holds control, for a visitor whose page asks; asking keeps it."""
        if self._holder == visitor:
            self._heard = self._clock()
            return "you"
        return "free" if self._is_free() else "other"

    def take(self, visitor: str) -> None:
        """Take control.

        Raises:
            ForearmError: somebody else holds it.
        """
        if self._holder != visitor and not self._is_free():
            raise ForearmError("somebody else controls the arm; it is free once they release it or close their page")
        self._holder, self._heard = visitor, self._clock()

    def release(self, visitor: str) -> None:
        """Give control back; whoever does not hold it changes nothing."""
        if self._holder == visitor:
            self._holder = None

    def require(self, visitor: str) -> None:
        """Refuse whoever does not hold control.

        Raises:
            ForearmError: the visitor does not.
        """
        if self.of(visitor) != "you":
            raise ForearmError("take control first; the arm does what one visitor at a time says")

    def _is_free(self) -> bool:
        return self._holder is None or self._clock() - self._heard > self._lapse
