"""Whole episodes go one way, every kind of action has its share, and bounds come from training alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tiny import make_layout

from forearm.base.errors import ForearmError
from forearm.transitions.split import fit_bounds_to, split_episodes


@st.composite
def transitions(draw_from):
    """Episodes 10, 20, … each of one kind, with some transitions; and each episode's kind."""
    kinds = np.array(draw_from(st.lists(st.integers(0, 5), min_size=2, max_size=60)))
    sizes = draw_from(st.lists(st.integers(1, 4), min_size=len(kinds), max_size=len(kinds)))
    return np.repeat(10 + 10 * np.arange(len(kinds)), sizes), np.repeat(kinds, sizes), kinds


@given(transitions(), st.floats(0.01, 0.99), st.integers(0, 9))
def test_splits(given_transitions, share, seed):
    episodes, kinds, kind_of = given_transitions
    validation = split_episodes(episodes, kinds, share, seed)
    np.testing.assert_array_equal(validation, split_episodes(episodes, kinds, share, seed))
    assert validation.dtype == bool
    sides = np.array([validation[episodes == episode] for episode in np.unique(episodes)], dtype=object)
    assert all(len(set(side)) == 1 for side in sides), "a whole episode goes one way"
    validates = np.array([side[0] for side in sides], bool)
    assert 0 < validates.sum() < len(validates), "both sides have something"
    for kind in np.unique(kind_of):
        of_kind = kind_of == kind
        # One more where the other rules (both sides have something) move an episode.
        assert abs(validates[of_kind].sum() - share * of_kind.sum()) <= 1 + (validates.sum() in (1, len(validates) - 1))
    if 1 < validates.sum() < len(validates) - 1:
        assert abs(validates.sum() - share * len(validates)) <= 1


def test_every_kind_has_its_share():
    kinds = np.repeat([0, 1, 2], [60, 30, 10])
    validation = split_episodes(np.arange(100), kinds, 0.2, seed=3)
    assert np.bincount(kinds[validation]).tolist() == [12, 6, 2]


def test_an_episode_counts_as_what_most_of_it_is():
    episodes = np.repeat(np.arange(20), 3)
    kinds = np.where(episodes < 10, 0, 1)
    kinds[::3] = 2  # one of three transitions of every episode
    validation = split_episodes(episodes, kinds, 0.2, seed=0)
    assert np.unique(episodes[validation & (episodes < 10)]).size == 2
    assert np.unique(episodes[validation & (episodes >= 10)]).size == 2


def test_the_seed_draws():
    draws = {split_episodes(np.arange(30), np.zeros(30, int), 0.3, seed).tobytes() for seed in range(5)}
    assert len(draws) == 5


def test_a_share_of_none_or_all():
    one = np.zeros(4, int)
    assert not split_episodes(one, one, 0, 0).any()
    assert split_episodes(one, one, 1, 0).all()


def test_refusals():
    with pytest.raises(ForearmError, match=r"1 transition\(s\) in 1 episode\(s\) cannot be split"):
        split_episodes(np.zeros(1, int), np.zeros(1, int), 0.1, 0)
    with pytest.raises(ForearmError, match="share is 1"):
        split_episodes(np.arange(4), np.zeros(4, int), 1.5, 0)


def test_bounds_hold_the_positions_with_a_margin():
    positions = np.array([[[0, 5], [10, 5]], [[20, 5], [16, 5]]], np.float32)
    layout = fit_bounds_to(make_layout(), positions)
    np.testing.assert_allclose(layout.lows, [-1, 5 - 0.05], rtol=1e-5)
    np.testing.assert_allclose(layout.highs, [21, 5 + 0.05], rtol=1e-5)
    np.testing.assert_allclose(layout.max_velocities, [10.5, 0.05], rtol=1e-5)


@given(st.floats(-4096, 4096, width=32))
def test_a_joint_that_never_moved_still_has_an_interval(value):
    layout = fit_bounds_to(make_layout(), np.full((3, 2, 2), value, np.float32))
    assert (layout.lows < value).all()
    assert (value < layout.highs).all()
    assert (layout.max_velocities > 0).all()
