"""Progress as it is seen in a terminal of 80 columns, and as lines where there is none."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from forearm.base.errors import ForearmError
from forearm.commands import console as module
from forearm.commands.console import counting, duration, searching, show_page, training

EMOJI = module.console._emoji
"""Whether the console of the commands draws pictures for words between colons."""


@pytest.fixture
def seen(monkeypatch):
    """What a console shows, and how to make one."""

    def make(terminal: bool) -> io.StringIO:
        text = io.StringIO()
        shown = Console(
            file=text, width=80, force_terminal=terminal, color_system=None, legacy_windows=False, emoji=EMOJI
        )
        monkeypatch.setattr(module, "console", shown)
        return text

    return make


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is set."""
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_without_a_terminal_a_training_says_every_half_minute_how_far_it_is(seen, clock):
    text = seen(False)
    with training("run") as report:
        for step in range(0, 101, 10):
            clock[0] = 4.0 * step
            report({"step": step, "loss": 0.5 / (1 + step), "val_loss": 0.25, "steps": 100})
    lines = text.getvalue().splitlines()
    assert lines[0] == "training run: 10 of 100, loss 0.0455, validation 0.25, 6 min left"
    assert lines[-1] == "training run: 100 of 100, loss 0.00495, validation 0.25, 7 min"
    assert len(lines) == 11


def test_what_goes_on_where_it_stopped_knows_the_time_left(seen, clock):
    text = seen(False)
    with counting("recording") as watch:
        watch(90, 100)
        clock[0] = 31.0
        watch(95, 100)
    assert text.getvalue().splitlines()[0] == "recording: 95 of 100, 31 s left"


def test_in_a_terminal_of_80_columns_nothing_is_cut(seen):
    text = seen(True)
    with training("run") as report:
        report({"step": 1070, "loss": 0.021112728, "val_loss": 0.00127239, "steps": 3000, "samples_per_s": 1.1})
    (last,) = [line for line in text.getvalue().splitlines() if "1070" in line][-1:]
    assert "1070/3000" in last
    assert "loss 0.0211, validation 0.00127" in last
    assert "…" not in text.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_an_error_stands_alone(seen, terminal):
    text = seen(terminal)

    def fail() -> None:
        with counting("recording") as watch:
            watch(1, 2)
            raise ForearmError("no")

    with pytest.raises(ForearmError):
        fail()
    assert terminal or not text.getvalue()


def test_a_long_search_says_how_many_futures_it_has_looked_at(seen, clock):
    text = seen(False)
    with searching() as search:
        search.predicted(64, 768)
        clock[0] = 40.0
        search.predicted(128, 768)
    assert text.getvalue() == "step 0: predictions: 128 of 768, 7 min left\n"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (99.4, "99 s"), (100, "2 min"), (3600, "1 h 0 min"), (9000, "2 h 30 min")]
)
def test_durations(seconds, words):
    assert duration(seconds) == words


def test_a_page_is_an_address_in_a_terminal_and_an_absolute_path_elsewhere(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    show_page(module.Path("a b.html"))
    monkeypatch.setattr(module.sys.stdout, "isatty", lambda: True, raising=False)
    show_page(module.Path("a b.html"))
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / "a b.html"), f"{tmp_path.as_uri()}/a%20b.html"]


@pytest.mark.parametrize("terminal", [True, False])
def test_words_between_colons_are_no_pictures(seen, terminal):
    text = seen(terminal)
    with counting("try [b]") as watch:
        watch(1, 1, "mine.py:one:a:b:c [red]")
    assert "try [b]" in text.getvalue()
    assert "mine.py:one:a:b:c [red]" in text.getvalue()


def test_no_console_draws_pictures_for_words():
    package = Path(module.__file__).parents[1]
    lines = [line for path in package.rglob("*.py") for line in path.read_text(encoding="utf-8").splitlines()]
    consoles = [line.strip() for line in lines if re.search(r"\bConsole\(", line)]
    assert len(consoles) >= 4
    assert [line for line in consoles if "emoji=False" not in line] == []
