"""The recording protocol "single action": from rest, one joint does one thing, and everything is written down.

An episode begins with the frame at the decision and ends with the frame ``action_duration`` later: at 30 frames a
second and half a second, frames 0 to 15. ``observation.state`` holds the measured joints, ``action`` the target that
the servos are sent from that frame to the next.

Two variants serve to test what was learned: every action from the same state, an episode each (the true
counterfactuals), and walks, in which one action follows another. With a task, its free objects lie on the table, and an
episode begins with the gripper next to one that a move touches.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from forearm.arms.protocol import DIRECTIONS, decision, session_of, start_of, walk, with_log
from forearm.base.errors import ForearmError
from forearm.recordings import EpisodeData
from forearm.sim.filming import change_of, film, settle
from forearm.sim.names import CAMERAS, JOINTS
from forearm.sim.poses import reach, sample_pose
from forearm.sim.precontact import sample_precontact_pose
from forearm.sim.settings import RecordingSettings
from forearm.sim.simulator import Simulator
from forearm.sim.tasks import TASKS, pose_task

Rest = Callable[[], None]
"""Puts a simulator at rest in the state in which an episode starts."""
_REACHED = 0.9  # share of the delta that counts as carried out
_CREEP = 0.1  # what STAY may move, in the joint's unit
_ARRANGEMENTS = 10  # of the objects that are tried until the gripper fits beside one


def session_seed(settings: RecordingSettings, session: int) -> int:
    """The seed of `Simulator` for one of the recording's sessions."""
    seed = settings.seed if settings.scene_seed is None else settings.scene_seed
    return int(np.random.SeedSequence([seed, 0, session]).generate_state(1)[0])


def scene_of(settings: RecordingSettings, index: int) -> int:
    """The seed of `Simulator` for an episode."""
    return session_seed(settings, session_of(settings, index))


def record_episode(simulator: Simulator, settings: RecordingSettings, index: int) -> EpisodeData:
    """Record episode ``index``; the same whenever it is asked for.

    Args:
        simulator: of the episode's session.
        settings: of the recording.
        index: of the episode.

    Raises:
        ForearmError: no pose was found from which the action can be carried out.
    """
    name, code = decision(settings, index)
    joint = JOINTS.index(name)
    start = start_of(settings, index)
    rng = np.random.default_rng([settings.seed, 2, start])
    for _ in range(20):
        pose, rest = _start(simulator, settings, joint, rng)
        codes = [code] if settings.decisions == 1 else _walk(simulator, settings, pose, joint, rng)
        if len(codes) < settings.decisions:
            continue
        if settings.every_action and not _allows_every_action(simulator, settings, rest, joint):
            continue
        episode = _film(simulator, settings, rest, joint, codes)
        if _is_carried_out(episode, settings, joint, codes):
            break
    else:
        many = f"{settings.decisions} times in a row " if settings.decisions > 1 else ""
        raise ForearmError(
            f"{JOINTS[joint]} does not act {many}by {settings.position_delta:g} within {settings.action_duration:g} s; "
            f"choose a longer action duration or a smaller position delta{', or fewer decisions' if many else ''}"
        )
    session = session_of(settings, index)
    extra = {
        "session": session,
        "session_seed": session_seed(settings, session),
        "seed": settings.seed,
        "start_pose": [float(value) for value in pose],
        **({"moment": start} if settings.every_action else {}),
    }
    return with_log(episode, settings, name, codes, extra)


def _start(
    simulator: Simulator, settings: RecordingSettings, joint: int, rng: np.random.Generator
) -> tuple[np.ndarray, Rest]:
    """Draw a pose (6,), and what puts the simulator at rest there; always the same."""
    if settings.task is None:
        pose = sample_pose(simulator, joint, settings.position_delta, settings.varied, rng)
        return pose, lambda: settle(simulator, pose)
    for _ in range(_ARRANGEMENTS):
        pose_task(simulator, TASKS[settings.task], rng)
        found = sample_precontact_pose(simulator, joint, settings.position_delta, settings.action_duration, rng)
        if found is not None:
            return found, partial(simulator.restore, simulator.snapshot())
    raise ForearmError(
        f"found no pose beside an object that {JOINTS[joint]} touches by moving ±{settings.position_delta:g}; choose "
        "other joints, a larger position delta or another seed"
    )


def _walk(
    simulator: Simulator, settings: RecordingSettings, pose: np.ndarray, joint: int, rng: np.random.Generator
) -> list[int]:
    """Draw the codes of a walk from ``pose``."""
    no_objects = settings.task is None
    return walk(settings, *reach(simulator, pose, joint, settings.position_delta, settings.decisions, no_objects), rng)


def _film(
    simulator: Simulator,
    settings: RecordingSettings,
    rest: Rest,
    joint: int,
    codes: Sequence[int],
    cameras: Sequence[str] = CAMERAS,
) -> EpisodeData:
    """Let the arm rest where it starts and carry out the actions; always the same from the same start."""
    rest()
    changes = [change_of(joint, DIRECTIONS[code] * settings.position_delta) for code in codes]
    duration, fps, size = settings.action_duration, settings.fps, settings.size
    return film(simulator, changes, duration=duration, fps=fps, size=size, cameras=cameras)


def _allows_every_action(simulator: Simulator, settings: RecordingSettings, rest: Rest, joint: int) -> bool:
    filmed = ((_film(simulator, settings, rest, joint, [code], cameras=()), code) for code in range(settings.states))
    return all(_is_carried_out(episode, settings, joint, [code]) for episode, code in filmed)


def _is_carried_out(episode: EpisodeData, settings: RecordingSettings, joint: int, codes: Sequence[int]) -> bool:
    if settings.task is not None:  # an object may hold the joint back
        return True
    moves = np.diff(episode.states[:: settings.span, joint]).tolist()
    return all(
        moved / (DIRECTIONS[code] * settings.position_delta) >= _REACHED if DIRECTIONS[code] else abs(moved) < _CREEP
        for moved, code in zip(moves, codes, strict=True)
    )
