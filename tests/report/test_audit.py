"""`forearm inspect --audit` on recordings, datasets and runs: exit code, lines, figures and page."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
from support.browser import opened
from support.commands import SMALL, forearm
from support.defects import DEFECTS, clean_episodes, write_recording
from support.pages import Page
from support.tiny import write_data

from forearm.batch import Prediction
from forearm.recordings.audit import CHECKS
from forearm.report.audit import audit
from forearm.report.audit_page import CHECKED
from forearm.training.run import Run
from forearm.transitions import TransitionSet

PLANTED = {"black_pictures": 3, "frozen_pictures": 2, "spike": 1, "idle_ends": 5}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """A clean recording, one with four defects, a dataset of each, and a run; only to be read."""
    shelf = tmp_path_factory.mktemp("audited")
    write_recording(shelf / "clean", clean_episodes())
    episodes = clean_episodes()
    for kind in PLANTED:
        DEFECTS[kind][0](episodes)
    write_recording(shelf / "spoiled", episodes)
    for name in ("clean", "spoiled"):
        options = ("--step", 0.2, "--stride", 0.1, "--size", 32, "--out", shelf / f"{name}_data")
        assert forearm("build", shelf / name, *options).code == 0
    options = ("--data", shelf / "clean_data", "--out", shelf / "run", "--steps", 2, *SMALL, "--device", "cpu")
    assert forearm("train", "mae", *options).code == 0
    return shelf


@pytest.mark.parametrize("name", ["clean", "clean_data", "run"])
def test_what_is_clean_says_so(shelf, name):
    ended = forearm("inspect", "--audit", shelf / name)
    assert (ended.code, ended.out.splitlines()[0].startswith("Nothing was found in ")) == (0, True)


@pytest.mark.parametrize("name", ["spoiled", "spoiled_data"])
def test_planted_defects_are_found_through_files(shelf, tmp_path, name):
    ended = forearm("inspect", shelf / name, "--audit", "--json", tmp_path / "found.json")
    assert ended.code == 1
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["matters"] == len(PLANTED)
    assert {finding["kind"]: finding["spans"][0][0] for finding in found["findings"]} == PLANTED
    assert ended.out.count("\n! ") == len(PLANTED)
    assert found["joints"][0]["joint"].startswith("pan")
    assert all(sum(joint["shares"]) == pytest.approx(1) for joint in found["joints"])


def test_links_out_of_a_recording_are_followed_if_asked(shelf, tmp_path):
    outside = shutil.copytree(shelf / "clean", tmp_path / "linked")
    (video,) = outside.glob("videos/*base/*/*.mp4")
    video.rename(tmp_path / "outside.mp4")
    video.symlink_to(tmp_path / "outside.mp4")
    assert "leads out of the recording" in forearm("inspect", outside, "--audit").err
    assert forearm("inspect", outside, "--audit", "--follow-links").code == 0
    assert forearm("inspect", outside, "--pictures", tmp_path / "seen.png").code == 2
    options = ("--pictures", tmp_path / "seen.png", "--html", tmp_path / "page.html", "--samples", 4)
    ended = forearm("inspect", outside, "--follow-links", *options)
    assert (ended.code, "leads out" in ended.out) == (0, False), ended.err


def test_bad_input_is_told_apart_from_findings(shelf, tmp_path):
    assert forearm("inspect", "--audit", tmp_path).code == 2
    assert forearm("inspect", "--audit", shelf / "clean", "--samples", 3).code == 2
    (tmp_path / "mine.html").write_text("precious")
    ended = forearm(
        "inspect", "--audit", shelf / "clean", "--html", tmp_path / "mine.html", "--json", tmp_path / "a.json"
    )
    assert (ended.code, (tmp_path / "mine.html").read_text()) == (2, "precious")
    assert not (tmp_path / "a.json").exists()


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_shows_each_finding_with_a_picture(shelf, tmp_path, width):
    assert forearm("inspect", shelf / "spoiled", "--audit", "--html", tmp_path / "page.html").code == 1
    page = Page(tmp_path / "page.html")
    assert page.needs_nothing_else()
    assert page.text.index("4 things were found in spoiled") < page.text.index("Findings")
    assert "episode 3, row 20 to 39" in page.text
    with opened((tmp_path / "page.html").as_uri(), viewport={"width": width, "height": 800}) as browser:
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
        findings = browser.locator("article.matters")
        assert findings.count() == len(PLANTED)
        assert all(finding.locator("img, svg").count() for finding in findings.all())


def test_a_run_is_audited_on_its_data_with_its_errors(shelf):
    errors = [episode.error for episode in audit(shelf / "run", "cpu").subject.episodes]
    assert len(errors) == 8
    assert min(errors) > 0


class Foresight:
    """Predicts what a dataset holds, a little darker."""

    def __init__(self, data):
        self.data = data

    def predict(self, batch):
        return Prediction(torch.from_numpy(0.9 * self.data.last_frames(batch.rows)))


def test_a_run_is_surprised_by_the_episode_that_differs(shelf, tmp_path, monkeypatch):
    data = TransitionSet(shelf / "clean_data")
    monkeypatch.setattr(Run, "load", lambda run, *_: Foresight(data))
    run = shutil.copytree(shelf / "run", tmp_path / "run")
    assert not [f for f in audit(run, "cpu").findings if f.kind == "surprising_episodes"]
    odd = shutil.copytree(shelf / "clean_data", tmp_path / "odd")
    frames = np.load(odd / "frames.npy")
    frames[data.columns.frames[data.columns.episodes == 5]] //= 2  # the light went out
    np.save(odd / "frames.npy", frames)
    config = run / "config.json"
    config.write_text(config.read_text().replace(str(data.path.resolve()), str(odd)))
    (found,) = [f for f in audit(run, "cpu").findings if f.kind == "surprising_episodes"]
    assert [index for index, _, _ in found.spans] == [5]


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        (lambda actions: actions, None, ""),
        (lambda actions: -actions, "action_sign_or_unit", "pan moves the other way than it is commanded."),
        (np.deg2rad, "action_sign_or_unit", "times as far as it is commanded: degrees against radians."),
    ],
)
def test_commands_of_a_dataset_are_compared_with_what_joints_did(tmp_path, change, kind, says):
    data = write_data(tmp_path / "data", episodes=12)
    dataclasses.replace(data.columns, actions=change(data.columns.actions)).write(data.path / "transitions.parquet")
    found = [f for f in audit(data.path, "cpu").findings if f.kind.startswith("action")]
    assert [f.kind for f in found] == ([kind] if kind else [])
    assert all(says in f.says for f in found)


def test_every_kind_of_finding_has_a_name_on_the_page():
    assert set(DEFECTS) | {"unreadable", "pairing", "surprising_episodes", "other_pose"} <= set(CHECKED) | {
        "unclear_lag"
    }
    assert len(set(CHECKS)) == len(CHECKS)
