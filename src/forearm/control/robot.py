"""A real SO-101 through LeRobot's robot interface: limits, a smooth ramp, a question before it moves, a key that stops.

Nothing here moves the arm by more than a step that was allowed, or a joint to where the model has never seen it, and
nothing moves it that is not a number. On Ctrl-C, another key, or any error the arm is told to hold the position that it
has. Written against ``lerobot.robots.so_follower`` of LeRobot 0.4 to 0.6.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np
from av.video.reformatter import Interpolation
from rich.console import Console

from forearm.base.errors import ForearmError
from forearm.canvas import (
    Action,
    Layout,
    Observation,
    action_seconds,
    cut_or_padded,
    driven_joints,
    plain,
    scaled_size,
    stack_pictures,
    target_changes,
    trajectory,
)
from forearm.control.keyboard import Keyboard
from forearm.control.loop import Step
from forearm.media.words import action_words
from forearm.recordings.video import EXACT

BEYOND = 0.1
"""How far beyond its bounds a joint may stand before the first action, as a share of their distance."""
RETRIES = 3
"""How often the motors are asked again when the arm is to hold its position."""
CONNECTING = "Connecting to the arm. Its motors go slack for a moment, then become stiff: support it and keep clear."
RATE = 30
"""Targets a second."""
CAMERA_SIZE = (480, 640)
"""Height and width that a camera is asked for."""


class MotorsBus(Protocol):
    """What is used of ``lerobot.motors.MotorsBus``, which reaches the motors without the cameras."""

    @property
    def is_connected(self) -> bool: ...
    def sync_read(self, data_name: str, *, num_retry: int = 0) -> dict[str, float]: ...
    def sync_write(self, data_name: str, values: dict[str, float], *, num_retry: int = 0) -> None: ...
    def disconnect(self, disable_torque: bool = True) -> None: ...


class Robot(Protocol):
    """What is used of ``lerobot.robots.Robot``."""

    @property
    def bus(self) -> MotorsBus: ...
    @property
    def observation_features(self) -> dict[str, Any]: ...
    @property
    def action_features(self) -> dict[str, Any]: ...
    @property
    def is_connected(self) -> bool: ...
    @property
    def is_calibrated(self) -> bool: ...
    def connect(self, calibrate: bool = True) -> None: ...
    def get_observation(self) -> dict[str, Any]: ...
    def send_action(self, action: dict[str, float]) -> dict[str, float]: ...
    def disconnect(self) -> None: ...


class RobotArm:
    """A robot seen and moved as a layout says: a value of 1 moves a joint's target by the dimension's scale.

    Joints that do not act are held where they were when the robot was first looked at.

    Args:
        robot: of LeRobot.
        layout: the model's; its joints' bounds are the limits within which joints are moved.
        duration: seconds of an action; those of the layout by default.
        max_step: most that an action may move a joint, in its unit.
        keyboard: any key of it stops the arm.
    """

    def __init__(
        self,
        robot: Robot,
        layout: Layout,
        *,
        duration: float | None = None,
        max_step: float = 15.0,
        keyboard: Keyboard | None = None,
    ):
        require_known_units(layout)
        duration = action_seconds(layout, duration)
        if not 0 < duration <= 60:
            raise ForearmError(f"action duration is {duration:g}; choose one above 0 and up to 60 seconds")
        self.robot, self.layout, self.duration, self.max_step = robot, layout, duration, max_step
        self.keyboard = keyboard or Keyboard()
        self._targets: dict[str, float] = {}
        self._keys = [f"{plain(name)}.pos" for name in layout.joint_names]
        for what, names, known in (
            ("camera", [camera.name for camera in layout.cameras], robot.observation_features),
            ("joint", self._keys, robot.observation_features),
            ("action", [f"{name}.pos" for name in driven_joints(layout)], robot.action_features),
        ):
            for name in names:
                if name not in known:
                    raise ForearmError(f"the robot has no {what} {name!r} as this run has; it has {', '.join(known)}")
        for action in layout.actions:
            if action.scale > max_step:
                raise ForearmError(
                    f"an action of this run moves {action.name} by {action.scale:g} {action.unit}, more than a step of "
                    f"{max_step:g}; allow it with --max-step, or use a run with smaller actions"
                )

    @contextlib.contextmanager
    def connected(self) -> Iterator["RobotArm"]:
        """Connect for the length of a block; whatever ends the block early, the robot then holds its position."""
        with self.keyboard:
            try:
                with _answering("be connected to"):
                    self.robot.connect(calibrate=False)
                if not self.robot.is_calibrated:
                    raise ForearmError("the robot is not calibrated; run lerobot-calibrate first, with the same id")
                yield self
            except BaseException as error:
                self.hold()
                with contextlib.suppress(ForearmError):  # what came first is what a person has to know
                    self._disconnect()
                if isinstance(error, KeyboardInterrupt) and not error.args:
                    raise KeyboardInterrupt("stopped; the arm holds its position") from None
                raise
            self._disconnect()

    def observe(self) -> Observation:
        seen = self._look()
        cameras = self.layout.cameras
        pictures = [
            cut_or_padded(shrunk(taken, scaled_size(taken.shape[:2], camera)), camera)
            for camera, taken in ((camera, np.asarray(seen[camera.name])) for camera in cameras)
        ]
        return Observation(
            stack_pictures(self.layout, pictures), np.array([seen[key] for key in self._keys], np.float32)
        )

    def step(self, action: Action) -> None:
        """Carry out an action within the limits, unless a key stops it.

        Raises:
            ForearmError: it is no number or would leave the limits, or a joint does not follow.
            KeyboardInterrupt: a key was pressed.
        """
        if not np.isfinite(action.values).all():
            raise ForearmError("the next action is not a number; the arm holds its position")
        seen = self._look() if not self._targets or self.layout.action_is == "target" else self._targets
        start, change = dict(self._targets), dict.fromkeys(self._targets, 0.0)
        ahead = {key.removesuffix(".pos"): start[key] - float(seen[key]) for key in start}
        for name, by in target_changes(self.layout, np.clip(action.values, -1, 1), ahead).items():
            change[f"{name}.pos"] += by
        self._require_within_limits(start, change)
        ticks = max(1, round(self.duration * RATE))
        path = trajectory(np.array(list(start.values())), np.array(list(change.values())), ticks)
        begin = time.monotonic()
        for tick, targets in enumerate(path.tolist(), start=1):
            if self.keyboard.pressed():
                raise KeyboardInterrupt("stopped by a key; the arm holds its position")
            self._send(dict(zip(start, targets, strict=True)))
            time.sleep(max(0.0, begin + tick * self.duration / ticks - time.monotonic()))
        self._require_followed(change)

    def hold(self) -> None:
        """Tell the motors to stay where they are, so that they no longer press against what may be in their way.

        It needs the motors alone: a camera that has failed does not keep them moving. Motors that do not answer stay
        where they were last sent, which is never far.
        """
        if self._targets:
            with contextlib.suppress(Exception):
                bus = self.robot.bus
                bus.sync_write("Goal_Position", bus.sync_read("Present_Position", num_retry=RETRIES), num_retry=RETRIES)

    def confirming(self, console: Console) -> Callable[[Step], None]:
        """What asks a person before the first action of a control, and prints each."""
        if not self.keyboard.is_terminal:
            raise ForearmError("nobody can be asked whether the arm may move; add --yes if it may")
        asked = False

        def before_action(step: Step) -> None:
            nonlocal asked
            words = action_words(self.layout, step.plan.values[0])
            if not asked:
                console.print(
                    f"The arm is about to move: {words}. Any key stops it. Press y to go ahead.", markup=False
                )
                if self.keyboard.answer() != "y":
                    raise KeyboardInterrupt("the arm was not moved")
                asked = True
            console.print(words)

        return before_action

    def _look(self) -> dict[str, Any]:
        with _answering("be read from"):
            seen = self.robot.get_observation()
        if not np.isfinite([float(seen[key]) for key in self.robot.action_features]).all():
            raise ForearmError("the robot says that a joint stands at what is no number; see to its motors")
        if not self._targets:
            self._require_known_pose(seen)
            self._targets = {key: float(seen[key]) for key in self.robot.action_features}
        return seen

    def _send(self, targets: dict[str, float]) -> None:
        with _answering("be told to move"):
            self.robot.send_action(dict(targets))
        self._targets = targets

    def _disconnect(self) -> None:
        try:
            with _answering("be disconnected from"):
                self.robot.disconnect()
        finally:
            if self.robot.bus.is_connected:  # LeRobot refuses to disconnect an arm whose camera has failed
                with _answering("be disconnected from"):
                    self.robot.bus.disconnect(disable_torque=False)

    def _require_known_pose(self, seen: Mapping[str, Any]) -> None:
        """Refuse an arm that stands where the run's data never were, as one does that counts in another unit."""
        for key, joint in zip(self._keys, self.layout.joints, strict=True):
            margin = BEYOND * (joint.high - joint.low)
            if not joint.low - margin <= float(seen[key]) <= joint.high + margin:
                raise ForearmError(
                    f"{joint.name} stands at {float(seen[key]):.1f}, but in this run's data it went from "
                    f"{joint.low:.1f} to {joint.high:.1f} {joint.unit}; bring the arm there, or see whether its "
                    "calibration and its units are those of the recordings"
                )

    def _require_within_limits(self, start: Mapping[str, float], change: Mapping[str, float]) -> None:
        """Refuse to move a joint out of its bounds; back into them it may."""
        for key, joint in zip(self._keys, self.layout.joints, strict=True):
            by = change.get(key, 0.0)
            target = start.get(key, 0.0) + by
            if (by > 0 and target > joint.high) or (by < 0 and target < joint.low):
                raise ForearmError(
                    f"the next action would take {joint.name} to {target:.1f} {joint.unit}, beyond what the model "
                    f"knows, {joint.low:.1f} to {joint.high:.1f}; the arm holds its position"
                )

    def _require_followed(self, change: Mapping[str, float]) -> None:
        """Refuse to go on where a joint that was moved has stayed behind by more than a step."""
        seen = self._look()
        for key, by in change.items():
            behind = abs(seen[key] - self._targets[key])
            if by and behind > self.max_step:
                raise ForearmError(f"{key} is {behind:.1f} behind its target; see whether something is in its way")


