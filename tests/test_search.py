"""The contest of families is fair: as many tries for each, on scenes of their own, and what was tried is used."""

import pytest
from support.benchmarks import load

from forearm.models import OURS, family_settings


@pytest.fixture(scope="module")
def modules():
    """The two benchmarks as modules."""
    return load("quality"), load("search")


def test_every_family_has_as_many_tries_and_is_trained_with_one_of_them(modules):
    quality, search = modules
    rounds = search.rounds()
    assert 1 <= quality.TRIES <= len(rounds)
    for each in rounds:
        assert [attempt.family for attempt in each] == list(OURS)
    assert set(quality.CHOSEN) == set(OURS)
    for family, chosen in quality.CHOSEN.items():
        tries = [(a.rate, a.settings) for each in rounds[: quality.TRIES] for a in each if a.family == family]
        assert all(tries.count(one) == 1 for one in tries)
        assert (chosen.rate, dict(chosen.settings)) in tries
        family_settings(family, "tiny", dict(chosen.settings))
