"""What all files of pictures offer, and which of them are open."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

Size = tuple[int, int]
"""(height, width) in pixels."""
ACCURATE_RND, FULL_CHR_H_INT, FULL_CHR_H_INP = 0x40000, 0x2000, 0x4000
"""FFmpeg's flags (libswscale) for exact scaling; PyAV takes them as numbers from 14.2, by name only from 16."""
MOST_PIXELS = 2**25
"""A larger picture (8K is 7680×4320) is refused before it takes memory."""


class PictureFile(Protocol):
    """A file or folder that holds one camera's pictures in order. It stays open from one episode to the next."""

    path: Path

    def pictures(self, numbers: Sequence[int], size: Size | None) -> Iterator[np.ndarray]:
        """The pictures (h, w, 3) uint8 of those numbers, counted from 0; ``size`` None keeps their own.

        Raises:
            EpisodeUnreadable: a picture is missing or cannot be decoded.
        """
        ...

    def close(self) -> None:
        """Close the file."""
        ...


File = TypeVar("File", bound=PictureFile)


class OpenPictures:
    """The one file of pictures that each camera has open."""

    def __init__(self) -> None:
        self._files: dict[str, PictureFile] = {}

    def get(self, camera: str, path: Path, opened: Callable[[], File]) -> File:
        """The camera's file at ``path``: the one that is open, or else opened instead of it."""
        held = self._files.get(camera)
        if held is None or held.path != path:
            if held is not None:
                self._files.pop(camera).close()
            held = self._files[camera] = opened()
        return held  # type: ignore[return-value]

    def close(self) -> None:
        """Close all of them."""
        with ExitStack() as stack:
            for file in self._files.values():
                stack.callback(file.close)
        self._files = {}
