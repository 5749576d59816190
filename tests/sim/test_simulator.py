"""The arm: its joints, its servos, its cameras, and that a state can be lived through twice."""

from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("mujoco") is None:  # not imported here: forearm.sim must be the first to do so
    pytest.skip("needs the extra `sim`", allow_module_level=True)

from forearm.base.errors import ForearmError
from forearm.sim import CAMERAS, JOINTS, Simulator, change_of, film, settle
from forearm.sim.names import CONTROL_HZ
from forearm.sim.poses import NOMINAL, is_usable, sample_pose

SIZE = (64, 64)


@pytest.fixture(scope="module")
def simulator() -> Simulator:
    return Simulator(session_seed=5)


def test_joints_and_limits_are_the_real_arms(simulator: Simulator) -> None:
    assert tuple(simulator.model.joint(i).name for i in range(6)) == JOINTS
    expected = [[-110, -100, -96.8, -95, -157.2, 0], [110, 100, 96.8, 95, 162.8, 100]]
    np.testing.assert_allclose(simulator.limits, expected, atol=0.1)


def test_link_lengths_are_the_real_arms(simulator: Simulator) -> None:
    simulator.place(np.zeros(6))
    at = {name: simulator.data.body(name).xpos for name in ("upper_arm", "lower_arm", "wrist", "gripper")}
    assert np.linalg.norm(at["lower_arm"] - at["upper_arm"]) == pytest.approx(0.1160, abs=1e-3)
    assert np.linalg.norm(at["wrist"] - at["lower_arm"]) == pytest.approx(0.1350, abs=1e-3)
    assert np.linalg.norm(at["gripper"] - at["wrist"]) == pytest.approx(0.0611, abs=1e-3)
    assert at["upper_arm"][2] == pytest.approx(0.1166, abs=1e-3)


@pytest.mark.parametrize("joint", range(6), ids=JOINTS)
@pytest.mark.parametrize("change", [10, -10])
def test_a_servo_reaches_a_step_of_ten_in_half_a_second(simulator: Simulator, joint: int, change: float) -> None:
    settle(simulator, NOMINAL)
    before, target = simulator.joints(), simulator.targets()
    target[joint] += change
    simulator.step(target, 0.5)
    moved = simulator.joints() - before
    assert moved[joint] / change > 0.9
    assert np.abs(np.delete(moved, joint)).max() < 0.5


