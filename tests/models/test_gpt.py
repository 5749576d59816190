"""The causal transformer: paints in order from what it may see, the same with a cache, begins as a copy, and learns."""

import itertools

import numpy as np
import pytest
import torch
from support.canvases import (
    LAYOUTS,
    PRESET_LAYOUTS,
    assert_all_patches_before_are_read,
    assert_answer_is_not_read,
    assert_every_parameter_learns,
    diagnosed,
    noise,
    parameters,
)
from support.tiny import make_layout, write_data

from forearm.base.errors import ForearmError
from forearm.evaluation.asking import Diagnosable
from forearm.models import family_settings, make_model
from forearm.models.blocks import patchify, unpatchify
from forearm.models.gpt.config import GPTConfig
from forearm.models.gpt.model import SWEEPS, CausalTransformer

SMALL = {"width": 16, "depth": 2, "heads": 2}
VARIANTS = [{"copy": copy, "strip_first": first} for copy in (True, False) for first in (True, False)]


def a_model(layout, seed=0, **changes) -> CausalTransformer:
    """A small model whose head is no longer the zero it begins with."""
    torch.manual_seed(seed)
    model = CausalTransformer(layout, GPTConfig(**SMALL | changes)).eval()
    torch.nn.init.normal_(model.head.weight, std=0.1)
    return model


@torch.inference_mode()
def predicted_plainly(model, batch) -> torch.Tensor:
    """Last frames in the obvious way: the network over the whole canvas, once a patch."""
    layout = model.layout
    grey = patchify(batch.context().canvas, layout.patch) - 0.5
    for i, index in enumerate(model.targets.tolist()):
        grey[:, index] = model.predict_patches(batch, grey)[:, i].clamp(-0.5, 0.5)
    patches = grey[:, model.targets][:, model.raster] + 0.5
    return unpatchify(patches, layout.patch, layout.height, layout.frame_width)


def tokens_read(model) -> list[int]:
    """How many tokens each pass through the model reads, filled while it runs."""
    lengths: list[int] = []
    model.norm.register_forward_hook(lambda module, tokens, result: lengths.append(tokens[0].shape[1]))
    return lengths


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", LAYOUTS)
def test_three_ways_of_painting_are_equal(name, variant):
    layout = LAYOUTS[name]
    model, batch = a_model(layout, **variant), noise(layout)
    painted = model.predict(batch).frame
    assert painted.shape == (2, 3, layout.height, layout.frame_width)
    assert painted.dtype == torch.float32
    assert 0 <= painted.min() <= painted.max() <= 1
    plain = predicted_plainly(model, batch)
    torch.testing.assert_close(painted, plain, atol=1e-5, rtol=0)
    torch.testing.assert_close(model.predict(batch, sweeps=0).frame, plain, atol=1e-5, rtol=0)


@pytest.mark.parametrize("std", [0.02, 0.3])
def test_three_ways_of_painting_are_equal_at_the_tiny_size(std):
    """However far an error in one patch carries: at 0.02 some sweeps do, at 0.3 patches never stand still."""
    layout = PRESET_LAYOUTS["tiny"]
    model, batch = a_model(layout, **family_settings("gpt", "tiny", {"depth": 2})), noise(layout, 1)
    torch.nn.init.normal_(model.head.weight, std=std)
    plain = predicted_plainly(model, batch)
    torch.testing.assert_close(model.predict(batch, sweeps=0).frame, plain, atol=1e-5, rtol=0)
    lengths = tokens_read(model)
    torch.testing.assert_close(model.predict(batch).frame, plain, atol=1e-5, rtol=0)
    if std == 0.02:
        assert len(lengths) < SWEEPS
    else:  # then the rest is painted one by one
        assert lengths[SWEEPS:] == [1] * (len(model.targets) - SWEEPS)


def test_three_ways_of_painting_are_equal_once_trained(tmp_path):
    data = write_data(tmp_path / "data")
    model = learned(data, {"width": 32})
    with torch.no_grad():
        assert model.head.weight.abs().mean() > 0.01  # it is no longer the copy it began as
    batch = data.batch(np.arange(8)).context()
    plain = predicted_plainly(model, batch)
    torch.testing.assert_close(model.predict(batch).frame, plain, atol=1e-5, rtol=0)
    torch.testing.assert_close(model.predict(batch, sweeps=0).frame, plain, atol=1e-5, rtol=0)


