"""Contact: what the gripper does to what lies at a place, from where it is, passes and will be.

A network that is told the joints as numbers has to learn where the gripper will be beside an object. From as many
pushes one learns more that is told where the gripper's points are in space (docs/log/2026-11-28-contact.md). So each
place of a camera's picture is told the points, and where it is itself.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forearm.canvas import Layout
from forearm.models.convolutions import UNetBody, group_norm
from forearm.models.joints import SMOOTH
from forearm.models.kinematics import POINTS, GripperPoints, arms
from forearm.models.warp.motion import pixel_coordinates

TIMES = 3
"""Before the action, half way and after it."""
TERMS = 6
"""Of a place: 1, x, y, x², y² and xy, so that lines of sight to the table are near to linear in them."""


class ContactNetwork(nn.Module):
    """A network that looks at each place of a map of features by itself."""

    where: Tensor

    def __init__(self, layout: Layout, body: UNetBody, width: int):
        """``width`` are the hidden features; the map is the one that ``body`` gives to ``at_places``."""
        super().__init__()
        self.arms = arms(layout)
        self.points = GripperPoints()
        told = 2 * (1 + 2 * SMOOTH) * len(layout.joints) + TIMES * 3 * POINTS * len(self.arms)
        self.norm = group_norm(body.place_channels)
        self.begin = nn.Conv2d(body.place_channels, width, 1)
        self.place = nn.Conv2d(TERMS * len(layout.cameras), width, 1, bias=False)
        self.told = nn.Linear(told, width)
        self.middle = nn.Conv2d(width, width, 1)
        self.end = nn.Conv2d(width, body.place_channels, 1)
        self.register_buffer("where", _where(layout, body), persistent=False)

    def start(self) -> None:
        """Begin by changing nothing; to be called once all weights are drawn."""
        nn.init.zeros_(self.end.weight)
        nn.init.zeros_(self.end.bias)  # type: ignore[arg-type]

    def tell(self, smooth: Tensor, before: Tensor, after: Tensor) -> Tensor:
        """What all places are told: (B, K).

        Args:
            smooth: (2, B, M) ``JointState.smooth``.
            before: (B, J) the joints' positions in their units.
            after: (B, J) those after the action.
        """
        way = torch.stack([before, (before + after) / 2, after], dim=1)
        with torch.autocast(way.device.type, enabled=False):  # half precision would cost millimetres
            points = [self.points(way[..., numbers]).flatten(1) for numbers in self.arms]
        return torch.cat([*smooth, *points], dim=1)

    def forward(self, features: Tensor, told: Tensor) -> Tensor:
        """Features (B, C, h, w) and what they are told (B, K), to features with what it adds, (B, C, h, w)."""
        hidden = self.begin(F.silu(self.norm(features))) + self.place(self.where) + self.told(told)[:, :, None, None]
        return features + self.end(F.gelu(self.middle(F.gelu(hidden))))


def _where(layout: Layout, body: UNetBody) -> Tensor:
    """Each camera's terms of the places of the padded frame's map, (1, TERMS · cameras, h, w); 0 outside of it."""
    cell = body.place_pixels
    rows, columns = (
        math.ceil(side / body.multiple) * body.multiple // cell for side in (layout.frame_height, layout.frame_width)
    )
    where = torch.zeros(1, TERMS * len(layout.cameras), rows, columns, device="cpu")
    for i, box in enumerate(layout.camera_boxes()):
        down, right = (slice(side.start // cell, math.ceil(side.stop / cell)) for side in box)
        x, y = (2 * pixel_coordinates(down.stop - down.start, right.stop - right.start)).unbind(-1)
        terms = torch.stack([torch.ones_like(x), x, y, x * x, y * y, x * y])
        where[0, TERMS * i : TERMS * (i + 1), down, right] = terms
    return where
