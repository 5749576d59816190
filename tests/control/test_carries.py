"""The search for carries compares whole ones by where they end, and one that has begun is carried out."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from support.tiny import make_layout

from forearm.base.errors import ForearmError
from forearm.batch import Batch, Prediction, present
from forearm.canvas import ActionDimension, Camera, Joint, Observation
from forearm.control.carries import SPREAD, CarrySearch
from forearm.control.goals import JointGoal, ObjectGoal
from forearm.control.loop import REACHED, TOO_LONG, control
from forearm.control.planners import Plan

LAYOUT = make_layout(
    cameras=(Camera("base", 64, 64),),
    joints=tuple(Joint(name, "deg", -100, 100) for name in ("x", "y", "gripper")),
    actions=tuple(ActionDimension(name, name, "deg", 10.0) for name in ("x", "y", "gripper")),
    discrete=False,
)


def shown(left: float) -> np.ndarray:
    """A grey table (64, 64, 3) uint8 with a red object whose left edge is there."""
    picture = np.full((64, 64, 3), 120, np.uint8)
    picture[30:38, round(left) : round(left) + 6] = [200, 30, 35]
    return picture


GOAL = ObjectGoal.of(LAYOUT, shown(20), "base", (20, 30, 26, 38), (43, 34))


def seen(left: float = 20, joints: tuple[float, ...] = (0, 0, 0)) -> Batch:
    return present(LAYOUT, Observation(shown(left), np.array(joints, np.float32)))


@dataclass
class Table:
    """A reach whose carries are straight to a place, each in three joint positions; it notes what it is asked."""

    length: float = 10.0
    asked: list[tuple[np.ndarray, np.ndarray, float]] = field(default_factory=list)

    def on_table(self, camera: str, places: np.ndarray) -> np.ndarray:
        assert camera == "base"
        return places

    def carry(self, joints: np.ndarray, at: np.ndarray, to: np.ndarray, turn: float) -> np.ndarray | None:
        self.asked.append((at, to, turn))
        return joints + np.outer([1, 2, 3], [self.length, 0, 0]) + [0, np.clip(turn, -5, 5), 0]


@dataclass
class Scripted:
    """A predictor that shows the object, after so many actions in a row, where a function of y's first change says."""

    ends: Callable[[float], float]
    on_the_way: float = 20
    steps: int = 0

    def predict(self, batch: Batch) -> Prediction:
        self.steps += 1
        joints = batch.positions[:, -2].cpu().numpy() + batch.actions[:, -1].cpu().numpy() * 10
        last = self.steps % 3 == 0
        lefts = [self.ends(float(y)) if last else self.on_the_way for y in joints[:, 1]]
        frames = torch.stack([seen(left).known().frame[0] for left in lefts])
        return Prediction(frames, torch.from_numpy(joints.astype(np.float32)))


def planned(predictor: Scripted, reach: Table | None = None, **settings: float) -> Plan:
    search = CarrySearch(reach=reach or Table(), **{"rounds": 1, **settings})  # type: ignore[arg-type]
    return search.plan(predictor, seen(), GOAL)


def test_the_straight_carry_is_aimed_from_where_the_object_is_seen_to_where_it_is_to_be() -> None:
    reach = Table()
    planned(Scripted(lambda y: 40), reach)
    at, to, turn = reach.asked[0]
    np.testing.assert_allclose(at * 64, [23, 34], atol=0.5)
    np.testing.assert_allclose(to * 64, [43, 34])
    assert turn == 0
    varied = np.array([[*(a - at), t, *(b - to)] for a, b, t in reach.asked[1:]])
    assert len(varied) == CarrySearch.samples - 1
    assert (np.abs(varied) > 0).all(), "every carry is varied in all five"
    assert (np.abs(varied) < 5 * np.array(SPREAD)).all()


