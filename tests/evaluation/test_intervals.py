"""Intervals hold the truth as often as they say, and verdicts claim no more than intervals do."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from support.benchmarks import load

from forearm.evaluation import METRICS
from forearm.evaluation.intervals import (
    ERROR_RATE,
    MIN_GROUPS,
    Difference,
    Estimate,
    LeaveOneOut,
    PairedShares,
    SeedSpread,
    differences,
    holm,
    intervals,
    mean_interval,
    skill_intervals,
    smallest_effect,
    too_few,
    verdicts,
)
from forearm.evaluation.samples import Samples

coverage = load("coverage")
GROUPS = (5, 8, 12, 21, 100)


def alike(rng, count, each=5):
    """Values with mean 0 whose groups differ much more than the samples within one."""
    values = rng.standard_normal(count).repeat(each) + 0.1 * rng.standard_normal(count * each)
    return values, np.arange(count).repeat(each)


@pytest.mark.parametrize("case", coverage.HELD, ids=lambda case: case.title)
def test_intervals_hold_the_truth_in_95_of_100_experiments_or_more(case):
    rng = np.random.default_rng(0)
    for groups in GROUPS:
        held, repeats = coverage.covered(case, groups, 1500 if groups < 100 else 600, rng)
        chance = 3 * np.sqrt(0.93 * 0.07 / repeats)  # of the simulation itself
        assert held >= 0.93 - chance, (groups, held)


def test_verdicts_of_many_comparisons_are_few_where_differences_are_symmetric_and_more_where_skewed():
    """What the page of coverage tells, so that no document claims more."""
    rng = np.random.default_rng(0)
    found = {case.title.split(",")[0]: coverage.false_pages(case, 12, 75, 20_000, rng) for case in coverage.SKEWED}
    assert found["normal"] < 0.08
    assert found["exponential"] > 0.1


def test_the_percentile_bootstrap_of_before_did_not():
    rng = np.random.default_rng(0)
    skewed = next(case for case in coverage.HELD if "exponential" in case.title)
    assert coverage.percentile_covered(skewed, 8, 500, rng) < 0.88


@pytest.mark.parametrize(("over_groups", "over_seeds"), [(1, 1), (1, 0.1), (0.1, 1), (1, 0)])
def test_seeds_are_a_second_level(over_groups, over_seeds):
    rng = np.random.default_rng(0)
    for groups in (6, 21):
        held, groups_alone = coverage.covered_over_seeds(groups, 3, over_groups, over_seeds, 500, rng)
        assert held >= 0.93 - 3 * np.sqrt(0.93 * 0.07 / 500), (groups, held)
        assert over_seeds < 1 or groups_alone < 0.85


def test_the_estimate_s_interval_is_the_one_that_was_simulated():
    """The vectorised simulation and the package say the same."""
    rng = np.random.default_rng(3)
    for case in coverage.HELD:
        sums, weights = case.draw(rng, (4, 9))
        simulated = coverage.simulated_intervals(sums, weights, case.share)
        for i in range(4):
            name = "k_way_accuracy" if case.share else "psnr"
            (found,) = intervals(Samples({name: sums[i]}, {name: weights[i]}), np.arange(9)).values()
            assert found == pytest.approx((simulated[0][i], simulated[1][i]))


def test_samples_of_a_group_are_not_independent():
    values, groups = alike(np.random.default_rng(1), 20)

    def width(values, groups):
        low, high = intervals(Samples.of({"m": values}), groups)["m"]
        return high - low

    once = width(values, groups)
    assert width(np.tile(values, 4), np.tile(groups, 4)) == pytest.approx(once)
    assert width(np.tile(values, 4), np.arange(80).repeat(5)) == pytest.approx(once / 2, rel=0.2)
    assert width(values, np.arange(100)) < 0.6 * once


def test_equal_normal_groups_give_about_the_t_interval():
    values = stats.norm.ppf((np.arange(30) + 0.5) / 30)  # without any skewness
    low, high = intervals(Samples.of({"m": values}), np.arange(30))["m"]
    assert (low, high) == pytest.approx(stats.t.interval(0.95, 29, 0, stats.sem(values)))


def test_intervals_are_repeatable_and_undefined_where_the_metric_is():
    values, groups = alike(np.random.default_rng(2), 10)
    once = np.zeros(50)
    once[:5] = 1  # one group alone has it
    samples = Samples.of(
        {"m": values, "never": (values, np.zeros(50)), "once": (values, once), "j": np.stack([values, values], 1)}
    )
    found = intervals(samples, groups)
    assert found == intervals(samples, groups)
    assert np.array(found["j"]) == pytest.approx(np.array([found["m"]] * 2))
    assert found["never"] is found["once"] is None
    assert intervals(samples, np.zeros(50)) == {"m": None, "never": None, "once": None, "j": [None, None]}


def test_errors_are_never_below_0_nor_shares_beyond_1_nor_certain():
    rng = np.random.default_rng(0)
    samples = Samples.of({"val_mse": rng.exponential(size=6) ** 3, "k_way_accuracy": np.ones(6)})
    found = intervals(samples, np.arange(6))
    assert found["val_mse"][0] >= 0
    assert found["k_way_accuracy"] == pytest.approx((6 / (6 + stats.t.ppf(0.975, 5) ** 2), 1))
    both = differences(samples, samples, np.arange(6))["k_way_accuracy"]
    assert both.interval == pytest.approx((-0.459, 0.459), abs=1e-3)  # 1 − 0.025^(1/6) may be of another kind
    assert both.p == 1


def test_no_interval_leaves_what_a_metric_can_be():
    values = np.array([0.99, 0.2, 0.97])
    found = intervals(Samples.of({"ssim": values, "sharpness": values, "psnr": values}), np.arange(3))
    assert found["ssim"] == (-1, 1)
    assert found["sharpness"][0] == 0
    assert found["psnr"][0] < 0, "which decibels may be"


def test_all_right_against_all_wrong_is_a_sign_test():
    right, wrong = (Samples.of({"k_way_accuracy": np.full(6, value)}) for value in (1.0, 0.0))
    found = differences(right, wrong, np.arange(6))["k_way_accuracy"]
    assert found.p == pytest.approx(2 * 0.5**6)
    assert found.interval[0] > 0


@pytest.mark.parametrize(("won", "lost"), [(0, 0), (5, 0), (6, 0), (0, 6), (9, 1), (8, 2), (12, 4), (40, 0)])
def test_paired_shares_are_judged_by_the_trials_that_differ(won, lost):
    ours = np.arange(40) < won
    theirs = (np.arange(40) >= won) & (np.arange(40) < won + lost)
    found = PairedShares.of(ours, theirs)
    exact = stats.binomtest(won, won + lost) if won + lost else None
    assert found.p == pytest.approx(exact.pvalue if exact else 1)
    low, high = found.interval
    assert low <= found.value == (won - lost) / 40 <= high
    assert found.p < ERROR_RATE or low <= 0 <= high
    wide = mean_interval(ours.astype(float) - theirs)
    assert low <= wide[0] < wide[1] <= high, "that no trial differs is not known for sure"


@pytest.mark.parametrize("differing", [0.05, 0.3])
def test_paired_shares_hold_the_truth(differing):
    rng, held, false = np.random.default_rng(0), 0, 0
    for _ in range(400):
        drawn = rng.choice(3, 40, p=[1 - differing, 0.75 * differing, 0.25 * differing])
        low, high = PairedShares.of(drawn == 1, drawn == 2).interval
        held += low <= differing / 2 <= high
        drawn = rng.choice(3, 40, p=[1 - differing, differing / 2, differing / 2])
        false += PairedShares.of(drawn == 1, drawn == 2).p < ERROR_RATE
    assert held >= 0.93 * 400
    assert false <= 0.05 * 400


def test_differences_are_paired():
    values, groups = alike(np.random.default_rng(3), 20)
    mine, theirs = Samples.of({"m": values + 5 - 0.1}), Samples.of({"m": values + 5})
    assert differences(mine, theirs, groups)["m"].interval == pytest.approx((-0.1, -0.1))
    low, high = intervals(mine, groups)["m"]
    assert high - low > 0.5  # certain, although each by itself is not
    low, high = skill_intervals(mine, theirs, groups)["m"]
    assert 0 < low < 0.1 / 5 < high


@settings(max_examples=200, deadline=None)
@given(
    value=st.floats(-3, 3),
    skewness=st.floats(-1, 1),
    freedom=st.floats(1, 100),
    variance=st.floats(0.01, 4),
)
def test_a_p_value_and_its_interval_agree(value, skewness, freedom, variance):
    of = Estimate(value, variance, freedom, skewness, 8, 8.0)
    low, high = of.interval()
    assert low <= value <= high
    edge = 1e-6 * (high - low)
    if of.p() < ERROR_RATE:
        assert low > -edge or high < edge
    else:
        assert low < edge
        assert high > -edge


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_is_between_each_alone_and_bonferroni(ps):
    adjusted = holm(ps)
    assert all(p - 1e-12 <= a <= min(1, p * len(ps)) + 1e-12 for p, a in zip(ps, adjusted, strict=True))
    order = np.argsort(ps, kind="stable")
    assert (np.diff(np.array(adjusted)[order]) >= 0).all()


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


SURE = Difference(-0.1, (-0.12, -0.08), 0.001, 20, relevant=True)


def test_few_groups_chance_many_comparisons_and_trifles_give_no_winner():
    def verdict(difference, name="psnr"):
        return verdicts({(name, "other"): difference})[name, "other"]

    assert verdict(SURE) == "worse"
    assert verdict(SURE, "counterfactual_mse") == "better"
    assert verdict(dataclasses.replace(SURE, groups=MIN_GROUPS - 1)) is None
    assert verdict(dataclasses.replace(SURE, p=0.06)) == "level"
    assert verdict(dataclasses.replace(SURE, relevant=False)) == "level"
    assert verdict(None) is None
    many = verdicts({("psnr", str(i)): dataclasses.replace(SURE, p=0.04 if i else 0.0001) for i in range(40)})
    assert [many["psnr", "0"], *{many["psnr", str(i)] for i in range(1, 40)}] == ["worse", "level"]
    noise = verdicts({("psnr", str(i)): dataclasses.replace(SURE, p=0.02) for i in range(3)})
    assert set(noise.values()) == {"level"}
    apart = verdicts(
        {("val_mse_dynamic", "a"): SURE, **{("psnr", str(i)): dataclasses.replace(SURE, p=0.9) for i in range(99)}}
    )
    assert apart["val_mse_dynamic", "a"] == "better"  # key figures are a family of their own


def test_too_few_groups_say_so():
    assert too_few(3) == "3 episodes: too few to tell (at least 6)"
    assert too_few(1, "scenes") == "1 scene: too few to tell (at least 6)"
    assert too_few(MIN_GROUPS) is None


@pytest.mark.parametrize(
    ("name", "other", "least"),
    [("val_mse", 0.5, 0.005), ("ssim", 0.9, 0.001), ("k_way_accuracy", 0.8, 0.002), ("psnr", 30, 0.0432)],
)
def test_one_percent_of_the_other_s_error_is_the_smallest_effect(name, other, least):
    assert smallest_effect(METRICS[name], other) == pytest.approx(least, abs=1e-4)


def test_a_sure_difference_of_less_than_1_percent_is_level():
    errors = np.random.default_rng(0).uniform(0.5, 1.5, 40)
    ours, theirs = Samples.of({"val_mse": 0.995 * errors}), Samples.of({"val_mse": errors})
    found = differences(ours, theirs, np.arange(40))["val_mse"]
    assert found.p < 1e-9
    assert verdicts({("val_mse", ""): found})["val_mse", ""] == "level"


def test_a_group_that_weighs_most_leaves_few_degrees_of_freedom():
    weights = np.array([100.0, 1, 1, 1, 1, 1, 1, 1])
    values = np.random.default_rng(0).normal(size=8)
    heavy, equal = (
        LeaveOneOut.of(Samples.of({"m": (values, w)}), np.arange(8)).estimate("m") for w in (weights, np.ones(8))
    )
    assert heavy.freedom == 1
    assert equal.freedom == pytest.approx(7)


def test_the_spread_over_seeds_widens_an_interval():
    values, groups = alike(np.random.default_rng(3), 20)
    mine, theirs = Samples.of({"m": values - 0.1}), Samples.of({"m": values})
    seeds = SeedSpread.of([1.0, 1.2, 1.1])
    assert (seeds.variance, seeds.freedom) == pytest.approx((0.01 / 3, 2))
    found = differences(mine, theirs, groups, lambda name: (seeds, None))["m"]
    low, high = found.interval
    assert low < -0.3
    assert high > 0.1
    assert SeedSpread.of([1.0]) is None
