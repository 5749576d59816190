"""What a model is given: a batch of transitions, drawn."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch

from forearm.canvas import Layout, counterfactual, draw_separators


@dataclass(frozen=True)
class Batch:
    """B transitions.

    canvas: (B, 3, H, W) float32 in [0, 1]. positions: (B, T, J) float32 in the joints' units.
    actions: (B, T − 1, A) float32 signed amounts in [−1, 1]. entries: (B,) int64, the action entry that the
    last decision was about. rows: (B,) int64, the transitions' rows in their dataset.
    """

    canvas: torch.Tensor
    positions: torch.Tensor
    actions: torch.Tensor
    entries: torch.Tensor
    rows: torch.Tensor

    def __len__(self) -> int:
        return len(self.canvas)

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on another device."""
        return Batch(**{field.name: getattr(self, field.name).to(device) for field in dataclasses.fields(self)})

    def context(self, layout: Layout) -> "Batch":
        """The batch without its answer: the last frame is black, its positions are NaN.

        Whatever is scored is predicted from this, so that no model can look at the truth.
        """
        canvas, positions = self.canvas.clone(), self.positions.clone()
        canvas[..., layout.frame_columns(-1)] = 0
        positions[:, -1] = torch.nan
        return dataclasses.replace(self, canvas=canvas, positions=positions)

    def under(self, layout: Layout, code: int) -> "Batch":
        """The same moments under another last action (STAY, MOVE_PLUS or MOVE_MINUS), without the answer."""
        batch = self.context(layout)
        last = counterfactual(layout, self.actions[:, -1].cpu().numpy(), code, self.entries.cpu().numpy())
        actions, canvas = batch.actions.clone(), batch.canvas
        actions[:, -1] = torch.from_numpy(last)
        canvas[..., layout.separator_columns(-1)] = torch.from_numpy(draw_separators(layout, last)).to(canvas)
        return dataclasses.replace(batch, canvas=canvas, actions=actions)


def make_batch(
    canvases: np.ndarray, positions: np.ndarray, actions: np.ndarray, entries: np.ndarray, rows: np.ndarray
) -> Batch:
    """A batch from arrays shaped as ``Batch`` says."""
    return Batch(
        torch.from_numpy(canvases),
        torch.from_numpy(positions.astype(np.float32)),
        torch.from_numpy(actions.astype(np.float32)),
        torch.from_numpy(entries.astype(np.int64)),
        torch.from_numpy(rows.astype(np.int64)),
    )
