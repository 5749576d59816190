"""Blocks of transformers and U-Nets: compiled, or with activations that are computed anew for the gradient."""

from functools import partial

import torch
from torch.utils.checkpoint import checkpoint

from forearm.base.errors import ForearmError
from forearm.base.files import reason_of
from forearm.models import WorldModel
from forearm.models.blocks import Block
from forearm.models.convolutions import ResidualBlock


def blocks_of(model: WorldModel) -> list[Block | ResidualBlock]:
    """The parts of a model that can be compiled and whose activations can be computed anew.

    Raises:
        ForearmError: it has none.
    """
    blocks = [part for part in model.modules() if isinstance(part, Block | ResidualBlock)]
    if not blocks:
        raise ForearmError("this family has no blocks for --compile or --checkpoint-activations; leave these out")
    return blocks


def require_compiler(device: torch.device) -> None:
    """Refuse to compile where there is nothing to compile with; tried on an addition, in seconds.

    Raises:
        ForearmError: the compiler's own reason, in one line.
    """
    try:
        torch.compile(lambda number: number + 1)(torch.zeros(2, device=device))
    except Exception as error:  # of many kinds, by the compiler that is missing or the GPU that is too old
        raise ForearmError(f"--compile does not work on this machine: {reason_of(error)}; leave it out") from error


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
    for block in blocks_of(model):
        forward = torch.compile(block.forward) if compiled else block.forward
        block.forward = partial(checkpoint, forward, use_reentrant=False) if checkpointed else forward  # type: ignore[method-assign]
