"""The convolutional U-Net."""

from forearm.models.family import Family
from forearm.models.unet.config import UNetConfig

FAMILY = Family(
    "unet",
    "forearm.models.unet.model:UNet",
    {
        "so101": UNetConfig(),
        "tiny": UNetConfig(width=24, levels=3),
        "base": UNetConfig(width=96, levels=5),
        "large": UNetConfig(width=128, levels=5),
    },
)
