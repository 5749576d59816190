"""There and back: what is pushed to the Hub is used by its id, wherever a run or a dataset goes."""

import json
import re
from pathlib import Path

import pytest
from support.commands import error_of, forearm
from support.tiny import untrained, write_data

from forearm.base.hub import DATASET, RUN, at_hand
from forearm.report.assessment import _training_data
from forearm.training.run import Run
from forearm.transitions.bounds import read_bounds


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A dataset and a run of it, only to be read."""
    folder = tmp_path_factory.mktemp("push")
    data = write_data(folder / "data", episodes=4, length=3)
    untrained(data, folder / "run")
    return folder


def test_a_run_goes_to_the_hub_and_is_used_by_its_id(hub, project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pushed = forearm("push", project / "data", "me/bars", "--licence", "mit", "--private")
    assert pushed.code == 0, pushed
    assert "files of a dataset" in pushed.err
    assert "to me/bars on the Hub (private" in pushed.err
    assert forearm("push", project / "run", "me/run", "--dataset", "me/bars").code == 0
    card = hub.repositories["model", "me/run"]["README.md"].decode()
    assert 'datasets: ["me/bars"]' in card
    assert "It has not been evaluated." in card
    assert "None was given" in card
    assert hub.private == {("dataset", "me/bars"): True, ("model", "me/run"): False}
    assert 'license: "mit"' in hub.repositories["dataset", "me/bars"]["README.md"].decode()

    evaluated = forearm("evaluate", "me/run@main", "--device", "cpu", "--rollouts", 0, "--samples", 1)
    assert evaluated.code == 0, evaluated
    run = Run.open(at_hand(Path("me/run@main"), RUN))
    assert (run.path / "evaluation" / "metrics.json").is_file()
    assert run.name == "run@main"
    assert run.data_folder() == at_hand(Path("me/bars"), DATASET) == _training_data(run, run.data())
    audited = forearm("inspect", "--audit", "me/run", "--device", "cpu")
    assert "found in run" in audited.out, audited
    fetched, own = (each / "frames.npy" for each in (at_hand(Path("me/bars"), DATASET), project / "data"))
    assert fetched.read_bytes() == own.read_bytes()
    assert "family" in forearm("inspect", "me/run").out
    assert "transitions" in forearm("inspect", "me/bars").out
    assert read_bounds(Path("me/run")) == read_bounds(Path("me/bars")) == read_bounds(project / "data")
    assert "neither a folder here nor a LeRobot data set" in error_of(forearm("inspect", "me/nothing"))
    tuned = forearm(
        *("train", "--data", "me/bars", "--out", "tuned", "--fine-tune", "me/run", "--steps", 1, "--device", "cpu")
    )
    assert tuned.code == 0, tuned


def test_no_path_of_this_machine_is_pushed(project, tmp_path):
    forearm("evaluate", project / "run", "--device", "cpu", "--rollouts", 4, "--horizon", 2, "--samples", 1)
    done = forearm("push", project / "run", "me/run", "--dry-run", tmp_path / "out")
    assert done.code == 0, done
    assert done.out.strip() == str(tmp_path / "out" / "README.md")
    again = error_of(forearm("push", project / "run", "me/run", "--dry-run", tmp_path / "out"))
    assert again.endswith("already exists; choose another --dry-run or remove it first")
    texts = [each for each in (tmp_path / "out").rglob("*") if each.suffix in (".json", ".html", ".md", ".jsonl")]
    assert {"config.json", "report.html", "metrics.json", "README.md"} <= {each.name for each in texts}
    assert not [each for each in texts if str(project) in each.read_text(encoding="utf-8")]
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    metrics = json.loads((tmp_path / "out" / "evaluation" / "metrics.json").read_text())
    assert f"`val_mse_moves` ↓) | {metrics['val_mse_moves']:.3g}"[:40] in card
    fed_back = metrics["ssim_fed_back"]
    assert fed_back == pytest.approx(metrics["rollouts"]["curves"]["model"]["ssim"][1])
    first = card[card.index("## Figures") :].splitlines()[4]
    assert re.match(rf"\| structural similarity, fed back for .* \(`ssim_fed_back` ↑\) \| {fed_back:.2f}", first)
    assert all(warning in card for warning in metrics["warnings"])
    assert not (tmp_path / "out" / "resume.safetensors").exists()


def test_what_cannot_be_pushed_is_said_in_one_line(hub, project, tmp_path):
    assert "is neither a run, nor a dataset" in error_of(forearm("push", tmp_path, "me/nothing"))
    assert "is no Hub id" in error_of(forearm("push", project / "run", "nobody"))
    assert "--dataset belongs to a run" in error_of(forearm("push", project / "data", "me/d", "--dataset", "me/other"))
    assert not hub.repositories


def test_what_the_hub_does_not_have_is_said_in_one_line(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "is neither a folder here nor a run the Hub gives out" in error_of(forearm("evaluate", "me/none"))
