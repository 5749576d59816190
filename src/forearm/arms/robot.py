"""A real SO-101, through LeRobot, as a layout sees and moves it."""

import contextlib
from collections.abc import Iterator, Mapping

import numpy as np
from rich.console import Console

from forearm.arms.arm import Health
from forearm.arms.driver import Limit, RobotDriver
from forearm.arms.filming import carry_out, film
from forearm.arms.keyboard import Keyboard
from forearm.arms.lerobot import RATE, Robot, cameras_of, counts_in_degrees, require_known_units, so101
from forearm.arms.pictures import observed
from forearm.arms.protocol import require_whole_frames
from forearm.arms.settings import RobotSettings
from forearm.base.errors import ForearmError
from forearm.canvas import Action, Layout, Observation, action_seconds, driven_joints, plain, target_changes
from forearm.recordings import EpisodeData, RecordingSpec


def open_robot_arm(
    layout: Layout,
    settings: RobotSettings,
    *,
    duration: float | None = None,
    keyboard: Keyboard | None = None,
    console: Console | None = None,
) -> "RobotArm":
    """The SO-101 that a person named, for a run of a layout; not yet connected.

    Args:
        layout: of the run.
        settings: port, cameras and limits.
        duration: seconds of an action, for layouts that do not say it.
        keyboard: any key of it stops the arm.
        console: where a person is asked whether the arm may move.

    Raises:
        ForearmError: a camera is missing, units are not an SO-101's or guessed, or actions are too large.
    """
    assert settings.robot is not None
    cameras, degrees = cameras_of(layout, settings.camera), counts_in_degrees(layout)
    robot = so101(
        *(settings.robot, settings.robot_id, cameras),
        degrees=degrees,
        max_step=settings.max_step,
        release=settings.release,
    )
    return RobotArm(robot, layout, duration=duration, keyboard=keyboard, settings=settings, console=console)


def limits_of(layout: Layout) -> dict[str, Limit]:
    """How far a run may move joints, by plain name: as far as they went in its data."""
    return {plain(joint.name): Limit(joint.low, joint.high, joint.unit) for joint in layout.joints}


class RobotArm:
    """A robot seen and moved as a layout says: a value of 1 moves a joint's target by the dimension's scale.

    Joints that do not act are held where they were when the robot was first looked at.

    Args:
        robot: of LeRobot.
        layout: the model's; its joints' bounds are the limits within which joints are moved.
        duration: seconds of an action; those of the layout by default.
        settings: how it may be moved.
        keyboard: any key of it stops the arm.
        console: where a person is asked whether the arm may move.

    Raises:
        ForearmError: units are guessed, the robot lacks a camera or joint of the layout, or actions are too large.
    """

    def __init__(
        self,
        robot: Robot,
        layout: Layout,
        *,
        duration: float | None = None,
        settings: RobotSettings | None = None,
        keyboard: Keyboard | None = None,
        console: Console | None = None,
    ):
        require_known_units(layout)
        self.layout, self.duration = layout, action_seconds(layout, duration)
        limits = limits_of(layout)
        self.driver = RobotDriver(robot, settings, limits=limits, keyboard=keyboard, console=console)
        for what, names, known in (
            ("camera", [camera.name for camera in layout.cameras], robot.cameras),
            ("joint", [*limits, *driven_joints(layout)], self.driver.joints),
        ):
            for name in names:
                if name not in known:
                    raise ForearmError(f"the robot has no {what} {name!r} as this run has; it has {', '.join(known)}")
        self._places = [self.driver.joints.index(plain(name)) for name in layout.joint_names]
        most = self.driver.settings.max_step
        for action in layout.actions:
            if action.scale > most:
                raise ForearmError(
                    f"an action of this run moves {action.name} by {action.scale:g} {action.unit}, more than a step of "
                    f"{most:g}; allow it with --max-step, or use a run with smaller actions"
                )

    @contextlib.contextmanager
    def connected(self) -> Iterator["RobotArm"]:
        """Connect for the length of a block; whatever ends the block early, the robot then holds its position."""
        with self.driver.connected():
            yield self

    def observe(self) -> Observation:
        seen = self.driver.look()
        return observed(self.layout, seen.pictures, seen.joints[self._places])

    def step(self, action: Action) -> None:
        """Carry out an action within the limits, unless a key stops it.

        Raises:
            ForearmError: it is no number or would leave the limits, or a joint does not follow.
            KeyboardInterrupt: a key was pressed.
        """
        carry_out(self.driver, self._change(action), self.duration, max(1, round(self.duration * RATE)))

    def film(self, action: Action, fps: int) -> EpisodeData:
        """Carry out an action as `step` does, filmed as the cameras show it.

        Raises:
            ForearmError: as `step`, or an action is no whole number of frames.
        """
        require_whole_frames(self.duration, fps)
        return film(self.driver, [self._change(action)], duration=self.duration, fps=fps)

    def spec(self, fps: int) -> RecordingSpec:
        """Of recordings of what `film` returns."""
        units = {plain(joint.name): joint.unit for joint in self.layout.joints}
        return self.driver.spec(fps, degrees="deg" in units.values())

    def move_to(self, pose: Mapping[str, float]) -> None:
        """Move joints slowly, by plain name, to positions in their units; see `RobotDriver.move_to`."""
        self.driver.move_to(pose)

    def home(self) -> None:
        """Move slowly to the home pose."""
        self.driver.home()

    def hold(self) -> None:
        """Stay where it is, stiff; it needs the motors alone."""
        self.driver.hold()

    def relax(self) -> None:
        """Let the motors go slack, until `hold`; the arm falls."""
        self.driver.relax()

    def health(self) -> Health:
        """Load, temperature and voltage of every servo."""
        return self.driver.health()

    def _change(self, action: Action) -> np.ndarray:
        """By how much an action changes the targets of all joints, (J,)."""
        if not np.isfinite(action.values).all():
            raise ForearmError("the next action is not a number; the arm holds its position")
        driver, targets = self.driver, self.driver.targets()
        there = driver.positions() if self.layout.action_is == "target" else targets
        ahead = dict(zip(driver.joints, (targets - there).tolist(), strict=True))
        changes = target_changes(self.layout, np.clip(action.values, -1, 1), ahead)
        return np.array([changes.get(joint, 0.0) for joint in driver.joints], np.float32)
