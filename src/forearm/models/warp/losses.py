"""Losses of pictures."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from forearm.models.warp.motion import copy, halve

COARSEST = 8
"""Pixels a side down to which pictures are halved for the coarse-to-fine loss."""
SHARPNESS = 30.0
"""How strictly the best layer answers for a pixel; in 1 / difference of grey."""


def charbonnier(differences: Tensor) -> Tensor:
    """Charbonnier's penalty: squares near zero, and no more than absolute values where nothing fits."""
    return (differences.square() + 1e-4).sqrt() - 1e-2


def blend_loss(picture: Tensor, truth: Tensor, mse_weight: float) -> Tensor:
    """Charbonnier, so that what can be known is sharp; squares, so that what is guessed is not bold; and SSIM."""
    wrong = picture - truth
    return charbonnier(wrong).mean() + mse_weight * wrong.square().mean() + 0.25 * ssim_loss(picture, truth)


def motion_loss(before: Tensor, coordinates: Tensor, truth: Tensor) -> Tensor:
    """How badly the best layer explains each pixel of a picture, at half the size and smaller.

    Each pixel teaches the layer that explains it best, whatever the blend makes of it; small pictures see far motion,
    whose details would fit anywhere. Both pictures are (B, 3, h, w); ``coordinates`` (B, K, h, w, 2) say where each
    moving layer's pixels come from.
    """
    levels = []
    while min(truth.shape[-2:]) >= 2 * COARSEST and not any(side % 2 for side in truth.shape[-2:]):
        truth, before, coordinates = F.avg_pool2d(truth, 2), F.avg_pool2d(before, 2), halve(coordinates)
        copies = torch.cat([before[:, None], copy(before, coordinates)], dim=1)
        errors = charbonnier(copies - truth[:, None]).mean(dim=2)
        levels.append((math.log(copies.shape[1]) - torch.logsumexp(-SHARPNESS * errors, dim=1).mean()) / SHARPNESS)
    return torch.stack(levels).mean() if levels else truth.new_zeros(())


def ssim_loss(a: Tensor, b: Tensor) -> Tensor:
    """1 − structural similarity over windows of 3 × 3, as in Godard et al. 2017 (Monocular Depth Estimation)."""
    mean_a, mean_b = window_means(a), window_means(b)
    product, squares = mean_a * mean_b, mean_a**2 + mean_b**2
    variances, covariance = window_means(a * a + b * b) - squares, window_means(a * b) - product
    similarity = (2 * product + 0.01**2) * (2 * covariance + 0.03**2)
    return (1 - similarity / ((squares + 0.01**2) * (variances + 0.03**2))).mean()


def window_means(pictures: Tensor) -> Tensor:
    """Means over windows of 3 × 3, (…, h, w) to (…, h − 2, w − 2); four times as fast as pooling."""
    rows = pictures[..., :-2, :] + pictures[..., 1:-1, :] + pictures[..., 2:, :]
    return (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]) / 9
