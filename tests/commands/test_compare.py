"""Runs side by side as a user meets them: one page that holds every run and baseline, and says what is sure."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.charts import drawn_once
from support.commands import SMALL, error_of, files, forearm
from support.pages import Page
from support.tiny import make_layout, write_data

from forearm.canvas import Joint
from forearm.evaluation import JOINT_ONLY, MEAN_FRAME, METRICS, NEAREST_NEIGHBOUR, PERSISTENCE, UNTRAINED
from forearm.evaluation.intervals import Difference
from forearm.evaluation.saved import Saved
from forearm.report.comparison_page import differing_settings, undecided
from forearm.training.run import Run

BASELINES = (PERSISTENCE, MEAN_FRAME, NEAREST_NEIGHBOUR, JOINT_ONLY, UNTRAINED)
NOTES = "A first try & <no> more.\ntarget: val_mse <= 0.9, acting_joint_direction_accuracy > 200%\n"
CPU = ("--device", "cpu")


def train(data: Path, out: Path, *options: object) -> Path:
    settings = () if "--fine-tune" in options else SMALL
    trained = forearm(*("train", "mae", "--data", data, "--out", out, "--steps", 2, *settings, *CPU, *options))
    assert trained.code == 0, trained.err
    return out


@pytest.fixture(autouse=True, scope="module")
def charts() -> Iterator[None]:
    with drawn_once():
        yield


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """The datasets `data` and `other`, run `first` with targets, its child `second`, and `elsewhere` on other data."""
    project = tmp_path_factory.mktemp("project")
    write_data(project / "data", episodes=14, length=3, val=11)  # 5 pick the weights, 6 are reported on
    write_data(project / "other", episodes=4, length=3, seed=1)
    (project / "notes.txt").write_text(NOTES)
    train(project / "data", project / "first", "--notes", project / "notes.txt")
    train(project / "data", project / "second", "--parent", project / "first", "--seed", 1)
    train(project / "other", project / "elsewhere", "--fine-tune", project / "second")
    return project


@pytest.fixture
def mine(project, tmp_path) -> Path:
    """A copy of the project, to be spoilt; the runs' parents and data are still on the project."""
    return Path(shutil.copytree(project, tmp_path / "project"))


@pytest.fixture(scope="module")
def page(project) -> Page:
    out = project / "comparison.html"
    compared = forearm("compare", project / "first", project / "second", "--out", out, *CPU)
    assert compared.out == f"{out}\n", compared.err
    assert "evaluating first" in compared.err
    return Page(out)


def test_the_page_holds_every_run_and_baseline_and_needs_nothing_else(page):
    for name in ("first", "second", *BASELINES, "surely", "val_mse_dynamic", "Ground truth", "training.seed"):
        assert name in page.text
    for part in ("Leaderboard", "Which differences are real", "side by side", "Training", "Settings that differ"):
        assert part in page.text
    assert page.needs_nothing_else()
    assert "training.seed" in page.text[page.text.index("Settings that differ") :]
    assert "No run leads: on every key figure the best two differ by less than 1%." in page.text
    assert "A first try &amp; &lt;no&gt; more." in page.source  # in the lineage


def test_the_figures_to_sort_by_are_those_of_the_evaluations(page, project):
    board = page.source[page.source.index("<tbody>") : page.source.index("</table>")]
    blocks = [
        dict(re.findall(r'<th data-sort="([^"]*)">.*?<td data-sort="([^"]*)"', block, re.DOTALL))
        for block in board.split("</tbody>")[:-1]
    ]
    assert [block.keys() for block in blocks] == [{"first", "second"}, {UNTRAINED}, {*BASELINES} - {UNTRAINED}]
    for block in blocks:
        assert [*block.values()] == sorted(block.values(), key=float, reverse=True)
    rows = {}
    for row in re.findall(r'<tr(?! class="group).*?</tr>', board, re.DOTALL):
        name, *figures = re.findall(r'data-sort="([^"]*)"', row)
        rows[name] = figures
    heads = page.source[page.source.index("<thead>") : page.source.index("</thead>")]
    assert heads.count("data-better") == len(rows["first"]) + 1
    for run in ("first", "second"):
        figures = json.loads((project / run / "evaluation" / "metrics.json").read_text())
        assert float(rows[run][0]) == figures["ssim_fed_back"]
        assert str(figures["parameters"]) in rows[run]
        assert float(rows[PERSISTENCE][0]) == figures["baselines"][PERSISTENCE]["metrics"]["ssim_fed_back"]
    assert 'aria-sort="descending"' in heads
    assert 'setAttribute("aria-sort"' in page.source


