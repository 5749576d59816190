"""The recording protocol "single action": which joint does what, in which episode. It knows no arm.

In an episode one joint does one thing from rest, or, in a walk, one thing after another. What is decided follows from
the settings and the episode's number alone, so that a recording that was interrupted goes on as it would have.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from forearm.base.errors import ForearmError

if TYPE_CHECKING:
    from forearm.recordings import EpisodeData

ACTIONS = ("STAY", "MOVE+", "MOVE-")  # by code
DIRECTIONS = (0, 1, -1)  # by code
Vary = Literal["all", "acting"]
"""Which joints start anywhere."""


@dataclass(frozen=True)
class ProtocolSettings:
    """Which single actions are recorded, whatever the arm."""

    episodes: int = 300
    """How many; one joint acts in each, unless there is a task."""
    joints: tuple[str, ...] = ("shoulder_pan",)
    """Which joints act, in turn and equally often."""
    actions: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(ACTIONS, 1))
    """How often each action occurs among the others, in whole numbers; 0 leaves it out."""
    decisions: int = 1
    """How many actions of the joint follow one another in an episode, to test predictions fed back. They are drawn as
    often as wanted, among those for which the arm has room."""
    sessions: int = 24
    """How many arrangements of the objects. A report takes these scenes, not episodes, for independent."""
    seed: int = 0
    """Decides everything; episode i is the same however many episodes or processes there are."""
    fps: int = 30
    """Frames a second; in the simulator a divisor of 300."""
    action_duration: float = 0.5
    """Seconds from a decision to its outcome."""
    position_delta: float = 10.0
    """How far a move goes: degrees, for the gripper hundredths of its opening."""
    vary: Vary | None = None
    """all: every joint starts anywhere; acting: the acting joint alone, the others near one pose. By default acting
    for one joint and all for several."""

    @property
    def varied(self) -> Vary:
        """``vary``, or its default."""
        return self.vary or ("acting" if len(self.joints) == 1 else "all")

    @property
    def weights(self) -> tuple[int, ...]:
        """``actions`` by code."""
        return tuple(self.actions.get(action, 0) for action in ACTIONS)

    @property
    def span(self) -> int:
        """Frames from a decision to its outcome."""
        return round(self.action_duration * self.fps)

    @property
    def states(self) -> int:
        """How many consecutive episodes begin in one state."""
        return 1

    def require_decisions(self, joints: Sequence[str]) -> None:
        """Refuse settings that no arm can be recorded with.

        Args:
            joints: plain names of the arm's.

        Raises:
            ForearmError: says which setting, and what it may be.
        """
        for name in ("episodes", "sessions", "decisions"):
            if getattr(self, name) < 1:
                raise ForearmError(f"{name} is {getattr(self, name)}; record at least 1")
        if self.seed < 0:
            raise ForearmError(f"seed is {self.seed}; choose a number from 0 up")
        unknown = [joint for joint in self.joints if joint not in joints]
        if unknown or not self.joints or len(set(self.joints)) < len(self.joints):
            raise ForearmError(f"joints are {', '.join(self.joints) or 'none'}; choose among {', '.join(joints)}")
        if set(self.actions) - set(ACTIONS) or min(self.weights) < 0 or max(self.weights) < 1:
            raise ForearmError(f"actions are {dict(self.actions)}; give {', '.join(ACTIONS)} whole numbers from 0 up")
        if not 0 < self.action_duration <= 60:
            raise ForearmError(f"action duration is {self.action_duration:g}; choose one above 0 and up to 60 seconds")
        if not 0 < self.position_delta < 180:
            raise ForearmError(f"position delta is {self.position_delta:g}; choose one above 0 and below 180")


def require_whole_frames(duration: float, fps: int) -> None:
    """Refuse actions that do not last a whole number of frames.

    Raises:
        ForearmError: says so.
    """
    frames = duration * fps
    if frames < 1 - 1e-6 or abs(frames - round(frames)) > 1e-3:
        raise ForearmError(
            f"an action of {duration:g} s is {frames:g} frames at {fps} fps; "
            "choose a whole number of frames, at least one"
        )


def start_of(settings: ProtocolSettings, index: int) -> int:
    """The number of the state in which an episode starts; with every action three episodes share one."""
    return index // settings.states


def session_of(settings: ProtocolSettings, index: int) -> int:
    """The session of an episode; starts take turns."""
    return start_of(settings, index) % settings.sessions


def cycle_of(settings: ProtocolSettings) -> list[tuple[str, int]]:
    """The (joint, action code) pairs, each as often as it is wanted, for as many starts.

    With every action a start is about a joint alone, and the code is 0.
    """
    counts = (1, 0, 0) if settings.states > 1 else settings.weights
    return [(joint, code) for joint in settings.joints for code, count in enumerate(counts) for _ in range(count)]


def decision(settings: ProtocolSettings, index: int) -> tuple[str, int]:
    """The joint and action code of an episode (of a walk the joint alone counts).

    As many starts as the cycle is long hold each of its pairs once, in an order drawn anew. With every action a
    start's episodes have the codes in order.
    """
    cycle = cycle_of(settings)
    turn, position = divmod(start_of(settings, index), len(cycle))
    joint, code = cycle[np.random.default_rng([settings.seed, 1, turn]).permutation(len(cycle))[position]]
    return joint, index % settings.states if settings.states > 1 else code


def walk(settings: ProtocolSettings, below: int, above: int, rng: np.random.Generator) -> list[int]:
    """Draw the codes of a walk, each among the actions for which there is room where the walk then is.

    It ends early where none of those wanted has room.

    Args:
        settings: how many decisions, and how often each action.
        below: how many moves fit downwards from where it begins.
        above: how many upwards.
        rng: decides.
    """
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


def with_log(
    episode: "EpisodeData", settings: ProtocolSettings, joint: str, codes: Sequence[int], extra: Mapping[str, Any]
) -> "EpisodeData":
    """A filmed episode with its task in words and its discrete-action log.

    Args:
        episode: of a joint's actions, one after another.
        settings: of the recording.
        joint: its plain name.
        codes: of the actions.
        extra: further keys of the log's header.
    """
    from forearm.recordings import DiscreteActionLog

    log = DiscreteActionLog(
        joint_name=f"{joint}.pos",
        action_duration=settings.action_duration,
        position_delta=settings.position_delta,
        decisions=tuple((number * settings.span, code) for number, code in enumerate(codes)),
        extra=dict(extra),
    )
    task = ACTIONS[codes[0]] if len(codes) == 1 else f"{len(codes)} actions"
    return replace(episode, task=f"{joint}: {task}", log=log)


def missing_words(settings: ProtocolSettings, missing: Iterable[int]) -> str:
    """How many episodes of each joint and action are missing, such as ``shoulder_pan STAY 2, MOVE+ 1``."""
    counts = Counter(decision(settings, index) for index in missing)
    if settings.decisions > 1:
        walks = Counter(joint for joint, _ in counts.elements())
        return ", ".join(f"{joint} {walks[joint]} walks" for joint in settings.joints if walks[joint])
    parts = []
    for joint in settings.joints:
        kinds = ", ".join(f"{ACTIONS[code]} {counts[joint, code]}" for code in range(3) if counts[joint, code])
        parts += [f"{joint} {kinds}"] if kinds else []
    return "; ".join(parts)
