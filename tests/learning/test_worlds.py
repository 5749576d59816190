"""Worlds: the simulator's scenes follow from its seed, and an arm that pushes rearranges its own."""

import json
from importlib.util import find_spec

import numpy as np
import pytest
from support.commands import error_of, forearm

if find_spec("mujoco") is None:
    pytest.skip("needs the extra `sim`", allow_module_level=True)

from forearm.canvas import ActionDimension, Camera, Joint, Layout
from forearm.learning.simulated import SimulatedWorld
from forearm.recordings import open_recording
from forearm.sim import CAMERAS, JOINTS
from forearm.training.run import Run

LAYOUT = Layout(
    tuple(Camera(name, 16, 16, (16, 16), 2) for name in CAMERAS),
    tuple(Joint(name, "%" if name == "gripper" else "deg", -90, 90, unit_origin="declared") for name in JOINTS),
    (ActionDimension("shoulder_pan", "shoulder_pan", "deg", 10.0),),
    patch=8,
    separator=8,
    action_duration=0.5,
)


def test_pushing_moves_one_object_and_loads_no_other_scene():
    world = SimulatedWorld(LAYOUT, 3, push=True)
    before, arm = world.arm.simulator.poses()[:, :2], world.arm
    world.enter(1, wide=False, told=False)
    moved = np.linalg.norm(world.arm.simulator.poses()[:, :2] - before, axis=1)
    assert world.arm is arm
    assert moved.max() > 0.02, "metres"
    assert np.sum(moved > 0.005) == 1
    world.enter(1, wide=False, told=False)
    np.testing.assert_allclose(np.linalg.norm(arm.simulator.poses()[:, :2] - before, axis=1), moved)
    assert arm.spec(2).environment


def test_the_command_learns_in_the_simulator(tmp_path):
    record = ("record", "--episodes", 6, "--size", 16, "--fps", 2, "--processes", 1, "--out", tmp_path / "recording")
    assert forearm(*record).code == 0
    assert forearm("build", tmp_path / "recording", "--size", 16, "--out", tmp_path / "data").code == 0
    small = ("--model.width", 8, "--model.levels", 2, "--model.layers", 1, "--device", "cpu")
    train = ("train", "warp", "--data", tmp_path / "data", "--out", tmp_path / "run", "--steps", 1, *small)
    assert forearm(*train).code == 0
    counts = ("--actions", 3, "--verify", 1, "--explore", 2, "--locked", 2, "--wide", 2, "--wide-scenes", 2)
    learn = ("learn", tmp_path / "run", "--out", tmp_path / "out", "--no-page", "--device", "cpu", "--steps", 1)
    assert "--simulator SCENE, or --robot PORT" in error_of(forearm(*learn, *counts))
    with_page = [word for word in learn if word != "--no-page"]
    refused = forearm(*with_page, *counts, "--simulator", 5, "--target", "nan", "--port", 0)
    assert "target is nan" in error_of(refused)
    assert not refused.out, "no page is announced that nothing will be shown on"
    done = forearm(*learn, *counts, "--simulator", 5, "--rearrange-every", 2)
    assert done.code == 0
    assert done.out.strip() == str(tmp_path / "out" / "run")
    assert "cycle 1: 3 actions, locked error" in done.err
    assert "ended: all actions are recorded" in done.err
    scenes = [e["session_seed"] for e in map(json.loads, _headers(tmp_path / "out/recordings/cycle_001"))]
    assert scenes[:2] == [5, 5]
    assert scenes[2] != 5
    assert len(open_recording(tmp_path / "out/recordings/wide").episodes) == 2
    assert Run.open(tmp_path / "out" / "run").layout() == Run.open(tmp_path / "run").layout()


def _headers(recording):
    return [path.read_text().split("\n")[0] for path in sorted(recording.glob("meta/discrete_action_logs/*"))]
