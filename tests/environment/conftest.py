"""A run in whose worlds policies can act."""

import pytest
import torch
from support.tiny import TWO_JOINTS, make_layout, untrained, write_data

from forearm.training.run import save_weights


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """A run of commanded targets, whose model expects some error or other."""
    folder = tmp_path_factory.mktemp("dream")
    layout = make_layout(discrete=False, action_is="target", action_duration=0.2, history=3, actions=TWO_JOINTS)
    run = untrained(write_data(folder / "data", layout), folder / "run", "warp")
    model = run.load()
    torch.nn.init.normal_(model.error_head.weight, generator=torch.Generator().manual_seed(0))
    save_weights(run.weights_file("best"), model)
    return run
