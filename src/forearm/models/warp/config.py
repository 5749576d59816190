"""Settings of the family warp."""

from dataclasses import dataclass

from forearm.models.settings import LearningConfig, require_heads, require_positive


@dataclass(frozen=True)
class WarpConfig(LearningConfig):
    """Size of the model."""

    width: int = 384
    """Features of a token."""
    depth: int = 4
    """Transformer blocks."""
    heads: int = 6
    """Attention heads."""
    layers: int = 2
    """Moving layers beside the one that stands still."""
    features: int = 16
    """Channels a pixel that go from the transformer to the convolutions."""
    refine: int = 32
    """Channels of the convolutions."""
    mse_weight: float = 1.5
    """Weight of the picture's squared error: small for real recordings, large for simulated ones
    (docs/log/2026-11-25-warp-parts.md)."""
    charbonnier_weight: float = 1.0
    """Weight of the blended picture's Charbonnier loss and, with a quarter of it, of its structural similarity
    (SSIM)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_heads(self.width, self.heads)
        require_positive(self, "depth", "layers", "features", "refine")
