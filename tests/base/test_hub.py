"""The Hub: whoever asks for a recording there does not wait for ever."""

import socket

import pytest
from huggingface_hub import constants

from forearm.base import hub
from forearm.base.errors import ForearmError


@pytest.fixture
def silent_hub(tmp_path, monkeypatch):
    """A Hub that takes every connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{listening.getsockname()[1]}")
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        yield


def test_a_hub_that_stalls_is_given_up(silent_hub, monkeypatch):
    monkeypatch.setattr(hub, "TIMEOUT", 0.5)
    with pytest.raises(ForearmError, match=r"someone/somewhere is neither .* it has not answered for 0.5 seconds"):
        hub.local_folder("someone/somewhere")


@pytest.mark.parametrize(("given", "waits"), [(None, 10.0), (3.0, 3.0)])
def test_requests_without_a_time_out_are_given_one(given, waits):
    """As the client before huggingface_hub 1.0 sends them."""
    sent = {}
    hub._request_in_time(lambda *args, **options: sent.update(options), "GET", "address", timeout=given, stream=True)
    assert sent == {"timeout": waits, "stream": True}


def test_a_revision_belongs_to_one_hub_id(tmp_path):
    assert hub.at_revision("someone/somewhere@main", "main") == "someone/somewhere@main"
    with pytest.raises(ForearmError, match="is no Hub id"):
        hub.at_revision(tmp_path, "main")
    with pytest.raises(ForearmError, match="another revision than v1"):
        hub.at_revision("someone/somewhere@main", "v1")
