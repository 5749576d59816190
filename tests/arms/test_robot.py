"""A robot that has LeRobot's interface and no motors: what it is sent, when it is stopped, and what is refused."""

import dataclasses
import io
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from rich.console import Console
from support.bars import BarDynamics
from support.robots import FakeRobot, Keys
from support.tiny import make_layout

from forearm.arms import driver
from forearm.arms.keyboard import Keyboard
from forearm.arms.lerobot import RATE, cameras_of, counts_in_degrees, so101
from forearm.arms.pictures import shrunk
from forearm.arms.robot import RobotArm, open_robot_arm
from forearm.arms.settings import RobotSettings
from forearm.base.errors import ForearmError
from forearm.batch import Prediction
from forearm.canvas import Action, ActionDimension, Joint
from forearm.control.goals import JointGoal, PictureGoal
from forearm.control.loop import REACHED, control
from forearm.control.planners import CEM, TreeSearch

DURATION = 0.1
UP = np.array([1, 0], np.float32)
NAMED = RobotSettings(robot="/dev/ttyACM0", camera={"base": "0", "wrist": "1"})
RECORDED = ({"recorded_size": (240, 320), "fps": 15.0}, {})
"""What a layout knows of the recordings of two cameras: everything, and nothing."""


@pytest.fixture
def layout():
    joints = tuple(Joint(name, "deg", -45, 45, 15, unit_origin="given") for name in ("pan.pos", "lift.pos"))
    actions = (ActionDimension("pan", "pan.pos", "deg", 10.0), ActionDimension("lift", "lift.pos", "deg", 10.0))
    return make_layout(joints=joints, actions=actions)


@pytest.fixture(autouse=True)
def no_tiny_moves(monkeypatch):
    """Whoever tests tiny moves asks for them."""
    monkeypatch.setattr(driver, "TINY", np.inf)
    monkeypatch.setattr(driver, "TINY_SECONDS", 0.07)


def arm_of(robot: FakeRobot, layout, *, duration=DURATION, keyboard=None, console=None, **settings) -> RobotArm:
    settings = RobotSettings(**{"max_speed": 1000, "yes": True, **settings})
    return RobotArm(robot, layout, duration=duration, keyboard=keyboard or Keys(), settings=settings, console=console)


def drive(arm: RobotArm, *actions: np.ndarray) -> None:
    """Look, then carry out actions."""
    with arm.connected():
        arm.observe()
        for values in actions:
            arm.step(Action(values, 0))


def drive_asking(robot: FakeRobot, layout, said: io.StringIO, keyboard: Keyboard) -> None:
    """Turn pan by 20° with what a person is asked before."""
    arm = arm_of(robot, layout, keyboard=keyboard, console=Console(file=said, width=200), yes=False)
    with arm.connected():
        control(arm, BarDynamics(layout), JointGoal.named(layout, {"pan": 20.0}), TreeSearch(1))


def test_it_is_driven_to_a_goal_while_other_joints_are_held(layout) -> None:
    robot = FakeRobot(pan=1.0, lift=-2.0, gripper=50.0)
    goal = JointGoal.named(layout, {"pan": 21.0, "lift": -12.0})
    with arm_of(robot, layout).connected() as arm:
        episode = control(arm, BarDynamics(layout), goal, TreeSearch(2))
    assert (episode.outcome, episode.actions) == (REACHED, 3)
    assert robot.joints == pytest.approx({"pan.pos": 21.0, "lift.pos": -12.0, "gripper.pos": 50.0})
    assert {action["gripper.pos"] for action in robot.sent} == {50.0}
    assert not robot.is_connected
    assert episode.steps[0].seen.picture.shape == (16, 8, 3)
    assert (episode.steps[0].seen.picture == 101).all()


def test_an_action_from_recorded_targets_counts_from_where_the_joint_is(layout) -> None:
    robot = FakeRobot(pan=0.0, lift=0.0)
    arm = arm_of(robot, dataclasses.replace(layout, action_is="target"))
    with arm.connected():
        for _ in range(3):
            arm.step(Action(UP, 0))
            robot.joints["pan.pos"] -= 4.0  # gravity
    assert robot.sent[-1]["pan.pos"] == 2 * (10 - 4) + 10


def test_a_move_is_smooth(layout) -> None:
    robot = FakeRobot(pan=0.0, lift=0.0)
    drive(arm_of(robot, layout, duration=0.5), UP)
    pans = np.array([0.0] + [action["pan.pos"] for action in robot.sent])
    assert len(robot.sent) == round(0.5 * RATE)
    assert pans[-1] == 10
    assert (np.diff(pans) >= 0).all()
    assert np.diff(pans).max() < 2  # of the 10° that it moves in half a second
    assert np.abs(np.diff(pans, n=2)).max() < 0.7


