"""Settings of the causal vision transformer."""

from dataclasses import dataclass

from forearm.base.errors import ForearmError
from forearm.models.settings import LearningConfig, require_heads, require_positive


@dataclass(frozen=True)
class GPTConfig(LearningConfig):
    """Size of the causal transformer, and what it is given."""

    width: int = 384
    """Features of a token."""
    depth: int = 12
    """Transformer blocks."""
    heads: int = 6
    """Attention heads."""
    copy: bool = True
    """Show each position the previous frame's patch where it is to predict, so that it predicts the change."""
    strip_first: bool = False
    """Predict the motor strip before the picture, so that no errors of the picture pile up in it."""
    stale: float = 0.5
    """Share of the last frame's patches that training reads as they were in the previous frame, drawn anew each time:
    a model that has only ever read the truth takes its own mistakes for it."""
    state_embedding: bool = True
    """Give it the joints and the action as numbers too, embedded and added to its tokens; without it they are only
    drawn on the canvas."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_heads(self.width, self.heads)
        require_positive(self, "depth")
        if not 0 <= self.stale <= 1:
            raise ForearmError(f"stale is {self.stale}; it has to lie in [0, 1]")
