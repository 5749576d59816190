"""From a run, a goal and a start to actions."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from rich.console import Console

from forearm.base.devices import device_named
from forearm.base.errors import ForearmError
from forearm.base.files import read_bytes, require_absent, writing_folder
from forearm.batch import Predictor, present
from forearm.canvas import Layout, Observation, driven_joints
from forearm.control.carries import CarrySearch
from forearm.control.episode_log import save_episode_log
from forearm.control.goals import (
    Goal,
    JointGoal,
    KeepingGoal,
    ObjectGoal,
    PictureGoal,
    RegionGoal,
    camera_number,
    inner,
)
from forearm.control.loop import Arm, EpisodeLog, control
from forearm.control.planners import CEM, Planner, TreeSearch, planner_for
from forearm.control.settings import PlanSettings
from forearm.control.strokes import StrokeSearch
from forearm.control.variations import VariationSearch
from forearm.control.waypoints import WaypointSearch
from forearm.environment import ImaginedEnvironment, RecordedEnvironment
from forearm.recordings.images import decoded_image
from forearm.training.run import Run

if TYPE_CHECKING:
    from forearm.sim.arm import SimulatedArm  # imports MuJoCo

GOALS = ("joints", "picture", "like", "region", "object")
NOT_GIVEN: tuple[Any, ...] = (None, (), {})
STEPS, LONG = 12, 30
"""Most actions that are taken, and of strokes, carries or a way around something."""
SHOWN = 0.7
"""Correlation with a part of the present picture from which on it shows the crop of an object."""
POINTED = 0.06
"""Half the side of the box around a point on an object, in widths of the picture."""


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
    for name in ("steps", "depth"):
        if (number := getattr(settings, name)) is not None and number < 1:
            raise ForearmError(f"{name} is {number}; choose at least 1")
    console = console or Console(stderr=True, emoji=False)
    target, run = device_named(device), Run.open(run)
    layout = run.layout()
    _one_of(settings, "start", ("start", "simulator", "robot"))
    asks = settings.task is not None and all(getattr(settings, name) in NOT_GIVEN for name in (*GOALS, "to"))
    if not asks:
        _one_of(settings, "goal", GOALS)
    if settings.planner == "strokes" and (settings.simulator is None or not (asks or settings.object is not None)):
        raise ForearmError("strokes push an --object with --simulator; choose --planner tree or cem")
    carries = settings.planner == "carries"
    if carries and (settings.simulator is None or not (asks or settings.object is not None or settings.region)):
        raise ForearmError("carries bring an --object, or what --region shows, to a place, with --simulator")
    goal = None if settings.object is not None or asks or carries else _goal(run, layout, settings)
    model = run.load("best", target)
    with writing_folder(out) if out is not None else contextlib.nullcontext() as folder:
        with _arm(run, layout, settings, model, target, console) as (arm, simulated):
            goal = goal or _object_goal(layout, settings, arm, simulated)
            if settings.keep:
                seen = arm.observe()
                kept = [_object(layout, seen.picture, place, "keep") for place in settings.keep]
                goal = KeepingGoal.of(goal, kept, present(layout, seen).known())
            planner = _planner(layout, settings, goal, simulated)
            most = planner.most_predictions(layout)
            episode = control(
                *(arm, model, goal, planner),
                farther=planner.farther() if isinstance(planner, TreeSearch) else None,
                steps=_most_actions(settings, planner),
                device=target,
                on_step=on_step,
                watch=lambda done: watch(done, most if done <= most else None),
            )
        if folder is not None:
            save_episode_log(folder, episode, goal, {"run": str(run.path), "goal": _words(settings)})
    return episode


def _most_actions(settings: PlanSettings, planner: Planner) -> int:
    if settings.arm.dry_run:
        return 1  # the arm stays where it is, so nothing new is seen after it
    return settings.steps or (LONG if isinstance(planner, VariationSearch) else STEPS)


def _one_of(settings: PlanSettings, what: str, names: tuple[str, ...]) -> None:
    given = [f"--{name}" for name in names if getattr(settings, name) not in NOT_GIVEN]
    if len(given) != 1:
        choice = ", ".join(f"--{name}" for name in names)
        found = f"{' and '.join(given)} are two" if given else "none is given"
        raise ForearmError(f"plan needs one {what}, {choice}; {found}")


def _words(settings: PlanSettings) -> dict[str, Any]:
    """The goal as it was asked for, for the episode."""
    asked = {name: getattr(settings, name) for name in ("picture", "mask", "like", "region", "object", "to", "keep")}
    asked["joints"] = tuple(f"{name}={value:g}" for name, value in settings.joints.items())
    return {
        name: [str(part) for part in value] if isinstance(value, tuple) else value
        for name, value in asked.items()
        if value not in NOT_GIVEN
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


def _object_goal(layout: Layout, settings: PlanSettings, arm: Arm, simulated: "SimulatedArm | None") -> ObjectGoal:
    """The goal of --object and --to, or of --region for the object that its crop shows, in what the arm's cameras show
    now."""
    if settings.region is not None:
        return _object_of_region(layout, settings.region, arm.observe())
    if settings.object is None or settings.to is None:
        seen = f"; the cameras show {shown}" if simulated and (shown := simulated.objects_seen()) else ""
        raise ForearmError(f"give --object and --to, such as --object base:0.4,0.5,0.5,0.6 --to base:0.6,0.6{seen}")
    picture = arm.observe().picture
    found = _object(layout, picture, settings.object, "object")
    camera = layout.cameras[found.camera].name
    if settings.to.lower().endswith(".png"):
        return found.as_in(_picture(Path(settings.to)))
    other, target = _place(layout, settings.to, "to", (2,))
    if other != camera:
        raise ForearmError(f"--object is in the picture of {camera} and --to in that of {other}; give both in one")
    return found.at(target)


def _object_of_region(layout: Layout, region: tuple[str, int, int, int, int, Path], seen: Observation) -> ObjectGoal:
    """The object that a crop shows is to be in the middle of a box; anywhere within the box is enough."""
    camera, x, y, width, height, path = region
    crop, known = _picture(path), layout.cameras[camera_number(layout, camera)]
    high, wide = crop.shape[:2]
    RegionGoal.of(layout, camera, (x, y, width, height), crop)  # refuses what does not fit
    everywhere = RegionGoal.of(layout, camera, (0, 0, known.width, known.height), crop)
    likeness = everywhere.likeness(present(layout, seen).known())[0]
    if float(likeness.max()) < SHOWN:
        raise ForearmError(
            f"the camera {camera} shows nothing like the crop in {path} now, so it cannot be carried; cut it from a "
            "present picture, or give --object and --to"
        )
    top, left = divmod(int(likeness.argmax()), likeness.shape[1])
    middle = (x + width / 2, y + height / 2)
    goal = ObjectGoal.of(layout, seen.picture, camera, (left, top, left + wide, top + high), middle)
    return replace(goal, enough=max(goal.enough, min(width - wide, height - high) / 2 / known.width))


def _object(layout: Layout, picture: np.ndarray, text: str, option: str) -> ObjectGoal:
    """The object in a place of the present picture, to be where it is."""
    camera, box = _place(layout, text, option, (2, 4))
    known = layout.cameras[camera_number(layout, camera)]
    if len(box) == 2:
        half = POINTED * known.width
        if not (0 <= box[0] < known.width and 0 <= box[1] < known.height):
            raise ForearmError(
                f"--{option} {text!r} is not within the picture of camera {camera}, which is {known.width} "
                f"wide and {known.height} high"
            )
        box = (
            max(0, box[0] - half),
            max(0, box[1] - half),
            min(known.width, box[0] + half),
            min(known.height, box[1] + half),
        )
    middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    return ObjectGoal.of(layout, picture, camera, box, middle)


def _place(layout: Layout, text: str, option: str, counts: tuple[int, ...]) -> tuple[str, Any]:
    """The camera's name and the pixels of ``CAMERA:NUMBER,…``, a tuple of as many floats."""
    camera, colon, rest = text.rpartition(":")
    known = layout.cameras[camera_number(layout, camera) if colon else 0]
    try:
        numbers = [float(number) for number in rest.split(",")]
    except ValueError:
        numbers = []
    if not colon or len(numbers) not in counts or not np.isfinite(numbers).all():
        form = " or ".join({2: "X,Y", 4: "LEFT,TOP,RIGHT,BOTTOM"}[count] for count in counts)
        raise ForearmError(
            f"--{option} {text!r} is not CAMERA:{form}, such as {known.name}:{','.join(['0.5'] * counts[-1])}"
        )
    if any(0 < number < 1 for number in numbers) and max(numbers) > 1:
        raise ForearmError(f"--{option} {text!r} mixes shares of the picture, up to 1, and pixels; give one of the two")
    shares = all(0 <= number <= 1 for number in numbers)
    sides = [known.width, known.height] * 2
    return camera, tuple(n * side if shares else n for n, side in zip(numbers, sides, strict=False))


