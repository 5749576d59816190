"""The page of a trial: what it says in words, that it stands alone, and that it fits a phone."""

import dataclasses
import re

import numpy as np
import pytest
from support.browser import opened
from support.pages import Page

from forearm.base.errors import ForearmError
from forearm.evaluation.controls import Controls
from forearm.evaluation.trials import Shown, TrialResults, Tried
from forearm.report import trials_page
from forearm.report.trials_page import Facts, headline, save_trials
from forearm.report.wording import without_folders
from forearm.trials.dreaming import exploited

N = 30
HERE = "/home/somebody/arm"
FACTS = Facts("run", "lift-test", "2026-11-28 11:00 UTC", ("forearm", "trial", f"{HERE}/run", "--goal", "put it there"))
OWN = f"{HERE}/behaviour_cloning.py:load:{HERE}/checkpoints/lift-300.safetensors"


def tried(name, dream, truth=None):
    scores = (np.arange(N) < dream * N).astype(float)
    true = None if truth is None else np.arange(N) < truth * N
    return Tried(name, scores, np.full(N, 0.01), np.arange(N) > 26, true, None if true is None else true.astype(float))


def results(*policies, gains=(), controls=None):
    shared = (np.arange(N), 0.02, 8, 0.2, "auto", tuple(range(N)), ("push the <red> box",) * N)
    return TrialResults(policies, *shared, gains, controls)


def controls(true, false=0.0, starts=N):
    scores = np.stack([np.arange(starts) < share * starts for share in (true, false)]).astype(float)
    return Controls(scores, np.repeat([[True], [False]], starts, axis=1), np.arange(starts))


def film(value):
    return {"base": np.full((9, 16, 16, 3), value, np.uint8)}


def test_the_headline_says_which_is_best_and_whether_the_simulator_agrees():
    assert headline(results(tried("a", 0.5))) == "a succeeds in 50 % (33 to 67) of its imagined trials."
    assert headline(results(tried("a", 0.5), tried("b", 0.9))).startswith("b succeeds most often in the dream: 90 %")
    agreeing = headline(results(*(tried(name, x, x) for name, x in (("a", 0.2), ("b", 0.5), ("c", 0.9)))))
    assert "ranks 3 policies likewise: rank correlation 1.00" in agreeing
    assert "otherwise" in headline(results(tried("a", 0.2, 0.9), tried("b", 0.5, 0.5), tried("c", 0.9, 0.1)))


def test_a_dream_in_which_nothing_succeeds_judges_nothing():
    assert headline(results(tried("a", 0), tried("b", 0))) == "No policy ever succeeds in the dream."
    said = headline(results(tried("a", 0, 0.5), tried("b", 0, 1.0)))
    assert "in the simulator b does in 100 %" in said
    assert "can judge no policy" in said


def test_starts_of_one_scene_have_a_page_without_intervals(tmp_path):
    found = dataclasses.replace(results(tried("a", 0.5, 0.5), tried("b", 0.2, 0.4)), groups=np.zeros(N, int))
    page = Page(save_trials(found, [], FACTS, tmp_path / "report.html"))
    assert "Success by policy" not in page.text
    assert "50 %" in page.text


def test_what_a_killed_writer_left_is_no_strangers(tmp_path):
    (tmp_path / ".report.html.lock").touch()
    trials_page.require_own(tmp_path)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ForearmError, match="is no trial's"):
        trials_page.require_own(tmp_path)


@pytest.mark.parametrize(
    ("known", "says", "doubted"),
    [
        (controls(0.5, starts=5), "too few of one kind", False),
        (controls(0.3, 0.2), "too little apart", True),
        (controls(0.8), "Success is corrected for both", False),
    ],
)
def test_controls_say_what_can_be_corrected(known, says, doubted):
    found = results(tried("a", 0.5), controls=known)
    assert says in trials_page.controls_in_words(found)
    assert ("Trust these figures less" in trials_page._doubt(found)) == doubted


