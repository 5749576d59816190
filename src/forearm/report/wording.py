"""Figures and lists in words."""

import math
from typing import Any

from forearm.canvas import Layout
from forearm.evaluation import Metric

NOTHING = "–"


def minus(text: str) -> str:
    """A number's text with the minus sign in place of the hyphen."""
    return text.replace("-", "−")


def fixed(value: Any, decimals: int = 2, sign: str = "-") -> str:
    """A number with so many decimals, with ``sign`` "+" always with its sign; a dash for None."""
    return NOTHING if value is None else minus(f"{value:{sign}.{decimals}f}")


def fixed_span(interval: Any, decimals: int = 2) -> str:
    """An interval as ``fixed`` shows its ends; nothing for None."""
    return "" if interval is None else " to ".join(fixed(end, decimals) for end in interval)


def number(value: Any, metric: Metric, unit: str = "") -> str:
    """A figure as tables show it, with its unit if one is given; a dash where it is undefined."""
    if not isinstance(value, int | float):
        return NOTHING
    value = round(value, 8) + 0.0  # no minus sign before a zero
    if metric.unit == "share":
        return f"{value:.1%}"
    if metric.unit == "joint":
        return f"{value:.4f} {unit}".strip()  # in radians as in degrees: a thousandth of a radian counts
    if metric.unit == "dB":
        return f"{fixed(value)} dB"
    return f"{value:.6f}"


def span(interval: Any, metric: Metric) -> str:
    """An interval as tables show it, or a dash."""
    if interval is None:
        return NOTHING
    bare = [number(value, metric).removesuffix(" dB").removesuffix("%") for value in interval]
    return " to ".join(bare)


def unit_of(layout: Layout, metric: Metric) -> str:
    """The unit of a metric in a joint's own unit, if the joints in question share one; else nothing."""
    if metric.unit != "joint":
        return ""
    driven = [layout.joints[j] for j in layout.joint_of_dimension() if j >= 0]
    joints = driven if metric.name.startswith(("acting_joint", "counterfactual")) else layout.joints
    units = {joint.unit for joint in joints}
    return units.pop() if len(units) == 1 else ""


def short(value: Any, metric: Metric, unit: str = "") -> str:
    """A figure in about three significant digits."""
    if not isinstance(value, float):
        return NOTHING
    decimals = 2 - math.floor(math.log10(value)) if 0 < value < 1 else 2
    if metric.unit == "joint":
        decimals = min(decimals, 4)  # a thousandth of a radian counts, a millionth does not
    return f"{value:.{decimals}f} {unit}".strip()


def listed(items: list[str]) -> str:
    """Items as a sentence lists them: "one, two and three"."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
