"""A tiny run of commanded targets."""

import pytest
from support.tiny import make_layout, untrained, write_data

from forearm.canvas import ActionDimension

ACTIONS = (ActionDimension("pan", "pan", "deg", 10.0), ActionDimension("lift", "lift", "deg", 10.0))


@pytest.fixture(scope="session")
def commanded_run(tmp_path_factory):
    """A run of commanded targets at 5 Hz, untrained, and its dataset."""
    folder = tmp_path_factory.mktemp("commanded")
    layout = make_layout(discrete=False, action_is="target", action_duration=0.2, history=3, actions=ACTIONS)
    return untrained(write_data(folder / "data", layout), folder / "run", "warp")
