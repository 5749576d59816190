"""The diffusion transformer."""

from forearm.models.diffusion.config import DiffusionConfig
from forearm.models.family import Family

FAMILY = Family(
    "diffusion",
    "forearm.models.diffusion.model:DiffusionTransformer",
    {
        "so101": DiffusionConfig(),
        "tiny": DiffusionConfig(width=128, depth=4, heads=4),
        "base": DiffusionConfig(width=768, depth=12, heads=12),
        "large": DiffusionConfig(width=1024, depth=16, heads=16),
    },
)
