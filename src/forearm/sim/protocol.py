"""The recording protocol "single action": from rest, one joint does one thing, and everything is written down.

An episode begins with the frame at the decision and ends with the frame ``action_duration`` later: at 30 frames a
second and half a second, frames 0 to 15. ``observation.state`` holds the measured joints, ``action`` the target that
the servos are sent from that frame to the next.

Two variants serve to test what was learned: every action from one and the same state, an episode each (the true
counterfactuals), and walks, in which one action follows another.
"""

import contextlib
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from forearm.errors import ForearmError
from forearm.files import read_json, require_absent, write_json
from forearm.recordings import DiscreteActionLog, RecordingSpec, assemble, stage_episode, staged_episodes
from forearm.sim.poses import Vary, reach, sample_pose
from forearm.sim.scene import PHYSICS_HZ
from forearm.sim.simulator import CAMERAS, JOINTS, Simulator

ACTIONS = ("STAY", "MOVE+", "MOVE-")  # by code
DIRECTIONS = (0, 1, -1)
SETTLING = 0.6  # seconds of rest before a decision
_RAMP = 0.6  # share of the action's duration in which the target moves; the servo arrives in the rest
_REACHED = 0.9  # share of the delta that counts as carried out
_CREEP = 0.1  # what STAY may move, in the joint's unit
_SETTINGS_FILE = "settings.json"


@dataclass(frozen=True)
class SingleActionSettings:
    """What to record.

    Attributes:
        episodes: how many; one joint acts in each.
        joints: which joints act, in turn and equally often.
        actions: how often each action occurs among the others, in whole numbers; 0 leaves it out.
        every_action: record STAY, MOVE+ and MOVE- from the identical state, in three episodes that follow one
            another: a test set with true counterfactuals. How often each action is wanted has no say then.
        decisions: how many actions of the joint follow one another in an episode, to test predictions fed back; they
            are drawn as often as wanted, among those for which the arm has room.
        sessions: how many arrangements of the objects.
        seed: decides everything; episode i is the same however many episodes or processes there are.
        scene_seed: decides the sessions instead of ``seed``, to record other moments of the same scenes.
        fps: frames a second; a divisor of 300.
        size: side of the cameras' square pictures, pixels.
        action_duration: seconds from a decision to its outcome.
        position_delta: how far a move goes; degrees, for the gripper hundredths of its opening.
        vary: "all": every joint starts anywhere; "acting": the acting joint alone, the others near one pose;
            by default "acting" for one joint and "all" for several.
    """

    episodes: int = 300
    joints: tuple[str, ...] = ("shoulder_pan",)
    actions: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(ACTIONS, 1))
    every_action: bool = False
    decisions: int = 1
    sessions: int = 6
    seed: int = 0
    scene_seed: int | None = None
    fps: int = 30
    size: int = 224
    action_duration: float = 0.5
    position_delta: float = 10.0
    vary: Vary | None = None

    @property
    def varied(self) -> Vary:
        """``vary``, or what it is by default."""
        return self.vary or ("acting" if len(self.joints) == 1 else "all")

    @property
    def cycle(self) -> list[tuple[int, int]]:
        """The (joint index, action code) pairs, each as often as it is wanted among as many moments; with every
        action a moment is about a joint alone, and the code is 0."""
        counts = (1, 0, 0) if self.every_action else self.weights
        return [
            (JOINTS.index(joint), code)
            for joint in self.joints
            for code, count in enumerate(counts)
            for _ in range(count)
        ]

    @property
    def weights(self) -> tuple[int, ...]:
        """``actions`` by code."""
        return tuple(self.actions.get(action, 0) for action in ACTIONS)

    @property
    def span(self) -> int:
        """Frames from a decision to its outcome."""
        return round(self.action_duration * self.fps)

    def require_sound(self) -> None:
        """Refuse settings that nothing can be recorded with.

        Raises:
            ForearmError: says which setting, and what it may be.
        """
        for name in ("episodes", "sessions", "decisions"):
            if getattr(self, name) < 1:
                raise ForearmError(f"{name} is {getattr(self, name)}; record at least 1")
        for name, seed in (("seed", self.seed), ("scene_seed", self.scene_seed or 0)):
            if seed < 0:
                raise ForearmError(f"{name} is {seed}; choose a number from 0 up")
        unknown = [joint for joint in self.joints if joint not in JOINTS]
        if unknown or not self.joints or len(set(self.joints)) < len(self.joints):
            raise ForearmError(f"joints are {', '.join(self.joints) or 'none'}; choose among {', '.join(JOINTS)}")
        if set(self.actions) - set(ACTIONS) or min(self.weights) < 0 or max(self.weights) < 1:
            raise ForearmError(f"actions are {dict(self.actions)}; give {', '.join(ACTIONS)} whole numbers from 0 up")
        if self.every_action and self.decisions > 1:
            raise ForearmError(f"decisions is {self.decisions} with every action; choose one of the two")
        if self.every_action and self.episodes % len(ACTIONS):
            raise ForearmError(
                f"episodes is {self.episodes}; every action from a state takes {len(ACTIONS)} episodes, "
                f"so choose a multiple of {len(ACTIONS)}"
            )
        if self.fps < 1 or PHYSICS_HZ % self.fps:
            raise ForearmError(f"fps is {self.fps}; choose a divisor of {PHYSICS_HZ}, such as 30, 10 or 2")
        if not 0 < self.action_duration <= 60:
            raise ForearmError(f"action duration is {self.action_duration:g}; choose one above 0 and up to 60 seconds")
        frames = self.action_duration * self.fps
        if frames < 1 or abs(frames - round(frames)) > 1e-6:
            raise ForearmError(
                f"an action of {self.action_duration:g} s is {frames:g} frames at {self.fps} fps; "
                "choose a whole number of frames, at least one"
            )
        if not 16 <= self.size <= 1024 or self.size % 2:
            raise ForearmError(f"size is {self.size}; choose an even number of pixels from 16 to 1024")
        if not 0 < self.position_delta < 180:
            raise ForearmError(f"position delta is {self.position_delta:g}; choose one above 0 and below 180")