def _planner(
    layout: Layout, settings: PlanSettings, goal: Goal, simulated: "SimulatedArm | None"
) -> TreeSearch | CEM | VariationSearch:
    chosen, wanted = settings.planner, inner(goal)
    if simulated and isinstance(wanted, ObjectGoal) and chosen in ("auto", "strokes") and settings.width is None:
        from forearm.environment.reach import SimulatedReach, moves_all_joints

        if chosen == "strokes" and not moves_all_joints(layout):
            raise ForearmError(
                "strokes need a run whose actions move all joints at once by any amount; build its data with "
                "--actions change, or choose --planner tree or cem"
            )
        if moves_all_joints(layout):
            return StrokeSearch(settings.depth or StrokeSearch.depth, reach=SimulatedReach(simulated.simulator, layout))
    if simulated and chosen == "carries":
        return _carries(layout, settings, simulated)
    ways = isinstance(wanted, JointGoal) and not layout.discrete and layout.action_is != "target"
    if chosen == "waypoints" and not ways:
        raise ForearmError(
            "waypoints lead to --joints, with a run whose actions move joints by any amount; build its data with "
            "--actions change, or choose --planner tree or cem"
        )
    if ways and (chosen == "waypoints" or (chosen == "auto" and settings.keep and settings.width is None)):
        return WaypointSearch(settings.depth or WaypointSearch.depth)
    depth = settings.depth or CEM.depth
    if settings.planner == "cem":
        return CEM(depth)
    if settings.planner == "tree" or settings.width is not None:
        return TreeSearch(depth, settings.width)
    return planner_for(layout, depth)


