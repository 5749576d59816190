"""Pictures and charts of a page: pictures at a size to show, curves and bars as SVG in the page's colours."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from forearm.media import words

SERIES = 8
"""How many curves have a colour of their own; page.css names them."""

LEGEND_COLUMNS = 3

_INK = "#010203"  # stands for the page's text colour until the page knows whether it is dark
_SERIES = tuple(f"#0102{4 + i:02x}" for i in range(SERIES))


@dataclass(frozen=True)
class Span:
    """A stretch of the horizontal axis that a chart marks, and what it is."""

    start: float
    end: float
    label: str


def line_chart(
    series: dict[str, tuple[np.ndarray, np.ndarray]],
    x_label: str,
    y_label: str,
    log: bool = False,
    bands: dict[str, np.ndarray] | None = None,
    span: Span | None = None,
) -> Markup:
    """Curves as inline SVG without a size of its own, each series of x (K,) and y (K,); after eight, dashes.

    Args:
        bands: for some of the series lower and upper bounds, (2, K), shaded in the curve's colour; cut off where they
            reach further than the range of all curves beyond them.
        span: what to mark in the background.
    """
    legend_rows = -(-len(series) // LEGEND_COLUMNS) if len(series) > 1 else 0
    figure, axes = _axes(x_label, y_label, height=2.5 + 0.19 * legend_rows)
    shown = np.concatenate([np.asarray(y, float) for _, y in series.values()])
    shown = shown[np.isfinite(shown)]
    for i, (name, (x, y)) in enumerate(series.items()):
        sparse, colour, dashes = len(x) <= 30, _SERIES[i % SERIES], "--" if i >= SERIES else "-"
        marker, width = ("o", 1.6) if sparse else ("", 1.0)
        axes.plot(x, y, dashes, color=colour, label=name, linewidth=width, marker=marker, markersize=3)
        if bands and name in bands:
            axes.fill_between(x, *bands[name], color=colour, alpha=0.18, linewidth=0)
    if bands and not log and len(shown):  # a wide interval, as of two episodes, may not flatten the curves
        room = np.ptp(shown) or 1.0
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, shown.min() - room), min(high, shown.max() + room))
    if log:
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        if low < words.ROUNDING < high:  # the first step of a training may be right but for rounding
            low, _ = axes.set_ylim(bottom=words.ROUNDING)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 200 * low else (1,)))
        axes.yaxis.set_major_formatter(lambda value, place: words.figure(value))
        axes.yaxis.set_minor_formatter(NullFormatter())
    if all(np.issubdtype(x.dtype, np.integer) for x, _ in series.values()):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if span:
        axes.axvspan(span.start, span.end, color=_INK, alpha=0.08, linewidth=0)
        above = axes.get_xaxis_transform()
        axes.text(span.end, 1.01, span.label, transform=above, ha="right", va="bottom", color=_INK)
    if legend_rows:  # above the curves, which it would hide
        figure.legend(
            loc="outside upper left",
            ncols=LEGEND_COLUMNS,
            frameon=False,
            labelcolor=_INK,
            borderaxespad=0,
            fontsize=8.5,
        )
    return _as_svg(figure, f"{x_label}{y_label}{sorted(series)}{shown.tolist()}")


@dataclass(frozen=True)
class Point:
    """A point of a scatter chart, in shares, with its intervals."""

    label: str
    x: float
    y: float
    x_interval: tuple[float, float]
    y_interval: tuple[float, float]


def agreement_chart(points: Sequence[Point], x_label: str, y_label: str) -> Markup:
    """Numbered points from 0 to 100 % on either axis, beside the line on which both are equal, as inline SVG."""
    figure, axes = _axes(x_label, y_label, height=4.2)
    axes.plot([0, 100], [0, 100], "--", color=_INK, alpha=0.4, linewidth=1)
    for i, point in enumerate(points):
        x, y, colour = 100 * point.x, 100 * point.y, _SERIES[i % SERIES]
        axes.plot([100 * v for v in point.x_interval], [y, y], color=colour, linewidth=1, alpha=0.45)
        axes.plot([x, x], [100 * v for v in point.y_interval], color=colour, linewidth=1, alpha=0.45)
        axes.plot([x], [y], "o", color=colour, markersize=6)
        axes.annotate(str(i + 1), (x, y), (5, 5), textcoords="offset points", color=_INK, fontsize=8.5)
    axes.set_xlim(-4, 104)
    axes.set_ylim(-4, 104)
    axes.set_aspect("equal")
    return _as_svg(figure, f"{x_label}{y_label}{[(p.label, p.x, p.y) for p in points]}")


def bar_chart(bars: dict[str, float], x_label: str, y_label: str) -> Markup:
    """Named values as inline SVG without a size of its own."""
    figure, axes = _axes(x_label, y_label)
    drawn = axes.bar(list(bars), list(bars.values()), color=_SERIES[0], width=0.6)
    axes.bar_label(drawn, fmt=words.figure, color=_INK, padding=2)
    axes.grid(visible=False, axis="x")
    axes.margins(y=0.15)
    return _as_svg(figure, f"{x_label}{y_label}{sorted(bars)}")


def _axes(x_label: str, y_label: str, height: float = 2.6) -> tuple[Figure, Axes]:
    with rc_context({"font.size": 9}):
        figure = Figure(figsize=(5, height), layout="constrained")
        axes = figure.add_subplot()
        axes.set_xlabel(x_label, color=_INK)
        axes.set_ylabel(y_label, color=_INK)
        axes.tick_params(which="both", colors=_INK)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(_INK)
        axes.grid(color=_INK, alpha=0.12, linewidth=0.6)
        axes.set_axisbelow(True)
    return figure, axes


def _as_svg(figure: Figure, salt: str) -> Markup:
    """The figure in the page's colours; the salt keeps the names inside one chart apart from another's."""
    buffer = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": salt, "font.size": 9}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return _in_page_colours(buffer.getvalue())


def _in_page_colours(svg: str) -> Markup:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' (?:width|height)="[\d.]+pt"', "", svg, count=2)
    svg = re.sub(r"font: [^;\"]*?(\d+)px[^;\"]*", r"font-size: \1px", svg)
    svg = svg.replace(_INK, "currentColor")
    for i, colour in enumerate(_SERIES):
        svg = svg.replace(colour, f"var(--series-{i + 1})")
    return Markup(svg)
