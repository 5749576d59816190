"""Forward kinematics of the SO-101: where joints put its gripper.

Lengths and axes are those of the arm's published model, as `forearm.sim` has them.
"""

import math

import torch
from torch import Tensor, nn

from forearm.canvas import Layout, plain

JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
ORIGINS = (
    (0.0388, 0.0, 0.0624),
    (0.0304, 0.0, 0.0542),
    (0.028, 0.0, 0.1126),
    (0.1349, 0.0, 0.0052),
    (0.0611, 0.0, 0.0),
    (0.0234, 0.0202, 0.0),
)
"""Metres from each link's origin to the next one's, the base's first."""
AXES = ((0, 0, -1), (0, 1, 0), (0, 1, 0), (0, 1, 0), (-1, 0, 0), (0, 0, 1))
"""About which each joint turns the link that it carries."""
CLOSED, OPEN = -10.0, 100.0
"""Degrees of the gripper's joint at 0 and at 100 %."""
GRIPPER = ((0.108, -0.008, 0.0), (0.068, -0.011, 0.0), (0.011, 0.0, 0.0), (0.010, 0.0, -0.026))
"""Points of the gripper, metres from its origin: the fixed jaw's tip and middle, the palm, and the motor beside it."""
JAW = ((0.084, 0.0, 0.0), (0.044, 0.0, 0.0))
"""Points of the moving jaw: its tip and its middle."""
POINTS = len(GRIPPER) + len(JAW)
CENTRE, UNIT = (0.2, 0.0, 0.05), 0.125
"""Metres from the base to the middle of where a gripper works, and what counts as 1 there."""


def arms(layout: Layout) -> list[list[int]]:
    """The joints of each SO-101, (6,) numbers in the order of ``JOINTS``; none where it is another arm.

    Joints are known by their names, perhaps behind the arm's own (``left_shoulder_pan.pos``), and by their units:
    degrees, and 0 to 100 for the gripper. Values that a calibration scaled otherwise do not tell angles.
    """
    places = {plain(name): number for number, name in enumerate(layout.joint_names)}
    found = []
    for name in places:
        before = name.removesuffix(JOINTS[0])
        numbers = [places.get(before + joint, -1) for joint in JOINTS]
        if name.endswith(JOINTS[0]) and min(numbers) >= 0:
            units = [layout.joints[number].unit for number in numbers]
            if set(units[:-1]) == {"deg"} and units[-1] == "%":
                found.append(numbers)
    return found


class GripperPoints(nn.Module):
    """Where an SO-101's joints put points of its gripper; it has no weights."""

    crosses: Tensor
    origins: Tensor
    gripper: Tensor
    jaw: Tensor
    centre: Tensor

    def __init__(self) -> None:
        super().__init__()
        crosses = torch.zeros(len(AXES), 3, 3, device="cpu")
        for cross, (x, y, z) in zip(crosses, AXES, strict=True):
            cross.copy_(torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], device="cpu"))
        constants = {"crosses": crosses, "origins": ORIGINS, "gripper": GRIPPER, "jaw": JAW, "centre": CENTRE}
        for name, values in constants.items():
            self.register_buffer(name, torch.as_tensor(values, dtype=torch.float32, device="cpu"), persistent=False)

    def forward(self, joints: Tensor) -> Tensor:
        """Joints (..., 6), degrees and the gripper's 0 to 100, to points (..., ``POINTS``, 3) in ``UNIT`` about
        ``CENTRE``; float32.

        Each link is turned about its axis by Rodrigues' formula and carries the next one.
        """
        *degrees, gripper = joints.float().unbind(-1)
        degrees.append(CLOSED + gripper / 100 * (OPEN - CLOSED))
        angles = torch.stack(degrees, dim=-1)[..., None, None] * (math.pi / 180)
        turns = torch.eye(3, device=angles.device) + angles.sin() * self.crosses
        turns = turns + (1 - angles.cos()) * (self.crosses @ self.crosses)
        turned, place, points = turns[..., 0, :, :], self.origins[0].expand(*joints.shape[:-1], 3), []
        for i in range(1, len(JOINTS)):
            place = place + _turned(turned, self.origins[i, None])[..., 0, :]
            turned = turned @ turns[..., i, :, :]
            if i >= len(JOINTS) - 2:
                points.append(place[..., None, :] + _turned(turned, self.jaw if i == len(JOINTS) - 1 else self.gripper))
        return (torch.cat(points, dim=-2) - self.centre) / UNIT


def _turned(turn: Tensor, points: Tensor) -> Tensor:
    """Points (n, 3) turned by matrices (..., 3, 3): (..., n, 3)."""
    return points @ turn.transpose(-1, -2)