def test_carries_are_compared_by_where_they_end_not_by_what_is_seen_on_the_way() -> None:
    plan = planned(Scripted(lambda y: 40 if y > 1e-3 else 20, on_the_way=40))
    assert len(plan) == 3, "none is cut where what hangs in the gripper is seen at the goal"
    assert plan.values[0, 1] > 0, "the straight one would end where the object is now"
    assert plan.cost < GOAL.enough


def test_a_carry_within_reach_is_taken_even_where_it_is_foreseen_to_be_worse_than_staying() -> None:
    assert len(planned(Scripted(lambda y: 10))) == 3
    assert not len(CarrySearch(reach=Table()).plan(Scripted(lambda y: 10), seen(40), GOAL)), "unless it is there"


@pytest.mark.parametrize(("better", "leaves"), [(2, False), (16, True)])
def test_the_straight_carry_is_left_only_where_another_is_foreseen_to_be_clearly_better(
    better: int, leaves: bool
) -> None:
    """Seven samples that differ from the straight one vary five numbers, by about five squared deviations."""
    assert CarrySearch.prior > 0
    plan = planned(Scripted(lambda y: 24 if y == 0 else 24 + better))
    assert bool(plan.values[:, 1].any()) == leaves


def test_the_next_round_is_drawn_around_the_best_of_the_last() -> None:
    reach = Table()
    planned(Scripted(lambda y: 40 if y > 0.3 else 20), reach, samples=12, elites=3, rounds=2)
    first, second = ([turn for *_, turn in reach.asked[part]] for part in (slice(12), slice(12, 24)))
    assert min(first) < -0.3
    assert second[0] > 0.3, "its first one is the mean of those that end well"


def test_a_carry_that_has_begun_is_carried_out_whatever_is_seen() -> None:
    first = planned(Scripted(lambda y: 40))
    search, predictor = CarrySearch(reach=Table()), Scripted(lambda y: 40)
    for left in (40, 10):  # at its goal in mid-air, or elsewhere
        plan = search.plan(predictor, seen(left), GOAL, first)
        np.testing.assert_array_equal(plan.values, first.values[1:])
        assert plan.staying > GOAL.enough, "control does not end there"
    assert predictor.steps == 0
    ended = Plan(first.values[-1:], first.dimensions[-1:], first.predicted[-1:], first.cost, first.staying)
    assert not len(search.plan(predictor, seen(40), GOAL, ended))


@dataclass
class Carried:
    """An arm under which the object is seen at the goal from the first action on."""

    left: float = 20
    taken: int = 0
    layout = LAYOUT

    def observe(self) -> Observation:
        return Observation(shown(self.left), np.zeros(3, np.float32))

    def step(self, action: object) -> None:
        self.taken, self.left = self.taken + 1, 40


def test_control_takes_a_carry_whole_or_not_at_all() -> None:
    search = CarrySearch(reach=Table(), rounds=1)
    for steps, outcome, taken in ((3, REACHED, 3), (2, TOO_LONG, 0)):
        arm = Carried()
        assert control(arm, Scripted(lambda y: 40), GOAL, search, steps=steps).outcome == outcome
        assert arm.taken == taken


def test_a_depth_that_no_carry_fits_in_is_refused_with_the_number_that_it_takes() -> None:
    with pytest.raises(ForearmError, match="this carry takes 3 actions; choose a depth of 3 or more"):
        planned(Scripted(lambda y: 40), depth=2)


def test_what_is_out_of_reach_or_leaves_what_training_saw_is_not_begun() -> None:
    assert not len(planned(Scripted(lambda y: 40), Table(length=60), depth=90)), "180 degrees are beyond the bounds"
    reach = Table()
    reach.carry = lambda *about: None  # type: ignore[method-assign]
    assert not len(planned(Scripted(lambda y: 40), reach))


def test_carries_are_of_an_object() -> None:
    with pytest.raises(ForearmError, match="carries place an object"):
        CarrySearch(reach=Table()).plan(Scripted(lambda y: 40), seen(), JointGoal.named(LAYOUT, {"x": 20}))
