"""Expected errors are held against the true ones: their size, their order, and action by action."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tiny import make_layout

from forearm.batch import make_batch
from forearm.canvas import CODES, MOVE_MINUS, MOVE_PLUS, STAY, ActionDimension
from forearm.evaluation import Persistence, evaluate
from forearm.evaluation.metrics import Truth
from forearm.evaluation.uncertainty import BINS, Uncertainty, UncertaintyStatistics, count_kinds, kinds_of
from forearm.transitions.store import Outcomes

LAYOUT = make_layout()


def uncertainty_of(expect, n=40, seed=0, outcomes=None, seen=None):
    """What comes of a model whose errors are drawn anew for each patch, and that expects ``expect(errors)``."""
    random = np.random.default_rng(seed)
    canvases, codes = np.zeros((n, 3, LAYOUT.height, LAYOUT.width), np.float32), np.arange(n) % 3
    patches = random.exponential(0.01, (n, 1, 4, 2)).astype(np.float32)
    errors = patches.repeat(LAYOUT.patch, axis=2).repeat(LAYOUT.patch, axis=3)
    region = np.zeros((n, 3, LAYOUT.height, LAYOUT.frame_width), np.float32)
    region[:, :, : LAYOUT.frame_height] = np.sqrt(errors)
    uncertainty = UncertaintyStatistics()
    for part in (slice(0, 7), slice(7, n)):
        known = Outcomes(outcomes.last[part], outcomes.known[part]) if outcomes else None
        expected = {code: expect(errors[part, 0], code) for code in CODES}
        truth = Truth(LAYOUT, canvases[part], codes[part])
        uncertainty.add(truth, np.zeros_like(codes[part]), expected, dict.fromkeys(CODES, region[part]), known)
    return uncertainty.result(np.arange(n) // 2, seen), errors[:, 0]


def test_an_oracle_is_right_in_every_way():
    uncertainty, errors = uncertainty_of(lambda errors, code: errors)
    names = (
        "expected_error_ratio",
        "expected_error_correlation_within",
        "expected_error_correlation_between",
        "expected_error_sparsification",
    )
    assert [uncertainty.figures[name] for name in names] == pytest.approx([1] * 4)
    assert uncertainty.figures["expected_error_calibration"] == pytest.approx(0, abs=1e-6)
    assert uncertainty.expected == pytest.approx(uncertainty.true) == sorted(uncertainty.true)
    assert np.mean(uncertainty.true) == pytest.approx(errors.mean(), rel=1e-5)
    assert all(
        low <= true <= high for true, (low, high) in zip(uncertainty.true, uncertainty.true_intervals, strict=True)
    )
    assert uncertainty.uncertain_first == uncertainty.ideal
    assert uncertainty.ideal[0] == pytest.approx(1)
    json.dumps(uncertainty.to_json(), allow_nan=False)


def test_twice_the_error_is_too_doubtful_but_in_the_right_order():
    uncertainty, _ = uncertainty_of(lambda errors, code: 2 * errors)
    assert uncertainty.figures["expected_error_ratio"] == pytest.approx(2)
    assert uncertainty.intervals["expected_error_ratio"] == pytest.approx((2, 2))
    assert uncertainty.figures["expected_error_calibration"] == pytest.approx(1)
    assert uncertainty.figures["expected_error_sparsification"] == pytest.approx(1)


def test_who_doubts_everything_alike_is_calibrated_in_the_mean_and_orders_nothing():
    uncertainty, _ = uncertainty_of(lambda errors, code: np.full_like(errors, 0.01), n=200)
    assert uncertainty.figures["expected_error_ratio"] == pytest.approx(1, abs=0.15)
    assert (
        uncertainty.figures["expected_error_correlation_within"]
        == uncertainty.figures["expected_error_correlation_between"]
        == 0
    )
    assert abs(uncertainty.figures["expected_error_sparsification"]) < 0.2
    backwards, _ = uncertainty_of(lambda errors, code: 1 - errors)
    assert backwards.figures["expected_error_correlation_within"] == pytest.approx(-1)
    assert backwards.figures["expected_error_sparsification"] < -0.5


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(8, 16))
def test_nobody_is_better_than_the_ideal(seed, n):
    def expect(errors, code):
        return np.random.default_rng(seed).random(errors.shape)

    uncertainty, _ = uncertainty_of(expect, n=n, seed=seed)
    assert all(mine >= ideal - 1e-6 for mine, ideal in zip(uncertainty.uncertain_first, uncertainty.ideal, strict=True))
    assert uncertainty.figures["expected_error_sparsification"] <= 1 + 1e-6
    assert len(uncertainty.expected) == BINS
    filled = [mean for mean in uncertainty.expected if mean is not None]
    assert filled == sorted(filled)


def test_each_action_is_held_against_its_own_outcomes():
    """The truth under MOVE+ is known of all moments, that of other actions only where they were taken."""
    n = 40
    last = np.zeros((n, 3, 3, LAYOUT.height, LAYOUT.frame_width), np.float32)
    known = np.zeros((n, 3), bool)
    known[:, CODES.index(MOVE_PLUS)] = True
    outcomes = Outcomes(last, known)
    seen = {(0, STAY): 5, (0, MOVE_PLUS): 7}
    uncertainty, errors = uncertainty_of(
        lambda e, code: e * (3 if code == MOVE_PLUS else 1), outcomes=outcomes, seen=seen
    )
    stay, plus, minus = uncertainty.kinds
    assert [kind.name for kind in uncertainty.kinds] == ["STAY", "MOVE+", "MOVE−"]
    assert [kind.seen for kind in uncertainty.kinds] == [5, 7, 0]
    assert [kind.samples for kind in uncertainty.kinds] == [40] * 3
    assert [kind.known for kind in uncertainty.kinds] == [14, 40, 13]
    assert plus.ratio == pytest.approx(3)
    assert plus.interval == pytest.approx((3, 3))
    assert plus.true == pytest.approx(errors.mean(), rel=1e-5)
    assert minus.expected == pytest.approx(errors.mean(), rel=1e-5)
    assert [stay.ratio, minus.ratio] == pytest.approx([1, 1])


def test_kinds_are_moves_of_each_entry_and_staying_is_one():
    layout = make_layout(actions=(ActionDimension("pan", "pan"), ActionDimension("lift", "lift")))
    names = dict(kinds_of(layout))
    assert list(names.values()) == ["STAY", "MOVE+ pan", "MOVE− pan", "MOVE+ lift", "MOVE− lift"]
    counts = count_kinds(np.array([0, 1, 1, 1]), np.array([STAY, STAY, MOVE_PLUS, MOVE_PLUS]))
    assert counts == {(0, STAY): 2, (1, MOVE_PLUS): 2}
    assert names[1, MOVE_MINUS] == "MOVE− lift"


class Unsure(Persistence):
    """Copies, and uncertainty moves more than staying."""

    def predict(self, batch):
        h, w = LAYOUT.frame_height, LAYOUT.frame_width
        uncertainty = 0.01 * (1 + batch.actions[:, -1].abs().amax(1))[:, None, None].expand(-1, h, w)
        return dataclasses.replace(super().predict(batch), expected_error=uncertainty)


def test_evaluation_asks_whoever_doubts_under_every_action():
    random = np.random.default_rng(0)
    canvases = random.random((9, 3, LAYOUT.height, LAYOUT.width), np.float32)
    actions = np.array([0, 1, -1] * 3, np.float32)[:, None, None]
    batch = make_batch(LAYOUT, canvases, random.uniform(-40, 40, (9, 2, 2)), actions, np.zeros(9), np.arange(9))
    told = evaluate(Unsure(), [batch], np.arange(9), {}, kinds_seen={(0, STAY): 3}).uncertainty
    assert isinstance(told, Uncertainty)
    assert [kind.expected for kind in told.kinds] == pytest.approx([0.01, 0.02, 0.02])
    assert [kind.seen for kind in told.kinds] == [3, 0, 0]
    silent = evaluate(Persistence(), [batch], np.arange(9), {})
    assert silent.uncertainty is None
    assert silent.to_json()["uncertainty"] is None
