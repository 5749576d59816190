"""Examining a real arm: what could hinder it, and what to do about it, before anything moves."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from rich.console import Console

from forearm.arms.driver import Limit, RobotDriver, pose_faults
from forearm.arms.filming import carry_out
from forearm.arms.keyboard import Keyboard
from forearm.arms.lerobot import (
    RATE,
    RETRIES,
    CameraSettings,
    Robot,
    cameras_of,
    counts_in_degrees,
    is_calibrated,
    so101,
)
from forearm.arms.pictures import SURE, camera_shift, fitted
from forearm.arms.robot import limits_of
from forearm.arms.settings import RobotSettings
from forearm.base.errors import ForearmError
from forearm.canvas import Layout, driven_joints
from forearm.canvas.motion import USUAL_SECONDS

Verdict = Literal["good", "look", "fault"]
"""A fault forbids motion."""
MOVES = 4
"""Small moves that are timed."""
SMALL = 5.0
"""Units of such a move, where no run says how large its actions are."""
SPARE = 1.2
"""How much longer an action should last than the slowest move."""
ARRIVED = 0.1
"""A joint has arrived from where on it stays within this share of its move."""
REST = 0.6
"""Seconds in which it is watched after a move."""
MOVED = 0.02
"""Share of a picture's width by which a camera may have moved."""
HEAVY = 50.0
"""Percent of its torque that a servo at rest should not need."""
SERVO = 777
"""Feetech's number of the STS3215."""


@dataclass(frozen=True)
class Finding:
    """One thing that was examined."""

    what: str
    """Such as ``servo 3 elbow_flex``."""
    found: str
    """What was measured."""
    verdict: Verdict = "good"
    """Whether it is as it should be, has to be looked at, or forbids motion."""
    todo: str = ""
    """What to do, where it is not good."""


@dataclass(frozen=True)
class Expected:
    """What an arm is to be as it was: that of a run or a dataset."""

    layout: Layout
    """Its cameras, joints and bounds."""
    picture: np.ndarray
    """(h, w, 3) uint8, its first frame."""


@dataclass
class Examination:
    """Everything that was found."""

    findings: list[Finding]
    """In the order in which it was examined."""
    pictures: list[np.ndarray]
    """For each camera its picture at present, beside the expected one where there is one, (h, w, 3) uint8."""

    @property
    def faults(self) -> list[Finding]:
        """What forbids motion."""
        return [finding for finding in self.findings if finding.verdict == "fault"]


def examine_robot(
    settings: RobotSettings, expected: Expected | None = None, console: Console | None = None
) -> Examination:
    """Examine the SO-101 that a person named; see `examine`."""
    assert settings.robot is not None
    findings: list[Finding] = []
    cameras, degrees = {name: CameraSettings(path) for name, path in settings.camera.items()}, True
    if expected is not None:
        try:
            degrees = counts_in_degrees(expected.layout)
            findings.append(Finding("units", "degrees" if degrees else "percent of the joints' ranges"))
        except ForearmError as error:
            findings.append(Finding("units", "do not fit", "fault", str(error)))
        known = {camera.name: camera for camera in expected.layout.cameras if camera.name in cameras}
        if known:
            cameras |= cameras_of(replace(expected.layout, cameras=tuple(known.values())), settings.camera)

    def robot() -> Robot:
        return so101(
            *(settings.robot or "", settings.robot_id, cameras),
            degrees=degrees,
            max_step=settings.max_step,
            release=settings.release,
        )

    examination = examine(robot, settings, expected, console=console)
    return replace(examination, findings=findings + examination.findings)


