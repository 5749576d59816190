"""Judges: goal pictures, functions, programs and people; and what cannot be judged."""

import dataclasses
import json
import re
import stat

import numpy as np
import pytest
from PIL import Image
from support.tiny import make_layout
from trials.worlds import films, start

from forearm.base.errors import ForearmError
from forearm.transitions import TransitionSet
from forearm.trials.policies import policy_named
from forearm.trials.scoring import FunctionScorer, PictureScorer, SheetScorer, scorer_named

WANTED = {name: np.full((8, 8, 3), 40, np.uint8) for name in ("base", "wrist")}
STARTS = [start(0, [20, 40], last=WANTED), start(0, [10, 20], last=WANTED, task="half"), start(0, [0, 0], last=WANTED)]


@pytest.fixture(scope="module")
def shown():
    return films(policy_named("replay", STARTS), STARTS)


def test_a_goal_picture_is_reached_half_or_not_at_all(shown):
    scores = PictureScorer(make_layout()).scores(shown)
    assert scores[0] == pytest.approx(1)
    assert scores[1] == pytest.approx(0.75)  # half of the brightness is a quarter of the squared error
    assert scores[2] == pytest.approx(0)


def test_a_function_sees_the_film_and_the_task(shown):
    asked = []

    def score(pictures, task):
        asked.append(task)
        return pictures["base"][-1].mean() / 40

    assert FunctionScorer(score, "mine").scores(shown).tolist() == [1, 0.5, 0]
    assert asked == ["go up", "half", "go up"]
    with pytest.raises(ForearmError, match="from 0 to 1"):
        FunctionScorer(lambda pictures, task: 2, "mine").scores(shown)
    with pytest.raises(ForearmError, match="KeyError"):
        FunctionScorer(lambda pictures, task: pictures["side"], "mine").scores(shown)


def test_a_person_judges_sheets_and_the_same_call_goes_on(shown, tmp_path):
    with pytest.raises(ForearmError, match="3 sheets wait"):
        SheetScorer(tmp_path).scores(shown)
    folder = tmp_path / "00"
    names = json.loads((folder / "tasks.json").read_text())
    assert list(names.values()) == ["go up", "half", "go up"]
    assert Image.open(folder / "trial-0000.png").size[0] > 400
    assert "trial-0002.png" in (folder / "judge.html").read_text()
    (folder / "scores.json").write_text(json.dumps(dict.fromkeys(names, 0.5) | {"trial-0001": 1}))
    assert SheetScorer(tmp_path).scores(shown).tolist() == [0.5, 1, 0.5]
    (folder / "scores.json").write_text(json.dumps({"trial-0000": 0}))
    with pytest.raises(ForearmError, match="trial-0001"):
        SheetScorer(tmp_path).scores(shown)
    with pytest.raises(ForearmError, match="other trials"):
        SheetScorer(tmp_path).scores(shown[:1])


def test_scores_of_another_policys_trials_are_not_taken(shown, tmp_path):
    """The tasks are the same, the pictures are not."""
    folder = tmp_path / "00"
    with pytest.raises(ForearmError, match="3 sheets wait"):
        SheetScorer(tmp_path).scores(shown)
    (folder / "scores.json").write_text(json.dumps({f"trial-{number:04d}": 1 for number in range(3)}))
    with pytest.raises(ForearmError, match="other trials"):
        SheetScorer(tmp_path).scores(films(policy_named("still", STARTS), STARTS))
    rounded = [
        dataclasses.replace(each, pictures={n: p + np.uint8(1) for n, p in each.pictures.items()}) for each in shown
    ]
    assert SheetScorer(tmp_path).scores(rounded).tolist() == [1, 1, 1]
    (folder / "trial-0001.png").unlink()
    assert SheetScorer(tmp_path).scores(shown).tolist() == [1, 1, 1]
    assert (folder / "trial-0001.png").is_file()


def test_what_cannot_judge_is_refused_before_anything_is_imagined(commanded_run, tmp_path):
    (tmp_path / "notes.txt").write_text("no program")
    for text, says in (("", "not executable; see chmod"), ("sheets:", "Not a directory")):
        with pytest.raises(ForearmError, match=says):
            scorer_named(f"{text}{tmp_path / 'notes.txt'}", TransitionSet(commanded_run.data_path()), tmp_path)


def test_a_program_is_called_with_the_folder(shown, tmp_path):
    program = tmp_path / "judge.sh"
    program.write_text(
        '#!/bin/sh\ngrep -q half "$1/tasks.json" || exit 3\n'
        'echo \'{"trial-0000": 1, "trial-0001": 0.5, "trial-0002": 0}\' > "$1/scores.json"\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    assert SheetScorer(tmp_path / "sheets", program).scores(shown).tolist() == [1, 0.5, 0]
    with pytest.raises(ForearmError, match="ended with 3"):
        SheetScorer(tmp_path / "sheets", program).scores(shown[:1])
    assert [path.name for path in (tmp_path / "sheets" / "00").glob("*.png")] == ["trial-0000.png"]
    program.write_bytes(b"\0")
    with pytest.raises(ForearmError, match=r"judge\.sh cannot be run: Exec format error$"):
        SheetScorer(tmp_path / "sheets", program).scores(shown[:1])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("object", "does not know where objects are; judge by --success picture"),
        ("learned", "success cannot be learned"),
        ("region:base:0,0,2,1", "is no region"),
        ("region:side:0,0,1,1", "is no region"),
        ("nonsense", "no way to judge is called 'nonsense'"),
        ("./nobody", "there is no such file"),
        ("json:dumps", "no way to judge"),
    ],
)
def test_what_cannot_be_judged_is_refused_in_one_line(text, says, commanded_run, tmp_path):
    with pytest.raises(ForearmError, match=re.escape(says)) as error:
        scorer_named(text, TransitionSet(commanded_run.data_path()), tmp_path)
    assert "\n" not in str(error.value)
