"""The one interface behind which every family of models stands."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from forearm.batch import Batch, Prediction
from forearm.canvas import Layout


class WorldModel(nn.Module):
    """A model that learns to paint the last frame of a canvas from everything before it.

    A family subclasses this, takes ``(layout, config)``, and says how to train and how to predict.
    """

    def __init__(self, layout: Layout):
        super().__init__()
        self.layout = layout

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars to watch while training; the entry ``loss`` is the one to minimise."""
        raise NotImplementedError

    def predict(self, batch: Batch) -> Prediction:
        """Predict the last frames from everything before them; what stands in the last frame is never read."""
        raise NotImplementedError

    def forward(self, batch: Batch) -> dict[str, Tensor]:
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
