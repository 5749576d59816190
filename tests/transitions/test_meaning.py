"""What an action column commands is found out by comparing it with the states, or refused."""

import itertools
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forearm.base.errors import ForearmError
from forearm.recordings import open_recording
from forearm.transitions.meaning import Commands, _best, _require_in_time, find_meaning, taken

JOINTS = ("shoulder_pan.pos", "shoulder_lift.pos", "elbow_flex.pos", "gripper.pos")
LOW, HIGH, FPS = np.array([-60, -90, -40, 3]), np.array([70, 60, 48, 60]), 10.0


def motion(t, episode):
    return (LOW + (HIGH - LOW) * (0.5 - 0.5 * np.cos(2 * np.pi * (t + 7 * episode) / 37))[:, None]).astype(np.float32)


def target(t, episode):
    return motion(t + 1, episode)


def delta(t, episode):
    return motion(t + 1, episode) - motion(t, episode)


def velocity(t, episode):
    return FPS * delta(t, episode)


def recording(command, names, joints=JOINTS):
    """Three episodes of 40 rows."""
    t = np.arange(40)
    episodes = [SimpleNamespace(states=motion(t, e), actions=np.asarray(command(t, e), np.float32)) for e in range(3)]
    facts = {"name": "set", "fps": FPS, "joints": joints, "action_names": tuple(names), "cameras": ()}
    return SimpleNamespace(read=lambda cameras, on_skip: iter(episodes), episodes=episodes, **facts)


UNNAMED = tuple(f"action_{i}" for i in range(4))


@pytest.mark.parametrize(
    ("command", "names", "meaning", "joints"),
    [
        (target, JOINTS, "target", (0, 1, 2, 3)),
        (delta, JOINTS, "delta", (0, 1, 2, 3)),
        (velocity, JOINTS, "velocity", (0, 1, 2, 3)),
        (lambda t, e: target(t, e)[:, ::-1], JOINTS[::-1], "target", (3, 2, 1, 0)),
        (lambda t, e: target(t, e)[:, :3], JOINTS[:3], "target", (0, 1, 2)),
        (target, ["main_" + name.removesuffix(".pos") for name in JOINTS], "target", (0, 1, 2, 3)),
        (velocity, [name.replace(".pos", ".vel") for name in JOINTS], "velocity", (0, 1, 2, 3)),
        (target, UNNAMED, "target", (0, 1, 2, 3)),
        (lambda t, e: delta(t, e)[:, ::-1], UNNAMED, "delta", (3, 2, 1, 0)),
        (lambda t, e: np.c_[delta(t, e)[:, :3], t % 9 > 4], (*JOINTS[:3], "suction"), "delta", (0, 1, 2, -1)),
        (lambda t, e: np.c_[target(t, e), np.sin(t)], (*JOINTS, "x.vel"), "target", (0, 1, 2, 3, -1)),
        (lambda t, e: np.c_[target(t, e), 1500 + 9 * t], (*JOINTS, "suction"), "target", (0, 1, 2, 3, -1)),
        (lambda t, e: np.c_[delta(t, e), np.sin(t)], (*JOINTS, "wrist"), "delta", (0, 1, 2, 3, -1)),
    ],
)
def test_it_is_found_out_by_name_by_order_and_by_what_the_joints_do(command, names, meaning, joints):
    found = find_meaning(recording(command, names))
    assert (found.meaning, found.joints) == (meaning, joints)
    assert f"{meaning} 100%" in found.found
    assert found.uncommanded == tuple(sorted({*range(len(JOINTS))} - {*joints}))
    true = recording(command, names).episodes[1]
    frames = np.array([[0, 5], [3, 8]])
    was = taken(found, true.states, true.actions, frames, FPS)[:, 0]
    moved = np.diff(true.states[frames], axis=1)[:, 0]
    for column, joint in enumerate(joints):
        if joint >= 0:
            np.testing.assert_allclose(was[:, column], moved[:, joint], atol=1e-3)
        else:
            np.testing.assert_allclose(was[0, column], true.actions[:5, column].mean(), atol=1e-5)


