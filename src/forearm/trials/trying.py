"""Trials: a policy acts in worlds, and everything that they show is kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from forearm.base.errors import ForearmError, foreign
from forearm.environment.worlds import Seen, Worlds
from forearm.trials.policies import Policy
from forearm.trials.starts import Start

PICTURES, STATE = "observation.images.", "observation.state"
AT_ONCE = 16
"""Worlds that step together."""


@dataclass(frozen=True)
class Film:
    """What a trial showed: T steps and the start."""

    start: Start
    pictures: dict[str, np.ndarray]
    """Camera to (T + 1, h, w, 3) uint8."""
    positions: np.ndarray
    """(T + 1, J) float32."""
    commands: np.ndarray
    """(T, A) float32."""
    expected_error: np.ndarray
    """(T + 1,) as the model says; NaN where it does not."""
    done: bool
    """Whether the world itself says that the task is done in the end; False where it knows of none."""


def try_out(
    worlds: Worlds,
    policy: Policy,
    starts: Sequence[Start],
    horizon: int,
    *,
    at_once: int = AT_ONCE,
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> list[Film]:
    """Let a policy act from each start for a number of steps.

    Args:
        worlds: at least ``at_once`` of them.
        policy: acts in several worlds at once.
        starts: of the worlds' episodes.
        horizon: steps of each trial.
        at_once: how many worlds step together.
        watch: is called with how many trials are done, of how many.

    Raises:
        ForearmError: the policy fails, or what it returns is no chunk of commands.
    """
    films: list[Film] = []
    for first in range(0, len(starts), at_once):
        trials = np.arange(first, min(first + at_once, len(starts)))
        _reset(policy)
        films += _together(worlds, policy, [starts[i] for i in trials.tolist()], trials, horizon)
        watch(len(films), len(starts))
    return films


def require_fitting(worlds: Worlds, policy: Policy, name: str, start: Start) -> None:
    """Let a policy that has a method ``check(observation)`` refuse the worlds before anything is tried.

    Args:
        worlds: in which it is to act.
        policy: is shown the first picture.
        name: of the policy, for messages.
        start: of one of the trials.

    Raises:
        ForearmError: the policy refuses, by raising an exception.
    """
    if (check := getattr(policy, "check", None)) is not None:
        seen = worlds.begin(np.arange(1), [start.episode])
        with foreign(f"the policy {name} does not fit"):
            check(observation_of(seen, [start], np.arange(1)))


def _together(worlds: Worlds, policy: Policy, starts: Sequence[Start], trials: np.ndarray, horizon: int) -> list[Film]:
    all_of = np.arange(len(starts))
    seen = [worlds.begin(all_of, [start.episode for start in starts])]
    commands: list[np.ndarray] = []
    width = starts[0].commands.shape[1]
    while len(commands) < horizon:
        chunk = _asked(policy, observation_of(seen[-1], starts, trials), len(starts), width)
        for step in range(min(chunk.shape[1], horizon - len(commands))):
            commands.append(chunk[:, step])
            seen.append(worlds.step(all_of, chunk[:, step]))
    return [
        Film(
            start,
            {name: np.stack([each.pictures[name][i] for each in seen]) for name in seen[0].pictures},
            np.stack([each.positions[i] for each in seen]),
            np.stack([each[i] for each in commands]),
            np.array([each.expected_error[i] for each in seen]),
            bool(seen[-1].done[i]),
        )
        for i, start in enumerate(starts)
    ]


def observation_of(seen: Seen, starts: Sequence[Start], trials: np.ndarray) -> dict[str, object]:
    """What a policy is shown of B worlds; see `forearm.trials.policies.Observation`."""
    cameras = len(seen.pictures)
    box, place = np.full((len(starts), cameras, 4), np.nan), np.full((len(starts), cameras, 2), np.nan)
    for i, start in enumerate(starts):
        if start.object is not None:
            box[i], place[i] = start.object.box, start.object.place
    return {
        **{PICTURES + name: pictures for name, pictures in seen.pictures.items()},
        STATE: seen.positions,
        "task": [start.task for start in starts],
        "trial": trials,
        "goal.box": box.astype(np.float32),
        "goal.place": place.astype(np.float32),
    }


def _reset(policy: Policy) -> None:
    """Tell a policy that remembers that other trials begin."""
    with foreign("the policy failed in reset()"):
        getattr(policy, "reset", lambda: None)()


def _asked(policy: Policy, observation: dict[str, object], count: int, width: int) -> np.ndarray:
    with foreign("the policy failed in act(observation)"):
        chunk = np.asarray(policy.act(observation), np.float32)
    if chunk.ndim == 2 and count == 1:
        chunk = chunk[None]
    if chunk.ndim != 3 or chunk.shape[0] != count or chunk.shape[1] < 1 or chunk.shape[2] != width:
        raise ForearmError(
            f"the policy's chunk has the shape {chunk.shape}; (worlds, steps, joints) is ({count}, 1 or more, {width})"
        )
    if not np.isfinite(chunk).all():
        raise ForearmError("the policy's chunk has values that are no finite numbers")
    return chunk
