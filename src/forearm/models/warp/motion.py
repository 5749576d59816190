"""Geometry of copying: where the pixels of one camera's picture come from in another, and copying them.

Coordinates are (x, y) in [−1, 1] from edge to edge of a camera's picture, so that they mean the same at every
resolution.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def pixel_coordinates(height: int, width: int) -> Tensor:
    """The centres of a picture's pixels, (height, width, 2) float32."""
    y, x = ((torch.arange(side, device="cpu") + 0.5) / side * 2 - 1 for side in (height, width))
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)


def homographies(logarithms: Tensor) -> Tensor:
    """Homographies (Hartley and Zisserman 2004, 2.3) from their logarithms, (..., 8) float to (..., 3, 3) float64.

    A logarithm is given row by row; its ninth number is 0. So small steps reach every homography, each can be inverted,
    and the inverse is that of the negative logarithm. Computed in float64 (float32 on MPS, which has no other), as
    coordinates far from where they began would be rounded differently in batches of another size.
    """
    precise = logarithms.float() if logarithms.device.type == "mps" else logarithms.double()
    return torch.matrix_exp(F.pad(precise, (0, 1)).unflatten(-1, (3, 3)))


def project(coordinates: Tensor, matrices: Tensor) -> Tensor:
    """Where homographies (..., 3, 3) send coordinates (h, w, 2), both float32: (..., h, w, 2) float32.

    What would come to lie behind the camera is kept before it.
    """
    x, y = coordinates.unbind(-1)
    rows = (matrices[..., i, :, None, None].unbind(-3) for i in range(3))
    right, down, depth = (a * x + b * y + c for a, b, c in rows)  # no matrix product, which autocast would make coarse
    return torch.stack([right, down], dim=-1) / depth.clamp(min=0.2)[..., None]


def copy(pictures: Tensor, coordinates: Tensor) -> Tensor:
    """Pictures sampled at coordinates, between pixels bicubically, as lines would blur, and beyond the edge as at it.

    (B, C, h, w) and (B, K, h', w', 2) to (B, K, C, h', w').
    """
    b, k = coordinates.shape[:2]
    sources = pictures[:, None].expand(-1, k, -1, -1, -1).flatten(0, 1)
    flat = coordinates.flatten(0, 1)
    copies = F.grid_sample(sources, flat, mode="bicubic", padding_mode="border", align_corners=False)
    return copies.unflatten(0, (b, k))


def halve(coordinates: Tensor) -> Tensor:
    """Coordinates (B, K, h, w, 2) for pictures of half the size."""
    b, k = coordinates.shape[:2]
    halved = F.avg_pool2d(coordinates.flatten(0, 1).permute(0, 3, 1, 2), 2)
    return halved.permute(0, 2, 3, 1).unflatten(0, (b, k))


def per_pixel(patches: Tensor, side: int) -> Tensor:
    """Unfold what is predicted of each patch, (B, rows, columns, side² · C) to (B, C, rows · side, columns · side)."""
    cells = patches.unflatten(3, (side, side, -1)).transpose(2, 3)
    return cells.flatten(1, 2).flatten(2, 3).permute(0, 3, 1, 2)
