"""``forearm plan --planner carries`` in the simulator: things are grasped and put down, or it is said why not."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from support.tiny import make_layout

from forearm.base.errors import ForearmError
from forearm.canvas import ActionDimension, Camera, Joint, Layout
from forearm.control import planning
from forearm.control.loop import REACHED, TOO_LONG, EpisodeLog
from forearm.control.settings import PlanSettings
from forearm.evaluation.baselines import Persistence
from forearm.sim import JOINTS, Simulator
from forearm.sim.arm import SimulatedArm
from forearm.sim.tasks import pose_task
from forearm.sim.tasks.lift import Lift

LAYOUT = make_layout(
    cameras=(Camera("base", 64, 64),),
    joints=tuple(Joint(name, "deg", -120, 120) for name in JOINTS),
    actions=tuple(ActionDimension(name, name, "deg", 40.0) for name in JOINTS),
    discrete=False,
    action_duration=0.5,
)
SEED = 2


@pytest.fixture(scope="module")
def scene() -> SimpleNamespace:
    """What ``--simulator 2 --task lift`` shows, and the box (4,) of an object in it that can be grasped, pixels."""
    arm = SimulatedArm(Simulator(SEED, Lift.world), LAYOUT)
    lift = pose_task(arm.simulator, Lift, np.random.default_rng([SEED, 1]))
    assert isinstance(lift, Lift)
    box = arm.simulator.environment().reshape(3, -1)[lift.target, 8:12] * 64
    picture = arm.observe().picture
    arm.close()
    return SimpleNamespace(box=box, picture=picture)


@pytest.fixture
def carried(monkeypatch: pytest.MonkeyPatch, scene: SimpleNamespace):
    """Plans with a run of a layout, which foresees that nothing changes."""

    def plan(layout: Layout = LAYOUT, **settings: object) -> EpisodeLog:
        run = SimpleNamespace(layout=lambda: layout, load=lambda *about: Persistence(), path=Path("run"))
        monkeypatch.setattr(planning.Run, "open", lambda given: run)
        given = {"simulator": SEED, "task": "lift", "planner": "carries"} | settings
        return planning.plan(Path("run"), PlanSettings(**given))  # type: ignore[arg-type]

    return plan


def of_object(scene: SimpleNamespace) -> dict[str, str]:
    middle = (scene.box[:2] + scene.box[2:]) / 2
    target = middle + np.sign(32 - middle) * [10, 0]
    words = [",".join(f"{number:.1f}" for number in numbers) for numbers in (scene.box, target)]
    return {"object": f"base:{words[0]}", "to": f"base:{words[1]}"}


def test_an_object_is_grasped_and_put_where_it_is_to_be(carried, scene) -> None:
    episode = carried(**of_object(scene))
    assert episode.outcome == REACHED
    assert 9 <= episode.actions <= 30
    assert np.ptp([step.seen.joints[5] for step in episode.steps]) > 20, "the gripper closes"


def test_the_object_of_a_crop_is_put_into_a_region(carried, scene, tmp_path) -> None:
    left, top, right, bottom = scene.box.round().astype(int)
    Image.fromarray(scene.picture[top:bottom, left:right]).save(tmp_path / "crop.png")
    middle = (scene.box[:2] + scene.box[2:]) / 2
    x, y = (middle + np.sign(32 - middle) * [10, 0]).round().astype(int).clip(9, 55) - 9
    episode = carried(region=("base", int(x), int(y), 18, 18, tmp_path / "crop.png"))
    assert episode.outcome == REACHED
    noise = np.random.default_rng(0).integers(0, 255, (8, 8, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    with pytest.raises(ForearmError, match="the camera base shows nothing like the crop"):
        carried(region=("base", int(x), int(y), 18, 18, tmp_path / "noise.png"))


def test_too_few_steps_begin_no_carry_and_too_short_a_depth_is_refused(carried, scene) -> None:
    episode = carried(**of_object(scene), steps=5)
    assert (episode.outcome, episode.actions) == (TOO_LONG, 0)
    with pytest.raises(ForearmError, match=r"this carry takes \d+ actions; choose a depth of \d+ or more"):
        carried(**of_object(scene), depth=5)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"actions": LAYOUT.actions[:5]}, "this run's actions move .*wrist_roll, no gripper"),
        ({"actions": LAYOUT.actions[1:]}, "carries need a run whose actions move all joints at once by any amount"),
        ({"action_is": "target"}, "carries need a run whose actions move all joints at once by any amount"),
    ],
)
def test_a_run_whose_actions_cannot_carry_is_refused(carried, scene, changes, said: str) -> None:
    with pytest.raises(ForearmError, match=said):
        carried(replace(LAYOUT, **changes), **of_object(scene))
