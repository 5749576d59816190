"""Where the simulated SO-101's gripper gets, and what its cameras show of the table."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from forearm.canvas import Layout, driven_joints, plain
from forearm.recordings.features import CAMERA_PREFIX
from forearm.sim.kinematics import Grip, Kinematics
from forearm.sim.names import JOINTS, PAN_AXIS
from forearm.sim.simulator import Simulator
from forearm.sim.tasks.lift import UP
from forearm.sim.tasks.task import HOVER, JAW_FACE, OPEN, above, low

MIDDLE = 0.02
"""Height of objects' middles, metres; where they are higher or lower, they seem to stand farther or nearer."""
OPENING = 10.0
"""Of the gripper while it pushes; things get stuck between open jaws."""
_BACK = 0.015  # metres that the gripper goes back before it is raised, so that it takes nothing along
_SEGMENT = 0.025  # metres of a stroke from one joint position to the next, so that it is straight
CLOSED = 8.0
"""Of the gripper when it holds something: narrower than any object, so that it is pressed."""
_BESIDE, _HALF_WIDTH = 0.026, 0.018  # metres from the fixed jaw to an object's middle while the jaws are open, closed
_DROP = 0.004  # metres above the table at which an object is let go
_NEAR_ARM = 0.13  # metres from the axis of shoulder_pan to where the gripper is out of the way


def moves_all_joints(layout: Layout) -> bool:
    """Whether an action moves the targets of all joints of the SO-101 at once, by any amount.

    One that comes from recorded targets does not: it says where a target is beside the joint.
    """
    return not layout.discrete and layout.action_is != "target" and set(driven_joints(layout)) == set(JOINTS)


class SimulatedReach:
    """The SO-101's kinematics and the simulated cameras' places; it does not look at the simulator's objects.

    Args:
        simulator: of whose arm and cameras.
        layout: whose joints are meant; its actions move all joints, see `moves_all_joints`.
    """

    def __init__(self, simulator: Simulator, layout: Layout) -> None:
        self._simulator, self._kinematics, self._rest = simulator, Kinematics(simulator), simulator.joints()
        self._joints = [JOINTS.index(plain(name)) for name in layout.joint_names]

    def on_table(self, camera: str, places: np.ndarray) -> np.ndarray:
        """Points of the table (n, 2) in metres, ``MIDDLE`` above it, that a camera shows at places (n, 2), right and
        down in shares of its picture."""
        model, data = self._simulator.model, self._simulator.data
        number = model.camera(camera.removeprefix(CAMERA_PREFIX)).id
        half = np.tan(np.radians(model.cam_fovy[number]) / 2)
        across = (places - 0.5) * [2 * half, -2 * half]
        rays = np.column_stack([across, np.full(len(places), -1.0)]) @ data.cam_xmat[number].reshape(3, 3).T
        eye = data.cam_xpos[number]
        return eye[:2] + rays[:, :2] * ((MIDDLE - eye[2]) / rays[:, 2:])

    def stroke(self, joints: np.ndarray, begin: np.ndarray, end: np.ndarray) -> np.ndarray | None:
        """Joints (n, J) float32 on a stroke: up, to above ``begin`` (2,), down, straight to ``end`` (2,), back, and up.

        Args:
            joints: (J,) at present, in their units; not among those that are returned.
            begin: metres on the table.
            end: metres on the table.

        Returns:
            None where it is out of reach.
        """
        now = np.zeros(len(JOINTS), np.float32)
        now[self._joints] = joints
        kinematics, onwards = self._kinematics, end - begin
        across = float(np.degrees(np.arctan2(onwards[1], onwards[0]))) + 90
        first, last = (Grip(np.array([*at, MIDDLE]), across=across, opening=OPENING) for at in (begin, end))
        pitch = kinematics.pitch([first, above(first), last], self._rest)
        if pitch is None:
            return None
        first, last = (replace(grip, pitch=pitch, at=np.array([*grip.at[:2], low(pitch)])) for grip in (first, last))
        way, tip = [above(first), first], kinematics.point(now)
        if tip[2] < HOVER:
            way.insert(0, Grip(np.array([*tip[:2], HOVER]), pitch=pitch, across=across, opening=OPENING))
        for share in np.linspace(0, 1, int(np.ceil(np.linalg.norm(onwards) / _SEGMENT)) + 1)[1:]:
            way.append(replace(last, at=first.at + share * (last.at - first.at)))
        back = replace(last, at=last.at - _BACK * np.array([*onwards, 0.0]) / max(float(np.linalg.norm(onwards)), 1e-9))
        way += [back, above(back)]
        return self._along(now, way)

    def carry(self, joints: np.ndarray, at: np.ndarray, to: np.ndarray, turn: float) -> np.ndarray | None:
        """Joints (n, J) float32 on a carry: open, above ``at`` (2,), down, closed, up, over ``to`` (2,), down, open,
        up, and back to the arm, so that the object is in sight.

        Args:
            joints: (J,) at present, in their units; not among those that are returned.
            at: metres on the table, the middle of the object.
            to: metres on the table, where its middle is to be.
            turn: radians by which the jaws are turned from opening sideways of the arm.

        Returns:
            None where it is out of reach.
        """
        now = np.zeros(len(JOINTS), np.float32)
        now[self._joints] = joints
        kinematics = self._kinematics
        ends = [
            Grip(
                np.array([*place, MIDDLE]),
                across=90 + np.degrees(turn + np.arctan2(*(place - PAN_AXIS)[::-1])),
                opening=opening,
                tip=(Grip.tip[0], JAW_FACE + beside),
            )
            for place, opening, beside in ((at, OPEN, _BESIDE), (to, CLOSED, _HALF_WIDTH))
        ]
        pitch = kinematics.pitch([each for end in ends for each in (end, above(end))], self._rest)
        if pitch is None:
            return None
        grasp, release = (
            replace(end, pitch=pitch, at=np.array([*end.at[:2], low(pitch) + rise]))
            for end, rise in zip(ends, (0.0, _DROP), strict=True)
        )
        held, left = replace(grasp, opening=CLOSED), replace(release, opening=OPEN)
        way = [above(grasp), grasp, held, above(held), above(release), release, left, above(left)]
        tip = kinematics.point(now, grasp.tip)
        up = replace(grasp, at=np.array([*tip[:2], HOVER]))
        if tip[2] < HOVER and (steepest := kinematics.pitch([up], now)) is not None:
            way.insert(0, replace(up, pitch=steepest))
        onwards = (to - PAN_AXIS) / max(float(np.linalg.norm(to - PAN_AXIS)), 1e-9)
        away = replace(above(left), at=np.array([*(PAN_AXIS + _NEAR_ARM * onwards), UP]))
        way.append(replace(away, pitch=kinematics.pitch([away], self._rest) or pitch))
        return self._along(now, way)

    def _along(self, now: np.ndarray, way: Sequence[Grip]) -> np.ndarray:
        """Joints (n, J) that bring the gripper to grips, one after the other, when the servos are sent their changes
        from the present (6,): gravity lets the arm sag elsewhere by more or less."""
        found, here = [], now
        for number, grip in enumerate(way):
            here, _ = self._kinematics.solve(grip, here, near=number > 0)
            found.append(here)
        sags = [self._kinematics.holding(each) - each for each in (now, *found)]
        return np.array([each + sag - sags[0] for each, sag in zip(found, sags[1:], strict=True)])[:, self._joints]
