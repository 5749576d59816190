"""Strokes and carries of the simulated gripper: where they lead, and that planning with strokes pushes an object to its
goal."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from support.tiny import make_layout

from forearm.base.errors import ForearmError
from forearm.batch import present
from forearm.canvas import ActionDimension, Camera, Joint
from forearm.control.goals import JointGoal, ObjectGoal
from forearm.control.loop import REACHED, control
from forearm.control.planners import actions_along
from forearm.control.strokes import StrokeSearch
from forearm.environment.reach import CLOSED, MIDDLE, SimulatedReach, moves_all_joints
from forearm.environment.simulated import TrueDynamics
from forearm.sim import JOINTS, Simulator
from forearm.sim.arm import SimulatedArm
from forearm.sim.kinematics import Kinematics
from forearm.sim.names import PAN_AXIS
from forearm.sim.tasks import pose_task
from forearm.sim.tasks.push import Push
from forearm.sim.tasks.task import HOVER, JAW_FACE, OPEN

LAYOUT = make_layout(
    cameras=(Camera("base", 64, 64),),
    joints=tuple(Joint(name, "deg", -110, 110) for name in JOINTS),
    actions=tuple(ActionDimension(name, name, "deg", 35.0) for name in JOINTS),
    discrete=False,
)


@pytest.fixture(scope="module")
def push() -> Iterator[Push]:
    simulator = Simulator(1000, Push.world)
    posed = pose_task(simulator, Push, np.random.default_rng(0))
    assert isinstance(posed, Push)
    yield posed
    simulator.close()


def test_the_table_is_seen_backwards(push: Push) -> None:
    points = np.random.default_rng(0).uniform([0.1, -0.2], [0.3, 0.2], (20, 2))
    seen = push.simulator.seen("base", np.column_stack([points, np.full(20, MIDDLE)]))
    np.testing.assert_allclose(SimulatedReach(push.simulator, LAYOUT).on_table("base", seen), points, atol=1e-6)


def test_a_push_is_planned_by_pictures_and_reaches_its_goal(push: Push) -> None:
    simulator, number = push.simulator, push.target
    box = simulator.environment().reshape(3, -1)[number, 8:12] * 64
    target = simulator.seen("base", np.array([[*push.goal, simulator.objects[number].height]]))[0] * 64
    arm = SimulatedArm(simulator, LAYOUT)
    goal = ObjectGoal.of(LAYOUT, arm.observe().picture, "base", tuple(box), tuple(target))
    search = StrokeSearch(samples=2, elites=1, rounds=1, reach=SimulatedReach(simulator, LAYOUT))
    with pytest.raises(ForearmError, match="strokes push an object"):
        search.plan(TrueDynamics(arm), present(LAYOUT, arm.observe()), JointGoal.named(LAYOUT, {"gripper": 20}))
    others = np.delete(simulator.poses()[:, :2], number, axis=0)
    episode = control(arm, TrueDynamics(arm), goal, search, steps=24)
    assert episode.outcome == REACHED
    assert np.linalg.norm(push.object_at(number)[:2] - push.goal) < 0.02
    np.testing.assert_allclose(np.delete(simulator.poses()[:, :2], number, axis=0), others, atol=0.002)
    for before, after in zip(episode.steps, episode.steps[1:], strict=False):  # what was foreseen is what came
        np.testing.assert_allclose(before.plan.predicted.joints(LAYOUT)[0], after.seen.joints, atol=0.5)


def test_a_way_that_is_too_far_for_an_action_takes_several() -> None:
    joints = np.zeros((3, 6))
    joints[1:, 0], joints[2, 1] = 70.5, -14
    actions = actions_along(LAYOUT, joints)
    np.testing.assert_allclose((actions * 35).cumsum(axis=0)[[2, 3]], joints[1:], atol=1e-4)
    assert np.abs(actions).max() <= 1


def test_strokes_are_for_runs_whose_actions_move_all_joints_by_any_amount() -> None:
    assert moves_all_joints(LAYOUT)
    assert not moves_all_joints(replace(LAYOUT, discrete=True))
    assert not moves_all_joints(replace(LAYOUT, action_is="target"))
    assert not moves_all_joints(replace(LAYOUT, actions=LAYOUT.actions[:2]))


place = some.tuples(some.floats(-0.7, 0.7), some.floats(0.17, 0.26)).map(
    lambda polar: PAN_AXIS + polar[1] * np.array([np.cos(polar[0]), np.sin(polar[0])])
)


@settings(max_examples=20, deadline=None)
@given(at=place, to=place, turn=some.floats(-0.7, 0.7))
def test_a_carry_closes_around_the_object_and_opens_where_it_is_to_be(
    push: Push, at: np.ndarray, to: np.ndarray, turn: float
) -> None:
    kinematics, now = Kinematics(push.simulator), push.simulator.joints()
    joints = SimulatedReach(push.simulator, LAYOUT).carry(now, at, to, turn)
    assert joints is not None
    grippers = joints[:, 5]
    closes, opens = (int(np.flatnonzero(np.diff(grippers) * sign > 20)[-1]) + 1 for sign in (-1, 1))
    assert (grippers[closes:opens] < CLOSED + 1).all()
    assert (np.delete(grippers, range(closes, opens)) > OPEN - 1).all()
    assert 1 < closes < opens < len(joints) - 2
    sag = kinematics.holding(now) - now
    reached = np.array([2 * each - kinematics.holding(each) + sag for each in joints])  # where the arm comes to rest
    for number, middle, beside in ((closes - 1, at, 26), (closes, at, 26), (opens - 1, to, 18), (opens, to, 18)):
        point = kinematics.point(reached[number], (0.098, JAW_FACE + beside / 1000))
        np.testing.assert_allclose(point[:2], middle, atol=0.004)
        assert 0.005 < point[2] < 0.035
    heights = np.array([kinematics.point(each)[2] for each in reached])
    low = heights < HOVER - 0.02
    assert set(np.flatnonzero(low)) == {closes - 1, closes, opens - 1, opens}, "it goes over with the gripper raised"
    assert abs(joints[closes, 4] - np.degrees(turn)) < 15, "the wrist is turned by that much"


def test_a_place_that_the_arm_does_not_reach_has_no_carry(push: Push) -> None:
    reach, now = SimulatedReach(push.simulator, LAYOUT), push.simulator.joints()
    near, far = np.array([0.25, 0.0]), np.array([0.8, 0.0])
    assert reach.carry(now, near, np.array([0.25, 0.1]), 0.0) is not None
    assert reach.carry(now, near, far, 0.0) is None
    assert reach.carry(now, far, near, 0.0) is None
