"""Pieces that the families share: patches, positions, and the transformer block."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forearm.canvas import Layout
from forearm.models.losses import picture_loss
from forearm.models.settings import LearningConfig


def patchify(pictures: Tensor, patch: int) -> Tensor:
    """Cut pictures (B, C, H, W) into patches (B, H/p · W/p, p · p · C), in raster order."""
    b, c, h, w = pictures.shape
    cut = pictures.reshape(b, c, h // patch, patch, w // patch, patch)
    return cut.permute(0, 2, 4, 3, 5, 1).reshape(b, (h // patch) * (w // patch), patch * patch * c)


def unpatchify(patches: Tensor, patch: int, height: int, width: int) -> Tensor:
    """Put patches (B, H/p · W/p, p · p · C) together again to pictures (B, C, H, W)."""
    b, _, length = patches.shape
    c = length // (patch * patch)
    cut = patches.reshape(b, height // patch, width // patch, patch, patch, c)
    return cut.permute(0, 5, 1, 3, 2, 4).reshape(b, c, height, width)


def patch_indices(layout: Layout) -> tuple[Tensor, Tensor, int]:
    """Indices of patches in a canvas's raster order.

    Returns:
        those of the context (rows, columns before the last frame) and of the last frame (rows, its columns), both
        int64, and by how much smaller the indices of the frame before the last are.
    """
    rows, columns = layout.grid
    frame, gap = layout.frame_width // layout.patch, layout.separator // layout.patch
    index = torch.arange(rows * columns, device="cpu").reshape(rows, columns)
    return index[:, :-frame], index[:, -frame:], frame + gap


def patch_losses(
    predicted: Tensor, truth: Tensor, layout: Layout, config: LearningConfig | None = None
) -> dict[str, Tensor]:
    """Losses of the last frame's patches (B, N, pixels) in raster order: all, and squared errors of picture and strip.

    Without a config the loss is the mean squared error.
    """
    strip = layout.strip_height // layout.patch * (layout.frame_width // layout.patch)
    error = (predicted - truth) ** 2
    losses = {"loss": error.mean(), "visual": error[:, :-strip].mean(), "strip": error[:, -strip:].mean()}
    if config is not None and (config.mse_weight != 1 or config.charbonnier_weight):
        size = (layout.patch, layout.frame_height, layout.frame_width)
        picture, true = (unpatchify(patches[:, :-strip], *size) for patches in (predicted, truth))
        share = strip / error.shape[1]
        losses["loss"] = (1 - share) * picture_loss(picture, true, config) + share * losses["strip"]
    return losses


def grid_positions(rows: int, columns: int, width: int) -> Tensor:
    """Sine-cosine codes of a grid's cells in raster order, (rows · columns, width) float32.

    Half of the width codes the row, half the column (Vaswani et al. 2017, 3.5; in two dimensions as in
    He et al. 2022, Masked Autoencoders). Without values where a model is only planned, on the meta device: arithmetic
    there imports torch's compiler, which takes a second.
    """
    if torch.get_default_device().type == "meta":
        return torch.empty(rows * columns, width)
    frequencies = 1 / 10000 ** (torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    angles = [axis.reshape(-1, 1) * frequencies for axis in (y, x)]
    return torch.cat([part for angle in angles for part in (angle.sin(), angle.cos())], dim=1).float()


class Attention(nn.Module):
    """Multi-head self-attention through ``scaled_dot_product_attention``."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, L, width) to (B, L, width)."""
        b, length, width = tokens.shape
        q, k, v = self.qkv(tokens).reshape(b, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.out(mixed.transpose(1, 2).reshape(b, length, width))


class Block(nn.Module):
    """A pre-norm transformer block (Dosovitskiy et al. 2021, An Image is Worth 16×16 Words)."""

    def __init__(self, width: int, heads: int, expansion: int = 4):
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, expansion * width), nn.GELU(approximate="tanh"), nn.Linear(expansion * width, width)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, L, width) to (B, L, width)."""
        tokens = tokens + self.attention(self.attention_norm(tokens))
        return tokens + self.mlp(self.mlp_norm(tokens))


def transformer(width: int, depth: int, heads: int) -> nn.Sequential:
    """``depth`` blocks and a closing norm."""
    return nn.Sequential(*(Block(width, heads) for _ in range(depth)), nn.LayerNorm(width))


def initialise(module: nn.Module) -> None:
    """Weights of linear layers as in He et al. 2022: Xavier uniform, biases zero."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
