"""What every command that moves a real arm has from one gate: tiny first moves, limits, servos that are watched."""

import io

import numpy as np
import pytest
from rich.console import Console
from support.robots import FakeRobot, Keys

from forearm.arms.driver import PATIENCE, TINY, Limit, RobotDriver
from forearm.arms.filming import carry_out
from forearm.arms.settings import RobotSettings
from forearm.base.errors import ForearmError

PAN, LIFT = np.array([10, 0], np.float32), np.array([0, 10], np.float32)


@pytest.fixture
def robot() -> FakeRobot:
    return FakeRobot(pan=5.0, lift=30.0)


def driver_of(robot: FakeRobot, keyboard=None, said=None, limits=None, **settings) -> RobotDriver:
    settings = RobotSettings(**{"yes": True, **settings})
    console = Console(file=said or io.StringIO(), width=300)
    return RobotDriver(robot, settings, limits=limits, keyboard=keyboard or Keys(), console=console)


def move(arm: RobotDriver, *changes: np.ndarray, seconds: float = 0.5) -> None:
    with arm.connected():
        for change in changes:
            carry_out(arm, change, seconds, 15)


def pans(robot: FakeRobot) -> list[float]:
    return [action["pan.pos"] for action in robot.sent]


def test_each_joint_is_tried_with_a_tiny_move_before_its_first(robot) -> None:
    move(driver_of(robot), PAN, -PAN, LIFT)
    tried = pans(robot)[:30]
    assert max(tried) == pytest.approx(5 + TINY)
    assert tried[-1] == pytest.approx(5)
    lifts = [action["lift.pos"] for action in robot.sent]
    assert lifts[60:75][-1] == pytest.approx(30 + TINY)  # after two actions of pan, lift is tried
    assert len(robot.sent) == 30 + 15 + 15 + 30 + 15


@pytest.mark.parametrize("how", ["stuck", "reversed"])
def test_a_joint_that_does_not_do_its_tiny_move_is_not_moved(robot, how) -> None:
    if how == "stuck":
        robot.stuck = True
    else:
        robot.move = lambda action: (
            robot.sent.append(action),
            robot.joints.update({"pan.pos": 10 - action["pan.pos"]}),
        )
    with pytest.raises(
        ForearmError, match=r"pan was told to move by \+2 and moved by [+-]\d.\d; see whether something"
    ):
        move(driver_of(robot), PAN)
    assert max(pans(robot)) <= 5 + TINY


def follow_late(robot: FakeRobot, clock, seconds: float) -> None:
    """Have the joints go where they are sent so many seconds later, as on a machine that is busy."""
    sent, reads = list[tuple[float, dict[str, float]]](), robot.bus.sync_read

    def read(*args, **options):
        while sent and sent[0][0] <= clock.now - seconds:
            robot.joints.update(sent.pop(0)[1])
        return reads(*args, **options)

    robot.move = lambda action: sent.append((clock.now, action))
    robot.bus.sync_read = read


def test_a_joint_that_follows_late_is_waited_for(robot, clock) -> None:
    follow_late(robot, clock, 0.7)
    arm = driver_of(robot)
    move(arm, PAN, -PAN)
    assert 0.3 < arm.late < 1, "frames of an action that was waited for came late"


@pytest.mark.parametrize("tried", [True, False])
def test_a_joint_that_does_not_follow_is_not_waited_for_long(robot, clock, tried) -> None:
    with driver_of(robot).connected() as arm:
        if tried:
            carry_out(arm, PAN, 0.5, 15)
        follow_late(robot, clock, 5)
        began = clock.now
        with pytest.raises(ForearmError, match="something is in its way"):
            carry_out(arm, PAN, 0.5, 15)
    assert 0.5 + PATIENCE <= clock.now - began < 0.7 + PATIENCE


def test_nothing_moves_faster_than_allowed(robot) -> None:
    with pytest.raises(ForearmError, match="would move pan at 125 a second, more than 120; allow it with --max-speed"):
        move(driver_of(robot), PAN, seconds=0.2)
    assert set(pans(robot)) <= {5.0}
    move(driver_of(robot, max_speed=200), PAN, seconds=0.2)
    assert robot.joints["pan.pos"] == pytest.approx(15)


