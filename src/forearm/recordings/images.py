"""Pictures out of image files, in the cells of a table or in a folder."""

import io
import itertools
import re
import struct
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, UnidentifiedImageError

from forearm.base.files import reason_of
from forearm.recordings.errors import EpisodeUnreadable
from forearm.recordings.folder import LFS_POINTER, Folder
from forearm.recordings.metadata import named_depth
from forearm.recordings.pictures import MOST_PIXELS, Size

IMAGES_AT_ONCE = 16
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}
FORMATS = ("PNG", "JPEG", "WEBP")
"""The formats that are opened; others can start programs or hold depth maps."""
DAMAGED = (
    OSError,
    TypeError,
    ValueError,
    SyntaxError,
    KeyError,
    IndexError,
    struct.error,
    Image.DecompressionBombError,
)
"""What Pillow raises at damaged files."""
EIGHT_BITS = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"}
"""Pillow's modes that become 8-bit colours without loss; 16-bit and float values would be clipped."""

GREY = {"1", "L", "LA"}
"""Those without colours."""


class ImageColumn:
    """A parquet column of JPEG or PNG images: bytes, ``{bytes, path}``, or the paths of image files.

    Args:
        path: the parquet file.
        column: its image column.
        folder: the recording's, in which image files that are given by path are looked for.
        beside: another folder in it to look in.

    Raises:
        EpisodeUnreadable: the file or an image is missing or cannot be decoded.
    """

    def __init__(self, path: Path, column: str, folder: Folder, beside: Path) -> None:
        self.path = path
        self._column, self._folder, self._beside = column, folder, beside
        try:
            # A buffer, or the images of a whole row group would be in memory at once.
            self._parquet = pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False)
            names = self._parquet.schema_arrow.names
        except (OSError, ValueError, pa.ArrowException) as error:
            raise EpisodeUnreadable(f"{path} cannot be opened: {reason_of(error)}") from error
        if column not in names:
            raise EpisodeUnreadable(f"{path} has no column {column!r}")
        groups = range(self._parquet.num_row_groups)
        sizes = [self._parquet.metadata.row_group(group).num_rows for group in groups]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
        self._cells: Iterator[Any] = iter(())
        self._next = int(self._starts[-1])

    def pictures(self, numbers: Sequence[int], size: Size | None) -> Iterator[np.ndarray]:
        """The images (h, w, 3) uint8 of those rows, in any order."""
        ahead: dict[int, Any] = {}
        if any(after < number for number, after in itertools.pairwise(numbers)):  # coded images take little memory
            ahead = {number: self._cell(number) for number in sorted(set(numbers))}
        for number in numbers:
            cell = ahead[number] if ahead else self._cell(number)
            where = f"{self.path}: the image of row {number}"
            yield decoded_image(_content(cell, where, self._folder, self._beside), where, size)

    def first_bytes(self) -> bytes:
        """The content of the first image."""
        return _content(self._cell(0), f"{self.path}: the image of row 0", self._folder, self._beside)

    def close(self) -> None:
        """Close the file."""
        self._parquet.close()

    def _cell(self, number: int) -> Any:
        group = int(np.searchsorted(self._starts, number, side="right")) - 1
        if number < self._next or self._starts[group] > self._next:
            self._next = int(self._starts[group])
            self._cells = self._cells_from(group)
        for cell in self._cells:
            self._next += 1
            if self._next > number:
                return cell.as_py()
        raise EpisodeUnreadable(f"{self.path} ends before row {number}")

    def _cells_from(self, group: int) -> Iterator[Any]:
        groups = range(group, self._parquet.num_row_groups)
        try:
            for batch in self._parquet.iter_batches(IMAGES_AT_ONCE, row_groups=groups, columns=[self._column]):
                yield from batch.column(self._column)
        except (OSError, ValueError, pa.ArrowException) as error:
            raise EpisodeUnreadable(f"{self.path} cannot be read: {reason_of(error)}") from error


class ImageFolder:
    """Image files of one episode, in the order of their names."""

    def __init__(self, path: Path, folder: Folder) -> None:
        self.path = path
        self._folder = folder
        self._files = sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)

    @property
    def numbers(self) -> list[int | None]:
        """The number in each file's name; None where it has none."""
        found = [re.findall(r"\d{1,18}", file.stem) for file in self._files]
        return [int(numbers[-1]) if numbers else None for numbers in found]

    def pictures(self, numbers: Sequence[int], size: Size | None) -> Iterator[np.ndarray]:
        """The images (h, w, 3) uint8 of those numbers."""
        for number in numbers:
            path = self._folder.file(self._files[number])
            yield decoded_image(path.read_bytes(), str(path), size)

    def first_bytes(self) -> bytes:
        """The content of the first image."""
        return self._folder.file(self._files[0]).read_bytes() if self._files else b""

    def close(self) -> None:
        """Nothing is open."""


def decoded_image(content: bytes, where: str, size: Size | None) -> np.ndarray:
    """An image (h, w, 3) uint8, shrunk to ``size``, (height, width), where that is given.

    Raises:
        EpisodeUnreadable: it is no PNG, JPEG or WebP, damaged, too large, or of more than 8 bits.
    """
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise EpisodeUnreadable(f"{where} is {image.height}×{image.width}, more than {MOST_PIXELS} pixels")
            if image.mode not in EIGHT_BITS:
                raise EpisodeUnreadable(f"{where} has more than 8 bits a value (a depth map?); choose other cameras")
            picture = image.convert("RGB")
    except UnidentifiedImageError as error:
        pointer = content.startswith(LFS_POINTER)
        what = "a Git LFS pointer, not the image itself; run git lfs pull" if pointer else "no PNG, JPEG or WebP"
        raise EpisodeUnreadable(f"{where} is {what}") from error
    except (*DAMAGED, MemoryError) as error:
        raise EpisodeUnreadable(f"{where}: {reason_of(error)}") from error
    if size is not None and size != picture.size[::-1]:
        height, width = size
        shrinks = height < picture.height or width < picture.width
        picture = picture.resize((width, height), Image.Resampling.BOX if shrinks else Image.Resampling.BICUBIC)
    return np.asarray(picture)


def is_depth_image(content: bytes, key: str) -> bool:
    """Whether an image is a depth map: of more than 8 bits a value, a TIFF, as which LeRobot stores such maps, or grey
    if the feature is called so.
    """
    if content[:4] in (b"II*\0", b"MM\0*"):
        return True
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            return image.mode not in EIGHT_BITS or (image.mode in GREY and named_depth(key))
    except DAMAGED:
        return False


def _content(cell: Any, where: str, folder: Folder, beside: Path) -> bytes:
    """The coded image of a cell: its bytes, or those of the file that it names, which lies in the recording."""
    content, name = (cell.get("bytes"), cell.get("path")) if isinstance(cell, dict) else (cell, None)
    if isinstance(content, str):
        content, name = None, content
    if isinstance(content, bytes):
        return content
    if isinstance(content, list):
        raise EpisodeUnreadable(f"{where} is stored as bare numbers, not as PNG, JPEG or WebP; choose other cameras")
    if not isinstance(name, str) or not name or "\0" in name:
        raise EpisodeUnreadable(f"{where} is missing")
    for path in (folder.root / name, beside / name, folder.root / Path(name).name, beside / Path(name).name):
        if path.exists():
            return folder.file(path).read_bytes()
    raise EpisodeUnreadable(f"{where} is missing ({name})")
