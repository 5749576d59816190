"""Films from pictures (h, w, 3) uint8 of one size: GIF and H.264 mp4."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from forearm.recordings.encoding import NEAR_LOSSLESS, encode


def gif(
    frames: Sequence[np.ndarray], seconds: float, *, last: float | None = None, colours: int | None = None
) -> bytes:
    """Write frames as a GIF that repeats.

    Args:
        seconds: how long each frame is shown.
        last: how long the last one is shown; by default as long as the others.
        colours: how many colours each frame keeps, without dithering; by default Pillow chooses.
    """
    pictures = [Image.fromarray(frame) for frame in frames]
    if colours:
        pictures = [picture.quantize(colours, dither=Image.Dither.NONE) for picture in pictures]
    durations = [round(1000 * seconds)] * (len(frames) - 1) + [round(1000 * (last or seconds))]
    buffer = io.BytesIO()
    first, *others = pictures
    first.save(
        buffer,
        "GIF",
        save_all=True,
        append_images=others,
        duration=durations,
        loop=0,
        optimize=colours is not None,
    )
    return buffer.getvalue()


def mp4(frames: Sequence[np.ndarray], fps: int, held: int = 1, crf: int = NEAR_LOSSLESS) -> bytes:
    """Write frames, of even height and width, as an H.264 film that shows each of them ``held`` times.

    ``crf`` says how good they are: see `encode`.
    """
    buffer = io.BytesIO()  # no file, which would stay behind where Ctrl-C ends a command
    encode(buffer, np.stack(frames).repeat(held, axis=0), fps, crf)
    return buffer.getvalue()
