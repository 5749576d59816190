"""Families are found by name, one at a time, in this package and in others."""

import subprocess
import sys
from dataclasses import fields, is_dataclass

import pytest
import torch
from accelerate import Accelerator
from support.tiny import make_layout, write_data

from forearm import models
from forearm.base.errors import ForearmError
from forearm.batch import Prediction
from forearm.models import Family, WorldModel, family_names, family_settings, get_family, make_model
from forearm.training.pictures import save_samples
from forearm.training.validation import validate
from forearm.transitions import TransitionSet

PACKAGE = '''
from dataclasses import dataclass

import torch

from forearm.batch import Prediction
from forearm.models import Family, WorldModel


@dataclass(frozen=True)
class Settings:
    """One number."""

    shade: float = 0.5
    """Grey of what is predicted."""


class Grey(WorldModel):
    def __init__(self, layout, config):
        super().__init__(layout)
        self.shade = torch.nn.Parameter(torch.tensor(config.shade))

    def predict(self, batch):
        return Prediction(batch.known().frame * 0 + self.shade)


FAMILY = Family("grey", Grey, {"so101": Settings(), "tiny": Settings(0.25)})
'''


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package of another author, as an installer leaves it."""
    (tmp_path / "grey_family.py").write_text(PACKAGE)
    info = tmp_path / "grey_family-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: grey-family\nVersion: 1.0\n")
    points = "grey = grey_family:FAMILY\nbroken = grey_family_that_is_not:FAMILY\nodd = grey_family:Settings\n"
    (info / "entry_points.txt").write_text(f"[forearm.models]\n{points}mae = grey_family:FAMILY\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    models._others.cache_clear()
    yield
    models._others.cache_clear()
    sys.modules.pop("grey_family", None)


def test_families_of_other_packages_are_found(installed) -> None:
    assert family_names() == (*models.OURS, "grey", "broken", "odd")
    assert "grey_family" not in sys.modules  # to know its name nothing is imported
    assert family_settings("grey", "tiny", {}) == {"shade": 0.25}
    model = make_model("grey", make_layout(), {"shade": 0.75})
    assert float(model.shade.detach()) == 0.75
    assert get_family("mae").name == "mae"  # ours goes first
    with pytest.raises(ForearmError, match="family broken cannot be imported from grey_family_that_is_not:FAMILY: Mod"):
        get_family("broken")
    with pytest.raises(ForearmError, match=r"family odd: grey_family:Settings is type, not a forearm\.models\.Family"):
        get_family("odd")


def test_what_is_no_family_is_refused():
    with pytest.raises(ForearmError, match="family grey has no sizes"):
        Family("grey", WorldModel, {})
    with pytest.raises(ForearmError, match=r"family grey makes Linear, not a forearm\.models\.WorldModel"):
        Family("grey", lambda layout, config: torch.nn.Linear(1, 1), {"tiny": None}).make(make_layout(), None)


ONE = torch.tensor(1.0)


@pytest.mark.parametrize(
    ("losses", "says"),
    [
        (ONE, 'the losses of Mine are no dictionary with "loss" in it; see docs'),
        ({"visual": ONE}, "no dictionary with"),
        ({"loss": ONE, "visual": torch.ones(4)}, r"the loss 'visual' of Mine is \(4,\), not a tensor of one number"),
        ({"loss": 1.0}, "the loss 'loss' of Mine is float, not"),
    ],
)
def test_losses_that_cannot_be_minimised_are_refused(losses, says, tmp_path):
    class Mine(WorldModel):
        def training_loss(self, batch):
            return losses

    data = TransitionSet(write_data(tmp_path / "data").path)
    rows, model = data.rows("val"), Mine(data.layout)
    with pytest.raises(ForearmError, match=says):
        model(data.batch(rows))
    with pytest.raises(ForearmError, match=says):
        validate(model, data, rows, 4, Accelerator(cpu=True))


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda frame: frame, r"Mine.predict returns Tensor, not a forearm.batch.Prediction"),
        (lambda frame: Prediction(frame[:, :, :8]), r"the frame that Mine.predict returns is \(.*\), not \("),
        (lambda frame: Prediction(frame, frame[:, 0, 0]), "the positions that Mine.predict returns is"),
        (lambda frame: Prediction(frame, expected_error=frame), "the expected_error that"),
        (lambda frame: Prediction(frame, mode=frame), "the mode that"),
    ],
)
def test_a_prediction_of_another_shape_is_refused_before_a_training(answer, says, tmp_path):
    class Mine(WorldModel):
        def predict(self, batch):
            return answer(batch.known().frame)

    data = TransitionSet(write_data(tmp_path / "data").path)
    with pytest.raises(ForearmError, match=says):
        save_samples(tmp_path / "step.png", Mine(data.layout), data.batch(data.rows()[:2]), 0)


def test_importing_one_family_imports_neither_another_nor_torch() -> None:
    code = """
import os, sys
from forearm.models import OURS, family_names, get_family
from forearm.canvas import Camera, Joint, ActionDimension, Layout
names = {*family_names()}
loaded = lambda: {m.split(".")[2] for m in sys.modules if m.startswith("forearm.models.")} & names
layout = Layout((Camera("a", 8, 8),), (Joint("pan"),), (ActionDimension("pan", "pan"),), patch=4, separator=4)

def in_a_fork(check, name):
    child = os.fork()
    if not child:
        check(name)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, name

def get(name):
    get_family(name)
    assert loaded() == {name}, loaded()
    assert "torch" not in sys.modules

def make(name):
    family = get_family(name)
    family.make(layout, family.sizes["tiny"])
    assert loaded() == {name}, loaded()

assert not loaded(), loaded()
for name in OURS:
    in_a_fork(get, name)
import torch  # once, for all forks
for name in OURS:
    in_a_fork(make, name)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", family_names())
def test_every_setting_is_described(name) -> None:
    from inspect import getsource

    family = get_family(name)
    assert isinstance(family, Family)
    assert {type(settings) for settings in family.sizes.values()} == {family.config}
    kinds = [kind for kind in family.config.__mro__ if is_dataclass(kind)]
    lines = [line for kind in kinds for line in getsource(kind).splitlines()]
    for field in fields(family.config):
        at, *_ = [i for i, line in enumerate(lines) if line.startswith(f"    {field.name}: ")]
        assert lines[at + 1].startswith('    """'), field.name
