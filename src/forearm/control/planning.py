"""From a run, a goal and a start to actions."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from forearm.base.devices import device_named
from forearm.base.errors import ForearmError
from forearm.base.files import read_bytes, require_absent, writing_folder
from forearm.batch import Predictor, present
from forearm.canvas import Layout, Observation
from forearm.control.episode_log import save_episode_log
from forearm.control.goals import Goal, JointGoal, PictureGoal, RegionGoal
from forearm.control.loop import Arm, EpisodeLog, Step, control
from forearm.control.planners import CEM, TreeSearch, planner_for
from forearm.control.settings import PlanSettings
from forearm.environment import ImaginedEnvironment, RecordedEnvironment
from forearm.recordings.images import decoded_image
from forearm.training.run import Run


def plan(
    run: Run | Path | str,
    settings: PlanSettings,
    *,
    out: Path | None = None,
    device: str = "auto",
    console: Console | None = None,
    on_step: Callable[[EpisodeLog], None] = lambda episode: None,
    watch: Callable[[int, int | None], None] = lambda done, most: None,
) -> EpisodeLog:
    """Plan with what a run foresees, and act where there is an arm.

    Args:
        run: the run, or its folder.
        settings: goal, start, and how to look for actions.
        out: a folder to write the episode to; it must not exist.
        device: where to predict.
        console: where it is asked whether a robot may move; standard error by default.
        on_step: called after each look, with everything until then.
        watch: called with how many predictions were made since the last look, of how many; None where that is not
            known.

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
    target, run = device_named(device), Run.open(run)
    layout = run.layout()
    _one_of(settings, "goal", ("joints", "picture", "like", "region"))
    _one_of(settings, "start", ("start", "simulator", "robot"))
    goal = _goal(run, layout, settings)
    planner = _planner(layout, settings)
    most = planner.most_predictions(layout)
    model = run.load("best", target)
    with writing_folder(out) if out is not None else contextlib.nullcontext() as folder:
        with _arm(run, layout, settings, model, target, console) as (arm, before_action):
            episode = control(
                *(arm, model, goal, planner),
                farther=planner.farther() if isinstance(planner, TreeSearch) else None,
                steps=settings.steps,
                device=target,
                before_action=before_action,
                on_step=on_step,
                watch=lambda done: watch(done, most if done <= most else None),
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
        return PictureGoal.of(layout, layout.split(_recorded(run, settings, settings.like).picture))
    assert settings.region is not None
    camera, *box, path = settings.region
    return RegionGoal.of(layout, camera, tuple(box), _picture(path))  # type: ignore[arg-type]


def _picture(path: Path) -> np.ndarray:
    try:
        return decoded_image(read_bytes(path), "it", None)
    except ForearmError as error:
        raise ForearmError(f"the picture {path} cannot be read: {error}") from error


def _recorded(run: Run, settings: PlanSettings, row: int) -> Observation:
    """What the data show before the last action of a row."""
    data = run.data(settings.data)
    data.require_row(row)
    return RecordedEnvironment(data).begin(row)


def _planner(layout: Layout, settings: PlanSettings) -> TreeSearch | CEM:
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
        imagined.reset(present(layout, _recorded(run, settings, settings.start)))
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
