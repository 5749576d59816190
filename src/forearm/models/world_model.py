"""The one interface behind which every family of models stands."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from forearm.canvas import Layout
from forearm.transitions.batch import Batch


class Predictor(Protocol):
    """Anything that paints the last frame: a trained model or a baseline."""

    def predict(self, batch: Batch) -> torch.Tensor:
        """Paint the last frame with its strip: (B, 3, H, w) float32 in [0, 1]."""
        ...


@runtime_checkable
class Doubting(Protocol):
    """A predictor that says how far wrong it expects its pictures to be."""

    def predict_doubting(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """What ``predict`` paints, and the squared error expected of each pixel of its cameras, mean over channels:
        (B, 3, H, w) and (B, h, w).
        """
        ...


class WorldModel(nn.Module):
    """A model that learns to paint the last frame of a canvas from everything before it.

    A family subclasses this, takes ``(layout, config)``, and says how to train and how to predict.
    """

    def __init__(self, layout: Layout):
        super().__init__()
        self.layout = layout

    def loss(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Scalars to watch while training; the entry ``loss`` is the one to minimise."""
        raise NotImplementedError

    def predict(self, batch: Batch) -> torch.Tensor:
        """Paint the last frame with its strip: (B, 3, H, w) float32 in [0, 1]. Never reads the last frame given."""
        raise NotImplementedError

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        """The loss, so that wrappers for several processes see the pass they have to synchronise."""
        return self.loss(batch)


@dataclass(frozen=True)
class Family:
    """A family of models, as ``forearm train NAME`` knows it; every file of models ends with its own as ``FAMILY``.

    model: makes a fresh model from (layout, config). sizes: its settings, a frozen dataclass, for each named size:
    at least ``so101`` (patches of 16) and ``tiny`` (patches of 8).
    """

    name: str
    model: Callable[[Layout, Any], WorldModel]
    sizes: dict[str, Any]
