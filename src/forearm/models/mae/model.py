"""The masked autoencoder: all patches of the last frame in one pass (He et al. 2022, adapted to canvases)."""

import torch
from torch import Tensor, nn

from forearm.batch import Batch, Prediction
from forearm.canvas import Layout
from forearm.models.blocks import (
    grid_positions,
    initialise,
    patch_indices,
    patch_losses,
    patchify,
    transformer,
    unpatchify,
)
from forearm.models.joints import StateEmbedding
from forearm.models.mae.config import MAEConfig
from forearm.models.world_model import WorldModel


class MaskedAutoencoder(WorldModel):
    """Encoder over the visible patches (frames and separators), light decoder over all, loss on the last frame."""

    visible: Tensor
    masked: Tensor
    previous: Tensor

    def __init__(self, layout: Layout, config: MAEConfig):
        super().__init__(layout, config)
        self.config = config
        p, (rows, columns) = layout.patch, layout.grid
        pixels = 3 * p * p
        context, last, to_previous = patch_indices(layout)
        self.register_buffer("visible", context.flatten(), persistent=False)
        self.register_buffer("masked", last.flatten(), persistent=False)
        self.register_buffer("previous", last.flatten() - to_previous, persistent=False)

        self.embed = nn.Linear(pixels, config.width)
        self.encoder = transformer(config.width, config.depth, config.heads)
        self.to_decoder = nn.Linear(config.width, config.decoder_width)
        self.mask_token = nn.Parameter(torch.zeros(config.decoder_width))
        self.embed_previous = nn.Linear(pixels, config.decoder_width) if config.copy else None
        self.decoder = transformer(config.decoder_width, config.decoder_depth, config.decoder_heads)
        self.head = nn.Linear(config.decoder_width, pixels)
        self.position_embedding = nn.Parameter(grid_positions(rows, columns, config.width))
        self.decoder_position_embedding = nn.Parameter(grid_positions(rows, columns, config.decoder_width))
        self.embed_state = StateEmbedding(layout, config.width) if config.state_embedding else None
        initialise(self)
        nn.init.normal_(self.mask_token, std=0.02)
        if config.copy:
            nn.init.zeros_(self.head.weight)  # begin as a copy of the previous frame

    def training_loss(self, batch: Batch) -> dict[str, Tensor]:
        return self._losses(batch, self.config)

    def validation_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Plain squared errors."""
        return self._losses(batch)

    def _losses(self, batch: Batch, config: MAEConfig | None = None) -> dict[str, Tensor]:
        truth = patchify(batch.canvas, self.layout.patch)[:, self.masked]
        return patch_losses(self.predict_patches(batch), truth.float(), self.layout, config)

    def predict_patches(self, batch: Batch) -> Tensor:
        """The patches of the last frame (B, N, pixels) from the visible ones, joints and actions."""
        patches = patchify(batch.canvas, self.layout.patch)
        tokens = self.embed(patches[:, self.visible] - 0.5) + self.position_embedding[self.visible]
        if self.embed_state is not None:
            tokens = tokens + self.embed_state(batch)
        context = self.to_decoder(self.encoder(tokens)) + self.decoder_position_embedding[self.visible]
        hidden = (self.mask_token + self.decoder_position_embedding[self.masked]).expand(patches.shape[0], -1, -1)
        previous = patches[:, self.previous]
        if self.embed_previous is not None:
            hidden = hidden + self.embed_previous(previous - 0.5)
        decoded = self.decoder(torch.cat([hidden, context], dim=1))[:, : len(self.masked)]
        predicted = self.head(decoded).float()
        return predicted + (previous if self.config.copy else 0.5)

    def predict(self, batch: Batch) -> Prediction:
        predicted = self.predict_patches(batch)
        region = unpatchify(predicted, self.layout.patch, self.layout.height, self.layout.frame_width)
        return Prediction(region.clamp(0, 1))
