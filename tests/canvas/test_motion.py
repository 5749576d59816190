"""Actions become changes of joint targets, and targets move along one ramp."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tiny import make_layout

from forearm.base.errors import ForearmError
from forearm.canvas import ActionDimension, action_seconds, target_changes, trajectory


@given(steps=st.integers(1, 300), change=st.floats(-90, 90), start=st.floats(-90, 90))
def test_targets_arrive_early_and_without_a_jerk(steps: int, change: float, start: float) -> None:
    path = trajectory(np.array([start, 1.0], np.float32), np.array([change, 0.0]), steps)
    assert (path.shape, path.dtype) == ((steps, 2), np.float32)
    np.testing.assert_allclose(path[int(np.ceil(0.6 * steps)) - 1 :, 0], start + change, atol=1e-4)
    assert (path[:, 1] == 1).all()
    on_the_way = np.diff(np.concatenate([[start], path[:, 0]])) * np.sign(change)
    assert (on_the_way >= -1e-4).all()  # never back
    assert on_the_way.max() <= 2.5 / steps * abs(change) + 1e-4  # 2.5: a smooth step's 1.5 in 0.6 of the time


def test_the_ramp_is_a_smooth_step() -> None:
    path = trajectory(np.zeros(1), np.ones(1), 10)[:, 0]
    x = np.arange(1, 7) / 6
    np.testing.assert_allclose(path, [*(3 * x**2 - 2 * x**3), 1, 1, 1, 1])


def test_an_action_changes_the_joints_that_it_drives() -> None:
    layout = make_layout(actions=(ActionDimension("pan", "pan", "deg", 10.0), ActionDimension("claw.pos", scale=20.0)))
    values, ahead = np.array([0.5, -1.0], np.float32), {"pan": 2.0, "claw": 0.0}
    assert target_changes(layout, values, ahead) == {"pan": 5.0, "claw": -20.0}
    of_targets = dataclasses.replace(layout, action_is="target")
    assert target_changes(of_targets, values, ahead) == {"pan": 3.0, "claw": -20.0}, "counted from where the joint is"


def test_an_action_lasts_as_long_as_in_the_data():
    slow = make_layout(action_duration=1.5)
    assert [action_seconds(slow), action_seconds(slow, 1.5)] == [1.5, 1.5]
    with pytest.raises(ForearmError, match=r"action duration is 0.5 s, but the actions of this run last 1.5 s"):
        action_seconds(slow, 0.5)
    older = make_layout()
    assert [action_seconds(older), action_seconds(older, 0.8)] == [0.5, 0.8]
    for layout in (slow, older):
        for nonsense in (float("nan"), float("inf"), 0.0, -1.0):
            with pytest.raises(ForearmError, match="choose one above 0 and up to 60 seconds"):
                action_seconds(layout, nonsense)
