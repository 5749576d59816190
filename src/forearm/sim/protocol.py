"""The recording protocol "single action": from rest, one joint does one thing, and everything is written down.

An episode begins with the frame at the decision and ends with the frame ``action_duration`` later: at 30 frames a
second and half a second, frames 0 to 15. ``observation.state`` holds the measured joints, ``action`` the target that
the servos are sent from that frame to the next.

Two variants serve to test what was learned: every action from the same state, an episode each (the true
counterfactuals), and walks, in which one action follows another. With a task, its free objects lie on the table, and an
episode begins with the gripper next to one that a move touches.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from forearm.base.errors import ForearmError
from forearm.recordings import DiscreteActionLog, EpisodeData
from forearm.sim.filming import change_of, film, settle
from forearm.sim.names import CAMERAS, JOINTS
from forearm.sim.poses import reach, sample_pose
from forearm.sim.precontact import sample_precontact_pose
from forearm.sim.settings import ACTIONS, RecordingSettings
from forearm.sim.simulator import Simulator
from forearm.sim.tasks import TASKS, pose_task

Rest = Callable[[], None]
"""Puts a simulator at rest in the state in which an episode starts."""
DIRECTIONS = (0, 1, -1)  # by code
_REACHED = 0.9  # share of the delta that counts as carried out
_CREEP = 0.1  # what STAY may move, in the joint's unit
_ARRANGEMENTS = 10  # of the objects that are tried until the gripper fits beside one


def session_seed(settings: RecordingSettings, session: int) -> int:
    """The seed of `Simulator` for one of the recording's sessions."""
    seed = settings.seed if settings.scene_seed is None else settings.scene_seed
    return int(np.random.SeedSequence([seed, 0, session]).generate_state(1)[0])


def start_of(settings: RecordingSettings, index: int) -> int:
    """The number of the state in which an episode starts; with every action three episodes share one."""
    return index // len(ACTIONS) if settings.every_action else index


def session_of(settings: RecordingSettings, index: int) -> int:
    """The session of an episode; starts take turns."""
    return start_of(settings, index) % settings.sessions


def cycle_of(settings: RecordingSettings) -> list[tuple[int, int]]:
    """The (joint index, action code) pairs, each as often as it is wanted, for as many starts.

    With every action a start is about a joint alone, and the code is 0.
    """
    counts = (1, 0, 0) if settings.every_action else settings.weights
    joints = [JOINTS.index(joint) for joint in settings.joints]
    return [(joint, code) for joint in joints for code, count in enumerate(counts) for _ in range(count)]


def decision(settings: RecordingSettings, index: int) -> tuple[int, int]:
    """The joint index and action code of an episode (of a walk the joint alone counts).

    As many starts as the cycle is long hold each of its pairs once, in an order drawn anew. With every action a
    start's episodes have the codes in order.
    """
    cycle = cycle_of(settings)
    turn, position = divmod(start_of(settings, index), len(cycle))
    joint, code = cycle[np.random.default_rng([settings.seed, 1, turn]).permutation(len(cycle))[position]]
    return joint, index % len(ACTIONS) if settings.every_action else code


def record_episode(simulator: Simulator, settings: RecordingSettings, index: int) -> EpisodeData:
    """Record episode ``index``; the same whenever it is asked for.

    Args:
        simulator: of the episode's session.
        settings: of the recording.
        index: of the episode.

    Raises:
        ForearmError: no pose was found from which the action can be carried out.
    """
    joint, code = decision(settings, index)
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
    log = DiscreteActionLog(
        joint_name=f"{JOINTS[joint]}.pos",
        action_duration=settings.action_duration,
        position_delta=settings.position_delta,
        decisions=tuple((number * settings.span, code) for number, code in enumerate(codes)),
        extra={
            "session": session,
            "session_seed": session_seed(settings, session),
            "seed": settings.seed,
            "start_pose": [float(value) for value in pose],
            **({"moment": start} if settings.every_action else {}),
        },
    )
    task = ACTIONS[codes[0]] if len(codes) == 1 else f"{len(codes)} actions"
    return replace(episode, task=f"{JOINTS[joint]}: {task}", log=log)


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
    """Draw the codes of a walk from ``pose``, each among the actions for which there is room where the walk then is.

    It ends early where none of those wanted has room.
    """
    no_objects = settings.task is None
    below, above = reach(simulator, pose, joint, settings.position_delta, settings.decisions, no_objects)
    codes: list[int] = []
    position = 0  # moves up, less moves down
    while len(codes) < settings.decisions:
        has_room = [-below <= position + direction <= above for direction in DIRECTIONS]
        weights = np.array(settings.weights) * has_room
        if not weights.any():
            break
        codes.append(int(rng.choice(len(ACTIONS), p=weights / weights.sum())))
        position += DIRECTIONS[codes[-1]]
    return codes


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
    filmed = ((_film(simulator, settings, rest, joint, [code], cameras=()), code) for code in range(len(ACTIONS)))
    return all(_is_carried_out(episode, settings, joint, [code]) for episode, code in filmed)


def _is_carried_out(episode: EpisodeData, settings: RecordingSettings, joint: int, codes: Sequence[int]) -> bool:
    if settings.task is not None:  # an object may hold the joint back
        return True
    moves = np.diff(episode.states[:: settings.span, joint]).tolist()
    return all(
        moved / (DIRECTIONS[code] * settings.position_delta) >= _REACHED if DIRECTIONS[code] else abs(moved) < _CREEP
        for moved, code in zip(moves, codes, strict=True)
    )
