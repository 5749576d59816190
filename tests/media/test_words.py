"""An action in words says what moves, how far and which way."""

import numpy as np
import pytest
from support.tiny import make_layout

from forearm.canvas import ActionDimension
from forearm.media.words import action_words

ACTIONS = (
    ActionDimension("pan", "pan", "deg", 10.0),
    ActionDimension("grip", None, "", 2.0),
    ActionDimension("reach", None, "mm", 4.0),
    ActionDimension("jaw", None, "%", 50.0),
)


@pytest.mark.parametrize("discrete", [True, False])
@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1, 0, 0, 0], "pan +10°"),
        ([0, -1, 0, 0], "grip −2"),
        ([0.25, 0, -0.5, 0], "pan +2.5°, reach −2 mm"),
        ([0.25, 0.01, 0, 0], "pan +2.5°"),
        ([0.1, -0.2, 0, 0.5], "jaw +25% …"),
        ([0, 0, 0, 0], "STAY"),
        ([0.02, 0, -0.01, 0], "STAY"),
    ],
)
def test_actions_in_words(discrete, values, words):
    layout = make_layout(actions=ACTIONS, discrete=discrete)
    assert action_words(layout, np.array(values, np.float32)) == words
