"""Settings of the flow model."""

from dataclasses import dataclass
from typing import Literal, get_args

from forearm.base.errors import ForearmError
from forearm.models.settings import LearningConfig, require_positive, require_width

Transform = Literal["stp", "cdna"]


@dataclass(frozen=True)
class FlowConfig(LearningConfig):
    """Size of the flow model, and how it moves pictures."""

    width: int = 32
    """Channels at half the size of the pictures; twice as many at each level below."""
    levels: int = 4
    """Sizes at which it computes, each half the one before."""
    transforms: int = 10
    """Moved copies of each camera's picture."""
    transform: Transform = "stp"
    """How a copy is moved: "stp" by an affine map, "cdna" by a convolution with a predicted kernel."""
    kernel: int = 15
    """Side of the kernels of "cdna" in pixels, odd; they move a picture by half of it at most."""
    mse_weight: float = 1.5
    """Weight of the picture's squared error."""
    charbonnier_weight: float = 1.0
    """Weight of the picture's Charbonnier loss and, with a quarter of it, of its structural similarity (SSIM)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_width(self.width, self.levels)
        require_positive(self, "transforms", "kernel")
        if self.transform not in get_args(Transform):
            raise ForearmError(f"transform is {self.transform!r}; it has to be {' or '.join(get_args(Transform))}")
        if self.kernel % 2 == 0:
            raise ForearmError(f"kernel is {self.kernel}; it has to be odd")
