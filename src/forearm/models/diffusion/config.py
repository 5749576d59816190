"""Settings of the diffusion transformer."""

from dataclasses import dataclass
from typing import Literal, get_args

from forearm.base.errors import ForearmError
from forearm.models.settings import LearningConfig, require_heads, require_positive

Process = Literal["diffusion", "flow"]


@dataclass(frozen=True)
class DiffusionConfig(LearningConfig):
    """Size of the diffusion transformer, what it is given, and how it samples."""

    width: int = 384
    """Features of a token."""
    depth: int = 12
    """Transformer blocks."""
    heads: int = 6
    """Attention heads."""
    copy: bool = True
    """Show each predicted patch the previous frame's, so that the change upon it is predicted."""
    process: Process = "diffusion"
    """How a picture turns to noise and what the loss weighs: "diffusion" on a quarter circle, with equal weight for all
    levels; "flow" on a straight line, with the weight of the flow's velocity, 1 / level²."""
    steps: int = 1
    """Sampling steps; more than one gains nothing (docs/benchmarks/diffusion_steps.md)."""
    state_embedding: bool = True
    """Give it the joints and the action as numbers too, embedded and added to its tokens; without it they are only
    drawn on the canvas."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_heads(self.width, self.heads)
        require_positive(self, "depth", "steps")
        if self.process not in get_args(Process):
            raise ForearmError(f"process is {self.process!r}; it has to be {' or '.join(get_args(Process))}")
