"""One trial: predict, act, compare, and keep everything in one staged episode."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch

from forearm.arms import Manipulator
from forearm.arms.pictures import observed
from forearm.base.errors import ForearmError
from forearm.base.files import Between, Count, checked, read_json
from forearm.batch import Prediction, Predictor, present
from forearm.canvas import Action, Layout, Observation, as_float, plain
from forearm.canvas.actions import typed_name
from forearm.learning.cells import Cell
from forearm.recordings import DiscreteActionLog, EpisodeData
from forearm.recordings.logs import LOG_FOLDER, read_log

Purpose = Literal["locked", "wide", "verify", "explore"]
Error = Annotated[float, Between(0, 1e6)]
NOTE = "learning"
"""The key of an episode's log under which its trial stands."""


@dataclass(frozen=True)
class Trial:
    """What is kept of a trial in its episode's log; errors are mean squared errors of pictures in [0, 1]."""

    purpose: Purpose
    """What the action was recorded for."""
    cell: tuple[Count, Count, Count]
    """Action dimension, part of the joint's range, code."""
    error: Error
    """Of the prediction."""
    expected_error: Error | None
    """That the run expected; None where it estimates none."""
    unchanged_error: Error
    """Of the picture before the action, taken for the one after it."""
    scene: Count
    """How often the scene had been rearranged before."""


@dataclass(frozen=True)
class Shown:
    """The pictures of a trial, each (h, w, 3) uint8."""

    before: np.ndarray
    predicted: np.ndarray
    after: np.ndarray


def predicted(predictor: Predictor, layout: Layout, seen: Observation, action: Action, device: str) -> Prediction:
    """What a run predicts of one action from what is seen; on the CPU."""
    context = present(layout, seen)
    values, dimensions = torch.from_numpy(action.values[None]), torch.tensor([action.dimension])
    with torch.inference_mode():
        return predictor.predict(context.with_action(values, dimensions).to(device)).to("cpu")


def carry_out(
    arm: Manipulator,
    predictor: Predictor,
    device: str,
    cell: Cell,
    action: Action,
    purpose: Purpose,
    scene: int,
    scene_seed: int | None,
    fps: int,
) -> tuple[EpisodeData, Trial, Shown]:
    """Film an action of an arm at rest, and compare it with what was predicted of the film's first frame.

    Nothing of the film's later frames reaches the prediction.

    Raises:
        ForearmError: the arm fails, or what it shows does not fit the run.
    """
    layout = arm.layout
    episode = arm.film(action, fps)
    names = [plain(name) for name in arm.spec(fps).joints]
    joints = [names.index(plain(name)) for name in layout.joint_names]
    before, after = (
        observed(layout, {camera: film[row] for camera, film in episode.pictures.items()}, episode.states[row, joints])
        for row in (0, -1)
    )
    prediction = predicted(predictor, layout, before, action, device)
    shown = Shown(before.picture, prediction.observation(layout).picture, after.picture)
    expected = prediction.expected_error
    trial = Trial(
        purpose,
        cell,
        squared_error(as_float(after.picture), _picture(layout, prediction)),
        None if expected is None else float(expected.mean()),
        squared_error(as_float(after.picture), as_float(before.picture)),
        scene,
    )
    dimension = layout.actions[cell[0]]
    joint = plain(dimension.joint or dimension.name)
    log = DiscreteActionLog(
        joint_name=f"{joint}.pos",
        action_duration=arm.duration,
        position_delta=dimension.scale,
        decisions=((0, cell[2]),),
        extra={
            "session": scene,
            **({} if scene_seed is None else {"session_seed": scene_seed}),
            "start_pose": [float(value) for value in episode.states[0]],
            NOTE: asdict(trial),
        },
    )
    return replace(episode, task=f"{joint}: {typed_name(cell[2])}", log=log), trial, shown


def _picture(layout: Layout, prediction: Prediction) -> np.ndarray:
    return prediction.frame[0, :, : layout.frame_height].permute(1, 2, 0).float().numpy()


def squared_error(one: np.ndarray, other: np.ndarray) -> float:
    """The mean squared difference of two pictures of floats."""
    return float(np.mean((one.astype(np.float64) - other) ** 2))


def trials_in(recording: Path, partial: Path) -> list[Trial]:
    """The trials of a recording in order, whether it is finished or still being recorded.

    Raises:
        ForearmError: an episode's log is damaged, or of no trial.
    """
    return [checked(Trial, extra.get(NOTE), f"{where}: {NOTE}") for where, extra in _extras(recording, partial)]


def _extras(recording: Path, partial: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    if recording.is_dir():
        for path in sorted((recording / LOG_FOLDER).glob("*.jsonl")):
            yield path, read_log(path).extra
        return
    for folder in sorted(partial.glob("episode_*")):
        log = read_json(folder / "episode.json").get("log")
        if not isinstance(log, dict) or not isinstance(log.get("extra"), dict):
            raise ForearmError(f"{folder} has no log; remove it to record it again")
        yield folder, log["extra"]
