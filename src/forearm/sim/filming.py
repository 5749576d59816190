"""The simulator as an arm that carries out actions while its cameras film."""

from collections.abc import Mapping, Sequence

import numpy as np

from forearm.arms import Look
from forearm.arms import film as film_arm
from forearm.recordings import EpisodeData
from forearm.recordings.features import CAMERA_PREFIX
from forearm.sim.names import CAMERAS, JOINTS, PHYSICS_HZ
from forearm.sim.simulator import Simulator

SETTLING = 0.6  # seconds of rest before a decision


def settle(simulator: Simulator, pose: np.ndarray) -> None:
    """Put the arm at ``pose`` and let it come to rest there."""
    simulator.place(pose)
    simulator.step(simulator.targets(), SETTLING)


def change_of(joint: int, by: float) -> np.ndarray:
    """The change (6,) of all targets that moves one joint, by its index into ``JOINTS``."""
    return by * np.eye(len(JOINTS))[joint]


class SimulatedDriver:
    """Joints and cameras of a simulator; see `forearm.arms.Driver`.

    Args:
        simulator: which is seen and moved.
        sizes: camera to height and width of its pictures, pixels; none to see the joints alone.
    """

    joints = JOINTS

    def __init__(self, simulator: Simulator, sizes: Mapping[str, tuple[int, int]]) -> None:
        self.simulator, self.sizes = simulator, sizes

    def look(self) -> Look:
        simulator, joints = self.simulator, self.simulator.joints()
        pictures = {CAMERA_PREFIX + camera: simulator.render(camera, size) for camera, size in self.sizes.items()}
        return Look(joints, pictures, simulator.environment() if simulator.objects else None)

    def targets(self) -> np.ndarray:
        return self.simulator.targets()

    def targets_per_frame(self, fps: float) -> int:
        return round(PHYSICS_HZ / fps)

    def require_allowed(self, change: np.ndarray, seconds: float) -> None:
        """Nothing breaks in a simulator."""

    def follow(self, targets: np.ndarray, seconds: float) -> None:
        self.simulator.follow(targets)

    def require_followed(self, change: np.ndarray) -> None:
        """An object may hold the arm back."""


def film(
    simulator: Simulator,
    changes: Sequence[np.ndarray],
    *,
    duration: float = 0.5,
    fps: int = 30,
    size: int = 224,
    cameras: Sequence[str] = CAMERAS,
) -> EpisodeData:
    """Carry out one change of the targets after another, and film it; see `forearm.arms.film`.

    Args:
        simulator: at rest.
        changes: of all targets, (6,) in the joints' units each; 0 to stay.
        duration: seconds of each change; ``duration * fps`` is a whole number.
        fps: frames a second, a divisor of 300.
        size: side of the pictures, pixels.
        cameras: which film; none to record the joints alone.
    """
    driver = SimulatedDriver(simulator, dict.fromkeys(cameras, (size, size)))
    return film_arm(driver, changes, duration=duration, fps=fps)
