"""Memory: a camera's picture as it usually looks with the joints at given positions."""

import math

from torch import Tensor, nn
from torch.nn import functional as F

from forearm.canvas import Camera

MEMORY = 64
"""Features of the joints that a remembered picture is made of, and its longest side in pixels."""
MISTRUST = 50.0
"""How far memory loses trust where it fails to recall the present picture; in 1 / squared difference of grey."""


def memory_encoder(inputs: int) -> nn.Sequential:
    """From Fourier features of the joints to the memory's features."""
    return nn.Sequential(nn.Linear(inputs, 128), nn.GELU(), nn.Linear(128, MEMORY), nn.GELU())


def memory_heads(cameras: tuple[Camera, ...]) -> nn.ModuleList:
    """For each camera from the memory's features to its remembered picture."""
    return nn.ModuleList(nn.Linear(MEMORY, 3 * h * w) for h, w in map(memory_size, cameras))


def memory_size(camera: Camera) -> tuple[int, int]:
    """Height and width in which a camera's picture is remembered: its own, divided until it is small."""
    shrink = math.ceil(max(camera.height, camera.width) / MEMORY)
    return math.ceil(camera.height / shrink), math.ceil(camera.width / shrink)


def mistrust(recalled: Tensor, seen: Tensor) -> Tensor:
    """How far memory is to be trusted less, by the squared error with which it recalls what is seen: (B,)."""
    size = recalled.shape[-2:]
    error = recalled - (seen if seen.shape[-2:] == size else F.interpolate(seen, size, mode="area"))
    return MISTRUST * error.square().mean((1, 2, 3)).detach()
