"""The diffusion transformer: reads the context once, tells joints, denoises without chance, and learns."""

import dataclasses

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
from forearm.evaluation import Diagnosable
from forearm.models import family_settings, make_model
from forearm.models.blocks import patchify
from forearm.models.diffusion.config import DiffusionConfig
from forearm.models.diffusion.model import CONTRAST, DiffusionTransformer

SMALL = {"width": 16, "depth": 2, "heads": 2}
VARIANTS = [{"copy": copy, "process": process} for copy in (True, False) for process in ("diffusion", "flow")]


def a_model(layout, seed=0, **changes) -> DiffusionTransformer:
    """A small model in which nothing is the zero any more that it begins with."""
    torch.manual_seed(seed)
    model = DiffusionTransformer(layout, DiffusionConfig(**SMALL | changes)).eval()
    for part in (model.head, model.embed_noisy, model.modulation, *(block.modulation for block in model.blocks)):
        torch.nn.init.normal_(part.weight, std=0.1)
    return model


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", LAYOUTS)
@torch.no_grad()
def test_paints_the_last_frame_of_every_layout(name, variant):
    layout = LAYOUTS[name]
    model, batch = a_model(layout, **variant), noise(layout)
    painted = model.predict(batch).frame
    assert painted.shape == (2, 3, layout.height, layout.frame_width)
    assert painted.dtype == torch.float32
    assert 0 <= painted.min() <= painted.max() <= 1
    # What is painted stands where it belongs, or the loss of the picture would not be that of the patches.
    for parameter in (model.head.weight, model.head.bias):
        parameter.mul_(0.1)  # so that nothing is clamped
    losses = model.validation_loss(batch)
    assert set(losses) == {"loss", "visual", "strip"}
    squashed = noise(layout)
    squashed.canvas.mul_(0.2).add_(0.4)
    losses, painted = model.validation_loss(squashed), model.predict(squashed).frame
    error = (painted - squashed.canvas[..., layout.frame_columns(-1)]) ** 2
    torch.testing.assert_close(losses["loss"], error.mean())
    torch.testing.assert_close(losses["visual"], error[:, :, : layout.frame_height].mean())
    torch.testing.assert_close(losses["strip"], error[:, :, layout.frame_height :].mean())


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", LAYOUTS)
def test_never_reads_the_answer(name, variant):
    assert_answer_is_not_read(a_model(LAYOUTS[name], **variant))


@pytest.mark.parametrize("copy", [True, False])
def test_reads_everything_else(copy):
    assert_all_patches_before_are_read(a_model(make_layout(history=3), copy=copy))


@pytest.mark.parametrize("steps", [1, 3])
def test_the_same_question_has_the_same_answer_bit_for_bit(steps):
    layout = make_layout()
    batch = noise(layout)
    first = a_model(layout, steps=steps).predict(batch).frame
    torch.manual_seed(7)
    assert torch.equal(a_model(layout, steps=steps).predict(batch).frame, first)


@torch.no_grad()
def test_joints_are_told_and_never_drawn_by_lot():
    layout = make_layout()
    model, batch = a_model(layout, steps=3), noise(layout)
    known = model._known(batch)
    strip, caches = model.read(known)
    picture = model.sample(known, caches)
    drawn = [model.sample(known, caches, torch.randn_like(picture)) for _ in range(2)]
    assert not torch.allclose(drawn[0], drawn[1])
    assert not torch.allclose(drawn[0], picture)
    region = {steps: a_model(layout, steps=steps).predict(batch).frame[:, :, layout.frame_height :] for steps in (1, 3)}
    assert torch.equal(region[1], region[3])
    torch.testing.assert_close(patchify(region[1], layout.patch), (strip + 0.5).clamp(0, 1))


