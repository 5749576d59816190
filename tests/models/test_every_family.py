"""What every family owes: it reads all that it may and nothing else, begins as a copy, and can be trained anywhere."""

import contextlib
import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.canvases import LAYOUTS, assert_answer_is_not_read, assert_every_parameter_learns, noise
from support.tiny import make_layout
from torch.overrides import TorchFunctionMode

from forearm.base.errors import ForearmError
from forearm.canvas import ActionDimension, Camera, Joint
from forearm.models import OURS, family_settings, make_model
from forearm.models.settings import LearningConfig

SMALL = {
    "width": 16,
    "depth": 1,
    "heads": 2,
    "decoder_width": 16,
    "decoder_depth": 1,
    "decoder_heads": 2,
    "levels": 2,
    "transforms": 2,
    "kernel": 3,
}


def fresh(family, layout, **changes):
    """A small model as training begins with it."""
    torch.manual_seed(0)
    known = family_settings(family, "tiny", {})
    small = {name: value for name, value in SMALL.items() if name in known}
    return make_model(family, layout, family_settings(family, "tiny", small | changes)).eval()


def a_model(family, layout, **changes):
    """The same with weights in which nothing is zero any more."""
    model = fresh(family, layout, **changes)
    for weight in model.parameters():
        weight.data += 0.05 * torch.randn_like(weight)
    return model


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("family", OURS)
@torch.no_grad()
def test_predicts_every_layout_the_same_each_time_from_what_it_may_read(family, name):
    layout = LAYOUTS[name]
    model, batch = a_model(family, layout), noise(layout)
    predicted = model.predict(batch.context())
    assert predicted.frame.shape == (2, 3, layout.height, layout.frame_width)
    assert predicted.frame.dtype == torch.float32
    assert predicted.frame.min() >= 0
    assert predicted.frame.max() <= 1
    torch.manual_seed(1)
    assert torch.equal(model.predict(batch.context()).frame, predicted.frame)
    assert_answer_is_not_read(model)
    alone = model.predict(batch[:1].context()).frame
    torch.testing.assert_close(alone, predicted.frame[:1], atol=1e-4, rtol=0)


@pytest.mark.parametrize("family", OURS)
@torch.no_grad()
def test_the_exact_action_and_the_exact_joints_matter(family):
    """Also those that the canvas does not show: an action of 0.7 instead of 0.6, positions within a shade of grey."""
    layout = make_layout(actions=(ActionDimension("pan", "pan"), ActionDimension("lift", "lift")))
    model, batch = a_model(family, layout), noise(layout).context()
    batch.actions[:, -1] = 0.6
    height, before = layout.frame_height, model.predict(batch).frame
    for changed in ("actions", "positions"):
        for column in range(2):
            values = getattr(batch, changed).clone()
            values[:, 0, column] += 0.1
            other = model.predict(dataclasses.replace(batch, **{changed: values})).frame
            assert (other - before)[:, :, :height].abs().max() > 1e-6, (changed, column)


@pytest.mark.parametrize("family", OURS)
@torch.no_grad()
def test_begins_nearly_as_a_copy(family):
    layout = make_layout()
    batch = noise(layout)
    predicted = fresh(family, layout).predict(batch.context()).frame[:, :, : layout.frame_height]
    error = (predicted - batch.canvas[:, :, : layout.frame_height, layout.frame_columns(-2)]).abs().mean()
    assert error < 0.15, "of 0.33 for noise"


@pytest.mark.parametrize("weight", [0.0, 1.0])
@pytest.mark.parametrize("family", OURS)
def test_every_parameter_learns_whatever_the_loss(family, weight):
    layout = make_layout()
    model = a_model(family, layout, charbonnier_weight=weight, mse_weight=2.0)
    assert_every_parameter_learns(model, noise(layout, n=8))
    assert set(model.validation_loss(noise(layout))) == {"loss", "visual", "strip"}


@pytest.mark.parametrize("family", OURS)
@torch.no_grad()
def test_the_squared_error_can_be_weighed_against_what_is_sharp(family):
    layout, losses = make_layout(), []
    batch = noise(layout, n=4)
    for changes in ({"mse_weight": 1.0}, {"mse_weight": 3.0}, {"charbonnier_weight": 2.0}):
        model = a_model(family, layout, **{"mse_weight": 1.0, "charbonnier_weight": 0.5} | changes)
        torch.manual_seed(1)
        losses.append(float(model.training_loss(batch)["loss"]))
    assert losses[1] > losses[0] + 0.02
    assert losses[2] > losses[0] + 0.02