def shrunk(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A camera's picture (H, W, 3) uint8 in another size (h, w), as ``forearm build`` makes it."""
    if picture.shape[:2] == size:
        return picture
    method = Interpolation.AREA if size[0] < picture.shape[0] or size[1] < picture.shape[1] else Interpolation.BICUBIC
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    return frame.reformat(width=size[1], height=size[0], format="rgb24", interpolation=method | EXACT).to_ndarray()


def so101(
    port: str,
    robot_id: str | None,
    cameras: Mapping[str, str],
    layout: Layout,
    max_step: float,
    *,
    release: bool = False,
) -> Robot:
    """LeRobot's SO-101 follower arm, not yet connected.

    Args:
        port: serial port.
        robot_id: under which its calibration is stored.
        cameras: name to index or path.
        layout: of the run that is to move it.
        max_step: LeRobot's own limit on how far a target may lie from where a joint is.
        release: whether motors go slack when it is disconnected.
    """
    for camera in layout.cameras:
        if camera.name not in cameras:
            raise ForearmError(
                f"this run looks through camera {camera.name}; name it with --camera {camera.name}=INDEX"
            )
    degrees = counts_in_degrees(layout)
    import_module("lerobot")
    module = None
    for name in ("so_follower", "so101_follower"):  # since 0.4.3, and before
        with contextlib.suppress(ModuleNotFoundError):
            module = module or import_module(f"lerobot.robots.{name}")
    if module is None:
        raise ForearmError("this LeRobot knows no SO-101; install it with: pip install 'lerobot[feetech]>=0.4'")
    opencv = import_module("lerobot.cameras.opencv")
    height, width = CAMERA_SIZE
    configs = {
        name: opencv.OpenCVCameraConfig(
            index_or_path=int(path) if path.isdigit() else Path(path), fps=RATE, width=width, height=height
        )
        for name, path in cameras.items()
    }
    config = module.SO101FollowerConfig(
        port=port,
        id=robot_id,
        cameras=configs,
        use_degrees=degrees,
        max_relative_target=max_step,
        disable_torque_on_disconnect=release,
    )
    try:
        return module.SO101Follower(config)
    except ModuleNotFoundError as error:
        raise ForearmError(f"LeRobot needs {error.name} for this arm; run: pip install 'lerobot[feetech]'") from error


def require_known_units(layout: Layout) -> None:
    """Refuse to move a robot by units that nobody has said."""
    guessed = [plain(joint.name) for joint in layout.joints if joint.unit_origin == "guessed"]
    if guessed:
        raise ForearmError(
            f"the units of {', '.join(guessed)} are only guessed in this run, so the arm is not moved; say them with "
            "forearm build --units, such as --units deg gripper=%, and train again"
        )


def counts_in_degrees(layout: Layout) -> bool:
    """Whether an SO-101 has to count in degrees to be moved by a run: the one place where units are admitted.

    LeRobot's arm counts all its joints in degrees, or all in percent of their ranges; its gripper in percent of its
    opening, always.
    """
    require_known_units(layout)
    units = {joint.unit for joint in layout.joints if plain(joint.name) != "gripper"}
    for joint in layout.joints:
        if joint.unit not in (("%",) if plain(joint.name) == "gripper" else ("deg", "%")) or len(units) > 1:
            units_of = ", ".join(f"{plain(each.name)} {each.unit or 'without a unit'}" for each in layout.joints)
            raise ForearmError(
                "an SO-101 counts its joints in deg, or all in %, and its gripper in %; this run has "
                f"{units_of}, so the arm is not moved"
            )
    return "deg" in units


@contextlib.contextmanager
def _answering(what: str) -> Iterator[None]:
    """Say in one line what could not be done with the robot, whatever its drivers raise."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ForearmError(f"the robot could not {what}: {reason}; see to its power and its cables") from error
