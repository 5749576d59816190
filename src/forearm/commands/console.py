"""What commands show on standard error: facts, progress bars, the steps of a plan."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from forearm.base.errors import ForearmError, shown

if TYPE_CHECKING:
    from forearm.control.loop import EpisodeLog
    from forearm.transitions.build import BuildProgress

console = Console(stderr=True, highlight=False)


@contextmanager
def _bar(what: str) -> Iterator[tuple[Progress, TaskID]]:
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
def building() -> Iterator[Callable[["BuildProgress"], None]]:
    """Show a build's episodes as they come, and in the end a line for each reason for which some were skipped, and for
    each note about others.
    """
    lines: list[str] = []
    with _bar("building") as (bar, task):

        def report(progress: "BuildProgress") -> None:
            lines[:] = [f"skipped {line}" for line in progress.skipped_lines()] + progress.note_lines()
            now = f"{progress.transitions} transitions, {progress.frames} frames"
            bar.update(task, total=progress.episodes, completed=progress.episode, now=now)

        yield report
        for line in lines:
            bar.console.print(escape(line), style="yellow", soft_wrap=True)


@contextmanager
def training(name: str, data: Path | None = None) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Show a training's steps, its loss and its validation loss, and before that what speaks against its data."""
    from forearm.transitions.advice import warnings_of
    from forearm.transitions.store import TransitionSet

    for line in warnings_of(TransitionSet(data)) if data else ():
        console.print(escape(f"{data}: {shown(line)}"), style="yellow", soft_wrap=True)
    with _bar(f"training {name}") as (bar, task):
        latest: dict[str, Any] = {}

        def report(entry: dict[str, Any]) -> None:
            latest.update(entry)
            now = f"loss {latest['loss']:.5f}  " if "loss" in latest else ""
            now += f"validation {latest['val_loss']:.5f}  " if "val_loss" in latest else ""
            now += f"{latest['samples_per_s']:.0f} samples/s" if "samples_per_s" in latest else ""
            bar.update(task, total=latest.get("steps"), completed=entry["step"], now=now)

        yield report


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show how many are done, of how many: episodes recorded, samples scored, canvases drawn."""
    with _bar(what) as (bar, task):
        yield lambda done, total: bar.update(task, completed=done, total=total)


def show(facts: dict[str, Any], console: Console = console) -> None:
    """Print facts as a table."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, escape(str(value)))
    console.print(table)


def show_steps(episode: "EpisodeLog") -> None:
    """Print the steps as a table, with the joints that actions drive."""
    from forearm.control.goals import plain

    table = Table("", "cost", "joints", "next action", "cost foreseen", box=None)
    driven = sorted(set(episode.layout.joint_of_dimension()) - {-1})
    for number, step in enumerate(episode.steps):
        joints = "  ".join(f"{plain(episode.layout.joint_names[j])} {step.seen.joints[j]:.3g}" for j in driven)
        last = number == episode.actions
        table.add_row(
            str(number),
            f"{step.plan.staying:.4g}",
            joints,
            episode.next_action(number),
            "" if last else f"{step.plan.cost:.4g}",
        )
    console.print(table)


def has_screen() -> bool:
    """Whether a browser could be shown."""
    on_linux = sys.platform.startswith("linux")
    return not on_linux or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
