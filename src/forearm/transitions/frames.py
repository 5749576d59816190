"""The frames of a dataset on disk: as they are (raw), or as JPEG pictures in shards that are decoded when asked for.

``docs/formats.md`` says what the files hold, ``docs/benchmarks/storage.md`` what was measured.
"""

import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from PIL import Image

from forearm.base.errors import ForearmError
from forearm.base.files import map_array
from forearm.base.processes import cores
from forearm.transitions.settings import Storage, StorageChoice

FOLDER, OFFSETS = "frames", "offsets.npy"
SHARD_BYTES = 2**28
"""A shard holds no more, unless one picture is larger."""
SMALL_PIXELS, SMALL_STEP, STEP = 2**15, 16, 8
"""Frames of at most so many pixels are quantised in steps of `SMALL_STEP`, larger ones in steps of `STEP`."""
RAW_BYTES = 2 * 10**9
"""Frames that would take more as they are become JPEG by default."""
CHECKED = 16
"""Of every so many frames the error of compression is measured on one."""
AT_ONCE = 4
"""So many pictures and more are decoded in several threads."""


def chosen_storage(
    wanted: StorageChoice, frames: float, shape: tuple[int, int, int], lossy: bool = False
) -> tuple[Storage, list[str]]:
    """As what frames are stored, and why where that was not asked for and is not what they are.

    Args:
        wanted: the choice of a person.
        frames: about how many there are.
        shape: (h, w, 3) of one.
        lossy: whether some of them are JPEG already.
    """
    if wanted != "auto":
        return wanted, []
    size = frames * np.prod(shape)
    if size <= RAW_BYTES and not lossy:
        return "raw", []
    why = "some of them are already" if lossy else f"raw they would take about {size / 1e9:.2g} GB"
    return "jpeg", [f"frames are compressed as JPEG, since {why}; --storage raw keeps them as they are"]


def compressed(frame: np.ndarray) -> bytes:
    """A frame (h, w, 3) uint8 as JPEG, with full chroma.

    One step of quantisation for all frequencies, as errors are measured in pixels: at equal size the PSNR is 2 dB above
    that of the usual tables, which are made for eyes.
    """
    step = SMALL_STEP if frame.shape[0] * frame.shape[1] <= SMALL_PIXELS else STEP
    file = io.BytesIO()
    tables = [[step] * 64] * 2
    Image.fromarray(frame).save(file, format="JPEG", qtables=tables, subsampling=0, optimize=True)
    return file.getvalue()


def coded(frame: np.ndarray, storage: Storage) -> bytes:
    """A frame (h, w, 3) uint8 as it is stored."""
    frame = np.ascontiguousarray(frame, np.uint8)
    return frame.tobytes() if storage == "raw" else compressed(frame)


def squared_error(frame: np.ndarray, picture: bytes) -> int:
    """The sum of squared errors of a frame (h, w, 3) uint8 that was compressed."""
    decoded = np.empty(frame.shape, np.uint8)
    decompressed(picture, decoded)
    return int(np.square(decoded.astype(np.int64) - frame).sum())


def decompressed(picture: Any, out: np.ndarray) -> None:
    """Decode a JPEG picture into ``out`` (h, w, 3) uint8.

    Raises:
        ValueError: it is damaged, or of another size.
    """
    size = simplejpeg.decode_jpeg_header(picture)[:2]
    if size != out.shape[:2]:
        raise ValueError(f"it is a picture of {size[0]}×{size[1]}, not {out.shape[0]}×{out.shape[1]}")
    simplejpeg.decode_jpeg(picture, "RGB", buffer=out)


