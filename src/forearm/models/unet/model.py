"""A convolutional U-Net (Ronneberger et al. 2015) that is told joints and action in every block.

The plain rival: no motion, no layers, no memory. U-Nets with adaptive norms are what most world models of pictures draw
with (such as Alonso et al. 2024, Diffusion for World Modeling, whose network this resembles without its noise).
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from forearm.batch import Batch
from forearm.canvas import Layout
from forearm.models.blocks import initialise
from forearm.models.convolutions import PixelUNet
from forearm.models.joints import JointHeadModel, JointState, state_mlp
from forearm.models.unet.config import UNetConfig


class UNet(JointHeadModel):
    """Predicts the pictures from the known ones, conditioned on joints and actions; joints have their own head."""

    config: UNetConfig

    def __init__(self, layout: Layout, config: UNetConfig):
        super().__init__(layout, config)
        conditioning = 4 * config.width
        self.embed_state = nn.Sequential(state_mlp(self.numbers, conditioning), nn.SiLU())
        inputs, size = 3 * (layout.history - 1), (layout.frame_height, layout.frame_width)
        self.body = PixelUNet(inputs, 3, size, config.width, config.levels, conditioning)
        initialise(self)
        self.start_joints()
        if config.copy:
            nn.init.zeros_(self.body.end.weight)  # begin as a copy of the previous frame
        nn.init.zeros_(self.body.end.bias)  # type: ignore[arg-type]

    def hidden_layers(self) -> Iterable[nn.Module]:
        """The U-Net, but for its last layer, and what reads the joints."""
        return *self.body.hidden_layers(), self.embed_state

    def picture(self, batch: Batch, state: JointState) -> Tensor:
        frames = self.known_pictures(batch)
        painted, _ = self.body(torch.cat(frames, dim=1) - 0.5, self.embed_state(state.conditioning))
        return painted + (frames[-1] if self.config.copy else 0.5)
