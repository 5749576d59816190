"""Settings of the family warp."""

import math
from dataclasses import dataclass

from forearm.base.errors import ForearmError
from forearm.models.family import require_heads, require_positive


@dataclass(frozen=True)
class WarpConfig:
    """Size of the model, and how its training data are augmented and its losses weighed."""

    width: int = 384
    """Features of a token."""
    depth: int = 4
    """Transformer blocks."""
    heads: int = 6
    """Attention heads."""
    layers: int = 2
    """Moving layers beside the one that stands still."""
    features: int = 12
    """Channels a pixel that go from the transformer to the convolutions."""
    refine: int = 16
    """Channels of the convolutions."""
    synthetic_stay: float = 0.1
    """Share of training transitions replaced by a frame that stays itself under no action, so that STAY is known where
    no recording has it."""
    reversed_pairs: bool = False
    """Show half of the transitions backwards under the opposite action, which is right where a change undone is the
    opposite change."""
    brightness_jitter: float = 0.2
    """By how much the colours of a transition's pictures are made brighter or darker, as a share."""
    joint_noise: float = 0.0
    """How far a transition's joints are shifted, as a share of the widest range among those of their unit."""
    mse_weight: float = 1.5
    """Weight of the picture's squared error beside the Charbonnier loss: small for real recordings, large for simulated
    ones (docs/log/2026-11-25-warp-parts.md)."""

    def __post_init__(self) -> None:
        require_heads(self.width, self.heads)
        require_positive(self, "depth", "layers", "features", "refine")
        for name in ("synthetic_stay", "brightness_jitter", "joint_noise"):
            if not 0 <= getattr(self, name) < 1:
                raise ForearmError(f"{name} is {getattr(self, name)}; it has to lie in [0, 1)")
        if not 0 <= self.mse_weight < math.inf:
            raise ForearmError(f"mse_weight is {self.mse_weight}; it has to be 0 or more")
