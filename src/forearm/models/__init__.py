"""Families of world models behind one interface. Names and settings are known without importing torch."""

import dataclasses
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from forearm.base.errors import ForearmError, foreign
from forearm.base.files import checked
from forearm.canvas import Layout
from forearm.models.family import Family
from forearm.models.renamed import current_settings

if TYPE_CHECKING:
    from forearm.models.world_model import WorldModel

OURS = {name: f"forearm.models.{name}" for name in ("diffusion", "flow", "gpt", "mae", "unet", "warp")}
"""The module of each family of this package; each holds its `Family` as ``FAMILY``."""
GROUP = "forearm.models"
"""Entry points under which other packages name theirs: `name = "package.module:FAMILY"`."""
DEFAULT = "warp"
"""The family for whoever names none: docs/results.md compares all at equal time of training."""


def family_names() -> tuple[str, ...]:
    """The families of this package and of installed ones; imports none of them."""
    return (*OURS, *(name for name in _others() if name not in OURS))


def get_family(name: str) -> Family:
    """A family by its name; imports no other."""
    if name in OURS:
        return import_module(OURS[name]).FAMILY
    if name not in _others():
        raise ForearmError(f"no family {name!r}; there are {', '.join(family_names())}")
    point = _others()[name]
    with foreign(f"family {name} cannot be imported from {point.value}"):
        family = point.load()
    if not isinstance(family, Family):
        raise ForearmError(f"family {name}: {point.value} is {type(family).__name__}, not a forearm.models.Family")
    return family


def make_model(family: str, layout: Layout, settings: dict[str, Any]) -> "WorldModel":
    """A fresh model of a family from its settings as they stand in ``config.json``."""
    known, settings = get_family(family), current_settings(family, settings)
    config = checked(known.config, settings, f"the settings of family {family}")
    return known.make(layout, config)


def family_settings(family: str, size: str, changes: dict[str, Any]) -> dict[str, Any]:
    """The settings of a family's named size, with changes; whole numbers will do where others are wanted."""
    sizes = get_family(family).sizes
    if size not in sizes:
        raise ForearmError(f"family {family} has no size {size!r}; it has {', '.join(sizes)}")
    settings = dataclasses.asdict(sizes[size])
    for name in changes:
        if name not in settings:
            raise ForearmError(f"family {family} has no setting {name!r}; it has {', '.join(settings)}")
    whole = {n: float(v) for n, v in changes.items() if type(v) is int and type(settings[n]) is float}
    return {**settings, **changes, **whole}


@cache
def _others() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def __getattr__(name: str) -> Any:
    if name == "WorldModel":
        return import_module("forearm.models.world_model").WorldModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["DEFAULT", "Family", "WorldModel", "family_names", "family_settings", "get_family", "make_model"]
