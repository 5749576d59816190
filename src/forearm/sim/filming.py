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
    states, targets = [], []
    pictures: dict[str, list[np.ndarray]] = {camera: [] for camera in cameras}

    def look() -> None:
        states.append(simulator.joints())
        for camera in cameras:
            pictures[camera].append(simulator.render(camera, (size, size)))

    frames, target = round(duration * fps), simulator.targets()
    for change in changes:
        for part in np.split(trajectory(target, change, frames * PHYSICS_HZ // fps), frames):
            look()
            simulator.follow(part)
            targets.append(target := part[-1])
    look()
    targets.append(target)
    filmed = {CAMERA_PREFIX + camera: np.stack(frames) for camera, frames in pictures.items()}
    return EpisodeData(fps, np.stack(states), np.stack(targets), filmed)
