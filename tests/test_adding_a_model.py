"""What docs/adding-a-model.md shows is a whole family: found, trained, evaluated."""

import re
from pathlib import Path

import pytest
from support.tiny import write_data

import forearm.models
from forearm.base.files import read_json
from forearm.evaluation import PERSISTENCE
from forearm.models import OURS, family_names, family_settings
from forearm.report.assessment import assess
from forearm.training.config import TrainConfig
from forearm.training.loop import start_run, train

PAGE = Path(__file__).resolve().parents[1] / "docs" / "adding-a-model.md"


@pytest.fixture
def family(tmp_path, monkeypatch):
    """The example's name, its file lying beside the other families' for this test."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (file,) = re.findall(r"`src/forearm/models/([a-z]\w*)\.py`", PAGE.read_text(encoding="utf-8"))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / f"{file}.py").write_text(code)
    monkeypatch.setattr(forearm.models, "__path__", [*forearm.models.__path__, str(tmp_path / "models")])
    monkeypatch.setitem(OURS, file, f"forearm.models.{file}")
    assert file in family_names()
    return file


def test_the_example_is_found_trained_and_evaluated(tmp_path, family):
    data = write_data(tmp_path / "data")
    config = TrainConfig(steps=60, evaluate_every=60, warmup=5, ema=0.9, learning_rate=3e-3)
    run = start_run(tmp_path / "run", family, family_settings(family, "tiny", {"width": 32, "depth": 2}), config, data)
    train(run, data, device="cpu")
    losses = [entry["val_loss"] for entry in run.log() if "val_loss" in entry]
    assert losses[-1] < 0.9 * losses[0], "which begins as a copy of the previous frame, so it learned the change"
    metrics = read_json(assess(run.path, device="cpu").with_name("metrics.json"))
    assert metrics["val_mse"] < metrics["baselines"][PERSISTENCE]["metrics"]["val_mse"]
