"""Settings that every family has, and what settings are refused. Imports no torch."""

import math
from dataclasses import dataclass
from typing import Any

from forearm.base.errors import ForearmError

MOST = 4096
"""Of blocks, channels and the like."""


@dataclass(frozen=True)
class LearningConfig:
    """How training transitions are augmented and the losses of a picture weighed: settings that every family has."""

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
    mse_weight: float = 1.0
    """Weight of the picture's squared error."""
    charbonnier_weight: float = 0.0
    """Weight of the picture's Charbonnier loss and, with a quarter of it, of its structural similarity (SSIM)."""

    def __post_init__(self) -> None:
        for name in ("synthetic_stay", "brightness_jitter", "joint_noise"):
            if not 0 <= getattr(self, name) < 1:
                raise ForearmError(f"{name} is {getattr(self, name)}; it has to lie in [0, 1)")
        for name in ("mse_weight", "charbonnier_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ForearmError(f"{name} is {getattr(self, name)}; it has to be 0 or more")


def require_heads(width: int, heads: int, prefix: str = "") -> None:
    """Refuse a width that heads cannot share or `grid_positions` cannot fill; ``prefix`` stands before both names."""
    if heads < 1 or width < 1 or width % heads or width % 4 or width > MOST:
        raise ForearmError(f"{prefix}width is {width}; it has to be a multiple of 4 and of {prefix}heads, {heads}")


def require_positive(config: Any, *names: str) -> None:
    """Refuse settings below 1, or far beyond what any machine trains."""
    for name in names:
        if not 1 <= getattr(config, name) <= MOST:
            raise ForearmError(f"{name} is {getattr(config, name)}; it has to be at least 1 and at most {MOST}")


def require_width(width: int, levels: int) -> None:
    """Refuse channels that group norms cannot share, and levels beyond what pictures have."""
    if not 1 <= levels <= 6:
        raise ForearmError(f"levels is {levels}; it has to be between 1 and 6")
    if width < 8 or width % 8 or width * 2**levels > MOST:
        most = MOST // 2**levels
        raise ForearmError(f"width is {width}; it has to be a multiple of 8, with {levels} levels at most {most}")
