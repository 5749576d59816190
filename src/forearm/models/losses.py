"""Losses of pictures, the same for every family."""

from torch import Tensor

from forearm.models.settings import LearningConfig


def charbonnier(differences: Tensor) -> Tensor:
    """Charbonnier's penalty: squares near zero, and no more than absolute values where nothing fits."""
    return (differences.square() + 1e-4).sqrt() - 1e-2


def picture_loss(picture: Tensor, truth: Tensor, config: LearningConfig) -> Tensor:
    """Squares, so that what is guessed is not bold; Charbonnier and SSIM, so that what can be known is sharp."""
    wrong = picture - truth
    loss = config.mse_weight * wrong.square().mean()
    if config.charbonnier_weight:
        loss = config.charbonnier_weight * charbonnier(wrong).mean() + loss
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
    rows = pictures[..., :-2, :] + pictures[..., 1:-1, :] + pictures[..., 2:, :]
    return (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]) / 9
