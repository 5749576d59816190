"""The recording protocol "single action": from rest, one joint does one thing, and everything is written down.

An episode begins with the frame at the decision and ends with the frame ``action_duration`` later: at 30 frames a
second and half a second, frames 0 to 15. ``observation.state`` holds the measured joints, ``action`` the target that
the servos are sent from that frame to the next.
"""

import contextlib
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Iterator, Mapping
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
from forearm.sim.poses import Vary, sample_pose
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
        episodes: how many; one action each.
        joints: which joints act, in turn and equally often.
        actions: how often each action occurs among the others, in whole numbers; 0 leaves it out.
        sessions: how many arrangements of the objects.
        seed: decides everything; episode i is the same however many episodes or processes there are.
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
    sessions: int = 6
    seed: int = 0
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
        """The (joint index, action code) pairs, each as often as it is wanted among as many episodes."""
        return [
            (JOINTS.index(joint), code)
            for joint in self.joints
            for code, action in enumerate(ACTIONS)
            for _ in range(self.actions.get(action, 0))
        ]

    def require_sound(self) -> None:
        """Refuse settings that nothing can be recorded with.

        Raises:
            ForearmError: says which setting, and what it may be.
        """
        for name in ("episodes", "sessions"):
            if getattr(self, name) < 1:
                raise ForearmError(f"{name} is {getattr(self, name)}; record at least 1")
        if self.seed < 0:
            raise ForearmError(f"seed is {self.seed}; choose a number from 0 up")
        unknown = [joint for joint in self.joints if joint not in JOINTS]
        if unknown or not self.joints or len(set(self.joints)) < len(self.joints):
            raise ForearmError(f"joints are {', '.join(self.joints) or 'none'}; choose among {', '.join(JOINTS)}")
        counts = [self.actions.get(action, 0) for action in ACTIONS]
        if set(self.actions) - set(ACTIONS) or min(counts) < 0 or max(counts) < 1:
            raise ForearmError(f"actions are {dict(self.actions)}; give {', '.join(ACTIONS)} whole numbers from 0 up")
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
    """What cameras and servos reported during one action, n frames.

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
    """One recorded action: what was seen, the decision, and all that is needed to replay it."""

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
    start = simulator.targets()
    states, targets = [], []
    pictures: dict[str, list[np.ndarray]] = {camera: [] for camera in CAMERAS}
    steps, last = PHYSICS_HZ // fps, round(duration * fps)
    target = start
    for frame in range(last + 1):
        states.append(simulator.joints())
        for camera in CAMERAS:
            pictures[camera].append(simulator.render(camera, (size, size)))
        for step in range(steps if frame < last else 0):
            target = start.copy()
            target[joint] += change * _ramp((frame * steps + step + 1) / PHYSICS_HZ / duration)
            simulator.step(target, 1 / PHYSICS_HZ)
        targets.append(target)
    return Clip(np.stack(states), np.stack(targets), {camera: np.stack(p) for camera, p in pictures.items()})


def _ramp(share: float) -> float:
    """How much of a change has been sent after this share of the duration: from 0 to 1 without a jerk."""
    x = min(share / _RAMP, 1.0)
    return x * x * (3 - 2 * x)


def session_seed(settings: SingleActionSettings, session: int) -> int:
    """The seed of `Simulator` for one of the recording's sessions."""
    return int(np.random.SeedSequence([settings.seed, 0, session]).generate_state(1)[0])


def session_of(settings: SingleActionSettings, index: int) -> int:
    """The session of an episode; they take turns."""
    return index % settings.sessions


def decision(settings: SingleActionSettings, index: int) -> tuple[int, int]:
    """The joint index and action code of an episode: every run of ``len(cycle)`` episodes holds each pair in turn,
    in an order drawn anew."""
    run, place = divmod(index, len(settings.cycle))
    order = np.random.default_rng([settings.seed, 1, run]).permutation(len(settings.cycle))
    return settings.cycle[order[place]]


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
    change = DIRECTIONS[code] * settings.position_delta
    rng = np.random.default_rng([settings.seed, 2, index])
    for _ in range(20):
        pose = sample_pose(simulator, joint, settings.position_delta, settings.varied, rng)
        settle(simulator, pose)
        clip = perform(
            simulator, joint, change, duration=settings.action_duration, fps=settings.fps, size=settings.size
        )
        if _is_carried_out(clip, joint, change):
            break
    else:
        raise ForearmError(
            f"{JOINTS[joint]} does not move by {change:g} within {settings.action_duration:g} s; "
            "choose a longer action duration or a smaller position delta"
        )
    session = session_of(settings, index)
    log = DiscreteActionLog(
        joint_name=f"{JOINTS[joint]}.pos",
        action_duration=settings.action_duration,
        position_delta=settings.position_delta,
        decisions=((0, code),),
        extra={
            "session": session,
            "session_seed": session_seed(settings, session),
            "seed": settings.seed,
            "start_pose": [float(value) for value in pose],
        },
    )
    return Episode(clip, f"{JOINTS[joint]}: {ACTIONS[code]}", log)


def _is_carried_out(clip: Clip, joint: int, change: float) -> bool:
    moved = float(clip.states[-1, joint] - clip.states[0, joint])
    if change == 0:
        return abs(moved) < _CREEP
    return moved / change >= _REACHED


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
