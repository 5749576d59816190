"""The masked autoencoder: sees what it may, paints where it must, begins as a copy, and learns."""

import numpy as np
import pytest
import torch
from support.canvases import (
    PRESET_LAYOUTS,
    assert_all_patches_before_are_read,
    assert_answer_is_not_read,
    assert_every_parameter_learns,
    noise,
    parameters,
)
from support.tiny import make_layout, write_data

from forearm.base.errors import ForearmError
from forearm.canvas import ActionDimension, Camera
from forearm.models import family_settings, make_model
from forearm.models.blocks import unpatchify
from forearm.models.mae.config import MAEConfig
from forearm.models.mae.model import MaskedAutoencoder

SMALL = {"width": 16, "depth": 1, "heads": 2, "decoder_width": 16, "decoder_depth": 1, "decoder_heads": 2}

LAYOUTS = {
    **PRESET_LAYOUTS,
    "one camera": make_layout(cameras=(Camera("base", 8, 8),)),
    "side by side": make_layout(stacking="horizontal"),
    "history of 4": make_layout(history=4),
    "unlike cameras": make_layout(cameras=(Camera("base", 12, 8), Camera("wrist", 4, 8))),
    "continuous": make_layout(actions=(ActionDimension("pan", "pan"), ActionDimension("lift", "lift")), discrete=False),
}


def a_model(layout, seed=0, **changes) -> MaskedAutoencoder:
    """A small model whose head is no longer the zero it begins with."""
    torch.manual_seed(seed)
    model = MaskedAutoencoder(layout, MAEConfig(**SMALL | changes)).eval()
    torch.nn.init.normal_(model.head.weight, std=0.1)
    return model


@pytest.mark.parametrize("name", LAYOUTS)
@torch.no_grad()
def test_paints_the_last_frame_of_every_layout(name):
    layout = LAYOUTS[name]
    model, batch = a_model(layout), noise(layout)
    painted = model.predict(batch).frame
    assert painted.shape == (2, 3, layout.height, layout.frame_width)
    assert painted.dtype == torch.float32
    assert 0 <= painted.min() <= painted.max() <= 1
    losses = model.training_loss(batch)
    assert set(losses) == {"loss", "visual", "strip"}
    # What is painted stands where it belongs, or the loss of the picture would not be that of the patches.
    patches = model.predict_patches(batch)
    whole = unpatchify(patches, layout.patch, layout.height, layout.frame_width)
    torch.testing.assert_close(whole.clamp(0, 1), painted)
    error = (whole - batch.canvas[..., layout.frame_columns(-1)]) ** 2
    torch.testing.assert_close(losses["loss"], error.mean())
    torch.testing.assert_close(losses["visual"], error[:, :, : layout.frame_height].mean())
    torch.testing.assert_close(losses["strip"], error[:, :, layout.frame_height :].mean())


@pytest.mark.parametrize("copy", [True, False])
@pytest.mark.parametrize("name", LAYOUTS)
@torch.no_grad()
def test_never_reads_the_answer(name, copy):
    assert_answer_is_not_read(a_model(LAYOUTS[name], copy=copy))


@pytest.mark.parametrize("copy", [True, False])
@torch.no_grad()
def test_reads_everything_else(copy):
    assert_all_patches_before_are_read(a_model(make_layout(history=3), copy=copy))


@torch.no_grad()
def test_the_encoder_sees_the_visible_patches_only():
    layout, seen = LAYOUTS["so101"], []
    model = a_model(layout)
    model.encoder.register_forward_hook(lambda module, tokens, result: seen.append(tokens[0].shape[1]))
    model.predict(noise(layout, 1))
    assert (layout.height, layout.width, layout.grid) == (464, 480, (29, 30))
    assert seen == [29 * 16]
    assert len(model.masked) == 29 * 14
    assert sorted([*model.visible.tolist(), *model.masked.tolist()]) == list(range(29 * 30))


