"""What a model is given, and what it answers: a batch of transitions drawn as canvases, and a prediction.

Tensors' shapes: B samples, T frames of history, J joints, A action dimensions; canvases of H × W pixels, frames with
their strips of H × w, the cameras' part of a frame of h × w.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from forearm.base.errors import ForearmError
from forearm.canvas import Layout, Observation, as_uint8, counterfactual, draw

Rows = Tensor | np.ndarray | slice
FIRST_FRAME, FIRST_POSITIONS = "first_frame", "first_positions"
"""Names, in what is carried, of the cameras' pictures (B, 3, h, w) and the joints (B, J) that a rollout began with."""


@dataclass(frozen=True)
class Prediction:
    """What is predicted of B last frames.

    Raises:
        ForearmError: a value is not finite, as those of a model whose training has diverged.
    """

    frame: Tensor
    """(B, 3, H, w) float32 in [0, 1], the last frame with its strip."""
    positions: Tensor | None = None
    """(B, J) float32, the joints' positions in their units; None where they are only drawn in the strip."""
    expected_error: Tensor | None = None
    """(B, h, w) float32, the squared error expected of each pixel of the cameras, mean over the channels; None where
    the predictor cannot say."""
    carried: Mapping[str, Tensor] | None = None
    """What the predictor wants to be given again when this prediction is fed back, (B, …) each; None where nothing."""
    mode: Tensor | None = None
    """(B, 3, h, w) float32 in [0, 1], the cameras' pictures that are fed back in place of the frame's: the likeliest
    ones, where the frame is a mean. None where these are the same."""

    def __post_init__(self) -> None:
        recorded = self.frame.is_cuda and torch.cuda.is_current_stream_capturing()
        if torch.compiler.is_compiling() or recorded:  # numbers are not known yet
            return
        for values in (self.frame, self.positions, self.expected_error, self.mode):
            if values is not None and not torch.isfinite(values.sum()):  # one NaN or infinity suffices
                raise ForearmError(
                    "the model's predictions are no numbers (NaN or infinite); did training diverge? "
                    "Train it anew with a lower --learning-rate, or use another checkpoint"
                )

    def __len__(self) -> int:
        return len(self.frame)

    def __getitem__(self, rows: Rows) -> "Prediction":
        """Some of the predictions, by index, mask or slice."""
        return self._each(lambda values: values[rows])

    def to(self, device: torch.device | str) -> "Prediction":
        """The same prediction on another device, as float32."""
        return self._each(lambda values: values.to(device, torch.float32))

    def joints(self, layout: Layout) -> Tensor:
        """Joint positions (B, J): those predicted as numbers, else those read from the strip (float64 but on MPS)."""
        return read_positions(layout, self.frame) if self.positions is None else self.positions

    def observation(self, layout: Layout, row: int = 0) -> Observation:
        """What one of the predictions shows."""
        picture = as_uint8(self.frame[row, :, : layout.frame_height].permute(1, 2, 0).float().cpu().numpy())
        error = self.expected_error
        joints = self.joints(layout)[row].cpu().numpy()
        return Observation(picture, joints, None if error is None else error[row].float().cpu().numpy())

    @classmethod
    def concatenate(cls, parts: "Sequence[Prediction]") -> "Prediction":
        """Predictions of one predictor one after the other; what one part lacks, the whole lacks."""
        columns = zip(*((p.frame, p.positions, p.expected_error, p.mode) for p in parts), strict=True)
        *whole, mode = (None if any(v is None for v in values) else torch.cat(values) for values in columns)
        carried = [p.carried for p in parts if p.carried is not None]
        shared = carried[0] if len(carried) == len(parts) else ()
        together = {name: torch.cat([each[name] for each in carried]) for name in shared}
        return cls(*whole, carried=together or None, mode=mode)  # type: ignore[arg-type, misc]

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Prediction":
        fields = (self.frame, self.positions, self.expected_error, self.mode)
        *changed, mode = (None if values is None else change(values) for values in fields)
        carried = _each_of(self.carried, change)
        return Prediction(*changed, carried=carried, mode=mode)  # type: ignore[arg-type, misc]


class Predictor(Protocol):
    """Anything that predicts the last frame: a trained model, a baseline, the simulator itself."""

    def predict(self, batch: "Batch") -> Prediction:
        """Predict the last frames of a batch from everything before them."""
        ...


