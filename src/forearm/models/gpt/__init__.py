"""The causal vision transformer."""

from forearm.models.family import Family
from forearm.models.gpt.config import GPTConfig

FAMILY = Family(
    "gpt",
    "forearm.models.gpt.model:CausalTransformer",
    {
        "so101": GPTConfig(),
        "tiny": GPTConfig(width=128, depth=4, heads=4),
        "base": GPTConfig(width=768, depth=12, heads=12),
        "large": GPTConfig(width=1024, depth=24, heads=16),
    },
)