@torch.no_grad()
def test_the_context_that_is_read_once_equals_reading_all_at_every_step():
    layout = make_layout(history=3)
    model, batch = a_model(layout, depth=3), noise(layout)
    known = model._known(batch)
    noisy, level = torch.randn_like(known.grey[:, model.picture]), torch.tensor([0.3, 0.9])
    strip, caches = model.read(known)
    cached = model.denoise(noisy, level, known, caches)
    # The plain way: all tokens in every block, clean ones hidden from no one, noisy ones from the clean.
    condition = model.embed_level(model._waves(level))
    clean = torch.cat(
        [
            model.embed(known.grey[:, model.context]) + model.position_embedding[model.context] + known.state,
            model._conditioning(known, model.strip),
        ],
        1,
    )
    tokens = torch.cat([clean, model.embed_noisy(noisy) + model._conditioning(known, model.picture)], 1)
    seen, length = clean.shape[1], tokens.shape[1]
    mask = torch.ones(length, length, dtype=torch.bool)
    mask[:seen, seen:] = False
    is_noisy = (torch.arange(length) >= seen)[:, None]

    def modulated(values, scale, shift):
        return torch.where(is_noisy, values * (1 + scale) + shift, values)

    for block in model.blocks:
        scale, shift, gate, mlp_scale, mlp_shift, mlp_gate = block.modulation(condition)[:, None].chunk(6, dim=-1)
        attention = block.attention
        qkv = attention.qkv(modulated(block.attention_norm(tokens), scale, shift))
        q, k, v = (part.unflatten(2, (attention.heads, -1)).transpose(1, 2) for part in qkv.chunk(3, dim=-1))
        scores = (q @ k.transpose(2, 3) / q.shape[-1] ** 0.5).masked_fill(~mask, -torch.inf)
        mixed = attention.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
        tokens = tokens + torch.where(is_noisy, gate * mixed, mixed)
        hidden = block.mlp(modulated(block.mlp_norm(tokens), mlp_scale, mlp_shift))
        tokens = tokens + torch.where(is_noisy, mlp_gate * hidden, hidden)
    painted = model.head(modulated(model.norm(tokens), *model.modulation(condition)[:, None].chunk(2, dim=-1)))
    places = torch.cat([model.strip, model.picture])
    painted = painted[:, -len(places) :] + known.grey[:, places - model.to_previous]
    torch.testing.assert_close(torch.cat([strip, cached], 1), painted, atol=1e-5, rtol=0)


def test_the_context_is_read_once_whatever_the_number_of_steps():
    layout, seen = PRESET_LAYOUTS["so101"], []
    model = a_model(layout, depth=1, steps=3)
    model.blocks[0].register_forward_hook(lambda module, tokens, result: seen.append(tokens[0].shape[1]))
    model.predict(noise(layout, 1))
    assert seen == [29 * 16 + 14] + [28 * 14] * 3


@pytest.mark.parametrize("process", ["diffusion", "flow"])
@torch.no_grad()
def test_one_step_is_what_the_network_says_of_noise_alone(process):
    layout = make_layout()
    model, batch = a_model(layout, steps=1, process=process), noise(layout)
    known = model._known(batch)
    _, caches = model.read(known)
    first = torch.randn_like(known.grey[:, model.picture])
    direct = model.denoise(first, torch.ones(2), known, caches)
    assert torch.equal(model.sample(known, caches, first), direct)


@pytest.mark.parametrize("process", ["diffusion", "flow"])
@torch.no_grad()
def test_sampling_follows_the_process(process, monkeypatch):
    """With a network that knows the answer, each step's input is the answer under that step's share of the noise."""
    layout = make_layout()
    model, batch = a_model(layout, steps=4, process=process), noise(layout)
    known, asked = model._known(batch), []
    truth, first = known.grey[:, model.picture], torch.randn(2, 8, 48)
    monkeypatch.setattr(model, "denoise", lambda noisy, level, *_: asked.append((noisy, level)) or truth)
    assert torch.equal(model.sample(known, [], first), truth)
    assert [float(level[0]) for _, level in asked] == [1, 0.75, 0.5, 0.25]
    for noisy, level in asked:
        torch.testing.assert_close(noisy, model.noisy(truth, level, first), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model.noisy(truth, torch.ones(2), first), first)
    torch.testing.assert_close(model.noisy(truth, torch.zeros(2), first), CONTRAST * truth)


@pytest.mark.parametrize("process", ["diffusion", "flow"])
@torch.no_grad()
def test_with_copy_an_untrained_model_is_persistence(process):
    layout = make_layout(history=3)
    batch = noise(layout)
    before = batch.canvas[..., layout.frame_columns(-2)]
    model = DiffusionTransformer(layout, DiffusionConfig(**SMALL, process=process))
    torch.testing.assert_close(model.predict(batch).frame, before)
    without = DiffusionTransformer(layout, DiffusionConfig(**SMALL, process=process, copy=False))
    assert (without.predict(batch).frame - before).abs().mean() > 0.1


