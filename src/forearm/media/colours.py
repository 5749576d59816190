"""Colour scales for maps of errors, and colours as CSS writes them."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps

TURBO = (colormaps["turbo"](np.arange(256))[:, :3] * 255).round().astype(np.uint8)
"""Blue to red, (256, 3) uint8, for maps that stand beside a picture."""
_STOPS = np.array([[60, 0, 90, 0], [150, 10, 110, 120], [230, 70, 60, 200], [255, 180, 40, 235], [255, 250, 190, 250]])
OVERLAY = np.stack(
    [np.interp(np.linspace(0, len(_STOPS) - 1, 256), range(len(_STOPS)), channel) for channel in _STOPS.T], axis=-1
).astype(np.uint8)
"""Transparent to bright yellow, (256, 4) uint8 with opacity, for maps that lie over a picture."""


def heat_map(values: np.ndarray, top: float, scale: np.ndarray = TURBO) -> np.ndarray:
    """Colour values (…) from 0 to ``top`` by a scale (K, C) uint8, to (…, C) uint8."""
    shares = np.clip(values / top if top else values, 0, 1)
    return scale[np.minimum((shares * len(scale)).astype(int), len(scale) - 1)]


def css_gradient(scale: np.ndarray = TURBO) -> str:
    """A scale (K, 3) as a CSS gradient from left to right."""
    stops = heat_map(np.linspace(0, 1, 9), 1, scale).tolist()
    return f"linear-gradient(to right, {', '.join(map(css_colour, stops))})"


def css_colour(colour: Sequence[int]) -> str:
    """Red, green and blue from 0 to 255 as CSS writes them."""
    return "#" + "".join(f"{channel:02x}" for channel in colour)
