"""Cells: every action has one, ranges keep the arm within its bounds, and choices begin with what was never seen."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.learning import bar_layout

from forearm.base.errors import ForearmError
from forearm.canvas import CODES, MOVE_MINUS, MOVE_PLUS, STAY
from forearm.learning.cells import Grid, choose, listed, past_errors, visits_of

GRID = Grid(bar_layout(), 3, np.zeros(2))


@given(st.integers(0, 1), st.integers(0, 2), st.sampled_from(CODES), st.floats(0.05, 1.0), st.integers(0, 99))
def test_an_action_from_a_drawn_pose_is_of_its_cell_and_stays_within_range_and_bounds(dimension, part, code, share, n):
    cell, rng = (dimension, part, code), np.random.default_rng(n)
    poses = rng.uniform(-60, 60, (4, 2))
    pose = GRID.pose(cell, share, poses, rng)
    if pose is None:
        assert GRID.interval(cell, share) is None
        return
    lows, highs = GRID.limits(share)
    assert (pose >= lows - 1e-4).all()
    assert (pose <= highs + 1e-4).all()
    after = pose + 10 * GRID.action(cell).values
    assert (after >= -45 - 1e-4).all()
    assert (after <= 45 + 1e-4).all()
    middle = (pose[dimension] + np.mean(GRID.interval(cell, share))) / 2  # never on the edge between two cells
    assert GRID.cell_of(dimension, float(middle), code) == cell


def test_the_range_grows_around_home():
    assert GRID.interval((0, 0, STAY), 0.2) is None
    assert GRID.interval((0, 0, STAY), 0.5) == (-22.5, -15)
    assert GRID.interval((0, 0, STAY), 1.0) == (-45, -15)
    assert GRID.interval((0, 2, MOVE_PLUS), 1.0) == (15, 35)
    assert GRID.interval((0, 0, MOVE_MINUS), 1.0) == (-35, -15)


def test_what_lies_beyond_the_bounds_counts_to_the_last_part():
    assert GRID.cell_of(1, -80, STAY) == (1, 0, STAY)
    assert GRID.cell_of(1, 80, STAY) == (1, 2, STAY)


def test_unvisited_cells_come_first_and_then_large_scores():
    rng, allowed, visits = np.random.default_rng(0), np.ones(GRID.shape, bool), np.ones(GRID.shape, np.int64)
    visits[1, 2, 0] = 0
    scores = np.zeros(GRID.shape)
    scores[0, 1, 2] = 3.0
    scores[0, 0, 0] = 1.0
    assert {choose(allowed, visits, scores, rng) for _ in range(9)} == {(1, 2, 0)}
    drawn = [choose(allowed, visits + 1, scores, rng) for _ in range(400)]
    assert set(drawn) == {(0, 1, 2), (0, 0, 0)}
    assert 0.65 < drawn.count((0, 1, 2)) / 400 < 0.85
    allowed[0, 1, 2] = False
    assert {choose(allowed, visits + 1, scores, rng) for _ in range(9)} == {(0, 0, 0)}
    assert len({choose(allowed, visits, None, rng) for _ in range(200)}) == 17, "at random, visits do not count"


def test_a_cell_whose_score_nobody_knows_counts_like_the_others():
    rng, ones = np.random.default_rng(0), np.ones(GRID.shape)
    scores = np.full(GRID.shape, np.nan)
    assert len({choose(ones > 0, ones, scores, rng) for _ in range(300)}) == 18
    scores[0] = 1.0
    drawn = [choose(ones > 0, ones, scores, rng)[0] for _ in range(300)]
    assert 0.35 < np.mean(drawn) < 0.65


def test_past_errors_are_of_the_last_visits():
    cells = [(0, 0, 1)] * 5 + [(1, 2, 2)]
    past = past_errors(GRID.shape, cells, [9, 9, 1, 2, 3, 7])
    assert past[0, 0, 1] == 2
    assert past[1, 2, 2] == 7
    assert np.isnan(past).sum() == 16
    assert visits_of(GRID.shape, cells)[0, 0, 1] == 5
    assert listed(past)[1][2] == [None, None, 7.0]


@pytest.mark.parametrize("changes", [{"discrete": False}, {"actions": (replace(GRID.layout.actions[0], joint=None),)}])
def test_runs_of_other_actions_are_refused(changes):
    with pytest.raises(ForearmError, match="single actions"):
        Grid(bar_layout(**changes), 3, np.zeros(2))
