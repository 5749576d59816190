"""Packages that import what they offer when it is asked for (PEP 562), so that nobody waits for what nobody needs."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def attach(package: str, where: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The ``__getattr__`` and ``__dir__`` of a package.

    Args:
        package: its ``__name__``.
        where: for each name that it offers, ``module:name``, with dots for attributes of it.
    """

    def get(name: str) -> Any:
        if name not in where:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, _, path = where[name].partition(":")
        value: Any = import_module(module)
        for part in path.split("."):
            value = getattr(value, part)
        setattr(sys.modules[package], name, value)
        return value

    return get, lambda: sorted(where)
