"""``forearm plan`` as a user meets it: what it finds, what it leaves behind, and what it refuses in one line."""

import dataclasses
import json
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.commands import SMALL, error_of, files, forearm
from support.tiny import write_data

from forearm.arms.settings import RobotSettings
from forearm.base.files import locked
from forearm.control import planning
from forearm.control.goals import JointGoal
from forearm.control.planners import TreeSearch
from forearm.control.settings import PlanSettings
from forearm.training.run import Run
from forearm.transitions import TransitionSet

CPU = ("--device", "cpu")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A folder with the dataset `data`, a run that was trained on it, and pictures; only to be read."""
    project = tmp_path_factory.mktemp("project")
    write_data(project / "data")
    trained = forearm("train", "mae", "--data", project / "data", "--out", project / "run", "--steps", 3, *SMALL, *CPU)
    assert trained.code == 0
    for name, size in (("good", (8, 8)), ("large", (9, 8)), ("crop", (3, 3))):
        noise = np.random.default_rng(0).integers(0, 255, (*size[::-1], 3)).astype(np.uint8)
        Image.fromarray(noise).save(project / f"{name}.png")
    (project / "text.png").write_text("no picture")
    return project


@pytest.mark.parametrize("planner", ["tree", "cem"])
def test_a_dream_is_written_whole(project, tmp_path, planner: str) -> None:
    out = tmp_path / "plan"
    done = forearm(
        *("plan", project / "run", "--start", 0, "--like", 5, "--steps", 2, "--depth", 2),
        *("--planner", planner, "--out", out, *CPU),
    )
    assert (done.code, done.out.strip()) == (0, str(out))
    assert sorted(path.name for path in out.iterdir()) == ["episode.json", "film.gif", "film.mp4"]
    told = json.loads((out / "episode.json").read_text())
    assert (told["run"], told["goal"]) == (str(project / "run"), {"like": 5})
    data = TransitionSet(project / "data")
    first = dict(zip(data.layout.joint_names, data.positions(np.array([0]))[0, -2].tolist(), strict=True))
    assert told["steps"][0]["joints"] == pytest.approx(first)
    assert told["outcome"] in done.err.replace("\n", " ")
    assert error_of(forearm("plan", project / "run", "--start", 0, "--like", 5, "--out", out)).startswith(
        f"{out} already exists"
    )


def test_a_goal_beside_a_task_is_the_goal_and_only_without_one_it_is_asked_for(project, monkeypatch) -> None:
    """The objects of --task may stand around an arm that is to reach joints."""
    goals = []
    real = planning.control
    arm = planning._arm

    def imagined(run, layout, settings, *others):
        return arm(run, layout, dataclasses.replace(settings, start=0), *others)

    monkeypatch.setattr(planning, "_arm", imagined)
    monkeypatch.setattr(
        planning, "control", lambda *args, **others: goals.append(args[2]) or real(*args, **{**others, "steps": 1})
    )
    told = ("plan", project / "run", "--simulator", 7, "--task", "push", *CPU)
    assert forearm(*told, "--joints", "pan", 0).code == 0
    assert isinstance(goals[0], JointGoal)
    assert error_of(forearm(*told)).startswith("give --object and --to")


def test_a_folder_that_is_being_written_is_refused_before_anything_moves(project, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(planning, "control", lambda *args, **settings: pytest.fail("it moves"))
    with locked(tmp_path / "plan"):
        planned = forearm("plan", project / "run", "--start", 0, "--like", 5, "--out", tmp_path / "plan", *CPU)
    assert "plan is being written by process" in error_of(planned)


@pytest.mark.parametrize(
    "goal",
    [
        ("--joints", "pan", 0, "lift.pos", 0),
        ("--picture", "good.png", "good.png"),
        ("--picture", "good.png", "good.png", "--mask", "good.png", "good.png"),
        ("--region", "wrist", 1, 2, 4, 5, "crop.png"),
    ],
    ids=lambda goal: goal[0],
)
def test_every_kind_of_goal_is_taken(project, monkeypatch, goal) -> None:
    monkeypatch.chdir(project)
    layout = Run.open(project / "run").layout()
    if goal[0] == "--joints":
        goal = (goal[0], *(word for joint in layout.joints for word in (joint.name, (joint.low + joint.high) / 2)))
    done = forearm("plan", "run", *goal, "--start", 3, "--steps", 1, *CPU)
    assert (done.code, done.out) == (0, "")
    assert "cost" in done.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--start", 0), "plan needs one goal, --joints, --picture, --like, --region, --object; none is given"),
        (("--like", 1), "plan needs one start, --start, --simulator, --robot; none is given"),
        (("--like", 1, "--joints", "pan", 0, "--start", 0), "--joints and --like are two"),
        (("--like", 1, "--start", 0, "--simulator", 0), "--start and --simulator are two"),
        (("--joints", "pan", 400, "--start", 0), "the goal pan=400 lies outside the joint's limits"),
        (("--joints", "knee", 0, "--start", 0), "no joint 'knee'; there are pan, lift"),
        (("--joints", "pan", "--start", 0), "Error parsing --joints"),
        (("--picture", "good.png", "--start", 0), "the goal has 1 pictures; give one for each camera: base, wrist"),
        (("--picture", "good.png", "large.png", "--start", 0), "camera wrist is 8×9 pixels high and wide, not 8×8"),
        (
            ("--picture", "good.png", "text.png", "--start", 0),
            "the picture text.png cannot be read: it is no PNG, JPEG or WebP",
        ),
        (("--picture", "good.png", "no.png", "--start", 0), "the picture no.png cannot be read: no.png is missing"),
        (("--to", "base:0.5,0.5", "--like", 1, "--start", 0), "--to has no effect without --object"),
        (("--task", "push", "--like", 1, "--start", 0), "--task has no effect without --simulator"),
        (("--object", "base:0.5,0.5", "--start", 0), "give --object and --to, such as"),
        (("--object", "top:0.5,0.5", "--to", "base:1,1", "--start", 0), "no camera 'top'; there are base, wrist"),
        (("--object", "base:1,2,3", "--to", "base:1,1", "--start", 0), "is not CAMERA:X,Y or LEFT,TOP,RIGHT,BOTTOM"),
        (("--object", "base:1,1,5,5", "--to", "wrist:1,1", "--start", 0), "give both in one"),
        (("--object", "", "--to", "base:1,1", "--start", 0), "--object '' is not CAMERA:X,Y or"),
        (("--object", "0.5,0.5", "--to", "base:1,1", "--start", 0), "--object '0.5,0.5' is not CAMERA:X,Y or"),
        (("--object", "base:-0.1,0.5", "--to", "base:1,1", "--start", 0), "is not within the picture of camera base"),
        (("--object", "base:1,1,5,5", "--to", "base:1.5,0.5", "--start", 0), "mixes shares of the picture"),
        (("--object", "base:1,1,5,5", "--to", "goal.jpg", "--start", 0), "--to 'goal.jpg' is not CAMERA:X,Y, such as"),
        (
            ("--object", "base:1,1", "--to", "base:1,1", "--robot", "/dev/null", "--planner", "strokes"),
            "strokes push an --object with --simulator",
        ),
        (
            ("--like", 1, "--start", 0, "--planner", "strokes"),
            "strokes push an --object with --simulator; choose --planner tree or cem",
        ),
        (("--keep", "base:1,1,5", "--like", 1, "--start", 0), "--keep 'base:1,1,5' is not CAMERA:X,Y or"),
        (("--keep", "base:0,0.5", "--like", 1, "--start", 0), "draw it around the object alone"),
        (
            ("--joints", "pan", 0, "--start", 0, "--planner", "waypoints"),
            "waypoints lead to --joints, with a run whose actions move joints by any amount",
        ),
        (("--mask", "good.png", "--like", 1, "--start", 0), "--mask has no effect without --picture"),
        (("--region", "wrist", 1, 2, 2, 2, "crop.png", "--start", 0), "does not fit in a box 2 wide and 2 high"),
        (("--like", 4000, "--start", 0), "has no row 4000; it has rows 0 to 47"),
        (("--like", 1, "--start", -1), "has no row -1"),
        (("--like", 1, "--start", 0, "--data", "nowhere"), "nowhere is no dataset"),
        (("--like", 1, "--start", 0, "--depth", 0), "depth is 0; choose at least 1"),
        (("--like", 1, "--start", 0, "--steps", 0), "steps is 0; choose at least 1"),
        (("--like", 1, "--robot", "/dev/null", "--camera", "base"), "Error parsing --camera"),
        (("--like", 1, "--robot", "/dev/null", "--camera", "base", 0), "looks through camera wrist; name it with"),
        (("--like", 1, "--start", 0, "--device", "mars"), "no device 'mars'"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(project, monkeypatch, options, said: str) -> None:
    monkeypatch.chdir(project)
    before = files(project)
    assert said in error_of(forearm("plan", "run", "--out", "plan", *options))
    assert files(project) == before


def test_a_run_without_a_model_is_one_line(project, tmp_path) -> None:
    run = shutil.copytree(project / "run", tmp_path / "run")
    (run / "best.safetensors").unlink()
    assert "best.safetensors is missing; train the run first" in error_of(
        forearm("plan", run, "--like", 1, "--start", 0)
    )
    assert "is no run" in error_of(forearm("plan", tmp_path, "--like", 1, "--start", 0))


def test_a_missing_extra_is_one_line(project, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "lerobot", None)
    cameras = ("--camera", "base", 0, "wrist", 1)
    said = error_of(forearm("plan", project / "run", "--like", 1, "--robot", "/dev/null", *cameras))
    assert said == "this needs lerobot; install it with: pip install 'forearm[robot]'"


@pytest.mark.skipif(find_spec("mujoco") is None, reason="needs the extra `sim`")
def test_a_run_of_another_arm_is_not_for_the_simulator(project) -> None:
    said = error_of(forearm("plan", project / "run", "--like", 1, "--simulator", 0))
    assert said.startswith("the simulated SO-101 has no joint 'pan' as this run has")
    said = error_of(forearm("plan", project / "run", "--like", 1, "--simulator", -1))
    assert said == "the simulator's seed is -1; choose a number from 0 up"


def test_a_dry_run_takes_one_action_at_most():
    planner, steps = TreeSearch(), 7
    assert planning._most_actions(PlanSettings(steps=steps), planner) == steps
    assert planning._most_actions(PlanSettings(steps=steps, arm=RobotSettings(dry_run=True)), planner) == 1
