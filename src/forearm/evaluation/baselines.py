"""What anybody can predict without learning."""

import torch

from forearm.canvas import Layout
from forearm.models.world_model import Predictor
from forearm.transitions.batch import Batch

PERSISTENCE = "persistence"


class Persistence:
    """Nothing changes: the previous frame and positions again, and so no velocity (grey 0.5)."""

    def __init__(self, layout: Layout):
        self.layout = layout

    def predict(self, batch: Batch) -> torch.Tensor:
        """Copy the frame before the last: (B, 3, H, w) float32 in [0, 1]."""
        region = batch.canvas[..., self.layout.frame_columns(-2)].clone()
        for rows, columns in self.layout.strip_cells()[len(self.layout.joints) :]:
            region[:, :, rows, columns] = 0.5
        return region


def standard_baselines(layout: Layout) -> dict[str, Predictor]:
    """The baselines that stand beside every model, by the name under which reports show them."""
    return {PERSISTENCE: Persistence(layout)}
