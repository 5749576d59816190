"""Pre-contact poses: the gripper is next to a free object, and a move of one joint touches it."""

import numpy as np

from forearm.canvas import trajectory
from forearm.sim.filming import change_of, settle
from forearm.sim.kinematics import Grip, Kinematics
from forearm.sim.names import PHYSICS_HZ
from forearm.sim.poses import is_usable
from forearm.sim.simulator import Simulator

_TRIES = 400
_APART = (0.012, 0.05)  # metres from an object's side to the point between the jaws
_HEIGHTS = (0.015, 0.05)
_PITCHES = (55.0, 95.0)
_OPENINGS = (2.0, 50.0)


def sample_precontact_pose(
    simulator: Simulator, joint: int, delta: float, duration: float, rng: np.random.Generator
) -> np.ndarray | None:
    """Draw a pose next to an object from which a move of ``joint`` by ``delta`` or by −``delta`` touches an object.

    Args:
        simulator: whose objects lie as they are to lie; its arm is moved about, and left at rest at the pose.
        joint: index into ``JOINTS``.
        delta: in the joint's unit.
        duration: of the move, seconds.
        rng: decides.

    Returns:
        joints (6,) float32; None where none was found, as objects may lie in awkward places.
    """
    kinematics = Kinematics(simulator)
    poses = simulator.poses()
    for _ in range(_TRIES):
        simulator.place_objects(poses)
        number, angle = int(rng.integers(len(poses))), rng.uniform(-np.pi, np.pi)
        away = simulator.objects[number].radius + rng.uniform(*_APART)
        at = [*(poses[number, :2] + away * np.array([np.cos(angle), np.sin(angle)])), rng.uniform(*_HEIGHTS)]
        grip = Grip(np.array(at), rng.uniform(*_PITCHES), rng.uniform(0, 180), rng.uniform(*_OPENINGS))
        pose, missed = kinematics.solve(grip, simulator.joints())
        if missed > 0.003 or not is_usable(simulator, pose, joint, delta, objects=False):
            continue
        if not _meets(simulator, joint, delta, pose):
            continue
        settle(simulator, pose)
        before = simulator.snapshot()
        if not simulator.touched().any() and any(
            _touches(simulator, joint, by, duration, before) for by in (delta, -delta)
        ):
            simulator.restore(before)
            return pose
    return None


def _meets(simulator: Simulator, joint: int, delta: float, pose: np.ndarray) -> bool:
    """Whether the arm would be within an object somewhere on the way; this is quicker to ask than physics."""
    for share in (-1, -0.6, 0.6, 1):
        simulator.place(pose + change_of(joint, share * delta))
        if simulator.touching():
            return True
    return False


def _touches(simulator: Simulator, joint: int, by: float, duration: float, before: np.ndarray) -> bool:
    simulator.restore(before)
    simulator.follow(trajectory(simulator.targets(), change_of(joint, by), round(duration * PHYSICS_HZ)))
    return bool(simulator.was_touched().any())
