"""What training steps see: every row once an epoch, or as often as weights say."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tiny import write_data

from forearm.transitions.combine import combine
from forearm.transitions.loader import TrainingSteps, drawn_by_weight


@given(st.lists(st.just(0.0) | st.floats(1e-3, 1e3), min_size=1, max_size=40).filter(any), st.integers(0, 99))
def test_each_is_drawn_as_often_as_its_share_of_the_weights_up_to_one(weights, epoch):
    share = len(weights) * np.array(weights) / np.sum(weights)
    times = np.bincount(drawn_by_weight(np.array(weights), 0, epoch), minlength=len(weights))
    assert times.sum() == len(weights)
    assert not times[np.array(weights) == 0].any()
    assert (np.abs(times - share) < 1 + 1e-6).all()


def test_an_epoch_has_every_row_once_unless_the_dataset_weighs_them(tmp_path):
    sets = [write_data(tmp_path / str(seed), episodes=6, val=2, seed=seed) for seed in (0, 1)]
    plain, weighed = combine(sets, tmp_path / "plain"), combine(sets, tmp_path / "weighed", weights=(1, 3))
    rows = plain.rows("train")
    (even, _), (drawn, other) = (
        [steps.rows_of(epoch) for epoch in (0, 1)]
        for steps in (TrainingSteps(data, rows, len(rows), 0) for data in (plain, weighed))
    )
    assert sorted(even) == rows.tolist()
    first = weighed.columns.episodes[rows] < len(sets[0].episodes)
    assert weighed.weights(rows).tolist() == np.where(first, 1, 3).tolist()
    for epoch in (drawn, other):
        assert abs(np.isin(epoch, rows[~first]).sum() - 0.75 * len(rows)) <= 1
    assert drawn.tolist() != other.tolist()


def test_weights_of_a_training_count_beside_those_of_the_dataset(tmp_path):
    sets = [write_data(tmp_path / str(seed), episodes=3, val=1, seed=seed) for seed in (0, 1)]
    data = combine(sets, tmp_path / "both", weights=(1, 2))
    rows = data.rows("train")
    given = np.where(np.arange(len(rows)) % 2, 3.0, 0.0)
    steps = TrainingSteps(data, rows, len(rows), 0, weights=given)
    share = given * data.weights(rows)
    times = np.bincount(steps.rows_of(0), minlength=len(data))[rows]
    assert (np.abs(times - len(rows) * share / share.sum()) < 1 + 1e-6).all()


@pytest.mark.parametrize("seed", [0, 1])
def test_what_leads_to_transitions_goes_before_them(tiny_data, seed):
    rows = tiny_data.rows("train")
    steps = TrainingSteps(tiny_data, rows, 8, seed, imagined_share=0.6, imagined_steps=3)
    lengths, led, seen = set(), 0, 0
    further = False
    for step in range(60):
        begun, *chain = [[], *given] if len(given := steps.leading_to(step, steps.rows_of(step))) == 1 else given
        assert sorted(chain[-1]) == sorted(steps.rows_of(step))
        for earlier, later in itertools.pairwise(chain):
            np.testing.assert_array_equal(tiny_data.followers[earlier], later[: len(earlier)])
        assert (tiny_data.columns.episodes[begun] == tiny_data.columns.episodes[chain[0][: len(begun)]]).all()
        assert (begun <= chain[0][: len(begun)]).all()
        assert [batch.rows.tolist() for batch in steps[step]][-len(chain) :] == [each.tolist() for each in chain]
        further |= bool((begun < chain[0][: len(begun)]).any())
        lengths.add(len(chain) - 1)
        assert len(begun) <= 5, "at most one more than 0.6 of 8"
        seen += int((tiny_data.leaders[chain[-1]] >= 0).sum())
        led += len(begun)
    assert {1, 2, 3} <= lengths
    assert further, "some began before what is imagined"
    assert 0.1 < led / seen <= 0.7
    assert all(len(TrainingSteps(tiny_data, rows, 8, seed)[step]) == 1 for step in range(5))
