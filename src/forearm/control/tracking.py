"""Finding an object again by its colours: histogram back-projection and mean shift, from the first picture alone.

Back-projection (Swain and Ballard 1991, Color Indexing) says for each pixel how likely its colour is the object's
rather than that of anything else in the first picture; mean shift (Comaniciu, Ramesh and Meer 2003, Kernel-Based Object
Tracking) finds the middle of what is likely. Neither cares how the object is turned, and both are finer than a pixel.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from forearm.base.errors import ForearmError

_BANDWIDTH = 0.08  # of a colour, each channel in [0, 1]
_BINS = 20  # of the histogram, a channel
_PRIOR = 3.0  # how much commoner the surroundings are taken to be
_SAMPLES = 256  # most colours that stand for the surroundings
_REACH = 0.2  # how far from its way an object is looked for, in widths of the picture
_SHIFTS = 4
LEAST_LIKELY = 0.3
"""Mean likelihood within its box below which an object stands out too little from its surroundings."""


@dataclass(frozen=True)
class Appearance:
    """The colours of an object against those of what is around it, and where it was."""

    likely: Tensor
    """(bins³,) how likely a pixel of a colour is the object's, in [0, 1]."""
    size: tuple[float, float]
    """Width and height of the box, pixels."""
    at: Tensor
    """(2,) the middle of the box, pixels right and down."""
    offset: Tensor
    """(2,) from what mean shift finds in the first picture to that middle."""
    clearly: float = 1.0
    """Mean likelihood around there in the first picture."""

    @classmethod
    def of(cls, picture: Tensor, box: tuple[float, float, float, float]) -> "Appearance":
        """Learn how an object looks.

        Args:
            picture: (3, h, w) float32 in [0, 1].
            box: left, top, right and bottom of the object in it, pixels.

        Raises:
            ForearmError: the box leaves the picture, is too small, or shows nothing that stands out.
        """
        height, width = picture.shape[1:]
        left, top, right, bottom = box
        if not (0 <= left < right <= width and 0 <= top < bottom <= height):
            raise ForearmError(
                f"the object's box {left:g},{top:g},{right:g},{bottom:g} (left, top, right, bottom) is not within the "
                f"picture of {width}×{height} pixels"
            )
        inside = torch.zeros(height, width, dtype=torch.bool)
        inside[round(top) : round(bottom), round(left) : round(right)] = True
        own, others = picture[:, inside].T, picture[:, ~inside].T
        if len(own) < 4 or not len(others):
            raise ForearmError(f"the object's box covers {len(own)} pixels; draw it around the object alone")
        at = torch.tensor([(left + right) / 2, (top + bottom) / 2])
        found = cls(_back_projection(own, others), (right - left, bottom - top), at, torch.zeros(2))
        middle, likely = found.locate(picture[None], at)
        if float(likely) < LEAST_LIKELY or float((middle[0] - at).norm()) > max(found.size):
            raise ForearmError("what is in the object's box does not stand out from the rest of the picture by colour")
        return replace(found, offset=at - middle[0], clearly=float(likely))

    def likelihood(self, pictures: Tensor) -> Tensor:
        """How likely each pixel of pictures (B, 3, h, w) is the object's, (B, h, w) in [0, 1]."""
        levels = (pictures.float() * _BINS).long().clamp(0, _BINS - 1)
        return self.likely.to(pictures)[(levels[:, 0] * _BINS + levels[:, 1]) * _BINS + levels[:, 2]]

    def locate(self, pictures: Tensor, target: Tensor, reach: float | None = None) -> tuple[Tensor, Tensor]:
        """Where the object is in each of B pictures.

        Args:
            pictures: (B, 3, h, w) float32 in [0, 1].
            target: (2,) pixels; it is looked for near the straight way from where it was to there.
            reach: how near, pixels; a fifth of the picture's width by default.

        Returns:
            its middle, (B, 2) pixels right and down, and how clearly it is seen, (B,), 1 as in the first picture; where
            that is next to nothing the object is hidden, and the middle means little.
        """
        likely = self.likelihood(pictures)
        height, width = likely.shape[1:]
        kernel = [max(3, round(side) | 1) for side in reversed(self.size)]
        around = F.avg_pool2d(likely[:, None], kernel, 1, [side // 2 for side in kernel])[:, 0]
        down, right = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
        down, right = down.to(likely), right.to(likely)
        near = torch.exp(-((self._off_way(right, down, target.to(likely)) / (reach or _REACH * width)) ** 4))
        best, place = (around * near).flatten(1).max(dim=1)
        x, y = place % width + 0.5, torch.div(place, width, rounding_mode="floor") + 0.5
        for _ in range(_SHIFTS):
            far = ((right - x[:, None, None]) / (0.7 * kernel[1])) ** 4 + (
                (down - y[:, None, None]) / (0.7 * kernel[0])
            ) ** 4
            weights = likely * torch.exp(-far)
            total = weights.sum((1, 2)).clamp_min(1e-6)
            x, y = (weights * right).sum((1, 2)) / total, (weights * down).sum((1, 2)) / total
        return torch.stack([x, y], dim=1) + self.offset.to(likely), best / self.clearly

    def _off_way(self, right: Tensor, down: Tensor, target: Tensor) -> Tensor:
        """How far places are from the straight way to the target, pixels."""
        start = self.at.to(target)
        along = target - start
        offset = torch.stack([right, down], dim=-1) - start
        share = ((offset @ along) / along.square().sum().clamp_min(1e-6)).clamp(0, 1)
        return (offset - share[..., None] * along).norm(dim=-1)


def _back_projection(own: Tensor, others: Tensor) -> Tensor:
    """How likely a pixel of each bin's colour is one of own (n, 3) rather than of others (m, 3), (bins³,)."""
    middles = (torch.arange(_BINS) + 0.5) / _BINS
    colours = torch.cartesian_prod(middles, middles, middles)
    others = others[:: max(1, len(others) // _SAMPLES)]
    one, other = (
        torch.exp(-torch.cdist(colours, each.float()).square() / (2 * _BANDWIDTH**2)).mean(dim=1)
        for each in (own, others)
    )
    return one / (one + _PRIOR * other + 1e-4)