def test_differences_stand_in_the_order_of_the_leaderboard(page):
    for matrix in re.findall(r'<table class="duel">.*?</thead>', page.source, re.DOTALL):
        names = [name for name in re.sub(r"<[^>]*>|&#160;", "\n", matrix).split("\n") if name.strip()]
        assert {*names[:2]} == {"first", "second"}
        assert UNTRAINED not in names[3:], "between runs and baselines"


def test_what_was_evaluated_is_not_evaluated_again(page, project, mine):
    again = forearm("compare", mine / "second", mine / "first", "--out", mine / "comparison.html", *CPU)
    assert again.out == f"{mine / 'comparison.html'}\n"  # an earlier comparison may be replaced
    assert "evaluating" not in again.err
    for run in (mine / "first", mine / "second"):
        assert files(run) == files(project / run.name)
    (mine / "first/best.safetensors").write_bytes((mine / "second/best.safetensors").read_bytes())
    after = forearm("compare", mine / "second", mine / "first", "--out", mine / "comparison.html", *CPU)
    assert "evaluating first" in after.err
    assert "evaluating second" not in after.err


def test_runs_of_other_data_are_compared_on_data_that_is_named(page, mine):
    runs, out = (mine / "first", mine / "elsewhere"), ("--out", mine / "other.html", *CPU)
    before = files(mine)
    said = error_of(forearm("compare", *runs, *out))
    assert re.search(r"first and .*elsewhere validate on different samples .*--data$", said)
    assert files(mine) == before
    compared = forearm("compare", *runs, "--data", mine / "other", *out)
    assert compared.code == 0, compared.err
    folders = [Run(mine / run) for run in ("first", "elsewhere")]
    rows = [Saved.open(run.path / "evaluation-other", run.layout()).rows.tolist() for run in folders]
    assert rows[0] == rows[1]
    text = Page(mine / "other.html").text
    assert "nearest-neighbour of elsewhere" in text  # the runs learned from different data
    assert "persistence of" not in text
    settings = text[text.index("Settings that differ") : text.index("Lineage", text.index("Settings that differ"))]
    assert "data.path" in settings
    assert "trained_on" not in settings  # a name for each episode made the page 200,000 pixels long
    assert "second" in text  # the parent, in the lineage


def test_a_single_run_stands_beside_the_baselines(page, mine):
    assert forearm("compare", mine / "second", "--out", mine / "one.html", *CPU).code == 0
    text = Page(mine / "one.html").text
    assert "leads on" not in text
    assert "Settings that differ" not in text


def test_comparisons_that_cannot_begin(page, mine, monkeypatch):
    monkeypatch.chdir(mine)
    write_data(mine / "joints", make_layout(joints=(Joint("pan"),)), episodes=3, val=1)
    (mine / "mine.html").write_text("my own page")
    before = files(mine)
    for says, *args in (
        ("compare needs at least one run",),
        ("nothing is no run", "first", "nothing"),
        ("run first is given twice", "first", "./first"),
        ("mine.html already exists; choose another --out", "first", "--out", "mine.html"),
        ("first is a folder; give --out the name of a file", "first", "--out", "first"),
        ("has joints ('pan',), but run first has", "first", "--data", "joints"),
        ("nothing is no dataset of transitions", "first", "--data", "nothing"),
    ):
        assert says in error_of(forearm("compare", *args))
        assert files(mine) == before


# Parents, notes and targets


def test_a_report_says_whether_the_parent_s_targets_were_reached(page, project):
    text = (project / "second/evaluation/report.html").read_text()
    places = [text.index(part) for part in ("<h2>Targets</h2>", "the notes of its parent first", "<h2>Metrics</h2>")]
    assert places == sorted(places)
    assert ["≤ 0.900" in text, "&gt; 200.0%" in text] == [True, True]
    metrics = json.loads((project / "second/evaluation/metrics.json").read_text())
    assert [judged["verdict"] for judged in metrics["targets"]] == ["reached", "missed"]
    assert ">first</th>" in text  # compared with its parent
    first = (project / "first/evaluation/report.html").read_text()
    assert "A first try &amp; &lt;no&gt; more." in first  # its own notes
    assert "These targets come from its own notes." in first


def test_a_child_is_measured_by_its_own_notes_too(mine):
    (mine / "own.txt").write_text("target: ssim >= -1, val_mse <= -1")
    child = train(mine / "data", mine / "child", "--parent", mine / "first", "--notes", mine / "own.txt")
    assert forearm("evaluate", child, *CPU).code == 0
    metrics = json.loads((child / "evaluation/metrics.json").read_text())
    judged = {one["target"]: one["verdict"] for one in metrics["targets"]}
    assert judged["ssim >= -1"] == "reached"
    assert judged["val_mse <= -1"] == "missed"  # in place of the parent's 0.9
    assert [*judged][2:] == ["acting_joint_direction_accuracy > 2"]  # the parent's other one holds as well
    assert metrics["targets_from"] == "its own notes and the notes of its parent first"


