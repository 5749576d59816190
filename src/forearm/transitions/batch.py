"""What a model is given: a batch of transitions, drawn."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from forearm.canvas import Layout, counterfactual, decode_strip, draw, draw_separators, draw_strips
from forearm.errors import ForearmError


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

    def repeated(self, times: int) -> "Batch":
        """Every transition ``times`` times in a row, (B · times)."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return Batch(**{name: values.repeat_interleave(times, dim=0) for name, values in fields.items()})

    def context(self, layout: Layout) -> "Batch":
        """The batch without its answer: the last frame is black, its positions are NaN.

        Whatever is scored is predicted from this, so that no model can look at the truth.
        """
        canvas, positions = self.canvas.clone(), self.positions.clone()
        canvas[..., layout.frame_columns(-1)] = 0
        positions[:, -1] = torch.nan
        return dataclasses.replace(self, canvas=canvas, positions=positions)

    def with_action(self, layout: Layout, amounts: torch.Tensor, entries: torch.Tensor) -> "Batch":
        """The same moments with another last action, amounts (B, A) about entries (B,), without the answer."""
        batch = self.context(layout)
        actions = batch.actions.clone()
        actions[:, -1] = amounts
        batch.canvas[..., layout.separator_columns(-1)] = _separators(layout, amounts).to(batch.canvas)
        return dataclasses.replace(batch, actions=actions, entries=entries.to(self.entries))

    def under(self, layout: Layout, code: int) -> "Batch":
        """The same moments under another last action (STAY, MOVE_PLUS or MOVE_MINUS), without the answer."""
        last = counterfactual(layout, self.actions[:, -1].cpu().numpy(), code, self.entries.cpu().numpy())
        return self.with_action(layout, torch.from_numpy(last), self.entries)

    def then(self, layout: Layout, region: torch.Tensor, amounts: torch.Tensor, entries: torch.Tensor) -> "Batch":
        """The context one step on, in which a predicted last frame has become the last known one.

        Frames move left by one. Positions are read from the predicted strip, and all strips are drawn anew from
        the positions, so that the canvas is what `draw` would draw.

        Args:
            region: (B, 3, H, w) float32 in [0, 1], the predicted last frame with its strip.
            amounts: (B, A) signed amounts of the next action.
            entries: (B,) the action entry that the next decision is about.
        """
        known, shift = layout.frame_columns(-2), layout.frame_width + layout.separator
        canvas = torch.empty_like(self.canvas)
        canvas[..., : known.start] = self.canvas[..., shift : shift + known.start]
        canvas[..., known] = region
        canvas[..., layout.separator_columns(-1)] = _separators(layout, amounts).to(canvas)
        canvas[..., layout.frame_columns(-1)] = 0
        seen, _ = decode_strip(layout, region[:, :1].detach().cpu().numpy())  # strips are grey: one channel tells all
        positions = self.positions.roll(-1, dims=1)
        positions[:, -2] = torch.from_numpy(seen).to(positions)
        positions[:, -1] = torch.nan
        strips = torch.from_numpy(draw_strips(layout, positions[:, :-1].cpu().numpy())).to(canvas)
        for t in range(layout.history - 1):
            canvas[:, :, layout.frame_height :, layout.frame_columns(t)] = strips[:, t, None]
        actions = self.actions.roll(-1, dims=1)
        actions[:, -1] = amounts
        return Batch(canvas, positions, actions, entries.to(self.entries), self.rows)


def _separators(layout: Layout, amounts: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(draw_separators(layout, amounts.cpu().numpy()))


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


def present(layout: Layout, pictures: Sequence[np.ndarray], joints: np.ndarray) -> Batch:
    """What cameras and joints show now, as a context of one: it has looked so for as long as is known.

    Args:
        pictures: (h, w, 3) uint8 for each camera of the layout, in its order and of its size.
        joints: (J,) positions in the joints' units.

    Raises:
        ForearmError: cameras, a picture's size or the joints are not the layout's, or a joint is no finite number.
    """
    if len(pictures) != len(layout.cameras):
        raise ForearmError(f"{len(pictures)} pictures were given for {len(layout.cameras)} cameras; give one for each")
    frame = np.empty((layout.frame_height, layout.frame_width, 3), np.uint8)
    for camera, picture, box in zip(layout.cameras, pictures, layout.camera_boxes(), strict=True):
        if picture.shape != (camera.height, camera.width, 3) or picture.dtype != np.uint8:
            raise ForearmError(
                f"the picture of camera {camera.name} is {picture.dtype} {picture.shape}, "
                f"not uint8 {(camera.height, camera.width, 3)}; give it in the size that the model knows"
            )
        frame[box] = picture
    joints = np.asarray(joints, np.float32)
    if joints.shape != (len(layout.joints),) or not np.isfinite(joints).all():
        names = ", ".join(layout.joint_names)
        raise ForearmError(f"joints are {joints.tolist()}; give {len(layout.joints)} finite numbers: {names}")
    frames, positions = (np.repeat(now[None, None], layout.history, axis=1) for now in (frame, joints))
    nothing = np.zeros((1, layout.history - 1, len(layout.actions)), np.float32)
    canvas = draw(layout, frames, positions, nothing)
    return make_batch(canvas, positions, nothing, np.zeros(1), np.full(1, -1)).context(layout)
