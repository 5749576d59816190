"""Weights out of a file: of transitions or of episodes, or one line about what is wrong."""

import re

import numpy as np
import pytest
from support.tiny import write_data

from forearm.base.errors import ForearmError
from forearm.transitions.weights import read_weights


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("weights") / "data", episodes=4, length=3, val=1)


def written(path, numbers):
    path.write_text("".join(f"{number}\n" for number in numbers))
    return path


def test_a_number_is_that_of_a_transition_or_of_an_episode(tmp_path, data):
    rows = np.arange(len(data)) / 4
    assert read_weights(written(tmp_path / "rows.txt", rows), data).tolist() == rows.tolist()
    of_episodes = read_weights(written(tmp_path / "episodes.txt", (0, 1, 2.5, 1)), data)
    assert of_episodes.tolist() == np.repeat((0, 1, 2.5, 1), 3).tolist()


@pytest.mark.parametrize(
    ("numbers", "refusal"),
    [
        ((), "has 0 numbers; .* needs 12, one for each transition, or 4, one for each episode"),
        ((1, 2), "has 2 numbers"),
        ((1, -1, 1, 1), "gives transition 3 the weight -1; give 0 or more"),
        ((1, 1, "nan", 1), "gives transition 6 the weight nan"),
        (("inf", 1, 1, 1), "gives transition 0 the weight inf"),
        ((1, 1, "much", 1), "could not convert string to float: 'much'; write one number a line"),
        ((0, 0, 0, 1), "gives every training transition the weight 0"),
    ],
)
def test_what_is_no_weight_is_refused(tmp_path, data, numbers, refusal):
    with pytest.raises(ForearmError, match=re.compile(rf"weights\.txt.*{refusal}")) as caught:
        read_weights(written(tmp_path / "weights.txt", numbers), data)
    assert "\n" not in str(caught.value)
    with pytest.raises(ForearmError, match="missing"):
        read_weights(tmp_path / "nothing.txt", data)
