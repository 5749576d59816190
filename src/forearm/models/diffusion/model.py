"""The diffusion transformer: the last frame's picture out of noise in a few steps, beside a context that is read once.

Blocks with adaLN-Zero as in Peebles & Xie 2023 (Scalable Diffusion Models with Transformers, 3.2), adapted to canvases.
The network predicts the clean picture; predicting the noise fails on canvases, most of which are not noisy, and Li & He
2025 (Back to Basics: Let Denoising Generative Models Denoise) say why it should.
"""

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forearm.batch import Batch, Prediction
from forearm.canvas import Layout
from forearm.models.blocks import (
    Attention,
    Block,
    grid_positions,
    initialise,
    patch_indices,
    patchify,
    unpatchify,
)
from forearm.models.diffusion.config import DiffusionConfig
from forearm.models.joints import StateEmbedding
from forearm.models.losses import picture_loss
from forearm.models.world_model import WorldModel

FROM_NOTHING = 0.5
"""Share of the canvases that are trained on from where sampling begins: level 1, and zero instead of noise."""
LEVEL_MEAN, LEVEL_STD = 1.0, 1.0
"""Logit-normal distribution of the other noise levels (Esser et al. 2024, Scaling Rectified Flow Transformers, 3.1). It
leans to noise: what the action does is decided where little is seen yet; at low levels the answer is in the input."""
LEAST_LEVEL = 0.1
"""Below this level the weight of a flow's loss grows no more."""
CONTRAST = 2.0
"""Of the pictures that noise is laid upon: grey values in [−1, 1], against noise of variance 1."""
LEVEL_BUCKETS = 4
"""Of ``diagnose``."""


