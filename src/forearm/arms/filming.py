"""Carrying out actions with any arm while its cameras film."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from forearm.arms.arm import Driver, Look, joint_vector
from forearm.arms.settings import slow_seconds
from forearm.base.errors import ForearmError
from forearm.canvas import trajectory
from forearm.recordings import EpisodeData


class Footage:
    """What an arm's cameras and sensors have recorded so far, a row a frame."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._looks: list[Look] = []
        self._targets: list[np.ndarray] = []

    def look(self) -> None:
        """Begin a row with what is seen and measured at present."""
        self._looks.append(self._driver.look())

    def sent(self, targets: np.ndarray) -> None:
        """End the row with the targets (J,) that were sent last before the next one."""
        self._targets.append(targets)

    def episode(self, fps: int) -> EpisodeData:
        """All rows; ``fps`` is how many there were a second."""
        first = self._looks[0]
        pictures = {camera: np.stack([look.pictures[camera] for look in self._looks]) for camera in first.pictures}
        known = [look.environment for look in self._looks if look.environment is not None]
        return EpisodeData(
            fps,
            np.stack([look.joints for look in self._looks]),
            np.stack(self._targets),
            pictures,
            environment=np.stack(known) if known else None,
        )


def film(driver: Driver, changes: Sequence[np.ndarray], *, duration: float, fps: int) -> EpisodeData:
    """Carry out one change of the targets after another, and film it.

    The first frame is the present, the last one the end; the frame in which a change ends is that in which the next
    begins.

    Args:
        driver: of an arm at rest.
        changes: of all targets, (J,) in the joints' units each; 0 to stay.
        duration: seconds of each change; ``duration * fps`` is a whole number.
        fps: frames a second.

    Raises:
        ForearmError: a limit forbids a change, or the arm fails.
    """
    footage = Footage(driver)
    for change in changes:
        carry_out(driver, change, duration, round(duration * fps), footage.look, footage.sent)
    footage.look()
    footage.sent(driver.targets())
    return footage.episode(fps)


def move_to(driver: Driver, pose: Mapping[str, float]) -> None:
    """Move joints slowly to positions in their units, by plain name; the others stay.

    Raises:
        ForearmError: there is no such joint, a position is no number, a limit forbids the move, or the arm fails.
    """
    for name, position in pose.items():
        if name not in driver.joints:
            raise ForearmError(f"the arm has no joint {name!r}; it has {', '.join(driver.joints)}")
        if not np.isfinite(position):
            raise ForearmError(f"{name} is to go to what is no number; the arm holds its position")
    targets = driver.targets()
    change = joint_vector(driver.joints, pose, targets) - targets
    carry_out(driver, change, slow_seconds(change), 1)


def carry_out(
    driver: Driver,
    change: np.ndarray,
    duration: float,
    frames: int,
    look: Callable[[], None] = lambda: None,
    sent: Callable[[np.ndarray], None] = lambda targets: None,
) -> None:
    """Change the targets along the ramp of all recorded actions.

    Args:
        driver: of an arm at rest.
        change: of all targets, (J,) in the joints' units.
        duration: seconds.
        frames: in which the duration is divided evenly.
        look: is called before each frame.
        sent: is called with the last targets (J,) of each frame.

    Raises:
        ForearmError: a limit forbids the change, or the arm fails.
    """
    driver.require_allowed(change, duration)
    targets = trajectory(driver.targets(), change, frames * driver.targets_per_frame(frames / duration))
    for part in np.split(targets, frames):
        look()
        driver.follow(part, duration / frames)
        sent(part[-1])
    driver.require_followed(change)
