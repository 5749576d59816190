"""Augmentation of training transitions, the same for every family."""

import dataclasses
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from forearm.batch import FIRST_FRAME, FIRST_POSITIONS, Batch, draw_separators, draw_strip
from forearm.canvas import Layout
from forearm.models.settings import LearningConfig


def augmented(batch: Batch, config: LearningConfig) -> Batch:
    """The batch in other light and from other joints, some reversed, some in which nothing is done or changes.

    Strips and separators of the canvas are drawn anew where positions and actions change. Whatever is drawn by lot
    stays on the device, so that no step waits for it.
    """
    layout = batch.layout
    canvas, positions, actions = batch.canvas.clone(), batch.positions.clone(), batch.actions.clone()
    last, previous = layout.frame_columns(-1), layout.frame_columns(-2)
    if config.reversed_pairs and layout.history == 2:
        back = torch.rand(len(batch), device=canvas.device) < 0.5
        for here, there in ((previous, last), (last, previous)):
            canvas[..., here] = torch.where(back[:, None, None, None], batch.canvas[..., there], canvas[..., here])
        positions = torch.where(back[:, None, None], positions.flip(1), positions)
        actions = torch.where(back[:, None, None], -actions, actions)
    brightness = 1 + config.brightness_jitter * (2 * torch.rand(len(batch), 3, 1, 1, device=canvas.device) - 1)
    canvas[:, :, : layout.frame_height] *= brightness
    shifts = torch.randn(len(batch), 1, positions.shape[2], device=canvas.device)
    noise = config.joint_noise * _reach(layout, canvas.device) * shifts
    positions = positions + noise
    carried = dict(batch.carried or {})
    if FIRST_FRAME in carried:
        carried[FIRST_FRAME] = carried[FIRST_FRAME] * brightness
        carried[FIRST_POSITIONS] = carried[FIRST_POSITIONS] + noise[:, 0]
    if config.reversed_pairs or config.joint_noise:
        _draw_numbers(layout, canvas, positions, actions)
    still = torch.rand(len(batch), device=canvas.device) < config.synthetic_stay
    positions[:, -1] = torch.where(still[:, None], positions[:, -2], positions[:, -1])
    actions[:, -1] = torch.where(still[:, None], 0, actions[:, -1])
    strip = draw_strip(layout, positions[:, -2], positions[:, -1])[:, None].to(canvas)
    stays = torch.cat([canvas[:, :, : layout.frame_height, previous], strip.expand(-1, 3, -1, -1)], dim=2)
    separator = layout.separator_columns(-1)
    nothing = draw_separators(layout, torch.zeros_like(actions[:, -1])).to(canvas)
    for columns, as_still in ((last, stays), (separator, nothing)):
        canvas[..., columns] = torch.where(still[:, None, None, None], as_still, canvas[..., columns])
    return dataclasses.replace(batch, canvas=canvas, positions=positions, actions=actions, carried=carried or None)


def _draw_numbers(layout: Layout, canvas: Tensor, positions: Tensor, actions: Tensor) -> None:
    """Draw all strips and separators of canvases (B, 3, H, W) anew."""
    for t in range(layout.history):
        strip = draw_strip(layout, positions[:, max(t - 1, 0)], positions[:, t])
        canvas[:, :, layout.frame_height :, layout.frame_columns(t)] = strip[:, None]
    for t in range(layout.history - 1):
        canvas[..., layout.separator_columns(t)] = draw_separators(layout, actions[:, t]).to(canvas)


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def _reach(layout: Layout, device: torch.device) -> Tensor:
    """``half_ranges`` on a device, (J,) float32."""
    return torch.from_numpy(half_ranges(layout)).float().to(device)


def half_ranges(layout: Layout) -> np.ndarray:
    """Half the widest range among the joints of one unit, for each joint (J,): what only jitters is to look still."""
    ranges = (layout.highs - layout.lows) / 2
    units = np.array([joint.unit for joint in layout.joints])
    return np.array([ranges[units == unit].max() for unit in units])
