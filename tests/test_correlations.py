"""Which metric tells how useful a run is: the parts that need no training."""

import numpy as np
import pytest
from support.benchmarks import load

from forearm.evaluation import CATALOGUE, FED_BACK, METRICS, MODEL
from forearm.models import OURS

GOOD, NONE = "ssim_moves", "motor_consistency_error"


@pytest.fixture(scope="module")
def correlations():
    return load("correlations")


@pytest.fixture(scope="module")
def runs(correlations):
    """As many as there are recipes; ``GOOD`` goes with use, ``NONE`` with nothing."""
    random, found = np.random.default_rng(0), []
    for i, (name, recipe) in enumerate(correlations.RECIPES.items()):
        shown = {metric.name: float(random.normal()) for metric in CATALOGUE} | {GOOD: i / 20}
        shown["rollouts"] = {"curves": {MODEL: {"val_mse": [1 / (i + k + 1) for k in range(correlations.STEPS)]}}}
        use = correlations.Use(i / 20, i / 20, 50 - i, 0.5 + i / 40, i)
        figures = correlations.figures_of(shown, 0.2)
        both = {"push": use, "lift": use}
        found.append(correlations.Measured(name, recipe, 100, "abc", figures, shown, both, (both, both)))
    return found


@pytest.fixture(scope="module")
def found(correlations, runs):
    return correlations.related(runs)


def test_runs_are_many_of_known_families_and_take_their_time(correlations):
    recipes = correlations.RECIPES.values()
    assert {recipe.family for recipe in recipes} <= set(OURS)
    assert len(recipes) >= 10
    for recipe in recipes:
        assert recipe.words[:2] == ["--minutes", str(recipe.minutes)]


def test_figures_are_turned_so_that_more_is_better(correlations, runs):
    figures = runs[3].figures
    assert figures[GOOD] == runs[3].shown[GOOD]
    assert figures[NONE] == -runs[3].shown[NONE]
    assert figures["sharpness"] == -abs(runs[3].shown["sharpness"] - 1)
    assert figures["val_mse, fed back 2 s"] == -1 / 13
    assert {correlations.metric_of(name) for name in figures} <= set(METRICS)


def test_the_metric_that_goes_with_use_comes_first_and_is_sure(correlations, found):
    assert found[0].mean == pytest.approx(1)
    first, other = (correlations.named(found, name) for name in (GOOD, NONE))
    assert first.sure
    assert first.gap.value == pytest.approx(1)
    assert first.within == pytest.approx(1)
    assert not other.sure
    difference = correlations.apart(first, other)
    assert difference.value == pytest.approx(first.mean - other.mean)
    assert 0 < difference.interval[0] < difference.interval[1]


def test_the_best_plan_is_chosen_and_equals_share(correlations):
    truth = np.array([[True, True], [False, False]])
    assert correlations.best_of(np.array([[0.9, 0.2], [0.1, 0.2]]), truth).tolist() == [1.0, 0.5]


def test_the_page_has_a_row_for_every_figure_and_run(correlations, runs, found):
    page = correlations.page(runs, found)
    assert all((f"| `{metric.name}` |" in page) == (metric.name != FED_BACK) for metric in CATALOGUE)
    assert all(f"| {run.name} |" in page for run in runs)
    assert "nan" not in page
