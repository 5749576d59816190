"""Runs of before the renaming of settings and weights open, predict the same, and go on training."""

import dataclasses
import json

import pytest
import safetensors.torch
import torch
from support.tiny import write_data

from forearm.base.errors import ForearmError
from forearm.models import family_settings, make_model
from forearm.models.renamed import ADDED, WEIGHTS
from forearm.training.config import TrainConfig
from forearm.training.loop import start_run, train

SMALL = {"width": 16, "depth": 1, "heads": 2}
SETTINGS_OF = {
    "mae": SMALL | {"decoder_width": 16, "decoder_depth": 1, "decoder_heads": 2},
    "gpt": SMALL,
    "diffusion": SMALL,
}
OLD = {new: old for old, new in WEIGHTS.items()}


def age(path) -> int:
    """Give a file of tensors the names of before; how many had another."""
    with safetensors.safe_open(path, "pt") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    metadata.pop("settings", None)  # a mark of later
    aged = {".".join(OLD.get(part, part) for part in name.split(".")): value for name, value in tensors.items()}
    safetensors.torch.save_file(aged, path, metadata)
    return len(aged.keys() - tensors.keys())


@pytest.mark.parametrize("family", SETTINGS_OF)
def test_a_run_of_before_opens_and_goes_on(tmp_path, family) -> None:
    data = write_data(tmp_path / "data")
    config = TrainConfig(steps=4, batch_size=8, evaluate_every=2, warmup=1)
    settings = family_settings(family, "tiny", SETTINGS_OF[family] | ADDED.get(family, {}))
    runs = [start_run(tmp_path / name, family, settings, config, data) for name in ("new", "old")]
    for run in runs:
        train(run, data, device="cpu")
    new, old = runs
    for path in (old.weights_file("best"), old.weights_file("last"), old.resume_file):
        assert age(path) > 0
    facts = json.loads(old.config_file.read_text())
    assert facts["model"].items() >= ADDED.get(family, {}).items()
    facts["model"] = {name: value for name, value in facts["model"].items() if name not in ADDED.get(family, {})}
    old.config_file.write_text(json.dumps(facts))
    one, other = new.load("last"), old.load("last")
    for (name, mine), (_, theirs) in zip(one.state_dict().items(), other.state_dict().items(), strict=True):
        assert torch.equal(mine, theirs), name
    assert getattr(one, "config", None) == getattr(other, "config", None)
    for run in runs:
        facts = json.loads(run.config_file.read_text())
        facts["training"] = dataclasses.asdict(dataclasses.replace(config, steps=6))
        run.config_file.write_text(json.dumps(facts))
        train(run, data, device="cpu", resume=True)
    for mine, theirs in zip(
        new.load("last").state_dict().values(), old.load("last").state_dict().values(), strict=True
    ):
        assert torch.equal(mine, theirs)


def test_names_of_now_are_left_alone(tmp_path) -> None:
    model = make_model("warp", write_data(tmp_path / "data").layout, family_settings("warp", "tiny", {}))
    assert not {name.split(".")[0] for name in model.state_dict()} & set(WEIGHTS)


def test_a_run_with_parts_that_are_gone_is_refused_in_one_line(tmp_path) -> None:
    data = write_data(tmp_path / "data")
    settings = family_settings("warp", "tiny", {}) | {"depth": 2, "heads": 2}
    with pytest.raises(ForearmError, match=r"^this run's warp has parts .* \(depth, heads\); train it anew$"):
        make_model("warp", data.layout, settings)


def test_a_run_without_a_setting_keeps_what_it_was_trained_with(tmp_path) -> None:
    data, settings = (
        write_data(tmp_path / "data"),
        family_settings("warp", "tiny", {"width": 8, "levels": 1, "joint_maps": 2}),
    )
    without = {name: value for name, value in settings.items() if name not in ("change_weight", "joint_maps")}
    models = [make_model("warp", data.layout, each) for each in (settings, without)]
    assert [model.config.change_weight for model in models] == [settings["change_weight"], 0.0]
    assert [len(model.joint_maps) > 0 for model in models] == [True, False]
    assert settings["change_weight"] > 0
