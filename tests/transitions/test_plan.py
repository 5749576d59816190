"""Which frames make a transition, and what its action was."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forearm.canvas import MOVE_MINUS, MOVE_PLUS, STAY, action_codes
from forearm.canvas.actions import DEAD_BAND
from forearm.recordings import DiscreteActionLog, Episode
from forearm.transitions.plan import (
    as_pictured,
    changes,
    discretised,
    faulty_readings,
    only_jitter,
    plan_every,
    plan_from_log,
    typical_steps,
    without_rows,
)

FPS = 10.0


def an_episode(length=40, decisions=(), states=None, actions=None, duration=0.5):
    states = np.arange(2 * length, dtype=np.float32).reshape(length, 2) if states is None else states
    log = DiscreteActionLog("lift.pos", duration, 10.0, tuple(decisions)) if decisions else None
    return Episode(0, "", states, actions, log, lambda rows, sizes: iter(()), ())


def logged(decisions, history=2, length=40):
    return plan_from_log(an_episode(length, decisions), joint=1, joints=2, fps=FPS, history=history)


def test_a_decision_is_a_transition_of_its_duration():
    plan = logged([(0, MOVE_PLUS), (10, STAY), (20, MOVE_MINUS)])
    assert plan.frames.tolist() == [[0, 5], [10, 15], [20, 25]]
    assert plan.actions.tolist() == [[[0, 10]], [[0, 0]], [[0, -10]]]
    assert plan.dimensions.tolist() == [1, 1, 1]
    assert (plan.frames.dtype, plan.actions.dtype) == (np.int64, np.float32)


def test_an_outcome_beyond_the_end_is_left_out():
    assert logged([(4, MOVE_PLUS)], length=10).frames.tolist() == [[4, 9]]
    assert logged([(5, MOVE_PLUS)], length=10).frames.tolist() == []
    assert logged([(-1, STAY), (99, STAY)], length=10).frames.tolist() == []
    assert logged([(5, MOVE_PLUS)], length=10).frames.shape == (0, 2)


def test_a_hasty_decision_ends_the_one_before_and_a_much_too_early_one_voids_it():
    assert logged([(0, STAY), (4, STAY)]).frames.tolist() == [[0, 4], [4, 9]]
    assert logged([(0, STAY), (2, STAY)]).frames.tolist() == [[2, 7]]
    assert logged([(7, STAY), (7, MOVE_PLUS)]).actions.tolist() == [[[0, 10]]], "written twice"


def test_decisions_are_taken_in_the_order_of_time():
    assert logged([(10, MOVE_PLUS), (0, MOVE_MINUS)]).frames.tolist() == [[0, 5], [10, 15]]
    assert logged([(10, MOVE_PLUS), (0, MOVE_MINUS)]).actions[:, 0, 1].tolist() == [-10, 10]


def test_history_chains_only_decisions_that_follow_one_another():
    plan = logged([(0, MOVE_PLUS), (5, MOVE_MINUS), (11, STAY), (30, MOVE_PLUS)], history=3)
    assert plan.frames.tolist() == [[0, 5, 10], [5, 11, 16]]
    assert plan.actions[..., 1].tolist() == [[10, -10], [-10, 0]]
    assert logged([(0, STAY), (8, STAY)], history=3).frames.shape == (0, 3), "three frames late is no chain"
    assert logged([(0, STAY)], history=3).frames.shape == (0, 3)


@given(
    length=st.integers(1, 60),
    frames=st.lists(st.integers(-5, 70), max_size=12),
    history=st.integers(2, 4),
    duration=st.floats(0.05, 1.5),
)
def test_log_plans_stay_inside_the_episode_and_go_forward(length, frames, history, duration):
    episode = an_episode(length, [(frame, MOVE_PLUS) for frame in frames] or [(0, STAY)], duration=duration)
    plan = plan_from_log(episode, 1, 2, FPS, history)
    span = max(1, round(duration * FPS))
    assert plan.frames.shape == (len(plan.dimensions), history)
    assert plan.actions.shape == (len(plan.dimensions), history - 1, 2)
    assert ((plan.frames >= 0) & (plan.frames < length)).all()
    steps = np.diff(plan.frames, axis=1)
    assert (steps >= max(1, span - 2)).all()
    assert (steps <= span + 2).all()
    assert set(plan.frames[:, 0]) <= set(frames) | {0}


@given(st.integers(0, 50), st.integers(1, 9), st.integers(1, 9), st.integers(2, 4))
def test_every_k_frames(length, step, stride, history):
    frames = plan_every(0, length, step, stride, history)
    assert frames.shape[1] == history
    assert (np.diff(frames, axis=1) == step).all()
    assert (np.diff(frames[:, 0]) == stride).all()
    span = step * (history - 1)
    assert frames[:, 0].tolist() == [s for s in range(0, length, stride) if s + span < length]


def test_change_is_what_the_joints_did():
    episode = an_episode(10)
    frames = plan_every(0, len(episode), 3, 2, 3)
    assert changes(episode, frames).tolist() == [[[6, 6], [6, 6]], [[6, 6], [6, 6]]]


def test_dominant_joint_with_dead_band():
    moved = np.array([[[3.0, -8.0]], [[0.1, 1.4]], [[-20.0, 9.0]], [[0, 0]]])
    assert discretised(moved, np.array([10.0, 10.0]), 0.15).tolist() == [
        [[0, -10]],
        [[0, 0]],
        [[-10, 0]],
        [[0, 0]],
    ]
    # What dominates is a share of each joint's own step.
    assert discretised(moved[:1], np.array([1.0, 10.0]), 0.15).tolist() == [[[1, 0]]]


@given(arrays(np.float32, (5, 2, 3), elements=st.floats(-40, 40, width=32)), st.floats(0.05, 0.9))
def test_discretised_actions_are_one_full_step_or_none(moved, dead_band):
    scales = np.array([5.0, 10.0, 20.0])
    values = discretised(moved, scales, dead_band) / scales
    assert set(np.unique(values)) <= {-1, 0, 1}
    assert (np.abs(values).sum(-1) <= 1).all()
    still = (np.abs(moved / scales) <= dead_band).all(-1)
    assert (still == (values == 0).all(-1)).all()
    assert dead_band > DEAD_BAND
    codes = action_codes(values[:, -1])
    assert ((codes == STAY) == still[:, -1]).all()


def test_each_joint_has_its_own_typical_step():
    actions, ranges = np.zeros((100, 1, 4)), np.array([100, 1, 300, 0])
    actions[:, 0, 0], actions[:, 0, 1], actions[:3, 0, 2] = 10, 0.1, -30
    actions[3:, 0, 2] = -3
    assert typical_steps(actions, ranges).tolist() == pytest.approx([10, 0.1, 30, 1e-3], rel=0.01)
    actions[0, 0, 0] = 1000
    assert typical_steps(actions, ranges)[0] < 30, "one outlier is no typical step"
    actions[1:, 0, 1] = 0
    assert typical_steps(actions, ranges)[1] == 0.05, "one that seldom moves has a share of its range"
    assert typical_steps(actions)[3] == 1, "a command that is never given"


def test_a_joint_that_only_jitters_is_told_from_one_that_moves_as_little():
    random = np.random.default_rng(0)
    rows = np.arange(300)
    states = np.stack(
        [random.normal(0, 0.1, 300), 0.1 * np.sin(rows / 9) + random.normal(0, 0.01, 300), 0.01 * rows, 0 * rows],
        axis=1,
    )
    frames = np.stack([rows[:-5], rows[5:]], axis=1)
    frames = frames[(frames < 150).all(axis=1) | (frames >= 150).all(axis=1)]
    episodes = (frames[:, 0] >= 150).astype(int)
    assert only_jitter(states, frames, episodes).tolist() == [True, False, False, False]
    assert not only_jitter(states, rows[:-1, None] + np.arange(2), rows[1:] * 0).any(), (
        "a step of one frame cannot tell"
    )


@given(arrays(np.float32, (12, 2), elements=st.floats(-90, 90, width=32)), st.integers(0, 3))
def test_joints_as_pictured_are_those_of_rows_before(states, lag):
    pictured = as_pictured(states, lag)
    assert pictured.dtype == np.float32
    np.testing.assert_array_equal(pictured[lag:], states[: len(states) - lag])
    np.testing.assert_array_equal(pictured[:lag], np.repeat(states[:1], lag, axis=0))
    between = as_pictured(states, lag + 0.25)[lag + 1 :]
    np.testing.assert_allclose(between, 0.75 * states[1 : len(states) - lag] + 0.25 * states[: -lag - 1], atol=1e-4)


@given(
    st.integers(0, 39),
    st.sampled_from([1e6, -1e6, 65535.0]),
    st.floats(0.01, 100),
    st.floats(-500, 500),
)
def test_one_reading_that_no_joint_can_make_is_found(row, reading, size, offset):
    moves = size * np.sin(np.arange(40) / 3) + offset
    states = np.stack([moves, np.full(40, 2048.0)], axis=1).astype(np.float32)
    assert not faulty_readings(states).any()
    states[row, 1] = reading
    assert np.argwhere(faulty_readings(states)).tolist() == [[row, 1]]


def test_true_motion_is_no_fault():
    rows = np.arange(60)
    fast = np.where(rows < 30, -90, 90)  # from one row to the next
    wraps = (rows * 20 + 180) % 360 - 180
    switch = np.where(rows % 10 == 0, 1, 0)  # a gripper that opens for a row
    jitters = 2048 + rows % 2
    states = np.stack([fast, wraps, switch, jitters], axis=1).astype(np.float32)
    for joints in ([0, 1, 2, 3], [2], [3], [1]):
        assert not faulty_readings(states[:, joints]).any()
    assert not faulty_readings(states[:4]).any()


@pytest.mark.parametrize(("first", "stop"), [(0, 5), (20, 23), (20, 34), (52, 60)])
@pytest.mark.parametrize("joint", [0, 1])
@pytest.mark.parametrize("reading", [1e6, -65535])
def test_a_stuck_sensor_is_faulty_as_long_as_it_is_stuck(first, stop, joint, reading):
    """Also of a joint that stands still; other joints move on."""
    states = np.stack([40 * np.sin(np.arange(60) / 9), np.full(60, 5.0)], axis=1).astype(np.float32)
    states[first:stop, joint] = reading
    assert np.argwhere(faulty_readings(states)).tolist() == [[row, joint] for row in range(first, stop)]


def test_a_gripper_in_counts_beside_an_arm_in_radians_is_no_fault():
    """Whether it closes at once or gradually, for long or briefly."""
    arm = 1.5 * np.sin(np.arange(200) / 20)
    for close in (np.arange(200) > 190, np.clip((np.arange(200) - 180) / 12, 0, 1), (np.arange(200) // 5) == 20):
        assert not faulty_readings(np.stack([arm, 1000 * close], axis=1).astype(np.float32)).any()


def test_transitions_with_a_faulty_row_are_left_out():
    plan = logged([(0, MOVE_PLUS), (10, STAY), (20, MOVE_MINUS)])
    assert without_rows(plan, np.arange(40) == 15).frames.tolist() == [[0, 5], [20, 25]]
    assert without_rows(plan, np.arange(40) == 15).actions[:, 0, 1].tolist() == [10, -10]
