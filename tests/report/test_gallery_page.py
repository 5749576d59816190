"""Which canvases a gallery shows."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from forearm.report.gallery_page import spread

THINGS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), min_size=1, max_size=60).map(
    lambda pairs: np.array(pairs).T
)


@given(THINGS, st.integers(1, 70))
def test_as_many_as_asked_for_are_drawn_each_once_and_always_the_same(things, value):
    drawn = spread(*things, value)
    assert len(drawn) == min(value, len(things[0]))
    assert (np.diff(drawn) > 0).all()
    assert drawn.min() >= 0
    assert drawn.max() < len(things[0])
    np.testing.assert_array_equal(drawn, spread(*things, value))


@given(THINGS)
def test_every_kind_is_seen_and_every_episode(things):
    kinds, episodes = things
    several, many = len(np.unique(kinds)), len(np.unique(kinds)) + len(np.unique(episodes))
    assert set(kinds[spread(kinds, episodes, several)]) == set(kinds)
    drawn = spread(kinds, episodes, many)
    assert set(kinds[drawn]) == set(kinds)
    assert set(episodes[drawn]) == set(episodes)


@given(THINGS, st.integers(1, 70), st.data())
def test_what_has_to_be_shown_is(things, value, data):
    first = data.draw(st.lists(st.integers(0, len(things[0]) - 1), max_size=value, unique=True))
    assert set(first) <= set(spread(*things, value, np.array(first, np.int64)).tolist())


@given(st.integers(2, 5), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_kinds_are_seen_equally_often(kinds, each, seed):
    of = np.repeat(np.arange(kinds), 20)
    np.random.default_rng(seed).shuffle(of)
    counts = np.bincount(of[spread(of, np.arange(len(of)), kinds * each - 1)], minlength=kinds)
    assert counts.max() - counts.min() == 1


@given(st.integers(2, 400), st.integers(2, 50))
def test_one_long_episode_is_seen_from_end_to_end(n, value):
    alike = np.zeros(n, np.int64)
    drawn = np.concatenate([[-1], spread(alike, alike, value), [n]])
    assert np.diff(drawn).max() <= 3 * max(n / value, 1)


def test_nothing_is_drawn_from_nothing():
    assert not len(spread(np.zeros(0, np.int64), np.zeros(0, np.int64), 5))
