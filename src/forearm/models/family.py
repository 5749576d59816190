"""A family of models as `forearm train NAME` knows it. Imports no torch: settings are shown without it."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from forearm.canvas import Layout

if TYPE_CHECKING:
    from forearm.models.world_model import WorldModel


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