class ArrayWriter:
    """A ``.npy`` file that grows row by row, so that it never has to fit in memory."""

    def __init__(self, path: Path, row_shape: tuple[int, ...], dtype: type):
        self.rows = 0
        self._row_shape, self._dtype = row_shape, np.dtype(dtype)
        self._row_bytes = int(np.prod(row_shape)) * self._dtype.itemsize
        self._file = open(path, "wb+")  # noqa: SIM115 (closed by close)
        self._write_header()
        self._start = self._file.tell()

    def _write_header(self) -> None:
        # NumPy pads the header so that the first axis can grow without moving the data.
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": (self.rows, *self._row_shape)}
        np.lib.format.write_array_header_1_0(self._file, header)

    def append(self, row: np.ndarray) -> int:
        """Add one row; return its number."""
        return self.append_bytes(np.ascontiguousarray(row, self._dtype).tobytes())

    def append_bytes(self, row: bytes) -> int:
        """Add one row as it lies in memory; return its number."""
        self._file.write(row)
        self.rows += 1
        return self.rows - 1

    def close(self) -> None:
        """Complete the file; closing it again does nothing."""
        if self._file.closed:
            return
        self._file.seek(0)
        self._write_header()
        self._file.close()


class ShardWriter:
    """JPEG pictures one behind the other in files of at most ``SHARD_BYTES``."""

    def __init__(self, folder: Path, shard_bytes: int | None = None):
        self._folder, self._most = folder, shard_bytes or SHARD_BYTES
        folder.mkdir()
        self._ends: list[int] = []
        self._starts = [0]
        self._file = _shard(folder, 0).open("wb+")

    @property
    def rows(self) -> int:
        """How many pictures there are."""
        return len(self._ends)

    def append(self, picture: bytes) -> int:
        """Add a picture; return its number."""
        end = self._ends[-1] if self._ends else 0
        if end > self._starts[-1] and end + len(picture) - self._starts[-1] > self._most:
            self._file.close()
            self._file = _shard(self._folder, len(self._starts)).open("wb+")
            self._starts.append(end)
        self._file.write(picture)
        self._ends.append(end + len(picture))
        return len(self._ends) - 1

    def close(self) -> None:
        """Complete the files; closing them again does nothing."""
        if not self._file.closed:
            self._file.close()
            np.save(self._folder / OFFSETS, np.array([0, *self._ends], np.int64))


class FrameWriter:
    """Writes the frames of a dataset in either way.

    Args:
        folder: of the dataset.
        shape: (h, w, 3) of a frame.
        storage: as what frames are stored.
    """

    def __init__(self, folder: Path, shape: tuple[int, int, int], storage: Storage):
        self.storage = storage
        self._raw = ArrayWriter(folder / "frames.npy", shape, np.uint8) if storage == "raw" else None
        self._shards = ShardWriter(folder / FOLDER) if storage == "jpeg" else None
        self._errors, self._measured = 0, 0

    def __len__(self) -> int:
        return (self._raw or self._shards).rows  # type: ignore[union-attr]

    def append(self, frame: np.ndarray) -> int:
        """Add a frame (h, w, 3) uint8; return its number."""
        picture = coded(frame, self.storage)
        if self.storage == "jpeg" and len(self) % CHECKED == 0:
            self.add_errors(squared_error(frame, picture), frame.size)
        return self.append_coded(picture)

    def append_coded(self, picture: bytes) -> int:
        """Add a frame that is `coded`; return its number."""
        return self._raw.append_bytes(picture) if self._raw else self._shards.append(picture)  # type: ignore[union-attr]

    def add_errors(self, errors: int, measured: int) -> None:
        """Count the squared errors of so many values of frames that came coded."""
        self._errors, self._measured = self._errors + errors, self._measured + measured

    def close(self) -> None:
        """Complete the files."""
        (self._raw or self._shards).close()  # type: ignore[union-attr]

    def psnr(self) -> float | None:
        """Peak signal-to-noise ratio of compression in dB, measured on some frames; None where nothing was lost."""
        return float(10 * np.log10(255**2 * self._measured / self._errors)) if self._errors else None


