"""What the doctor finds, and that nothing moves where it finds a fault."""

import dataclasses
import io

import numpy as np
import pytest
from rich.console import Console
from support.commands import error_of, forearm
from support.robots import FakeRobot, Keys
from support.tiny import make_layout

from forearm.arms import doctor
from forearm.arms.doctor import Examination, Expected, Finding, examine, sheet
from forearm.arms.settings import RobotSettings
from forearm.canvas import ActionDimension, Joint

SCENE = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8).repeat(4, 0).repeat(4, 1)


@pytest.fixture
def robot(clock, monkeypatch) -> FakeRobot:
    monkeypatch.setattr(doctor, "time", clock)
    robot = FakeRobot(pan=5.0, lift=30.0)
    for camera in robot.cameras.values():
        camera.picture = SCENE
    return robot


@pytest.fixture
def expected() -> Expected:
    joints = tuple(Joint(name, "deg", -45, 45, 15, unit_origin="given") for name in ("pan.pos", "lift.pos"))
    layout = make_layout(joints=joints, actions=(ActionDimension("pan", "pan.pos", "deg", 10.0),))
    cameras = tuple(dataclasses.replace(camera, height=64, width=64) for camera in layout.cameras)
    layout = dataclasses.replace(layout, cameras=cameras, action_duration=0.5)
    return Expected(layout, np.concatenate([SCENE, SCENE]))


def examined(robot: FakeRobot, expected: Expected | None = None, **settings) -> Examination:
    arm = RobotSettings(**{"robot": "/dev/ttyACM0", "yes": True, **settings})
    return examine(lambda: robot, arm, expected, keyboard=Keys(), console=Console(file=io.StringIO()))


def named(examination: Examination, what: str) -> Finding:
    return next(finding for finding in examination.findings if finding.what == what)


def test_a_healthy_arm_is_good_and_its_small_moves_are_timed(robot, expected) -> None:
    found = examined(robot, expected)
    assert {finding.verdict for finding in found.findings} == {"good"}
    assert named(found, "servo 2 lift").found == "31 °C, 7.4 V, load 4 %"
    assert "an action should last" in named(found, "timing").found
    pans = {round(action["pan.pos"]) for action in robot.sent}
    assert max(pans) - min(pans) == 10
    assert robot.joints["pan.pos"] == pytest.approx(5)
    assert [picture.shape for picture in found.pictures] == [(64, 132, 3)] * 2
    assert sheet(found.pictures).shape == (136, 132, 3)


def test_a_slow_servo_needs_longer_actions(robot, expected) -> None:
    """At each look a joint has gone a twentieth of what is left of its way."""
    targets, reads = dict(robot.joints), robot.bus.sync_read

    def read(name, *args, **options):
        for joint, target in targets.items():
            robot.joints[joint] += 0.05 * (target - robot.joints[joint])
        return reads(name, *args, **options)

    robot.bus.sync_read, robot.move = read, targets.update
    brief = dataclasses.replace(expected, layout=dataclasses.replace(expected.layout, action_duration=0.4))
    timing = named(examined(robot, brief), "timing")
    assert timing.verdict == "look"
    assert "those of the data last 0.4 s" in timing.todo


def silent(robot: FakeRobot) -> None:
    robot.bus.silent.add("lift")


def hot(robot: FakeRobot) -> None:
    robot.bus.registers["Present_Temperature"] = 70


def weak(robot: FakeRobot) -> None:
    robot.bus.registers["Present_Voltage"] = 32


def uncalibrated(robot: FakeRobot) -> None:
    robot.is_calibrated = False


def elsewhere(robot: FakeRobot) -> None:
    robot.joints["lift.pos"] = 90.0


def no_camera(robot: FakeRobot) -> None:
    robot.cameras["wrist"].missing = ConnectionError("Failed to open OpenCVCamera(1).")


def other_camera(robot: FakeRobot) -> None:
    del robot.cameras["wrist"]


FAULTS = {
    silent: ("servo 2 lift", "does not answer"),
    hot: ("servo 1 pan", "70 °C, 7.4 V, load 4 %"),
    weak: ("servo 1 pan", "31 °C, 3.2 V, load 4 %"),
    uncalibrated: ("calibration", "is not that of this id, or there is none"),
    elsewhere: ("pose", "pan 5.0, lift 90.0"),
    no_camera: ("camera wrist", "Failed to open OpenCVCamera(1)."),
    other_camera: ("camera wrist", "is not named"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_forbids_motion_and_says_what_to_do(robot, expected, fault) -> None:
    fault(robot)
    found = examined(robot, expected)
    what, words = FAULTS[fault]
    assert (named(found, what).found, named(found, what).verdict) == (words, "fault")
    assert all(finding.todo for finding in found.faults)
    assert named(found, "timing").found == "not measured"
    assert robot.sent == []
    assert not robot.bus.is_connected
    assert len(found.findings) > 5  # the rest is examined all the same


def test_a_port_that_is_not_there_is_a_fault(robot, monkeypatch) -> None:
    monkeypatch.setattr(robot.bus, "connect", lambda handshake: 1 / 0)
    found = examined(robot)
    assert [(finding.what, finding.verdict) for finding in found.findings] == [("port", "fault")]


def test_a_camera_that_was_moved_is_noticed_by_how_far(robot, expected) -> None:
    robot.cameras["base"].picture = np.roll(SCENE, (-4, 8), axis=(0, 1))
    robot.cameras["wrist"].picture = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    found = examined(robot, expected, dry_run=True)
    moved, other = named(found, "camera base"), named(found, "camera wrist")
    assert "+8, -4 of 64×64 pixels" in moved.found
    assert (moved.verdict, moved.todo) == ("look", "put it back where it was; one on the arm moves with the pose")
    assert other.verdict == "look"
    assert "another scene" in other.todo


def test_a_dry_run_sends_the_motors_nothing(robot, expected) -> None:
    found = examined(robot, expected, dry_run=True)
    assert robot.sent == []
    assert named(found, "timing").found == "not measured in a dry run"


def test_the_command_ends_with_2_and_one_line_where_motion_is_forbidden(robot, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(doctor, "so101", lambda *args, **options: robot)
    robot.bus.silent.add("lift")
    done = forearm("doctor", "--robot", "/dev/ttyACM0", "--picture", tmp_path / "now.png")
    assert done.code == 2
    assert "servo 2 lift" in done.err
    assert done.err.strip().endswith("see to the cable before it, its power and its id")
    assert (tmp_path / "now.png").exists()
    again = error_of(forearm("doctor", "--robot", "/dev/ttyACM0", "--picture", tmp_path / "now.png"))
    assert again.endswith("already exists; choose another --picture or remove it first")
    assert error_of(forearm("doctor")).startswith("name the arm to examine with --robot PORT")
