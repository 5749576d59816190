"""Statistics of a recording's features as LeRobot keeps them: per episode, and merged over episodes."""

from typing import Any

import numpy as np

Statistics = dict[str, np.ndarray]
"""min, max, mean, std, q01 … q99 of a feature, and the count (1,) of rows behind them."""

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
SAMPLED_PICTURES = 100  # LeRobot, too, looks at about so many pictures of an episode


def rows_statistics(rows: np.ndarray) -> Statistics:
    """Statistics of ``rows`` (n, d), each of shape (d,); min and max keep the rows' kind of number."""
    rows = np.asarray(rows)
    exact = rows.astype(np.int64 if np.issubdtype(rows.dtype, np.integer) else np.float64)
    quantiles = np.quantile(exact.astype(np.float64), list(QUANTILES.values()), axis=0, method="inverted_cdf")
    return {
        "min": exact.min(axis=0),
        "max": exact.max(axis=0),
        "mean": exact.mean(axis=0),
        "std": exact.std(axis=0),
        "count": np.array([len(rows)]),
        **dict(zip(QUANTILES, quantiles, strict=True)),
    }


def pictures_statistics(pictures: np.ndarray) -> Statistics:
    """Statistics per channel of ``pictures`` (n, H, W, 3) uint8, in [0, 1], each of shape (3, 1, 1)."""
    count = min(len(pictures), SAMPLED_PICTURES)
    sample = pictures[np.linspace(0, len(pictures) - 1, count).round().astype(int)]
    channels = [np.bincount(sample[..., c].ravel(), minlength=256) for c in range(3)]
    per_channel = [_histogram_statistics(histogram) for histogram in channels]
    merged = {name: np.array([one[name] for one in per_channel]).reshape(3, 1, 1) / 255 for name in per_channel[0]}
    return {**merged, "count": np.array([count])}


def merged_statistics(first: Statistics, second: Statistics) -> Statistics:
    """Statistics of two sets of rows together; quantiles are averaged by count, as LeRobot does."""
    n, m = first["count"][0], second["count"][0]

    def weighted(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a * n + b * m) / (n + m)

    mean = weighted(first["mean"], second["mean"])
    spread = weighted(
        first["std"] ** 2 + (first["mean"] - mean) ** 2, second["std"] ** 2 + (second["mean"] - mean) ** 2
    )
    return {
        "min": np.minimum(first["min"], second["min"]),
        "max": np.maximum(first["max"], second["max"]),
        "mean": mean,
        "std": np.sqrt(spread),
        "count": first["count"] + second["count"],
        **{name: weighted(first[name], second[name]) for name in QUANTILES},
    }


def plain_statistics(statistics: Statistics) -> dict[str, Any]:
    """The same as lists, ready for JSON."""
    return {name: value.tolist() for name, value in statistics.items()}


def _histogram_statistics(histogram: np.ndarray) -> dict[str, float]:
    """Exact statistics of 8-bit values from how often each of the 256 levels (256,) occurs."""
    levels, total = np.arange(256), histogram.sum()
    mean = (histogram * levels).sum() / total
    present = np.flatnonzero(histogram)
    below = histogram.cumsum()
    return {
        "min": float(present[0]),
        "max": float(present[-1]),
        "mean": mean,
        "std": np.sqrt((histogram * (levels - mean) ** 2).sum() / total),
        **{name: float(np.searchsorted(below, q * total)) for name, q in QUANTILES.items()},
    }
