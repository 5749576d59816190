"""Pictures (h, w, 3) uint8: turned, enlarged, laid out in rows and columns, embedded in a page."""

import base64
import io
from collections.abc import Sequence
from typing import Literal

import numpy as np
from PIL import Image

PHOTO_PIXELS = 200 * 200
"""Pictures with more pixels than this are embedded as WebP, which takes a tenth of the bytes of PNG."""
ENCODINGS = {"exact": ("PNG", {}), "fast": ("PNG", {"compress_level": 1}), "photo": ("WEBP", {"quality": 88})}
"""The file format and its options for each way to embed a picture."""


def channels_last(canvas: np.ndarray) -> np.ndarray:
    """(3, H, W) to (H, W, 3)."""
    return canvas.transpose(1, 2, 0)


def enlarge(picture: np.ndarray, times: int) -> np.ndarray:
    """Show each pixel of (h, w, …) as a square of ``times`` pixels a side, (h · times, w · times, …)."""
    return picture.repeat(times, axis=0).repeat(times, axis=1)


def tile(
    pictures: Sequence[np.ndarray | None], columns: int | None = None, gap: int | tuple[int, int] = 0, fill: int = 255
) -> np.ndarray:
    """Lay pictures out in rows, each at the upper left of its cell.

    A row is as high as its highest picture, a column as wide as its widest.

    Args:
        pictures: (h, w, 3) uint8 of any size; None leaves a cell empty.
        columns: how many stand in a row; by default all of them.
        gap: pixels between rows and between columns, or one number for both.
        fill: the grey of gaps and empty space.

    Returns:
        (H, W, 3) uint8.
    """
    columns = min(columns or len(pictures), len(pictures))
    down, across = gap if isinstance(gap, tuple) else (gap, gap)
    shapes = np.array([(0, 0) if picture is None else picture.shape[:2] for picture in pictures])
    shapes = np.pad(shapes, ((0, -len(shapes) % columns), (0, 0))).reshape(-1, columns, 2)
    tops = np.cumsum([0, *(shapes[..., 0].max(axis=1) + down)])
    lefts = np.cumsum([0, *(shapes[..., 1].max(axis=0) + across)])
    sheet = np.full((tops[-1] - down, lefts[-1] - across, 3), fill, np.uint8)
    for i, picture in enumerate(pictures):
        if picture is not None:
            top, left = tops[i // columns], lefts[i % columns]
            sheet[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return sheet


def data_uri(picture: np.ndarray, how: Literal["exact", "fast", "photo"] | None = None) -> str:
    """Encode a picture (h, w, 3 or 4) uint8 as a URI that needs no file.

    Args:
        how: "exact", a PNG; "fast", a PNG that is packed faster and larger; "photo", a WebP with losses; by default a
            photo if the picture has more than ``PHOTO_PIXELS``, else exact.
    """
    large = picture.shape[0] * picture.shape[1] > PHOTO_PIXELS
    kind, options = ENCODINGS[how or ("photo" if large else "exact")]
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
