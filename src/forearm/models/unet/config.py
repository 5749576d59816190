"""Settings of the U-Net."""

from dataclasses import dataclass

from forearm.models.settings import LearningConfig, require_width


@dataclass(frozen=True)
class UNetConfig(LearningConfig):
    """Size of the U-Net, and what it is given."""

    width: int = 32
    """Channels at half the size of the pictures; twice as many at each level below."""
    levels: int = 4
    """Sizes at which it computes, each half the one before."""
    copy: bool = True
    """Predict the change upon the previous frame; without it the picture itself."""
    mse_weight: float = 1.5
    """Weight of the picture's squared error."""
    charbonnier_weight: float = 1.0
    """Weight of the picture's Charbonnier loss and, with a quarter of it, of its structural similarity (SSIM)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_width(self.width, self.levels)