@pytest.mark.parametrize("how", ["key", "interrupt"])
def test_a_key_or_ctrl_c_in_mid_motion_makes_it_hold_its_position(layout, how: str) -> None:
    robot = FakeRobot(pan=0.0, lift=0.0)

    def pressed() -> bool:
        if len(robot.sent) == 2 and how == "interrupt":
            raise KeyboardInterrupt
        return len(robot.sent) == 2

    with pytest.raises(KeyboardInterrupt, match=r"stopped.*; the arm holds its position"):
        drive(arm_of(robot, layout, duration=0.3, keyboard=Keys(pressed)), UP)
    there = robot.sent[1]["pan.pos"]
    assert 0 < there < 10
    assert [action["pan.pos"] for action in robot.sent[2:]] == [there]  # told once more to stay, and nothing after
    assert not robot.is_connected


def test_an_arm_that_does_not_follow_is_stopped_and_relieved(layout) -> None:
    robot = FakeRobot(pan=0.0, lift=0.0)
    robot.stuck = True
    with pytest.raises(ForearmError, match=r"pan is 10.0 behind its target; see whether something is in its way"):
        drive(arm_of(robot, layout), UP)
    assert robot.sent[-1]["pan.pos"] == 0  # no longer pressing


def test_no_joint_is_moved_out_of_its_limits_but_back_into_them_it_is(layout) -> None:
    robot = FakeRobot(pan=40.0, lift=-52.0)
    with arm_of(robot, layout).connected() as arm:
        arm.observe()
        with pytest.raises(ForearmError, match=r"would take pan to 50.0 deg, beyond this run's data, -45.0 to 45.0"):
            arm.step(Action(UP, 0))
        assert robot.sent == []
        arm.step(Action(np.array([0, 1], np.float32), 1))
    assert robot.joints == pytest.approx({"pan.pos": 40.0, "lift.pos": -42.0})


def test_steps_larger_than_allowed_are_refused_before_anything_moves(layout) -> None:
    with pytest.raises(ForearmError, match=r"moves pan by 10 deg, more than a step of 5; allow it with --max-step"):
        arm_of(FakeRobot(pan=0.0, lift=0.0), layout, max_step=5.0)


def test_a_robot_without_what_the_run_needs_is_refused(layout) -> None:
    with pytest.raises(ForearmError, match=r"the robot has no joint 'lift' as this run has; it has pan$"):
        arm_of(FakeRobot(pan=0.0), layout)


def test_a_robot_that_is_not_calibrated_is_refused(layout) -> None:
    robot = FakeRobot(pan=0.0, lift=0.0)
    robot.is_calibrated = False
    with pytest.raises(ForearmError, match="not calibrated; run lerobot-calibrate"), arm_of(robot, layout).connected():
        pass
    assert not robot.is_connected


def test_what_the_drivers_raise_is_one_line(layout) -> None:
    robot = FakeRobot(pan=0.0, lift=0.0)
    robot.broken = TimeoutError("no status\npacket")
    with pytest.raises(ForearmError, match="could not be read from: no status packet; see to"):
        drive(arm_of(robot, layout))
    assert not robot.is_connected


def test_a_camera_that_fails_in_mid_motion_leaves_no_motor_pressing(layout) -> None:
    """huggingface/lerobot #1675, #1179. Something holds the arm back at 8°; its targets went on to 10°."""
    robot = FakeRobot(pan=0.0, lift=0.0)
    robot.held_back, robot.fails_after = 8.0, 3
    with (
        pytest.raises(ForearmError, match="Timed out waiting for frame"),
        arm_of(robot, layout).connected() as arm,
    ):
        arm.film(Action(UP, 0), fps=30)
    assert robot.sent[-1] == {"pan.pos": 8.0, "lift.pos": 0.0}
    assert not robot.bus.is_connected


def test_a_camera_that_is_missing_leaves_no_motor_connected(layout) -> None:
    robot = FakeRobot(pan=0.0, lift=0.0)
    robot.no_camera = ConnectionError("no camera 2")
    with pytest.raises(ForearmError, match="be connected to: no camera 2"), arm_of(robot, layout).connected():
        pass
    assert not robot.bus.is_connected
    assert robot.sent == []


