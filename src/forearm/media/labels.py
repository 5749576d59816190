"""Pictures side by side under titles, with lines of text below."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

HEIGHT = 384
"""About how high a picture is drawn, in pixels."""
MARGIN, HEADING, FOOTING = 12, 26, 58
NARROWEST = 420
"""A page is at least so wide, so that the text below the pictures has room."""
PAPER, INK, FAINT, EMPTY, MARK = (255, 255, 255), (32, 34, 38), (120, 124, 132), (238, 240, 243), (255, 196, 0)


def labelled(
    columns: Sequence[tuple[str, np.ndarray | None]], caption: tuple[str, str], box: tuple[slice, slice] | None = None
) -> np.ndarray:
    """Draw titled pictures side by side, a grey and a black line of text below them.

    Args:
        columns: titles and pictures (h, w, 3) uint8 of one size; None draws an empty rectangle. One is a picture.
        box: rows and columns that are framed in each picture.

    Returns:
        (H, W, 3) uint8, H and W even.
    """
    frame_height, frame_width = next(picture.shape[:2] for _, picture in columns if picture is not None)
    scale = max(1, HEIGHT // frame_height)
    height, width = frame_height * scale, frame_width * scale
    size = (max(NARROWEST, MARGIN + len(columns) * (width + MARGIN)), MARGIN + HEADING + height + FOOTING)
    page = Image.new("RGB", (size[0] + size[0] % 2, size[1] + size[1] % 2), PAPER)
    pen, top = ImageDraw.Draw(page), MARGIN + HEADING
    for i, (title, picture) in enumerate(columns):
        left = MARGIN + i * (width + MARGIN)
        pen.text((left, MARGIN - 2), title, INK, _font(15))
        if picture is None:
            pen.rectangle((left, top, left + width - 1, top + height - 1), EMPTY)
            continue
        page.paste(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC), (left, top))
        if box:
            across, down = ([side.start * scale, side.stop * scale] for side in (box[1], box[0]))
            pen.rectangle((left + across[0], top + down[0], left + across[1], top + down[1]), outline=MARK, width=2)
    pen.text((MARGIN, top + height + 8), caption[0], FAINT, _font(14))
    pen.text((MARGIN, top + height + 28), caption[1], INK, _font(15))
    return np.asarray(page)


def _font(size: int) -> ImageFont.FreeTypeFont:
    """Matplotlib's font, which has the minus sign of MOVE−."""
    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", size)
