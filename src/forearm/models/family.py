"""A family of models as `forearm train NAME` knows it. Imports no torch: settings are shown without it."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from forearm.base.errors import ForearmError
from forearm.canvas import Layout

if TYPE_CHECKING:
    from forearm.models.world_model import WorldModel

MOST = 4096
"""Of blocks, channels and the like."""


@dataclass(frozen=True)
class Family:
    """A family of models: its name, how to make one, and its settings."""

    name: str
    """As `forearm train NAME` and `config.json` have it."""
    model: "Callable[[Layout, Any], WorldModel] | str"
    """Makes a fresh model from (layout, config); or "module:name" of what does, imported when a model is made."""
    sizes: dict[str, Any]
    """Its settings, a frozen dataclass, for each named size: at least `so101` (patches of 16), `tiny` (of 8)."""

    @property
    def config(self) -> type:
        """The dataclass of the settings; its fields are documented one a line."""
        return type(next(iter(self.sizes.values())))

    def make(self, layout: Layout, config: Any) -> "WorldModel":
        """A fresh model."""
        if not isinstance(self.model, str):
            return self.model(layout, config)
        module, name = self.model.split(":")
        return getattr(import_module(module), name)(layout, config)


def require_heads(width: int, heads: int, prefix: str = "") -> None:
    """Refuse a width that heads cannot share or `grid_positions` cannot fill; ``prefix`` stands before both names."""
    if heads < 1 or width < 1 or width % heads or width % 4 or width > MOST:
        raise ForearmError(f"{prefix}width is {width}; it has to be a multiple of 4 and of {prefix}heads, {heads}")


def require_positive(config: Any, *names: str) -> None:
    """Refuse settings below 1, or far beyond what any machine trains."""
    for name in names:
        if not 1 <= getattr(config, name) <= MOST:
            raise ForearmError(f"{name} is {getattr(config, name)}; it has to be at least 1 and at most {MOST}")