@pytest.mark.parametrize(
    ("command", "names"),
    [
        (lambda t, e: np.random.default_rng(e).normal(size=(40, 4)), JOINTS),
        (lambda t, e: delta(t, e) + 60 * np.random.default_rng(e).normal(size=(40, 4)), JOINTS),
        (lambda t, e: np.random.default_rng(e).normal(size=(40, 2)), ("x", "y")),
    ],
)
def test_what_is_not_clear_is_refused_with_the_option_that_says_it(command, names):
    with pytest.raises(ForearmError, match=r"not clear.*--action-is target, delta or velocity") as failure:
        find_meaning(recording(command, names))
    assert "\n" not in str(failure.value)
    assert find_meaning(recording(command, names), "velocity").meaning == "velocity"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda t, e: motion(t, e)[:, 3:] > 30,
        lambda t, e: -target(t, e)[:, 3:],
        lambda t, e: target(t, e)[:, 3:] / 57,
        lambda t, e: np.full((len(t), 1), 7),
    ],
    ids=["switch", "other sign", "other unit", "constant"],
)
def test_a_command_that_its_joint_does_not_answer_is_an_action_of_its_own(wrong):
    found = find_meaning(recording(lambda t, e: np.c_[target(t, e)[:, :3], wrong(t, e)], JOINTS))
    assert (found.meaning, found.joints) == ("target", (0, 1, 2, -1))
    assert "no joint answers gripper.pos: an action of its own" in found.found


@pytest.mark.parametrize(
    ("command", "meaning", "says"),
    [
        (lambda t, e: np.deg2rad(velocity(t, e)), "velocity", "57.3 times as far .*degrees against radians"),
        (lambda t, e: np.rad2deg(target(t, e)), "target", "0.017. times as far .*radians against degrees"),
        (delta, "velocity", "10 times as far"),
        (velocity, "delta", "0.1 times as far"),
        (lambda t, e: -velocity(t, e), "velocity", "the other way than its command says"),
    ],
    ids=["rad/s", "degrees", "delta", "velocity", "sign"],
)
def test_what_is_said_of_commands_is_refused_where_the_joints_follow_in_another_unit(command, meaning, says):
    with pytest.raises(ForearmError, match=says) as failure:
        find_meaning(recording(command, JOINTS), meaning)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(("rows", "said"), [(1, ""), (3, "joints follow their commands 0.3 s (3 rows) late")])
@pytest.mark.parametrize("kind", [target, delta, velocity])
def test_a_delayed_command_is_told(kind, rows, said):
    late = recording(lambda t, e: kind(t + rows - (kind is target), e), JOINTS)
    found = find_meaning(late)
    assert found.joints == (0, 1, 2, 3)
    assert (said in found.found) if said else "late" not in found.found
    assert found.late == rows


@pytest.mark.parametrize("kind", [target, delta, velocity])
def test_commands_that_are_written_down_after_the_joints_followed_are_refused(kind):
    def late(rows):
        return recording(lambda t, e: kind(t - rows - (kind is target), e), JOINTS)

    for rows in (3, 4):
        with pytest.raises(ForearmError, match=rf"\({rows} rows\) after the joints followed .*move the action"):
            find_meaning(late(rows), kind.__name__)
    assert find_meaning(late(1)).meaning == kind.__name__  # a row may be how the recorder rounds


@pytest.mark.parametrize("asked", [None, "target"])
def test_targets_that_count_from_another_zero_are_counted_from_that_of_the_states(asked):
    by = np.array([0, 30, 0, 0])
    beside = recording(lambda t, e: target(t, e) + by, JOINTS)
    found = find_meaning(beside, asked)
    assert found.found.endswith("; targets lie beside the states, which is taken off: shoulder_lift.pos by 30")
    true = beside.episodes[1]
    was = taken(found, true.states, true.actions, np.array([[0, 5], [3, 8]]), FPS)[:, 0]
    np.testing.assert_allclose(was, true.states[[5, 8]] - true.states[[0, 3]], atol=1e-3)


def test_a_gripper_that_holds_something_is_not_beside_its_targets():
    def holding(t, e):
        commanded = target(t, e)
        commanded[:, 3] = np.where(t % 37 < 20, commanded[:, 3] - 30, commanded[:, 3])
        return commanded

    assert not find_meaning(recording(holding, JOINTS)).offsets


