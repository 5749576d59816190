"""The operator of the simulated arm: brings the gripper somewhere, more or less skilfully, target by target."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from forearm.sim.kinematics import Grip, Kinematics
from forearm.sim.names import CONTROL_HZ, JOINTS
from forearm.sim.simulator import Simulator

Targets = Iterator[np.ndarray]
"""What the servos are sent, (6,) float32, each for 1/30 s."""
_DEGREES_A_SECOND = 100.0  # of the joint that moves most
_LEAST_SECONDS = 0.35
_CLEAR = 0.035  # metres
# For clumsiness 1:
_AIM = 0.014  # metres by which an approach misses, in x and y each
_TREMOR, _TREMOR_SECONDS = 1.2, 0.25  # degrees of each joint, and for how long they last
_PAUSES = 0.4  # share of the motions after which it hesitates
_PACE = 0.35  # standard deviation of the logarithm of its speed


class Operator:
    """Makes commanded joint targets of grips.

    Args:
        simulator: whose arm it moves, by what its targets are sent.
        clumsiness: 0 is as good as it can be; 1 misses by centimetres, trembles and hesitates.
        rng: decides how.
    """

    def __init__(self, simulator: Simulator, clumsiness: float, rng: np.random.Generator) -> None:
        self.simulator, self.kinematics = simulator, Kinematics(simulator)
        self.joints = simulator.joints()
        self._clumsiness, self.rng = clumsiness, rng
        self._tremor = np.zeros(len(JOINTS))

    def misaimed(self) -> np.ndarray:
        """By how much an approach misses, (3,) metres."""
        return np.array([*self.rng.normal(0, _AIM * self._clumsiness, 2), 0.0])

    def reach(self, grip: Grip, pace: float = 1.0) -> Targets:
        """Go to a grip, on the way that is easiest for the joints."""
        end, _ = self.kinematics.solve(grip, self.joints)
        pace *= np.exp(self._clumsiness * self.rng.normal(0, _PACE))
        yield from self.move(end, max(_LEAST_SECONDS, np.abs(end - self.joints).max() / _DEGREES_A_SECOND) / pace)
        yield from self._hesitation()

    def move(self, joints: np.ndarray, seconds: float) -> Targets:
        """Go to joints (6,)."""
        start = self.joints
        for share in _eased(seconds):
            yield self._command(start + share * (joints - start))

    def clears(self, joints: np.ndarray) -> bool:
        """Whether the jaws' ends are well above the table with joints (6,)."""
        return bool(self.kinematics.point(joints)[2] > _CLEAR)

    def slide(self, start: Grip, end: Grip, speed: float = 0.12) -> Targets:
        """Go from a grip, where it is, to another in a straight line.

        Args:
            start: where it is.
            end: where to go.
            speed: metres a second.
        """
        speed *= np.exp(self._clumsiness * self.rng.normal(0, _PACE))
        for share in _eased(float(np.linalg.norm(end.at - start.at)) / speed):
            yield self.at(
                replace(
                    start,
                    at=start.at + share * (end.at - start.at),
                    pitch=start.pitch + share * (end.pitch - start.pitch),
                    opening=start.opening + share * (end.opening - start.opening),
                )
            )
        yield from self._hesitation()

    def open_to(self, opening: float, seconds: float = 0.4) -> Targets:
        """Open or close the gripper where it is."""
        joints = self.joints.copy()
        joints[-1] = opening
        yield from self.move(joints, seconds)

    def close(self, squeeze: float = 3.0) -> Targets:
        """Close the gripper until something is between the jaws, and hold it.

        Args:
            squeeze: by how much more it is closed than the jaws can follow, hundredths of its opening.
        """
        joints = self.joints.copy()
        while joints[-1] > 0 and self.simulator.joints()[-1] - joints[-1] < squeeze:
            joints[-1] -= 1.5
            yield self._command(joints)
        yield from self.wait(0.2)

    def wait(self, seconds: float) -> Targets:
        """Stay."""
        for _ in range(round(seconds * CONTROL_HZ)):
            yield self._command(self.joints)

    def at(self, grip: Grip) -> np.ndarray:
        """The targets (6,) that bring the gripper to a grip close by."""
        return self._command(self.kinematics.solve(grip, self.joints, iterations=8, near=True)[0])

    def _command(self, joints: np.ndarray) -> np.ndarray:
        self.joints = joints.astype(np.float32)
        kept = np.exp(-1 / (_TREMOR_SECONDS * CONTROL_HZ))
        drawn = self.rng.normal(0, 1, len(JOINTS))
        self._tremor = kept * self._tremor + np.sqrt(1 - kept**2) * drawn
        trembling = self.joints + self._clumsiness * _TREMOR * self._tremor
        return self.kinematics.holding(np.clip(trembling, *self.simulator.limits))

    def _hesitation(self) -> Targets:
        if self.rng.random() < _PAUSES * self._clumsiness:
            yield from self.wait(self.rng.uniform(0.1, 0.5))


def _eased(seconds: float) -> np.ndarray:
    """Shares of the way, one for each control step, that begin and end slowly."""
    steps = max(1, round(seconds * CONTROL_HZ))
    x = np.arange(1, steps + 1) / steps
    return x * x * (3 - 2 * x)