@dataclass(frozen=True)
class Clip:
    """What cameras and servos reported during one action, or several in a row, n frames.

    Attributes:
        states: measured joints, (n, 6) float32.
        actions: the targets that were sent from each frame to the next, (n, 6) float32.
        pictures: camera to (n, size, size, 3) uint8.
    """

    states: np.ndarray
    actions: np.ndarray
    pictures: dict[str, np.ndarray]


@dataclass(frozen=True)
class Episode:
    """What was seen, what was decided, and all that is needed to replay it."""

    clip: Clip
    task: str
    log: DiscreteActionLog


def settle(simulator: Simulator, pose: np.ndarray) -> None:
    """Put the arm at ``pose`` and let it come to rest there."""
    simulator.place(pose)
    simulator.step(simulator.targets(), SETTLING)


def perform(
    simulator: Simulator, joint: int, change: float, *, duration: float = 0.5, fps: int = 30, size: int = 224
) -> Clip:
    """Move a joint's target by ``change``, smoothly, and film it; the first frame is the present, the last the end.

    Args:
        simulator: at rest.
        joint: index into ``JOINTS``.
        change: signed, in the joint's unit; 0 to stay.
        duration: seconds; ``duration * fps`` is a whole number.
        fps: frames a second, a divisor of 300.
        size: side of the pictures, pixels.
    """
    return perform_all(simulator, joint, (change,), duration=duration, fps=fps, size=size)


def perform_all(
    simulator: Simulator,
    joint: int,
    changes: Sequence[float],
    *,
    duration: float = 0.5,
    fps: int = 30,
    size: int = 224,
    cameras: Sequence[str] = CAMERAS,
) -> Clip:
    """`perform` one change after another; the frame in which one ends is that in which the next begins.

    Args:
        simulator: at rest.
        joint: index into ``JOINTS``.
        changes: signed, in the joint's unit, each in ``duration`` seconds.
        duration: as for `perform`, like ``fps`` and ``size``.
        cameras: which film; none to see the joints alone.
    """
    states, targets = [], []
    pictures: dict[str, list[np.ndarray]] = {camera: [] for camera in cameras}

    def see() -> None:
        states.append(simulator.joints())
        for camera in cameras:
            pictures[camera].append(simulator.render(camera, (size, size)))

    steps, target = PHYSICS_HZ // fps, simulator.targets()
    for change in changes:
        start = target
        for frame in range(round(duration * fps)):
            see()
            for step in range(steps):
                target = start.copy()
                target[joint] += change * ramp((frame * steps + step + 1) / PHYSICS_HZ / duration)
                simulator.step(target, 1 / PHYSICS_HZ)
            targets.append(target)
    see()
    targets.append(target)
    return Clip(np.stack(states), np.stack(targets), {camera: np.stack(p) for camera, p in pictures.items()})


def ramp(share: float) -> float:
    """How much of a change has been sent after this share of the duration: from 0 to 1 without a jerk."""
    x = min(share / _RAMP, 1.0)
    return x * x * (3 - 2 * x)


