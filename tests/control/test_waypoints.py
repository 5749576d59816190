"""A way to joints leads around what may not be moved, straight where nothing is in the way, and within bounds."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from support.tiny import make_layout

from forearm.base.errors import ForearmError
from forearm.batch import Batch, Prediction, present
from forearm.canvas import ActionDimension, Camera, Layout, Observation
from forearm.control.goals import FAR, JointGoal, KeepingGoal, ObjectGoal, inner
from forearm.control.planners import TreeSearch
from forearm.control.waypoints import WaypointSearch

LAYOUT = make_layout(
    cameras=(Camera("base", 64, 64),),
    discrete=False,
    actions=(ActionDimension("pan", "pan", "deg", 10.0), ActionDimension("lift", "lift", "deg", 10.0)),
)


def shown(left: int = 20) -> np.ndarray:
    """A grey table (64, 64, 3) uint8 with a red object whose left edge is there."""
    picture = np.full((64, 64, 3), 120, np.uint8)
    picture[30:38, left : left + 6] = [200, 30, 35]
    return picture


START = present(LAYOUT, Observation(shown(), np.array([-20, 0], np.float32)))
OBJECT = ObjectGoal.of(LAYOUT, shown(), "base", (20, 30, 26, 38), (23, 34))
JOINTS = JointGoal.named(LAYOUT, {"pan": 20, "lift": 0})
GOAL = KeepingGoal.of(JOINTS, [OBJECT], START.known())


@dataclass
class World:
    """Moves as it is told; who passes pan 0 with lift below 8 pushes the object far to the right, for good."""

    watch: Callable[[Batch], None] = lambda batch: None

    def predict(self, batch: Batch) -> Prediction:
        self.watch(batch)
        before = batch.positions[:, -2]
        after = before + 10 * batch.actions[:, -1]
        hit = (before[:, 0] < 0) & (after[:, 0] >= 0) & (torch.minimum(before[:, 1], after[:, 1]) < 8)
        was = batch.canvas[..., LAYOUT.frame_columns(-2)][:, 0, 34, 50] > 0.6
        frames = torch.zeros(len(batch), 3, LAYOUT.height, LAYOUT.frame_width)
        for row, pushed in enumerate((hit | was).tolist()):
            frames[row, :, :64] = torch.from_numpy(shown(48 if pushed else 20)).permute(2, 0, 1) / 255
        return Prediction(frames, after)


def test_a_way_leads_around_an_object_and_straight_where_it_may_be_pushed() -> None:
    around = WaypointSearch().plan(World(), START, GOAL)
    assert around.cost <= GOAL.enough
    assert around.predicted.joints(LAYOUT)[-1].numpy() == pytest.approx([20, 0], abs=0.2)
    assert around.predicted.joints(LAYOUT)[:, 1].max() > 8
    straight = WaypointSearch().plan(World(), START, JOINTS)
    np.testing.assert_allclose(straight.values, [[1, 0]] * 4, atol=1e-6)


def test_an_object_that_moved_costs_as_much_as_all_that_was_to_do() -> None:
    def cost(left: int) -> float:
        seen = present(LAYOUT, Observation(shown(left), np.array([20, 0], np.float32))).known()
        return float(GOAL.cost(seen))

    assert cost(20) == pytest.approx(0, abs=1e-4)
    assert cost(20 + round(64 * (FAR + OBJECT.enough))) == pytest.approx(4, rel=0.25)
    assert cost(50) > 30, "it is looked for in the whole picture"
    assert inner(GOAL) is JOINTS
    assert GOAL.enough == JOINTS.enough


def test_a_plan_is_gone_on_with_as_long_as_the_joints_are_where_it_foresaw_them() -> None:
    first = WaypointSearch().plan(World(), START, GOAL)
    asked: list[Batch] = []
    as_foreseen = present(LAYOUT, Observation(shown(), first.predicted.joints(LAYOUT)[0].numpy()))
    left = WaypointSearch().plan(World(asked.append), as_foreseen, GOAL, first)
    np.testing.assert_array_equal(left.values, first.values[1:])
    assert not asked
    elsewhere = present(LAYOUT, Observation(shown(), np.array([-25, 0], np.float32)))
    WaypointSearch().plan(World(asked.append), elsewhere, GOAL, first)
    assert asked


def test_no_way_leaves_the_bounds_and_what_is_no_joint_goal_is_refused() -> None:
    tight: Layout = LAYOUT
    for variation in np.random.default_rng(0).normal(0, 5, (30, 2)):
        actions = WaypointSearch().actions(START, GOAL, variation)
        way = np.array([-20, 0]) + 10 * actions.cumsum(axis=0)
        assert (way <= tight.highs + 1e-3).all()
        assert (way >= np.minimum(tight.lows, [-20, 0]) - 1e-3).all()
    with pytest.raises(ForearmError, match="waypoints lead to joints"):
        WaypointSearch().actions(START, OBJECT, np.zeros(2))
    plan = TreeSearch(1).plan(World(), START, GOAL)
    assert len(plan) == 1, "other planners know the goal too"
