"""What control did, as JSON and as a film of what was foreseen beside what was seen."""

from pathlib import Path
from typing import Any

import numpy as np

from forearm.base.files import write_json
from forearm.canvas import Layout, as_uint8
from forearm.control.goals import Goal, PictureGoal, RegionGoal
from forearm.control.loop import EpisodeLog, Step
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
    steps = []
    for step in episode.steps:
        foreseen = step.plan.predicted.joints(layout).float().cpu().numpy()
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
                    }
                    for values, dimension, joints in zip(step.plan.values, step.plan.dimensions, foreseen, strict=True)
                ],
                "foreseen_cost": step.plan.cost,
            }
        )
    return {"outcome": episode.outcome, "actions_taken": episode.actions, "steps": steps}


def film(episode: EpisodeLog, goal: Goal) -> list[np.ndarray]:
    """A picture for every step, (n) of (height, width, 3) uint8 with even sides: seen, foreseen, and what is wanted."""
    layout, foreseen, frames = episode.layout, None, []
    for number, step in enumerate(episode.steps):
        columns = [("seen", step.seen.picture), ("foreseen a step before", foreseen)]
        if isinstance(goal, PictureGoal | RegionGoal):
            columns.append(("wanted", _wanted(layout, goal)))
        box = (goal.rows, goal.columns) if isinstance(goal, RegionGoal) else None
        frames.append(labelled(columns, _caption(episode, number, step), box))
        foreseen = step.plan.predicted.observation(layout).picture if len(step.plan) else None
    return frames


def film_gif(frames: list[np.ndarray]) -> bytes:
    """The pictures of `film` as a GIF that repeats, the last one shown longer."""
    return films.gif(frames, SECONDS_A_STEP, last=SECONDS_OF_LAST, colours=COLOURS)


def _wanted(layout: Layout, goal: PictureGoal | RegionGoal) -> np.ndarray:
    frame = np.full((3, layout.frame_height, layout.frame_width), EMPTY[0] / 255, np.float32)
    if isinstance(goal, PictureGoal):
        frame += (goal.frame.numpy() - EMPTY[0] / 255) * goal.weights.numpy()
    else:
        frame[:, goal.rows, goal.columns][:, : goal.crop.shape[1], : goal.crop.shape[2]] = goal.crop.numpy()
    return as_uint8(frame.transpose(1, 2, 0))


def _caption(episode: EpisodeLog, number: int, step: Step) -> tuple[str, str]:
    then = ("" if number == episode.actions else "next: ") + episode.next_action(number)
    return f"after {number} action{'' if number == 1 else 's'} · cost {step.plan.staying:.3g}", then
