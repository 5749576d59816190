"""Geometry of copying: where the pixels of one camera's picture come from in another, and copying them.

Coordinates are (x, y) in [−1, 1] from edge to edge of a camera's picture, so that they mean the same at every
resolution.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

TAYLOR, SQUARINGS = 8, 8
"""Terms and squarings of a matrix exponential: exact to 1e-10 up to a norm of 2 ** 8 / 4."""


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
    return exponential(F.pad(precise, (0, 1)).unflatten(-1, (3, 3)))


def exponential(matrices: Tensor) -> Tensor:
    """The exponential of matrices (..., n, n), by scaling and squaring (Moler and Van Loan 2003, method 3).

    The number of operations is fixed. PyTorch's looks at the norms to choose it, for which a GPU has to be waited for,
    and ONNX has none.
    """
    identity = torch.eye(matrices.shape[-1], dtype=matrices.dtype, device=matrices.device)
    small = matrices * 0.5**SQUARINGS
    result = identity + small / TAYLOR
    for n in range(TAYLOR - 1, 0, -1):
        result = identity + small @ result / n
    for _ in range(SQUARINGS):
        result = result @ result
    return result


def motion_between(before: Tensor, after: Tensor) -> Tensor:
    """Where planes come from: homographies from the picture after to that before, (..., 3, 3) float32.

    Both are logarithms (..., 8) of where the planes are placed.
    """
    there, back = homographies(torch.stack([before, -after]))
    return (there @ back).float()


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

    (B, C, h, w) and (B, K, h', w', 2) to (B, C, K, h', w'). The K pictures are sampled as one tall one.
    """
    copies = F.grid_sample(
        pictures, coordinates.flatten(1, 2), mode="bicubic", padding_mode="border", align_corners=False
    )
    return copies.unflatten(2, coordinates.shape[1:3])


def halve(coordinates: Tensor) -> Tensor:
    """Coordinates (B, K, h, w, 2) for pictures of half the size."""
    return _planes_changed(coordinates, lambda planes: F.avg_pool2d(planes, 2))


def enlarge(displacements: Tensor, size: tuple[int, int]) -> Tensor:
    """Displacements (B, K, h, w, 2) for pictures of a larger size, between pixels linearly."""
    return _planes_changed(
        displacements, lambda planes: F.interpolate(planes, size, mode="bilinear", align_corners=False)
    )


def _planes_changed(coordinates: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    planes = coordinates.permute(0, 1, 4, 2, 3).flatten(1, 2)
    return change(planes).unflatten(1, (-1, 2)).permute(0, 1, 3, 4, 2)
