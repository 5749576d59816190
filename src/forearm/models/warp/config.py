"""Settings of the family warp."""

import math
from dataclasses import dataclass

from forearm.base.errors import ForearmError
from forearm.models.settings import LearningConfig, require_positive, require_width


@dataclass(frozen=True)
class WarpConfig(LearningConfig):
    """Size of the model."""

    width: int = 32
    """Channels at the largest size of the U-Net; twice as many at each level below."""
    levels: int = 4
    """Sizes at which the U-Net computes, each half the one before."""
    layers: int = 4
    """Moving layers beside the one that stands still."""
    joint_maps: int = 0
    """Channels in which each camera's picture is shown where the joints put the arm, before and after; 0 for none. In
    the same time most models are better without them (docs/log/2026-11-27-flagship.md#without-joint-maps), and those of
    an hour of simulated play or tasks with 8 (docs/log/2026-11-28-dreams.md)."""
    contact: int = 0
    """Hidden features of a network that is told, at each place, where an SO-101's gripper is, passes and will be; 0 for
    none. For recordings of an SO-101 in degrees that touches things (docs/log/2026-11-28-contact.md)."""
    first_frame: bool = True
    """Where several frames are known, predictions that are fed back go on looking at the frame they began with."""
    joint_correction: bool = True
    """Where actions are commands, what the pictures show corrects the predicted joints: a gripper that is told to close
    stops at what it holds."""
    sharpening: float = 3.0
    """Where several frames are known, the power to which the blend's shares are raised in pictures that are fed back; 1
    for none. It keeps things whole that would dissolve step by step."""
    mse_weight: float = 1.5
    """Weight of the picture's squared error: small for real recordings, large for simulated ones
    (docs/log/2026-11-25-warp-parts.md)."""
    charbonnier_weight: float = 1.0
    """Weight of the blended picture's Charbonnier loss and, with a quarter of it, of its structural similarity
    (SSIM)."""
    change_weight: float = 2.0
    """By how much more than others the pixels that change count in the losses of motion and picture; 0 for alike."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.change_weight < math.inf:
            raise ForearmError(f"change_weight is {self.change_weight}; it has to be 0 or more")
        require_width(self.width, self.levels)
        require_positive(self, "layers")
        if not 1 <= self.sharpening < math.inf:
            raise ForearmError(f"sharpening is {self.sharpening}; it has to be 1 or more")
        for name in ("joint_maps", "contact"):
            if getattr(self, name) < 0:
                raise ForearmError(f"{name} is {getattr(self, name)}; it has to be 0 or more")
