"""The search for strokes keeps the best of all rounds, and goes on with a plan as long as it is right."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from support.tiny import make_layout

from forearm.batch import Batch, Prediction, present
from forearm.canvas import Camera, Observation
from forearm.control.goals import ObjectGoal
from forearm.control.planners import Plan
from forearm.control.strokes import SPREAD, StrokeSearch

LAYOUT = make_layout(cameras=(Camera("base", 64, 64),), discrete=False)
REACH: Any = None
PREDICTOR: Any = None


def shown(left: int) -> np.ndarray:
    """A grey table (64, 64, 3) uint8 with a red object whose left edge is there."""
    picture = np.full((64, 64, 3), 120, np.uint8)
    picture[30:38, left : left + 6] = [200, 30, 35]
    return picture


GOAL = ObjectGoal.of(LAYOUT, shown(20), "base", (20, 30, 26, 38), (43, 34))
NOW = present(LAYOUT, Observation(shown(20), np.zeros(2, np.float32)))


def predicted(*lefts: int) -> Prediction:
    frames = torch.zeros(len(lefts), 3, LAYOUT.height, LAYOUT.frame_width)
    frames[:, :, :64] = torch.from_numpy(np.stack([shown(left) for left in lefts])).permute(0, 3, 1, 2) / 255
    return Prediction(frames)


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list]:
    """Scripts what strokes cost, round by round; returns the strokes of each round, their first value the variation."""

    def script(*costs: tuple[float, ...], lengths: tuple[int, ...] = (1, 1, 1)) -> list:
        asked: list[list[np.ndarray]] = []

        def actions(search: StrokeSearch, now: Batch, goal: ObjectGoal, variation: np.ndarray) -> np.ndarray:
            drawn.append(variation)
            return np.full((lengths[(len(drawn) - 1) % 3], 1), variation[0], np.float32)

        def foreseen(predictor: Any, now: Batch, goal: ObjectGoal, sequences, stay: Plan, price: float, whole: bool):
            assert whole
            asked.append([values.copy() for values in sequences])
            return [
                Plan(values, np.zeros(len(values), int), predicted(20)[:0], cost, stay.cost)
                for values, cost in zip(sequences, costs[len(asked) - 1], strict=True)
            ]

        drawn: list[np.ndarray] = []
        monkeypatch.setattr(StrokeSearch, "actions", actions)
        monkeypatch.setattr("forearm.control.variations.foreseen", foreseen)
        return asked

    return script


def planned(previous: Plan | None = None, rounds: int = 2, prior: float = 0.0) -> Plan:
    search = StrokeSearch(samples=3, elites=2, rounds=rounds, prior=prior, reach=REACH)
    return search.plan(PREDICTOR, NOW, GOAL, previous)


def test_the_best_of_all_rounds_is_kept_and_the_next_are_drawn_around_the_elites(rounds) -> None:
    asked = rounds((0.2, 0.1, 0.3), (0.15, 0.12, 0.3))
    plan = planned()
    assert plan.cost == 0.1
    assert plan.values == asked[0][1]
    assert asked[0][0] == 0, "the first stroke goes straight"
    assert asked[1][0] == pytest.approx((asked[0][0] + asked[0][1]) / 2)


def test_a_later_round_that_is_better_wins(rounds) -> None:
    asked = rounds((0.2, 0.1, 0.3), (0.15, 0.09, 0.3))
    assert planned().values == asked[1][1]


def test_actions_have_a_price(rounds) -> None:
    rounds((0.1, 0.1005, 0.3), lengths=(2, 1, 1))
    assert len(planned(rounds=1)) == 1


def test_a_stroke_is_chosen_though_none_seems_to_help(rounds) -> None:
    stays = float(GOAL.cost(NOW.known()))
    asked = rounds((stays + 0.3, stays + 0.2, stays + 0.4))
    assert planned(rounds=1).values == asked[0][1]
    rounds((), lengths=(0, 0, 0))
    assert len(planned(rounds=1)) == 0, "none is within reach"


def test_a_stroke_that_strays_has_to_be_that_much_better(rounds) -> None:
    rounds((9.0, 9.0, 0.0))
    turned = float(planned(rounds=1).values[0, 0]) / SPREAD[0]  # of the third stroke, in standard deviations
    for better, strays in ((0.9 * turned**2, False), (100.0, True)):
        asked = rounds((1.0 + better, 999.0, 1.0))
        assert planned(rounds=1, prior=1.0).values == asked[0][2 if strays else 0]


def test_a_plan_is_gone_on_with_as_long_as_the_object_is_where_it_was_foreseen(rounds) -> None:
    values = np.array([[0.5], [0.4], [0.3]], np.float32)

    def before(foreseen: int, cost: float = 0.05) -> Plan:
        return Plan(values, np.zeros(3, int), predicted(foreseen, 30, 40), cost, 0.4)

    asked = rounds()
    assert len(planned(before(20, cost=9.0))) == 2, "though it is foreseen to end worse than staying"
    left = planned(before(20))
    assert not asked, "nothing is predicted"
    np.testing.assert_array_equal(left.values, values[1:])
    assert len(left.predicted) == 2
    asked = rounds((0.2, 0.1, 0.3, 0.01), (0.2, 0.1, 0.3))
    np.testing.assert_array_equal(planned(before(24)).values, values[1:])
    np.testing.assert_array_equal(asked[0][3], values[1:])
    for previous in (before(24), before(28)):
        asked = rounds((0.2, 0.1, 0.3, 0.5), (0.2, 0.15, 0.3))
        assert planned(previous).values == asked[0][1]
    asked = rounds((0.2, 0.1, 0.3), (0.2, 0.15, 0.3))
    planned(Plan(values[:1], np.zeros(1, int), predicted(20), 0.05, 0.4))
    assert len(asked[0]) == 3, "of one action nothing is left"
