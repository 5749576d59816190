"""What control did, as JSON and as a film of what was foreseen beside what was seen."""

from pathlib import Path
from typing import Any

import numpy as np

from forearm.base.files import write_json
from forearm.canvas import Layout, as_uint8
from forearm.control.goals import Goal, ObjectGoal, PictureGoal, RegionGoal
from forearm.control.loop import EpisodeLog, Step, expected_errors
from forearm.media import films
from forearm.media.labels import EMPTY, labelled
from forearm.media.words import action_words

SECONDS_A_STEP, SECONDS_OF_LAST, COLOURS = 0.8, 2.4, 128
FILM_FPS = 10


def save_episode_log(folder: Path, episode: EpisodeLog, goal: Goal, facts: dict[str, Any]) -> None:
    """Write ``episode.json``, ``film.gif`` and ``film.mp4`` into an existing folder; ``facts`` head the JSON."""
    write_json(folder / "episode.json", {**facts, **episode_json(episode)})
    frames = film(episode, goal)
    (folder / "film.gif").write_bytes(film_gif(frames))
    (folder / "film.mp4").write_bytes(films.mp4(frames, FILM_FPS, held=round(SECONDS_A_STEP * FILM_FPS)))


def episode_json(episode: EpisodeLog) -> dict[str, Any]:
    """Joints, costs and plans of every step, ready for JSON."""
    layout, names = episode.layout, episode.layout.joint_names
    steps: list[dict[str, Any]] = []
    for step in episode.steps:
        foreseen = step.plan.predicted.joints(layout).float().cpu().numpy()
        expected = expected_errors(step.plan.predicted)
        steps.append(
            {
                "joints": dict(zip(names, step.seen.joints.tolist(), strict=True)),
                "cost": step.plan.staying,
                "plan": [
                    {
                        "action": action_words(layout, values),
                        "values": values.tolist(),
                        "dimension": layout.actions[dimension].name,
                        "foreseen_joints": dict(zip(names, joints.tolist(), strict=True)),
                        "expected_error": error,
                    }
                    for values, dimension, joints, error in zip(
                        step.plan.values, step.plan.dimensions, foreseen, expected, strict=True
                    )
                ],
                "foreseen_cost": step.plan.cost,
            }
        )
    for told, error in zip(steps, episode.true_errors, strict=False):
        told["true_error"] = error
    return {"outcome": episode.outcome, "actions_taken": episode.actions, "steps": steps}


def uncertainty_words(episode: EpisodeLog) -> str:
    """How unsure the model was of the actions that were taken, and how wrong it turned out to be; empty without any."""
    if not episode.actions:
        return ""
    true, known = episode.true_errors, [error for error in episode.expected_errors if error is not None]
    count = f"{episode.actions} action{'' if episode.actions == 1 else 's'}"
    words = f"picture error (MSE) over {count}: the model "
    words += f"expected {np.mean(known):.2g}" if known else "does not say what it expected"
    if not true:
        return f"{words}; what came of it is imagined too"
    worst = int(np.argmax(true))
    return f"{words}, and {np.mean(true):.2g} was observed; at most {true[worst]:.2g}, after action {worst + 1}"


def film(episode: EpisodeLog, goal: Goal) -> list[np.ndarray]:
    """A picture for every step, (n) of (height, width, 3) uint8 with even sides: seen, foreseen, and what is wanted."""
    layout, foreseen, frames = episode.layout, None, []
    for number, step in enumerate(episode.steps):
        columns = [("seen", step.seen.picture), ("foreseen a step before", foreseen)]
        if isinstance(goal, PictureGoal | RegionGoal):
            columns.append(("wanted", _wanted(layout, goal)))
        box = _marked(goal)
        frames.append(labelled(columns, _caption(episode, number, step), box))
        foreseen = step.plan.predicted.observation(layout).picture if len(step.plan) else None
    return frames


def film_gif(frames: list[np.ndarray]) -> bytes:
    """The pictures of `film` as a GIF that repeats, the last one shown longer."""
    return films.gif(frames, SECONDS_A_STEP, last=SECONDS_OF_LAST, colours=COLOURS)


def _marked(goal: Goal) -> tuple[slice, slice] | None:
    """Rows and columns of the frame in which something is to appear."""
    if isinstance(goal, RegionGoal):
        return goal.rows, goal.columns
    if isinstance(goal, ObjectGoal):
        rows, columns = goal.layout.camera_boxes()[goal.camera]
        left, top = (goal.target.numpy() - np.array(goal.appearance.size) / 2).clip(0)
        width, height = goal.appearance.size
        y, x = rows.start + round(float(top)), columns.start + round(float(left))
        return slice(y, min(y + round(height), rows.stop)), slice(x, min(x + round(width), columns.stop))
    return None


def _wanted(layout: Layout, goal: PictureGoal | RegionGoal) -> np.ndarray:
    frame = np.full((3, layout.frame_height, layout.frame_width), EMPTY[0] / 255, np.float32)
    if isinstance(goal, PictureGoal):
        frame += (goal.frame.numpy() - EMPTY[0] / 255) * goal.weights.numpy()
    else:
        frame[:, goal.rows, goal.columns][:, : goal.crop.shape[1], : goal.crop.shape[2]] = goal.crop.numpy()
    return as_uint8(frame.transpose(1, 2, 0))


def _caption(episode: EpisodeLog, number: int, step: Step) -> tuple[str, str]:
    then = ("" if number == episode.actions else "next: ") + episode.next_action(number)
    if number < episode.actions and (expected := episode.expected_errors[number]) is not None:
        then += f" · expected error {expected:.2g}"
    return f"after {number} action{'' if number == 1 else 's'} · cost {step.plan.staying:.3g}", then
