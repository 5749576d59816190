"""From canvases back to joints and actions, and pixels between uint8 and float."""

import numpy as np

from forearm.canvas.layout import Layout


def decode_strip(layout: Layout, regions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Read joints from frame regions (N, 3, H, w): positions and velocities, both (N, J) float64 in units."""
    first, joints = as_float(regions)[:, 0], len(layout.joints)
    greys = np.stack([first[:, y, x].mean((1, 2), dtype=np.float64) for y, x in layout.strip_cells()], axis=1)
    positions = layout.lows + greys[:, :joints] * (layout.highs - layout.lows)
    velocities = (greys[:, joints:] - 0.5) * 2 * layout.max_velocities
    return positions, velocities


def decode_separator(layout: Layout, separators: np.ndarray) -> np.ndarray:
    """Read signed values from separators (N, 3, H, g): (N, A) float32 in [−1, 1].

    The colour of a cell is projected on the lines STAY–MOVE+ and STAY–MOVE−; the nearer line wins.
    """
    separators = as_float(separators)
    colours = np.stack([separators[:, :, rows].mean((2, 3)) for rows in layout.action_rows()], axis=1)
    stay, plus, minus = np.asarray(layout.palette, np.float32) / 255
    values, distances = [], []
    for end in (plus, minus):
        line = end - stay
        along = np.clip((colours - stay) @ line / (line @ line), 0, 1)
        values.append(along)
        distances.append(((colours - stay - along[..., None] * line) ** 2).sum(-1))
    # Where both lines are equally near the value is 0 (or nothing can be told), so the order does not matter.
    return np.where(distances[0] <= distances[1], values[0], -values[1])


def as_float(pixels: np.ndarray) -> np.ndarray:
    """Pixels in [0, 1] as floats, whether they come as uint8 or as floats already."""
    return pixels.astype(np.float32) / 255 if pixels.dtype == np.uint8 else pixels


def as_uint8(pixels: np.ndarray) -> np.ndarray:
    """Pixels as uint8, rounded, whether they come so already or as floats in [0, 1]."""
    return pixels if pixels.dtype == np.uint8 else (np.clip(pixels, 0, 1) * 255).round().astype(np.uint8)
