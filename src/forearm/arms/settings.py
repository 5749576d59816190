"""Which real arm, and the limits within which it is moved: the same for every command. Imports no driver."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from forearm.base.errors import ForearmError
from forearm.canvas.motion import RAMP

if TYPE_CHECKING:
    from forearm.arms.arm import Health

SLOW = 30.0
"""Units a second, the mean speed of moves to a pose."""
SHORTEST = 0.5
"""Seconds that a move to a pose takes at least."""
STEEPEST = 1.5
"""Greatest slope of the ramp of `forearm.canvas.trajectory`, in those of a straight one."""


@dataclass(frozen=True)
class RobotSettings:
    """Which real arm, and how it may be moved."""

    robot: str | None = None
    """Use a real SO-101 at this serial port, such as /dev/ttyACM0. It moves."""
    robot_id: str | None = None
    """The name under which lerobot-calibrate stored the arm's calibration."""
    camera: dict[str, str] = field(default_factory=dict)
    """The robot's cameras by index or path, such as base 0 wrist /dev/video2."""
    max_step: float = 15.0
    """Most that an action may move a joint, in the joint's unit."""
    max_speed: float = 120.0
    """Fastest that a joint may move: units a second."""
    max_load: float = 90.0
    """Most load of a servo, in percent of its torque; a moment above it is allowed."""
    max_temperature: float = 60.0
    """Hottest that a servo may be, degrees Celsius."""
    home: dict[str, float] = field(default_factory=dict)
    """The home pose, such as shoulder_pan 0 elbow_flex 30; joints that are not named, and all by default, go back to
    where the arm stood when it was connected."""
    release: bool = False
    """Let the robot go slack at the end, instead of holding its position; support the arm!"""
    dry_run: bool = False
    """Connect to the robot and do everything else, but send its motors nothing."""
    yes: bool = False
    """Move the robot without asking first."""

    def require_sound(self) -> None:
        """Refuse limits that are none.

        Raises:
            ForearmError: says which.
        """
        for name in ("max_step", "max_speed", "max_load", "max_temperature"):
            if not 0 < getattr(self, name) <= 1000:
                raise ForearmError(
                    f"{name.replace('_', ' ')} is {getattr(self, name):g}; choose one above 0 and up to 1000"
                )
        if any(not np.isfinite(value) for value in self.home.values()):
            raise ForearmError("the home pose is not a number somewhere; give each joint a position in its unit")

    def faults(self, health: "Health") -> list[str]:
        """What of a health forbids motion, a line each; a load does so only where it lasts."""
        return [
            f"{joint} is {hot:.0f} °C hot, and {self.max_temperature:g} °C are allowed; let it cool down"
            for joint, hot in health.temperature.items()
            if hot > self.max_temperature
        ]

    def overloaded(self, health: "Health") -> dict[str, float]:
        """The joints whose load is above the limit."""
        return {joint: load for joint, load in health.load.items() if load > self.max_load}


@dataclass(frozen=True)
class FilmingSettings:
    """How single actions are recorded with a real arm, beside which ones."""

    units: Literal["deg", "%"] = "deg"
    """What the robot's joints count in: degrees, or percent of their ranges; the gripper in percent, always. It is
    stored with the recording."""
    camera_size: tuple[int, int] = (480, 640)
    """Height and width of the cameras' pictures."""
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Between which positions a joint is moved, such as shoulder_pan -30 30; by default two moves to either side of
    the home pose."""
    settling: float = 0.6
    """Seconds of rest before an action."""
    back_to_back: bool = False
    """Begin where the last action ended, as long as an action that is missing has room there, instead of moving to
    a start pose before each."""
    free_play: bool = False
    """Record no single actions: in every action all --joints move at once, each by any amount up to --position-delta,
    within the ranges."""
    drift_check: int = 30
    """After so many episodes, and at the end of each session, the arm goes home, and the recording stops where joints
    or cameras are no longer where they were; 0 for never."""

    def require_sound(self) -> None:
        """Refuse settings that nothing can be recorded with.

        Raises:
            ForearmError: says which.
        """
        if not 0 <= self.settling <= 60:
            raise ForearmError(f"settling is {self.settling:g}; choose from 0 to 60 seconds")
        if self.drift_check < 0:
            raise ForearmError(f"drift check is {self.drift_check}; choose how many actions, or 0 for never")
        if any(side % 2 or not 16 <= side <= 4096 for side in self.camera_size):
            raise ForearmError(f"camera size is {self.camera_size}; choose even numbers of pixels from 16 to 4096")
        for joint, (low, high) in self.ranges.items():
            if not (np.isfinite([low, high]).all() and low < high):
                raise ForearmError(f"the range of {joint} is {low:g} to {high:g}; give its lower end first")


def top_speed(change: np.ndarray, seconds: float) -> np.ndarray:
    """The fastest that each target moves on the ramp of an action, (J,) in units a second."""
    return np.abs(change) * STEEPEST / (RAMP * seconds)


def slow_seconds(change: np.ndarray) -> float:
    """How long a slow move of the targets by ``change`` (J,) takes."""
    return max(SHORTEST, float(np.abs(change).max(initial=0.0)) / SLOW)
