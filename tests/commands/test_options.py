"""How arguments become options: what has no effect, what is repeated, what cannot be read, what the help says."""

import dataclasses
import json
import re
import shutil
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import get_type_hints

import pytest
from support.commands import SMALL, error_of, files, forearm
from support.recordings import make_recording
from support.tiny import write_data

from forearm.cli import COMMANDS
from forearm.commands.options import _flat, parse
from forearm.models import family_names

CPU = ("--device", "cpu")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A recording with and one without a log, the dataset `data`, and a run of 3 steps; only to be read."""
    project = tmp_path_factory.mktemp("project")
    make_recording(project / "recording")
    make_recording(project / "logged", log_numbers=(0, 1, 2))
    write_data(project / "data")
    done = forearm("train", "mae", "--data", project / "data", "--out", project / "run", "--steps", 3, *SMALL, *CPU)
    assert done.code == 0, done.err
    return project


RESUME = ("train", "--out", "run", "--resume")
TRAIN = ("train", "mae", "--data", "data", "--out", "new")
TUNE = ("train", "--data", "data", "--out", "new", "--fine-tune", "run")
PLAN = ("plan", "run", "--like", "1", "--simulator", "0")
IMAGINED = ("plan", "run", "--joints", "pan", "0", "--start", "0")

WITHOUT_EFFECT = [
    (*RESUME, "--learning-rate", 0.1),
    (*RESUME, "--fine-tune", "run"),
    (*RESUME, "--parent", "run"),
    (*RESUME, "--notes", "notes.txt"),
    (*RESUME, "--size", "tiny"),
    (*RESUME, "--seed", 0),
    (*RESUME, "--minutes", 5, "--clock", "cpu"),
    ("train", "mae", "--out", "run", "--resume", "--model.depth", 2),
    ("train", "warp", "--out", "run", "--resume"),
    (*TUNE, "--size", "tiny"),
    (*TUNE, "--model.width", 16),
    ("train", "warp", *TUNE[1:]),
    (*TRAIN, "--steps", 5, "--minutes", 1),
    (*TRAIN, "--clock", "cpu"),
    (*TRAIN, "--plateau-patience", 2),
    ("build", "recording", "--out", "new", "--dead-band", 0.2),
    ("build", "recording", "--out", "new", "--val", 1, "--seed", 3),
    ("build", "recording", "--out", "new", "--val", 0, "--seed", 3),
    ("build", "recording", "--out", "new", "--stacking", "horizontal"),
    ("build", "logged", "--out", "new", "--step", 1.0),
    ("build", "logged", "--out", "new", "--actions", "log", "--stride", 1.0),
    ("inspect", "run", "--samples", 5),
    ("inspect", "run", "--data", "data"),
    ("inspect", "run", "--device", "cpu"),
    ("inspect", "data", "--html", "new.html", "--device", "cpu"),
    ("inspect", "data", "--html", "new.html", "--data", "data"),
    ("evaluate", "run", "--rollouts", 0, "--horizon", 5),
    ("evaluate", "run", "--horizon", 0, "--rollouts", 5),
    (*IMAGINED, "--mask", "mask.png"),
    (*IMAGINED, "--action-duration", 1.0),
    (*IMAGINED, "--planner", "cem", "--width", 2),
    ("plan", "run", "--joints", "pan", 0, "--simulator", 0, "--data", "data"),
    *((*PLAN, *option) for option in (("--robot-id", "a"), ("--camera", "base", 0), ("--max-step", 5))),
    *((*PLAN, option) for option in ("--release", "--yes")),
]


@pytest.mark.parametrize("args", WITHOUT_EFFECT, ids=lambda args: " ".join(map(str, args)))
def test_an_option_without_effect_is_refused(project, monkeypatch, args):
    monkeypatch.chdir(project)
    before = files(project)
    said = error_of(forearm(*args))
    assert re.search("no effect", said), said
    assert files(project) == before


@pytest.mark.skipif(find_spec("mujoco") is None, reason="needs the extra `sim`")
def test_how_often_actions_occur_has_no_effect_when_all_are_recorded(tmp_path):
    for action in ("--STAY", "--MOVE+", "--MOVE-"):
        said = error_of(forearm("record", "--every-action", action, 2, "--out", tmp_path / "new"))
        assert said.startswith(f"{action} has no effect with --every-action")


@pytest.mark.skipif(find_spec("mujoco") is None, reason="needs the extra `sim`")
def test_a_demo_that_is_done_is_not_shown_as_another(project, tmp_path):
    demo = tmp_path / "demo"
    shutil.copytree(project / "run", demo / "run")
    shutil.copytree(project / "data", demo / "data")
    facts = json.loads((demo / "data/dataset.json").read_text())
    (demo / "data/dataset.json").write_text(json.dumps(facts | {"settings": {"seed": 0}}))
    (demo / "recordings/meta").mkdir(parents=True)
    (demo / "recordings/meta/info.json").write_text('{"total_episodes": 12}')
    before = files(demo)
    for name, value, held in (("family", "warp", "mae"), ("steps", 2, 3), ("seed", 7, 0), ("episodes", 6, 12)):
        said = error_of(forearm("demo", "--out", demo, f"--{name}", value))
        assert f"holds a demo with {name} {held}, so --{name} has no effect; begin anew with --again" in said
    assert files(demo) == before


REGION = ("base", 1, 2, 3, 4, "part.png")


@pytest.mark.parametrize(
    "args",
    [
        (*TRAIN, "--steps", 5, "--steps", 6),
        (*TRAIN, "--model.depth", 1, "--model.depth=2"),
        ("plan", "run", "--start", 0, "--region", *REGION, "--joints", "pan", 0, "--region", *REGION),
        ("play", "run", "--open", "--no-open"),
    ],
    ids=str,
)
def test_an_option_given_twice_is_refused(project, monkeypatch, args):
    monkeypatch.chdir(project)
    assert "is given 2 times; give it once" in error_of(forearm(*args))


@pytest.mark.parametrize(
    ("command", "args", "name", "value"),
    [
        ("trial", ("--policy", "a", "--out", "t", "--policy", "b", "c", "--policy=d"), "policy", ("a", "b", "c", "d")),
        ("plan", ("--joints", "pan", -5, "--start", 0, "--joints", "lift", "1"), "joints", {"pan": -5, "lift": 1}),
        ("play", ("--allow-host", "a", "--port", 1, "--allow_host", "b"), "allow_host", ("a", "b")),
        (
            "train",
            ("--out", "t", "--track", "wandb", "--steps", 1, "--track", "trackio"),
            "track",
            ("wandb", "trackio"),
        ),
    ],
)
def test_the_values_of_an_option_that_takes_several_add_up(command, args, name, value):
    kind, rules = options_of(command)
    if command == "train":
        _, kind, _ = import_module("forearm.commands.train").subcommand(())
    run = () if command == "train" else ("run",)
    options = parse(kind, [str(arg) for arg in (*run, *args)], f"forearm {command}", "", rules)
    assert dict(_flat(options))[name] == value
    assert "May be given repeatedly." in " ".join(forearm(command, "--help").out.replace("│", "").split())


@pytest.mark.parametrize("twice", [("--joints", "pan", 0, "pan", 1), ("--joints", "pan", 0, "--joints", "pan", 1)])
def test_one_name_has_one_value(project, monkeypatch, twice):
    monkeypatch.chdir(project)
    assert "--joints names pan 2 times; name it once" in error_of(forearm("plan", "run", "--start", 0, *twice))


def options_of(command: str) -> tuple[type, tuple]:
    if command in ("record", "demo") and find_spec("mujoco") is None:
        pytest.skip("needs the extra `sim`")
    function = command.replace("-", "_")
    module = import_module(f"forearm.commands.{function}")
    hints = get_type_hints(getattr(module, function))
    return hints["options"], getattr(module, "RULES", ())


def fields_of(kind: type) -> set[str]:
    """The names of a dataclass's fields, and of those within them."""
    hints = get_type_hints(kind)
    within = (fields_of(hint) for hint in hints.values() if dataclasses.is_dataclass(hint))
    return set(hints).union(*within)