def examine(
    make: Callable[[], Robot],
    settings: RobotSettings,
    expected: Expected | None = None,
    *,
    keyboard: Keyboard | None = None,
    console: Console | None = None,
) -> Examination:
    """Look at an arm's port, servos, calibration, cameras and pose, and, where nothing forbids it, time small moves.

    Args:
        make: the robot, not yet connected.
        settings: how it may be moved; with a dry run nothing is sent to its motors.
        expected: what it is to be as.
        keyboard: any key of it stops the arm.
        console: where a person is asked whether the arm may move.
    """
    examination, robot = Examination([], []), make()
    tell = examination.findings.append
    limits = limits_of(expected.layout) if expected else {}
    try:
        robot.bus.connect(handshake=False)
    except Exception as error:
        todo = "see whether the arm has power, the cable is in, and the port is right: lerobot-find-port"
        tell(Finding("port", _line(error), "fault", todo))
        return examination
    try:
        tell(Finding("port", settings.robot or "open"))
        silent = [finding for finding in _servos(robot, settings) if not tell(finding) and finding.verdict == "fault"]
        if not silent:
            examination.findings += _calibration(robot)
            examination.findings += _pose(robot, limits)
        for name, camera in _wanted_cameras(robot, expected):
            examination.findings += _camera(name, camera, expected, examination.pictures)
    finally:
        _close(robot)
    if examination.faults:
        tell(Finding("timing", "not measured", "look", "mend the faults first; nothing was moved"))
    elif settings.dry_run:
        tell(Finding("timing", "not measured in a dry run"))
    else:
        driver = RobotDriver(make(), settings, limits=limits, keyboard=keyboard, console=console)
        try:
            tell(_timing(driver, expected.layout if expected else None))
        except ForearmError as error:
            tell(Finding("timing", "the arm did not do its small moves", "fault", str(error)))
    return examination


def _servos(robot: Robot, settings: RobotSettings) -> Iterator[Finding]:
    bus = robot.bus
    for number, name in enumerate(bus.motors, start=1):
        what = f"servo {number} {name}"
        try:
            model = bus.ping(name, num_retry=RETRIES)
        except Exception:
            model = None
        if model is None:
            yield Finding(what, "does not answer", "fault", "see to the cable before it, its power and its id")
            continue
        try:
            heat, tension, load = (
                float(bus.sync_read(register, [name], num_retry=RETRIES)[name])
                for register in ("Present_Temperature", "Present_Voltage", "Present_Load")
            )
        except Exception as error:
            yield Finding(what, _line(error), "fault", "see to its cable; if it goes on, replace the servo")
            continue
        push = (abs(int(load)) & 1023) / 10
        found = f"{heat:.0f} °C, {tension / 10:.1f} V, load {push:.0f} %"
        if heat > settings.max_temperature:
            yield Finding(what, found, "fault", f"hotter than {settings.max_temperature:g} °C; let it cool down")
        elif not 4.5 <= tension / 10 <= 14:
            yield Finding(
                what, found, "fault", "the voltage is none of an STS3215 (5 to 7.4 V, or 12 V); see to the supply"
            )
        elif model != SERVO:
            yield Finding(what, f"model {model}, {found}", "look", f"an SO-101 has STS3215, model {SERVO}")
        elif push > HEAVY:
            yield Finding(what, found, "look", "much load at rest; see whether something is in its way")
        else:
            yield Finding(what, found)


def _calibration(robot: Robot) -> list[Finding]:
    try:
        good = is_calibrated(robot)
    except ForearmError as error:
        return [Finding("calibration", _line(error), "fault", "see to the cables")]
    if good:
        return [Finding("calibration", "as stored for this id")]
    todo = "run lerobot-calibrate with the same id"
    return [Finding("calibration", "is not that of this id, or there is none", "fault", todo)]


def _pose(robot: Robot, limits: Mapping[str, Limit]) -> list[Finding]:
    try:
        there = robot.bus.sync_read("Present_Position", num_retry=RETRIES)
    except Exception as error:
        return [Finding("pose", _line(error), "fault", "see to the cables")]
    words = ", ".join(f"{joint} {at:.1f}" for joint, at in there.items())
    faults = list(pose_faults(limits, there, "the data"))
    return [Finding("pose", words)] if not faults else [Finding("pose", words, "fault", fault) for fault in faults]


def _wanted_cameras(robot: Robot, expected: Expected | None) -> list[tuple[str, Any]]:
    names = [camera.name for camera in expected.layout.cameras] if expected else []
    return [(name, robot.cameras.get(name)) for name in dict.fromkeys([*names, *robot.cameras])]


