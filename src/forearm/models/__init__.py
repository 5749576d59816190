"""Families of world models behind one interface."""

import dataclasses
from typing import Any

from forearm.canvas import Layout
from forearm.errors import ForearmError
from forearm.models.gpt import CausalTransformer, GPTConfig
from forearm.models.mae import MAEConfig, MaskedAutoencoder
from forearm.models.world_model import Predictor, WorldModel

FAMILIES: dict[str, tuple[type[WorldModel], dict[str, Any]]] = {
    "mae": (
        MaskedAutoencoder,
        {
            "so101": MAEConfig(),
            "tiny": MAEConfig(width=128, depth=4, heads=4, decoder_width=64, decoder_depth=2, decoder_heads=2),
        },
    ),
    "gpt": (CausalTransformer, {"so101": GPTConfig(), "tiny": GPTConfig(width=128, depth=4, heads=4)}),
}
"""Each family's model and its sizes by name."""


def make_model(family: str, layout: Layout, settings: dict[str, Any]) -> WorldModel:
    """A fresh model of a family from its settings as they stand in ``config.json``.

    Raises:
        ForearmError: there is no such family, or its settings are not these.
    """
    model, sizes = _family(family)
    usual = next(iter(sizes.values()))
    for name, value in settings.items():
        kind = type(getattr(usual, name, value))
        if type(value) is not kind:
            raise ForearmError(f"{name} is {value!r}; family {family} wants {kind.__name__}")
    try:
        config = type(usual)(**settings)
    except TypeError as error:
        raise ForearmError(f"these are no settings of family {family}: {error}") from error
    return model(layout, config)  # type: ignore[call-arg]


def family_settings(family: str, size: str, changes: dict[str, Any]) -> dict[str, Any]:
    """The settings of a family's named size, with changes.

    Raises:
        ForearmError: there is no such family, size or setting.
    """
    _, sizes = _family(family)
    if size not in sizes:
        raise ForearmError(f"family {family} has no size {size!r}; it has {', '.join(sizes)}")
    settings = dataclasses.asdict(sizes[size])
    for name in changes:
        if name not in settings:
            raise ForearmError(f"family {family} has no setting {name!r}; it has {', '.join(settings)}")
    return {**settings, **changes}


def _family(name: str) -> tuple[type[WorldModel], dict[str, Any]]:
    if name not in FAMILIES:
        raise ForearmError(f"no family {name!r}; there are {', '.join(FAMILIES)}")
    return FAMILIES[name]


__all__ = ["FAMILIES", "Predictor", "WorldModel", "family_settings", "make_model"]
