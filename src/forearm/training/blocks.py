"""Blocks of transformers and U-Nets: compiled, or with activations that are computed anew for the gradient."""

from functools import partial

import torch
from torch.utils.checkpoint import checkpoint

from forearm.base.errors import ForearmError
from forearm.models import WorldModel
from forearm.models.blocks import Block
from forearm.models.convolutions import ResidualBlock


def prepare_blocks(model: WorldModel, compiled: bool, checkpointed: bool) -> None:
    """Let the blocks of a model be compiled, and their activations be computed anew for the gradient.

    Blocks of the same form are compiled once (regional compilation). Names of weights stay what they are.

    Args:
        model: is changed; it must not be copied afterwards.
        compiled: compile the blocks with ``torch.compile``.
        checkpointed: keep only what a block is given, not what it computes from it (gradient checkpointing; Chen et
            al. 2016, Training Deep Nets with Sublinear Memory Cost).

    Raises:
        ForearmError: the model has no such blocks.
    """
    if not compiled and not checkpointed:
        return
    blocks = [part for part in model.modules() if isinstance(part, Block | ResidualBlock)]
    if not blocks:
        raise ForearmError("this family has no blocks to compile or to checkpoint; leave these options out")
    for block in blocks:
        forward = torch.compile(block.forward) if compiled else block.forward
        block.forward = partial(checkpoint, forward, use_reentrant=False) if checkpointed else forward  # type: ignore[method-assign]