@pytest.mark.parametrize("lift", [-60.0, 300.0])
def test_an_arm_that_stands_where_the_data_never_were_is_not_moved(layout, lift: float) -> None:
    robot = FakeRobot(pan=0.0, lift=lift)
    said = rf"lift stands at {lift}, but in this run's data it goes from -45.0 to 45.0 deg; bring the arm there"
    with pytest.raises(ForearmError, match=said):
        drive(arm_of(robot, layout), UP)
    with pytest.raises(ForearmError, match=said), arm_of(robot, layout).connected() as arm:
        arm.step(Action(UP, 0))  # without having looked
    assert robot.sent == []


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["frame", "positions"])
@pytest.mark.parametrize("planner", [TreeSearch(2), CEM(2)])
def test_predictions_that_are_no_numbers_never_become_motion(layout, value: float, where: str, planner) -> None:
    class Diverged(BarDynamics):
        def predict(self, batch):
            foreseen = super().predict(batch)
            numbers = {"frame": foreseen.frame, "positions": torch.zeros(len(foreseen.frame), 2)}
            return Prediction(**{**numbers, where: torch.full_like(numbers[where], value)})

    for goal in (JointGoal.named(layout, {"pan": 20.0}), PictureGoal.of(layout, [np.zeros((8, 8, 3), np.uint8)] * 2)):
        robot = FakeRobot(pan=0.0, lift=0.0)
        with pytest.raises(ForearmError), arm_of(robot, layout).connected() as arm:
            control(arm, Diverged(layout), goal, planner)
        assert all(action == {"pan.pos": 0.0, "lift.pos": 0.0} for action in robot.sent)  # it holds its position


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_actions_and_joints_that_are_no_numbers_never_become_motion(layout, value: float) -> None:
    robot = FakeRobot(pan=0.0, lift=0.0)
    with pytest.raises(ForearmError, match="not a number; the arm holds its position"):
        drive(arm_of(robot, layout), np.array([value, 0], np.float32))
    assert all(action == {"pan.pos": 0.0, "lift.pos": 0.0} for action in robot.sent)
    robot = FakeRobot(pan=0.0, lift=value)
    with pytest.raises(ForearmError, match="a joint stands at what is no number"):
        drive(arm_of(robot, layout), UP)
    assert robot.sent == []


@pytest.mark.parametrize(("answer", "moves"), [("y", True), ("\n", False), ("n", False)])
def test_it_asks_before_the_first_motion_and_only_then(layout, answer: str, moves: bool) -> None:
    robot, said, keys = FakeRobot(pan=0.0, lift=0.0), io.StringIO(), Keys(answer=answer)
    if moves:
        drive_asking(robot, layout, said, keys)
        assert robot.joints["pan.pos"] == pytest.approx(20)
    else:
        with pytest.raises(KeyboardInterrupt, match="the arm was not moved"):
            drive_asking(robot, layout, said, keys)
        assert robot.joints["pan.pos"] == 0
    assert said.getvalue().count("about to move: pan +10.") == keys.asked == 1


def test_where_nobody_can_be_asked_it_is_not_even_connected(layout, monkeypatch) -> None:
    robot = FakeRobot(pan=0.0, lift=0.0)
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(ForearmError, match="add --yes if it may"):
        drive_asking(robot, layout, io.StringIO(), Keyboard())
    assert robot.sent == []
    assert not Keyboard().pressed()


@pytest.fixture
def terminal(monkeypatch):
    """The end of a pseudo-terminal at which a person sits; standard input is the other."""
    pty = pytest.importorskip("pty")
    person, program = pty.openpty()
    with open(program, closefd=False) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield person
    os.close(person)
    os.close(program)


def test_a_key_between_two_actions_stops_the_arm(layout, terminal) -> None:
    robot = FakeRobot(pan=0.0, lift=0.0)
    arm = arm_of(robot, layout, keyboard=Keyboard())

    def drive_on():
        with arm.connected():
            arm.observe()
            arm.step(Action(UP, 0))
            os.write(terminal, b"x")  # while it plans
            arm.observe()
            arm.step(Action(UP, 0))

    with pytest.raises(KeyboardInterrupt, match="stopped by a key"):
        drive_on()
    assert robot.joints["pan.pos"] == pytest.approx(10)


def test_a_key_from_before_it_was_connected_stops_the_arm(layout, terminal) -> None:
    robot = FakeRobot(pan=0.0, lift=0.0)
    os.write(terminal, b"x")
    with pytest.raises(KeyboardInterrupt, match="stopped by a key"):
        drive(arm_of(robot, layout, keyboard=Keyboard()), UP)
    assert robot.joints["pan.pos"] == 0


def test_keys_from_before_the_question_answer_nothing_and_those_after_it_stop(layout, terminal) -> None:
    import termios

    before = termios.tcgetattr(sys.stdin)
    with Keyboard() as keyboard:
        os.write(terminal, b"y")
        while not keyboard.pressed():
            pass
        forget = keyboard.forget
        keyboard.forget = lambda: (forget(), os.write(terminal, b"N"))
        assert keyboard.answer() == "n"
        assert not keyboard.pressed()
        os.write(terminal, b"  ")
        while not keyboard.pressed():
            pass
    assert termios.tcgetattr(sys.stdin) == before
    assert not Keyboard().pressed()  # what stopped the arm is not typed into the shell


