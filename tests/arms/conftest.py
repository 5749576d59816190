"""A stand-in robot whose time is a fake clock's."""

import pytest
from support.robots import FakeClock

from forearm.arms import driver


@pytest.fixture(autouse=True)
def clock(monkeypatch) -> FakeClock:
    clock = FakeClock()
    monkeypatch.setattr(driver, "time", clock)
    return clock
