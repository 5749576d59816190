"""Augmentation of training transitions."""

import dataclasses

import torch
from torch import Tensor

from forearm.batch import Batch
from forearm.models.warp.config import WarpConfig


def augmented(batch: Batch, config: WarpConfig, reach: Tensor) -> Batch:
    """The batch in other light and from other joints, some reversed, some in which nothing is done or changes.

    ``reach`` (J,) is half the widest range among the joints of each joint's unit.
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
    positions = positions + config.joint_noise * reach * shifts
    still = torch.rand(len(batch), device=canvas.device) < config.synthetic_stay
    canvas[still, ..., last] = canvas[still][..., previous]
    positions[still, -1] = positions[still, -2]
    actions[still, -1] = 0
    return dataclasses.replace(batch, canvas=canvas, positions=positions, actions=actions)
