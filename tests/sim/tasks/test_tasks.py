"""Every task can be posed, is not done at first, and is done by its expert."""

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("mujoco") is None:  # not imported here: forearm.sim must be the first to do so
    pytest.skip("needs the extra `sim`", allow_module_level=True)

from forearm.sim import Simulator
from forearm.sim.hand import Hand
from forearm.sim.objects import OBSTACLE
from forearm.sim.tasks import TASKS, Task, pose_task
from forearm.sim.teleoperation import carry_out


def posed(name: str, seed: int, which: str = "training") -> Task:
    simulator = Simulator(seed, replace(TASKS[name].world, which=which))
    return pose_task(simulator, TASKS[name], np.random.default_rng(seed))


def carried_out(task: Task, clumsiness: float = 0.0, seed: int = 0) -> bool:
    return carry_out(task, Hand(task.simulator, clumsiness, np.random.default_rng(seed)))


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
    tips = task.hand.kinematics.point(task.simulator.joints())
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
