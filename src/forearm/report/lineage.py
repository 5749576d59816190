"""The lineage of runs as a tree: which run follows which, and how the key figure changed."""

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from forearm.evaluation import METRICS
from forearm.evaluation.samples import differences
from forearm.evaluation.saved import MODEL, Saved
from forearm.report.wording import short

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
    """The tree as inline SVG, children indented below their parents; runs without a parent stand on the left.

    Args:
        colours: of the compared runs, by name, as CSS.
    """
    by_key = {run.key: run for run in runs}
    rows = list(_rows(runs))
    tops, y = {}, 0
    for run, depth in rows:
        y += EDGE if depth else 0
        tops[run.key] = y
        y += HEIGHT + GAP
    parts = []
    for run, depth in rows:
        x, top = depth * INDENT, tops[run.key]
        if depth:
            parent = by_key[run.parent or ""]
            parts.append(_edge(x, tops[parent.key] + HEIGHT, top) + _change(run, parent, x, top))
        parts.append(_node(run, x, top, colours.get(run.name, "none")))
    width = max(depth for _, depth in rows) * INDENT + WIDTH + 2
    size = Markup('viewBox="-1 -1 {w} {h}" width="{w}" height="{h}"').format(w=width, h=y - GAP + 2)
    return Markup('<svg class="lineage" {size} role="img"><title>lineage of the runs</title>{parts}</svg>').format(
        size=size, parts=Markup("").join(parts)
    )


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


def _node(run: LineageRun, x: int, y: int, colour: str) -> Markup:
    kind = "gone" if run.family is None else "given" if run.compared else "ancestor"
    value = short(run.evaluation.figures[KEY.name], KEY) if run.evaluation else ""
    about = "cannot be opened any more" if run.family is None else run.family
    figure = f"{KEY.name} {value}" if value else "" if run.family is None else "not evaluated on these samples"
    return Markup(
        '<g class="{kind}"><title>{title}</title>'
        '<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="7" />'
        '<path class="mark" d="M{x} {mark} v{short}" style="stroke: {colour}" />'
        '<text class="who" x="{tx}" y="{y1}">{name}</text><text class="value" x="{right}" y="{y1}">{figure}</text>'
        '<text class="soft" x="{tx}" y="{y2}">{about}</text></g>'
    ).format(
        kind=kind,
        title="\n".join(filter(None, (run.key, run.notes))),
        x=x,
        y=y,
        w=WIDTH,
        mark=y + 7,
        short=HEIGHT - 14,
        colour=colour,
        h=HEIGHT,
        tx=x + 12,
        right=x + WIDTH - 12,
        y1=y + 26,
        y2=y + 47,
        name=_cut(run.name, NAME if len(figure) < 20 else NAME // 2),
        figure=figure,
        about=_cut(" · ".join(filter(None, (about, run.note))), NOTE),
    )


def _edge(x: int, start: int, top: int) -> Markup:
    trunk = x - INDENT + 16
    return Markup('<path d="M{trunk} {start} V{middle} q0 8 8 8 H{x}" />').format(
        trunk=trunk, start=start, middle=top + HEIGHT // 2 - 8, x=x
    )


def _change(child: LineageRun, parent: LineageRun, x: int, top: int) -> Markup:
    """How the key figure changed from parent to child, where both were scored on the same samples."""
    if child.evaluation is None or parent.evaluation is None:
        return Markup("")
    mine, theirs = (evaluation.figures[KEY.name] for evaluation in (child.evaluation, parent.evaluation))
    ours, others = (evaluation.samples[MODEL].only([KEY.name]) for evaluation in (child.evaluation, parent.evaluation))
    verdict = KEY.verdict(differences(ours, others, child.evaluation.episodes)[KEY.name])
    words = {"better": "surely better", "worse": "surely worse", "level": "no clear difference"}
    text = f"{mine / theirs - 1:+.1%} {KEY.name}".replace("-", "−") if theirs else ""
    change = " · ".join(filter(None, (text, words.get(verdict or "", ""))))
    return Markup('<text class="change {verdict}" x="{x}" y="{y}">{change}</text>').format(
        verdict=verdict or "level", x=x + 2, y=top - 6, change=change
    )


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
