"""A real SO-101 through LeRobot's robot interface: limits, a smooth ramp, a question before it moves, a key that stops.

Nothing here moves the arm by more than a step that was allowed, or a joint to where the model has never seen it. On
Ctrl-C, another key, or any error the arm is told to hold the position that it has.
"""

import contextlib
import select
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np
from av.video.reformatter import Interpolation
from rich.console import Console

from forearm.canvas import Layout, driven_joints, plain, target_changes, trajectory
from forearm.control.loop import Observation, Step
from forearm.errors import ForearmError
from forearm.media.words import action_words
from forearm.recordings.video import EXACT

RATE = 30
"""Targets a second."""
CAMERA_SIZE = (480, 640)
"""Height and width that a camera is asked for."""


class Robot(Protocol):
    """What is used of ``lerobot.robots.Robot``."""

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
    """A robot seen and moved as a layout says: an amount of 1 moves a joint's target by the entry's scale.

    Joints that do not act are held where they were when the robot was first looked at.

    Args:
        robot: of LeRobot.
        layout: the model's; its joints' bounds are the limits within which joints are moved.
        duration: seconds of an action, those of the recordings.
        max_step: most that an action may move a joint, in its unit.
        pressed: whether the key that stops has been pressed.

    Raises:
        ForearmError: the robot lacks a camera, joint or action of the layout, or an action is larger than allowed.
    """

    def __init__(
        self,
        robot: Robot,
        layout: Layout,
        *,
        duration: float = 0.5,
        max_step: float = 15.0,
        pressed: Callable[[], bool] | None = None,
    ):
        if not 0 < duration <= 60:
            raise ForearmError(f"action duration is {duration:g}; choose one above 0 and up to 60 seconds")
        self.robot, self.layout, self.duration, self.max_step = robot, layout, duration, max_step
        self._pressed = pressed
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
        for entry in layout.actions:
            if entry.scale > max_step:
                raise ForearmError(
                    f"an action of this run moves {entry.name} by {entry.scale:g} {entry.unit}, more than a step of "
                    f"{max_step:g}; allow it with --max-step, or use a run with smaller actions"
                )

    @contextlib.contextmanager
    def connected(self) -> Iterator["RobotArm"]:
        """Connect for the length of a block; whatever ends the block early, the robot is told to hold its position.

        Raises:
            ForearmError: the robot does not answer or is not calibrated.
        """
        with _answering("be connected to"):
            self.robot.connect(calibrate=False)
        try:
            if not self.robot.is_calibrated:
                raise ForearmError("the robot is not calibrated; run lerobot-calibrate first, with the same id")
            yield self
        except BaseException as error:
            self.hold()
            if isinstance(error, KeyboardInterrupt) and not error.args:
                raise KeyboardInterrupt("stopped; the arm holds its position") from None
            raise
        finally:
            with _answering("be disconnected from"):
                self.robot.disconnect()

    def observe(self) -> Observation:
        seen = self._look()
        cameras = self.layout.cameras
        pictures = [shrunk(np.asarray(seen[camera.name]), (camera.height, camera.width)) for camera in cameras]
        return Observation(pictures, np.array([seen[key] for key in self._keys], np.float32))

    def act(self, amounts: np.ndarray, entry: int) -> None:
        start, change = dict(self._targets), dict.fromkeys(self._targets, 0.0)
        for name, by in target_changes(self.layout, np.clip(amounts, -1, 1)).items():
            change[f"{name}.pos"] += by
        self._require_within_limits(start, change)
        ticks = max(1, round(self.duration * RATE))
        path = trajectory(np.array(list(start.values())), np.array(list(change.values())), ticks)
        begin = time.monotonic()
        with stop_key() if self._pressed is None else contextlib.nullcontext(self._pressed) as pressed:
            for tick, targets in enumerate(path.tolist(), start=1):
                if pressed():
                    raise KeyboardInterrupt("stopped by a key; the arm holds its position")
                self._send(dict(zip(start, targets, strict=True)))
                time.sleep(max(0.0, begin + tick * self.duration / ticks - time.monotonic()))
        self._require_followed(change)

    def hold(self) -> None:
        """Tell the robot to stay where it is, so that it no longer presses against what may be in its way.

        One that does not answer stays where it was last sent, which is never far.
        """
        if self._targets and self.robot.is_connected:
            with contextlib.suppress(ForearmError):
                seen = self._look()
                self._send({key: float(seen[key]) for key in self._targets})

    def confirming(self, console: Console) -> Callable[[Step], None]:
        """What asks a person before the first action of a control, and tells of each."""
        asked = False

        def before_action(step: Step) -> None:
            nonlocal asked
            words = action_words(self.layout, step.plan.amounts[0])
            if not asked:
                if not sys.stdin.isatty():
                    raise ForearmError("nobody can be asked whether the arm may move; add --yes if it may")
                answer = console.input(f"The arm is about to move: {words}. Any key stops it. Go ahead? [y/N] ")
                if answer.strip().lower() not in ("y", "yes"):
                    raise KeyboardInterrupt("the arm was not moved")
                asked = True
            console.print(words)

        return before_action

    def _look(self) -> dict[str, Any]:
        with _answering("be read from"):
            seen = self.robot.get_observation()
        if not self._targets:
            self._targets = {key: float(seen[key]) for key in self.robot.action_features}
        return seen

    def _send(self, targets: dict[str, float]) -> None:
        with _answering("be told to move"):
            self.robot.send_action(dict(targets))
        self._targets = targets

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


@contextlib.contextmanager
def stop_key() -> Iterator[Callable[[], bool]]:
    """Listen for a key while a block runs; where there is no terminal, none is ever pressed."""
    if not sys.stdin.isatty():
        yield lambda: False
    elif sys.platform == "win32":
        import msvcrt

        yield msvcrt.kbhit
    else:
        import termios
        import tty

        settings = termios.tcgetattr(sys.stdin)
        try:
            tty.setcbreak(sys.stdin)
            yield lambda: bool(select.select([sys.stdin], [], [], 0)[0])
        finally:
            termios.tcsetattr(sys.stdin, termios.TCSAFLUSH, settings)  # and forget the key


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
        layout: whose joints tell whether the arm counts in degrees.
        max_step: LeRobot's own limit on how far a target may lie from where a joint is.
        release: whether motors go slack when it is disconnected.

    Raises:
        ModuleNotFoundError: LeRobot is not installed.
        ForearmError: what it needs for this arm is not, or a camera of the layout is missing.
    """
    for camera in layout.cameras:
        if camera.name not in cameras:
            raise ForearmError(
                f"this run looks through camera {camera.name}; name it with --camera {camera.name}=INDEX"
            )
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
            index_or_path=int(place) if place.isdigit() else Path(place), fps=RATE, width=width, height=height
        )
        for name, place in cameras.items()
    }
    config = module.SO101FollowerConfig(
        port=port,
        id=robot_id,
        cameras=configs,
        use_degrees=any(joint.unit == "deg" for joint in layout.joints),
        max_relative_target=max_step,
        disable_torque_on_disconnect=release,
    )
    try:
        return module.SO101Follower(config)
    except ModuleNotFoundError as error:
        raise ForearmError(f"LeRobot needs {error.name} for this arm; run: pip install 'lerobot[feetech]'") from error


@contextlib.contextmanager
def _answering(what: str) -> Iterator[None]:
    """Say in one line what could not be done with the robot, whatever its drivers raise."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ForearmError(f"the robot could not {what}: {reason}; see to its power and its cables") from error
