"""Success that is corrected by controls, beside cases worked out by hand and drawn at random."""

import numpy as np
import pytest

from forearm.evaluation.controls import Controls, CorrectedGap
from forearm.evaluation.trials import TrialResults, Tried

N = 50


def controls(true, false=0.0, starts=N):
    """Of as many known successes and failures as starts, so large shares succeed in the dream."""
    scores = np.stack([np.arange(starts) < share * starts for share in (true, false)]).astype(float)
    return Controls(scores, np.repeat([[True], [False]], starts, axis=1), np.arange(starts))


def tried(name, dream, truth):
    scores = (np.arange(N) < dream * N).astype(float)
    return Tried(name, scores, np.full(N, 0.01), np.zeros(N, bool), np.arange(N) < truth * N)


def results(*policies, known):
    return TrialResults(policies, np.arange(N), 0.02, 8, 0.2, "auto", tuple(range(N)), ("",) * N, (), known)


def test_correction_by_hand():
    found = controls(0.7, 0.1)
    assert found.rates == (0.7, 0.1)
    assert found.corrected(0.4) == pytest.approx(0.5)
    assert (found.corrected(0.05), found.corrected(0.9)) == (0, 1)
    low, high = found.interval(0.4)
    assert low < 0.5 < high
    assert controls(1.0).corrected(0.3) == pytest.approx(0.3)


def test_nothing_is_corrected_by_too_few_or_by_a_dream_that_tells_nothing():
    for found in (controls(0.7, 0.0, starts=9), controls(0.4, 0.2)):
        assert not found.useful
        assert found.corrected(0.4) is None
        assert found.interval(0.4) is None
        assert CorrectedGap.of(np.ones((1, N)), np.ones((1, N), bool), found) is None


@pytest.mark.parametrize("success", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize(("true", "false"), [(0.6, 0.0), (0.6, 0.1), (1.0, 0.0)])
def test_intervals_cover_what_is_true(success, true, false):
    rng, covered = np.random.default_rng(0), []
    for _ in range(400):
        dream = rng.binomial(N, success * true + (1 - success) * false) / N
        found = controls(rng.binomial(N, true) / N, rng.binomial(N, false) / N)
        if found.useful:
            low, high = found.interval(dream)
            covered.append(low <= success <= high)
    assert len(covered) > 380
    assert np.mean(covered) > 0.93


def test_intervals_are_those_of_the_formula():
    # Worked out by a script of its own from the published formula.
    assert controls(0.6, 0.1).interval(0.4) == pytest.approx((0.29404, 0.95096), abs=1e-4)
    halved = Controls(controls(0.9, 0.1).scores, controls(0.9, 0.1).known, np.arange(N) // 2)
    assert halved.interval(0.3) == pytest.approx((0.00000, 0.51781), abs=1e-4)


def test_one_scene_says_nothing():
    known = np.zeros((2, N), bool)
    known[0, :10] = True  # all of them in one scene, and the failures in many
    scores = np.ones((2, N))
    scores[~known] = np.arange((~known).sum()) < 0.7 * (~known).sum()
    found = Controls(scores, known, np.maximum(np.arange(N) - 9, 0))
    assert found.useful
    assert found.interval(0.8) == (0, 1)


def test_starts_of_one_scene_count_as_one():
    alone, shared = controls(0.7), controls(0.7)
    shared = Controls(shared.scores, shared.known, shared.groups // 5)
    widths = [high - low for low, high in (alone.interval(0.4), shared.interval(0.4))]
    assert widths[1] > 1.5 * widths[0]


def test_a_dream_that_is_too_hard_on_all_is_right_once_corrected():
    policies = [tried(name, 0.6 * truth, truth) for name, truth in (("a", 0.2), ("b", 0.6), ("c", 1.0))]
    found = results(tried("replay", 0.6, 1.0), *policies, known=controls(0.6))
    gap = found.corrected_gap
    assert gap.raw.value == pytest.approx(0.24)
    assert gap.gap.value == pytest.approx(0.0)
    assert gap.bias.value == pytest.approx(0.0)
    assert gap.raw.interval[0] < 0.24 < gap.raw.interval[1]
    assert [None if of is None else round(of.value, 2) for of in map(found.corrected, found.tried)] == [
        None,
        0.2,
        0.6,
        1,
    ]
    saved = found.to_json()
    assert saved["policies"][1]["corrected"]["value"] == pytest.approx(0.2)
    assert (saved["controls"]["sensitivity"], saved["controls"]["false_positive_rate"]) == (0.6, 0.0)
    assert saved["controls"]["gap"]["gap"]["value"] == pytest.approx(0.0)


def test_without_controls_nothing_is_corrected():
    found = results(tried("a", 0.5, 0.5), known=None)
    assert found.corrected(found.tried[0]) is None
    assert found.corrected_gap is None
    assert found.to_json()["controls"] is None
