"""Metrics, intervals, lists and commands in words."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from forearm.canvas import Layout
from forearm.evaluation import Metric
from forearm.media.words import NOTHING, figure


def number(value: Any, metric: Metric, unit: str = "", signed: bool = False) -> str:
    """A metric's figure, with its unit if one is given; a dash where it is undefined."""
    return figure(value, "share" if metric.unit == "share" else unit, signed, _measured(metric))


def span(interval: Any, metric: Metric | None = None, signed: bool = False) -> str:
    """An interval without its unit, or a dash; of a metric, shares are in percent."""
    if not isinstance(interval, tuple | list) or None in interval:
        return NOTHING
    unit = "share" if metric and metric.unit == "share" else ""
    measured = metric is not None and _measured(metric)
    return " to ".join(figure(end, unit, signed, measured).removesuffix("%") for end in interval)


def _measured(metric: Metric) -> bool:
    return metric.unit in ("dB", "mm", "joint")


def unit_of(layout: Layout, metric: Metric) -> str:
    """The unit of a metric; of one in a joint's own unit that of the joints in question, if they share one."""
    if metric.unit != "joint":
        return metric.unit if metric.unit in ("dB", "mm") else ""
    driven = [layout.joints[j] for j in layout.joint_of_dimension() if j >= 0]
    of_acting = ("acting_joint", "counterfactual", "readout_agreement")
    is_driven = metric.name.startswith(of_acting) or metric.name == "readout_position_mae"
    joints = driven if is_driven else layout.joints
    units = {joint.unit for joint in joints}
    return units.pop() if len(units) == 1 else ""


def count(amount: int, thing: str) -> str:
    """A number of things: "1 episode", "1,200 samples"."""
    return f"{amount:,} {thing}{'' if amount == 1 else 's'}"


def duration(seconds: float) -> str:
    """A time in the unit that suits it."""
    if seconds < 1:
        return figure(1000 * seconds, "ms")
    if seconds < 60:
        return figure(seconds, "s")
    return figure(seconds / 60, "minutes") if seconds < 3600 else figure(seconds / 3600, "hours")


def listed(items: list[str]) -> str:
    """Items as a sentence lists them: "one, two and three"."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def without_folders(text: str) -> str:
    """A text such as ``/home/me/mine.py:make`` as it may be shown to others: ``…/mine.py:make``.

    Paths below the working folder are shown from there, and of others from the root or from home the last part alone.
    """
    text = re.sub(rf"(?:^|(?<=[:=])){re.escape(str(Path.cwd()))}/(?=.)", "", text)
    return re.sub(r"(?:^|(?<=[:=]))[/~][^:]*/(?=[^/:])", "…/", text)


def command_line(words: Sequence[str]) -> str:
    """A command as a shell reads it, without the folders of this machine."""
    return " ".join(
        word if re.fullmatch(r"[\w@%+=:,./…-]+", word) else shlex.quote(word) for word in map(without_folders, words)
    )
