"""A flow model in the manner of Finn, Goodfellow and Levine 2016.

The paper is Unsupervised Learning for Physical Interaction through Video Prediction.

As there: a convolutional encoder of the pictures, into whose smallest map joints and action are tiled; from that map a
few transformations of the whole previous picture, spatial transformers (STP, 3.3) or normalised convolution kernels
(CDNA, 3.2); from the decoder one mask for each transformed picture, one for the previous picture as it is and one for
newly generated pixels, by which they are composited (3.4). Unlike there: group norms instead of convolutional LSTMs, as
one step is predicted at a time; one set of transformations a camera; joints predicted as the other families' are.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forearm.batch import Batch
from forearm.canvas import Layout
from forearm.models.blocks import initialise
from forearm.models.convolutions import PixelUNet
from forearm.models.flow.config import FlowConfig
from forearm.models.joints import JointHeadModel, JointState, state_mlp

RELU_SHIFT = 1e-6
"""Least value of a kernel's entry before kernels are normalised."""


class Flow(JointHeadModel):
    """Says by which few transformations the previous pictures move, and where each of them is right."""

    config: FlowConfig

    def __init__(self, layout: Layout, config: FlowConfig):
        super().__init__(layout, config)
        conditioning, copies = 4 * config.width, config.transforms
        self.embed_state = nn.Sequential(state_mlp(self.numbers, conditioning), nn.SiLU())
        inputs, size = 3 * (layout.history - 1), (layout.frame_height, layout.frame_width)
        self.body = PixelUNet(
            inputs, 1 + copies + 1 + 3, size, config.width, config.levels, conditioning, everywhere=False
        )
        each = 6 if config.transform == "stp" else config.kernel**2
        self.transform_head = nn.Linear(self.body.middle_width + conditioning, len(layout.cameras) * copies * each)
        initialise(self)
        self.start_joints()
        self._start()

    def _start(self) -> None:
        """Begin nearly as a copy of the previous frame: transformations that hardly move, and trust in what stands."""
        nn.init.normal_(self.transform_head.weight, std=0.01)  # alike transformations would stay so
        nn.init.normal_(self.body.end.weight, std=0.01)
        with torch.no_grad():
            bias = self.body.end.bias.zero_()  # type: ignore[union-attr]
            bias[:4] = 2.0  # each output has four, for the pixels of a square

    def hidden_layers(self) -> Iterable[nn.Module]:
        """The U-Net, but for its last layer, and what reads the joints."""
        return *self.body.hidden_layers(), self.embed_state

    def picture(self, batch: Batch, state: JointState) -> Tensor:
        frames = self.known_pictures(batch)
        condition = self.embed_state(state.conditioning)
        decoded, tokens = self.body(torch.cat(frames, dim=1) - 0.5, condition)
        masks, generated = decoded[:, :-3].softmax(dim=1), decoded[:, -3:] + 0.5
        transforms = self.transform_head(torch.cat([tokens.mean(dim=1), condition], dim=1)).float()
        transforms = transforms.unflatten(1, (len(self.layout.cameras), self.config.transforms, -1))
        picture = torch.zeros_like(generated)
        for i, (rows, columns) in enumerate(self.layout.camera_boxes()):
            before = frames[-1][..., rows, columns]
            moved = (affine if self.config.transform == "stp" else convolved)(before, transforms[:, i])
            sources = torch.cat([before[:, None], moved, generated[:, None, :, rows, columns]], dim=1)
            picture[..., rows, columns] = (masks[:, :, None, rows, columns] * sources).sum(dim=1)
        return picture


def affine(pictures: Tensor, parameters: Tensor) -> Tensor:
    """Pictures (B, C, h, w) under K affine maps, (B, K, 6) beside the identity: (B, K, C, h, w)."""
    b, k = parameters.shape[:2]
    identity = torch.eye(2, 3, device=pictures.device)
    matrices = (identity + parameters.unflatten(2, (2, 3))).flatten(0, 1)
    grid = F.affine_grid(matrices, [b * k, *pictures.shape[1:]], align_corners=False)
    sources = pictures[:, None].expand(-1, k, -1, -1, -1).flatten(0, 1)
    return F.grid_sample(sources, grid, padding_mode="border", align_corners=False).unflatten(0, (b, k))


def convolved(pictures: Tensor, parameters: Tensor) -> Tensor:
    """Pictures (B, C, h, w) under K kernels, (B, K, side²) before they are made to sum to 1: (B, K, C, h, w).

    A kernel begins as the identity, as its middle is raised by one.
    """
    b, k, entries = parameters.shape
    side = round(entries**0.5)
    middle = (torch.arange(entries, device=parameters.device) == entries // 2).to(parameters)
    kernels = F.relu(parameters + middle - RELU_SHIFT) + RELU_SHIFT
    kernels = (kernels / kernels.sum(dim=2, keepdim=True)).reshape(b * k, 1, side, side)
    padded = F.pad(pictures, [side // 2] * 4, mode="replicate")
    moved = F.conv2d(padded.transpose(0, 1), kernels.to(padded), groups=b)  # channels of a picture share its kernels
    return moved.unflatten(1, (b, k)).permute(1, 2, 0, 3, 4)
