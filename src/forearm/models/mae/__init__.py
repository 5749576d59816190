"""The masked autoencoder."""

from forearm.models.family import Family
from forearm.models.mae.config import MAEConfig

FAMILY = Family(
    "mae",
    "forearm.models.mae.model:MaskedAutoencoder",
    {
        "so101": MAEConfig(),
        "tiny": MAEConfig(width=128, depth=4, heads=4, decoder_width=64, decoder_depth=2, decoder_heads=2),
        "base": MAEConfig(width=768, depth=12, heads=12, decoder_width=512, decoder_depth=4, decoder_heads=8),
        "large": MAEConfig(width=1024, depth=22, heads=16, decoder_width=512, decoder_depth=6, decoder_heads=8),
    },
)