@pytest.mark.parametrize("history", [2, 3])
@torch.no_grad()
def test_with_copy_an_untrained_model_is_persistence(history):
    layout = make_layout(history=history)
    model, batch = MaskedAutoencoder(layout, MAEConfig(**SMALL)), noise(layout)
    torch.testing.assert_close(model.predict(batch).frame, batch.canvas[..., layout.frame_columns(-2)])
    without = MaskedAutoencoder(layout, MAEConfig(**SMALL, copy=False))
    assert (without.predict(batch).frame - batch.canvas[..., layout.frame_columns(-2)]).abs().mean() > 0.1


def test_losses_are_squared_errors_of_picture_and_strip(tiny_data):
    layout, batch = tiny_data.layout, tiny_data.batch(np.arange(6))
    model = MaskedAutoencoder(layout, MAEConfig(**SMALL))
    losses = model.training_loss(batch)
    error = (batch.canvas[..., layout.frame_columns(-2)] - batch.canvas[..., layout.frame_columns(-1)]) ** 2
    h = layout.frame_height
    torch.testing.assert_close(losses["loss"], error.mean())
    torch.testing.assert_close(losses["visual"], error[:, :, :h].mean())
    torch.testing.assert_close(losses["strip"], error[:, :, h:].mean())


@pytest.mark.parametrize("copy", [True, False])
def test_learns_a_handful_of_canvases_by_heart(tmp_path, copy):
    data = write_data(tmp_path / "data")
    layout, batch = data.layout, data.batch(np.arange(8))
    error = batch.canvas[..., layout.frame_columns(-2)] - batch.canvas[..., layout.frame_columns(-1)]
    persistence = (error**2).mean()
    torch.manual_seed(0)
    model = MaskedAutoencoder(layout, MAEConfig(**SMALL | {"width": 32, "decoder_width": 32, "copy": copy}))
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    for _ in range(150):
        loss = model.training_loss(batch)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.5 * persistence
    with torch.no_grad():
        painted = model.predict(batch.context()).frame
    assert ((painted - batch.canvas[..., layout.frame_columns(-1)]) ** 2).mean() < 0.5 * persistence


def test_every_parameter_learns(tiny_data):
    assert_every_parameter_learns(a_model(tiny_data.layout), tiny_data.batch(np.arange(4)))


def test_sizes_are_as_large_as_they_say():
    so101 = family_settings("mae", "so101", {})
    assert [so101[name] for name in ("width", "depth", "decoder_width", "decoder_depth")] == [384, 8, 192, 4]
    assert parameters("mae", "so101") == 17_305_152
    assert parameters("mae", "tiny") == 1_031_424


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: make_model("gan", LAYOUTS["tiny"], {}), "no family 'gan'; there are "),
        (lambda: make_model("mae", LAYOUTS["tiny"], {"breadth": 3}), "'breadth' is not known"),
        (lambda: family_settings("gan", "tiny", {}), "no family"),
        (lambda: family_settings("mae", "giant", {}), "no size 'giant'; it has so101, tiny"),
        (lambda: family_settings("mae", "tiny", {"breadth": 3}), "no setting 'breadth'; it has synthetic_stay"),
        (lambda: make_model("mae", LAYOUTS["tiny"], {"width": 130, "heads": 4}), "multiple of 4 and of heads, 4"),
        (lambda: make_model("mae", LAYOUTS["tiny"], {"width": 6, "heads": 3}), "width is 6"),
        (lambda: make_model("mae", LAYOUTS["tiny"], {"decoder_heads": 0}), "decoder_width is 192"),
    ],
)
def test_impossible_models_are_refused_in_one_line(call, says):
    with pytest.raises(ForearmError, match=says) as failure:
        call()
    assert "\n" not in str(failure.value)


def test_changes_are_laid_over_a_size():
    settings = family_settings("mae", "tiny", {"depth": 6})
    assert settings["depth"] == 6
    assert settings["width"] == 128
