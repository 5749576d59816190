"""The page on which recordings, datasets and runs are browsed."""

import base64
import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from support.browser import opened
from support.commands import SMALL, error_of, files, forearm
from support.pages import Page
from support.recordings import make_recording, number_of, states_of, write_log_lines
from support.tiny import write_data

from forearm.canvas import STAY, as_uint8
from forearm.evaluation import MODEL
from forearm.evaluation.saved import Saved
from forearm.report.browse import save_gallery
from forearm.training.run import Run
from forearm.transitions import TransitionSet


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A dataset with 12 transitions to validate on, and a run that was evaluated on them; only to be read."""
    project = tmp_path_factory.mktemp("project")
    write_data(project / "data", episodes=10, val=4)  # two of the four pick the weights
    options = ("--data", project / "data", "--out", project / "run", "--steps", 3, *SMALL, "--device", "cpu")
    assert forearm("train", "mae", *options).code == 0
    assert forearm("evaluate", project / "run", "--rollouts", 0, "--device", "cpu").code == 0
    return project


class Cards(Page):
    """The cards of a gallery: what each says of itself, and its pictures as pixels."""

    def __init__(self, path):
        self.cards = []
        super().__init__(path)

    def handle_starttag(self, tag, attrs):
        super().handle_starttag(tag, attrs)
        if tag == "article":
            self.cards.append({name.removeprefix("data-"): value for name, value in attrs} | {"pictures": []})

    def handle_startendtag(self, tag, attrs):
        super().handle_startendtag(tag, attrs)
        if tag == "img":
            coded = dict(attrs)["src"].partition("base64,")[2]
            with Image.open(io.BytesIO(base64.b64decode(coded))) as picture:
                self.cards[-1]["pictures"].append(np.asarray(picture.convert("RGB")))

    def values(self, name, kind=int):
        return [kind(card[name]) for card in self.cards]


def test_a_dataset_shows_what_it_holds(project, tmp_path):
    page = Cards(save_gallery(project / "data", tmp_path / "page.html"))
    data = TransitionSet(project / "data")
    assert page.needs_nothing_else()
    assert "60 transitions show STAY, MOVE+ and MOVE− on pan." in page.text
    assert "60 of 10 episodes, 70 frames stored once" in page.text
    assert "All 60 are shown" in page.text
    assert page.values("index") == list(range(60))
    assert page.values("action") == data.codes.tolist()
    assert page.values("episode") == data.columns.episodes.tolist()
    assert page.values("split", str) == ["val" if row >= 36 else "train" for row in range(60)]
    assert page.values("joint", str) == ["pan"] * 60
    before, after = data.positions(data.rows()).transpose(1, 0, 2)
    np.testing.assert_allclose(page.values("motion", float), np.abs(after - before)[:, 0], rtol=1e-4)
    one, other = (data.frames[data.columns.frames[:, t]].astype(float) / 255 for t in (0, 1))
    np.testing.assert_allclose(page.values("error", float), ((one - other) ** 2).mean((1, 2, 3)), atol=1e-6)
    canvases = as_uint8(data.batch(data.rows()).canvas.numpy()).transpose(0, 2, 3, 1)
    for card, canvas in zip(page.cards, canvases, strict=True):
        (shown,) = card["pictures"]
        assert shown.shape == (2 * 24, 2 * 20, 3)
        assert np.abs(shown[::2, ::2].astype(int) - canvas).mean() < 12  # a lossy format


def test_of_many_some_are_shown_and_the_page_says_how_many(project, tmp_path):
    page = Cards(save_gallery(project / "data", tmp_path / "page.html", samples=11))
    assert len(page.cards) == 11
    assert set(page.values("action")) == {0, 1, 2}
    assert set(page.values("episode")) == set(range(10))
    assert "11 of 60 are shown, from 10 of 10 episodes" in page.text


def test_a_run_stands_beside_the_truth(project, tmp_path):
    page = Cards(save_gallery(project / "run", tmp_path / "page.html", device="cpu"))
    saved = Saved.open(project / "run/evaluation", Run(project / "run").layout())
    assert page.needs_nothing_else()
    assert "12 transitions show STAY, MOVE+ and MOVE− on pan. run predicts each of them." in page.text
    np.testing.assert_allclose(page.values("error", float), saved.samples[MODEL].sums["val_mse"], atol=2e-6)
    assert set(page.values("split", str)) == {"val"}
    assert {tuple(picture.shape for picture in card["pictures"]) for card in page.cards} == {((48, 40, 3), (48, 16, 3))}
    for k, row in enumerate(saved.examples.row.tolist()):  # the same predictions as in the report
        predicted = saved.examples.under[k][saved.examples.code[k]].transpose(1, 2, 0)
        shown = page.cards[saved.rows.tolist().index(row)]["pictures"][1][::2, ::2]
        assert np.abs(shown.astype(int) - predicted).mean() < 12
    assert 'class="guess"' not in page.source


def test_the_worst_are_among_those_of_a_run_that_are_shown(project, tmp_path):
    page = Cards(save_gallery(project / "run", tmp_path / "page.html", samples=11, device="cpu"))
    errors = Saved.open(project / "run/evaluation", Run(project / "run").layout()).samples[MODEL].sums["val_mse"]
    assert "One in ten of those shown has one of the highest errors of all." in page.text
    assert max(page.values("error", float)) == pytest.approx(errors.max(), abs=2e-6)


def test_a_run_on_other_data_marks_guesses_and_needs_no_evaluation(project, tmp_path):
    run = shutil.copytree(project / "run", tmp_path / "run")
    shutil.rmtree(run / "evaluation")
    config = json.loads((run / "config.json").read_text())
    config["data"]["actions_seen"][str(STAY)] = 0
    (run / "config.json").write_text(json.dumps(config))
    other = write_data(tmp_path / "other", seed=1)
    page = Cards(save_gallery(run, tmp_path / "page.html", data=other.path, samples=30, device="cpu"))
    assert len(page.cards) == 30
    assert f"On {other.path}." in page.text
    assert page.source.count('class="guess"') == page.values("action").count(STAY) > 0


def test_a_logged_recording_shows_decision_and_outcome(tmp_path):
    root = make_recording(tmp_path / "recording", log_numbers=(0, 1, 2))
    page = Cards(save_gallery(root, tmp_path / "page.html"))
    assert page.needs_nothing_else()
    assert "3 transitions show MOVE+ on shoulder_pan." in page.text
    for episode, card in enumerate(page.cards):
        decided = episode + 1  # half a second at 10 fps to the outcome
        assert (card["episode"], card["action"], card["joint"]) == (str(episode), "1", "shoulder_pan")
        assert float(card["motion"]) == pytest.approx(2.5)
        (canvas,) = card["pictures"]
        frame = canvas[: 2 * 48]
        assert number_of(frame[:, : 2 * 64]) == (episode, decided)
        assert number_of(frame[:, -2 * 64 :]) == (episode, decided + 5)
        red, green, blue = canvas[:, 2 * 64 + 8 : 2 * 64 + 24].mean((0, 1))
        assert green > 240
        assert red + blue < 30
    before, after = (f"{states_of(0, 12)[frame, 0]:.2f}".replace("-", "−") for frame in (1, 6))
    assert f"<td>{before}</td><td>{after}</td>" in page.source


def test_a_recording_without_logs_shows_what_the_joints_did(tmp_path):
    root = make_recording(tmp_path / "recording", lengths=(12, 4, 15))
    page = Cards(save_gallery(root, tmp_path / "page.html"))
    numbers = [number_of(card["pictures"][0][:96, :128]) for card in page.cards]
    assert numbers == [(0, 0), (0, 5), (2, 0), (2, 5)]  # the second episode is shorter than half a second
    assert set(page.values("action")) == {1}


def test_episodes_that_cannot_be_read_are_named(tmp_path):
    root = make_recording(tmp_path / "recording", log_numbers=(0, 1, 2))
    videos = sorted(root.rglob("*.mp4"))
    videos[0].unlink()
    page = Cards(save_gallery(root, tmp_path / "page.html"))
    assert page.values("episode") == [1, 2]
    assert "1 of 3 episodes cannot be read; episode 0: " in page.text


@pytest.mark.parametrize(
    ("said", "arguments"),
    [
        ("already exists; choose another --html", ("data", "--html", "mine.txt")),
        ("is a folder; give --html the name of a file", ("data", "--html", "folder")),
        ("samples is 0", ("data", "--html", "page.html", "--samples", "0")),
        ("data is no run, so --data and --device have no effect", ("data", "--html", "page.html", "--data", "data")),
        ("is no dataset of transitions", ("run", "--html", "page.html", "--data", "folder")),
        ("no readable episode with a logged decision", ("undecided", "--html", "page.html")),
    ],
)
def test_what_cannot_be_shown_is_said_in_one_line_and_leaves_nothing(project, tmp_path, said, arguments):
    for name in ("data", "run"):
        (tmp_path / name).symlink_to(project / name)
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "folder").mkdir()
    if "undecided" in arguments:
        root = make_recording(tmp_path / "undecided", lengths=(4,))
        write_log_lines(root, 0, [{"type": "action", "frame_index": 3, "discrete_action": 1}])
    before = files(tmp_path)
    paths = [tmp_path / word if (tmp_path / word).exists() or word.endswith(".html") else word for word in arguments]
    assert said in error_of(forearm("inspect", *paths))
    assert files(tmp_path) == before


def test_the_path_is_printed_and_an_earlier_page_replaced(project, tmp_path):
    for samples in (5, 7):
        told = forearm("inspect", project / "data", "--html", tmp_path / "page.html", "--samples", samples)
        assert told.code == 0
        assert told.out.splitlines()[-1] == str(tmp_path / "page.html")
        assert len(Cards(tmp_path / "page.html").cards) == samples
    assert [*files(tmp_path)] == ["page.html"]


def test_names_are_shown_and_not_executed(tmp_path):
    data = write_data(tmp_path / "<b>data")
    assert "<b>data" in Cards(save_gallery(data.path, tmp_path / "page.html", samples=2)).text


def test_a_reader_filters_sorts_and_enlarges(project, tmp_path):
    target = save_gallery(project / "data", tmp_path / "page.html", samples=30)
    cards = {int(card["index"]): card for card in Cards(target).cards}

    def of(**facts):
        return [place for place, card in cards.items() if all(card[name] == value for name, value in facts.items())]

    with opened(target.as_uri()) as page:

        def shown():
            places = page.eval_on_selector_all(
                ".transition", "all => all.filter(c => !c.hidden).map(c => c.dataset.index)"
            )
            assert page.inner_text("output") == f"{len(places)} of 30"
            return [int(place) for place in places]

        def hash_of():
            return page.evaluate("location.hash").removeprefix("#")  # page.url learns of it only later

        assert shown() == sorted(cards)
        page.check("input[name=action][value='1']")
        assert shown() == of(action="1")
        page.select_option("select[name=split]", "val")
        assert shown() == of(action="1", split="val")
        assert hash_of() == "action=1&split=val"
        page.check("input[name=action][value='2']")
        assert shown() == sorted(of(action="1", split="val") + of(action="2", split="val"))
        page.click("text=show all")
        page.wait_for_function("location.hash.length < 2")
        page.select_option("select[name=sort]", "-error")
        page.select_option("select[name=error]", "0-0.1")
        worst = sorted(cards, key=lambda place: -float(cards[place]["error"]))
        assert shown() == worst[:3]
        page.select_option("select[name=error]", "")
        page.select_option("select[name=episode]", "7")
        assert shown() == [place for place in worst if cards[place]["episode"] == "7"]

        first, second = shown()[:2]
        page.focus(f"#card-{first} button")
        page.keyboard.press("Enter")
        assert page.is_visible("dialog table")
        assert hash_of() == f"episode=7&sort=-error&card={first}"
        page.keyboard.press("ArrowRight")
        assert hash_of().endswith(f"card={second}")
        kept = page.evaluate("location.href")
        page.keyboard.press("Escape")
        page.wait_for_selector("dialog", state="hidden")
        page.wait_for_function("!location.hash.includes('card=')")  # a dialog says that it was closed after it has gone
        assert hash_of() == "episode=7&sort=-error"

        page.goto("about:blank")
        page.goto(kept)  # as somebody does who was sent the address
        assert page.is_visible("dialog")
        assert [cards[place]["episode"] for place in shown()] == ["7"] * len(of(episode="7"))
        page.goto(f"{target.as_uri()}#action=0&joint=pan")  # as the table's numbers lead
        page.wait_for_selector("dialog", state="hidden")
        assert shown() == of(action="0")
        page.goto(f"{target.as_uri()}#episode=none&error=x&card=99")  # what no page wrote does no harm
        page.wait_for_function("document.querySelector('output').value.startsWith('30')")


@pytest.mark.parametrize(
    ("closed", "then", "told", "kept"),
    [
        (
            "#action=0",
            "#action=1",
            False,
            "#action=1",
        ),  # by one link, and another is followed before the dialog says so
        ("#action=0", "#card=5", True, "#card=5"),  # the other one enlarges a card
        (None, "#action=1", False, "#action=1"),  # by hand
        (None, "#card=0", False, "#"),  # by hand, and nothing else: the address forgets the card
    ],
)
def test_a_dialog_that_closes_saves_over_no_newer_address(project, tmp_path, closed, then, told, kept):
    target = save_gallery(project / "data", tmp_path / "page.html", samples=30)
    assert {"0", "5"} <= {card["index"] for card in Cards(target).cards}
    with opened(f"{target.as_uri()}#card=0") as page:
        assert page.is_visible("dialog")
        found = page.evaluate(
            """([closed, then, told]) => new Promise((done) => {
                const dialog = document.querySelector("dialog");
                const follow = (address, told) => {
                    history.replaceState(null, "", address);
                    if (told) dispatchEvent(new HashChangeEvent("hashchange"));
                };
                dialog.addEventListener("close", () => setTimeout(() => done(location.hash || "#")));
                if (closed) follow(closed, true); else dialog.close();
                follow(then, told);  // or the page hears of it later
            })""",
            [closed, then, told],
        )
        assert found == kept
        assert page.is_visible("dialog") == ("card" in kept)


def test_without_scripts_all_cards_are_there_and_no_filter(project, tmp_path):
    target = save_gallery(project / "data", tmp_path / "page.html", samples=6)
    with opened(target.as_uri(), java_script_enabled=False) as page:
        assert page.locator(".transition:visible").count() == 6
        assert not page.is_visible("form.filters")


@pytest.mark.parametrize("width", [390, 1200])
def test_nothing_sticks_out_of_the_page(project, tmp_path, width):
    target = save_gallery(project / "run", tmp_path / "page.html", device="cpu")
    with opened(f"{target.as_uri()}#card=0", viewport={"width": width, "height": 800}) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("(d => d.scrollWidth <= d.clientWidth)(document.querySelector('dialog'))")


@pytest.mark.parametrize("option", [("--samples", 5), ("--device", "cpu"), ("--data", "data")])
def test_what_is_about_the_page_needs_one(tmp_path, option):
    done = forearm("inspect", tmp_path, *option)
    assert f"{option[0]} has no effect without --html" in error_of(done)
