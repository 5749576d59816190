"""The loss that motion is learned from."""

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


def motion_loss(before: Tensor, coordinates: Tensor, truth: Tensor) -> Tensor:
    """How badly the best layer explains each pixel of a picture, at the coordinates' size and smaller.

    Each pixel teaches the layer that explains it best, whatever the blend makes of it; small pictures see far motion,
    whose details would fit anywhere. Both pictures are (B, 3, H, W); ``coordinates`` (B, K, h, w, 2), of a size that
    divides theirs, say where each moving layer's pixels come from.
    """
    shrink = truth.shape[-1] // coordinates.shape[-2]
    if shrink > 1:
        truth, before = F.avg_pool2d(truth, shrink), F.avg_pool2d(before, shrink)
    levels = [_layers_loss(before, coordinates, truth)]
    while min(truth.shape[-2:]) >= 2 * COARSEST and not any(side % 2 for side in truth.shape[-2:]):
        truth, before, coordinates = F.avg_pool2d(truth, 2), F.avg_pool2d(before, 2), halve(coordinates)
        levels.append(_layers_loss(before, coordinates, truth))
    return torch.stack(levels).mean()


def _layers_loss(before: Tensor, coordinates: Tensor, truth: Tensor) -> Tensor:
    copies = torch.cat([before[:, :, None], copy(before, coordinates)], dim=2)
    errors = charbonnier(copies - truth[:, :, None]).mean(dim=1)
    return (math.log(copies.shape[2]) - torch.logsumexp(-SHARPNESS * errors, dim=1).mean()) / SHARPNESS