def session_seed(settings: SingleActionSettings, session: int) -> int:
    """The seed of `Simulator` for one of the recording's sessions."""
    seed = settings.seed if settings.scene_seed is None else settings.scene_seed
    return int(np.random.SeedSequence([seed, 0, session]).generate_state(1)[0])


def moment_of(settings: SingleActionSettings, index: int) -> int:
    """Which drawn state an episode begins in; with every action three episodes share one."""
    return index // len(ACTIONS) if settings.every_action else index


def session_of(settings: SingleActionSettings, index: int) -> int:
    """The session of an episode; moments take turns."""
    return moment_of(settings, index) % settings.sessions


def decision(settings: SingleActionSettings, index: int) -> tuple[int, int]:
    """The joint index and action code of an episode (of a walk the joint alone counts).

    Every run of ``len(cycle)`` moments holds each pair in turn, in an order drawn anew. With every action a moment's
    episodes have the codes in order.
    """
    run, place = divmod(moment_of(settings, index), len(settings.cycle))
    order = np.random.default_rng([settings.seed, 1, run]).permutation(len(settings.cycle))
    joint, code = settings.cycle[order[place]]
    return joint, index % len(ACTIONS) if settings.every_action else code


def record_episode(simulator: Simulator, settings: SingleActionSettings, index: int) -> Episode:
    """Record episode ``index``; the same whenever it is asked for.

    Args:
        simulator: of the episode's session.
        settings: of the recording.
        index: of the episode.

    Raises:
        ForearmError: no pose was found from which the action can be carried out.
    """
    joint, code = decision(settings, index)
    moment = moment_of(settings, index)
    rng = np.random.default_rng([settings.seed, 2, moment])
    for _ in range(20):
        pose = sample_pose(simulator, joint, settings.position_delta, settings.varied, rng)
        codes = [code] if settings.decisions == 1 else _walk(simulator, settings, pose, joint, rng)
        if len(codes) < settings.decisions:
            continue
        if settings.every_action and not _allows_every_action(simulator, settings, pose, joint):
            continue
        clip = _film(simulator, settings, pose, joint, codes)
        if _is_carried_out(clip, settings, joint, codes):
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
            **({"moment": moment} if settings.every_action else {}),
        },
    )
    task = ACTIONS[codes[0]] if len(codes) == 1 else f"{len(codes)} actions"
    return Episode(clip, f"{JOINTS[joint]}: {task}", log)


def _walk(
    simulator: Simulator, settings: SingleActionSettings, pose: np.ndarray, joint: int, rng: np.random.Generator
) -> list[int]:
    """Draw the codes of a walk from ``pose``, each among the actions for which there is room where the walk then is.

    It ends early where none of those wanted has room.
    """
    below, above = reach(simulator, pose, joint, settings.position_delta, settings.decisions)
    codes: list[int] = []
    place = 0  # moves up, less moves down
    while len(codes) < settings.decisions:
        has_room = [-below <= place + direction <= above for direction in DIRECTIONS]
        weights = np.array(settings.weights) * has_room
        if not weights.any():
            break
        codes.append(int(rng.choice(len(ACTIONS), p=weights / weights.sum())))
        place += DIRECTIONS[codes[-1]]
    return codes


def _film(
    simulator: Simulator,
    settings: SingleActionSettings,
    pose: np.ndarray,
    joint: int,
    codes: Sequence[int],
    cameras: Sequence[str] = CAMERAS,
) -> Clip:
    """Let the arm rest at ``pose`` and carry out the actions; always the same from the same pose."""
    settle(simulator, pose)
    changes = [DIRECTIONS[code] * settings.position_delta for code in codes]
    duration, fps, size = settings.action_duration, settings.fps, settings.size
    return perform_all(simulator, joint, changes, duration=duration, fps=fps, size=size, cameras=cameras)


def _allows_every_action(simulator: Simulator, settings: SingleActionSettings, pose: np.ndarray, joint: int) -> bool:
    clips = ((_film(simulator, settings, pose, joint, [code], cameras=()), code) for code in range(len(ACTIONS)))
    return all(_is_carried_out(clip, settings, joint, [code]) for clip, code in clips)


def _is_carried_out(clip: Clip, settings: SingleActionSettings, joint: int, codes: Sequence[int]) -> bool:
    moves = np.diff(clip.states[:: settings.span, joint]).tolist()
    return all(
        moved / (DIRECTIONS[code] * settings.position_delta) >= _REACHED if DIRECTIONS[code] else abs(moved) < _CREEP
        for moved, code in zip(moves, codes, strict=True)
    )


