"""What pictures say of where a command leads the joints, such as a gripper that is stopped by what it holds."""

import torch
from torch import Tensor, nn

CHANNELS = 16
"""Features of a place that are pooled."""


class JointCorrection(nn.Module):
    """What pictures add to the joints' predicted change.

    Joints and commands as numbers do not tell whether anything lies between the jaws. Each place of the pictures has
    its say, by a weight of its own (attention pooling: Ilse et al. 2018, Attention-based Deep Multiple Instance
    Learning).
    """

    def __init__(self, features: int, conditioning: int, joints: int):
        """``features`` are those of a place, ``conditioning`` the numbers that are told of joints and commands."""
        super().__init__()
        self.encoder = nn.Conv2d(features, CHANNELS + 1, 3, padding=1)
        self.head = nn.Sequential(nn.Linear(CHANNELS + conditioning, 64), nn.GELU(), nn.Linear(64, joints))

    def start(self) -> None:
        """Begin by adding nothing; to be called once all weights are drawn."""
        nn.init.zeros_(self.head[-1].weight)  # type: ignore[arg-type]

    def forward(self, cameras: list[Tensor], conditioning: Tensor) -> Tensor:
        """Features of each camera, (B, features, h, w) each, and the numbers, (B, conditioning), to (B, joints)."""
        seen = torch.cat([self.encoder(features).flatten(2) for features in cameras], dim=2).float()
        features, score = seen.split([CHANNELS, 1], dim=1)
        pooled = (score.softmax(dim=2) * nn.functional.silu(features)).sum(dim=2)
        with torch.autocast(pooled.device.type, enabled=False):  # half precision would cost tenths of a degree
            return self.head(torch.cat([pooled, conditioning], dim=1))
