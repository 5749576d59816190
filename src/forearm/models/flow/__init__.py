"""The flow model: few transformations of the previous frame, and masks that composite them."""

from forearm.models.family import Family
from forearm.models.flow.config import FlowConfig

FAMILY = Family(
    "flow",
    "forearm.models.flow.model:Flow",
    {
        "so101": FlowConfig(),
        "tiny": FlowConfig(width=16, levels=3),
        "base": FlowConfig(width=96, levels=5),
        "large": FlowConfig(width=128, levels=5),
    },
)