def test_velocities_of_a_base_are_actions_of_their_own():
    def base(t, e):
        return np.c_[np.sin(t / 3 + e), np.cos(t / 5)]

    assert find_meaning(recording(base, ("x.vel", "theta.vel"))).joints == (-1, -1)


def test_without_names_or_agreement_what_is_said_follows_the_order():
    found = find_meaning(recording(lambda t, e: np.random.default_rng(e).normal(size=(40, 4)), UNNAMED), "delta")
    assert found.joints == (0, 1, 2, 3)


def test_a_recording_without_actions_has_no_commands():
    silent = recording(target, JOINTS)
    for episode in silent.episodes:
        episode.actions = None
    with pytest.raises(ForearmError, match=r"set has no action column; build with --actions change"):
        find_meaning(silent)


@given(
    meaning=st.sampled_from(("target", "delta", "velocity")),
    late=st.integers(0, 1),
    cuts=st.lists(st.integers(1, 6), min_size=2, max_size=4),
    seed=st.integers(0, 99),
)
def test_joints_that_follow_at_once_change_as_was_commanded(meaning, late, cuts, seed):
    frames = np.cumsum([5, *cuts])
    states = np.random.default_rng(seed).normal(size=(frames[-1] + 1, 3)).astype(np.float32)
    ahead = np.diff(states, axis=0, append=states[-1:])
    actions = {"target": states + ahead, "delta": ahead, "velocity": FPS * ahead}[meaning]
    commands = Commands(meaning, (2, 0, -1), "", late=late)
    was = taken(commands, states, actions[:, [2, 0, 1]], frames[None], FPS)[0]
    np.testing.assert_allclose(was[:, :2], np.diff(states[frames], axis=0)[:, [2, 0]], atol=1e-4)
    means = [actions[a:b, 1].mean() for a, b in itertools.pairwise(frames)]
    np.testing.assert_allclose(was[:, 2], means, atol=1e-4)


@given(late=st.integers(1, 6), rows=st.integers(1, 30), slope=st.floats(-2, 2), at=st.floats(-90, 90))
def test_late_joints_answer_the_target_of_before(late, rows, slope, at):
    """Targets move evenly: those that count are as many rows old as joints are late, or as half of a short step."""
    targets = slope * np.arange(50)[:, None]
    states = np.full((50, 1), at)
    was = taken(Commands("target", (0,), "", late=late), states, targets, np.array([[3, 3 + rows]]), FPS)
    assert was[0, 0, 0] == pytest.approx(slope * (3 + rows - min(late, (rows + 1) / 2)) - at, abs=1e-3)


def test_a_switch_is_averaged_over_the_rows_between():
    commands = Commands("target", (-1,), "")
    switch = np.array([[0.0], [1], [1], [0]], np.float32)
    assert taken(commands, np.zeros((4, 2)), switch, np.array([[0, 3]]), FPS)[0, 0, 0] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("name", "meaning", "joints"),
    [("cr5_banana_v30", "velocity", (*range(6), -1)), ("g1_inspire_v21", "target", tuple(range(26)))],
)
def test_real_commands(name, meaning, joints):
    root = Path(__file__).resolve().parents[3] / "shared/data" / name
    if not root.is_dir():
        pytest.skip("needs the shared recordings")
    real = open_recording(root)
    found = find_meaning(real)
    assert (found.meaning, found.joints) == (meaning, joints)


def test_of_lags_that_are_equal_but_for_rounding_the_first_is_taken():
    assert _best(np.array([1 - 1e-9, 0.9, 1.0])) == 0
    assert _best(np.array([0.99, 0.9, 1.0])) == 2


@pytest.mark.parametrize(("explained", "late"), [(1 - 1e-9, False), (0.9, True)])
def test_commands_are_late_where_that_explains_more_and_not_where_rounding_says_so(explained, late):
    way = np.random.default_rng(0).normal(size=(43, 1)).cumsum(axis=0)
    shares, recording = np.full((3, 1, 1), explained), SimpleNamespace(name="late", fps=10.0)
    with pytest.raises(ForearmError, match="after the joints followed") if late else nullcontext():
        _require_in_time(recording, "target", shares, np.array([0]), [(way[3:], way[:-3])], 5)
