"""Canvases made for tests and read back, and what every family of models owes to them."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from forearm.batch import Batch, make_batch
from forearm.canvas import PRESETS, ActionDimension, Camera, Joint, Layout, as_float, decode_separator, decode_strip
from forearm.models import WorldModel

SIX_JOINTS = tuple(Joint(name) for name in ("pan", "lift", "elbow", "wrist", "roll", "gripper"))


def preset_layout(
    preset: str,
    cameras: tuple[str, ...],
    joints: tuple[Joint, ...],
    actions: tuple[ActionDimension, ...],
    **options: Any,
) -> Layout:
    """A layout with the pixel sizes of a named preset; ``options`` are further fields of ``Layout``."""
    size = PRESETS[preset]
    squares = tuple(Camera(name, size.camera, size.camera) for name in cameras)
    return Layout(squares, joints, actions, **{"patch": size.patch, "separator": size.separator, **options})


@dataclass(frozen=True)
class Decoded:
    """What N canvases show."""

    frames: np.ndarray
    """(N, T, h, w, 3) float32 in [0, 1]."""
    positions: np.ndarray
    """(N, T, J) float64 in the joints' units."""
    velocities: np.ndarray
    """(N, T, J) float64 in the joints' units."""
    actions: np.ndarray
    """(N, T − 1, A) float32 signed values in [−1, 1]."""


def decode(layout: Layout, canvases: np.ndarray) -> Decoded:
    """Read canvases (N, 3, H, W), float in [0, 1] or uint8, back."""
    canvases = as_float(canvases)
    regions = [canvases[..., layout.frame_columns(t)] for t in range(layout.history)]
    strips = [decode_strip(layout, region) for region in regions]
    separators = [canvases[..., layout.separator_columns(t)] for t in range(layout.history - 1)]
    return Decoded(
        np.stack([region[:, :, : layout.frame_height].transpose(0, 2, 3, 1) for region in regions], axis=1),
        np.stack([positions for positions, _ in strips], axis=1),
        np.stack([velocities for _, velocities in strips], axis=1),
        np.stack([decode_separator(layout, separator) for separator in separators], axis=1),
    )


def noise(layout: Layout, n: int = 2, seed: int = 0) -> Batch:
    """A batch of canvases of noise, joints within their bounds and any actions."""
    random = np.random.default_rng(seed)
    return make_batch(
        layout,
        random.random((n, 3, layout.height, layout.width), np.float32),
        random.uniform(layout.lows, layout.highs, (n, layout.history, len(layout.joints))),
        random.uniform(-1, 1, (n, layout.history - 1, len(layout.actions))),
        np.zeros(n),
        np.arange(n),
    )


def assert_answer_is_not_read(model: WorldModel) -> None:
    """Whatever stands in the last frame, the prediction is the same."""
    batch = noise(model.layout)
    before = model.predict(batch).frame
    assert torch.equal(model.predict(batch.context()).frame, before)
    batch.canvas[..., model.layout.frame_columns(-1)] = torch.nan
    assert torch.equal(model.predict(batch).frame, before)


def diagnosed(model: WorldModel, batch: Batch) -> dict[str, torch.Tensor]:
    """The figures of a diagnosis, whose prediction is that of ``predict``."""
    truth = batch.canvas[..., model.layout.frame_columns(-1)]
    prediction, figures = model.diagnose(batch.context(), truth)
    with torch.inference_mode():
        expected = model.predict(batch.context())
        other, _ = model.diagnose(batch.context(), torch.rand_like(truth))
    for said in (prediction, other):
        torch.testing.assert_close(said.frame, expected.frame)
    return figures


def assert_all_patches_before_are_read(model: WorldModel) -> None:
    """Each patch before the last frame has a say in the prediction."""
    layout, batch = model.layout, noise(model.layout, 1)
    before, p = model.predict(batch).frame, model.layout.patch
    for x in range(0, layout.frame_columns(-1).start, p):
        for y in range(0, layout.height, p):
            changed = batch.canvas.clone()
            changed[..., y : y + p, x : x + p] = 0
            other = model.predict(dataclasses.replace(batch, canvas=changed)).frame
            assert not torch.equal(other, before), f"the patch at {x}, {y} says nothing"
