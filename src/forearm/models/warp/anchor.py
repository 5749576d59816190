"""Anchor: the last picture that was seen, which fed-back predictions go on copying from.

A copy of a copy blurs, and what was blended once is blended again. So each pixel is traced to where it was in the
anchor, over all steps, and is sampled there once. Where a pixel is not traced any more, the anchor is tried as it is
and as the layers move it from its own joints to the present ones. The step's own picture decides among these by its
colours, seen coarsely, and stays where none of them agrees with it. Neighbours decide together, and what was not traced
counts half: pixels that choose alone tear the picture, and leave pieces of the arm behind.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from forearm.models.warp.motion import copy

DOUBTFUL, SURE = 0.2, 0.5
"""Share of copies in a pixel up to which its trace is lost, and from which it is kept."""
UNTRACED = 0.5
"""How far the anchor is trusted, at most, where it is not traced."""
TOLERANCE = 0.1
"""Difference of grey, seen coarsely, at which an anchored pixel loses two thirds of its trust."""
KEPT = 1e-3
"""Share of other sources up to which a pixel counts as copied from the last picture."""
COARSE, WINDOW, SMOOTH = 64, 3, 9
"""Longest side of the pictures in which colours are compared, and sides of the windows over which colours and trust are
averaged, powers of three; pixels."""


@dataclass(frozen=True)
class Anchor:
    """The anchor of one camera's picture, and where the pixels of the last picture are in it."""

    picture: Tensor
    """(B, 3, h, w)."""
    planes: Tensor
    """(B, K, 8) where the joints of the anchor put the layers."""
    displacement: Tensor
    """(B, 2, h, w) from each pixel's own place to its place in the anchor, x and y."""
    trust: Tensor
    """(B, 1, h, w) in the displacement, from 0 to 1."""

    @classmethod
    def at(cls, picture: Tensor, planes: Tensor) -> "Anchor":
        """The anchor where nothing has moved yet."""
        return cls(picture, planes, torch.zeros_like(picture[:, :2]), torch.ones_like(picture[:, :1]))

    def traced(self, pixels: Tensor, coordinates: Tensor, shares: Tensor) -> "Anchor":
        """The anchor one step on: each pixel follows the copy that has the largest share in it.

        Args:
            pixels: (h, w, 2) their own places.
            coordinates: (B, K, h, w, 2) where each moving layer's pixels come from.
            shares: (B, 1 + K, h, w) of the unmoved and the moved copies.
        """
        places = torch.cat([pixels.expand_as(coordinates[:, :1]), coordinates], dim=1)
        came = _chosen(places, shares.max(dim=1).indices)
        before = torch.cat([self.displacement, self.trust], dim=1)
        moved = F.grid_sample(before, came, mode="bilinear", padding_mode="border", align_corners=False)
        copied = ((shares.sum(dim=1) - DOUBTFUL) / (SURE - DOUBTFUL)).clamp(0, 1) * _inside(came)
        displacement = moved[:, :2] + (came - pixels).permute(0, 3, 1, 2)
        return Anchor(self.picture, self.planes, displacement, moved[:, 2:] * copied[:, None])

    def composite(self, pixels: Tensor, direct: Tensor, blend: Tensor, kept: Tensor) -> "tuple[Tensor, Anchor]":
        """The picture with what the anchor knows better, (B, 3, h, w), and the anchor as it was used.

        Args:
            pixels: (h, w, 2) their own places.
            direct: (B, K, h, w, 2) where each layer's pixels are in the anchor by the joints alone.
            blend: (B, 3, h, w) the step's own picture.
            kept: (B, h, w) share of the last picture in the blend; what is kept as it is blurs no further.
        """
        untraced = torch.cat([pixels.expand_as(direct[:, :1]), direct], dim=1)
        places = torch.cat([(pixels + self.displacement.permute(0, 2, 3, 1))[:, None], untraced], dim=1)
        samples = copy(self.picture, places)
        trusts = torch.cat([self.trust, UNTRACED * _inside(untraced)], dim=1) * _agreement(samples, blend)
        smooth = averaged(trusts, SMOOTH)  # neighbours choose alike, and no pixel is trusted alone
        best = smooth.max(dim=1).indices
        trust = torch.minimum(trusts, smooth).gather(1, best[:, None])[:, 0]
        sample = _chosen(samples.permute(0, 2, 3, 4, 1), best).permute(0, 3, 1, 2)
        displacement = (_chosen(places, best) - pixels).permute(0, 3, 1, 2)
        changed = trust * (kept < 1 - KEPT)
        picture = blend + changed[:, None] * (sample - blend)
        return picture, Anchor(self.picture, self.planes, displacement, trust[:, None])


def _agreement(samples: Tensor, blend: Tensor) -> Tensor:
    """How far samples (B, 3, N, h, w) look coarsely like a blend (B, 3, h, w), from 0 to 1: (B, N, h, w)."""
    size = blend.shape[-2:]
    shrink = math.ceil(max(size) / COARSE)
    differences = (samples - blend[:, :, None]).flatten(1, 2)
    if shrink > 1:
        differences = F.interpolate(differences, [math.ceil(side / shrink) for side in size], mode="area")
    wrong = averaged(differences, WINDOW).unflatten(1, (3, -1)).abs().mean(dim=1)
    if shrink > 1:
        wrong = F.interpolate(wrong, size, mode="bilinear", align_corners=False)
    return (-((wrong / TOLERANCE) ** 2)).exp()


def averaged(values: Tensor, window: int) -> Tensor:
    """Means of values (N, C, h, w) over a square window about each pixel."""
    sums = F.pad(values, (window // 2,) * 4, mode="replicate")
    for axis in (-2, -1):  # sums of three, and three of these: pooling would read every window anew
        for apart in (3**power for power in range(round(math.log(window, 3)))):
            first, middle, last = (sums.narrow(axis, i * apart, sums.shape[axis] - 2 * apart) for i in range(3))
            sums = first + middle + last
    return sums / window**2


def _inside(places: Tensor) -> Tensor:
    """1 where places (..., 2) lie in the picture and 0 elsewhere, (...)."""
    return (places.abs() <= 1).all(dim=-1).to(places)


def _chosen(candidates: Tensor, best: Tensor) -> Tensor:
    """Of candidates (B, N, h, w, C) that of each pixel's number in ``best`` (B, h, w): (B, h, w, C)."""
    numbers = best[:, None, :, :, None].expand(-1, 1, -1, -1, candidates.shape[-1])
    return candidates.gather(1, numbers)[:, 0]