@dataclass(frozen=True)
class Batch:
    """B transitions as canvases of one layout."""

    layout: Layout
    """Where everything stands on the canvases, and what the numbers mean."""
    canvas: Tensor
    """(B, 3, H, W) float32 in [0, 1]."""
    positions: Tensor
    """(B, T, J) float32 in the joints' units."""
    actions: Tensor
    """(B, T − 1, A) float32, signed values in [−1, 1]."""
    dimensions: Tensor
    """(B,) int64, the action dimension that the last decision was about."""
    rows: Tensor
    """(B,) int64, the transitions' rows in their dataset; −1 where they are from none."""
    carried: Mapping[str, Tensor] | None = None
    """What came with the last known frame if that was predicted; see `Prediction.carried`."""

    def __len__(self) -> int:
        return len(self.canvas)

    def __getitem__(self, rows: Rows) -> "Batch":
        """Some of the transitions, by index, mask or slice."""
        return self._each(lambda values: values[rows])

    def draw(self) -> "Batch":
        """Itself, as it is drawn already; see `RawBatch`."""
        return self

    def tensors(self) -> list[Tensor]:
        """All that it holds, in a fixed order."""
        return _collected(self._each)

    def cloned(self) -> "Batch":
        """The same numbers in memory of their own."""
        return self._each(torch.clone)

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on another device."""
        return self._each(lambda values: values.to(device))

    def repeated(self, times: int) -> "Batch":
        """Every transition ``times`` times in a row, (B · times)."""
        return self._each(lambda values: values.repeat_interleave(times, dim=0))

    def context(self) -> "Batch":
        """The batch without its answer: the last frame is black, its positions are NaN.

        Whatever is scored is predicted from this, so that no model can look at the truth.
        """
        canvas, positions = self.canvas.clone(), self.positions.clone()
        canvas[..., self.layout.frame_columns(-1)] = 0
        positions[:, -1] = torch.nan
        return dataclasses.replace(self, canvas=canvas, positions=positions)

    def with_action(self, values: Tensor, dimensions: Tensor) -> "Batch":
        """The same contexts with another last action, values (B, A) about dimensions (B,), without the answer."""
        batch = self.context()
        actions = batch.actions.clone()
        actions[:, -1] = values
        batch.canvas[..., self.layout.separator_columns(-1)] = self._separators(values)
        return dataclasses.replace(batch, actions=actions, dimensions=dimensions.to(self.dimensions))

    def under(self, code: int) -> "Batch":
        """The same contexts under another last action (STAY, MOVE_PLUS or MOVE_MINUS), without the answer."""
        last = counterfactual(self.layout, self.actions[:, -1].cpu().numpy(), code, self.dimensions.cpu().numpy())
        return self.with_action(torch.from_numpy(last), self.dimensions)

    def then(self, prediction: Prediction, values: Tensor, dimensions: Tensor) -> "Batch":
        """The context one step on, in which the predicted frame has become the last known one.

        Frames move left by one. The new frame's strip is drawn from the predicted positions, so that the canvas is
        what `draw` would draw. Nothing leaves the device.

        Args:
            prediction: of this batch's last frames.
            values: (B, A) signed values of the next action.
            dimensions: (B,) the action dimension that the next decision is about.
        """
        layout, height = self.layout, self.layout.frame_height
        known, shift = layout.frame_columns(-2), layout.frame_width + layout.separator
        positions = self.positions.roll(-1, dims=1)
        positions[:, -2] = prediction.joints(layout)
        positions[:, -1] = torch.nan
        before, now = precise(positions[:, max(layout.history - 3, 0)]), precise(positions[:, -2])
        canvas = torch.empty_like(self.canvas)
        canvas[..., : known.start] = self.canvas[..., shift : shift + known.start]
        canvas[..., known] = prediction.frame
        if prediction.mode is not None:
            canvas[:, :, :height, known] = prediction.mode
        canvas[:, :, height:, known] = draw_strip(layout, before, now)[:, None].to(canvas)
        for rows, columns in layout.strip_cells()[len(layout.joints) :]:
            canvas[:, :, rows, columns] = 0.5  # nothing is known before the first frame, so it has no velocity
        canvas[..., layout.separator_columns(-1)] = self._separators(values)
        canvas[..., layout.frame_columns(-1)] = 0
        actions = self.actions.roll(-1, dims=1)
        actions[:, -1] = values
        return dataclasses.replace(
            self,
            canvas=canvas,
            positions=positions,
            actions=actions,
            dimensions=dimensions.to(self.dimensions),
            carried=prediction.carried,
        )

    def known(self) -> Prediction:
        """The last known frames and joints, in the form in which predictions of them come."""
        return Prediction(self.canvas[..., self.layout.frame_columns(-2)], self.positions[:, -2])

    def _separators(self, values: Tensor) -> Tensor:
        return draw_separators(self.layout, values).to(self.canvas)

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        names = ("canvas", "positions", "actions", "dimensions", "rows")
        changed = {name: change(getattr(self, name)) for name in names}
        return Batch(self.layout, **changed, carried=_each_of(self.carried, change))


@dataclass(frozen=True)
class RawBatch:
    """B transitions before their canvases are drawn, in a quarter of a canvas's memory: what goes to a device."""

    layout: Layout
    frames: Tensor
    """(B, T, h, w, 3) uint8, the cameras of each frame, stacked."""
    positions: Tensor
    """(B, T, J) float32 in the joints' units."""
    actions: Tensor
    """(B, T − 1, A) float32, signed values in [−1, 1]."""
    dimensions: Tensor
    """(B,) int64, as of `Batch`."""
    rows: Tensor
    """(B,) int64, as of `Batch`."""

    def to(self, device: torch.device | str) -> "RawBatch":
        """The same batch on another device; from pinned memory the copy goes on beside what the device computes."""
        return self._each(lambda values: values.to(device, non_blocking=True))

    def pin_memory(self) -> "RawBatch":
        """The same batch in page-locked memory; PyTorch's loader calls it."""
        return self._each(lambda values: values.pin_memory())

    def tensors(self) -> list[Tensor]:
        """All that it holds, in a fixed order."""
        return _collected(self._each)

    def cloned(self) -> "RawBatch":
        """The same numbers in memory of their own."""
        return self._each(torch.clone)

    def draw(self) -> Batch:
        """Draw the canvases, on the device."""
        canvas = draw_canvases(self.layout, self.frames, self.positions, self.actions)
        return Batch(self.layout, canvas, self.positions, self.actions, self.dimensions, self.rows)

    def _each(self, change: Callable[[Tensor], Tensor]) -> "RawBatch":
        names = ("frames", "positions", "actions", "dimensions", "rows")
        return RawBatch(self.layout, *(change(getattr(self, name)) for name in names))