@pytest.mark.parametrize("process", ["diffusion", "flow"])
@torch.no_grad()
def test_training_draws_levels_and_noise_and_evaluation_draws_nothing(process, monkeypatch):
    layout = make_layout()
    model, batch = a_model(layout, process=process, steps=1), noise(layout, 16)
    evaluated = model.validation_loss(batch)
    assert model.validation_loss(batch) == evaluated
    assert model.training_loss(batch)["loss"] != model.training_loss(batch)["loss"]
    torch.manual_seed(3)
    losses = model.training_loss(batch)
    torch.manual_seed(3)
    assert model.training_loss(batch) == losses
    plain = (8 * losses["visual"] + 4 * losses["strip"]) / 12  # patches of the picture, and of the strip
    if process == "diffusion":
        torch.testing.assert_close(losses["loss"], plain)
    else:
        assert losses["loss"] > 1.01 * plain
    monkeypatch.setattr("forearm.models.diffusion.model.FROM_NOTHING", 1.0)
    torch.testing.assert_close(model.training_loss(batch), evaluated)


@pytest.mark.parametrize("variant", [{}, {"copy": False}, {"process": "flow"}])
def test_learns_a_handful_of_canvases_by_heart(tmp_path, variant):
    data = write_data(tmp_path / "data")
    layout, batch = data.layout, data.batch(np.arange(8))
    truth = batch.canvas[..., layout.frame_columns(-1)]
    persistence = ((batch.canvas[..., layout.frame_columns(-2)] - truth) ** 2).mean()
    torch.manual_seed(0)
    model = DiffusionTransformer(layout, DiffusionConfig(**SMALL | {"width": 32} | variant)).train()
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    for _ in range(300):
        loss = model.training_loss(batch)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    painted = model.eval().predict(batch.context()).frame
    assert ((painted - truth) ** 2).mean() < 0.5 * persistence


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_parameter_learns(tiny_data, variant):
    assert_every_parameter_learns(a_model(tiny_data.layout, **variant), tiny_data.batch(np.arange(4)))


def test_diagnosis_tells_the_error_at_each_noise_level_and_depends_on_the_row_alone(tiny_data):
    model, batch = a_model(tiny_data.layout), tiny_data.batch(np.arange(6))
    assert isinstance(model, Diagnosable)
    losses = diagnosed(model, batch)["loss_by_noise_level"]
    assert losses.shape == (6, 4)
    again = diagnosed(model, tiny_data.batch(np.array([5, 0])))["loss_by_noise_level"]
    torch.testing.assert_close(again, losses[[5, 0]])


def test_diagnosis_sees_noise_grow_from_bucket_to_bucket(tiny_data, monkeypatch):
    """A network that only takes its input for the picture errs the more, the noisier that is."""
    model, batch = a_model(tiny_data.layout), tiny_data.batch(np.arange(6))
    monkeypatch.setattr(model, "denoise", lambda noisy, *_: noisy / CONTRAST)
    losses = diagnosed(model, batch)["loss_by_noise_level"].mean(0)
    assert (losses.diff() > 0).all()


def test_sizes_are_as_large_as_they_say():
    so101 = family_settings("diffusion", "so101", {})
    assert [so101[name] for name in ("width", "depth", "heads")] == [384, 12, 6]
    assert parameters("diffusion", "so101") == 34_208_256
    assert parameters("diffusion", "tiny") == 1_415_104


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"width": 130, "heads": 4}, "width is 130; it has to be a multiple of 4 and of heads, 4"),
        ({"heads": 0}, "width is 384"),
        ({"depth": 0}, "depth is 0; it has to be at least 1"),
        ({"steps": 0}, "steps is 0; it has to be at least 1"),
        ({"process": "magic"}, "process is 'magic', not one of diffusion, flow"),
        ({"process": 3}, "process is 3, not one of diffusion, flow"),
        ({"decoder_width": 8}, "'decoder_width' is not known"),
    ],
)
def test_impossible_models_are_refused_in_one_line(settings, says):
    with pytest.raises(ForearmError, match=says) as failure:
        make_model("diffusion", PRESET_LAYOUTS["tiny"], settings)
    assert "\n" not in str(failure.value)


def test_steps_change_nothing_but_sampling():
    layout = make_layout()
    one, four = (a_model(layout, steps=steps) for steps in (1, 4))
    assert {name: w.shape for name, w in one.state_dict().items()} == {n: w.shape for n, w in four.state_dict().items()}
    batch = noise(layout)
    assert not torch.equal(one.predict(batch).frame, four.predict(batch).frame)
    one.config = dataclasses.replace(one.config, steps=4)
    assert torch.equal(one.predict(batch).frame, four.predict(batch).frame)
