"""Strokes of the simulated gripper: where they lead, and that planning with them pushes an object to its goal."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from support.tiny import make_layout

from forearm.base.errors import ForearmError
from forearm.batch import present
from forearm.canvas import ActionDimension, Camera, Joint
from forearm.control.goals import JointGoal, ObjectGoal
from forearm.control.loop import REACHED, control
from forearm.control.planners import actions_along
from forearm.control.strokes import StrokeSearch
from forearm.environment.reach import MIDDLE, SimulatedReach, moves_all_joints
from forearm.environment.simulated import TrueDynamics
from forearm.sim import JOINTS, Simulator
from forearm.sim.arm import SimulatedArm
from forearm.sim.tasks import pose_task
from forearm.sim.tasks.push import Push

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