def _each_of(carried: Mapping[str, Tensor] | None, change: Callable[[Tensor], Tensor]) -> Mapping[str, Tensor] | None:
    return carried and {name: change(values) for name, values in carried.items()}


def _collected(each: Callable[[Callable[[Tensor], Tensor]], object]) -> list[Tensor]:
    found: list[Tensor] = []

    def collect(values: Tensor) -> Tensor:
        found.append(values)
        return values

    each(collect)
    return found


def draw_canvases(layout: Layout, frames: Tensor, positions: Tensor, actions: Tensor) -> Tensor:
    """Draw canvases on their device, as `canvas.draw` does: (B, 3, H, W) float32 in [0, 1].

    Args:
        frames: (B, T, h, w, 3) uint8.
        positions: (B, T, J) in the joints' units.
        actions: (B, T − 1, A) signed values in [−1, 1].
    """
    height, positions = layout.frame_height, precise(positions)
    canvas = torch.empty(len(frames), 3, layout.height, layout.width, device=frames.device)
    for t in range(layout.history):
        region = canvas[..., layout.frame_columns(t)]
        region[:, :, :height].copy_(frames[:, t].permute(0, 3, 1, 2)).mul_(1 / 255)
        region[:, :, height:] = draw_strip(layout, positions[:, max(t - 1, 0)], positions[:, t])[:, None]
    for t in range(layout.history - 1):
        canvas[..., layout.separator_columns(t)] = draw_separators(layout, actions[:, t])
    return canvas


