"""Progress bars of the command line."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from forearm.errors import ForearmError
from forearm.transitions.build import Progress as BuildProgress


@contextmanager
def _bar(console: Console, what: str) -> Iterator[tuple[Progress, TaskID]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[now]}", style="dim"), console=console) as bar:
        try:
            yield bar, bar.add_task(escape(what), total=None, now="")
        except ForearmError:  # its one line shall stand alone
            bar.live.transient = True
            bar.live.stop()
            bar.disable = True
            raise


@contextmanager
def building(console: Console) -> Iterator[Callable[[BuildProgress], None]]:
    """Show a build's episodes as they come, and name the skipped ones."""
    with _bar(console, "building") as (bar, task):
        told = 0

        def report(progress: BuildProgress) -> None:
            nonlocal told
            for recording, episode, reason in progress.skipped[told:]:
                skipped = f"skipped episode {episode} of {recording}: {reason}"
                bar.console.print(escape(skipped), style="yellow", soft_wrap=True)
            told = len(progress.skipped)
            now = f"{progress.transitions} transitions, {progress.frames} frames"
            bar.update(task, total=progress.episodes, completed=progress.episode, now=now)

        yield report


@contextmanager
def training(console: Console, name: str) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Show a training's steps, its loss and its validation loss."""
    with _bar(console, f"training {name}") as (bar, task):
        latest: dict[str, Any] = {}

        def report(entry: dict[str, Any]) -> None:
            latest.update(entry)
            now = f"loss {latest['loss']:.5f}  " if "loss" in latest else ""
            now += f"validation {latest['val_loss']:.5f}  " if "val_loss" in latest else ""
            now += f"{latest['samples_per_s']:.0f} samples/s" if "samples_per_s" in latest else ""
            bar.update(task, total=latest.get("steps"), completed=entry["step"], now=now)

        yield report


@contextmanager
def evaluating(console: Console, name: str = "") -> Iterator[Callable[[int, int], None]]:
    """Show how many samples have been scored."""
    with _bar(console, f"evaluating {name}".strip()) as (bar, task):
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def drawing(console: Console) -> Iterator[Callable[[int, int], None]]:
    """Show how many canvases of a gallery have been drawn."""
    with _bar(console, "drawing") as (bar, task):
        yield lambda done, total: bar.update(task, completed=done, total=total)
