"""What to record of the simulated arm."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from forearm.base.errors import ForearmError
from forearm.sim.names import CONTROL_HZ, JOINTS, PHYSICS_HZ, TaskName, Vary
from forearm.sim.objects import ObjectSet

ACTIONS = ("STAY", "MOVE+", "MOVE-")  # by code
DEFAULT_CLUMSINESS = 0.3
MODEL_SETTINGS = {"warp": {"mse_weight": 10.0}}
"""Settings by family that suit simulated pictures better than its own (docs/log/2026-11-25-warp-parts.md)."""


@dataclass(frozen=True)
class RecordingSettings:
    """What to record."""

    episodes: int = 300
    """How many; one joint acts in each, unless there is a task."""
    task: TaskName | None = None
    """What a scripted expert does with free objects. Without a task, single actions are recorded and objects are
    fixed."""
    single_actions: bool = False
    """Beside the objects of a task, single actions are recorded instead of it; they start with the gripper next to an
    object that a move touches. So does --every-action."""
    clumsiness: float | None = None
    """How badly the expert does it: 0 as well as it can, 1 misses by centimetres, trembles and hesitates. 0.3 by
    default."""
    objects: ObjectSet | None = None
    """Free objects of the shapes and colours for training, or held-out ones to test with. By default training."""
    joints: tuple[str, ...] = ("shoulder_pan",)
    """Which joints act, in turn and equally often."""
    actions: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(ACTIONS, 1))
    """How often each action occurs among the others, in whole numbers; 0 leaves it out."""
    every_action: bool = False
    """Record STAY, MOVE+ and MOVE- from the identical state, in three consecutive episodes: a test set with true
    counterfactuals. It disregards how often each action is wanted."""
    decisions: int = 1
    """How many actions of the joint follow one another in an episode, to test predictions fed back. They are drawn as
    often as wanted, among those for which the arm has room."""
    sessions: int = 24
    """How many arrangements of the objects. A report takes these scenes, not episodes, for independent."""
    seed: int = 0
    """Decides everything; episode i is the same however many episodes or processes there are."""
    scene_seed: int | None = None
    """Decides the sessions instead of --seed, to record other states in the same scenes."""
    fps: int = 30
    """Frames a second; a divisor of 300."""
    size: int = 224
    """Side of the cameras' square pictures, pixels."""
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
    def by_expert(self) -> bool:
        """Whether an expert acts, and no single actions are recorded."""
        return self.task is not None and not (self.single_actions or self.every_action)

    @property
    def clumsy(self) -> float:
        """``clumsiness``, or its default."""
        return DEFAULT_CLUMSINESS if self.clumsiness is None else self.clumsiness

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
        if self.by_expert and CONTROL_HZ % self.fps:
            raise ForearmError(f"fps is {self.fps}; with a task choose a divisor of {CONTROL_HZ}, such as 30, 15 or 10")
        if not 0 <= self.clumsy <= 2:
            raise ForearmError(f"clumsiness is {self.clumsy:g}; choose one from 0 to 2")
        if not 0 < self.action_duration <= 60:
            raise ForearmError(f"action duration is {self.action_duration:g}; choose one above 0 and up to 60 seconds")
        frames = self.action_duration * self.fps
        if not self.by_expert and (frames < 1 or abs(frames - round(frames)) > 1e-6):
            raise ForearmError(
                f"an action of {self.action_duration:g} s is {frames:g} frames at {self.fps} fps; "
                "choose a whole number of frames, at least one"
            )
        if not 16 <= self.size <= 1024 or self.size % 2:
            raise ForearmError(f"size is {self.size}; choose an even number of pixels from 16 to 1024")
        if not 0 < self.position_delta < 180:
            raise ForearmError(f"position delta is {self.position_delta:g}; choose one above 0 and below 180")
