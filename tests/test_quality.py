"""The marks of the quality tables say no more than the samples do."""

import numpy as np
import pytest
from support.benchmarks import load

from forearm.evaluation.samples import Samples

NOISE = np.random.default_rng(0).uniform(0.5, 1.5, 12)


@pytest.fixture(scope="module")
def quality():
    return load("quality")


def marks(quality, groups=12, **errors):
    """Marks of families whose seeds have errors about as large as that."""
    contenders = {
        name: quality.Contender([Samples.of({"val_mse_moves": error * NOISE}) for error in seeds], name)
        for name, seeds in errors.items()
    }
    found = quality.marks(contenders, ["val_mse_moves"], np.arange(12) % groups)
    return {name: mark for (_, name), mark in found.items()}


def test_the_best_is_bold_and_only_who_is_surely_worse_has_no_mark(quality):
    assert marks(quality, a=[0.1], b=[0.2], c=[0.1001]) == {"a": "**{}**", "c": "{} ≈"}


def test_five_groups_mark_nothing(quality):
    assert marks(quality, groups=5, a=[0.1], b=[0.2]) == {}
    assert marks(quality, groups=6, a=[0.1], b=[0.2]) == {"a": "**{}**"}


def test_the_spread_over_seeds_counts(quality):
    assert marks(quality, a=[0.10, 0.11, 0.12], b=[0.20, 0.21, 0.22]) == {"a": "**{}**"}
    assert marks(quality, a=[0.10, 0.16, 0.22], b=[0.12, 0.20, 0.28]) == {"a": "**{}**", "b": "{} ≈"}
