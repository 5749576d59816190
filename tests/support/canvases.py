"""Canvases made for tests and read back, and what every family of models owes to them."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from forearm.batch import Batch, Prediction, make_batch
from forearm.canvas import PRESETS, ActionDimension, Camera, Joint, Layout, as_float, decode_separator, decode_strip
from forearm.evaluation.baselines import Persistence
from forearm.models import WorldModel, family_settings, make_model
from support.tiny import make_layout

SIX_JOINTS = tuple(Joint(name) for name in ("pan", "lift", "elbow", "wrist", "roll", "gripper"))
PAN = (ActionDimension("pan", "pan"),)


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


class SlidingArm:
    """Predicts that the picture and the first joint move as the separator says, times ``gain``."""

    def __init__(self, gain: float = 1.0):
        self.gain = gain

    def predict(self, batch: Batch) -> Prediction:
        layout, region = batch.layout, Persistence().predict(batch).frame.numpy()
        separators = batch.canvas[..., layout.separator_columns(-1)].numpy()
        (joint, velocity), h = layout.strip_cells()[:: len(layout.joints)], layout.frame_height
        for picture, value in zip(region, decode_separator(layout, separators)[:, 0] * self.gain, strict=True):
            picture[:, :h] = np.roll(picture[:, :h], round(2 * value), axis=2)
            picture[:, joint[0], joint[1]] += 0.1 * value
            picture[:, velocity[0], velocity[1]] += 0.25 * value
        return Prediction(torch.from_numpy(region))


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
    for each in (prediction, other):
        torch.testing.assert_close(each.frame, expected.frame)
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


LAYOUTS = {
    "plain": make_layout(),
    "one camera": make_layout(cameras=(Camera("base", 8, 8),)),
    "side by side": make_layout(stacking="horizontal"),
    "history of 4": make_layout(history=4),
    "a strip of three rows": make_layout(joints=(Joint("pan"), Joint("lift"), Joint("roll"))),
}
PRESET_LAYOUTS = {name: preset_layout(name, ("base", "wrist"), SIX_JOINTS, PAN) for name in PRESETS}


def parameters(family: str, size: str) -> int:
    """How many parameters a family's size has on the preset of its name."""
    with torch.device("meta"):
        model = make_model(family, PRESET_LAYOUTS[size], family_settings(family, size, {}))
    return sum(weights.numel() for weights in model.parameters())


def assert_every_parameter_learns(model: WorldModel, batch: Batch) -> None:
    """Each parameter has a gradient."""
    model.train().training_loss(batch)["loss"].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
