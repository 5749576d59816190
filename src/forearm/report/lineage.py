"""The tree of experiments: which run follows which, and what each step changed."""

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from forearm.evaluation import METRICS
from forearm.evaluation.samples import differences
from forearm.evaluation.saved import MODEL, Saved
from forearm.report.numbers import short

KEY = METRICS["val_mse"]
"""The figure whose change stands at each edge."""
INDENT, WIDTH, HEIGHT, GAP, EDGE = 34, 322, 64, 14, 20
NAME, NOTE = 30, 47
"""How many letters of a name and of a note fit into a node."""


@dataclass(frozen=True)
class Kin:
    """A run of the tree; ``parent`` is the key of another one.

    family is None where the run is gone. saved: its evaluation on the compared samples, if it has one. given: whether
    it is one of the compared runs, and not only an ancestor of theirs.
    """

    key: str
    name: str
    parent: str | None
    family: str | None
    saved: Saved | None
    notes: str
    given: bool

    @property
    def note(self) -> str:
        """The first line of the notes that sets no target."""
        lines = (line.strip() for line in self.notes.splitlines())
        return next((line for line in lines if line and not line.lower().startswith("target")), "")


def draw(kin: list[Kin], colours: dict[str, str]) -> Markup:
    """The tree as inline SVG, children indented below their parents; runs without a parent stand on the left.

    Args:
        colours: of the compared runs, by name, as CSS.
    """
    by_key = {relative.key: relative for relative in kin}
    rows = list(_rows(kin))
    tops, y = {}, 0
    for relative, depth in rows:
        y += EDGE if depth else 0
        tops[relative.key] = y
        y += HEIGHT + GAP
    parts = []
    for relative, depth in rows:
        x, top = depth * INDENT, tops[relative.key]
        if depth:
            parent = by_key[relative.parent or ""]
            parts.append(_edge(x, tops[parent.key] + HEIGHT, top) + _change(relative, parent, x, top))
        parts.append(_node(relative, x, top, colours.get(relative.name, "none")))
    width = max(depth for _, depth in rows) * INDENT + WIDTH + 2
    size = Markup('viewBox="-1 -1 {w} {h}" width="{w}" height="{h}"').format(w=width, h=y - GAP + 2)
    return Markup('<svg class="lineage" {size} role="img"><title>lineage of the runs</title>{parts}</svg>').format(
        size=size, parts=Markup("").join(parts)
    )


def _rows(kin: list[Kin]) -> Iterator[tuple[Kin, int]]:
    """Every run with its depth, depth first. A run that descends from itself, which no training writes, is a root."""
    keys, seen = {relative.key for relative in kin}, set()

    def below(relative: Kin, depth: int) -> Iterator[tuple[Kin, int]]:
        if relative.key in seen:
            return
        seen.add(relative.key)
        yield relative, depth
        for child in kin:
            if child.parent == relative.key:
                yield from below(child, depth + 1)

    for root in kin:
        if root.parent not in keys:
            yield from below(root, 0)
    for rest in kin:
        yield from below(rest, 0)


def _node(relative: Kin, x: int, y: int, colour: str) -> Markup:
    kind = "gone" if relative.family is None else "given" if relative.given else "ancestor"
    value = short(relative.saved.figures[KEY.name], KEY) if relative.saved else ""
    about = "cannot be opened any more" if relative.family is None else relative.family
    figure = f"{KEY.name} {value}" if value else "" if relative.family is None else "not evaluated on these samples"
    return Markup(
        '<g class="{kind}"><title>{title}</title>'
        '<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="7" />'
        '<path class="mark" d="M{x} {mark} v{short}" style="stroke: {colour}" />'
        '<text class="who" x="{tx}" y="{y1}">{name}</text><text class="value" x="{right}" y="{y1}">{figure}</text>'
        '<text class="soft" x="{tx}" y="{y2}">{about}</text></g>'
    ).format(
        kind=kind,
        title="\n".join(filter(None, (relative.key, relative.notes))),
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
        name=_cut(relative.name, NAME if len(figure) < 20 else NAME // 2),
        figure=figure,
        about=_cut(" · ".join(filter(None, (about, relative.note))), NOTE),
    )


def _edge(x: int, start: int, top: int) -> Markup:
    trunk = x - INDENT + 16
    return Markup('<path d="M{trunk} {start} V{middle} q0 8 8 8 H{x}" />').format(
        trunk=trunk, start=start, middle=top + HEIGHT // 2 - 8, x=x
    )


def _change(child: Kin, parent: Kin, x: int, top: int) -> Markup:
    """How the key figure changed from parent to child, where both were scored on the same samples."""
    if child.saved is None or parent.saved is None:
        return Markup("")
    mine, theirs = (saved.figures[KEY.name] for saved in (child.saved, parent.saved))
    ours, others = (saved.samples[MODEL].only([KEY.name]) for saved in (child.saved, parent.saved))
    verdict = KEY.verdict(differences(ours, others, child.saved.episodes)[KEY.name])
    words = {"better": "surely better", "worse": "surely worse", "level": "no clear difference"}
    text = f"{mine / theirs - 1:+.1%} {KEY.name}".replace("-", "−") if theirs else ""
    said = " · ".join(filter(None, (text, words.get(verdict or "", ""))))
    return Markup('<text class="change {verdict}" x="{x}" y="{y}">{said}</text>').format(
        verdict=verdict or "level", x=x + 2, y=top - 6, said=said
    )


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
