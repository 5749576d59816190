"""Families of world models behind one interface."""

import dataclasses
import pkgutil
from importlib import import_module
from typing import Any

from forearm.canvas import Layout
from forearm.errors import ForearmError
from forearm.models.world_model import Family, WorldModel


def discover() -> dict[str, Family]:
    """The ``FAMILY`` of every file beside this one, by name."""
    modules = [import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    families = [module.FAMILY for module in modules if hasattr(module, "FAMILY")]
    return {family.name: family for family in families}


FAMILIES = discover()
"""The families that there are."""

DEFAULT = "warp"
"""The family for whoever names none: the best at equal time of training (docs/results.md)."""


def family_names() -> tuple[str, ...]:
    """The names of the families that there are."""
    return tuple(FAMILIES)


def get_family(name: str) -> Family:
    """The family of a name.

    Raises:
        ForearmError: there is none.
    """
    if name not in FAMILIES:
        raise ForearmError(f"no family {name!r}; there are {', '.join(FAMILIES)}")
    return FAMILIES[name]


def make_model(family: str, layout: Layout, settings: dict[str, Any]) -> WorldModel:
    """A fresh model of a family from its settings as they stand in ``config.json``.

    Raises:
        ForearmError: there is no such family, or its settings are not these.
    """
    known = get_family(family)
    usual = next(iter(known.sizes.values()))
    for name, value in settings.items():
        kind = type(getattr(usual, name, value))
        if type(value) is not kind:
            raise ForearmError(f"{name} is {value!r}; family {family} wants {kind.__name__}")
    try:
        config = type(usual)(**settings)
    except TypeError as error:
        raise ForearmError(f"these are no settings of family {family}: {error}") from error
    return known.model(layout, config)


def family_settings(family: str, size: str, changes: dict[str, Any]) -> dict[str, Any]:
    """The settings of a family's named size, with changes; whole numbers will do where others are wanted.

    Raises:
        ForearmError: there is no such family, size or setting.
    """
    sizes = get_family(family).sizes
    if size not in sizes:
        raise ForearmError(f"family {family} has no size {size!r}; it has {', '.join(sizes)}")
    settings = dataclasses.asdict(sizes[size])
    for name in changes:
        if name not in settings:
            raise ForearmError(f"family {family} has no setting {name!r}; it has {', '.join(settings)}")
    whole = {n: float(v) for n, v in changes.items() if type(v) is int and type(settings[n]) is float}
    return {**settings, **changes, **whole}


__all__ = [
    "DEFAULT",
    "FAMILIES",
    "Family",
    "WorldModel",
    "family_names",
    "family_settings",
    "get_family",
    "make_model",
]
