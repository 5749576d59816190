"""The causal vision transformer: the last frame patch by patch, each from all patches before it.

A picture as a sequence of patches with real values, under a squared error, as in El-Nouby et al. 2024 (Scalable
Pre-training of Large Autoregressive Image Models), adapted to canvases.

``predict`` gives the picture that the network, run over the whole canvas once a patch, would give. It keeps keys and
values, so that a patch costs one token, and predicts all patches at once again and again until they stand still.
"""

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
    patch_losses,
    patchify,
    unpatchify,
)
from forearm.models.gpt.config import GPTConfig
from forearm.models.joints import StateEmbedding
from forearm.models.world_model import WorldModel

SWEEPS = 24
"""How often ``predict`` predicts all patches at once; those that then still change are predicted one after another."""
STILL = 2e-6
"""A patch predicted again stands still if no value of it changes by more than this, where white − black = 1."""


class CausalAttention(Attention):
    """Self-attention in which a token sees itself and those before it, whose keys and values a cache may hold."""

    def forward(self, tokens: Tensor, cache: Tensor | None = None, start: int = 0) -> Tensor:
        """(B, L, width) to (B, L, width).

        Args:
            cache: keys and values (2, B, heads, most, width / heads); those of ``tokens`` are put in at ``start``.
            start: how many tokens came before, whose keys and values the cache holds.
        """
        b, length, width = tokens.shape
        qkv = self.qkv(tokens).reshape(b, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q, kv = qkv[0], qkv[1:]
        if cache is not None:
            cache.narrow(3, start, length).copy_(kv)
            kv = cache.narrow(3, 0, start + length)
        before = None  # one token sees all, a beginning has a kernel of its own: neither needs a mask
        if start and length > 1:
            before = torch.ones(length, start + length, dtype=torch.bool, device=tokens.device).tril(start)
        mixed = F.scaled_dot_product_attention(q, kv[0], kv[1], before, is_causal=not start and length > 1)
        return self.out(mixed.transpose(1, 2).reshape(b, length, width))


class CausalBlock(Block):
    """A transformer block with causal attention."""

    def __init__(self, width: int, heads: int):
        super().__init__(width, heads)
        self.attention = CausalAttention(width, heads)

    def forward(self, tokens: Tensor, cache: Tensor | None = None, start: int = 0) -> Tensor:
        """(B, L, width) to (B, L, width); cache and start as in ``CausalAttention``."""
        tokens = tokens + self.attention(self.attention_norm(tokens), cache, start)
        return tokens + self.mlp(self.mlp_norm(tokens))


class CausalTransformer(WorldModel):
    """Position i reads the patch i and predicts the patch i + 1; the loss is on those of the last frame.

    The context comes first in the order (all columns before the last frame, row by row), then the last frame, row by
    row. One scan over the whole canvas would not do: there the context of the rows below comes after the last frame's
    patches of the rows above, which would be predicted without it, and it could not be read in one pass.

    Patches are read and predicted as grey values around zero, [−0.5, 0.5].
    """

    context: Tensor
    targets: Tensor
    previous: Tensor
    raster: Tensor

    def __init__(self, layout: Layout, config: GPTConfig):
        super().__init__(layout, config)
        self.config = config
        p, (rows, columns) = layout.patch, layout.grid
        pixels = 3 * p * p
        context, last, to_previous = patch_indices(layout)
        if config.strip_first:
            last = last.roll(layout.strip_height // p, dims=0)
        targets = last.flatten()
        self.register_buffer("context", context.flatten(), persistent=False)
        self.register_buffer("targets", targets, persistent=False)
        self.register_buffer("previous", targets - to_previous, persistent=False)
        self.register_buffer("raster", targets.argsort(), persistent=False)

        self.embed = nn.Linear(pixels, config.width)
        self.embed_previous = nn.Linear(pixels, config.width) if config.copy else None
        self.blocks = nn.ModuleList(CausalBlock(config.width, config.heads) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, pixels)
        codes = grid_positions(rows, columns, config.width)
        self.position_embedding = nn.Parameter(codes)
        self.next_position_embedding = nn.Parameter(codes[targets])
        self.embed_state = StateEmbedding(layout, config.width) if config.state_embedding else None
        initialise(self)
        if config.copy:
            nn.init.zeros_(self.head.weight)  # begin as a copy of the previous frame

    def training_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Squared errors when reading partly stale patches."""
        grey = self._grey(batch.canvas)
        return self._losses(batch, self._staled(grey), grey, self.config)

    def validation_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Squared errors when reading the truth."""
        grey = self._grey(batch.canvas)
        return self._losses(batch, grey, grey)

    def _losses(self, batch: Batch, read: Tensor, grey: Tensor, config: GPTConfig | None = None) -> dict[str, Tensor]:
        predicted, truth = self.predict_patches(batch, read)[:, self.raster], grey[:, self.targets][:, self.raster]
        return patch_losses(predicted, truth, self.layout, config)

    def predict_patches(self, batch: Batch, grey: Tensor) -> Tensor:
        """From all patches of a canvas (B, L, pixels) those of the last frame, each from the true ones before it.

        (B, N, pixels) in the order of prediction; what stands in the last frame's last patch is never read.
        """
        tokens = self.embed(grey[:, torch.cat([self.context, self.targets[:-1]])]) + self._known(batch, grey)
        hidden = self._transform(tokens)[:, len(self.context) - 1 :]
        return self.head(hidden).float() + self._start(grey)

    @torch.inference_mode()
    def predict(self, batch: Batch, sweeps: int = SWEEPS) -> Prediction:
        """The last frames; without ``sweeps`` patch after patch, each of which costs one token."""
        return self._picture(self._run_free(batch, sweeps))

    @torch.inference_mode()
    def diagnose(self, batch: Batch, truth: Tensor) -> tuple[Prediction, dict[str, Tensor]]:
        """Squared errors when reading the truth (teacher forcing) and when reading what was predicted (free running).

        (B,) each and their gap; per position (B, N) in raster order, so that the motor strip comes last.
        """
        prediction, canvas = self.predict(batch), batch.canvas.clone()
        canvas[..., self.layout.frame_columns(-1)] = truth
        grey, true = self._grey(canvas), patchify(truth - 0.5, self.layout.patch)
        forced = (self.predict_patches(batch, grey).clamp(-0.5, 0.5)[:, self.raster] - true) ** 2
        free = (patchify(prediction.frame - 0.5, self.layout.patch) - true) ** 2
        return prediction, {
            "teacher_forcing_loss": forced.mean((1, 2)),
            "free_running_loss": free.mean((1, 2)),
            "teacher_forcing_gap": free.mean((1, 2)) - forced.mean((1, 2)),
            "teacher_forcing_loss_per_position": forced.mean(2),
            "free_running_loss_per_position": free.mean(2),
        }

    def _run_free(self, batch: Batch, sweeps: int) -> Tensor:
        """The last frame's patches (B, N, pixels) in the order of prediction, each predicted from those before it.

        They are the one fixed point of prediction. So the first ``sweeps`` passes predict at once all patches that are
        not final, from the previous frame's to begin with (Jacobi iteration: Song et al. 2021, Accelerating
        Feedforward Computation via Parallel Nonlinear Equation Solving); each later one predicts one patch. A patch is
        final if those before it were when it was predicted; it is not read again, as a cache keeps its keys and values.
        So N passes are enough whatever the weights are, and few are if a prediction hardly depends on small errors
        of those before it, which training on stale patches sees to.
        """
        grey = self._grey(batch.canvas)
        known, start = self._known(batch, grey), self._start(grey)
        seen, patches = len(self.context), len(self.targets)
        size = (len(grey), self.config.heads, seen + patches - 1, self.config.width // self.config.heads)
        caches = [known.new_empty(2, *size) for _ in self.blocks]
        grey = torch.cat([grey[:, self.context], grey[:, self.previous]], dim=1)  # in the order of reading
        predicted = grey[:, seen:]  # a view, so that what is predicted is read
        first = final = 0  # the first token that is not in the cache for good, and how many patches are final
        while final < patches:
            last = patches if sweeps > 0 else final + 1
            tokens = self.embed(grey[:, first : seen + last - 1]) + known[:, first : seen + last - 1]
            hidden = self._transform(tokens, caches, first)[:, final - last :]
            fresh = (self.head(hidden) + start[:, final:last]).clamp(-0.5, 0.5)
            same = (fresh - predicted[:, final:last]).abs().amax((0, 2)) <= STILL
            predicted[:, final:last] = fresh
            still = int(same.cumprod(0).sum())
            final = min(final + still + 1, last)  # the first that changed was predicted from patches that did not
            first = seen + final - 1
            sweeps -= 1
        return predicted

    def _grey(self, canvas: Tensor) -> Tensor:
        """The patches of canvases around zero, (B, L, pixels)."""
        return patchify(canvas, self.layout.patch) - 0.5

    def _staled(self, grey: Tensor) -> Tensor:
        """All patches (B, L, pixels), a share of the last frame's being those of the previous frame."""
        stale = torch.rand(len(grey), len(self.targets), 1, device=grey.device) < self.config.stale
        read = grey.clone()
        read[:, self.targets] = torch.where(stale, grey[:, self.previous], grey[:, self.targets])
        return read

    def _known(self, batch: Batch, grey: Tensor) -> Tensor:
        """What a token holds besides the patch that it reads, (B or 1, context + N − 1, width).

        Its position; joints and action; of the patch that it is to predict the position and, with ``copy``, the
        previous frame's patch.
        """
        target = self.next_position_embedding[None]
        if self.embed_previous is not None:
            target = target + self.embed_previous(grey[:, self.previous])
        positions = self.position_embedding[torch.cat([self.context, self.targets[:-1]])]
        known = positions + F.pad(target, (0, 0, len(self.context) - 1, 0))
        return known if self.embed_state is None else known + self.embed_state(batch)

    def _start(self, grey: Tensor) -> Tensor:
        """What predictions are added to, (B, N, pixels)."""
        previous = grey[:, self.previous]
        return previous if self.config.copy else torch.zeros_like(previous)

    def _transform(self, tokens: Tensor, caches: list[Tensor] | None = None, start: int = 0) -> Tensor:
        """The blocks and the closing norm, (B, L, width) to (B, L, width); a cache a block."""
        for i, block in enumerate(self.blocks):
            tokens = block(tokens, caches[i] if caches else None, start)
        return self.norm(tokens)

    def _picture(self, predicted: Tensor) -> Prediction:
        """The last frame from patches (B, N, pixels) in the order of prediction."""
        patches = predicted[:, self.raster] + 0.5
        return Prediction(unpatchify(patches, self.layout.patch, self.layout.height, self.layout.frame_width))
