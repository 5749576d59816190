"""``forearm trial`` as a user meets it: what it writes, what it replaces, and what it refuses in one line."""

import json

import pytest
from support.commands import error_of, files, forearm
from support.tiny import make_layout, untrained, write_data

from forearm.canvas import ActionDimension

ACTIONS = (ActionDimension("pan", "pan", "deg", 10.0), ActionDimension("lift", "lift", "deg", 10.0))
CPU = ("--device", "cpu")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trial")
    layout = make_layout(discrete=False, action_is="target", action_duration=0.2, history=3, actions=ACTIONS)
    return untrained(write_data(folder / "data", layout), folder / "run", "warp").path


def test_a_report_is_written_and_replaced(run, tmp_path):
    out = tmp_path / "trials"
    for policies in (("replay", "still"), ("noise:3",)):
        done = forearm("trial", run, "--policy", *policies, "--out", out, *CPU)
        assert done.code == 0, done.err
        assert done.out.strip() == str(out / "report.html")
        figures = json.loads((out / "trials.json").read_text())
        assert [each["policy"] for each in figures["policies"]] == list(policies)
        assert all(0 <= each["dream"]["interval"][0] <= 1 for each in figures["policies"])
    page = (out / "report.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert "forearm trial …/run --policy noise:3 --out …/trials --device cpu" in page
    assert "starts from data" in page


def test_a_person_is_asked_and_then_the_same_command_goes_on(run, tmp_path):
    command = (
        "trial",
        run,
        "--policy",
        "replay",
        "--success",
        f"sheets:{tmp_path / 'sheets'}",
        "--out",
        tmp_path / "t",
    )
    asked = forearm(*command, *CPU)
    assert "2 sheets wait to be judged" in error_of(asked)
    folder = tmp_path / "sheets" / "00"
    (folder / "scores.json").write_text(json.dumps({"trial-0000": 1, "trial-0001": 0}))
    assert forearm(*command, *CPU).code == 0
    assert json.loads((tmp_path / "t/trials.json").read_text())["policies"][0]["scores"] == [1, 0]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ((), "no policy is given"),
        (("--policy", "replay", "--success", "nonsense"), "no way to judge is called"),
        (("--policy", "replay", "--success", "object"), "does not know where objects are"),
        (("--policy", "expert:1"), "give --simulator"),
        (("--policy", "replay", "--episodes", "99"), "no episode 99"),
        (("--policy", "replay", "--starts", "1"), "at least 2"),
        (("--policy", "replay", "--episodes", "3"), "gives 1: name more with --episodes"),
        (
            ("--policy", "replay", "--simulator", "nowhere"),
            "there is no folder nowhere; give",
        ),
    ],
)
def test_what_cannot_be_tried_is_refused_and_nothing_is_written(run, tmp_path, given, says):
    assert says in error_of(forearm("trial", run, *given, "--out", tmp_path / "new", *CPU))
    assert not files(tmp_path)


def test_something_elses_folder_is_kept(run, tmp_path):
    (tmp_path / "mine.txt").write_text("keep me")
    assert "is no trial's" in error_of(forearm("trial", run, "--policy", "replay", "--out", tmp_path, *CPU))
    assert (tmp_path / "mine.txt").read_text() == "keep me"
    below = error_of(forearm("trial", run, "--policy", "replay", "--out", tmp_path / "mine.txt" / "t", *CPU))
    assert "mine.txt: Not a directory; choose another place" in below
    taken = ("--out", tmp_path / "new", "--successes", tmp_path / "mine.txt")
    said = error_of(forearm("trial", run, "--policy", "replay", *taken, *CPU))
    assert said.endswith("already exists; choose another --successes or remove it first")
    assert list(files(tmp_path)) == ["mine.txt"]


def test_where_no_trial_succeeds_the_page_is_named(run, tmp_path):
    (tmp_path / "strict.py").write_text("def score(pictures, task):\n    return 0\n")
    judged = ("--success", f"{tmp_path}/strict.py:score", "--no-controls")
    written = ("--out", tmp_path / "t", "--successes", tmp_path / "dreams")
    done = forearm("trial", run, "--policy", "still", *judged, *written, *CPU)
    assert done.code == 2
    assert done.err.splitlines()[-1].endswith(f"no imagined trial succeeds, so {tmp_path / 'dreams'} is not written")
    assert done.out.strip() == str(tmp_path / "t" / "report.html")


def test_where_the_model_abstains_in_all_that_succeeds_this_is_said(run, tmp_path):
    (tmp_path / "kind.py").write_text("def score(pictures, task):\n    return 1\n")
    judged = ("--success", f"{tmp_path}/kind.py:score", "--no-controls", "--abstain", "1e-9")
    written = ("--out", tmp_path / "t", "--successes", tmp_path / "dreams")
    done = forearm("trial", run, "--policy", "still", *judged, *written, *CPU)
    assert done.code == 2
    said = done.err.splitlines()[-1]
    assert said.endswith(
        f"the model abstained in all 2 imagined trials that succeed, so {tmp_path / 'dreams'} is not written; "
        "see --abstain"
    )


def test_a_run_of_single_actions_is_refused(tmp_path):
    run = untrained(write_data(tmp_path / "data"), tmp_path / "run", "warp").path
    assert "--actions command" in error_of(forearm("trial", run, "--policy", "replay", "--out", tmp_path / "t", *CPU))
