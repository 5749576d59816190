"""Pictures in: a camera's file decoded once and forward, each wanted picture shrunk on the way.

Both kinds of file offer ``pictures(numbers, size)``: the pictures of those numbers, counted in the file from 0
and increasing. A file stays open from one episode to the next; only a wide gap between two episodes is jumped.
"""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from av.video.reformatter import Interpolation, VideoReformatter
from PIL import Image

from forearm.recordings.errors import EpisodeUnreadable

Size = tuple[int, int]
"""(height, width) in pixels."""

JUMP_BEYOND = 200  # frames; decoding fewer is as fast as a seek
IMAGES_AT_ONCE = 16
# Without full chroma, shrinking throws away colour and darkens by 1.5 grey levels.
EXACT = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


class PictureFile(Protocol):
    """A file that holds one camera's pictures in order."""

    path: Path

    def pictures(self, numbers: Sequence[int], size: Size | None) -> Iterator[np.ndarray]:
        """The pictures (h, w, 3) uint8 of those numbers, increasing; ``size`` None keeps their own."""
        ...

    def require(self, count: int) -> None:
        """Raise EpisodeUnreadable if the file is known to hold fewer than ``count`` pictures."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class VideoFile:
    """A video.

    Raises:
        EpisodeUnreadable: the file is missing, truncated or undecodable; also while pictures are consumed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reformatter = VideoReformatter()
        self._broken = False
        self._open()

    def require(self, count: int) -> None:
        """Raise EpisodeUnreadable if the container declares fewer than ``count`` frames."""
        declared = self._stream.frames  # 0 where the container does not say
        if 0 < declared < count:
            raise EpisodeUnreadable(f"{self.path} holds {declared} frames, fewer than the {count} it needs")

    def pictures(self, numbers: Sequence[int], size: Size | None) -> Iterator[np.ndarray]:
        """The frames (h, w, 3) uint8 of those increasing numbers; every frame between them is decoded too."""
        for number in numbers:
            frame = self._frame(number)
            height, width = size or (frame.height, frame.width)
            shrinks = height < frame.height or width < frame.width
            method = Interpolation.AREA if shrinks else Interpolation.BICUBIC
            picture = self._reformatter.reformat(
                frame, width=width, height=height, format="rgb24", interpolation=method | EXACT
            )
            yield picture.to_ndarray()

    def close(self) -> None:
        """Close the container."""
        self._container.close()

    def _open(self) -> None:
        try:
            self._container = av.open(str(self.path))
            self._stream: Any = self._container.streams.video[0]
        except (av.FFmpegError, OSError, IndexError) as error:
            raise EpisodeUnreadable(f"{self.path} cannot be opened: {_reason(error)}") from error
        self._stream.thread_type = "AUTO"
        self._frames = self._decode()
        self._next = 0

    def _reopen(self) -> None:
        self.close()
        self._open()

    def _frame(self, number: int) -> av.VideoFrame:
        """Go forward to a frame."""
        broken, self._broken = self._broken, False  # a later episode may be sound behind the damage
        if broken or number < self._next:
            self._reopen()
        if broken or number - self._next > JUMP_BEYOND:
            early = self._jump(number)
            if early is not None:
                return early
        for frame in self._frames:
            self._next += 1
            if self._next > number:
                return frame
        raise EpisodeUnreadable(f"{self.path} ends after {self._next} frames, before frame {number}")

    def _jump(self, number: int) -> av.VideoFrame | None:
        """Seek to the keyframe before ``number``; the frame itself if it is that keyframe.

        The keyframe's number follows from its time. Where times are no multiples of the frame's, numbers
        cannot be had so: then decoding starts over from the beginning.
        """
        rate, base, start = self._stream.average_rate, self._stream.time_base, self._stream.start_time or 0
        if not rate:
            return None
        try:
            self._container.seek(start + round(number / rate / base), stream=self._stream)
            self._frames = self._decode()
            keyframe = next(self._frames)
        except (av.FFmpegError, StopIteration):
            self._reopen()
            return None
        place = None if keyframe.pts is None else float((keyframe.pts - start) * base * rate)
        if place is None or abs(place - round(place)) > 0.2 or round(place) > number:
            self._reopen()
            return None
        self._next = round(place) + 1
        return keyframe if self._next > number else None

    def _decode(self) -> Iterator[av.VideoFrame]:
        try:
            for packet in self._container.demux(self._stream):
                if packet.is_corrupt:  # decoders would make up what is missing
                    self._broken = True
                    raise EpisodeUnreadable(f"{self.path} is truncated")
                yield from packet.decode()
        except (av.FFmpegError, OSError) as error:
            self._broken = True
            raise EpisodeUnreadable(
                f"{self.path} cannot be decoded near frame {self._next}: {_reason(error)}"
            ) from error


