"""One prediction as a function of plain arrays, as it is exported.

Shapes: B samples, K known frames (the layout's history − 1), J joints, A action dimensions, pictures of h × w pixels in
which the cameras are stacked.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from forearm.batch import Batch, Prediction, draw_separators, draw_strip, precise
from forearm.canvas import Layout
from forearm.models import WorldModel

INPUTS = ("pictures", "joints", "actions")
FED_BACK = "fed_back"
OUTPUTS = ("picture", "next_joints", "expected_error", "mode")


def context_of(layout: Layout, pictures: Tensor, joints: Tensor, actions: Tensor) -> Batch:
    """What a model is given of known frames; drawn where the tensors are, as `canvas.draw` draws it.

    Args:
        pictures: (B, K, 3, h, w) float32 in [0, 1].
        joints: (B, K, J) float32 in the joints' units.
        actions: (B, K, A) float32 in [−1, 1].
    """
    parts = []
    for t in range(layout.history - 1):
        before, now = precise(joints[:, max(t - 1, 0)]), precise(joints[:, t])
        strip = draw_strip(layout, before, now)[:, None].to(pictures).expand(-1, 3, -1, -1)
        parts += [torch.cat([pictures[:, t], strip], dim=2), draw_separators(layout, actions[:, t])]
    canvas = torch.cat([*parts, torch.zeros_like(parts[0])], dim=3)
    positions = torch.cat([joints, torch.zeros_like(joints[:, :1])], dim=1)
    nothing = torch.zeros_like(joints[:, 0, 0], dtype=torch.int64)
    return Batch(layout, canvas, positions, actions, nothing, nothing - 1)


class ExportedStep(nn.Module):
    """A model's prediction of the next frame.

    Args:
        carries: names of what a prediction carries to the next one when it is fed back; empty to leave that out.
    """

    def __init__(self, model: WorldModel, carries: tuple[str, ...] = ()):
        super().__init__()
        self.model, self.carries = model, carries

    def forward(
        self, pictures: Tensor, joints: Tensor, actions: Tensor, fed_back: Tensor | None = None, *carried: Tensor
    ) -> tuple[Tensor, ...]:
        """Picture (B, 3, h, w), joints (B, J), the expected error (B, h, w) and the mode (B, 3, h, w) if the model says
        them, what is carried.

        Args:
            fed_back: (B,) 1 where the last known frame is the prediction before, of which ``carried`` came, else 0.
        """
        batch = context_of(self.model.layout, pictures, joints, actions)
        prediction = self.model.predict(batch)
        shown = tuple(self.shown(prediction).values())
        if fed_back is None:
            return shown
        # Both are computed and one is taken; what they share is computed once by whoever runs the file.
        again = self.model.predict(replace(batch, carried=dict(zip(self.carries, carried, strict=True))))
        first, other = ((*self.shown(each).values(), *self._carried(each)) for each in (prediction, again))
        pairs = zip(first, other, strict=True)
        return tuple(torch.where(fed_back.view(-1, *[1] * (a.ndim - 1)) > 0.5, b, a) for a, b in pairs)

    def shown(self, prediction: Prediction) -> dict[str, Tensor]:
        """What a prediction answers, by name, but for what is carried."""
        layout = self.model.layout
        picture, joints = prediction.frame[:, :, : layout.frame_height], prediction.joints(layout).float()
        answers = zip(OUTPUTS, (picture, joints, prediction.expected_error, prediction.mode), strict=True)
        return {name: values for name, values in answers if values is not None}

    def _carried(self, prediction: Prediction) -> tuple[Tensor, ...]:
        assert prediction.carried is not None
        return tuple(prediction.carried[name] for name in self.carries)
