"""What planning, live trials and learning use of an arm, of a simulated and a real one alike."""

import inspect
from importlib.util import find_spec

import numpy as np
import pytest
from support.robots import FakeRobot, Keys
from support.tiny import make_layout

from forearm.arms import Manipulator, driver
from forearm.arms.robot import RobotArm
from forearm.arms.settings import RobotSettings
from forearm.base.errors import ForearmError
from forearm.canvas import Action, ActionDimension, Camera, Joint

UP = Action(np.array([1.0], np.float32), 0)
PAN = ActionDimension("shoulder_pan", "shoulder_pan.pos", "deg", 10.0)


def layout_of(*cameras: Camera):
    joints = (Joint("shoulder_pan.pos", "deg", -45, 45, 15, unit_origin="given"),)
    return make_layout(joints=joints, actions=(PAN,), cameras=cameras)


@pytest.fixture(params=["simulated", "real"])
def arm(request, monkeypatch) -> Manipulator:
    """An arm with the base camera, whose pictures are recorded in 48 × 64 pixels and seen in 8 × 8."""
    layout = layout_of(Camera("base", 8, 8, recorded_size=(48, 64)))
    if request.param == "real":
        monkeypatch.setattr(driver, "TINY_SECONDS", 0.07)
        monkeypatch.setattr("forearm.arms.settings.SHORTEST", 0.1)
        monkeypatch.setattr("forearm.arms.settings.SLOW", 1000)
        robot = FakeRobot(shoulder_pan=5.0, gripper=30.0)
        return RobotArm(robot, layout, duration=0.2, keyboard=Keys(), settings=RobotSettings(yes=True, max_speed=1e3))
    if find_spec("mujoco") is None:
        pytest.skip("needs the extra `sim`")
    from forearm.sim.arm import SimulatedArm

    arm = SimulatedArm.in_scene(layout, 0, 0.2)
    arm.move_to({"shoulder_pan": 5.0})
    return arm


def pan_of(arm: Manipulator) -> float:
    return float(arm.observe().joints[0])


def test_both_have_everything(arm) -> None:
    wanted = {name for name, _ in inspect.getmembers(Manipulator) if not name.startswith("_")}
    assert wanted <= set(dir(arm))


def test_an_action_is_filmed_as_it_is_recorded(arm) -> None:
    with arm.connected():
        episode, spec = arm.film(UP, fps=10), arm.spec(10)
    assert episode.states.shape == episode.actions.shape == (3, len(spec.joints))
    assert {name: seen.shape[1:3] for name, seen in episode.pictures.items()} == spec.cameras
    assert spec.cameras["observation.images.base"] == (48, 64)
    assert episode.pictures["observation.images.base"].shape == (3, 48, 64, 3)
    pan = spec.joints.index("shoulder_pan.pos")
    assert spec.units[pan] == "deg"
    assert episode.actions[-1, pan] - episode.states[0, pan] == pytest.approx(10, abs=3)
    assert episode.states[-1, pan] - episode.states[0, pan] > 5


def test_an_action_that_is_no_whole_number_of_frames_is_refused(arm) -> None:
    with arm.connected(), pytest.raises(ForearmError, match=r"0.2 s is 0.6 frames at 3 fps"):
        arm.film(UP, fps=3)


def test_it_moves_to_a_pose_and_home_again(arm) -> None:
    with arm.connected():
        arm.observe()
        arm.move_to({"shoulder_pan": 25.0})
        assert pan_of(arm) == pytest.approx(25, abs=2)
        arm.home()
        assert pan_of(arm) == pytest.approx(5, abs=2)
        with pytest.raises(ForearmError, match="no joint 'elbow'"):
            arm.move_to({"elbow": 1.0})
        with pytest.raises(ForearmError, match="shoulder_pan"):
            arm.move_to({"shoulder_pan": 300.0})


def test_home_is_within_the_limits_although_the_arm_stood_beside_them(arm) -> None:
    """As one does that sagged when it became stiff."""
    if not isinstance(arm, RobotArm):
        pytest.skip("a simulated arm is put within them")
    limit = arm.driver.limits["shoulder_pan"]
    arm.driver.robot.joints["shoulder_pan.pos"] = limit.high + 3
    with arm.connected():
        arm.observe()
        arm.move_to({"shoulder_pan": 25.0})
        arm.home()
        assert pan_of(arm) == pytest.approx(limit.high)


def test_a_slack_arm_acts_again_when_it_holds(arm) -> None:
    with arm.connected():
        arm.observe()
        arm.relax()
        with pytest.raises(ForearmError, match="the arm is slack"):
            arm.step(UP)
        arm.hold()
        before = pan_of(arm)
        arm.step(UP)
        assert pan_of(arm) > before + 5


def test_its_servos_say_how_loaded_they_are(arm) -> None:
    with arm.connected():
        load = arm.health().load
    assert 0 <= load["shoulder_pan"] <= 100
