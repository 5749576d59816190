"""Poses from which an action on a joint can be carried out and seen."""

import numpy as np

from forearm.arms.protocol import Vary
from forearm.base.errors import ForearmError
from forearm.sim.engine import mujoco
from forearm.sim.names import JOINTS
from forearm.sim.scene import TABLE_CENTRE, TABLE_SIZE
from forearm.sim.simulator import Simulator

NOMINAL = np.array([0, -30, 30, 55, 0, 35], np.float32)  # bent over the table, the gripper looking down at it
# Where random poses are drawn from: a box before the arm; what of it can be used, `is_usable` decides.
LOWEST = np.array([-60, -65, -5, 10, -45, 10], np.float32)
HIGHEST = np.array([60, 5, 75, 90, 45, 55], np.float32)
JITTER = 1.5  # how far joints that are not varied lie from nominal
TRIES = 5000
_TIP_CLEARANCE = 0.03  # metres above the table
_TIP_ABOVE = 0.004  # where objects are to be touched
_VIEW_MARGIN = 0.96  # share of the picture's half side
_LOOKING_DISTANCE = (0.06, 0.38)  # metres from the wrist camera to the table, along its axis


def sample_pose(simulator: Simulator, joint: int, delta: float, vary: Vary, rng: np.random.Generator) -> np.ndarray:
    """Draw a pose from which ``joint`` can move by ±``delta``; see `is_usable`.

    Args:
        simulator: its arm is moved about.
        joint: index into ``JOINTS``.
        delta: in the joint's unit.
        vary: "all": every joint is random; "acting": ``joint`` alone, the others within ±1.5 of nominal.
        rng: decides.

    Returns:
        joints, (6,) float32.

    Raises:
        ForearmError: none was found.
    """
    for _ in range(TRIES):
        anywhere = rng.uniform(LOWEST, HIGHEST)
        near_nominal = NOMINAL + rng.uniform(-JITTER, JITTER, len(JOINTS))
        pose = anywhere if vary == "all" else near_nominal
        pose[joint] = anywhere[joint]
        if is_usable(simulator, pose, joint, delta):
            return pose.astype(np.float32)
    raise ForearmError(
        f"found no pose from which {JOINTS[joint]} can move by ±{delta:g}; choose a smaller position delta"
    )


def is_usable(simulator: Simulator, pose: np.ndarray, joint: int, delta: float, objects: bool = True) -> bool:
    """Whether the arm, all along ``pose`` ± ``delta`` on ``joint``, keeps its limits, touches nothing, stays in the
    base camera's picture and has the table before its wrist camera.

    Where free ``objects`` do not count, it may touch them, and come as close to the table as they are.
    """
    low, high = simulator.limits
    for share in (-1.05, 1.05, -0.5, 0.5, 0):  # a little beyond, as servos overshoot; the ends fail most often
        there = pose.copy()
        there[joint] += share * delta
        if (there < low).any() or (there > high).any():
            return False
        simulator.place(there)
        if not (_is_clear(simulator, objects) and _is_in_view(simulator) and _sees_table(simulator)):
            return False
    return True


def reach(
    simulator: Simulator, pose: np.ndarray, joint: int, delta: float, most: int, objects: bool = True
) -> tuple[int, int]:
    """How many moves of ``joint`` by ``delta`` fit one after another downwards and upwards from ``pose``.

    Each begins where `sample_pose` may have begun, so that a walk shows what single actions show.

    Args:
        simulator: its arm is moved about.
        pose: from `sample_pose` with the same ``joint`` and ``delta``.
        joint: index into ``JOINTS``.
        delta: in the joint's unit.
        most: enough; no more are looked for.
        objects: whether it may not touch any; see `is_usable`.
    """
    moves = [1, 1]
    for way, sign in enumerate((-1, 1)):
        there = pose.copy()
        while moves[way] < most:
            there[joint] += sign * delta
            within = LOWEST[joint] <= there[joint] <= HIGHEST[joint]
            if not within or not is_usable(simulator, there, joint, delta, objects):
                break
            moves[way] += 1
    return moves[0], moves[1]


def _is_clear(simulator: Simulator, objects: bool) -> bool:
    tips, clearance = simulator.data.site_xpos, _TIP_CLEARANCE if objects else _TIP_ABOVE
    return not simulator.touching(objects) and tips[:, 2].min() > clearance


def _is_in_view(simulator: Simulator) -> bool:
    """Whether elbow, wrist, gripper and both jaws' tips lie inside the base camera's square picture."""
    points = np.concatenate([simulator.data.xpos[simulator.arm_bodies], simulator.data.site_xpos])
    return bool((np.abs(simulator.seen("base", points) - 0.5) < _VIEW_MARGIN / 2).all())


def _sees_table(simulator: Simulator) -> bool:
    camera = mujoco.mj_name2id(simulator.model, mujoco.mjtObj.mjOBJ_CAMERA, "wrist")
    position, axis = simulator.data.cam_xpos[camera], -simulator.data.cam_xmat[camera].reshape(3, 3)[:, 2]
    if axis[2] >= 0:
        return False
    distance = -position[2] / axis[2]
    spot = position + distance * axis
    on_table = np.abs(spot[:2] - TABLE_CENTRE) < np.array(TABLE_SIZE) / 2
    nearest, farthest = _LOOKING_DISTANCE
    return bool(nearest < distance < farthest and on_table.all())