@pytest.mark.parametrize("family", OURS)
def test_trains_in_half_precision(family):
    layout = make_layout()
    model, batch = a_model(family, layout).train(), noise(layout, n=4)
    with torch.autocast("cpu", torch.bfloat16):
        losses = model(batch)
        predicted = model.eval().predict(batch.context()).frame
    losses["loss"].backward()
    assert all(torch.isfinite(value) for value in losses.values())
    assert predicted.dtype == torch.float32
    exact = model.predict(batch.context()).frame
    assert (predicted - exact).abs().mean() < 0.05


@pytest.mark.parametrize("family", OURS)
def test_training_is_augmented_alike_and_validation_is_not(family):
    model = fresh(family, make_layout())
    plain = LearningConfig()
    for name in ("synthetic_stay", "reversed_pairs", "brightness_jitter", "joint_noise"):
        assert getattr(model.learning, name) == getattr(plain, name)
    seen = []
    model.training_loss = lambda batch: seen.append(batch) or {"loss": torch.zeros(())}
    batch = noise(model.layout, n=100)
    model.train()(batch)
    still = (seen[0].actions[:, -1] == 0).all(1)
    assert 0 < still.sum() < 40
    assert not torch.equal(seen[0].canvas[~still], batch.canvas[~still])


@settings(max_examples=12, deadline=None)
@given(
    family=st.sampled_from(["unet", "flow"]),
    heights=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    width=st.integers(1, 4),
    stacking=st.sampled_from(["vertical", "horizontal"]),
    history=st.integers(2, 4),
    joints=st.integers(1, 7),
    levels=st.integers(1, 4),
    transform=st.sampled_from(["stp", "cdna"]),
)
def test_convolutions_take_any_layout(family, heights, width, stacking, history, joints, levels, transform):
    sides = [(h * 4, width * 4)[:: 1 if stacking == "vertical" else -1] for h in heights]
    layout = make_layout(
        cameras=tuple(Camera(f"camera_{i}", *side) for i, side in enumerate(sides)),
        joints=tuple(Joint(f"joint_{i}") for i in range(joints)),
        actions=(ActionDimension("a", "joint_0"), ActionDimension("b")),
        stacking=stacking,
        history=history,
    )
    changes = {"levels": levels} | ({"transform": transform} if family == "flow" else {})
    model = a_model(family, layout, **changes).train()
    assert_every_parameter_learns(model, noise(layout, n=3))


@pytest.mark.parametrize(
    ("family", "changes", "says"),
    [
        ("unet", {"width": 12}, "width is 12; it has to be a multiple of 8"),
        ("unet", {"levels": 0}, "levels is 0; it has to be between 1 and 6"),
        ("unet", {"width": 4096}, "width is 4096"),
        ("flow", {"transform": "magic"}, "transform is 'magic'"),
        ("flow", {"kernel": 4}, "kernel is 4; it has to be odd"),
        ("flow", {"transforms": 0}, "transforms is 0"),
        ("flow", {"levels": 9}, "levels is 9"),
    ],
)
def test_impossible_settings_are_refused_in_one_line(family, changes, says):
    with pytest.raises(ForearmError, match=says) as failure:
        make_model(family, make_layout(), family_settings(family, "tiny", changes))
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("family", ["unet", "flow"])
def test_learns_a_handful_of_canvases_by_heart(tiny_data, family):
    layout, batch = tiny_data.layout, tiny_data.batch(np.arange(8))
    torch.manual_seed(0)
    model = fresh(family, layout, transforms=4) if family == "flow" else fresh(family, layout)
    optimizer = torch.optim.AdamW(model.train().parameters(), 1e-2)
    for _ in range(150):
        loss = model.training_loss(batch)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    truth, before = (batch.canvas[..., layout.frame_columns(t)] for t in (-1, -2))
    with torch.no_grad():
        predicted = model.eval().predict(batch.context())
    assert ((predicted.frame - truth) ** 2).mean() < 0.3 * ((before - truth) ** 2).mean()
    assert (predicted.positions - batch.positions[:, -1]).abs().mean() < 0.5


WAITING = (torch.tensor, torch.Tensor.new_tensor, torch.from_numpy, torch.Tensor.cpu, torch.Tensor.numpy)


class NothingFromTheHost(TorchFunctionMode):
    """Refuses what copies between host and device, for which a step on a GPU would have to wait."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        assert function not in WAITING, f"{function} copies between host and device"
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("family", OURS)
def test_no_step_waits_for_the_device(family, monkeypatch):
    """A device without values, meta, refuses whatever depends on them, such as .item() or a mask as an index."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())  # it knows no meta
    layout = make_layout(actions=(ActionDimension("pan", "pan"), ActionDimension("lift", "lift")))
    changes = {"reversed_pairs": True, "joint_noise": 0.01}
    changes |= {"transform": "cdna"} if family == "flow" else {}
    model, batch = fresh(family, layout, **changes).to("meta").train(), noise(layout).to("meta")
    model(batch)  # what is kept on a device is put there once
    with NothingFromTheHost():
        model(batch)["loss"].backward()
