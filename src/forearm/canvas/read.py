"""From canvases back to frames, joints and actions."""

from dataclasses import dataclass

import numpy as np

from forearm.base.errors import ForearmError
from forearm.canvas.layout import Layout


@dataclass(frozen=True)
class Moments:
    """What a batch of canvases shows.

    frames: (N, T, h, w, 3) float32 in [0, 1]; positions: (N, T, J) and velocities: (N, T, J) float64 in the
    joints' units; actions: (N, T − 1, A) float32 signed values in [−1, 1].
    """

    frames: np.ndarray
    positions: np.ndarray
    velocities: np.ndarray
    actions: np.ndarray


def decode(layout: Layout, canvases: np.ndarray) -> Moments:
    """Read canvases (N, 3, H, W), float in [0, 1] or uint8, back.

    Raises:
        ForearmError: the canvases' size is not the layout's.
    """
    canvases = as_float(canvases)
    if canvases.shape[1:] != (3, layout.height, layout.width):
        raise ForearmError(f"canvases are {canvases.shape[1:]}, the layout says (3, {layout.height}, {layout.width})")
    regions = [canvases[..., layout.frame_columns(t)] for t in range(layout.history)]
    frames = np.stack([r[:, :, : layout.frame_height].transpose(0, 2, 3, 1) for r in regions], axis=1)
    strips = [decode_strip(layout, region) for region in regions]
    separators = [canvases[..., layout.separator_columns(t)] for t in range(layout.history - 1)]
    return Moments(
        frames=frames,
        positions=np.stack([positions for positions, _ in strips], axis=1),
        velocities=np.stack([velocities for _, velocities in strips], axis=1),
        actions=np.stack([decode_separator(layout, separator) for separator in separators], axis=1),
    )


def decode_strip(layout: Layout, regions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Read joints from frame regions (N, 3, H, w): positions and velocities, both (N, J) float64 in units."""
    greys = strip_greys(layout, regions)
    joints = len(layout.joints)
    positions = layout.lows + greys[:, :joints] * (layout.highs - layout.lows)
    velocities = (greys[:, joints:] - 0.5) * 2 * layout.max_velocities
    return positions, velocities


def strip_greys(layout: Layout, regions: np.ndarray) -> np.ndarray:
    """Mean of the first channel in every cell of frame regions (N, 3, H, w): (N, 2J) float64 in [0, 1]."""
    first = as_float(regions)[:, 0]
    return np.stack([first[:, y, x].mean((1, 2), dtype=np.float64) for y, x in layout.strip_cells()], axis=1)


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


def fit_bounds(greys: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Solve for the bounds of foreign canvases whose joint positions are known.

    Args:
        greys: (N, J) cell values in [0, 1].
        positions: (N, J) the positions they stand for, in the joints' units; N ≥ 2 and not all equal.

    Returns:
        lows and highs, each (J,), the least-squares solution of position = low + grey · (high − low).
    """
    lows, highs = [], []
    for grey, position in zip(greys.T, positions.T, strict=True):
        unknowns = np.stack([1 - grey, grey], axis=1)
        (low, high), *_ = np.linalg.lstsq(unknowns, position, rcond=None)
        lows.append(low)
        highs.append(high)
    return np.array(lows), np.array(highs)


def as_float(pixels: np.ndarray) -> np.ndarray:
    """Pixels in [0, 1] as floats, whether they come as uint8 or as floats already."""
    return pixels.astype(np.float32) / 255 if pixels.dtype == np.uint8 else pixels


def as_uint8(pixels: np.ndarray) -> np.ndarray:
    """Pixels as uint8, rounded, whether they come so already or as floats in [0, 1]."""
    return pixels if pixels.dtype == np.uint8 else (np.clip(pixels, 0, 1) * 255).round().astype(np.uint8)