def test_a_parent_without_targets_is_to_be_reached_itself(page, mine):
    third = train(mine / "data", mine / "third", "--parent", mine / "second")
    assert forearm("evaluate", third, *CPU).code == 0
    metrics = json.loads((third / "evaluation/metrics.json").read_text())
    second = json.loads((mine / "second/evaluation/metrics.json").read_text())
    assert "the figures of its parent second" in metrics["targets_from"]
    assert metrics["targets"][0]["target"] == f"ssim_fed_back >= {second['ssim_fed_back']:g}"
    assert metrics["targets"][1]["target"] == f"val_mse_moves <= {second['val_mse_moves']:g}"
    (mine / "later.txt").write_text("target: ssim >= 0.1")
    assert forearm("evaluate", mine / "second", "--notes", mine / "later.txt", *CPU).code == 0
    assert forearm("evaluate", third, *CPU).code == 0  # targets that were set after the training count too
    metrics = json.loads((third / "evaluation/metrics.json").read_text())
    assert [judged["target"] for judged in metrics["targets"]] == ["ssim >= 0.1"]


def test_a_parent_that_is_gone_and_a_run_older_than_its_keys(mine, project):
    config = json.loads((mine / "elsewhere/config.json").read_text())
    assert config["parent"] == str(project / "second")  # fine-tuned from it
    gone = str(mine / "nowhere")
    (mine / "elsewhere/config.json").write_text(json.dumps(config | {"parent": gone}))
    del config["parent"], config["fine_tuned_from"]
    shutil.copytree(mine / "elsewhere", mine / "old")
    (mine / "old/config.json").write_text(json.dumps(config))
    for run in ("elsewhere", "old"):
        assert forearm("evaluate", mine / run, *CPU).code == 0
        warnings = json.loads((mine / run / "evaluation/metrics.json").read_text())["warnings"]
        assert any(gone in warning for warning in warnings) == (run == "elsewhere")
    compared = forearm("compare", mine / "elsewhere", mine / "old", "--out", mine / "page.html", *CPU)
    assert compared.code == 0, compared.err
    assert "cannot be opened any more" in Page(mine / "page.html").text


def test_notes_and_parents_that_cannot_be(mine, monkeypatch):
    monkeypatch.chdir(mine)
    (mine / "bad.txt").write_text("target: be good")
    before = files(mine)
    new = ("train", "mae", "--data", "data", "--out", "new", *CPU)
    for says, *args in (
        ("the target 'be good' in the notes cannot be understood", *new, "--notes", "bad.txt"),
        ("the notes cannot be read: nothing.txt is missing", *new, "--notes", "nothing.txt"),
        ("nothing is no run", *new, "--parent", "nothing"),
        ("--notes has no effect with --resume", "train", "mae", "--out", "first", "--resume", "--notes", "notes.txt"),
        ("the target 'be good' in the notes", "evaluate", "first", "--notes", "bad.txt"),
    ):
        assert says in error_of(forearm(*args))
        assert files(mine) == before


@pytest.mark.parametrize(("minutes", "named"), [(0.01, False), (None, True)])
def test_settings_without_effect_do_not_differ(minutes, named):
    """Runs that ended by the clock differed in a number of steps that neither had done."""
    runs = [
        SimpleNamespace(config={"training": {"steps": steps, "minutes": minutes}, "data": {}}) for steps in (100, 3000)
    ]
    assert ("training.steps" in dict(differing_settings(runs))) == named


def test_a_comparison_without_a_verdict_says_why():
    few, many = SimpleNamespace(too_few="3 episodes: too few to tell"), SimpleNamespace(too_few=None)
    assert undecided(few, METRICS["val_mse"], None) == "too few to tell"
    assert undecided(many, METRICS["sharpness"], None) == undecided(few, METRICS["sharpness"], None) == "not judged"
    assert undecided(many, METRICS["val_mse"], None) == "not compared"
    five = Difference(0.1, (0.0, 0.2), 0.05, 5, relevant=True)
    assert undecided(many, METRICS["ssim_fed_back"], five) == "too few to tell"


def test_a_hardly_trained_run_is_marked(project, page):
    once = train(project / "data", project / "once", "--batch-size", 1)
    out = project / "once.html"
    assert forearm("compare", project / "first", once, "--out", out, *CPU).code == 0
    text = Page(out).text
    assert "once is hardly trained: it saw 2 samples" in text
    assert (
        text.count("first is hardly trained")
        == text.count("first hardly trained")
        == page.text.count("first is hardly")
    )
