"""Agreement of dream and simulator, beside cases worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from forearm.evaluation.agreement import (
    Agreement,
    RankCorrelation,
    calibration,
    drawn_correlations,
    mean_maximum_rank_violation,
    pearson,
    right_choices,
    spearman,
)
from forearm.evaluation.trials import Rate, TrialResults, Tried, wilson

SHARES = st.lists(st.tuples(st.integers(0, 10), st.integers(0, 10)), min_size=3, max_size=8)


def test_rank_violation_by_hand():
    # The dream ranks the last two the wrong way round; they truly differ by .2.
    assert mean_maximum_rank_violation(np.array([0.1, 0.5, 0.4]), np.array([0.0, 0.6, 0.8])) == pytest.approx(0.4 / 3)
    assert mean_maximum_rank_violation(np.array([0.1, 0.2]), np.array([0.5, 0.9])) == 0


@given(SHARES)
def test_spearman_is_scipys(pairs):
    dream, true = (np.array(each) / 10 for each in zip(*pairs, strict=True))
    if np.ptp(dream) and np.ptp(true):
        assert spearman(dream, true) == pytest.approx(spearmanr(dream, true).statistic)
    else:
        assert np.isnan(spearman(dream, true))
        assert np.isnan(pearson(dream, true))


def scores_of(rates, n=40):
    return np.array([np.arange(n) < rate * n for rate in rates], float)


def test_a_dream_that_is_right_agrees_and_one_that_is_kind_has_a_gap():
    truth = scores_of((0.1, 0.4, 0.8))
    right = Agreement.of(truth, truth > 0)
    assert right.pearson.value == pytest.approx(1)
    assert (right.gap.value, right.bias.value, right.mmrv.value, right.same.value) == (0, 0, 0, 1)
    kind = Agreement.of(scores_of((0.2, 0.5, 0.9)), truth > 0)
    assert kind.gap.value == pytest.approx(0.1)
    assert kind.bias.value == pytest.approx(0.1)
    low, high = kind.gap.interval
    assert low < 0.1 < high


def test_a_dream_in_which_nothing_succeeds_may_still_rank_policies():
    truth = scores_of((0.1, 0.4, 0.8))
    faint = Agreement.of(0.3 * truth, truth > 0)
    assert faint.spearman.value is None
    assert faint.ranked.value == pytest.approx(1)
    assert Agreement.of(0.3 * truth[::-1], truth > 0).ranked.value == pytest.approx(-1)


def test_trials_in_which_the_model_abstained_do_not_count():
    truth = scores_of((0.5, 1.0), 20)
    dream = truth.copy()
    dream[:, 15:] = 1 - dream[:, 15:]
    kept = np.ones(dream.shape, bool)
    kept[:, 15:] = False
    assert Agreement.of(dream, truth > 0).same.value == pytest.approx(0.75)
    assert Agreement.of(dream, truth > 0, kept).same.value == 1


def test_policies_that_do_equally_well_have_no_correlation():
    truth = scores_of((0.5, 0.5))
    assert Agreement.of(truth, truth > 0).pearson.value is None


def test_calibration_counts_every_trial_once():
    scores, truth = np.linspace(0, 1, 101), np.linspace(0, 1, 101) > 0.5
    bins = calibration(scores, truth)
    assert sum(each.trials for each in bins) == 101
    assert [round(each.true) for each in bins] == [0, 0, 0, 1, 1] or [each.low for each in bins] == [
        0,
        0.2,
        0.4,
        0.6,
        0.8,
    ]
    assert bins[0].true == 0
    assert bins[-1].true == 1


def test_wilson_by_hand():
    assert wilson(0, 10) == (0, pytest.approx(0.2775, abs=1e-3))
    low, high = wilson(45, 50)
    assert (round(low, 3), round(high, 3)) == (0.786, 0.957)
    assert Rate.of(np.array([1, 0, 1, 1], bool), np.arange(4)).interval == wilson(3, 4)


def test_pairs_are_compared_on_the_same_starts():
    def tried(name, successes):
        scores = np.array(successes, float)
        return Tried(name, scores, scores * np.nan, np.zeros(len(scores), bool))

    good, bad = tried("good", [1] * 20), tried("bad", [0] * 18 + [1] * 2)
    results = TrialResults((good, bad), np.arange(20), 1.0, 5, 0.2, "auto", tuple(range(20)), ("",) * 20)
    (pair,) = results.compared
    assert pair.dream.value == pytest.approx(0.9)
    assert pair.p < 0.001
    assert results.agreement is None
    assert results.to_json()["policies"][1]["dream"]["value"] == pytest.approx(0.1)


def test_right_choices_by_hand():
    truth = np.array([[True, True], [False, True], [False, True]])  # the second start has no pair
    assert right_choices(np.array([[0.5, 0.0], [0.1, 1.0], [0.9, 1.0]]), truth) == 0.5
    assert right_choices(np.array([[0.5, 0.0], [0.5, 1.0], [0.1, 1.0]]), truth) == 0.75
    assert np.isnan(right_choices(np.zeros((2, 2)), np.ones((2, 2), bool)))


def test_a_rank_correlation_over_runs_has_an_interval_and_a_p():
    runs = np.arange(12.0)
    alike = RankCorrelation.of(runs, np.exp(runs))
    assert (alike.value, alike.interval) == (pytest.approx(1), pytest.approx((1, 1)))
    assert alike.p < 0.001
    mixed = np.array([3, 1, 2, 0, 5, 4, 8, 6, 11, 7, 9, 10.0])
    found = RankCorrelation.of(runs, mixed)
    assert found.value == pytest.approx(spearmanr(runs, mixed).statistic)
    low, high = found.interval
    assert 0 < low < found.value < high < 1
    assert RankCorrelation.of(runs, -mixed).value == -found.value
    assert RankCorrelation.of(runs, np.ones(12)) == RankCorrelation(None)


def test_a_rank_correlation_without_relation_has_a_large_p_and_a_wide_interval():
    ps, covered = [], 0
    for seed in range(60):
        one, other = np.random.default_rng(seed).normal(size=(2, 14))
        found = RankCorrelation.of(one, other)
        ps.append(found.p)
        covered += found.interval[0] < 0 < found.interval[1]
    assert 0.35 < np.mean(ps) < 0.65
    assert covered >= 50


def test_bootstrap_draws_are_shared_between_metrics_of_the_same_runs():
    one, other, use = np.random.default_rng(3).normal(size=(3, 10))
    drawn = drawn_correlations(one, use)
    assert (drawn == drawn_correlations(np.exp(one), use)).all()
    assert drawn.std() > 0
    assert not (drawn == drawn_correlations(other, use)).all()
    assert np.isnan(drawn_correlations(np.ones(10), use)).all()
