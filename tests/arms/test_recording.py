"""Recordings of a real arm: what they hold, and that no fault loses what was recorded."""

import io
import json
from collections import Counter
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from rich.console import Console
from support.robots import FakeRobot, Keys

from forearm.arms import driver
from forearm.arms import recording as module
from forearm.arms.protocol import DIRECTIONS, ProtocolSettings, decision
from forearm.arms.recording import RobotRecording
from forearm.arms.settings import FilmingSettings, RobotSettings
from forearm.base.errors import ForearmError
from forearm.recordings import open_recording
from forearm.recordings.logs import DiscreteActionLog, read_log

SIX = ProtocolSettings(episodes=6, joints=("shoulder_pan", "gripper"), sessions=2, fps=5, action_duration=0.4)
FILMING = FilmingSettings(settling=0.1)
CAMERAS = ("observation.images.base", "observation.images.wrist")


@pytest.fixture
def robot() -> FakeRobot:
    return FakeRobot(shoulder_pan=5.0, elbow_flex=30.0, gripper=40.0)


def recording_of(robot, out, protocol=SIX, filming=FILMING, keyboard=None, said=None, **settings) -> RobotRecording:
    arm = RobotSettings(**{"robot": "/dev/ttyACM0", "camera": {"base": "0", "wrist": "1"}, "yes": True, **settings})
    console = Console(file=said or io.StringIO(), width=300)
    return RobotRecording(robot, out, protocol, filming, arm, keyboard=keyboard or Keys(), console=console)


def nothing(done: int, total: int, now: str = "") -> None:
    pass


def logs_in(out) -> list[DiscreteActionLog]:
    return [read_log(path) for path in sorted((out / "meta/discrete_action_logs").glob("*.jsonl"))]


def test_single_actions_are_recorded_as_they_are_simulated(robot, tmp_path) -> None:
    said: list[str] = []
    out = tmp_path / "recording"
    assert recording_of(robot, out).run(lambda done, total, now: said.append(now))
    episodes, logs = list(open_recording(out).read(CAMERAS)), logs_in(out)
    done = Counter((log.joint_name.removesuffix(".pos"), log.decisions[0][1]) for log in logs)
    assert done == Counter(decision(SIX, index) for index in range(6)) == dict.fromkeys(done, 1)
    for episode, log in zip(episodes, logs, strict=True):
        joint, code = list(robot.joints).index(log.joint_name), log.decisions[0][1]
        assert episode.states[-1, joint] - episode.states[0, joint] == pytest.approx(10 * DIRECTIONS[code])
        assert episode.states[0] == pytest.approx(log.extra["start_pose"], abs=1e-4)
        assert len(episode.states) == 3
        assert -15 - 1e-3 <= episode.states[0, 0] <= 25  # two moves to either side of where it stood
        assert log.extra["session"] == 0  # nobody was asked to rearrange anything
    units = json.loads((out / "meta/info.json").read_text())["features"]["observation.state"]["units"]
    assert units == ["deg", "deg", "%"]
    assert said[0] == "missing: shoulder_pan STAY 1, MOVE+ 1, MOVE- 1; gripper STAY 1, MOVE+ 1, MOVE- 1"
    assert said[-1] == ""
    assert not out.with_name("recording.partial").exists()
    assert list(robot.joints.values()) == pytest.approx([5, 30, 40])  # at home


def test_back_to_back_the_arm_goes_on_where_it_is_while_there_is_room(robot, tmp_path) -> None:
    out = tmp_path / "recording"
    many = replace(SIX, episodes=12, joints=("shoulder_pan",), sessions=1)
    recording_of(robot, out, many, replace(FILMING, back_to_back=True, ranges={"shoulder_pan": (-15, 25)})).run(nothing)
    logs = logs_in(out)
    assert Counter(log.decisions[0][1] for log in logs) == {0: 4, 1: 4, 2: 4}
    starts = {round(log.extra["start_pose"][0], 2) for log in logs}
    assert starts <= {-15, -5, 5, 15, 25}  # no start pose was drawn


def test_a_walk_stays_within_the_range(robot, tmp_path) -> None:
    out = tmp_path / "recording"
    walks = replace(SIX, decisions=5, joints=("shoulder_pan",), episodes=3, actions={"MOVE+": 1, "MOVE-": 1})
    recording_of(robot, out, walks, replace(FILMING, ranges={"shoulder_pan": (-10, 20)})).run(nothing)
    for episode, log in zip(open_recording(out).read(CAMERAS), logs_in(out), strict=True):
        assert [frame for frame, _ in log.decisions] == [0, 2, 4, 6, 8]
        assert -10 - 1e-3 <= episode.states[:, 0].min() <= episode.states[:, 0].max() <= 20 + 1e-3


