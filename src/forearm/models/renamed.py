"""Weights that had other names and settings that did not exist until 2026-11-27, so that older runs open.

Runs of a model whose parts are gone cannot open.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from forearm.base.errors import ForearmError

_WITHOUT = {"state_embedding": False, "synthetic_stay": 0.0, "brightness_jitter": 0.0}
ADDED = {
    **dict.fromkeys(("mae", "gpt", "diffusion"), _WITHOUT),
    "warp": {"change_weight": 0.0, "joint_maps": 0, "first_frame": False, "sharpening": 1.0, "joint_correction": False},
}
"""What runs without a setting were trained with, where that is not its default, by family."""
REMOVED = {"warp": ("depth", "heads", "features", "refine")}
"""Settings of parts that models had until 2026-11-27 and do not have any more, by family."""
WEIGHTS = {
    "places": "position_embedding",
    "next_places": "next_position_embedding",
    "decoder_places": "decoder_position_embedding",
}
"""Old names of modules and tensors directly below a model; no family uses one of them for anything else."""

T = TypeVar("T")


def current_settings(family: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a ``config.json``, with those that did not exist then.

    Raises:
        ForearmError: the model had parts that are gone.
    """
    gone = [name for name in REMOVED.get(family, ()) if name in settings]
    if gone:
        raise ForearmError(f"this run's {family} has parts that are gone since ({', '.join(gone)}); train it anew")
    return ADDED.get(family, {}) | dict(settings)


def current_weights(weights: Mapping[str, T], known: Mapping[str, Any]) -> dict[str, T]:
    """Weights under the names that they have now; ``known`` are the model's, which are left as they are."""

    def current(name: str) -> str:
        first, *rest = name.split(".")
        return name if name in known else ".".join([WEIGHTS.get(first, first), *rest])

    return {current(name): value for name, value in weights.items()}
