"""Training on a model's own pictures: which pictures are replaced, and by what."""

import pytest
import torch
from support.tiny import make_layout, write_data

from forearm.base.errors import ForearmError
from forearm.batch import FIRST_FRAME, FIRST_POSITIONS, Batch
from forearm.models import make_model
from forearm.training.config import TrainConfig
from forearm.training.imagining import USUAL_SHARE, imagined, imagined_share
from forearm.training.loop import start_run, train
from forearm.transitions.loader import TrainingSteps

SMALL = {"width": 32, "depth": 1, "heads": 2, "decoder_width": 32, "decoder_depth": 1, "decoder_heads": 2}
FAMILIES = {
    "mae": SMALL,
    "warp": {"width": 8, "levels": 2, "layers": 2, "joint_maps": 2, "first_frame": True, "sharpening": 3.0},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data") / "data", make_layout(history=3), episodes=6, val=2)


def a_chain(data, length: int) -> list[Batch]:
    steps = TrainingSteps(data, data.rows("train"), 12, 0, imagined_share=1.0, imagined_steps=3)
    return next(steps[step] for step in range(40) if len(steps[step]) == length)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_first_transitions_go_on_from_imagined_pictures(data, family) -> None:
    begun, *leading, batch = a_chain(data, 5)
    count, layout = len(begun), data.layout
    torch.manual_seed(0)
    model = make_model(family, layout, FAMILIES[family])
    for weight in model.parameters():
        weight.data += 0.05 * torch.randn_like(weight)
    if model.looks_back:
        model.blend.bias.data.zero_()  # even shares, which sharpening would change
    fed = imagined(model, [begun, *leading], batch)
    assert model.training
    before = imagined(model, [begun, *leading[:-1]], leading[-1])
    model.eval()
    with torch.no_grad():
        prediction = model.predict(before.context())
    expected = prediction.frame
    known, last, pictures = layout.frame_columns(-2), layout.frame_columns(-1), slice(layout.frame_height)
    torch.testing.assert_close(fed.canvas[:count, :, pictures, known], expected[:, :, pictures], atol=1e-5, rtol=0)
    assert not torch.equal(fed.canvas[:count, :, pictures, known], batch.canvas[:count, :, pictures, known])
    assert torch.equal(fed.canvas[..., last], batch.canvas[..., last]), "what is to be predicted is the truth"
    assert torch.equal(fed.canvas[count:], batch.canvas[count:])
    assert torch.equal(fed.canvas[:, :, layout.frame_height :], batch.canvas[:, :, layout.frame_height :])
    assert torch.equal(fed.positions, batch.positions)
    assert imagined(model, [], batch) is batch
    if model.looks_back:
        assert not torch.allclose(prediction.mode, expected[:, :, pictures], atol=1e-3), "means are gone on from"
        assert torch.equal(fed.carried[FIRST_FRAME][:count], begun.canvas[:, :, pictures, known])
        assert torch.equal(fed.carried[FIRST_POSITIONS][count:], batch.positions[count:, -2])
    else:
        assert fed.carried is None


def test_models_that_look_at_the_first_frame_imagine_unless_told_otherwise(data) -> None:
    shares = {
        (family, given): imagined_share(make_model(family, data.layout, settings), TrainConfig(imagined_share=given))
        for family, settings in FAMILIES.items()
        for given in (None, 0.0, 0.3)
    }
    assert shares["warp", None] == USUAL_SHARE
    assert shares["mae", None] == shares["warp", 0.0] == 0
    assert shares["mae", 0.3] == shares["warp", 0.3] == 0.3


def test_a_training_goes_on_from_imagined_pictures(tmp_path, data) -> None:
    def losses(name: str, **settings: float) -> list[float]:
        config = TrainConfig(steps=3, batch_size=8, evaluate_every=3, **settings)
        run = start_run(tmp_path / name, "mae", SMALL, config, data)
        train(run, data, device="cpu")
        return [entry["val_loss"] for entry in run.log() if "val_loss" in entry]

    own, again, usual = losses("own", imagined_share=0.8), losses("again", imagined_share=0.8), losses("usual")
    assert own == again
    assert own[-1] != usual[-1]
    assert own[0] == usual[0]


def test_where_nothing_goes_on_nothing_is_imagined(tmp_path) -> None:
    apart = write_data(tmp_path / "data", make_layout(history=3), episodes=6, length=1)
    with pytest.raises(ForearmError, match="no transition goes on from another one"):
        start_run(tmp_path / "run", "mae", SMALL, TrainConfig(imagined_share=0.4), apart)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("settings", [{"imagined_share": 1.5}, {"imagined_share": -0.1}, {"imagined_steps": 0}])
def test_impossible_shares_and_steps_are_refused(settings) -> None:
    with pytest.raises(ForearmError, match="imagined_"):
        TrainConfig(**settings)