def draw_strip(layout: Layout, before: Tensor, now: Tensor) -> Tensor:
    """Draw the motor strips of frames on their device, as `canvas.draw_strips` does.

    Args:
        before: (B, J) positions of the frame before, in the joints' units; equal to ``now`` for the first frame.
        now: (B, J) positions of the frame.

    Returns:
        (B, s, w) grey in [0, 1], of the type of ``now``.
    """
    lows, highs, speeds = _bounds(layout, now.device, now.dtype)
    greys = torch.cat([(now - lows) / (highs - lows), 0.5 + 0.5 * (now - before) / speeds], dim=1).clamp(0, 1)
    rows, columns = layout.strip_height // layout.patch, layout.frame_width // layout.patch
    cells = F.pad(greys, (0, rows * columns - greys.shape[1])).view(-1, rows, columns)
    return cells.repeat_interleave(layout.patch, dim=1).repeat_interleave(layout.patch, dim=2)


def draw_separators(layout: Layout, values: Tensor) -> Tensor:
    """Draw separators on their device, as `canvas.draw_separators` does: (B, A) in [−1, 1] to (B, 3, H, g) float32."""
    stay, plus, minus = _palette(layout, values.device)
    values = values.float().clamp(-1, 1)[..., None]
    colours = stay + values.abs() * (torch.where(values >= 0, plus, minus) - stay)  # (B, A, 3)
    heights = [rows.stop - rows.start for rows in layout.action_rows()]
    cells = [
        colour[:, :, None].expand(-1, -1, height) for colour, height in zip(colours.unbind(1), heights, strict=True)
    ]
    return torch.cat(cells, dim=2)[..., None].expand(-1, -1, -1, layout.separator)


def read_positions(layout: Layout, frame: Tensor) -> Tensor:
    """Joint positions on frames (B, 3, H, w), (B, J) float64 (float32 on MPS), as `canvas.decode_strip` reads them."""
    cells = layout.strip_cells()[: len(layout.joints)]
    greys = torch.stack([precise(frame[:, 0, rows, columns]).mean((1, 2)) for rows, columns in cells], dim=1)
    lows, highs, _ = _bounds(layout, greys.device, greys.dtype)
    return lows + greys * (highs - lows)


def precise(values: Tensor) -> Tensor:
    """As float64, in which the canvas is computed; as float32 on MPS, which has no other."""
    return values.float() if values.device.type == "mps" else values.double()


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def _bounds(layout: Layout, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Lower and upper bounds and largest velocities of the joints, (J,) each."""
    low, high, speed = (
        torch.tensor(values, dtype=dtype, device=device)
        for values in (layout.lows, layout.highs, layout.max_velocities)
    )
    return low, high, speed


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def _palette(layout: Layout, device: torch.device) -> Tensor:
    """Colours of STAY, MOVE+ and MOVE−, (3, 3) float32; kept on the device, as a copy to it would hold the step up."""
    return torch.tensor(layout.palette, dtype=torch.float32, device=device) / 255


def make_batch(
    layout: Layout,
    canvases: np.ndarray,
    positions: np.ndarray,
    actions: np.ndarray,
    dimensions: np.ndarray,
    rows: np.ndarray,
) -> Batch:
    """A batch from arrays shaped as `Batch` says."""
    return Batch(
        layout,
        torch.from_numpy(canvases),
        torch.from_numpy(positions.astype(np.float32)),
        torch.from_numpy(actions.astype(np.float32)),
        torch.from_numpy(dimensions.astype(np.int64)),
        torch.from_numpy(rows.astype(np.int64)),
    )


def present(layout: Layout, observation: Observation) -> Batch:
    """What cameras and joints show now, as a context of one: it has looked so for as long as is known.

    Raises:
        ForearmError: the picture's size or the joints are not the layout's, or a joint is no finite number.
    """
    picture, joints = observation.picture, np.asarray(observation.joints, np.float32)
    size = (layout.frame_height, layout.frame_width, 3)
    if picture.shape != size or picture.dtype != np.uint8:
        raise ForearmError(
            f"the pictures are {picture.dtype} {picture.shape}, not uint8 {size}; "
            "give them in the size that the model knows"
        )
    if joints.shape != (len(layout.joints),) or not np.isfinite(joints).all():
        names = ", ".join(layout.joint_names)
        raise ForearmError(f"joints are {joints.tolist()}; give {len(layout.joints)} finite numbers: {names}")
    frames, positions = (np.repeat(now[None, None], layout.history, axis=1) for now in (picture, joints))
    nothing = np.zeros((1, layout.history - 1, len(layout.actions)), np.float32)
    canvas = draw(layout, frames, positions, nothing)
    return make_batch(layout, canvas, positions, nothing, np.zeros(1), np.full(1, -1)).context()