class ImageColumn:
    """A parquet column of JPEG or PNG images: bytes, ``{bytes, path}``, or the paths of image files.

    Args:
        path: the parquet file.
        column: its image column.
        roots: folders in which image files that are given by path are looked for.

    Raises:
        EpisodeUnreadable: the file or an image is missing or cannot be decoded.
    """

    def __init__(self, path: Path, column: str, roots: Sequence[Path]) -> None:
        self.path = path
        self._column, self._roots = column, roots
        try:
            # A buffer, or the images of a whole row group would be in memory at once.
            self._parquet = pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False)
        except (OSError, pa.ArrowException) as error:
            raise EpisodeUnreadable(f"{path} cannot be opened: {_reason(error)}") from error
        if column not in self._parquet.schema_arrow.names:
            raise EpisodeUnreadable(f"{path} has no column {column!r}")
        groups = range(self._parquet.num_row_groups)
        sizes = [self._parquet.metadata.row_group(group).num_rows for group in groups]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
        self._cells: Iterator[Any] = iter(())
        self._next = int(self._starts[-1])

    def require(self, count: int) -> None:
        """Raise EpisodeUnreadable if there are fewer than ``count`` rows."""
        if self._starts[-1] < count:
            raise EpisodeUnreadable(f"{self.path} has {self._starts[-1]} rows, fewer than {count}")

    def pictures(self, numbers: Sequence[int], size: Size | None) -> Iterator[np.ndarray]:
        """The images (h, w, 3) uint8 of those increasing rows."""
        for number in numbers:
            yield _decoded_image(self._cell(number), self.path, number, self._roots, size)

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
        except (OSError, pa.ArrowException) as error:
            raise EpisodeUnreadable(f"{self.path} cannot be read: {_reason(error)}") from error


class ImageFolder:
    """Image files of one episode, in the order of their names.

    Raises:
        EpisodeUnreadable: an image is missing or cannot be decoded.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files = sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)

    def require(self, count: int) -> None:
        """Raise EpisodeUnreadable if there are fewer than ``count`` images."""
        if len(self._files) < count:
            raise EpisodeUnreadable(f"{self.path} holds {len(self._files)} images, fewer than {count}")

    def pictures(self, numbers: Sequence[int], size: Size | None) -> Iterator[np.ndarray]:
        """The images (h, w, 3) uint8 of those numbers."""
        self.require(max(numbers, default=-1) + 1)
        for number in numbers:
            yield _decoded_image(str(self._files[number]), self.path, number, (), size)

    def close(self) -> None:
        """Nothing is open."""


IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg"}


def _decoded_image(cell: Any, where: Path, number: int, roots: Sequence[Path], size: Size | None) -> np.ndarray:
    content, path = (cell.get("bytes"), cell.get("path")) if isinstance(cell, dict) else (cell, None)
    if isinstance(content, str):
        content, path = None, content
    try:
        if content is None:
            content = next(p for p in _candidates(path, roots) if p.is_file()).read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            picture = image.convert("RGB")
    except StopIteration:
        raise EpisodeUnreadable(f"{where}: the image of row {number} is missing ({path})") from None
    except (OSError, TypeError, ValueError, Image.DecompressionBombError) as error:
        raise EpisodeUnreadable(f"{where}: the image of row {number}: {_reason(error)}") from error
    if size is not None and size != picture.size[::-1]:
        height, width = size
        shrinks = height < picture.height or width < picture.width
        picture = picture.resize((width, height), Image.Resampling.BOX if shrinks else Image.Resampling.BICUBIC)
    return np.asarray(picture)


def _candidates(path: str | None, roots: Sequence[Path]) -> Iterator[Path]:
    if path:
        yield Path(path)
        yield from (root / path for root in roots)
        yield from (root / Path(path).name for root in roots)


def _reason(error: BaseException) -> str:
    """A short reason without the file's name, which stands before it already."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).strip().splitlines()[0]
