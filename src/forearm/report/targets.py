"""Targets that a run sets its children, and whether a child reached them."""

import math
import operator
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from forearm.base.errors import ForearmError
from forearm.evaluation import METRICS, Metric, fed_back_for, key_metrics, legible
from forearm.evaluation.intervals import MIN_GROUPS

RELATIONS = {"<=": operator.le, "<": operator.lt, ">=": operator.ge, ">": operator.gt}
LISTS = ("motor_position_mae_per_joint", "readout_position_mae_per_joint")
"""Metrics with a figure for each joint, which cannot be targets."""

_LINE = re.compile(r"\s*targets?\s*:(.*)", re.IGNORECASE)
_TARGET = re.compile(r"\s*(?P<name>\w+)\s*(?P<relation>[<>]=?|[≤≥])\s*(?P<value>[-+\d.eE]+)\s*(?P<percent>%?)\s*")


@dataclass(frozen=True)
class Target:
    """A bound for a metric: ``name`` in a ``relation`` (<=, <, >=, >) to ``value``."""

    name: str
    relation: str
    value: float

    def __str__(self) -> str:
        return f"{self.name} {self.relation} {self.value:g}"

    @property
    def sign(self) -> str:
        return self.relation.replace("<=", "≤").replace(">=", "≥")

    @property
    def metric(self) -> Metric:
        return METRICS[self.name]

    def verdict(self, value: Any, interval: Any, groups: int) -> str:
        """Whether a figure of so many independent groups "reached" the target, "missed" it, or is "too close to call".

        It is too close if the target lies in the figure's 95% interval. Few groups are "too few to tell". Without a
        figure the target is "not measured".
        """
        if not isinstance(value, float):
            return "not measured"
        if interval is None or groups < MIN_GROUPS:
            return "too few to tell"
        kept = {bool(RELATIONS[self.relation](end, self.value)) for end in interval}
        if len(kept) == 2:
            return "too close to call"
        return "reached" if kept.pop() else "missed"


def parse_targets(notes: str) -> list[Target]:
    """The targets that notes set, in lines such as ``target: val_mse <= 0.0102, ssim > 0.8``.

    Several in a line are separated by commas or semicolons; shares may be given in percent.

    Raises:
        ForearmError: a line begins like a target and cannot be understood.
    """
    return [target for line in notes.splitlines() if (found := _LINE.match(line)) for target in _parse(found[1])]


def key_targets(metrics: dict[str, Any]) -> list[Target]:
    """The targets of a run that set none: at least as good as its ``metrics.json`` on every key metric."""
    return [
        Target(name, "<=" if METRICS[name].better == "lower" else ">=", metrics[name])
        for key in key_metrics(metrics.get("given", ()), legible(metrics), fed_back_for(metrics))
        for name in (key if key in metrics else key.removesuffix("_moves"),)  # evaluations of before 2026-11-26
        if isinstance(metrics.get(name), float)
    ]


def _parse(line: str) -> Iterator[Target]:
    for text in [part for part in re.split("[,;]", line) if part.strip()] or [line]:
        found = _TARGET.fullmatch(text)
        value = _number(found["value"]) if found else None
        if found is None or value is None:
            raise _not_understood(text, "it is written as: target: val_mse <= 0.0102, ssim > 0.8")
        name, relation = found["name"], found["relation"].replace("≤", "<=").replace("≥", ">=")
        if name not in METRICS or name in LISTS:
            raise _not_understood(text, f"there is no single figure {name!r}; docs/metrics.md names them all")
        if found["percent"] and METRICS[name].unit != "share":
            raise _not_understood(text, f"{name} is no share that could be given in percent")
        yield Target(name, relation, value / 100 if found["percent"] else value)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _not_understood(text: str, why: str) -> ForearmError:
    return ForearmError(f"the target {text.strip()!r} in the notes cannot be understood: {why}")