def _camera(name: str, camera: Any, expected: Expected | None, pictures: list[np.ndarray]) -> list[Finding]:
    what = f"camera {name}"
    if camera is None:
        return [Finding(what, "is not named", "fault", f"name it with --camera {name} INDEX; see lerobot-find-cameras")]
    try:
        camera.connect()
        seen = np.asarray(camera.read_latest())
    except Exception as error:
        return [Finding(what, _line(error), "fault", "see lerobot-find-cameras for its index, sizes and rates")]
    size = f"{seen.shape[0]}×{seen.shape[1]}"
    if expected is None or name not in {camera.name for camera in expected.layout.cameras}:
        pictures.append(seen)
        return [Finding(what, size)]
    number = [each.name for each in expected.layout.cameras].index(name)
    now, before = fitted(expected.layout.cameras[number], seen), expected.layout.split(expected.picture)[number]
    pictures.append(np.concatenate([before, np.full((len(before), 4, 3), 255, np.uint8), now], axis=1))
    right, down, sure = camera_shift(before, now)
    height, width = before.shape[:2]
    figure = f"{size}; beside the first frame {right:+.0f}, {down:+.0f} of {width}×{height} pixels ({sure:.0f} σ)"
    if sure < SURE:
        todo = "it shows another scene than the first frame, or from elsewhere; compare the two pictures"
        return [Finding(what, figure, "look", todo)]
    if max(abs(right), abs(down)) > MOVED * width:
        return [Finding(what, figure, "look", "put it back where it was; one on the arm moves with the pose")]
    return [Finding(what, figure)]


def _timing(driver: RobotDriver, layout: Layout | None) -> Finding:
    """Move the first acting joint forth and back, and see when it arrives."""
    joint = driven_joints(layout)[0] if layout else driver.joints[0]
    size = min(layout.actions[0].scale, driver.settings.max_step) if layout else SMALL
    duration = (layout.action_duration if layout else None) or USUAL_SECONDS
    with driver.connected():
        limit, there = driver.limits.get(joint), float(driver.targets()[driver.joints.index(joint)])
        forth = -size if limit and there > (limit.low + limit.high) / 2 else size
        slowest = max(_arrival(driver, joint, back * forth, duration) for back in (1, -1) * (MOVES // 2))
    needed, known = SPARE * slowest, layout.action_duration if layout else None
    found = f"{joint} arrives within {slowest:.2f} s; an action should last {needed:.2f} s"
    if known is not None and needed > known:
        todo = f"those of the data last {known:g} s; see to the load and the power, or record longer actions"
        return Finding("timing", found, "look", todo)
    return Finding("timing", found)


def _arrival(driver: RobotDriver, joint: str, by: float, duration: float) -> float:
    """Seconds from the beginning of a move until the joint stays where it goes."""
    number, samples = driver.joints.index(joint), list[tuple[float, float]]()
    change = np.zeros(len(driver.joints), np.float32)
    change[number] = by

    def sample() -> None:
        samples.append((time.monotonic(), float(driver.positions()[number])))

    carry_out(driver, change, duration, max(1, round(duration * RATE)), sample)
    while samples[-1][0] < samples[0][0] + duration + REST:
        sample()
        time.sleep(0.01)
    end = samples[-1][1]
    return max((at - samples[0][0] for at, there in samples if abs(there - end) > ARRIVED * abs(by)), default=0.0)


def _close(robot: Robot) -> None:
    for camera in robot.cameras.values():
        if camera.is_connected:
            camera.disconnect()
    if robot.bus.is_connected:
        robot.bus.disconnect(disable_torque=False)


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def sheet(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures below each other, white beside the narrower ones, (h, w, 3) uint8."""
    width = max(picture.shape[1] for picture in pictures)
    return np.concatenate(
        [np.pad(picture, ((0, 4), (0, width - picture.shape[1]), (0, 0)), constant_values=255) for picture in pictures]
    )
