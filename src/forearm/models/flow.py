"""Geometry of copying: where the pixels of one camera's picture come from in another, and copying them.

Places are (x, y) in [−1, 1] from edge to edge of a camera's picture, so that they mean the same at every resolution.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def pixel_places(height: int, width: int) -> Tensor:
    """The centres of a picture's pixels, (height, width, 2) float32."""
    y, x = ((torch.arange(side) + 0.5) / side * 2 - 1 for side in (height, width))
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)


def homographies(logarithms: Tensor) -> Tensor:
    """What a plane looks like from elsewhere (Hartley and Zisserman 2004, 2.3), (..., 8) float to (..., 3, 3) float64.

    Given by its logarithm, row by row, whose last entry is 0: so that nothing is out of reach of small steps, all can
    be inverted, and the inverse is that of the negative. In float64 (float32 on MPS, which has no other), as what is
    far from where it began would be rounded differently in batches of another size.
    """
    precise = logarithms.float() if logarithms.device.type == "mps" else logarithms.double()
    return torch.matrix_exp(F.pad(precise, (0, 1)).unflatten(-1, (3, 3)))


def project(places: Tensor, matrices: Tensor) -> Tensor:
    """Where homographies (..., 3, 3) send places (h, w, 2), both float32: (..., h, w, 2) float32.

    What would come to lie behind the camera is kept before it.
    """
    x, y = places.unbind(-1)
    rows = (matrices[..., i, :, None, None].unbind(-3) for i in range(3))
    right, down, depth = (a * x + b * y + c for a, b, c in rows)  # no matrix product, which autocast would make coarse
    return torch.stack([right, down], dim=-1) / depth.clamp(min=0.2)[..., None]


def copy(pictures: Tensor, places: Tensor) -> Tensor:
    """Pictures read at places, between pixels bicubically, as lines would blur, and beyond the edge as at the edge.

    (B, C, h, w) and (B, K, h', w', 2) to (B, K, C, h', w').
    """
    b, k = places.shape[:2]
    sources = pictures[:, None].expand(-1, k, -1, -1, -1).flatten(0, 1)
    copies = F.grid_sample(sources, places.flatten(0, 1), mode="bicubic", padding_mode="border", align_corners=False)
    return copies.unflatten(0, (b, k))


def halve(places: Tensor) -> Tensor:
    """Places (B, K, h, w, 2) for pictures of half the size."""
    b, k = places.shape[:2]
    halved = F.avg_pool2d(places.flatten(0, 1).permute(0, 3, 1, 2), 2)
    return halved.permute(0, 2, 3, 1).unflatten(0, (b, k))
