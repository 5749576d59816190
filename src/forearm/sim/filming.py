"""Carrying out actions with the simulated arm while its cameras film."""

from collections.abc import Sequence

import numpy as np

from forearm.canvas import trajectory
from forearm.recordings import EpisodeData
from forearm.sim.names import CAMERA_PREFIX, CAMERAS, JOINTS, PHYSICS_HZ
from forearm.sim.simulator import Simulator

SETTLING = 0.6  # seconds of rest before a decision


def settle(simulator: Simulator, pose: np.ndarray) -> None:
    """Put the arm at ``pose`` and let it come to rest there."""
    simulator.place(pose)
    simulator.step(simulator.targets(), SETTLING)


def change_of(joint: int, by: float) -> np.ndarray:
    """The change (6,) of all targets that moves one joint, by its index into ``JOINTS``."""
    return by * np.eye(len(JOINTS))[joint]


def film(
    simulator: Simulator,
    changes: Sequence[np.ndarray],
    *,
    duration: float = 0.5,
    fps: int = 30,
    size: int = 224,
    cameras: Sequence[str] = CAMERAS,
) -> EpisodeData:
    """Carry out one change of the targets after another, and film it.

    The first frame is the present, the last one the end; the frame in which a change ends is that in which the next
    begins.

    Args:
        simulator: at rest.
        changes: of all targets, (6,) in the joints' units each; 0 to stay.
        duration: seconds of each change; ``duration * fps`` is a whole number.
        fps: frames a second, a divisor of 300.
        size: side of the pictures, pixels.
        cameras: which film; none to record the joints alone.
    """
    footage, target = Footage(simulator, size, cameras), simulator.targets()
    frames = round(duration * fps)
    for change in changes:
        for part in np.split(trajectory(target, change, frames * PHYSICS_HZ // fps), frames):
            footage.look()
            simulator.follow(part)
            footage.sent(target := part[-1])
    footage.look()
    footage.sent(target)
    return footage.episode(fps)


class Footage:
    """What cameras and sensors have recorded of a simulator so far, a row a frame.

    Args:
        simulator: which is filmed.
        size: side of the pictures, pixels.
        cameras: which film; none to record the joints alone.
    """

    def __init__(self, simulator: Simulator, size: int, cameras: Sequence[str] = CAMERAS) -> None:
        self._simulator, self._size = simulator, (size, size)
        self._states: list[np.ndarray] = []
        self._targets: list[np.ndarray] = []
        self._environment: list[np.ndarray] = []
        self._pictures: dict[str, list[np.ndarray]] = {camera: [] for camera in cameras}

    def look(self) -> None:
        """Begin a row with what is seen and measured at present."""
        self._states.append(self._simulator.joints())
        for camera, pictures in self._pictures.items():
            pictures.append(self._simulator.render(camera, self._size))
        if self._simulator.objects:
            self._environment.append(self._simulator.environment())

    def sent(self, targets: np.ndarray) -> None:
        """End the row with the targets (6,) that were sent last before the next one."""
        self._targets.append(targets)

    def episode(self, fps: int) -> EpisodeData:
        """All rows; ``fps`` is how many there were a second."""
        filmed = {CAMERA_PREFIX + camera: np.stack(frames) for camera, frames in self._pictures.items()}
        environment = np.stack(self._environment) if self._environment else None
        rows = (np.stack(self._states), np.stack(self._targets))
        return EpisodeData(fps, *rows, filmed, environment=environment)
