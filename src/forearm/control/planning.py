"""From a run, a goal and a start to actions."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from rich.console import Console

from forearm.base.devices import device_named
from forearm.base.errors import ForearmError
from forearm.base.files import require_absent, writing_folder
from forearm.batch import Predictor, present
from forearm.canvas import Layout, Observation
from forearm.control import (
    CEM,
    Arm,
    EpisodeLog,
    Goal,
    JointGoal,
    PictureGoal,
    Planner,
    RegionGoal,
    TreeSearch,
    control,
    planner_for,
)
from forearm.control.episode_log import save_episode_log
from forearm.control.loop import Step
from forearm.environment import ImaginedEnvironment, RecordedEnvironment
from forearm.training.run import Run
from forearm.transitions.store import TransitionSet


@dataclass(frozen=True)
class PlanSettings:
    """A goal (one of --joints, --picture, --like, --region), a start (one of --start, --simulator, --robot), and how to
    look for actions."""

    joints: dict[str, float] = field(default_factory=dict)
    """Joint positions to reach, in the joints' units, such as shoulder_pan 30."""
    picture: tuple[Path, ...] = ()
    """Pictures to see, a PNG file for each camera, in the run's order and size."""
    mask: tuple[Path, ...] = ()
    """What of each --picture counts: a PNG file for each camera, black where it does not matter."""
    like: int | None = None
    """Row of the data whose first frame is to be seen."""
    region: tuple[str, int, int, int, int, Path] | None = None
    """CAMERA X Y WIDTH HEIGHT FILE: somewhere in that box of the camera's picture the crop in the file is to appear."""
    start: int | None = None
    """Row of the data to start from, in the model's imagination alone."""
    simulator: int | None = None
    """Drive a simulated SO-101; the number decides its scene and its pose."""
    robot: str | None = None
    """Drive a real SO-101 at this serial port, such as /dev/ttyACM0. It moves."""
    data: Path | None = None
    """The dataset that --start and --like look in; that of the run's training by default."""
    planner: Literal["auto", "tree", "cem"] = "auto"
    """tree: sequences of full moves; cem: the cross-entropy method, for values of any size; auto: what suits."""
    depth: int = 3
    """Most actions that are looked ahead."""
    width: int | None = None
    """For tree: go on from so many best sequences alone; by default from all if they are few, else from 4."""
    steps: int = 12
    """Most actions that are taken."""
    action_duration: float | None = None
    """Seconds of an action, for runs that do not say it themselves; by default as in the run's data."""
    robot_id: str | None = None
    """The name under which lerobot-calibrate stored the arm's calibration."""
    camera: dict[str, str] = field(default_factory=dict)
    """The robot's cameras by index or path, such as base 0 wrist /dev/video2."""
    max_step: float = 15.0
    """Most that an action may move a joint of the robot, in the joint's unit; a run with larger ones is refused."""
    release: bool = False
    """Let the robot go slack at the end, instead of holding its position; support the arm!"""
    yes: bool = False
    """Move the robot without asking first."""


def plan(
    run: Run | Path | str,
    settings: PlanSettings,
    *,
    out: Path | None = None,
    device: str = "auto",
    console: Console | None = None,
) -> EpisodeLog:
    """Plan with what a run foresees, and act where there is an arm.

    Args:
        run: the run, or its folder.
        settings: goal, start, and how to look for actions.
        out: a folder to write the episode to; it must not exist.
        device: where to predict.
        console: where it is asked whether a robot may move; standard error by default.

    Returns:
        what was seen, foreseen and done at each step.

    Raises:
        ForearmError: the run has no model, goal or start are missing, two, or do not fit it, the arm cannot be used.
    """
    if out is not None:
        require_absent(out)
    if settings.steps < 1:
        raise ForearmError(f"steps is {settings.steps}; choose at least 1")
    console = console or Console(stderr=True)
    place, run = device_named(device), Run.open(run)
    layout = run.layout()
    _one_of(settings, "goal", ("joints", "picture", "like", "region"))
    _one_of(settings, "start", ("start", "simulator", "robot"))
    goal = _goal(run, layout, settings)
    planner = _planner(layout, settings)
    model = run.load("best", place)
    with writing_folder(out) if out is not None else contextlib.nullcontext() as folder:
        with _arm(run, layout, settings, model, place, console) as (arm, before_action):
            episode = control(
                *(arm, model, goal, planner),
                farther=planner.farther() if isinstance(planner, TreeSearch) else None,
                steps=settings.steps,
                device=place,
                before_action=before_action,
            )
        if folder is not None:
            save_episode_log(folder, episode, goal, {"run": str(run.path), "goal": _words(settings)})
    return episode


