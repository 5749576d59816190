"""How late pictures are: found where it was put in, and gone where it was mended."""

import pytest
from support.tiny import write_late_data

from forearm.recordings.lag import LAGS, Lag
from forearm.transitions.lag import estimate_lag


@pytest.mark.parametrize("lag", [0.0, 0.07, 0.16])
def test_a_lag_is_found(tmp_path, lag):
    found = estimate_lag(write_late_data(tmp_path / "data", lag))
    assert found is not None
    assert found.seconds == pytest.approx(lag, abs=0.02)
    assert found.low - 0.02 <= lag <= found.high + 0.02
    assert LAGS[0] <= found.low <= found.seconds <= found.high <= LAGS[-1]


def test_where_nothing_can_be_told_nothing_is(tmp_path):
    assert estimate_lag(write_late_data(tmp_path / "few", 0.1, episodes=4)) is None
    assert estimate_lag(write_late_data(tmp_path / "sparse", 0.1, built={"stride": 0.4})) is None
    data = write_late_data(tmp_path / "log", 0.1)
    data.facts["actions"] = "log"
    assert estimate_lag(data) is None


def test_a_small_part_of_a_row_is_no_lag(tmp_path):
    """Simulated pushes at 5 rows a second, whose pictures are on time, were said to be late by 0.04 s."""
    sparse = estimate_lag(write_late_data(tmp_path / "data", 0.1, built={"stride": 0.2, "step": 0.2}))
    assert sparse is not None
    assert sparse.spacing == pytest.approx(0.2)
    assert sparse.late
    assert not Lag(0.042, 0.021, 0.065, spacing=0.2).late
    assert not Lag(-0.042, -0.065, -0.021, spacing=0.2).early
    assert Lag(0.042, 0.021, 0.065, spacing=0.1).late
