"""Tiny layouts and datasets that the tests of several rooms share."""

import signal

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants
from hypothesis import HealthCheck, settings
from support.hub_stand_in import standing_in
from support.tiny import make_layout, write_data

# How long an example takes, or takes to draw, says nothing on shared cores.
settings.register_profile("busy-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy-machine")


@pytest.fixture(autouse=True, scope="session")
def single_thread():
    """One thread, so that sums come out the same on every machine and cores are left to others."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def interrupts():
    """Commands that tests start can be interrupted, also where the suite itself runs in the background of a shell."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def tiny_layout():
    """Two cameras of 8×8, patch 4, two joints, one discrete action."""
    return make_layout()


@pytest.fixture
def tiny_data(tmp_path):
    """A dataset of 8 episodes with 6 transitions each, in which a bar moves with the joint that acts."""
    return write_data(tmp_path / "data")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A Hub on this machine, to which somebody is logged in."""
    assert huggingface_hub.file_exists  # imported before: its functions go on asking the Hub of that time
    with standing_in() as (address, stand_in):
        files = address + "/{repo_id}/resolve/{revision}/{filename}"
        home = str(tmp_path / "home")
        values = {"ENDPOINT": address, "HUGGINGFACE_CO_URL_TEMPLATE": files, "HF_HOME": home, "HF_HUB_CACHE": home}
        for name, value in values.items():  # as HF_ENDPOINT and HF_HOME would set them before the import
            monkeypatch.setattr(constants, name, value)
        monkeypatch.setenv("HF_TOKEN", "a-token-of-nobody")
        yield stand_in
