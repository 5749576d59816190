"""Structural similarity of pictures (Wang et al. 2004)."""

import numpy as np
from scipy.ndimage import gaussian_filter

C1, C2 = 0.01**2, 0.03**2


def ssim(pictures: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Similarity of pictures (N, C, h, w) in [0, 1] to others of the same shape: (N,) float64, 1 where equal.

    Every channel by itself, 11 × 11 Gaussian window with σ = 1.5, zero padding, mean of the map.
    """
    x, y = np.asarray(pictures, np.float32), np.asarray(others, np.float32)
    mean_x, mean_y = _blur(x), _blur(y)
    products = mean_x * mean_y
    squares = mean_x**2 + mean_y**2
    variances = _blur(x * x + y * y) - squares
    covariance = _blur(x * y) - products
    similarity = ((2 * products + C1) * (2 * covariance + C2)) / ((squares + C1) * (variances + C2))
    return similarity.mean((1, 2, 3), dtype=np.float64)


def _blur(pictures: np.ndarray) -> np.ndarray:
    return gaussian_filter(pictures, 1.5, radius=5, mode="constant", axes=(2, 3))
