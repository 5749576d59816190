"""Losses of pictures, the same for every family."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from forearm.models.settings import LearningConfig


def charbonnier(differences: Tensor) -> Tensor:
    """Charbonnier's penalty: squares near zero, and no more than absolute values where nothing fits."""
    return (differences.square() + 1e-4).sqrt() - 1e-2


def picture_loss(picture: Tensor, truth: Tensor, config: LearningConfig, weights: Tensor | float = 1.0) -> Tensor:
    """Squares, so that what is guessed is not bold; Charbonnier and SSIM, so that what can be known is sharp.

    ``weights`` of the pixels, (B, 1, h, w) and 1 in the mean, are for the first two.
    """
    wrong = (picture - truth).square()
    loss = config.mse_weight * (weights * wrong).mean()
    if config.charbonnier_weight:
        loss = config.charbonnier_weight * ((weights * (wrong + 1e-4).sqrt()).mean() - 1e-2) + loss
        loss = loss + 0.25 * config.charbonnier_weight * ssim_loss(picture, truth)
    return loss


def ssim_loss(a: Tensor, b: Tensor) -> Tensor:
    """1 − structural similarity over windows of 3 × 3, as in Godard et al. 2017 (Monocular Depth Estimation)."""
    mean_a, mean_b = window_means(a), window_means(b)
    product, squares = mean_a * mean_b, mean_a**2 + mean_b**2
    variances, covariance = window_means(a * a + b * b) - squares, window_means(a * b) - product
    similarity = (2 * product + 0.01**2) * (2 * covariance + 0.03**2)
    return (1 - similarity / ((squares + 0.01**2) * (variances + 0.03**2))).mean()


def window_means(pictures: Tensor) -> Tensor:
    """Means over windows of 3 × 3, (…, h, w) to (…, h − 2, w − 2); four times as fast as pooling."""
    return _WindowMeans.apply(pictures)


class _WindowMeans(torch.autograd.Function):
    """Its gradient is a mean over windows again: what autograd does of the slices fills six whole pictures."""

    @staticmethod
    def forward(ctx: Any, pictures: Tensor) -> Tensor:
        rows = pictures[..., :-2, :] + pictures[..., 1:-1, :]
        rows += pictures[..., 2:, :]
        means = rows[..., :-2] + rows[..., 1:-1]
        means += rows[..., 2:]
        return means.div_(9)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _WindowMeans.apply(F.pad(gradient, (2, 2, 2, 2)))
