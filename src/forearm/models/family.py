"""A family of models as `forearm train NAME` knows it. Imports no torch: settings are shown without it."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from forearm.base.errors import ForearmError
from forearm.canvas import Layout

if TYPE_CHECKING:
    from forearm.models.world_model import WorldModel


@dataclass(frozen=True)
class Family:
    """A family of models: its name, how to make one, and its settings.

    Raises:
        ForearmError: there are no settings.
    """

    name: str
    """As `forearm train NAME` and `config.json` have it."""
    model: "Callable[[Layout, Any], WorldModel] | str"
    """Makes a fresh model from (layout, config); or "module:name" of what does, imported when a model is made."""
    sizes: dict[str, Any]
    """Its settings, a frozen dataclass, for each named size: at least `so101` (patches of 16), `tiny` (of 8)."""

    def __post_init__(self) -> None:
        if not self.sizes:
            raise ForearmError(f"family {self.name} has no sizes; give it settings for so101 and tiny")

    @property
    def config(self) -> type:
        """The dataclass of the settings; its fields are documented one a line."""
        return type(next(iter(self.sizes.values())))

    def make(self, layout: Layout, config: Any) -> "WorldModel":
        """A fresh model.

        Raises:
            ForearmError: what is made is no `WorldModel`, or its settings cannot be used.
        """
        from forearm.models.world_model import WorldModel

        make: Callable[[Layout, Any], Any]
        if isinstance(self.model, str):
            module, name = self.model.split(":")
            make = getattr(import_module(module), name)
        else:
            make = self.model
        model = make(layout, config)
        if not isinstance(model, WorldModel):
            raise ForearmError(f"family {self.name} makes {type(model).__name__}, not a forearm.models.WorldModel")
        return model
