"""The one interface behind which every family of models stands."""

from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from forearm.base.errors import ForearmError
from forearm.batch import Batch, Prediction
from forearm.canvas import Layout
from forearm.models.augmentation import augmented
from forearm.models.settings import LearningConfig


class WorldModel(nn.Module):
    """A model that learns to predict the last frame of a canvas from everything before it.

    A family subclasses this, takes ``(layout, config)``, and says how to train and how to predict. It hands
    ``learning`` on, which is its config as a rule; without it training data are not augmented.
    """

    def __init__(self, layout: Layout, learning: LearningConfig | None = None):
        super().__init__()
        self.layout = layout
        self.learning = learning

    def training_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars to watch while training; "loss" is the one to minimise."""
        raise NotImplementedError

    def validation_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars of what is validated; by "loss" the best weights are chosen. By default the training loss."""
        return self.training_loss(batch)

    def predict(self, batch: Batch) -> Prediction:
        """Predict the last frames from everything before them; what stands in the last frame is never read."""
        raise NotImplementedError

    @property
    def looks_back(self) -> bool:
        """Whether predictions that are fed back look at what a rollout began with."""
        return False

    def beginning(self, batch: Batch) -> Mapping[str, Tensor] | None:
        """What a rollout from the last known frames carries along, (B, …) each; None where it carries nothing."""
        return None

    def without_effect(self) -> Mapping[str, str]:
        """Settings of the model that change nothing with this layout, each with what to do instead."""
        return {}

    def hidden_layers(self) -> Iterable[nn.Module]:
        """The inner layers, of which Muon moves the matrices better than AdamW; none by default."""
        return ()

    def hidden_matrices(self) -> list[nn.Parameter]:
        """The matrices of the hidden layers, convolutions included and tables of positions left out."""
        named = (pair for layer in self.hidden_layers() for pair in layer.named_parameters())
        return [weight for name, weight in named if weight.ndim > 1 and "position_embedding" not in name]

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """A step of training: the training loss of an augmented batch. Several processes synchronise this pass."""
        return require_losses(self, self.training_loss(augmented(batch, self.learning) if self.learning else batch))


def require_losses(model: WorldModel, losses: dict[str, Tensor]) -> dict[str, Tensor]:
    """The losses that a model returned.

    Raises:
        ForearmError: they are no dictionary of scalars with one of the name "loss".
    """
    name = type(model).__name__
    if not isinstance(losses, dict) or "loss" not in losses:
        raise ForearmError(f'the losses of {name} are no dictionary with "loss" in it; see docs/adding-a-model.md')
    for key, value in losses.items():
        if not isinstance(value, Tensor) or value.ndim:
            shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ForearmError(f"the loss {key!r} of {name} is {shape}, not a tensor of one number; take its mean")
    return losses


def require_prediction(model: object, batch: Batch, prediction: Prediction) -> Prediction:
    """What a model predicted of a batch.

    Raises:
        ForearmError: it is no `Prediction`, or a part of it has another shape than the layout says.
    """
    name, layout, count = type(model).__name__, batch.layout, len(batch)
    if not isinstance(prediction, Prediction):
        kind = type(prediction).__name__
        raise ForearmError(f"{name}.predict returns {kind}, not a forearm.batch.Prediction; see docs/adding-a-model.md")
    cameras = (layout.frame_height, layout.frame_width)
    for part, shape in {
        "frame": (count, 3, layout.height, layout.frame_width),
        "positions": (count, len(layout.joints)),
        "expected_error": (count, *cameras),
        "mode": (count, 3, *cameras),
    }.items():
        values = getattr(prediction, part)
        if values is not None and tuple(values.shape) != shape:
            raise ForearmError(f"the {part} that {name}.predict returns is {tuple(values.shape)}, not {shape}")
    return prediction
