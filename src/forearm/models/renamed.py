"""Weights that had other names and settings that did not exist until 2026-11-26, so that older runs open."""

from collections.abc import Mapping
from typing import Any, TypeVar

_WITHOUT = {"state_embedding": False, "synthetic_stay": 0.0, "brightness_jitter": 0.0}
ADDED = {"mae": _WITHOUT, "gpt": _WITHOUT, "diffusion": _WITHOUT}
"""What runs without a setting were trained with, where that is not its default, by family."""
WEIGHTS = {
    "places": "position_embedding",
    "next_places": "next_position_embedding",
    "decoder_places": "decoder_position_embedding",
}
"""Old names of modules and tensors directly below a model; no family uses one of them for anything else."""

T = TypeVar("T")


def current_settings(family: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a ``config.json``, with those that did not exist then."""
    return ADDED.get(family, {}) | dict(settings)


def current_weights(weights: Mapping[str, T], known: Mapping[str, Any]) -> dict[str, T]:
    """Weights under the names that they have now; ``known`` are the model's, which are left as they are."""

    def current(name: str) -> str:
        first, *rest = name.split(".")
        return name if name in known else ".".join([WEIGHTS.get(first, first), *rest])

    return {current(name): value for name, value in weights.items()}
