"""From frames, joints and actions to canvases."""

import numpy as np

from forearm.canvas.layout import Layout


def draw(layout: Layout, frames: np.ndarray, positions: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Draw a batch of canvases.

    Args:
        frames: (N, T, h, w, 3) uint8, or float in [0, 1]; T is the layout's history.
        positions: (N, T, J) joint positions in the joints' units.
        actions: (N, T − 1, A) signed values in [−1, 1], one per action dimension.

    Returns:
        (N, 3, H, W) float32 in [0, 1].
    """
    n, history = frames.shape[:2]
    canvases = np.empty((n, 3, layout.height, layout.width), np.float32)
    strips = draw_strips(layout, positions)
    scale = np.float32(1 / 255) if frames.dtype == np.uint8 else np.float32(1)
    for t in range(history):
        columns = layout.frame_columns(t)
        region = canvases[..., columns]
        np.multiply(frames[:, t].transpose(0, 3, 1, 2), scale, out=region[:, :, : layout.frame_height])
        region[:, :, layout.frame_height :] = strips[:, t, None]
    for t in range(history - 1):
        canvases[..., layout.separator_columns(t)] = draw_separators(layout, actions[:, t])
    return canvases


def draw_strips(layout: Layout, positions: np.ndarray) -> np.ndarray:
    """Draw motor strips, (N, T, J) positions to (N, T, s, w) float32 grey in [0, 1].

    Velocity is the change since the previous frame; the first frame's is 0, drawn as 0.5.
    """
    span = layout.highs - layout.lows
    greys = np.clip((positions - layout.lows) / span, 0, 1)
    velocities = np.zeros_like(greys)
    velocities[:, 1:] = np.diff(np.asarray(positions, np.float64), axis=1)
    velocity_greys = np.clip(0.5 + 0.5 * velocities / layout.max_velocities, 0, 1)
    n, history, joints = greys.shape
    p, per_row = layout.patch, layout.frame_width // layout.patch
    rows = layout.strip_height // p
    cells = np.zeros((n, history, rows * per_row), np.float32)
    cells[..., :joints] = greys
    cells[..., joints : 2 * joints] = velocity_greys
    cells = cells.reshape(n, history, rows, per_row).repeat(p, axis=2).repeat(p, axis=3)
    strips = np.zeros((n, history, layout.strip_height, layout.frame_width), np.float32)
    strips[..., : per_row * p] = cells
    return strips


def draw_separators(layout: Layout, actions: np.ndarray) -> np.ndarray:
    """Draw separators, (N, A) signed values in [−1, 1] to (N, 3, H, g) float32 in [0, 1]."""
    colours = action_colours(layout, actions)
    separators = np.empty((len(actions), 3, layout.height, layout.separator), np.float32)
    for i, rows in enumerate(layout.action_rows()):
        separators[:, :, rows] = colours[:, i, :, None, None]
    return separators


def action_colours(layout: Layout, actions: np.ndarray) -> np.ndarray:
    """Colours of signed values, (…,) in [−1, 1] to (…, 3) float32 in [0, 1].

    The colour runs from STAY's at 0 to MOVE+'s at 1 and to MOVE−'s at −1.
    """
    stay, plus, minus = np.asarray(layout.palette, np.float32) / 255
    values = np.clip(np.asarray(actions, np.float32), -1, 1)[..., None]
    towards = np.where(values >= 0, plus, minus)
    return stay + np.abs(values) * (towards - stay)
