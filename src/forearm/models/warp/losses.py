"""The loss that motion is learned from, and by how much each pixel counts."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from forearm.models.losses import charbonnier
from forearm.models.warp.motion import copy, halve

COARSEST = 8
"""Pixels a side down to which pictures are halved for the coarse-to-fine loss."""
SHARPNESS = 30.0
"""How strictly the best layer answers for a pixel; in 1 / difference of grey."""
CHANGED = 0.05
"""Difference of grey, mean over channels, above which a pixel has changed."""


def pixel_weights(before: Tensor, truth: Tensor, more: float) -> Tensor:
    """Weights of pixels, (B, 1, H, W), 1 in the mean: what changes, and what is next to it, counts 1 + ``more`` times.

    A pushed object fills few pixels, which would hardly count beside a table that stays as it is. Both pictures are
    (B, 3, H, W).
    """
    changed = ((truth - before).abs().mean(dim=1, keepdim=True) > CHANGED).to(truth)
    weights = 1 + more * F.max_pool2d(changed, 3, stride=1, padding=1)
    return weights / weights.mean()


def motion_loss(before: Tensor, coordinates: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """How badly the best layer explains each pixel of a picture, at the coordinates' size and smaller.

    Each pixel teaches the layer that explains it best, whatever the blend makes of it; small pictures see far motion,
    whose details would fit anywhere. Both pictures are (B, 3, H, W), the pixels' weights (B, 1, H, W); ``coordinates``
    (B, K, h, w, 2), of a size that divides theirs, say where each moving layer's pixels come from.
    """
    shrink = truth.shape[-1] // coordinates.shape[-2]
    if shrink > 1:
        truth, before, weights = (F.avg_pool2d(plane, shrink) for plane in (truth, before, weights))
    levels = [_layers_loss(before, coordinates, truth, weights)]
    while min(truth.shape[-2:]) >= 2 * COARSEST and not any(side % 2 for side in truth.shape[-2:]):
        truth, before, weights = (F.avg_pool2d(plane, 2) for plane in (truth, before, weights))
        coordinates = halve(coordinates)
        levels.append(_layers_loss(before, coordinates, truth, weights))
    return torch.stack(levels).mean()


def _layers_loss(before: Tensor, coordinates: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    copies = torch.cat([before[:, :, None], copy(before, coordinates)], dim=2)
    errors = charbonnier(copies - truth[:, :, None]).mean(dim=1)
    return (
        math.log(copies.shape[2]) - (weights[:, 0] * torch.logsumexp(-SHARPNESS * errors, dim=1)).mean()
    ) / SHARPNESS