@pytest.mark.parametrize("truth", [None, 0.5, 0.1])
def test_the_page_warns_where_the_model_abstains_often(truth):
    policy = tried("a", 0.5, truth)
    assert "abstains" not in trials_page._doubt(results(policy))
    said = trials_page._doubt(results(dataclasses.replace(policy, abstained=np.arange(N) > 5)))
    assert "The model abstains in 80 % of the trials: it expects a larger error than the bound of 0.02" in said
    assert ("too kind by 40" in said) == (truth == 0.1)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    rng = np.random.default_rng(0)
    gain = exploited("policy 2", rng.random((4, N)), rng.random((4, N)) < 0.4)
    policies = [tried(f"policy {i}" if i else OWN, i / 6, min(1.0, i / 5)) for i in range(6)]
    kinds = ("best", "worst", "most doubtful")
    shown = [Shown(what, "policy 1", 3, 0.4, 1.0, film(90), film(40), True) for what in kinds]
    path = tmp_path_factory.mktemp("page") / "report.html"
    return save_trials(results(*policies, gains=(gain,), controls=controls(0.5)), shown, FACTS, path)


def test_the_page_stands_alone_and_says_what_it_compares(page):
    shown = Page(page)
    assert shown.needs_nothing_else()
    assert shown.source.count("data:video/mp4") == 3
    text = shown.text
    assert "push the <red> box" in text
    assert "30 of them are successes and 30 are failures. In the dream 50 % of these successes succeed" in text
    assert "(success − 0 %) / (50 % − 0 %)" in text
    assert re.search(r"mean gap to the simulator is 8 \(\d+ to \d+\) points as dreamt and \d+ \(", text)
    for words in (
        "Corrected",
        "Spearman",
        "Mean maximum rank violation",
        "McNemar",
        "In the simulator it succeeds",
        "7 more pairs",
    ):
        assert words in text
    assert "nan" not in text.lower().split()


def test_the_page_fits_a_phone(page):
    with opened(page.as_uri(), viewport={"width": 390, "height": 844}) as browser:
        assert browser.evaluate("document.documentElement.scrollWidth") <= 390


LAST_COLUMNS = """() => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
  return [...document.querySelectorAll("table")].map(table => {
    const room = table.closest(".scroll");
    room.scrollLeft = room.scrollWidth;
    return [...table.rows].map(row => {
      const [name, last] = [row.cells[0], row.cells[row.cells.length - 1]].map(cell => cell.getBoundingClientRect());
      return [name.left, name.right, last.left, last.right];
    });
  });
}"""
"""Of each row of each table, scrolled to its end: where its name and its last cell begin and end."""


@pytest.mark.parametrize("width", [390, 1280])
def test_every_figure_can_be_seen_beside_its_rows_name(page, width):
    with opened(page.as_uri(), viewport={"width": width, "height": 844}) as browser:
        tables = browser.evaluate(LAST_COLUMNS)
    assert len(tables) == 5
    for name_left, name_right, last_left, last_right in [row for table in tables for row in table]:
        assert 0 <= name_left < name_right <= last_left + 1
        assert last_right <= width


def test_the_page_says_what_made_it_and_names_no_folder_of_the_machine(page):
    shown = Page(page)
    assert "somebody" not in shown.source
    for words in ("2026-11-28 11:00 UTC", "lift-test", "forearm trial …/run --goal 'put it there'"):
        assert words in shown.text
    assert "behaviour_cloning: lift-300" in shown.text
    assert shown.text.count("…/behaviour_cloning.py:load:…/lift-300.safetensors") == 1


def test_a_path_below_the_working_folder_is_shown_from_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert without_folders(f"{tmp_path}/policies/mine.py:make:~/arm/1.pt") == "policies/mine.py:make:…/1.pt"
    for text in ("noise:5", "policies/mine.py:make", "../run", "to the left/right", "/", "user/name"):
        assert without_folders(text) == text


@pytest.mark.parametrize("judge", ["auto", "object", "way", "picture", "learned"])
def test_the_page_says_in_words_how_it_is_judged(judge):
    said = trials_page._judge(judge)
    assert said.endswith(".")
    assert f"judged by {judge}" not in said
