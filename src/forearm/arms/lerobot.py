"""LeRobot's interface of a robot, and its SO-101 as a run or a recording needs it.

Written against ``lerobot.robots.so_follower`` of LeRobot 0.4 to 0.6.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from forearm.base.errors import ForearmError
from forearm.canvas import Layout, plain

CAMERA_SIZE = (480, 640)
"""Height and width that a camera is asked for where nobody knows another."""
RETRIES = 3
"""How often the motors are asked again."""
RATE = 30
"""Pictures a second that a camera is asked for where nobody knows another, and targets a second."""


class MotorsBus(Protocol):
    """What is used of ``lerobot.motors.MotorsBus``, which reaches the motors without the cameras."""

    @property
    def is_connected(self) -> bool: ...
    @property
    def motors(self) -> Mapping[str, Any]:
        """Plain joint name to a motor, which has an ``id``."""
        ...

    def connect(self, handshake: bool = True) -> None: ...
    def ping(self, motor: str, num_retry: int = 0) -> int | None: ...
    def sync_read(self, data_name: str, motors: list[str] | None = None, *, num_retry: int = 0) -> dict[str, float]: ...
    def sync_write(self, data_name: str, values: dict[str, float], *, num_retry: int = 0) -> None: ...
    def enable_torque(self, motors: list[str] | None = None, num_retry: int = 0) -> None: ...
    def disable_torque(self, motors: list[str] | None = None, num_retry: int = 0) -> None: ...
    def disconnect(self, disable_torque: bool = True) -> None: ...


class RobotCamera(Protocol):
    """What is used of ``lerobot.cameras.Camera``."""

    @property
    def is_connected(self) -> bool: ...
    def connect(self) -> None: ...
    def read_latest(self) -> Any: ...
    def disconnect(self) -> None: ...


class Robot(Protocol):
    """What is used of ``lerobot.robots.Robot``."""

    @property
    def bus(self) -> MotorsBus: ...
    @property
    def cameras(self) -> Mapping[str, RobotCamera]:
        """By plain name."""
        ...

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


@dataclass(frozen=True)
class CameraSettings:
    """A camera that OpenCV opens."""

    path: str
    """Its index, or the path of its device."""
    height: int = CAMERA_SIZE[0]
    """Of its pictures, pixels."""
    width: int = CAMERA_SIZE[1]
    """Of its pictures, pixels."""
    fps: int = RATE
    """Pictures a second."""


def cameras_of(layout: Layout, paths: Mapping[str, str]) -> dict[str, CameraSettings]:
    """Cameras that show what a run looks through, in the size and at the rate of its recordings.

    Args:
        layout: of the run.
        paths: plain name of a camera to its index or path.

    Raises:
        ForearmError: one is missing.
    """
    found = {name: CameraSettings(path) for name, path in paths.items()}
    for camera in layout.cameras:
        if camera.name not in found:
            raise ForearmError(
                f"this run looks through camera {camera.name}; name it with --camera {camera.name} INDEX"
            )
        height, width = camera.recorded_size or CAMERA_SIZE
        found[camera.name] = CameraSettings(paths[camera.name], height, width, round(camera.fps or RATE))
    return found


def so101(
    port: str,
    robot_id: str | None,
    cameras: Mapping[str, CameraSettings],
    *,
    degrees: bool = True,
    max_step: float | None = None,
    release: bool = False,
) -> Robot:
    """LeRobot's SO-101 follower arm, not yet connected.

    Args:
        port: serial port.
        robot_id: under which its calibration is stored.
        cameras: by plain name.
        degrees: whether joints count in degrees, else in percent of their ranges.
        max_step: LeRobot's own limit on how far a target may lie from where a joint is.
        release: whether motors go slack when it is disconnected.

    Raises:
        ForearmError: this LeRobot knows no such arm, or lacks what it needs for it.
        ModuleNotFoundError: LeRobot is missing.
    """
    import_module("lerobot")
    module = None
    for name in ("so_follower", "so101_follower"):  # since 0.4.3, and before
        with contextlib.suppress(ModuleNotFoundError):
            module = module or import_module(f"lerobot.robots.{name}")
    if module is None:
        raise ForearmError("this LeRobot knows no SO-101; install it with: pip install 'lerobot[feetech]>=0.4'")
    opencv = import_module("lerobot.cameras.opencv")
    configs = {
        name: opencv.OpenCVCameraConfig(
            index_or_path=int(camera.path) if camera.path.isdigit() else Path(camera.path),
            fps=camera.fps,
            width=camera.width,
            height=camera.height,
        )
        for name, camera in cameras.items()
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


def forget_late_answers(bus: MotorsBus) -> None:
    """Have a bus empty its port before each question.

    LeRobot's drivers do not. So an answer that came too late would be taken for that to the next question, and a
    temperature for a position, to which a motor is then sent.
    """
    handler = getattr(bus, "port_handler", None)
    if handler is not None:

        def empty() -> None:
            try:
                handler.ser.flush()
                handler.ser.reset_input_buffer()
            except Exception:
                handler.is_using = False  # else "Port is in use!" would hide what happened
                raise

        handler.clearPort = empty  # which the drivers call before they send


def reopen(bus: MotorsBus) -> None:
    """Open a bus's port anew; motors stay as they are."""
    if bus.is_connected:
        bus.disconnect(disable_torque=False)
    if handler := getattr(bus, "port_handler", None):
        handler.is_using = False  # an exchange that failed midway would block it for good
    bus.connect()


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


def is_calibrated(robot: Robot) -> bool:
    """Whether the motors hold the calibration that is stored for the robot's id.

    LeRobot asks each register once, and now and then a packet is lost.

    Raises:
        ForearmError: a motor does not answer.
    """
    for _ in range(RETRIES):
        with contextlib.suppress(ConnectionError, RuntimeError):
            return robot.is_calibrated
    with answering("be asked for its calibration"):
        return robot.is_calibrated


@contextlib.contextmanager
def answering(what: str) -> Iterator[None]:
    """Say in one line what could not be done with the robot, whatever its drivers raise."""
    try:
        yield
    except ForearmError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise ForearmError(f"the robot could not {what}: {reason}; see to its power and its cables") from error
