"""What all pages share: templates, pictures at a size to show, settings as lines."""

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from forearm.media.pictures import channels_last, data_uri
from forearm.media.words import NOTHING, figure, reading
from forearm.report.wording import count, duration, span

OPEN_EXAMPLES = 4
"""How many samples a page shows at once; the others fold out."""


@functools.cache
def template(name: str) -> Template:
    """A page's template. It escapes what is filled in, and fails where something is missing."""
    environment = Environment(
        loader=PackageLoader("forearm.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "figure": figure,
        "reading": reading,
        "span": span,
        "count": count,
        "duration": duration,
        "picture": picture,
    }
    return environment.get_template(name)


def image(pixels: np.ndarray, about: float) -> dict[str, Any]:
    """What a template needs to show a picture (h, w, 3) uint8 about so many pixels wide.

    Small pictures are shown at whole multiples of their size.
    """
    height, width = pixels.shape[:2]
    shrunk = width > 1.25 * about
    scale = 1.25 * about / width if shrunk else max(1, round(about / width))
    return {
        "src": data_uri(pixels),
        "width": round(width * scale),
        "height": round(height * scale),
        "kind": "photo" if shrunk else "pixels",
    }


def picture(region: np.ndarray, about: float) -> dict[str, Any]:
    """As ``image``, of a canvas or a part of it, (3, h, w) uint8."""
    return image(channels_last(region), about)


def flattened(settings: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as lines: ``model.depth`` and its value as text."""
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from flattened(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", NOTHING if value is None else str(value)
