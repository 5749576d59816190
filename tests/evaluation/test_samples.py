"""Intervals cover what they should, count episodes and not samples, and compare in pairs."""

import numpy as np
import pytest

from forearm.evaluation.samples import Samples, differences, intervals, resample, skill_intervals, skills


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


def episodes_of_alike_samples(rng, count, each=5):
    """Values with mean 0 whose episodes differ much more than the samples within one."""
    values = rng.standard_normal(count).repeat(each) + 0.1 * rng.standard_normal(count * each)
    return values, np.arange(count).repeat(each)


def test_intervals_cover_the_truth_in_about_95_of_100_experiments():
    rng = np.random.default_rng(0)
    covered = naive = 0
    for _ in range(200):
        values, episodes = episodes_of_alike_samples(rng, 40)
        samples = Samples.of({"m": values, "j": np.stack([values, values], 1)})
        table = intervals(samples, episodes, resamples=300)
        low, high = table["m"]
        assert np.array(table["j"]) == pytest.approx(np.array([(low, high)] * 2))
        covered += low <= 0 <= high
        low, high = intervals(samples, np.arange(len(values)), resamples=300)["m"]
        naive += low <= 0 <= high
    assert 0.90 <= covered / 200 <= 0.98
    assert naive / 200 < 0.75  # what taking samples for independent would have claimed


def test_copies_of_an_episode_s_samples_are_no_news_but_copies_as_episodes_would_be():
    values, episodes = episodes_of_alike_samples(np.random.default_rng(1), 20)

    def width(values, episodes):
        low, high = intervals(Samples.of({"m": values}), episodes)["m"]
        return high - low

    once = width(values, episodes)
    assert width(np.tile(values, 4), np.tile(episodes, 4)) == pytest.approx(once)
    assert width(np.tile(values, 4), np.arange(80).repeat(5)) == pytest.approx(once / 2, rel=0.2)


def test_ratios_resample_numerator_and_denominator():
    samples = Samples.of({"share": (np.array([1.0, 0.0]), np.array([1, 9]))})
    resampled = resample(samples, np.array([0, 1]), resamples=200)["share"]
    assert set(resampled.round(6)) == {0.0, 0.1, 1.0}


def test_intervals_are_repeatable_and_undefined_where_the_metric_is():
    values, episodes = episodes_of_alike_samples(np.random.default_rng(2), 10)
    samples = Samples.of({"m": values, "never": (values, np.zeros(50)), "j": np.stack([values, values], 1)})
    assert intervals(samples, episodes) == intervals(samples, episodes)
    assert intervals(samples, episodes, seed=1) != intervals(samples, episodes)
    assert intervals(samples, episodes)["never"] is None
    assert intervals(samples, np.zeros(50)) == {"m": None, "never": None, "j": [None, None]}


def test_differences_are_paired():
    values, episodes = episodes_of_alike_samples(np.random.default_rng(3), 20)
    mine, theirs = Samples.of({"m": values + 5 - 0.1}), Samples.of({"m": values + 5})
    low, high = differences(mine, theirs, episodes)["m"]
    assert (low, high) == pytest.approx((-0.1, -0.1))  # certain, although each by itself is not
    wide = intervals(mine, episodes)["m"]
    assert wide[1] - wide[0] > 0.5
    low, high = skill_intervals(mine, theirs, episodes)["m"]
    assert 0 < low < 0.1 / 5 < high


def test_skill():
    ours = {"half": 1.0, "none": None, "worse": 3.0, "joints": [1.0, 2.0], "from_nothing": 1.0}
    theirs = {"half": 2.0, "none": 1.0, "worse": 2.0, "joints": [4.0, 0.0], "from_nothing": 0.0}
    expected = {"half": 0.5, "none": None, "worse": -0.5, "joints": [0.75, None], "from_nothing": None}
    assert skills(ours, theirs) == expected
