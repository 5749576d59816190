"""What an arm can do, whether it is simulated or real."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from forearm.canvas import Action, Layout, Observation
from forearm.recordings import EpisodeData, RecordingSpec
from forearm.recordings.features import CAMERA_PREFIX


@dataclass(frozen=True)
class Look:
    """What an arm's sensors measure at one time, in its own units and sizes."""

    joints: np.ndarray
    """(J,) float32 positions of all joints."""
    pictures: Mapping[str, np.ndarray]
    """Camera's feature key, such as ``observation.images.base``, to (H, W, 3) uint8."""
    environment: np.ndarray | None = None
    """(E,) float32 ``observation.environment_state``, where a simulator knows it."""


@dataclass(frozen=True)
class Health:
    """What the servos say of themselves, by plain joint name; empty where nobody knows."""

    load: Mapping[str, float] = field(default_factory=dict)
    """Share of the most torque, in percent, without its direction."""
    temperature: Mapping[str, float] = field(default_factory=dict)
    """Degrees Celsius."""
    voltage: Mapping[str, float] = field(default_factory=dict)
    """Volts."""


class Driver(Protocol):
    """An arm's joints and cameras, before any layout."""

    @property
    def joints(self) -> tuple[str, ...]:
        """Plain names of all J joints, in the order of every vector."""
        ...

    def look(self) -> Look:
        """Measure joints and pictures."""
        ...

    def targets(self) -> np.ndarray:
        """The (J,) targets that the servos were sent last."""
        ...

    def targets_per_frame(self, fps: float) -> int:
        """How many targets are sent from one frame to the next."""
        ...

    def require_allowed(self, change: np.ndarray, seconds: float) -> None:
        """Refuse to change the targets by ``change`` (J,) within ``seconds`` where a limit forbids it.

        Raises:
            ForearmError: says which limit.
        """
        ...

    def follow(self, targets: np.ndarray, seconds: float) -> None:
        """Send ``targets`` (n, J) one after another, evenly, in all within ``seconds``."""
        ...

    def require_followed(self, change: np.ndarray) -> None:
        """Refuse to go on where joints stayed behind targets that were changed by ``change`` (J,).

        Raises:
            ForearmError: says which joint.
        """
        ...


class Manipulator(Protocol):
    """An arm as a layout sees and moves it: what planning, live trials and learning use of one."""

    @property
    def layout(self) -> Layout:
        """Its cameras, joints and actions."""
        ...

    @property
    def duration(self) -> float:
        """Seconds of an action."""
        ...

    def connected(self) -> AbstractContextManager["Manipulator"]:
        """Be connected for the length of a block; whatever ends the block early, the arm then holds its position."""
        ...

    def observe(self) -> Observation:
        """Look, at rest."""
        ...

    def step(self, action: Action) -> None:
        """Carry out an action within the limits, and come to rest."""
        ...

    def film(self, action: Action, fps: int) -> EpisodeData:
        """Carry out an action as `step` does, filmed in the recorded size; the first frame is the present, the last
        one the end. It has no task and no log."""
        ...

    def spec(self, fps: int) -> RecordingSpec:
        """Of recordings of what `film` returns."""
        ...

    def move_to(self, pose: Mapping[str, float]) -> None:
        """Move joints slowly, by plain name, to positions in their units; the others stay.

        Raises:
            ForearmError: a joint is not there, or a limit forbids the move.
        """
        ...

    def home(self) -> None:
        """Move slowly to the home pose: where the arm stood when it was connected, unless another one was given."""
        ...

    def hold(self) -> None:
        """Stay where it is, stiff; it needs the motors alone."""
        ...

    def relax(self) -> None:
        """Let the motors go slack. The arm falls: support it. `hold` makes it stiff again."""
        ...

    def health(self) -> Health:
        """What the servos say of themselves."""
        ...


def joint_vector(joints: tuple[str, ...], values: Mapping[str, float], otherwise: Iterable[float]) -> np.ndarray:
    """(J,) float32 with the values of the joints that have one, and of ``otherwise`` (J,) for the others."""
    return np.array([values.get(name, other) for name, other in zip(joints, otherwise, strict=True)], np.float32)


def recording_spec(
    joints: tuple[str, ...],
    units: tuple[str, ...],
    cameras: Mapping[str, tuple[int, int]],
    fps: int,
    environment: tuple[str, ...] = (),
) -> RecordingSpec:
    """What every episode has in common that `forearm.arms.film` films.

    Args:
        joints: plain names.
        units: of the joints.
        cameras: plain name to the height and width of its pictures.
        fps: frames a second.
        environment: names of what a simulator knows besides.
    """
    names = tuple(f"{joint}.pos" for joint in joints)
    keys = {CAMERA_PREFIX + name: size for name, size in cameras.items()}
    return RecordingSpec(fps, names, names, keys, units=units, environment=environment)
