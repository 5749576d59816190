"""What the page shows of a picture: a data URI for each camera, and errors as heat to lay over them."""

import numpy as np

from forearm.canvas import Layout
from forearm.media.colours import OVERLAY, heat_map
from forearm.media.pictures import data_uri

TOP = 0.4
"""The root of the squared error at which heat is at its strongest, as a share of the range from black to white."""


def cameras(layout: Layout, picture: np.ndarray) -> list[str]:
    """A data URI for each camera of a picture (h, w, 3 or 4) uint8, exact to the pixel."""
    return [data_uri(each, "fast") for each in layout.split(picture)]


def heat(squared_error: np.ndarray) -> np.ndarray:
    """Squared errors (h, w) as colours to lay over a picture, (h, w, 4) uint8; no error is transparent."""
    return heat_map(np.sqrt(squared_error), TOP, OVERLAY)