def _carries(layout: Layout, settings: PlanSettings, simulated: "SimulatedArm") -> CarrySearch:
    from forearm.environment.reach import SimulatedReach, moves_all_joints

    if "gripper" not in (moved := driven_joints(layout)):
        raise ForearmError(
            f"carries grasp, and this run's actions move {', '.join(moved)}, no gripper; choose a run of all joints"
        )
    if not moves_all_joints(layout):
        raise ForearmError(
            "carries need a run whose actions move all joints at once by any amount; build its data with --actions "
            "change, or choose --planner tree or cem"
        )
    return CarrySearch(settings.depth or CarrySearch.depth, reach=SimulatedReach(simulated.simulator, layout))


@contextlib.contextmanager
def _arm(
    run: Run, layout: Layout, settings: PlanSettings, model: Predictor, device: torch.device, console: Console
) -> Iterator[tuple[Arm, "SimulatedArm | None"]]:
    """The arm to control, and the same where it is simulated."""
    if settings.start is not None:
        imagined = ImaginedEnvironment(model, device)
        imagined.reset(present(layout, _recorded(run, settings, settings.start)))
        yield imagined, None
    elif settings.simulator is not None:
        from forearm.sim.arm import SimulatedArm
        from forearm.sim.tasks import TASKS, pose_task

        task = TASKS[settings.task] if settings.task else None
        world = task.world if task else None
        scene = SimulatedArm.in_scene(layout, settings.simulator, settings.action_duration, world)
        random = np.random.default_rng([settings.simulator, 1])
        with contextlib.closing(scene) as simulated:
            if task:
                pose_task(simulated.simulator, task, random)
            else:
                simulated.settle(0, random)
            yield simulated, simulated
    elif settings.robot is not None:
        from forearm.arms.robot import open_robot_arm

        arm = open_robot_arm(layout, settings.arm, duration=settings.action_duration, console=console)
        with arm.connected():
            yield arm, None
