"""Warp and generate: the next frame is the previous one, moved; only what cannot be copied is generated."""

from forearm.models.family import Family
from forearm.models.warp.config import WarpConfig

FAMILY = Family(
    "warp",
    "forearm.models.warp.model:Warp",
    {
        "so101": WarpConfig(),
        "tiny": WarpConfig(width=16, levels=3),
        "base": WarpConfig(width=96, levels=5),
        "large": WarpConfig(width=128, levels=5),
    },
)
