"""A convolutional encoder and decoder that is told joints and action."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forearm.models.blocks import Block, grid_positions

GROUP = 8
"""Channels that are normalised together (Wu and He 2018, Group Normalization)."""


class ResidualBlock(nn.Module):
    """Two convolutions beside a skip connection; after the first, channels are scaled and shifted by a conditioning.

    Adaptive group normalisation as in Dhariwal and Nichol 2021 (Diffusion Models Beat GANs on Image Synthesis, 3.1),
    which is FiLM (Perez et al. 2018) between norm and activation.
    """

    def __init__(self, inputs: int, outputs: int, conditioning: int | None):
        super().__init__()
        self.norm = group_norm(inputs)
        self.convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.modulated_norm = group_norm(outputs)
        self.modulation = nn.Linear(conditioning, 2 * outputs) if conditioning else None
        self.last_convolution = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """(B, inputs, h, w) and (B, conditioning) to (B, outputs, h, w)."""
        hidden = self.convolution(F.silu(self.norm(features)))
        hidden = self.modulated_norm(hidden)
        if self.modulation is not None:
            scale, shift = self.modulation(condition)[:, :, None, None].chunk(2, dim=1)
            hidden = hidden * (1 + scale) + shift
        return self.skip(features) + self.last_convolution(F.silu(hidden))


class UNetBody(nn.Module):
    """From a picture to features of every place, down to small sizes and up again (Ronneberger et al. 2015, U-Net).

    Pixels come in in squares, which a processor computes as many times as fast. Between the ways down and up a
    transformer block lets every place see every other one.
    """

    def __init__(
        self,
        inputs: int,
        size: tuple[int, int],
        width: int,
        levels: int,
        conditioning: int,
        everywhere: bool = True,
        square: int = 2,
        further: int = 0,
    ):
        """Make one.

        Args:
            inputs: channels of the picture.
            size: height and width of the picture.
            width: channels at the largest size; twice as many at each level below.
            levels: sizes at which it computes, each half the one before.
            conditioning: numbers it is told.
            everywhere: the conditioning modulates each block; or else it is tiled into the smallest map alone.
            square: side of the squares in which pixels come in.
            further: channels of what it is told of each square beside its pixels.
        """
        super().__init__()
        self.square = square
        self.multiple = square * 2 ** (levels - 1)
        """Of pixels that a picture's sides are padded to."""
        widths = [width * 2**level for level in range(levels)]
        self.begin = nn.Conv2d(square**2 * inputs + further, width, 3, padding=1)
        steps, modulated = list(zip([width, *widths], widths, strict=False)), conditioning if everywhere else None
        self.down = nn.ModuleList(ResidualBlock(a, b, modulated) for a, b in steps)
        rows, columns = (math.ceil(side / self.multiple) for side in size)
        self.position_embedding = nn.Parameter(grid_positions(rows, columns, widths[-1]))
        self.middle = Block(widths[-1], widths[-1] // GROUP // 2 or 1)
        self.tile = None if everywhere else nn.Linear(conditioning, widths[-1])
        self.middle_width = widths[-1]
        self.place_level = min(1, levels - 1)
        self.place_channels, self.place_pixels = 2 * widths[self.place_level], square * 2**self.place_level
        """Channels of the map that ``at_places`` gets, and side of its cells in pixels."""
        self.up = nn.ModuleList(ResidualBlock(2 * b, a, modulated) for a, b in reversed(steps))
        self.norm = group_norm(width)

    def features(
        self,
        picture: Tensor,
        condition: Tensor,
        maps: Tensor | None = None,
        at_places: Callable[[Tensor], Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """(B, inputs, h, w) and (B, conditioning) to features of each square, and what is between (B, N, channels).

        ``maps`` are (B, further, ⌈h / square⌉, ⌈w / square⌉). Features are (B, width, h' / square, w' / square), of the
        padded picture. On the way up ``at_places`` changes what comes into the second largest size, from below and from
        the side: (B, place_channels, h' / place_pixels, w' / place_pixels).
        """
        h, w = picture.shape[-2:]
        padded = F.pad(picture, (0, -w % self.multiple, 0, -h % self.multiple), mode="replicate")
        squares = F.pixel_unshuffle(padded, self.square)
        if maps is not None:
            short = (squares.shape[-1] - maps.shape[-1], squares.shape[-2] - maps.shape[-2])
            squares = torch.cat([squares, F.pad(maps, (0, short[0], 0, short[1]))], dim=1)
        features = self.begin(squares.contiguous(memory_format=torch.channels_last))
        seen = []
        for i, block in enumerate(self.down):
            features = block(F.avg_pool2d(features, 2) if i else features, condition)
            seen.append(features)
        tokens = features.flatten(2).transpose(1, 2) + self.position_embedding
        if self.tile is not None:
            tokens = tokens + self.tile(condition)[:, None]
        tokens = self.middle(tokens)
        features = tokens.transpose(1, 2).unflatten(2, features.shape[-2:])
        for i, block in enumerate(self.up):
            features = F.interpolate(features, scale_factor=2.0, mode="nearest") if i else features
            features = torch.cat([features, seen.pop()], dim=1)
            if at_places is not None and len(seen) == self.place_level:
                features = at_places(features)
            features = block(features, condition)
        return F.silu(self.norm(features)), tokens


class PixelUNet(UNetBody):
    """A U-Net to a map as large as the picture (Shi et al. 2016, sub-pixel convolution)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: tuple[int, int],
        width: int,
        levels: int,
        conditioning: int,
        everywhere: bool = True,
    ):
        """``outputs``: channels of the map; the rest as of `UNetBody`."""
        super().__init__(inputs, size, width, levels, conditioning, everywhere)
        self.end = nn.Conv2d(width, self.square**2 * outputs, 3, padding=1)

    def hidden_layers(self) -> list[nn.Module]:
        """All but the last."""
        return [layer for layer in self.children() if layer is not self.end]

    def forward(self, picture: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """(B, inputs, h, w) and (B, conditioning) to (B, outputs, h, w), and what is between (B, N, channels)."""
        h, w = picture.shape[-2:]
        features, tokens = self.features(picture, condition)
        return F.pixel_shuffle(self.end(features), self.square)[..., :h, :w].float(), tokens


def group_norm(channels: int) -> nn.GroupNorm:
    """Normalises channels in groups of eight."""
    return nn.GroupNorm(max(channels // GROUP, 1), channels)
