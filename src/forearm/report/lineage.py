"""The lineage of runs as a tree: which run follows which, and how the key figure changed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from forearm.evaluation import METRICS
from forearm.evaluation.intervals import Difference, differences, verdicts
from forearm.evaluation.saved import MODEL, Saved
from forearm.media.words import figure
from forearm.report.html import template
from forearm.report.wording import number

KEY = METRICS["val_mse"]
"""The figure whose change stands at each edge."""
INDENT, WIDTH, HEIGHT, GAP, EDGE = 34, 322, 64, 14, 20
NAME, NOTE = 30, 47
"""How many letters of a name and of a note fit into a node."""


@dataclass(frozen=True)
class LineageRun:
    """A run of the tree: one that is compared, or an ancestor of one."""

    key: str
    """What identifies it: its path."""
    name: str
    parent: str | None
    """The key of the run that it follows."""
    family: str | None
    """None where the run cannot be opened any more."""
    evaluation: Saved | None
    """On the compared samples, if it has one."""
    notes: str
    compared: bool
    """Whether it is one of the compared runs, and not only an ancestor."""

    @property
    def note(self) -> str:
        """The first line of the notes that sets no target."""
        lines = (line.strip() for line in self.notes.splitlines())
        return next((line for line in lines if line and not line.lower().startswith("target")), "")


def draw(runs: list[LineageRun], colours: dict[str, str]) -> Markup:
    """The tree as inline SVG, children indented below their parents; ``colours`` are those of the compared runs."""
    by_key = {run.key: run for run in runs}
    apart = {
        (KEY.name, run.key): _difference(run, by_key[run.parent]) for run in runs if run.parent and run.parent in by_key
    }
    judged = verdicts(apart)
    nodes: dict[str, dict[str, Any]] = {}
    depths, y = [], 0
    for run, depth in _rows(runs):
        y += EDGE if depth else 0
        parent = by_key[run.parent or ""] if depth else None
        nodes[run.key] = {
            **_node(run),
            "x": depth * INDENT,
            "top": y,
            "colour": colours.get(run.name, "none"),
            "parent_bottom": nodes[parent.key]["top"] + HEIGHT if parent else None,
            "change": _change(apart[KEY.name, run.key], parent, judged[KEY.name, run.key]) if parent else None,
        }
        depths.append(depth)
        y += HEIGHT + GAP
    size = {"width": max(depths) * INDENT + WIDTH + 2, "height": y - GAP + 2}
    node = {"width": WIDTH, "height": HEIGHT, "indent": INDENT}
    return Markup(template("lineage.svg").render(nodes=list(nodes.values()), size=size, node=node))


def _rows(runs: list[LineageRun]) -> Iterator[tuple[LineageRun, int]]:
    """Every run with its depth, depth first. A run that descends from itself, which no training writes, is a root."""
    keys, seen = {run.key for run in runs}, set()

    def below(run: LineageRun, depth: int) -> Iterator[tuple[LineageRun, int]]:
        if run.key in seen:
            return
        seen.add(run.key)
        yield run, depth
        for child in runs:
            if child.parent == run.key:
                yield from below(child, depth + 1)

    for root in runs:
        if root.parent not in keys:
            yield from below(root, 0)
    for rest in runs:
        yield from below(rest, 0)


def _node(run: LineageRun) -> dict[str, Any]:
    """The words of a run's node."""
    about = "cannot be opened any more" if run.family is None else run.family
    if run.evaluation:
        figure = f"{KEY.name} {number(run.evaluation.figures[KEY.name], KEY)}"
    else:
        figure = "" if run.family is None else "not evaluated on these samples"
    return {
        "kind": "gone" if run.family is None else "given" if run.compared else "ancestor",
        "title": "\n".join(filter(None, (run.key, run.notes))),
        "name": _cut(run.name, NAME if len(figure) < 20 else NAME // 2),
        "figure": figure,
        "about": _cut(" · ".join(filter(None, (about, run.note))), NOTE),
    }


def _difference(child: LineageRun, parent: LineageRun) -> Difference | None:
    """The child's key figure minus the parent's; None unless both were evaluated."""
    if child.evaluation is None or parent.evaluation is None:
        return None
    groups = min(child.evaluation.groups, parent.evaluation.groups, key=lambda of: len(np.unique(of)))
    ours, others = (evaluation.samples[MODEL].only([KEY.name]) for evaluation in (child.evaluation, parent.evaluation))
    return differences(ours, others, groups)[KEY.name]


def _change(difference: Difference | None, parent: LineageRun, verdict: str | None) -> tuple[str, str] | None:
    """The verdict on how the key figure changed from parent to child, and the change in words; None if unknown."""
    if difference is None or parent.evaluation is None:
        return None
    theirs = parent.evaluation.figures[KEY.name]
    words = {"better": "surely better", "worse": "surely worse", "level": "no clear difference"}
    text = f"{figure(difference.value / theirs, 'share', signed=True)} {KEY.name}" if theirs else ""
    return verdict or "level", " · ".join(filter(None, (text, words.get(verdict or "", "too few to tell"))))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