def test_the_context_is_read_once_and_each_patch_costs_one_token():
    layout = PRESET_LAYOUTS["so101"]
    model = a_model(layout, depth=1)
    lengths = tokens_read(model)
    model.predict(noise(layout, 1), sweeps=0)
    assert lengths == [29 * 16] + [1] * (29 * 14 - 1)


def test_patches_are_repainted_all_at_once_until_they_stand_still():
    layout = PRESET_LAYOUTS["tiny"]
    model, batch = CausalTransformer(layout, GPTConfig(**SMALL)).eval(), noise(layout, 1)
    lengths = tokens_read(model)
    model.predict(batch)
    assert lengths == [len(model.context) + len(model.targets) - 1]  # the previous frame stays as it was guessed
    torch.nn.init.normal_(model.head.weight, std=0.02)
    lengths.clear()
    model.predict(batch)
    assert 1 < len(lengths) < SWEEPS
    assert all(later < sooner for sooner, later in itertools.pairwise(lengths))  # what is final is not read again


def test_a_batch_is_painted_as_its_samples_are_one_by_one():
    layout = PRESET_LAYOUTS["tiny"]
    model, batch = a_model(layout), noise(layout, 3)
    batch.canvas[0] = 0.5  # stands still sooner than the others
    alone = [model.predict(batch[i : i + 1]).frame for i in range(3)]
    torch.testing.assert_close(model.predict(batch).frame, torch.cat(alone), atol=1e-5, rtol=0)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", LAYOUTS)
def test_never_reads_the_answer(name, variant):
    assert_answer_is_not_read(a_model(LAYOUTS[name], **variant))


@pytest.mark.parametrize("copy", [True, False])
def test_reads_everything_else(copy):
    assert_all_patches_before_are_read(a_model(make_layout(history=3), copy=copy))


@pytest.mark.parametrize("strip_first", [True, False])
@torch.no_grad()
def test_a_patch_is_painted_from_those_before_it_alone(strip_first):
    layout = make_layout()
    model = a_model(layout, strip_first=strip_first)
    batch = noise(layout, 1)
    patches = patchify(batch.canvas, layout.patch) - 0.5
    before = model.predict_patches(batch, patches)
    for i, place in enumerate(model.targets.tolist()):
        changed = patches.clone()
        changed[:, place] = 0
        same = (model.predict_patches(batch, changed) == before).all(2)[0]
        assert same[: i + 1].all(), f"patch {i} is seen before it is painted"
        assert not same[i + 1 :].any(), f"patch {i} says nothing to those after it"


def test_the_strip_can_come_first_and_the_picture_row_by_row():
    layout = make_layout()  # a grid of 6 × 5 patches: the last frame in the columns 3 and 4, its strip in rows 4 and 5
    rows = [[3, 4], [8, 9], [13, 14], [18, 19], [23, 24], [28, 29]]
    assert layout.grid == (6, 5)
    assert layout.strip_height == 2 * layout.patch
    assert a_model(layout, strip_first=False).targets.reshape(6, 2).tolist() == rows
    assert a_model(layout, strip_first=True).targets.reshape(6, 2).tolist() == rows[4:] + rows[:4]


@pytest.mark.parametrize("strip_first", [True, False])
@pytest.mark.parametrize("history", [2, 3])
@torch.no_grad()
def test_with_copy_an_untrained_model_is_persistence(history, strip_first):
    layout = make_layout(history=history)
    model, batch = CausalTransformer(layout, GPTConfig(**SMALL, strip_first=strip_first)), noise(layout)
    before, after = (batch.canvas[..., layout.frame_columns(t)] for t in (-2, -1))
    torch.testing.assert_close(model.predict(batch).frame, before)
    losses, error = model.validation_loss(batch), (before - after) ** 2
    torch.testing.assert_close(losses["loss"], error.mean())
    torch.testing.assert_close(losses["visual"], error[:, :, : layout.frame_height].mean())
    torch.testing.assert_close(losses["strip"], error[:, :, layout.frame_height :].mean())
    without = CausalTransformer(layout, GPTConfig(**SMALL, copy=False))
    assert (without.predict(batch).frame - before).abs().mean() > 0.1


@torch.no_grad()
def test_training_reads_some_patches_as_they_were_and_paints_them_as_they_are():
    layout = make_layout()
    model, batch = a_model(layout), noise(layout)
    assert model.validation_loss(batch)["loss"] == model.validation_loss(batch)["loss"]
    assert model.training_loss(batch)["loss"] != model.training_loss(batch)["loss"]
    torch.nn.init.zeros_(model.head.weight)  # whatever is read, the previous frame is painted
    error = (batch.canvas[..., layout.frame_columns(-2)] - batch.canvas[..., layout.frame_columns(-1)]) ** 2
    torch.testing.assert_close(model.training_loss(batch)["loss"], error.mean())


