"""Figures that only one model family has, as numbers, curves, bars and maps."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from forearm.canvas import Layout
from forearm.media.colours import heat_map
from forearm.media.pictures import enlarge
from forearm.media.words import figure
from forearm.report.charts import Span, bar_chart, line_chart
from forearm.report.html import image

TEXTS = {
    "squared_error_per_patch": "every patch of the last frame, the motor strip at the bottom",
    "teacher_forcing_loss": "squared error when each patch is predicted from the true patches before it",
    "free_running_loss": "squared error when each patch is predicted from those that the model predicted before it",
    "teacher_forcing_gap": "free running − teacher forcing: what the model's own mistakes cost",
    "loss_by_noise_level": ("squared error of the denoised picture by the share of noise: 0 is no noise, 1 only noise"),
    "copied_share": "share of the picture that is copied from the previous frame, moved or unmoved",
    "remembered_share": "share of the picture that is predicted from the joints alone",
    "generated_share": "share of the picture that is generated anew",
    "expected_error_per_patch": "the squared error that the model expects, patch by patch of the picture",
    "novelty": "probability that training saw no similar combination of joints and action",
}
LEVELS = {"loss_by_noise_level": ("0 to ¼", "¼ to ½", "½ to ¾", "¾ to 1")}
MAP_WIDTH = 200
PER_POSITION, PER_PATCH = "_loss_per_position", "_error_per_patch"


def extras(layout: Layout, figures: dict[str, np.ndarray]) -> Iterator[dict[str, Any]]:
    """Figures of shape (), (K,) or (rows, columns) as a page shows them.

    All losses per position share a chart. All errors per patch share a colour scale.
    """
    per_position = {name: values for name, values in figures.items() if name.endswith(PER_POSITION)}
    errors = [float(values.max()) for name, values in figures.items() if name.endswith(PER_PATCH)]
    for name, values in figures.items():
        if name not in per_position:
            top = max(errors) if name.endswith(PER_PATCH) else float(values.max())
            yield {"name": name, "text": TEXTS.get(name, ""), **_shown(layout, name, values, top)}
    if per_position:
        yield _per_position(layout, per_position)


def _shown(layout: Layout, name: str, values: np.ndarray, top: float) -> dict[str, Any]:
    if values.ndim == 0:
        return {"kind": "number", "value": figure(float(values))}
    if name in LEVELS and len(values) == len(LEVELS[name]):
        bars = dict(zip(LEVELS[name], values.tolist(), strict=True))
        return {"kind": "chart", "svg": bar_chart(bars, "share of noise", "squared error")}
    if values.ndim == 1:
        return {"kind": "chart", "svg": line_chart({name: (np.arange(len(values)), values)}, "index", name)}
    plane = values.reshape(values.shape[0], -1)
    cells = enlarge(heat_map(plane, top), layout.patch)
    return {"kind": "map", "image": image(cells, MAP_WIDTH), "top": figure(top)}


def _per_position(layout: Layout, losses: dict[str, np.ndarray]) -> dict[str, Any]:
    """Losses by the index of the patch in raster order, each (N,)."""
    strip = layout.strip_height // layout.patch * (layout.frame_width // layout.patch)
    series = {
        name.removesuffix(PER_POSITION).replace("_", " "): (np.arange(len(values)), values)
        for name, values in losses.items()
    }
    patches = max(len(values) for values in losses.values())
    svg = line_chart(
        series,
        "patch in raster order",
        "squared error",
        log=all((values > 0).all() for values in losses.values()),
        span=Span(patches - strip, patches - 1, "motor strip"),
    )
    return {"name": "loss_per_position", "kind": "chart", "svg": svg, "text": "patch by patch of the last frame"}