def test_free_play_moves_all_joints_at_once_within_their_ranges(robot, tmp_path) -> None:
    out = tmp_path / "recording"
    recording_of(robot, out, replace(SIX, decisions=4), replace(FILMING, free_play=True)).run(nothing)
    episodes = list(open_recording(out).read(CAMERAS))
    assert logs_in(out) == []
    moved = np.concatenate([np.diff(episode.states, axis=0) for episode in episodes])
    assert (np.abs(moved[:, [0, 2]]).max(axis=0) > 1).all()
    assert (moved[:, 1] == 0).all()
    assert np.abs(np.concatenate([episode.states for episode in episodes])[:, 0] - 5).max() <= 20


def test_a_person_rearranges_the_scene_between_sessions(robot, tmp_path) -> None:
    said, keys, out = io.StringIO(), Keys(), tmp_path / "recording"
    recording_of(robot, out, keyboard=keys, said=said, yes=False).run(nothing)
    assert keys.asked == 3  # may it move, and two sessions
    assert said.getvalue().count("rearrange the objects, and press y") == 2
    sessions = {log.extra["session"]: log.extra["session_seed"] for log in logs_in(out)}
    assert sessions.keys() == {0, 1}
    assert len(set(sessions.values())) == 2


def silent(robot: FakeRobot) -> None:
    robot.bus.silent.add("elbow_flex")


def camera_times_out(robot: FakeRobot) -> None:
    def seen():
        raise TimeoutError("Timed out waiting for frame from camera after 200 ms")

    robot.get_observation = seen


def cable_pulled(robot: FakeRobot) -> None:
    robot.bus.silent.update(robot.bus.motors)
    robot.bus.write_fails = True


def blocked(robot: FakeRobot) -> None:
    robot.stuck = True


def hot(robot: FakeRobot) -> None:
    robot.bus.registers["Present_Temperature"] = {"shoulder_pan": 30, "elbow_flex": 66, "gripper": 31}


def overloaded(robot: FakeRobot) -> None:
    robot.bus.registers["Present_Load"] = 1024 + 990


def key(robot: FakeRobot) -> None:
    robot.key = True