@pytest.mark.parametrize("command", COMMANDS)
def test_rules_are_about_options_that_there_are(command):
    kind, rules = options_of(command)
    names = fields_of(kind)
    for rule in rules:
        conditions = {condition.partition("=")[0] for condition in rule.condition.split("|")}
        assert conditions | {*rule.options} - {"STAY", "MOVE+", "MOVE_"} <= names


@pytest.mark.parametrize("args", [(command,) for command in COMMANDS] + [("train", name) for name in family_names()])
def test_help_is_plain_and_has_an_example(args):
    options_of(args[0])
    told = forearm(*args, "--help")
    assert told.code == 0, told.err
    assert f"Example: forearm {args[0]} " in told.out
    assert not re.search(r"\{None\}|options options|`|Args:|default: \)|default: none|\[STR (STR|FLOAT) ", told.out)


@pytest.mark.parametrize("args", [(), *((command,) for command in COMMANDS), *(("train", n) for n in family_names())])
def test_help_fits_80_columns_and_keeps_no_line_break_of_the_source(args, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = forearm(*args, "--help").out.splitlines()
    assert max(map(len, lines)) <= 80
    paragraph = [
        len(line.rstrip("│ ")) + len(then.strip("│ ").split()[0]) + 1
        for line, then in pairwise(lines)
        if re.match(r"│ {10,}\w", then) and re.match(r"│ {10,}\w", line)
    ]
    assert all(room > 78 for room in paragraph)  # the next word did not fit


@pytest.mark.parametrize("name", family_names())
def test_a_family_shows_its_settings_at_every_size(name):
    from forearm.models import get_family

    words = " ".join(forearm("train", name, "--help").out.replace("│", "").split())
    for size, config in get_family(name).sizes.items():
        assert f"{size}: {config.width}" in words
    for field in dataclasses.fields(config):
        option = f"--model.{field.name.replace('_', '-')} "
        told = words[words.index(option) + len(option) :].partition("(so101: ")[0]
        assert len(told.split()) > 2, f"{option} has no explanation"


def test_without_a_family_settings_are_those_of_the_default(project, tmp_path):
    run = tmp_path / "run"
    small = ("--model.width", 16, "--model.levels", 1, "--model.reversed-pairs", "true")
    done = forearm("train", "--data", project / "data", "--out", run, "--steps", 1, *small, *CPU)
    assert done.code == 0, done.err
    config = json.loads((run / "config.json").read_text())
    assert config["family"] == "warp"
    assert (config["model"]["width"], config["model"]["reversed_pairs"]) == (16, True)


def test_a_finished_training_goes_on_to_a_later_end(project, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(project / "run", run)
    before = files(run)
    assert "run run has done 3 steps, so it cannot go on to 3 steps; choose more" in error_of(
        forearm("train", "--out", run, "--resume", "--steps", 3, *CPU)
    )
    assert files(run) == before
    done = forearm("train", "mae", "--out", run, "--resume", "--steps", 6, *CPU)
    assert done.code == 0, done.err
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in log if "val_loss" in entry] == [0, 3, 6]
    assert json.loads((run / "config.json").read_text())["training"]["steps"] == 6
