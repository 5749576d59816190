"""What commands show on standard error: facts, progress, the steps of a plan; and where a page is."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from forearm.base.errors import ForearmError, shown

if TYPE_CHECKING:
    from forearm.control.loop import EpisodeLog
    from forearm.transitions.build import BuildProgress

console = Console(stderr=True, highlight=False, emoji=False)


EVERY = 30.0
"""Seconds between two lines where there is no terminal."""

AT_ONCE = 1.0
"""A search for actions that takes fewer seconds shows no progress."""


class Advance(Protocol):
    """Is told how many are done, of how many if that is known, and what else is to be said."""

    def __call__(self, done: int, total: int | None, now: str = "") -> None: ...


class _Lines:
    """Progress where there is no terminal: a line every 30 seconds."""

    def __init__(self, what: str):
        self.what, self.line = what, ""
        self.began = self.told = time.monotonic()
        self.first: int | None = None

    def advance(self, done: int, total: int | None, now: str = "") -> None:
        """Say how far it is, unless that was said a moment ago."""
        if self.first is None:
            self.first = done  # what goes on where it stopped does not begin at 0
        self.line = f"{self.what}: {done}" + (f" of {total}" if total else "") + (f", {now}" if now else "")
        at = time.monotonic()
        if at - self.told < EVERY:
            return
        self.told, fresh = at, done - self.first
        left = f", {duration((at - self.began) / fresh * (total - done))} left" if total and fresh else ""
        self._print(self.line + left)

    def end(self) -> None:
        """Say how long it took."""
        self._print(", ".join(filter(None, (self.line or self.what, duration(time.monotonic() - self.began)))))

    def _print(self, line: str) -> None:
        console.print(line, markup=False, soft_wrap=True)


def duration(seconds: float) -> str:
    """A time in words, such as 45 s, 12 min or 1 h 20 min."""
    minutes = round(seconds / 60)
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


@contextmanager
def _progress(what: str) -> Iterator[Advance]:
    """A bar in a terminal, lines elsewhere."""
    if not console.is_terminal:
        lines = _Lines(what)
        yield lines.advance
        lines.end()
        return
    with _bar() as bar:
        task = bar.add_task(what, total=None, now="")

        def advance(done: int, total: int | None, now: str = "") -> None:
            bar.update(task, completed=done, total=total, now=now)

        try:
            yield advance
        except ForearmError:  # its one line shall stand alone
            bar.live.transient = True
            bar.live.stop()
            bar.disable = True
            raise


def _bar(transient: bool = False) -> Progress:
    """What was done, of how much, the time left (in the end the time it took), and what else is to be said."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    time_left = TimeRemainingColumn(elapsed_when_finished=True)
    now = TextColumn("{task.fields[now]}", style="dim", markup=False)
    return Progress(*columns, time_left, now, console=console, transient=transient)


@contextmanager
def building() -> Iterator[Callable[["BuildProgress"], None]]:
    """Show a build's episodes as they come, and in the end a line for each reason for which some were skipped, and for
    each note about others.
    """
    lines: list[str] = []
    with _progress("building") as advance:

        def report(progress: "BuildProgress") -> None:
            lines[:] = [f"skipped {line}" for line in progress.skipped_lines()] + progress.note_lines()
            now = f"{progress.transitions} transitions, {progress.frames} frames"
            advance(progress.episode, progress.episodes, now)

        yield report
    for line in lines:
        console.print(escape(line), style="yellow", soft_wrap=True)


@contextmanager
def training(name: str, data: Path | None = None) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Show a training's steps, its loss and its validation loss, and before that what speaks against its data."""
    from forearm.transitions.advice import warnings_of
    from forearm.transitions.store import TransitionSet

    for line in warnings_of(TransitionSet(data)) if data else ():
        console.print(escape(f"{data}: {shown(line)}"), style="yellow", soft_wrap=True)
    with _progress(f"training {name}") as advance:
        latest: dict[str, Any] = {}

        def report(entry: dict[str, Any]) -> None:
            latest.update(entry)
            losses = {"loss": "loss", "validation": "val_loss"}
            now = ", ".join(f"{word} {latest[key]:.3g}" for word, key in losses.items() if key in latest)
            advance(entry["step"], latest.get("steps"), now)

        yield report


@contextmanager
def counting(what: str) -> Iterator[Advance]:
    """Show how many are done, of how many: episodes recorded, samples scored, canvases drawn, actions learned from."""
    with _progress(what) as advance:
        yield advance


class Search:
    """What is seen of a plan: each step as it is taken, and between them how far the search for the next one is."""

    def __init__(self) -> None:
        self._number = 0
        self._begin()

    def _begin(self) -> None:
        self._what = f"step {self._number}: predictions"
        self._began, self._lines = time.monotonic(), _Lines(self._what)
        self._shown: Progress | None = None

    def predicted(self, done: int, most: int | None) -> None:
        """So many futures are predicted of those that are looked at before the next action."""
        if not console.is_terminal:
            self._lines.advance(done, most)
        elif self._shown is None and time.monotonic() - self._began > AT_ONCE:
            self._shown = _bar(transient=True)
            self._shown.add_task(self._what, total=most, now="")
            self._shown.start()
        if self._shown is not None:
            self._shown.update(self._shown.task_ids[0], completed=done, total=most)

    def step(self, episode: "EpisodeLog") -> None:
        """Print the last step: its cost, the joints that actions drive, and the action that follows."""
        from forearm.control.goals import plain

        self.stop()
        layout, step = episode.layout, episode.steps[-1]
        driven = sorted(set(layout.joint_of_dimension()) - {-1})
        joints = ", ".join(f"{plain(layout.joint_names[j])} {step.seen.joints[j]:.3g}" for j in driven)
        line = f"step {self._number}: cost {step.plan.staying:.3g}; {joints}; {episode.next_action(-1)}"
        if not episode.outcome:
            line += f" (foreseen cost {step.plan.cost:.3g})"
        console.print(line, markup=False, soft_wrap=True)
        self._number += 1
        self._begin()

    def stop(self) -> None:
        """Take the bar away."""
        if self._shown is not None:
            self._shown.stop()


@contextmanager
def searching() -> Iterator[Search]:
    """Show a plan as it is made."""
    search = Search()
    try:
        yield search
    finally:
        search.stop()


def show_page(page: Path) -> None:
    """Print where a page is: in a terminal as an address, which opens on a click, elsewhere as an absolute path."""
    page = page.resolve()
    print(page.as_uri() if sys.stdout.isatty() else page)


def show(facts: dict[str, Any], console: Console = console) -> None:
    """Print facts as a table."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, escape(str(value)))
    console.print(table)


def has_screen() -> bool:
    """Whether a browser could be shown."""
    on_linux = sys.platform.startswith("linux")
    return not on_linux or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