FAULTS = {
    silent: "There is no status packet",
    camera_times_out: "Timed out waiting for frame",
    cable_pulled: "There is no status packet",
    blocked: "behind its target; see whether something is in its way",
    hot: "elbow_flex is 66 °C hot, and 60 °C are allowed",
    overloaded: "is loaded with 99 % of its torque, and 90 % are allowed",
    key: "stopped by a key",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_mid_motion_loses_nothing_and_the_same_command_goes_on(robot, tmp_path, fault) -> None:
    out, sent = tmp_path / "recording", []

    def breaks(action) -> dict[str, float]:
        sent.append(action)
        if len(recording.recorder.staged()) == 2 and not broken:
            broken.append(len(sent))
            fault(robot)
        return moves(action)

    broken: list[int] = []
    recording = recording_of(robot, out, keyboard=Keys(lambda: getattr(robot, "key", False)))
    moves, robot.send_action = robot.send_action, breaks
    with pytest.raises((ForearmError, KeyboardInterrupt), match=FAULTS[fault]) as stopped:
        recording.run(nothing)
    assert "2 of 6 episodes are kept; run the same command again to go on" in str(stopped.value)
    assert "\n" not in str(stopped.value)
    assert not robot.bus.is_connected
    if fault is not cable_pulled:  # no motor presses against anything
        others = {f"{name}.pos" for name in robot.bus.motors} - {f"{name}.pos" for name in robot.bus.silent}
        told = {joint: at for action in robot.sent for joint, at in action.items()}
        assert {joint: told[joint] for joint in others} == pytest.approx({j: robot.joints[j] for j in others})
    again = FakeRobot(shoulder_pan=7.0, elbow_flex=30.0, gripper=40.0)
    recording_of(again, out).run(nothing)
    assert len(logs_in(out)) == 6
    assert again.joints["shoulder_pan.pos"] == pytest.approx(5)  # home is where it was at the very beginning


def test_a_recording_that_never_began_leaves_nothing_behind(robot, tmp_path) -> None:
    robot.no_camera = ConnectionError("Failed to open OpenCVCamera(0).")
    with pytest.raises(ForearmError, match=r"could not be connected to: Failed to open"):
        recording_of(robot, tmp_path / "recording").run(nothing)
    robot = FakeRobot(shoulder_pan=5.0, elbow_flex=30.0, gripper=40.0)
    assert not recording_of(robot, tmp_path / "recording", dry_run=True).run(nothing)
    assert robot.sent == []
    assert list(tmp_path.iterdir()) == []


def test_a_camera_that_was_moved_ends_the_recording(robot, tmp_path, monkeypatch) -> None:
    scene = np.random.default_rng(0).integers(0, 255, (12, 16, 3), np.uint8).repeat(4, 0).repeat(4, 1)
    looks = robot.get_observation
    out = tmp_path / "recording"
    recording = recording_of(robot, out, replace(SIX, episodes=12), replace(FILMING, drift_check=2))

    def seen():
        moved = len(recording.recorder.staged()) >= 4
        return {**looks(), "wrist": np.roll(scene, 6 * moved, axis=1)}

    robot.get_observation = seen
    with pytest.raises(ForearmError, match=r"camera wrist shows home \+6 pixels to the right .*; 4 of 12 episodes"):
        recording.run(nothing)


@pytest.mark.parametrize(("every", "asked", "kept"), [(2, False, 2), (30, True, 6)], ids=["midway", "after a session"])
def test_a_joint_that_slipped_ends_the_recording(robot, tmp_path, every, asked, kept) -> None:
    twelve, filming = replace(SIX, episodes=12), replace(FILMING, drift_check=every)
    recording = recording_of(robot, tmp_path / "recording", twelve, filming, yes=not asked)
    reads = robot.get_observation

    def at_home() -> bool:
        return list(robot.joints.values()) == pytest.approx([5, 30, 40])

    robot.get_observation = lambda: {
        **reads(),
        **({"elbow_flex.pos": 36.0} if len(recording.recorder.staged()) == kept and at_home() else {}),
    }
    with pytest.raises(ForearmError, match=rf"at home elbow_flex stands at 36.0 and stood at 30.0.* {kept} of 12"):
        recording.run(nothing)


def test_frames_that_come_late_are_filmed_again(robot, clock, tmp_path) -> None:
    slow = iter([0.3, 0.3] + [0] * 1000)
    looks = robot.get_observation

    def seen():
        clock.now += next(slow) if len(robot.sent) > 40 else 0
        return looks()

    robot.get_observation = seen
    recording_of(robot, tmp_path / "recording").run(nothing)
    assert all(len(episode.states) == 3 for episode in open_recording(tmp_path / "recording").read(CAMERAS))
    robot = FakeRobot(shoulder_pan=5.0, elbow_flex=30.0, gripper=40.0)
    looks, slow = robot.get_observation, iter([0.3] * 1000)
    robot.get_observation = seen
    with pytest.raises(ForearmError, match=r"frames came up to .* ms late at 5 fps; choose a smaller --fps"):
        recording_of(robot, tmp_path / "other").run(nothing)


@pytest.mark.parametrize(
    ("protocol", "filming", "says"),
    [
        ({"joints": ("knee",)}, {}, "joints are knee; choose among shoulder_pan, elbow_flex, gripper"),
        ({"position_delta": 20.0}, {}, "position delta is 20, more than a step of 15"),
        ({}, {"ranges": {"knee": (0, 10)}}, "the robot has no joint 'knee'"),
        ({}, {"ranges": {"shoulder_pan": (0, 10)}}, "the range of shoulder_pan is 0 to 10, where moves of 10"),
    ],
)
def test_what_cannot_be_recorded_is_refused_before_anything_moves(robot, tmp_path, protocol, filming, says) -> None:
    with pytest.raises(ForearmError, match=says):
        recording_of(robot, tmp_path / "out", replace(SIX, **protocol), replace(FILMING, **filming)).run(nothing)
    assert all(list(action.values()) == [5, 30, 40] for action in robot.sent)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(find_spec("mujoco") is None or find_spec("scservo_sdk") is None, reason="needs the virtual arm")
def test_on_the_virtual_arm_a_servo_that_does_not_answer_rightly_loses_nothing(tmp_path, monkeypatch) -> None:
    from support.sdk_robot import bench

    monkeypatch.setattr(driver, "TINY_SECONDS", 0.2)
    monkeypatch.setattr("forearm.arms.settings.SHORTEST", 0.2)
    monkeypatch.setattr("forearm.arms.settings.SLOW", 80)
    monkeypatch.setattr(module, "LATE_FRAMES", np.inf)  # a test's machine may be busy
    four = replace(SIX, episodes=3, joints=("shoulder_pan",))
    options = {"max_step": 30, "max_speed": 1000}
    with bench(tmp_path / "arm") as stand:
        monkeypatch.setattr(driver, "time", stand.clock)
        robot = stand.driver()

        def breaks(done: int, total: int, now: str) -> None:
            if done == 1:
                stand.tell("silent elbow_flex")
                robot.bus.patience = 100

        with pytest.raises(ForearmError, match=r"no status packet.*; 1 of 3 episodes are kept"):
            recording_of(robot, tmp_path / "out", four, **options).run(breaks)
        assert stand.robot.arm.torque.all()  # it holds
        stand.tell("mend")
        with pytest.raises(ForearmError, match=r"Incorrect status packet.*; 2 of 3 episodes are kept"):
            recording_of(stand.driver(), tmp_path / "out", four, **options).run(
                lambda done, total, now: done == 2 and stand.tell("garbled elbow_flex")
            )
        assert stand.robot.arm.torque.all()
        stand.tell("mend")
        recording_of(stand.driver(), tmp_path / "out", four, **options).run(nothing)
    for episode, log in zip(open_recording(tmp_path / "out").read(CAMERAS), logs_in(tmp_path / "out"), strict=True):
        moved = episode.states[-1, 0] - episode.states[0, 0]
        assert moved == pytest.approx(10 * DIRECTIONS[log.decisions[0][1]], abs=4)
