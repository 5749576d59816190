"""Figures, joint positions and actions as a person says them."""

import math
from typing import Any

import numpy as np

from forearm.canvas import CODE_NAMES, STAY, Joint, Layout, action_codes
from forearm.canvas.actions import DEAD_BAND

NOTHING = "–"
"""What stands where there is no figure."""
DIGITS = 3
"""Significant digits of a figure."""
SMALLEST, LARGEST = 1e-4, 1e6
"""Figures outside of these are written as a power of ten; in a unit, what is smaller only as smaller."""
ROUNDING = 1e-12
"""What is smaller is what rounding leaves of 0."""
UNITS = {"share": "%", "deg": "°"}
"""Units that a page writes differently."""
DECIMALS = {"deg": 2, "%": 2, "mm": 2, "ticks": 0, "rad": 4, "m": 4}
"""Decimals of a joint's position, by unit."""
NAMED = 2
"""So many changes are named one by one; of more only the largest is."""

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def figure(value: Any, unit: str = "", signed: bool = False, measured: bool = False) -> str:
    """A number in three significant digits, with its unit if one is given; a dash for what is no finite number.

    A ``share`` is given in percent with one decimal. Only zero is written as 0, and only a whole share as 100%.
    A sign stands before the amount, also where only a bound of the amount is given: −<0.1%.

    Args:
        signed: write + before a positive number.
        measured: it has a unit, which stands elsewhere.
    """
    if not isinstance(value, int | float | np.number) or not math.isfinite(value):
        return NOTHING
    value = float(value)
    if abs(value) < ROUNDING and unit != "share":
        value = 0.0
    if unit == "share":
        text = _percent(abs(value))
    elif (unit or measured) and 0 < abs(value) < SMALLEST:
        text = f"<{SMALLEST:.4f}"
    else:
        text = _significant(abs(value))
    sign = "−" if value < 0 else "+" if signed and value > 0 else ""
    return f"{sign}{text}{unit_behind(unit)}"


def reading(value: float, joint: Joint, signed: bool = False, unit: bool = False) -> str:
    """A joint's position, or a change of it, with the decimals that its unit needs.

    Args:
        signed: write + before a positive change.
        unit: add the joint's unit.
    """
    if not math.isfinite(value):
        return NOTHING
    decimals = DECIMALS.get(joint.unit, 2 if joint.high - joint.low > 10 else 4)
    rounded = round(value, decimals) + 0.0  # no sign before a zero
    text = f"{rounded:{'+' if signed and rounded else ''}.{decimals}f}".replace("-", "−")
    return text + (unit_behind(joint.unit) if unit else "")


def action_words(layout: Layout, values: np.ndarray) -> str:
    """What an action (A,) does: ``STAY``, or its changes in their units, such as ``shoulder_pan +10°``.

    Values within the dead band are left out. Of more than two changes the largest is named, followed by ``…``.
    """
    if int(action_codes(values[None])[0]) == STAY:
        return CODE_NAMES[STAY]
    changed = np.flatnonzero(np.abs(values) > DEAD_BAND)
    named = changed if len(changed) <= NAMED else [np.abs(values).argmax()]
    parts = []
    for i in named:
        action = layout.actions[i]
        change = values[i] * action.scale
        amount = _significant(abs(change))
        amount = amount.rstrip("0").rstrip(".") if "." in amount else amount
        parts.append(f"{action.name} {'−' if change < 0 else '+'}{amount}{unit_behind(action.unit)}")
    return ", ".join(parts) + (" …" if len(changed) > NAMED else "")


def unit_behind(unit: str) -> str:
    """A unit as it stands behind a number."""
    short = UNITS.get(unit, unit)
    return short if short in ("%", "°", "") else f" {short}"


def _significant(value: float) -> str:
    """A number ≥ 0 in three significant digits; from 1,000 on all digits before the point."""
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.{DIGITS - 1}e}".split("e")
    power = int(exponent)
    if not SMALLEST <= float(f"{mantissa}e{power}") < LARGEST:
        return f"{mantissa} × 10{str(power).translate(_SUPERSCRIPTS)}"
    return f"{value:,.{max(0, DIGITS - 1 - power)}f}"


def _percent(share: float) -> str:
    """A share ≥ 0 as percent without the sign."""
    text = f"{100 * share:,.1f}" if share < 10 else f"{100 * share:,.0f}"
    if share in (0, 1):
        return text.removesuffix(".0")
    if text == "0.0":
        return "<0.1"
    return ("<100" if share < 1 else ">100") if text == "100.0" else text
