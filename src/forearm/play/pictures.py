"""Pictures for the page: PNG as data URIs, camera by camera, and heat maps to lay over them."""

import base64
import io

import numpy as np
from PIL import Image

from forearm.canvas import Layout

TOP = 0.4
"""The error, root of the squared one, at which heat is at its strongest; a share of the range from black to white."""
_STOPS = np.array([[60, 0, 90, 0], [150, 10, 110, 120], [230, 70, 60, 200], [255, 180, 40, 235], [255, 250, 190, 250]])
_SHADES = np.linspace(0, len(_STOPS) - 1, 256)
HEAT = np.stack([np.interp(_SHADES, range(len(_STOPS)), channel) for channel in _STOPS.T], axis=-1).astype(np.uint8)
"""Colours (red, green, blue, opacity) of heat from none to the strongest, (256, 4) uint8."""


def cameras(layout: Layout, picture: np.ndarray) -> list[str]:
    """A data URI for each camera of a picture (h, w, 3 or 4) uint8, exact to the pixel."""
    return [data_uri(picture[box]) for box in layout.camera_boxes()]


def data_uri(picture: np.ndarray) -> str:
    """A picture (h, w, 3 or 4) uint8 as a URI that needs no file: a PNG, packed fast rather than small."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, "PNG", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def heat(squared_error: np.ndarray) -> np.ndarray:
    """Squared errors (h, w) as colours to lay over a picture, (h, w, 4) uint8; no error is transparent."""
    return HEAT[(np.clip(np.sqrt(squared_error) / TOP, 0, 1) * 255).astype(np.uint8)]
