"""Processes that work for this one."""

import os

import pytest

from forearm.base.errors import ForearmError
from forearm.base.processes import working


def test_processes_work_and_one_that_is_ended_from_outside_is_told_in_a_line():
    with working(1) as pool:
        assert pool.submit(os.getpid).result() != os.getpid()
    with pytest.raises(ForearmError, match=r"ended from outside.*with fewer processes") as failure, working(1) as pool:
        pool.submit(os._exit, 1).result()
    assert "\n" not in str(failure.value)
