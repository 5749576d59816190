"""A metric is a ratio of sums over samples."""

import numpy as np

from forearm.evaluation.samples import Samples, skills


def test_a_metric_is_a_ratio_of_sums():
    samples = Samples.of(
        {
            "mean": np.array([1.0, 2.0, 6.0]),
            "some": (np.array([1.0, np.nan, 5.0]), np.array([True, False, True])),
            "pooled": (np.array([1.0, 0.5, 0.0]), np.array([1, 4, 3])),
            "never": (np.array([np.nan] * 3), np.zeros(3)),
            "joints": np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
        }
    )
    assert len(samples) == 3
    assert samples.table() == {"mean": 3.0, "some": 3.0, "pooled": 3 / 8, "never": None, "joints": [3.0, 4.0]}


def test_skill():
    ours = {"half": 1.0, "none": None, "worse": 3.0, "joints": [1.0, 2.0], "from_nothing": 1.0}
    theirs = {"half": 2.0, "none": 1.0, "worse": 2.0, "joints": [4.0, 0.0], "from_nothing": 0.0}
    expected = {"half": 0.5, "none": None, "worse": -0.5, "joints": [0.75, None], "from_nothing": None}
    assert skills(ours, theirs) == expected
