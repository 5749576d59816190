"""Joint maps: where in a camera's picture the joints put the arm, as features of each place.

A U-Net that is told the joints as a few numbers, alike everywhere, has to find out where the gripper is and will be.
A map that is decoded from the positions says so at each place, beside the pixels that the gripper will touch.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forearm.canvas import Camera

GRID = 16
"""Channels of the coarse map that a joint map is decoded from, one cell a patch."""


class JointMaps(nn.Module):
    """Joints to maps of one camera's picture of h × w pixels."""

    def __init__(self, camera: Camera, inputs: int, patch: int, shrink: int, channels: int):
        """``inputs`` are features of the joints, ``channels`` those of a map, whose sides are 1 / ``shrink``."""
        super().__init__()
        self.cells = (camera.height // patch, camera.width // patch)
        self.encode = nn.Sequential(
            *(nn.Linear(inputs, 128), nn.GELU(), nn.Linear(128, 128), nn.GELU()),
            nn.Linear(128, GRID * self.cells[0] * self.cells[1]),
        )
        self.decode = nn.Conv2d(GRID, channels * (patch // shrink) ** 2, 3, padding=1)
        self.enlarge = nn.PixelShuffle(patch // shrink)
        self.refine = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, joints: Tensor) -> Tensor:
        """Features of joints at N times, (N, B, inputs), to maps (B, N · channels, h / shrink, w / shrink).

        First comes the map of the first time, then how those of the others differ from it.
        """
        cells = self.encode(joints.flatten(0, 1)).unflatten(1, (GRID, *self.cells))
        maps = self.enlarge(self.decode(F.silu(cells).contiguous(memory_format=torch.channels_last)))
        first, *others = (maps + self.refine(F.silu(maps))).unflatten(0, joints.shape[:2])
        return torch.cat([first, *(other - first for other in others)], dim=1)