def record(out: Path, settings: SingleActionSettings, processes: int | None = None) -> None:
    """Record a LeRobot v3.0 data set into ``out``.

    Episodes gather in ``out`` + ".partial" until they are complete; after an interruption the same call goes on.

    Args:
        out: a folder that does not exist yet.
        settings: what to record.
        processes: how many work at it; by default one per core.

    Raises:
        ForearmError: settings are unsound or differ from those of the interrupted recording, or ``out`` exists or
            cannot be written.
        KeyboardInterrupt: passed on, saying how to go on.
    """
    settings.require_sound()
    if processes is not None and processes < 1:
        raise ForearmError(f"processes is {processes}; choose at least 1")
    out = Path(out)
    require_absent(out)
    partial = out.with_name(out.name + ".partial")
    _claim(partial, settings)
    missing = sorted(set(range(settings.episodes)) - set(staged_episodes(partial)))
    missing.sort(key=lambda index: session_of(settings, index))  # so that a process changes session rarely
    console = Console(stderr=True)
    try:
        _stage_all(partial, settings, missing, min(processes or _cores(), len(missing)), console)
        assemble(partial, out, spec=_spec(settings))
    except KeyboardInterrupt:
        done = len(staged_episodes(partial))
        raise KeyboardInterrupt(
            f"stopped after {done} of {settings.episodes} episodes; run the same command again to go on"
        ) from None
    shutil.rmtree(partial)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _claim(partial: Path, settings: SingleActionSettings) -> None:
    """Begin a recording, or go on with one of the same settings."""
    wanted = {**asdict(settings), "joints": list(settings.joints), "actions": dict(settings.actions)}
    path = partial / _SETTINGS_FILE
    if not path.exists():
        write_json(path, wanted)
        return
    begun = read_json(path)
    differing = [name for name in wanted if begun.get(name) != wanted[name]]
    if differing:
        raise ForearmError(
            f"{partial} holds a recording with other {', '.join(differing)}; "
            "record with the same settings to go on, or remove it to begin anew"
        )


def _spec(settings: SingleActionSettings) -> RecordingSpec:
    names = tuple(f"{joint}.pos" for joint in JOINTS)
    cameras = {_feature(camera): (settings.size, settings.size) for camera in CAMERAS}
    return RecordingSpec(fps=settings.fps, joints=names, action_names=names, cameras=cameras)


def _feature(camera: str) -> str:
    return f"observation.images.{camera}"


def _stage_all(
    partial: Path, settings: SingleActionSettings, indices: list[int], processes: int, console: Console
) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        done = settings.episodes - len(indices)
        task = progress.add_task("recording", total=settings.episodes, completed=done)
        if processes <= 1:
            for index in indices:
                _stage(partial, settings, index)
                progress.advance(task)
            return
        spawn = multiprocessing.get_context("spawn")  # a fork would share the parent's OpenGL
        pool = ProcessPoolExecutor(processes, mp_context=spawn)
        try:
            with _ignored_interrupts():
                begun = [pool.submit(_stage, partial, settings, index) for index in indices]
            for staged in as_completed(begun):
                staged.result()
                progress.advance(task)
        except BrokenProcessPool as error:
            raise ForearmError(
                "a process of the recording was ended from outside, perhaps for lack of memory; "
                "run the same command again to go on, with fewer processes if it happens again"
            ) from error
        finally:  # after an interrupt or an error, what is under way is finished and nothing more begun
            pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _ignored_interrupts() -> Iterator[None]:
    """Ignore Ctrl-C for a moment; processes started meanwhile ignore it for good and leave it to their parent."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers, and only it receives interrupts
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


_present: tuple[int, Simulator] | None = None  # this process's simulator and its session's seed


def _simulator(seed: int) -> Simulator:
    """The simulator of a session; the last one is kept, as neighbours in the queue share it."""
    global _present
    if _present is None or _present[0] != seed:
        if _present is not None:
            _present[1].close()
        _present = (seed, Simulator(seed))
    return _present[1]


def _stage(partial: Path, settings: SingleActionSettings, index: int) -> None:
    simulator = _simulator(session_seed(settings, session_of(settings, index)))
    episode = record_episode(simulator, settings, index)
    stage_episode(
        partial,
        index,
        fps=settings.fps,
        states=episode.clip.states,
        actions=episode.clip.actions,
        pictures={_feature(camera): frames for camera, frames in episode.clip.pictures.items()},
        task=episode.task,
        log=episode.log,
    )