class CachedAttention(Attention):
    """Self-attention that gives its keys and values away, and sees those of tokens that were read before."""

    def forward(self, tokens: Tensor, cache: Tensor | None = None) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """(B, L, width) to (B, L, width), and keys and values (2, B, heads, L, width / heads) of these tokens.

        Args:
            cache: keys and values (2, B, heads, M, width / heads) of further tokens to see.
        """
        b, length, width = tokens.shape
        qkv = self.qkv(tokens).reshape(b, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q, own = qkv[0], qkv[1:]
        seen = own if cache is None else torch.cat([cache, own], dim=3)
        mixed = F.scaled_dot_product_attention(q, seen[0], seen[1])
        return self.out(mixed.transpose(1, 2).reshape(b, length, width)), own


class DiffusionBlock(Block):
    """A transformer block for clean tokens and, shifted, scaled and gated by their noise level, for noisy ones."""

    def __init__(self, width: int, heads: int):
        super().__init__(width, heads)
        self.attention = CachedAttention(width, heads)
        self.modulation = nn.Linear(width, 6 * width)

    def forward(  # type: ignore[override]
        self, tokens: Tensor, cache: Tensor | None = None, condition: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """(B, L, width) to (B, L, width), and their keys and values; cache as in ``CachedAttention``.

        Args:
            condition: what noisy tokens are modulated by (adaLN-Zero), (B, width); clean ones are not.
        """
        scale, shift, gate, mlp_scale, mlp_shift, mlp_gate = (
            (0, 0, 1, 0, 0, 1) if condition is None else self.modulation(condition)[:, None].chunk(6, dim=-1)
        )
        mixed, own = self.attention(self.attention_norm(tokens) * (1 + scale) + shift, cache)
        tokens = tokens + gate * mixed
        return tokens + mlp_gate * self.mlp(self.mlp_norm(tokens) * (1 + mlp_scale) + mlp_shift), own


@dataclass(frozen=True)
class Known:
    """What the network is given of a batch."""

    grey: Tensor
    """(B, L, pixels) the patches of the canvases around zero."""
    state: Tensor | None
    """(B, 1, width) joints and action, embedded."""


class DiffusionTransformer(WorldModel):
    """Reads the context once, predicts the motor strip from it, and denoises the picture step by step.

    The context and the strip's positions are clean tokens: they attend to each other and neither to noise nor to its
    level. So they are read once for all steps, and the strip is a plain regression, never drawn at random.

    The noise level, from 0 to 1, comes in by adaLN-Zero. Sampling is DDIM without chance (Song et al. 2021, (12) with
    σ = 0; of a flow, Euler's method) and begins at zero, the mean of the noise. What a step from there predicts is the
    mean of the pictures that may come, which is what an error in pixels asks for.
    """

    context: Tensor
    picture: Tensor
    strip: Tensor

    def __init__(self, layout: Layout, config: DiffusionConfig):
        super().__init__(layout, config)
        self.config = config
        p, (rows, columns), width = layout.patch, layout.grid, config.width
        pixels = 3 * p * p
        context, last, self.to_previous = patch_indices(layout)
        strip_rows = layout.strip_height // p
        self.register_buffer("context", context.flatten(), persistent=False)
        self.register_buffer("picture", last[:-strip_rows].flatten(), persistent=False)
        self.register_buffer("strip", last[-strip_rows:].flatten(), persistent=False)

        self.embed = nn.Linear(pixels, width)
        self.embed_noisy = nn.Linear(pixels, width)
        self.embed_previous = nn.Linear(pixels, width) if config.copy else None
        self.embed_level = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.blocks = nn.ModuleList(DiffusionBlock(width, config.heads) for _ in range(config.depth))
        self.norm = nn.LayerNorm(width)
        self.modulation = nn.Linear(width, 2 * width)
        self.head = nn.Linear(width, pixels)
        self.position_embedding = nn.Parameter(grid_positions(rows, columns, width))
        self.embed_state = StateEmbedding(layout, width) if config.state_embedding else None
        initialise(self)
        nn.init.zeros_(self.embed_noisy.weight)  # begin without noise, and look at it where that helps
        for part in (self, *self.blocks):
            nn.init.zeros_(part.modulation.weight)
        if config.copy:
            nn.init.zeros_(self.head.weight)  # begin as a copy of the previous frame

    def training_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Squared errors of what is denoised from levels that are drawn, as weighed by the process."""
        known = self._known(batch)
        strip, caches = self.read(known)
        truth = known.grey[:, self.picture]
        level = self._drawn_levels(truth)
        noise = torch.randn_like(truth) * (level < 1)[:, None, None]
        predicted = self.denoise(self.noisy(truth, level, noise), level, known, caches)
        weight = level.clamp(min=LEAST_LEVEL) ** -2 if self.config.process == "flow" else torch.ones_like(level)
        losses = self._errors(known, predicted, strip, weight)
        if self.config.mse_weight != 1 or self.config.charbonnier_weight:
            share, size = self._strip_share(), (self.layout.patch, self.layout.frame_height, self.layout.frame_width)
            painted, true = (unpatchify(patches, *size) for patches in (predicted, truth))
            losses["loss"] = (1 - share) * picture_loss(painted, true, self.config) + share * losses["strip"]
        return losses

    def validation_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Squared errors of what is predicted from the context alone, so that they compare with other families'."""
        known = self._known(batch)
        strip, caches = self.read(known)
        return self._errors(known, self.sample(known, caches), strip, known.grey.new_ones(len(known.grey)))

    def _errors(self, known: Known, predicted: Tensor, strip: Tensor, weight: Tensor) -> dict[str, Tensor]:
        visual = ((predicted - known.grey[:, self.picture]) ** 2).mean((1, 2))
        joints = ((strip - known.grey[:, self.strip]) ** 2).mean()
        share = self._strip_share()
        return {
            "loss": (1 - share) * (weight * visual).mean() + share * joints,
            "visual": visual.mean(),
            "strip": joints,
        }

    def _strip_share(self) -> float:
        return len(self.strip) / (len(self.strip) + len(self.picture))

    @torch.inference_mode()
    def predict(self, batch: Batch) -> Prediction:
        known = self._known(batch)
        return self._prediction(known, *self.read(known))

    @torch.inference_mode()
    def diagnose(self, batch: Batch, truth: Tensor) -> tuple[Prediction, dict[str, Tensor]]:
        """``loss_by_noise_level`` (B, 4): squared error of the denoised picture, levels in quarters from least to most.

        Levels and noise are drawn from each row's number, so that the figures depend on nothing else.
        """
        known = self._known(batch)
        strip, caches = self.read(known)
        truth = patchify(truth, self.layout.patch)[:, : len(self.picture)] - 0.5
        chances = [torch.Generator().manual_seed(row) for row in batch.rows.tolist()]
        errors = []
        for bucket in range(LEVEL_BUCKETS):
            level = torch.cat([(bucket + torch.rand(1, generator=chance)) / LEVEL_BUCKETS for chance in chances])
            noise = torch.stack([torch.randn(truth.shape[1:], generator=chance) for chance in chances])
            level, noise = level.to(truth), noise.to(truth)
            predicted = self.denoise(self.noisy(truth, level, noise), level, known, caches)
            errors.append(((predicted - truth) ** 2).mean((1, 2)))
        return self._prediction(known, strip, caches), {"loss_by_noise_level": torch.stack(errors, dim=1)}

    def _prediction(self, known: Known, strip: Tensor, caches: list[Tensor]) -> Prediction:
        predicted = torch.cat([self.sample(known, caches), strip], dim=1) + 0.5
        region = unpatchify(predicted, self.layout.patch, self.layout.height, self.layout.frame_width)
        return Prediction(region.clamp(0, 1))

    def read(self, known: Known) -> tuple[Tensor, list[Tensor]]:
        """From all patches of a canvas (B, L, pixels), of which only the context is read:

        the strip's patches (B, S, pixels), and each block's keys and values of all clean tokens.
        """
        context = self.embed(known.grey[:, self.context]) + self._placed(known, self.context)
        tokens = torch.cat([context, self._conditioning(known, self.strip)], dim=1)
        caches = []
        for block in self.blocks:
            tokens, cache = block(tokens)
            caches.append(cache)
        predicted = self.head(self.norm(tokens[:, -len(self.strip) :]))
        return predicted.float() + self._start(known, self.strip), caches

    def denoise(self, noisy: Tensor, level: Tensor, known: Known, caches: list[Tensor]) -> Tensor:
        """The clean picture's patches (B, N, pixels), known around zero, from noisy ones of levels (B,)."""
        condition = self.embed_level(self._waves(level))
        tokens = self.embed_noisy(noisy) + self._conditioning(known, self.picture)
        for block, cache in zip(self.blocks, caches, strict=True):
            tokens, _ = block(tokens, cache, condition)
        scale, shift = self.modulation(condition)[:, None].chunk(2, dim=-1)
        predicted = self.head(self.norm(tokens) * (1 + scale) + shift)
        return predicted.float() + self._start(known, self.picture)

    def sample(self, known: Known, caches: list[Tensor], noise: Tensor | None = None) -> Tensor:
        """The picture's patches (B, N, pixels) in ``steps`` steps from noise, by default from its mean, zero."""
        noisy = torch.zeros_like(known.grey[:, self.picture]) if noise is None else noise
        levels = torch.linspace(1, 0, self.config.steps + 1, device=known.grey.device)
        for level, next_level in itertools.pairwise(levels):
            clean = self.denoise(noisy, level.expand(known.grey.shape[0]), known, caches)
            (signal, chance), (next_signal, next_chance) = self._parts(level), self._parts(next_level)
            left = (noisy - signal * CONTRAST * clean) / chance  # the noise, if the clean picture is right
            noisy = next_signal * CONTRAST * clean + next_chance * left
        return clean

    def noisy(self, truth: Tensor, level: Tensor, noise: Tensor) -> Tensor:
        """Patches (B, N, pixels), known around zero, at the noise levels (B,)."""
        signal, chance = (part[:, None, None] for part in self._parts(level))
        return signal * CONTRAST * truth + chance * noise

    def _drawn_levels(self, truth: Tensor) -> Tensor:
        """Noise levels to train on, (B,)."""
        level = torch.sigmoid(LEVEL_MEAN + LEVEL_STD * torch.randn(len(truth), device=truth.device))
        return level.masked_fill(torch.rand_like(level) < FROM_NOTHING, 1)

    def _parts(self, level: Tensor) -> tuple[Tensor, Tensor]:
        """How much picture and how much noise there is at a level, each of its shape."""
        if self.config.process == "flow":
            return 1 - level, level
        return (level * math.pi / 2).cos(), (level * math.pi / 2).sin()

    def _known(self, batch: Batch) -> Known:
        state = None if self.embed_state is None else self.embed_state(batch)
        return Known(patchify(batch.canvas, self.layout.patch) - 0.5, state)

    def _conditioning(self, known: Known, indices: Tensor) -> Tensor:
        """Conditioning of predicted patches, (B, N, width): position and, with ``copy``, the previous patch."""
        conditioning = self._placed(known, indices).expand(known.grey.shape[0], -1, -1)
        if self.embed_previous is None:
            return conditioning
        return conditioning + self.embed_previous(known.grey[:, indices - self.to_previous])

    def _placed(self, known: Known, indices: Tensor) -> Tensor:
        """What every token holds, (B or 1, N, width): position, and joints and action."""
        positions = self.position_embedding[indices][None]
        return positions if known.state is None else positions + known.state

    def _start(self, known: Known, indices: Tensor) -> Tensor:
        """What predictions are added to, (B, N, pixels)."""
        previous = known.grey[:, indices - self.to_previous]
        return previous if self.config.copy else torch.zeros_like(previous)

    def _waves(self, level: Tensor) -> Tensor:
        """Noise levels (B,) as sines and cosines (B, width)."""
        half = self.config.width // 2
        frequencies = 1000 / 10000 ** (torch.arange(half, device=level.device) / half)
        angles = level[:, None] * frequencies
        return torch.cat([angles.sin(), angles.cos()], dim=1)
