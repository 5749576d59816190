"""The simulated arm acts as the recordings do, and the simulator as a predictor is right about itself."""

import dataclasses
from importlib.util import find_spec

import numpy as np
import pytest
import torch

if find_spec("mujoco") is None:  # not imported here: forearm.sim must be the first to do so
    pytest.skip("needs the extra `sim`", allow_module_level=True)

from support.canvases import preset_layout

from forearm.base.errors import ForearmError
from forearm.batch import present
from forearm.canvas import Action, ActionDimension, Joint, decode_strip, draw_frame
from forearm.control.goals import JointGoal, PictureGoal
from forearm.control.loop import REACHED, STAYING, control
from forearm.control.planners import TreeSearch
from forearm.environment.simulated import SimulatedEnvironment, TrueDynamics
from forearm.sim import CAMERAS, JOINTS, Simulator, change_of, film, settle
from forearm.sim.arm import SimulatedArm
from forearm.sim.poses import NOMINAL


def make_layout(*moving: str, **changes):
    joints = tuple(Joint(f"{name}.pos", "deg", -100, 100, 15) for name in JOINTS)
    actions = tuple(ActionDimension(name, f"{name}.pos", "deg", 10.0) for name in moving)
    return preset_layout("tiny", **{"cameras": CAMERAS, "joints": joints, "actions": actions, **changes})


@pytest.fixture(scope="module")
def simulator() -> Simulator:
    return Simulator(session_seed=5)


def test_it_acts_and_looks_as_recordings_do(simulator: Simulator) -> None:
    layout = make_layout("elbow_flex", "gripper")
    arm = SimulatedArm(simulator, layout)
    settle(simulator, NOMINAL)
    clip = film(simulator, [change_of(5, -10.0)], fps=2, size=64)
    settle(simulator, NOMINAL)
    arm.step(Action(np.array([0, -1], np.float32), 1))
    seen = arm.observe()
    np.testing.assert_allclose(seen.joints, clip.states[-1], atol=1e-6)
    for camera, picture in zip(CAMERAS, layout.split(seen.picture), strict=True):
        np.testing.assert_array_equal(picture, clip.pictures[f"observation.images.{camera}"][-1])


def test_an_action_lasts_as_long_as_in_the_data(simulator: Simulator) -> None:
    slow = make_layout("elbow_flex", action_duration=1.5)
    assert SimulatedArm(simulator, slow).duration == 1.5
    with pytest.raises(ForearmError, match=r"leave --action-duration out"):
        SimulatedArm(simulator, slow, 0.5)


def test_an_action_moves_every_joint_that_it_names(simulator: Simulator) -> None:
    world = SimulatedEnvironment(
        SimulatedArm(simulator, make_layout("shoulder_pan", "gripper", discrete=False)), seed=1
    )
    before = world.reset(3).joints
    moved = world.step(Action(np.array([0.5, -0.8], np.float32), 1)).joints - before
    np.testing.assert_allclose(moved, [5, 0, 0, 0, 0, -8], atol=0.8)
    world.undo()
    np.testing.assert_array_equal(world.step(Action(np.array([0.5, -0.8], np.float32), 1)).joints - before, moved)


def test_the_true_dynamics_foresee_what_happens_and_leave_no_trace(simulator: Simulator) -> None:
    layout = make_layout("shoulder_pan", "wrist_flex")
    arm = SimulatedArm(simulator, layout)
    settle(simulator, NOMINAL)
    before = arm.observe()
    values = torch.tensor([[1.0, 0.0], [0.0, -1.0], [0.0, 0.0]])
    context = present(layout, before).repeated(3)
    state = simulator.snapshot()
    predicted = TrueDynamics(arm).predict(context.with_action(values, torch.tensor([0, 1, 0])))
    np.testing.assert_array_equal(simulator.joints(), before.joints)
    for region, joints, action in zip(predicted.frame.numpy(), predicted.positions, values.numpy(), strict=True):
        simulator.restore(state)
        arm.step(Action(action, 0))
        true = draw_frame(layout, arm.observe(), before.joints)
        positions, expected = decode_strip(layout, region[None])[0], decode_strip(layout, true[None])[0]
        np.testing.assert_allclose(positions, expected, atol=0.05)
        np.testing.assert_allclose(joints, expected[0], atol=0.05)
        assert np.abs(region - true)[:, : layout.frame_height].mean() < 0.002


def test_pictures_and_joints_are_reached(simulator: Simulator) -> None:
    layout = make_layout("shoulder_pan")
    arm = SimulatedArm(simulator, layout)
    there = NOMINAL + np.array([20, 0, 0, 0, 0, 0])
    settle(simulator, there)
    for goal, outcomes in (
        (PictureGoal.of(layout, layout.split(arm.observe().picture)), (STAYING, REACHED)),
        (JointGoal.named(layout, {"shoulder_pan": 20}), (REACHED,)),
    ):
        settle(simulator, NOMINAL)
        episode = control(arm, TrueDynamics(arm), goal, TreeSearch(2))
        assert (episode.outcome in outcomes, episode.actions) == (True, 2)
        assert abs(simulator.joints()[0] - 20) < 0.5


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cameras": ("top",)}, "no camera 'top' as this run has"),
        ({"joints": (Joint("knee"),), "actions": (ActionDimension("knee", "knee"),)}, "no joint 'knee'"),
        ({"actions": (ActionDimension("gripper_closed"),)}, "no joint for the action 'gripper_closed'"),
    ],
)
def test_another_robots_layout_is_refused(simulator: Simulator, changes, said: str) -> None:
    with pytest.raises(ForearmError, match=said):
        SimulatedArm(simulator, make_layout("shoulder_pan", **changes))
    with pytest.raises(ForearmError, match="seed is -1"):
        SimulatedArm.in_scene(make_layout("shoulder_pan"), -1)


def test_recorded_targets_lead_where_they_led() -> None:
    """Targets that a person sent, as `--actions command` makes actions of them: they hold the arm against gravity."""
    names = ("shoulder_lift", "elbow_flex")
    layout = dataclasses.replace(make_layout(*names, discrete=False), action_is="target", action_duration=0.2)
    simulator, pan = Simulator(3), np.zeros(len(JOINTS), np.float32)
    simulator.place(pan)
    here, targets = simulator.joints(), simulator.targets()
    driven, scales = [JOINTS.index(name) for name in names], [action.scale for action in layout.actions]
    values = (targets - here)[driven] / scales
    assert np.abs(targets - here)[driven].max() > 0.3
    arm = SimulatedArm(simulator, layout)
    for _ in range(10):
        arm.step(Action(values.astype(np.float32), 0))
    np.testing.assert_allclose(simulator.joints(), here, atol=0.3)
    simulator.close()