def test_enter_after_an_answer_belongs_to_it_and_any_other_key_stops(terminal) -> None:
    with Keyboard() as keyboard:
        forget = keyboard.forget
        keyboard.forget = lambda: (forget(), os.write(terminal, b"y"))
        for after, stops in ((b"\r", False), (b"x", True), (b"\rx", True)):
            assert keyboard.answer() == "y"
            os.write(terminal, after)
            while not keyboard._is_waiting():
                pass
            assert keyboard.pressed() == stops
            assert not (after == b"\r" and keyboard._is_waiting())


def test_pictures_are_shrunk_to_means_as_build_does() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    means = picture.reshape(8, 6, 8, 8, 3).mean((1, 3))
    np.testing.assert_allclose(shrunk(picture, (8, 8)), means, atol=2.5)
    assert shrunk(picture, (48, 64)) is picture


def test_without_lerobot_it_is_said_what_is_missing(layout, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "lerobot", None)
    with pytest.raises(ModuleNotFoundError):
        so101("/dev/ttyACM0", None, {})
    with pytest.raises(ForearmError, match="looks through camera wrist; name it with --camera wrist INDEX"):
        cameras_of(layout, {"base": "0"})


def joints_in(**units: str):
    return make_layout(
        joints=tuple(Joint(f"{name}.pos", unit, -45, 45, 15, unit_origin="given") for name, unit in units.items()),
        actions=(ActionDimension("pan", "pan.pos", "deg", 10.0),),
    )


@pytest.mark.parametrize(
    ("units", "degrees"),
    [
        ({"pan": "deg", "gripper": "%"}, True),
        ({"pan": "%", "gripper": "%"}, False),
        ({"pan": "rad", "gripper": "%"}, None),
        ({"pan": "deg", "gripper": "deg"}, None),
        ({"pan": "deg", "lift": "%"}, None),
        ({"pan": "ticks", "lift": "ticks"}, None),
        ({"pan": "", "lift": ""}, None),
    ],
)
def test_units_that_an_so101_does_not_count_in_do_not_move_it(units, degrees) -> None:
    if degrees is not None:
        assert counts_in_degrees(joints_in(**units)) == degrees
        return
    with pytest.raises(ForearmError, match=r"this run has pan .*, so the arm is not moved"):
        open_robot_arm(joints_in(**units), NAMED)


def test_a_robot_is_not_moved_by_units_that_are_guessed(layout) -> None:
    pan, lift = layout.joints
    guess = dataclasses.replace(layout, joints=(pan, dataclasses.replace(lift, unit_origin="guessed")))
    says = r"units of lift are only guessed in this run, so the arm is not moved; say them with forearm build --units"
    with pytest.raises(ForearmError, match=says):
        arm_of(FakeRobot(pan=0.0, lift=0.0), guess)
    with pytest.raises(ForearmError, match=says):
        open_robot_arm(guess, NAMED)


@pytest.mark.parametrize("folder", ["so_follower", "so101_follower"])
def test_lerobots_arm_is_made_with_limits_and_holds_its_position_at_the_end(layout, monkeypatch, folder: str) -> None:
    known = {
        "lerobot": ModuleType("lerobot"),
        "lerobot.robots": ModuleType("lerobot.robots"),
        f"lerobot.robots.{folder}": SimpleNamespace(SO101FollowerConfig=dict, SO101Follower=lambda config: config),
        "lerobot.cameras.opencv": SimpleNamespace(OpenCVCameraConfig=dict),
    }
    for name, module in known.items():
        monkeypatch.setitem(sys.modules, name, module)
    base, wrist = (dataclasses.replace(camera, **seen) for camera, seen in zip(layout.cameras, RECORDED, strict=True))
    cameras = cameras_of(dataclasses.replace(layout, cameras=(base, wrist)), {"base": "0", "wrist": "/dev/video2"})
    config = so101("/dev/ttyACM0", "white", cameras, max_step=12.0)
    assert config == {
        "port": "/dev/ttyACM0",
        "id": "white",
        "cameras": {
            "base": {"index_or_path": 0, "fps": 15, "width": 320, "height": 240},
            "wrist": {"index_or_path": Path("/dev/video2"), "fps": 30, "width": 640, "height": 480},
        },
        "use_degrees": True,
        "max_relative_target": 12.0,
        "disable_torque_on_disconnect": False,
    }