def test_targets_are_approached_evenly(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = []
    monkeypatch.setattr(simulator, "step", lambda targets, seconds: sent.append((targets[0], seconds)))
    simulator.approach(np.full(6, 10.0), np.full(6, 40.0), 3)
    assert sent == [(20, 1 / CONTROL_HZ), (30, 1 / CONTROL_HZ), (40, 1 / CONTROL_HZ)]


def test_a_settled_arm_does_not_creep(simulator: Simulator) -> None:
    for pose in (NOMINAL, NOMINAL + np.array([40, 20, -20, 20, 30, 15])):
        settle(simulator, pose)
        before = simulator.joints()
        simulator.step(simulator.targets(), 2.0)
        assert np.abs(simulator.joints() - before).max() < 0.1
        np.testing.assert_allclose(before, pose, atol=0.1)


def test_a_restored_state_is_lived_through_identically(simulator: Simulator) -> None:
    settle(simulator, NOMINAL)
    target = simulator.targets() + np.array([10, 5, 0, -5, 8, 10], np.float32)
    simulator.step(target, 0.1)  # in full motion
    there = simulator.snapshot()
    picture = simulator.render("wrist", SIZE)
    simulator.step(target, 0.3)
    first = simulator.joints()
    simulator.step(NOMINAL, 0.3)
    simulator.restore(there)
    np.testing.assert_array_equal(simulator.render("wrist", SIZE), picture)
    simulator.step(target, 0.3)
    np.testing.assert_array_equal(simulator.joints(), first)


def test_a_session_decides_the_objects_and_nothing_else(simulator: Simulator) -> None:
    same, other = Simulator(session_seed=5), Simulator(session_seed=6)
    for camera in CAMERAS:
        for one in (simulator, same, other):
            one.place(NOMINAL)
        assert (simulator.render(camera, SIZE) == same.render(camera, SIZE)).all()
        assert (simulator.render(camera, SIZE) != other.render(camera, SIZE)).any()
    np.testing.assert_array_equal(same.model.body_pos, other.model.body_pos)


@pytest.mark.parametrize("session", range(8))
def test_no_object_lies_under_or_in_another_or_the_arm(session: int) -> None:
    simulator = Simulator(session)
    simulator.place(NOMINAL)
    assert not simulator.touching()
    model = simulator.model
    objects = [i for i in range(model.ngeom) if model.geom(i).name.startswith("object_")]
    places = model.geom_pos[objects, :2]
    apart = np.linalg.norm(places[:, None] - places, axis=-1)[~np.eye(len(objects), dtype=bool)]
    assert len(objects) == 7
    assert apart.min() > 0.07
    assert np.linalg.norm(places, axis=1).min() > 0.15


@pytest.mark.parametrize("joint", range(6), ids=JOINTS)
@pytest.mark.parametrize("change", [10, -10])
def test_every_move_shows_in_a_picture(simulator: Simulator, joint: int, change: float) -> None:
    settle(simulator, NOMINAL)
    clip = film(simulator, [change_of(joint, change)], fps=2, size=64)
    shares = []
    for frames in clip.pictures.values():
        difference = np.abs(frames[-1].astype(int) - frames[0]).mean(-1)
        shares.append((difference > 25).mean())  # pixels that a person sees change
    assert max(shares) > 0.02


def test_staying_leaves_the_pictures_alone(simulator: Simulator) -> None:
    settle(simulator, NOMINAL)
    clip = film(simulator, [change_of(0, 0.0)], fps=2, size=64)
    for frames in clip.pictures.values():
        np.testing.assert_array_equal(frames[-1], frames[0])


@pytest.mark.parametrize("joint", range(6), ids=JOINTS)
def test_sampled_poses_can_be_moved_from_and_stay_in_view(simulator: Simulator, joint: int) -> None:
    rng = np.random.default_rng(joint)
    arm_colour = np.array([245, 143, 23]) / 245
    for _ in range(3):
        pose = sample_pose(simulator, joint, 10, "all", rng)
        for change in (10, -10):
            there = pose.copy()
            there[joint] += change
            simulator.place(there)
            assert not simulator.touching()
            picture = simulator.render("base", SIZE).astype(float)
            orange = np.abs(picture / picture.max(-1, keepdims=True).clip(1) - arm_colour).max(-1) < 0.12
            border = np.concatenate([orange[0], orange[-1], orange[:, 0], orange[:, -1]])
            assert orange.sum() > 50
            assert not border.any()


def test_poses_in_the_table_at_a_limit_or_out_of_view_are_refused(simulator: Simulator) -> None:
    assert is_usable(simulator, NOMINAL, 0, 10)
    assert not is_usable(simulator, np.array([0, 60, 30, 55, 0, 35.0]), 0, 10)  # in the table
    assert not is_usable(simulator, np.array([0, -30, 30, 55, 0, 95.0]), 5, 10)  # cannot open further
    assert not is_usable(simulator, np.array([0, -30, 30, -60, 0, 35.0]), 0, 10)  # the wrist sees no table


def test_too_large_a_delta_has_no_pose(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forearm.sim.poses.TRIES", 20)
    with pytest.raises(ForearmError, match="wrist_flex can move by ±150; choose a smaller"):
        sample_pose(simulator, 3, 150, "all", np.random.default_rng(0))


def test_an_unknown_camera_is_one_clear_line(simulator: Simulator) -> None:
    with pytest.raises(ForearmError, match="there is no camera 'top'; the simulator has base, wrist"):
        simulator.render("top")