class JpegFrames:
    """Frames (F, h, w, 3) uint8 in shards, indexed like an array and decoded when they are asked for.

    Args:
        folder: that has the shards and ``offsets.npy``, (F + 1,) int64: where in all shards, one behind the other, each
            picture begins, and where the last one ends.
        shape: (h, w, 3) of a frame.

    Raises:
        ForearmError: a file is missing or damaged.
        ValueError: the files do not fit together.
    """

    dtype, ndim = np.dtype(np.uint8), 4

    def __init__(self, folder: Path, shape: tuple[int, int, int]):
        self._folder = folder
        self._offsets = offsets = np.array(map_array(folder / OFFSETS, "int64"))
        if offsets.ndim != 1 or not len(offsets) or offsets[0] != 0 or (np.diff(offsets) <= 0).any():
            raise ValueError(f"{FOLDER}/{OFFSETS} is no list of increasing places")
        paths = _shards_of(folder)
        sizes = [path.stat().st_size for path in paths]
        self._starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
        places = np.searchsorted(offsets, self._starts).clip(max=len(offsets) - 1)
        if sum(sizes) != offsets[-1] or (offsets[places] != self._starts).any():
            raise ValueError(f"the files in {FOLDER} hold {sum(sizes)} bytes, not {offsets[-1]} as {OFFSETS} says")
        self._shards = [
            np.memmap(path, np.uint8, "r") if size else b"" for path, size in zip(paths, sizes, strict=True)
        ]
        self._numbers = np.arange(len(offsets) - 1)
        self.shape = (len(self._numbers), *shape)

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Frames by their numbers: one, a slice or an array of any shape; (…, h, w, 3) uint8.

        Raises:
            IndexError: there is no such frame.
            ForearmError: a picture is damaged.
        """
        if isinstance(rows, tuple):
            found = self[rows[0]]
            return found[(slice(None),) * (found.ndim - 3) + rows[1:]]
        numbers = self._numbers[rows]
        wanted, places = np.unique(numbers, return_inverse=True)
        decoded = np.empty((len(wanted), *self.shape[1:]), np.uint8)
        if len(wanted) < AT_ONCE or cores() == 1:
            self._decode(wanted, decoded)
        else:
            parts = np.array_split(np.arange(len(wanted)), min(cores(), len(wanted)))
            list(_threads(os.getpid()).map(lambda p: self._decode(wanted[p], decoded[p[0] : p[-1] + 1]), parts))
        return decoded[places.reshape(numbers.shape)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)

    def picture(self, number: int) -> bytes:
        """A frame as it is stored."""
        start, stop = self._offsets[number : number + 2]
        shard = int(np.searchsorted(self._starts, start, "right")) - 1
        return bytes(self._shards[shard][start - self._starts[shard] : stop - self._starts[shard]])

    def _decode(self, numbers: Sequence[int] | np.ndarray, out: np.ndarray) -> None:
        for number, frame in zip(numbers, out, strict=True):
            try:
                decompressed(self.picture(number), frame)
            except ValueError as error:
                reason = str(error).strip().splitlines()[0] if str(error).strip() else "no JPEG"
                raise ForearmError(f"frame {number} in {self._folder} is damaged: {reason}; build it anew") from error


def open_frames(folder: Path, storage: Storage, shape: tuple[int, int, int]) -> np.ndarray | JpegFrames:
    """The frames of a dataset, left on the disk.

    Args:
        folder: of the dataset.
        storage: as what they are stored.
        shape: (h, w, 3) of a frame.

    Raises:
        ForearmError: a file is missing or damaged.
        ValueError: files do not fit together.
    """
    return map_array(folder / "frames.npy", "uint8") if storage == "raw" else JpegFrames(folder / FOLDER, shape)


def bytes_of(folder: Path, storage: Storage) -> int:
    """How many bytes the frames of a dataset take on the disk."""
    files = [folder / "frames.npy"] if storage == "raw" else _shards_of(folder / FOLDER)
    return sum(path.stat().st_size for path in files)


def _shard(folder: Path, number: int) -> Path:
    return folder / f"{number:05d}.bin"


def _shards_of(folder: Path) -> list[Path]:
    """The shards of a folder, in order."""
    if not folder.is_dir():
        raise ForearmError(f"{folder} is missing, or no folder")
    count = sum(path.suffix == ".bin" for path in folder.iterdir())
    paths = [_shard(folder, number) for number in range(count)]
    for path in paths:
        if not path.is_file():
            raise ForearmError(f"{path} is missing, or no regular file")
    return paths


@lru_cache(maxsize=1)  # a forked process needs threads of its own
def _threads(process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(cores(), thread_name_prefix="frames")