def test_a_servo_that_becomes_hot_in_mid_motion_stops_the_arm(robot) -> None:
    moves = robot.send_action

    def heat(action):
        if action["pan.pos"] > 10:
            robot.bus.registers["Present_Temperature"] = {"pan": 66, "lift": 31}
        return moves(action)

    robot.send_action = heat
    with pytest.raises(ForearmError, match="pan is 66 °C hot, and 60 °C are allowed; let it cool down"):
        move(driver_of(robot), PAN, PAN, PAN)
    assert robot.sent[-1] == robot.joints  # it holds
    assert robot.joints["pan.pos"] < 25


def test_a_load_is_allowed_for_a_moment_and_not_for_longer(robot) -> None:
    loads, reads = iter([95, 95, 4] * 4 + [95] * 99), robot.bus.sync_read

    def read(name, *args, **options):
        if name == "Present_Load":
            robot.bus.registers[name] = 10 * next(loads) + 1024
        return reads(name, *args, **options)

    robot.bus.sync_read = read
    with pytest.raises(ForearmError, match="is loaded with 95 % of its torque, and 90 % are allowed"):
        move(driver_of(robot), *[PAN, -PAN] * 5)
    assert next(loads) == 95
    assert len(robot.sent) > 60


def test_a_dry_run_does_everything_but_move(robot) -> None:
    said = io.StringIO()
    move(driver_of(robot, said=said, dry_run=True, yes=False), PAN)
    assert robot.sent == []
    assert "sent nothing" in said.getvalue()
    with pytest.raises(ForearmError, match="beyond this run's data"):
        move(driver_of(robot, dry_run=True, limits={"pan": Limit(-10, 10)}), PAN)


def test_it_is_said_before_it_is_connected_that_motors_become_stiff(robot) -> None:
    said = io.StringIO()
    robot.no_camera = ConnectionError("no camera")
    with pytest.raises(ForearmError, match="no camera"):
        move(driver_of(robot, said=said), PAN)
    assert "then become stiff: support it and keep clear" in said.getvalue()


def test_where_one_motor_is_silent_the_others_are_told_to_stay(robot) -> None:
    moves = robot.send_action

    def break_down(action):
        sent = moves(action)
        if action["pan.pos"] > 8:
            robot.bus.silent.add("lift")
        return sent

    robot.send_action = break_down
    robot.held_back = 8.5
    with pytest.raises(ForearmError, match="There is no status packet"):
        move(driver_of(robot), PAN)
    assert robot.sent[-1] == {"pan.pos": robot.joints["pan.pos"]}


def test_a_packet_that_is_lost_once_is_asked_for_again(robot, monkeypatch) -> None:
    answers = iter([ConnectionError("There is no status packet!"), ConnectionError("Incorrect status packet!"), True])

    def calibrated(robot):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(FakeRobot, "is_calibrated", property(calibrated, lambda robot, value: None), raising=False)
    move(driver_of(FakeRobot(pan=5.0, lift=30.0)), PAN)
    answers = iter([ConnectionError("There is no status packet!")] * 9)
    with pytest.raises(ForearmError, match="could not be asked for its calibration: There is no status packet!"):
        move(driver_of(FakeRobot(pan=5.0, lift=30.0)), PAN)


def test_a_packet_that_is_lost_while_it_is_connected_to_does_not_end_it(robot) -> None:
    connects, lost = robot.connect, [RuntimeError("Missing motor IDs: - 1")]

    def connect(calibrate):
        assert not robot.bus.is_connected, "LeRobot refuses to connect twice"
        connects(calibrate)
        if lost:
            raise lost.pop()

    robot.connect = connect
    move(driver_of(robot), PAN)
    lost += [RuntimeError("Missing motor IDs: - 1")] * 2
    with pytest.raises(ForearmError, match=r"connected to: Missing motor IDs: - 1.*may be slack now: support the arm"):
        move(driver_of(robot), PAN)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"max_step": 0}, "max step is 0; choose one above 0"),
        ({"max_temperature": -1}, "max temperature is -1"),
        ({"home": {"pan": np.nan}}, "home pose is not a number"),
        ({"home": {"knee": 1.0}}, "the robot has no joint 'knee'; it has pan, lift"),
    ],
)
def test_limits_that_are_none_are_refused(robot, settings, says) -> None:
    with pytest.raises(ForearmError, match=says):
        driver_of(robot, **settings)
