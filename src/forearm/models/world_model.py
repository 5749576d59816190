"""The one interface behind which every family of models stands."""

from torch import Tensor, nn

from forearm.batch import Batch, Prediction
from forearm.canvas import Layout


class WorldModel(nn.Module):
    """A model that learns to predict the last frame of a canvas from everything before it.

    A family subclasses this, takes ``(layout, config)``, and says how to train and how to predict.
    """

    def __init__(self, layout: Layout):
        super().__init__()
        self.layout = layout

    def training_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars to watch while training; "loss" is the one to minimise."""
        raise NotImplementedError

    def validation_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars of what is validated; by "loss" the best weights are chosen. By default the training loss."""
        return self.training_loss(batch)

    def predict(self, batch: Batch) -> Prediction:
        """Predict the last frames from everything before them; what stands in the last frame is never read."""
        raise NotImplementedError

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The training loss, so that wrappers for several processes see the pass they have to synchronise."""
        return self.training_loss(batch)
