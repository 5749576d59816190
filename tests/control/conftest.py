"""Layouts of the world of bars."""

import pytest
from support.tiny import make_layout

from forearm.canvas import ActionDimension, Layout


@pytest.fixture
def layout() -> Layout:
    """Two joints, pan that shows as a bar and lift that shows in the strip alone, each with a move of 10°."""
    return make_layout(
        actions=(ActionDimension("pan", "pan", "deg", 10.0), ActionDimension("lift", "lift", "deg", 10.0))
    )


@pytest.fixture
def pan_layout() -> Layout:
    """The same with moves of pan alone."""
    return make_layout()
