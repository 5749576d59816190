"""Augmentation: what is practised, in every family, and that the canvas says what the numbers say."""

import dataclasses

import pytest
import torch
from support.canvases import noise
from support.tiny import make_layout

from forearm.batch import make_batch
from forearm.canvas import draw
from forearm.models.augmentation import augmented
from forearm.models.settings import LearningConfig


def drawn(layout, n=200):
    """A batch whose strips and separators are those of its positions and actions."""
    batch = noise(layout, n=n)
    batch.actions.sign_()
    pictures = torch.rand(n, layout.history, layout.frame_height, layout.frame_width, 3)
    canvas = draw(layout, (255 * pictures).byte().numpy(), batch.positions.numpy(), batch.actions.numpy())
    numbers = (batch.positions.numpy(), batch.actions.numpy(), batch.dimensions.numpy(), batch.rows.numpy())
    return make_batch(layout, canvas, *numbers)


def shown(batch, **changes):
    """The batch as training shows it, and a test that its canvas says what its numbers say."""
    plain = {"synthetic_stay": 0.0, "brightness_jitter": 0.0}
    found, layout = augmented(batch, LearningConfig(**plain | changes)), batch.layout
    pictures = torch.zeros(len(batch), layout.history, layout.frame_height, layout.frame_width, 3).byte().numpy()
    canvas = torch.from_numpy(draw(layout, pictures, found.positions.numpy(), found.actions.numpy()))
    for t in range(layout.history):
        strip = (slice(None), slice(None), slice(layout.frame_height, None), layout.frame_columns(t))
        torch.testing.assert_close(found.canvas[strip], canvas[strip], atol=3e-3, rtol=0)
    for t in range(layout.history - 1):
        columns = layout.separator_columns(t)
        torch.testing.assert_close(found.canvas[..., columns], canvas[..., columns], atol=3e-3, rtol=0)
    return found


def test_practises_staying():
    layout = make_layout(history=3)
    batch = drawn(layout)
    found = shown(batch, synthetic_stay=0.5)
    still, height = (found.actions[:, -1] == 0).all(1), layout.frame_height
    assert 60 < still.sum() < 140
    last, previous = layout.frame_columns(-1), layout.frame_columns(-2)
    assert torch.equal(found.canvas[still, :, :height, last], batch.canvas[still, :, :height, previous])
    assert torch.equal(found.positions[still, -1], batch.positions[still, -2])
    for name in ("canvas", "positions", "actions"):
        assert torch.equal(getattr(found, name)[~still], getattr(batch, name)[~still])
    assert torch.equal(found.actions[:, 0], batch.actions[:, 0])
    assert torch.equal(shown(batch).canvas, batch.canvas)


def test_practises_backwards():
    layout = make_layout()
    batch = drawn(layout)
    found = shown(batch, reversed_pairs=True)
    back, height = (found.actions != batch.actions).any((1, 2)), layout.frame_height
    assert 60 < back.sum() < 140
    last, previous = layout.frame_columns(-1), layout.frame_columns(-2)
    assert torch.equal(found.canvas[back, :, :height, last], batch.canvas[back, :, :height, previous])
    assert torch.equal(found.canvas[back, :, :height, previous], batch.canvas[back, :, :height, last])
    assert torch.equal(found.positions[back], batch.positions[back].flip(1))
    assert torch.equal(found.actions[back], -batch.actions[back])
    assert torch.equal(found.canvas[~back][:, :, :height], batch.canvas[~back][:, :, :height])


def test_practises_in_other_light_and_from_other_joints():
    layout = make_layout()
    batch = drawn(layout, n=50)
    found = shown(batch, brightness_jitter=0.3, joint_noise=0.1)
    bright = (slice(None), slice(None), slice(layout.frame_height), layout.frame_columns(0))
    before = batch.canvas[bright]
    tints = torch.where(before > 0.1, found.canvas[bright] / before, torch.nan)
    middle = tints.nanmean((2, 3), keepdim=True)
    torch.testing.assert_close(tints.nan_to_num(1), torch.where(before > 0.1, middle, 1.0), atol=1e-4, rtol=0)
    assert 0.7 <= middle.min() < 0.8 < 1.2 < middle.max() <= 1.3
    shifts = found.positions - batch.positions
    assert shifts.abs().mean() > 1
    torch.testing.assert_close(shifts[:, 0], shifts[:, 1], atol=1e-4, rtol=0)
    assert torch.equal(found.actions, batch.actions)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"brightness_jitter": -0.1}, "brightness_jitter is -0.1"),
        ({"joint_noise": 1.0}, "joint_noise is 1.0"),
        ({"synthetic_stay": 1.0}, "synthetic_stay is 1.0"),
        ({"mse_weight": float("nan")}, "mse_weight is nan"),
        ({"charbonnier_weight": -1.0}, "charbonnier_weight is -1.0"),
    ],
)
def test_impossible_settings_are_refused(changes, says):
    with pytest.raises(Exception, match=says):
        dataclasses.replace(LearningConfig(), **changes)