@torch.no_grad()
def test_all_stale_is_reading_the_previous_frame_and_none_is_reading_the_truth():
    layout = make_layout()
    batch, standing = noise(layout), noise(layout).canvas
    standing[..., layout.frame_columns(-1)] = standing[..., layout.frame_columns(-2)]
    truth = batch.canvas[..., layout.frame_columns(-1)]
    for stale, read in ((0.0, batch.canvas), (1.0, standing)):
        model = a_model(layout, stale=stale).train()
        painted = model.predict_patches(batch, patchify(read, layout.patch) - 0.5)[:, model.raster] + 0.5
        error = (painted - patchify(truth, layout.patch)) ** 2
        torch.testing.assert_close(model.training_loss(batch)["loss"], error.mean())


def learned(data, changes) -> CausalTransformer:
    """A model that was trained for seconds on eight canvases."""
    torch.manual_seed(0)
    model, batch = CausalTransformer(data.layout, GPTConfig(**SMALL | changes)), data.batch(np.arange(8))
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    for _ in range(250):
        loss = model.training_loss(batch)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


@pytest.mark.parametrize("variant", [{}, {"copy": False}, {"strip_first": True, "stale": 0.0}])
def test_learns_a_handful_of_canvases_by_heart(tmp_path, variant):
    data = write_data(tmp_path / "data")
    layout, batch = data.layout, data.batch(np.arange(8))
    truth = batch.canvas[..., layout.frame_columns(-1)]
    persistence = ((batch.canvas[..., layout.frame_columns(-2)] - truth) ** 2).mean()
    model = learned(data, {"width": 32} | variant)
    painted = model.predict(batch.context()).frame
    assert ((painted - truth) ** 2).mean() < 0.5 * persistence


@pytest.mark.parametrize("copy", [True, False])
def test_every_parameter_learns(tiny_data, copy):
    assert_every_parameter_learns(a_model(tiny_data.layout, copy=copy), tiny_data.batch(np.arange(4)))


@pytest.mark.parametrize("strip_first", [True, False])
def test_diagnosis_tells_the_errors_of_reading_the_truth_and_of_running_free(strip_first):
    layout = make_layout()
    model, batch = a_model(layout, strip_first=strip_first), noise(layout)
    assert isinstance(model, Diagnosable)
    figures = diagnosed(model, batch)
    error = (model.predict(batch).frame - batch.canvas[..., layout.frame_columns(-1)]) ** 2
    free = patchify(error, layout.patch).mean(2)  # in raster order, whatever the order of painting
    torch.testing.assert_close(figures["free_running_loss_per_position"], free)
    torch.testing.assert_close(figures["free_running_loss"], free.mean(1))
    forced = figures["teacher_forcing_loss_per_position"]
    torch.testing.assert_close(figures["teacher_forcing_loss"], forced.mean(1))
    torch.testing.assert_close(figures["teacher_forcing_gap"], free.mean(1) - forced.mean(1))
    first = 8 if strip_first else 0  # the patch that is painted first
    torch.testing.assert_close(forced[:, first], free[:, first])  # nothing was painted yet to run astray on
    assert not torch.allclose(forced[:, first + 1], free[:, first + 1])


def test_sizes_are_as_large_as_they_say():
    so101 = family_settings("gpt", "so101", {})
    assert [so101[name] for name in ("width", "depth", "heads")] == [384, 12, 6]
    assert parameters("gpt", "so101") == 22_833_024
    assert parameters("gpt", "tiny") == 946_496


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"width": 130, "heads": 4}, "width is 130; it has to be a multiple of 4 and of heads, 4"),
        ({"heads": 0}, "width is 384"),
        ({"depth": 0}, "depth is 0; it has to be at least 1"),
        ({"stale": -0.1}, r"stale is -0.1; it has to lie in \[0, 1\]"),
        ({"stale": float("nan")}, "stale is nan"),
        ({"decoder_width": 8}, "'decoder_width' is not known"),
    ],
)
def test_impossible_models_are_refused_in_one_line(settings, says):
    with pytest.raises(ForearmError, match=says) as failure:
        make_model("gpt", PRESET_LAYOUTS["tiny"], settings)
    assert "\n" not in str(failure.value)
