"""Every task can be posed, is not done at first, and is done by its expert."""

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("mujoco") is None:  # not imported here: forearm.sim must be the first to do so
    pytest.skip("needs the extra `sim`", allow_module_level=True)

from forearm.sim import Simulator
from forearm.sim.objects import OBSTACLE
from forearm.sim.operator import Operator
from forearm.sim.scene import REGION_RADIUS
from forearm.sim.tasks import TASKS, Task, pose_task
from forearm.sim.tasks.obstacle import Obstacle
from forearm.sim.tasks.place import Place
from forearm.sim.tasks.push import Push
from forearm.sim.teleoperation import carry_out


def posed(name: str, seed: int, which: str = "training") -> Task:
    simulator = Simulator(seed, replace(TASKS[name].world, which=which))
    return pose_task(simulator, TASKS[name], np.random.default_rng(seed))


def carried_out(task: Task, clumsiness: float = 0.0, seed: int = 0) -> bool:
    return carry_out(task, Operator(task.simulator, clumsiness, np.random.default_rng(seed)))


@pytest.mark.parametrize(("name", "which"), [*((name, "training") for name in TASKS), ("push", "held-out")])
def test_an_expert_does_what_was_not_done_before(name: str, which: str) -> None:
    done = 0
    for seed in range(2):
        task = posed(name, seed, which)
        assert not task.success()
        assert not task.simulator.touching()
        assert all(abs(pose[2]) < 0.06 for pose in task.simulator.poses())
        done += carried_out(task)
        assert np.isfinite(task.simulator.poses()).all()
    assert done >= 1


def put(task: Task, number: int, at: np.ndarray, up: float = 0.0) -> Task:
    """An object somewhere on the table, or so many metres above it."""
    poses = task.simulator.poses()
    poses[number, :3] = *at[:2], task.simulator.objects[number].height + up
    task.simulator.place_objects(poses)
    return task


def test_a_push_is_done_within_15_mm_of_the_goal() -> None:
    task = posed("push", 0)
    assert isinstance(task, Push)
    aside = np.array([0.6, 0.8])
    for off, done in ((0.014, True), (0.016, False)):
        assert put(task, task.target, task.goal + off * aside).success() == done


def test_what_is_lifted_is_4_cm_up_and_in_the_jaws(monkeypatch: pytest.MonkeyPatch) -> None:
    task = posed("lift", 0)
    at = task.object_at(task.target)
    assert not put(task, task.target, at, up=0.06).success(), "nothing holds it"
    monkeypatch.setattr(task.simulator, "touched", lambda: np.arange(3) == task.target)
    for up, done in ((0.041, True), (0.039, False)):
        assert put(task, task.target, at, up).success() == done


def test_what_is_placed_stands_on_the_disc_and_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    task = posed("place", 0)
    assert isinstance(task, Place)
    touched = np.zeros(3, bool)
    monkeypatch.setattr(task.simulator, "touched", lambda: touched)
    aside = np.array([0.6, 0.8])
    for off, up, done in ((-0.001, 0, True), (0.001, 0, False), (-0.001, 0.019, True), (-0.001, 0.021, False)):
        assert put(task, task.target, task.goal + (REGION_RADIUS + off) * aside, up).success() == done
    put(task, task.target, task.goal)
    touched[task.target] = True
    assert not task.success()


def test_the_wall_may_move_by_8_mm_and_the_jaws_end_beside_the_object(monkeypatch: pytest.MonkeyPatch) -> None:
    task = posed("obstacle", 0)
    wall = [thing.name for thing in task.simulator.objects].index(OBSTACLE)
    assert isinstance(task, Obstacle)
    side = task.simulator.objects[task.target].radius
    for off, left, done in ((0.007, 0.034, True), (0.009, 0.034, False), (0.007, 0.036, False)):
        monkeypatch.setattr(task, "_distance", lambda left=left: side + left)
        assert put(task, wall, task.barrier + off * np.array([1, 0])).success() == done


def test_play_has_moved_something_by_a_centimetre() -> None:
    task = posed("play", 0)
    at = task.object_at(2)
    for off, done in ((0.009, False), (0.011, True)):
        assert put(task, 2, at[:2] + off * np.array([0, 1])).success() == done


def test_a_lifted_object_hangs_in_the_jaws() -> None:
    task = posed("lift", 0)
    assert carried_out(task)
    raised = task.object_at(task.target)[2]
    task.simulator.step(task.simulator.targets(), 1.0)
    assert task.object_at(task.target)[2] == pytest.approx(raised, abs=0.003)  # it does not slide out
    opened = task.simulator.targets()
    opened[-1] = 60
    task.simulator.step(opened, 1.0)
    assert not task.success()


def test_clutter_is_pushed_along() -> None:
    task = posed("clutter", 0)
    before = task.simulator.poses()[:, :3]
    carried_out(task)
    moved = np.linalg.norm(task.simulator.poses()[:, :3] - before, axis=1)
    assert np.delete(moved, task.target).max() > 0.005


def test_the_obstacle_stays_and_stands_in_the_way() -> None:
    task = posed("obstacle", 0)
    number = [thing.name for thing in task.simulator.objects].index(OBSTACLE)
    wall, goal = task.object_at(number), task.object_at(task.target)
    tips = task.kinematics.point(task.simulator.joints())
    along = (goal - tips)[:2] / np.linalg.norm((goal - tips)[:2])
    assert 0.03 < (wall - tips)[:2] @ along < np.linalg.norm((goal - tips)[:2])
    assert abs(np.cross([*along, 0], [*(wall - tips)[:2], 0])[2]) < 0.02
    assert tips[2] < 2 * wall[2]
    assert carried_out(task)
    np.testing.assert_allclose(task.object_at(number), wall, atol=0.005)


def test_a_clumsy_expert_fails_more_often() -> None:
    done = {clumsiness: sum(carried_out(posed("lift", s), clumsiness) for s in range(4)) for clumsiness in (0.0, 2.0)}
    assert done[2.0] < done[0.0]


def test_a_task_goes_on_identically_from_a_snapshot() -> None:
    task = posed("push", 1)
    before, ends = task.simulator.snapshot(), []
    for _ in range(2):
        task.simulator.restore(before)
        carried_out(task, clumsiness=0.5, seed=3)
        ends.append(np.concatenate([task.simulator.poses().ravel(), task.simulator.joints()]))
    np.testing.assert_array_equal(*ends)
