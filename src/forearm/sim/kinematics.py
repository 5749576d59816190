"""Inverse kinematics: which joints bring the gripper somewhere. Damped least squares (Wampler 1986)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from forearm.sim.engine import mujoco
from forearm.sim.names import JOINTS, PAN_AXIS
from forearm.sim.simulator import Simulator, from_radians, to_radians

PITCHES = (90.0, 80.0, 70.0, 60.0, 50.0, 40.0, 30.0)
"""Degrees below the horizon; the steepest that reaches is taken."""
_REACHED = 0.003  # metres by which a grip may be missed
_PAN, _LIFT, _ELBOW, _FLEX, _ROLL, _GRIPPER = range(len(JOINTS))
_SOLVED = [_PAN, _LIFT, _ELBOW, _FLEX]
_DAMPING = 0.01
_METRES_PER_RADIAN = 0.1  # how an error of the pitch counts beside one of the position
_LONGEST = 0.25  # radians of a joint in one iteration


@dataclass(frozen=True)
class Grip:
    """Where the gripper is to be."""

    at: np.ndarray
    """(3,) metres: where the point between the jaws' tips is."""
    pitch: float = 90.0
    """Degrees below the horizon to which the gripper points."""
    across: float | None = None
    """Degrees from x to y, as seen from above, of the line across which the jaws open; a half turn makes no difference.
    By default they open sideways of the arm."""
    opening: float = 10.0
    """The gripper's joint, 0 to 100."""
    tip: tuple[float, float] = (0.098, 0.0)
    """Metres along and across the gripper to the point that is to be there."""


class Kinematics:
    """Solves for the joints of one simulator's arm, without moving it.

    Args:
        simulator: of which the arm is.
    """

    def __init__(self, simulator: Simulator) -> None:
        self._model, self._data = simulator.model, mujoco.MjData(simulator.model)
        self._gripper = self._model.body("gripper").id
        self._limits = self._model.jnt_range[: len(JOINTS)]
        self._stiffness = self._model.actuator_gainprm[:, 0]

    def solve(
        self, grip: Grip, start: np.ndarray, iterations: int = 30, near: bool = False
    ) -> tuple[np.ndarray, float]:
        """The joints for a grip.

        Args:
            grip: where the gripper is to be.
            start: joints (6,) near which a solution is looked for.
            iterations: at most so many.
            near: of the two ways to turn the wrist, take the one that is nearer to the start, not the smaller one.

        Returns:
            joints (6,) float32 within their limits, and by how many metres the point is missed.
        """
        q = to_radians(start)
        q[_GRIPPER] = to_radians(np.full(len(JOINTS), grip.opening))[_GRIPPER]
        position = np.zeros((3, self._model.nv))
        error, rolled = np.zeros(4), q[_ROLL] if near else 0.0
        for _ in range(iterations):
            q[_ROLL] = _roll(q[_PAN], grip, rolled)
            self._set(q)
            point = self._point(grip.tip)
            pitch = q[_LIFT] + q[_ELBOW] + q[_FLEX]
            error = np.array([*(grip.at - point), _METRES_PER_RADIAN * (np.radians(grip.pitch) - pitch)])
            if np.abs(error).max() < 2e-4:
                break
            mujoco.mj_jac(self._model, self._data, position, None, point, self._gripper)
            jacobian = np.vstack([position[:, _SOLVED], _METRES_PER_RADIAN * np.array([0.0, 1.0, 1.0, 1.0])])
            squares = jacobian @ jacobian.T + _DAMPING**2 * np.eye(4)
            step = jacobian.T @ np.linalg.solve(squares, error)
            q[_SOLVED] += step * min(1.0, _LONGEST / max(np.abs(step).max(), 1e-9))
            q = np.clip(q, *self._limits.T)
        return from_radians(q), float(np.linalg.norm(error[:3]))

    def pitch(self, grips: Sequence[Grip], start: np.ndarray) -> float | None:
        """The steepest pitch with which all of some grips can be reached, or None; ``start`` as of `solve`."""
        for pitch in PITCHES:
            if all(self.reaches(replace(grip, pitch=pitch), start) for grip in grips):
                return pitch
        return None

    def reaches(self, grip: Grip, start: np.ndarray) -> bool:
        """Whether the gripper gets there; ``start`` as of `solve`, but turned towards the grip."""
        turned = start.copy()
        turned[_PAN] = -np.degrees(np.arctan2(*(grip.at[:2] - PAN_AXIS)[::-1]))
        return self.solve(grip, turned)[1] < _REACHED

    def holding(self, joints: np.ndarray) -> np.ndarray:
        """The targets (6,) float32 that hold the arm at ``joints`` against gravity."""
        q = to_radians(joints)
        self._set(q)
        self._data.qvel[:] = 0
        mujoco.mj_fwdPosition(self._model, self._data)
        mujoco.mj_fwdVelocity(self._model, self._data)
        return from_radians(q + self._data.qfrc_bias[: len(JOINTS)] / self._stiffness)

    def point(self, joints: np.ndarray, tip: tuple[float, float] = Grip.tip) -> np.ndarray:
        """Where a point of the gripper is, (3,) metres."""
        self._set(to_radians(joints))
        return self._point(tip)

    def _point(self, tip: tuple[float, float]) -> np.ndarray:
        body = self._data.body(self._gripper)
        return body.xpos + body.xmat.reshape(3, 3) @ [*tip, 0.0]

    def _set(self, q: np.ndarray) -> None:
        self._data.qpos[: len(JOINTS)] = q
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)


def _roll(pan: float, grip: Grip, near: float) -> float:
    """The wrist's roll for which the jaws open across the line that is asked for, of both the one nearer to ``near``.

    At roll 0 they open sideways; pan turns clockwise as seen from above, and roll the other way where the gripper
    points down.
    """
    if grip.across is None:
        return 0.0
    turn = np.radians(grip.across - 90.0) + pan - near
    return float((turn + np.pi / 2) % np.pi - np.pi / 2 + near)
