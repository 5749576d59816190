"""Waiting for what another thread or process does, on a machine that may be busy."""

import time
from collections.abc import Callable

PATIENCE = 240.0
"""Seconds after which a test fails that waits for what it has every right to; far more than it ever takes."""


def wait_until(holds: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until something holds that another thread or process does."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)