def _one_of(settings: PlanSettings, what: str, names: tuple[str, ...]) -> None:
    given = [f"--{name}" for name in names if getattr(settings, name) not in (None, (), {})]
    if len(given) != 1:
        choice = ", ".join(f"--{name}" for name in names)
        found = f"{' and '.join(given)} are two" if given else "none is given"
        raise ForearmError(f"plan needs one {what}, {choice}; {found}")


def _words(settings: PlanSettings) -> dict[str, Any]:
    """The goal as it was asked for, for the episode."""
    asked = {name: getattr(settings, name) for name in ("picture", "mask", "like", "region")}
    asked["joints"] = tuple(f"{name}={value:g}" for name, value in settings.joints.items())
    return {
        name: [str(part) for part in value] if isinstance(value, tuple) else value
        for name, value in asked.items()
        if value not in (None, (), {})
    }


def _goal(run: Run, layout: Layout, settings: PlanSettings) -> Goal:
    if settings.mask and not settings.picture:
        raise ForearmError("--mask says what of each --picture counts; give --picture too")
    if settings.joints:
        return JointGoal.named(layout, settings.joints)
    if settings.picture:
        masks = [np.asarray(_picture(path).any(axis=2)) for path in settings.mask] or None
        return PictureGoal.of(layout, [_picture(path) for path in settings.picture], masks)
    if settings.like is not None:
        return PictureGoal.of(layout, layout.split(_recorded(run, layout, settings, settings.like).picture))
    assert settings.region is not None
    camera, *box, path = settings.region
    return RegionGoal.of(layout, camera, tuple(box), _picture(path))  # type: ignore[arg-type]


def _picture(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or "it is no picture"
        raise ForearmError(f"the picture {path} cannot be read: {reason}") from error


def _recorded(run: Run, layout: Layout, settings: PlanSettings, row: int) -> Observation:
    """What the data show before the last action of a row."""
    data = TransitionSet(settings.data or Path(run.config()["data"]["path"])).with_layout(layout, f"run {run.name}")
    if not 0 <= row < len(data):
        raise ForearmError(f"{data.path} has no row {row}; it has rows 0 to {len(data) - 1}")
    return RecordedEnvironment(data).begin(row)


def _planner(layout: Layout, settings: PlanSettings) -> Planner:
    if settings.planner == "cem":
        return CEM(settings.depth)
    if settings.planner == "tree" or settings.width is not None:
        return TreeSearch(settings.depth, settings.width)
    return planner_for(layout, settings.depth)


@contextlib.contextmanager
def _arm(
    run: Run, layout: Layout, settings: PlanSettings, model: Predictor, device: torch.device, console: Console
) -> Iterator[tuple[Arm, Any]]:
    """The arm to control, and what is to be asked before each action."""

    def nothing(step: Step) -> None:
        pass

    if settings.start is not None:
        imagined = ImaginedEnvironment(model, device)
        imagined.reset(present(layout, _recorded(run, layout, settings, settings.start)))
        yield imagined, nothing
    elif settings.simulator is not None:
        from forearm.sim.arm import SimulatedArm

        scene = SimulatedArm.in_scene(layout, settings.simulator, settings.action_duration)
        with contextlib.closing(scene) as simulated:
            simulated.settle(0, np.random.default_rng([settings.simulator, 1]))
            yield simulated, nothing
    elif settings.robot is not None:
        from forearm.control.robot import CONNECTING, RobotArm, so101

        port, camera, max_step = settings.robot, settings.camera, settings.max_step
        robot = so101(port, settings.robot_id, camera, layout, max_step, release=settings.release)
        arm = RobotArm(robot, layout, duration=settings.action_duration, max_step=max_step)
        before_action = nothing if settings.yes else arm.confirming(console)
        console.print(CONNECTING)
        with arm.connected():
            yield arm, before_action
