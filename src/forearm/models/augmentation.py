"""Augmentation of training transitions, the same for every family."""

import dataclasses
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from forearm.batch import Batch, draw_strip
from forearm.canvas import Layout, draw_separators
from forearm.models.settings import LearningConfig


def augmented(batch: Batch, config: LearningConfig) -> Batch:
    """The batch in other light and from other joints, some reversed, some in which nothing is done or changes.

    Strips and separators of the canvas are drawn anew where positions and actions change.
    """
    layout = batch.layout
    canvas, positions, actions = batch.canvas.clone(), batch.positions.clone(), batch.actions.clone()
    last, previous = layout.frame_columns(-1), layout.frame_columns(-2)
    if config.reversed_pairs and layout.history == 2:
        back = torch.rand(len(batch), device=canvas.device) < 0.5
        canvas[back, ..., previous], canvas[back, ..., last] = (
            batch.canvas[back][..., last],
            batch.canvas[back][..., previous],
        )
        positions[back] = positions[back].flip(1)
        actions[back] = -actions[back]
    brightness = 1 + config.brightness_jitter * (2 * torch.rand(len(batch), 3, 1, 1, device=canvas.device) - 1)
    canvas[:, :, : layout.frame_height] *= brightness
    shifts = torch.randn(len(batch), 1, positions.shape[2], device=canvas.device)
    reach = torch.from_numpy(half_ranges(layout)).float().to(canvas.device)
    positions = positions + config.joint_noise * reach * shifts
    if config.reversed_pairs or config.joint_noise:
        _draw_numbers(layout, canvas, positions, actions)
    still = torch.rand(len(batch), device=canvas.device) < config.synthetic_stay
    canvas[still, ..., last] = canvas[still][..., previous]
    positions[still, -1] = positions[still, -2]
    actions[still, -1] = 0
    strip = draw_strip(layout, positions[still, -2], positions[still, -1])[:, None]
    canvas[still, :, layout.frame_height :, last] = strip.expand(-1, 3, -1, -1)
    canvas[still, ..., layout.separator_columns(-1)] = _separator_of_stay(layout).to(canvas)
    return dataclasses.replace(batch, canvas=canvas, positions=positions, actions=actions)


def _draw_numbers(layout: Layout, canvas: Tensor, positions: Tensor, actions: Tensor) -> None:
    """Draw all strips and separators of canvases (B, 3, H, W) anew."""
    for t in range(layout.history):
        strip = draw_strip(layout, positions[:, max(t - 1, 0)], positions[:, t])
        canvas[:, :, layout.frame_height :, layout.frame_columns(t)] = strip[:, None]
    for t in range(layout.history - 1):
        drawn = draw_separators(layout, actions[:, t].cpu().numpy())
        canvas[..., layout.separator_columns(t)] = torch.from_numpy(drawn).to(canvas)


@lru_cache(maxsize=16)
def _separator_of_stay(layout: Layout) -> Tensor:
    """The separator of no action, (1, 3, H, separator)."""
    nothing = torch.zeros(1, len(layout.actions))
    return torch.from_numpy(draw_separators(layout, nothing.numpy()))


def half_ranges(layout: Layout) -> np.ndarray:
    """Half the widest range among the joints of one unit, for each joint (J,): what only jitters is to look still."""
    ranges = (layout.highs - layout.lows) / 2
    units = np.array([joint.unit for joint in layout.joints])
    return np.array([ranges[units == unit].max() for unit in units])
