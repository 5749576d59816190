"""Which weights are decayed, and which Muon moves."""

import dataclasses

import numpy as np
import pytest
from support.tiny import make_layout, write_data

from forearm.base.errors import ForearmError
from forearm.base.files import write_json
from forearm.models import family_settings, make_model
from forearm.training import loop
from forearm.training.config import TrainConfig
from forearm.training.optimizer import make_optimizer, set_rate

MAE = {"width": 16, "depth": 1, "heads": 2, "decoder_width": 16, "decoder_depth": 1, "decoder_heads": 2}
WARP = {"width": 8, "levels": 1, "layers": 1, "joint_maps": 1}
CONFIG = TrainConfig(steps=4, batch_size=4, evaluate_every=2, warmup=1, weight_decay=0.1)


def test_only_matrices_decay():
    model = make_model("mae", make_layout(), MAE)
    decayed, others = make_optimizer(model, CONFIG).param_groups
    assert (decayed["weight_decay"], others["weight_decay"]) == (CONFIG.weight_decay, 0)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert {names[id(p)] for p in others["params"]} >= {
        "position_embedding",
        "decoder_position_embedding",
        "mask_token",
        "head.bias",
    }
    assert all(names[id(p)].endswith(".weight") and p.ndim == 2 for p in decayed["params"])
    assert len(decayed["params"]) + len(others["params"]) == len(names)


@pytest.mark.parametrize(
    ("family", "settings", "inner", "outer"),
    [
        ("warp", WARP, {"homography_head.2.weight", "memory_encoder.0.weight"}, {"homography_head.4.weight"}),
        ("unet", {"width": 8, "levels": 1}, {"embed_state.0.0.weight"}, {"body.end.weight"}),
        ("flow", {"width": 8, "levels": 1}, {"embed_state.0.0.weight"}, {"body.end.weight", "transform_head.weight"}),
    ],
)
def test_inner_layers_have_muon_at_a_rate_of_its_own_and_a_rate_of_0_leaves_all_to_adamw(
    family, settings, inner, outer
):
    model = make_model(family, make_layout(), family_settings(family, "tiny", settings))
    optimizer = make_optimizer(model, CONFIG)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(model.parameters()))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    (hidden,) = ([names[id(p)] for p in g["params"]] for g in optimizer.param_groups if g["muon"])
    assert {"body.begin.weight", "body.middle.mlp.0.weight", *inner} <= set(hidden)
    assert not {"body.position_embedding", *outer} & set(hidden)
    assert outer <= set(names.values())
    set_rate(optimizer, CONFIG.learning_rate / 2, CONFIG)
    rates = {group["muon"]: group["lr"] for group in optimizer.param_groups}
    assert rates == {False: CONFIG.learning_rate / 2, True: CONFIG.matrix_rate / 2}
    decays = {group["lr"] * group["weight_decay"] for group in optimizer.param_groups} - {0}
    assert np.allclose(list(decays), CONFIG.learning_rate / 2 * 0.1)
    without = make_optimizer(model, dataclasses.replace(CONFIG, matrix_rate=0))
    assert [group["muon"] for group in without.param_groups] == [False, False]


def test_a_run_of_before_muon_goes_on_without_it(tmp_path):
    data = write_data(tmp_path / "data")
    run = loop.start_run(tmp_path / "run", "warp", WARP, CONFIG, data)
    facts = run.config()
    del facts["training"]["matrix_rate"]
    write_json(run.config_file, facts)
    assert run.training() == dataclasses.replace(CONFIG, matrix_rate=0)


def test_a_negative_rate_is_refused():
    with pytest.raises(ForearmError, match="matrix_rate is -1"):
        TrainConfig(matrix_rate=-1)


def test_a_broken_training_with_muon_goes_on_exactly(tmp_path):
    data = write_data(tmp_path / "data")
    runs = [loop.start_run(tmp_path / name, "warp", WARP, CONFIG, data) for name in ("whole", "broken")]
    loop.train(runs[0], data, device="cpu")

    def stop(entry):
        if entry["step"] == 4:  # the checkpoint of step 2 is written, that of step 4 is not
            raise OSError("the machine went down")

    with pytest.raises(OSError, match="went down"):
        loop.train(runs[1], data, device="cpu", report=stop)
    loop.train(runs[1], data, device="cpu", resume=True)
    assert runs[0].weights_file("last").read_bytes() == runs[1].weights_file("last").read_bytes()
