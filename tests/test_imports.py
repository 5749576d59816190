"""What is imported when, told by the modules that a fresh process holds, and the public API."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.tiny import write_data

import forearm
from forearm.training.config import TrainConfig
from forearm.training.loop import start_run, train
from forearm.training.run import Run

SLOW = {"torch", "accelerate", "av", "pyarrow", "scipy", "matplotlib", "mujoco", "fastapi", "huggingface_hub"}
SLOW |= {"torch._dynamo"}


def imported(code: str) -> set[str]:
    """Which of the slow packages a fresh process has imported after some code."""
    script = f"{code}\nimport sys, json; print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return SLOW & {*json.loads(done.stderr.splitlines()[-1])}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run of a few steps."""
    folder = tmp_path_factory.mktemp("imports")
    data = write_data(folder / "data")
    small = {"width": 16, "depth": 1, "heads": 2, "decoder_width": 16, "decoder_depth": 1, "decoder_heads": 2}
    run = start_run(folder / "run", "mae", small, TrainConfig(steps=2), data)
    train(run, data, device="cpu")
    return run.path


def test_forearm_itself_imports_nothing_slow():
    assert imported("import forearm; forearm.__version__; dir(forearm)") == set()


def test_a_process_that_reads_episodes_is_there_at_once():
    assert imported("import forearm.transitions.parts") == {"av", "pyarrow"}


HELP = """
import sys
from forearm.cli import COMMANDS, main
for command in ("", "train warp", *COMMANDS):
    sys.argv = ["forearm", *command.split(), "--help"]
    try:
        main()
    except SystemExit:
        pass
    assert not {slow} & sys.modules.keys(), command
"""


def test_help_imports_nothing_slow():
    assert imported(HELP.format(slow=SLOW)) == set()


def test_what_moves_a_real_arm_needs_no_simulator():
    """Its owner installs the extras robot and play."""
    modules = ("arms.recording", "arms.doctor", "play.live_app", "control.planning", "learning.start", "play.learn_app")
    assert "mujoco" not in imported("import " + ", ".join(f"forearm.{module}" for module in modules))


def test_opening_a_run_imports_no_more_than_torch(run):
    loaded = f"import forearm; forearm.open_run({str(run)!r}).load()"
    assert imported(loaded) == {"torch"}


def test_comparing_settings_with_weights_imports_no_compiler(run, tmp_path):
    code = f"""
from dataclasses import asdict
from pathlib import Path
import torch
from forearm.models import OURS, get_family, make_model
from forearm.training.run import Run, save_tensors
run = Run.open({str(run)!r})
for name in OURS:
    family = get_family(name)
    facts = run.config() | {{"family": name, "model": asdict(next(iter(family.sizes.values())))}}
    weights = Path({str(tmp_path)!r}) / name
    save_tensors(weights, make_model(name, run.layout(), facts["model"]).state_dict())
    Run.config = lambda self, facts=facts: facts
    run.make_model(weights)
"""
    assert imported(code) == {"torch"}


def test_what_forearm_offers_is_there():
    assert {*dir(forearm)} == {*forearm.__all__}
    for name in forearm.__all__:
        assert getattr(forearm, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = forearm.nothing


def test_a_run_is_opened_by_its_folder_or_as_it_is(run):
    opened = forearm.open_run(str(run))
    assert isinstance(opened, Run)
    assert forearm.open_run(opened) is opened


def test_the_version_has_one_source():
    text = (Path(__file__).resolve().parents[1] / "pyproject.toml").read_text()
    assert 'dynamic = ["version"]' in text
    assert 'attr = "forearm.__version__"' in text
