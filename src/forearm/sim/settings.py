"""What to record of the simulated arm."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from forearm.arms.protocol import ACTIONS, ProtocolSettings, require_whole_frames
from forearm.base.errors import ForearmError
from forearm.base.files import checked, read_json
from forearm.sim.names import CONTROL_HZ, JOINTS, PHYSICS_HZ, TaskName
from forearm.sim.objects import ObjectSet

DEFAULT_CLUMSINESS = 0.3
LEAST_OBJECTS: Mapping[TaskName, int] = {"clutter": 2}
"""Free objects that a task needs, where it is more than one."""
MOST_OBJECTS: Mapping[TaskName, int] = {"obstacle": 4}
"""Free objects for which the table has room, where it is fewer than six."""
SETTINGS_KEPT = "meta/simulation.json"
"""Where a recording of the simulator keeps its settings, since 2026-11-27."""
MODEL_SETTINGS = {"warp": {"mse_weight": 10.0}}
"""Settings by family that suit simulated pictures better than its own (docs/log/2026-11-25-warp-parts.md)."""


@dataclass(frozen=True)
class RecordingSettings(ProtocolSettings):
    """What to record."""

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
    free_objects: int | None = None
    """How many free objects there are besides a wall; by default as many as the task is made for. A policy that reads
    no words can learn a task with one object alone: the words say which of several is meant."""
    every_action: bool = False
    """Record STAY, MOVE+ and MOVE- from the identical state, in three consecutive episodes: a test set with true
    counterfactuals. It disregards how often each action is wanted."""
    scene_seed: int | None = None
    """Decides the sessions instead of --seed, to record other states in the same scenes."""
    size: int = 224
    """Side of the cameras' square pictures, pixels."""

    @property
    def by_expert(self) -> bool:
        """Whether an expert acts, and no single actions are recorded."""
        return self.task is not None and not (self.single_actions or self.every_action)

    @property
    def clumsy(self) -> float:
        """``clumsiness``, or its default."""
        return DEFAULT_CLUMSINESS if self.clumsiness is None else self.clumsiness

    @property
    def states(self) -> int:
        """How many consecutive episodes begin in one state."""
        return len(ACTIONS) if self.every_action else 1

    def require_sound(self) -> None:
        """Refuse settings that nothing can be recorded with.

        Raises:
            ForearmError: says which setting, and what it may be.
        """
        self.require_decisions(JOINTS)
        if (self.scene_seed or 0) < 0:
            raise ForearmError(f"scene_seed is {self.scene_seed}; choose a number from 0 up")
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
        self._require_room()
        if not self.by_expert:
            require_whole_frames(self.action_duration, self.fps)
        if not 16 <= self.size <= 1024 or self.size % 2:
            raise ForearmError(f"size is {self.size}; choose an even number of pixels from 16 to 1024")

    def _require_room(self) -> None:
        if self.free_objects is None or self.task is None:
            return
        least, most = LEAST_OBJECTS.get(self.task, 1), MOST_OBJECTS.get(self.task, 6)
        if not least <= self.free_objects <= most:
            raise ForearmError(
                f"free_objects is {self.free_objects}; choose {least} to {most}, or leave it out for as many as the "
                "task is made for"
            )


def recorded_settings(recording: Path | str | None, known: Mapping[str, Any]) -> RecordingSettings:
    """The settings of a recording of the simulator, or, without one, those that are known.

    Args:
        recording: its folder.
        known: fields of the settings; of a recording that keeps no settings, all that differ from the defaults.

    Raises:
        ForearmError: there is no such folder; a field is of another type or unknown, or differs from the recording's;
            or the recording keeps none and none are known.
    """
    kept: dict[str, Any] = {}
    if recording is not None:
        path = Path(recording) / SETTINGS_KEPT
        if not Path(recording).is_dir():
            raise ForearmError(f"there is no folder {recording}; give the one that forearm record --task wrote")
        if path.is_file():
            kept = asdict(checked(RecordingSettings, read_json(path), str(path)))
        elif not known:
            raise ForearmError(
                f"{recording} keeps no settings of the simulator ({SETTINGS_KEPT}); give the folder that forearm "
                "record --task wrote or, if an older forearm did, say what differed from the defaults, such as task, "
                "seed, sessions and fps"
            )
    for name, value in known.items():
        if kept and name in kept and kept[name] != value:
            raise ForearmError(f"{name} is {value!r}, but {recording} was recorded with {kept[name]!r}; leave it out")
    return checked(RecordingSettings, {**kept, **known}, "the simulator's settings")
