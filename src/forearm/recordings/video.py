"""Pictures out of a video, decoded once and forward, each wanted one shrunk on the way.

Pictures are counted from 0 in the order in which they are shown. Only a wide gap between two episodes is jumped.
"""

import itertools
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from forearm.base.files import reason_of
from forearm.recordings.boxes import announced
from forearm.recordings.errors import EpisodeUnreadable
from forearm.recordings.pictures import ACCURATE_RND, FULL_CHR_H_INT, MOST_PIXELS, Size

CONTAINERS = "mov,matroska,webm,avi"
"""FFmpeg's names of the containers that are read; a playlist could open other files."""
MOST_PICTURES = 4_000_000
"""A video file may hold; 37 hours at 30 a second. FFmpeg takes 100 bytes of memory for each."""
NO_TIME = np.iinfo(np.int64).min
TITLES: dict[str, Any] = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "replace"}
"""Titles may be no text, which PyAV 19 reads by itself."""
THREADS = 0
"""Threads that decode a video; 0: as many as FFmpeg chooses."""
JUMP_BEYOND = 200  # frames; decoding fewer is as fast as a seek
# Without full chroma, shrinking throws away colour and darkens by 1.5 grey levels.
EXACT = ACCURATE_RND | FULL_CHR_H_INT


class VideoFile:
    """A video.

    Raises:
        EpisodeUnreadable: the file is truncated or undecodable, or its pictures are too large; also while pictures are
            consumed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reformatter = VideoReformatter()
        self._broken = False
        self._open()

    @cached_property
    def times(self) -> np.ndarray:
        """When each picture is shown, (m,) float64 seconds, increasing: read from the packets, without decoding."""
        return self._stamps * float(self._stream.time_base)

    @property
    def truncated(self) -> bool:
        """Whether the container announces more pictures than there are."""
        return len(self._stamps) < self._stream.frames

    def pictures(self, numbers: Sequence[int], size: Size | None) -> Iterator[np.ndarray]:
        """The frames (h, w, 3) uint8 of those numbers, not decreasing; every frame between them is decoded too."""
        held, frame = -1, None
        for number in numbers:
            if number != held or frame is None:
                held, frame = number, self._frame(number)
                self._require_small(frame.width, frame.height)
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
            self._container = open_container(self.path)
            self._stream: Any = self._container.streams.video[0]
        except (av.FFmpegError, OSError) as error:
            raise EpisodeUnreadable(f"{self.path} cannot be opened: {reason_of(error)}") from error
        self._require_small(self._stream.width, self._stream.height)
        self._stream.thread_type = "AUTO"
        self._stream.thread_count = THREADS
        self._frames = self._decode()
        self._next = 0

    def _require_small(self, width: int, height: int) -> None:
        if width * height > MOST_PIXELS:
            raise EpisodeUnreadable(f"{self.path} has pictures of {height}×{width}, more than {MOST_PIXELS} pixels")

    def _reopen(self) -> None:
        self.close()
        self._open()

    @cached_property
    def _stamps(self) -> np.ndarray:
        """The presentation time of every picture, (m,) int64 in the stream's time base."""
        stamps = np.fromiter(self._packet_times(), np.int64)
        if (stamps != NO_TIME).all() and len(np.unique(stamps)) == len(stamps):
            return np.sort(stamps)
        rate = self._stream.average_rate or 1
        return np.round(np.arange(len(stamps)) / float(rate * self._stream.time_base)).astype(np.int64)

    def _packet_times(self) -> Iterator[int]:
        with open_container(self.path) as container:
            held = 0
            try:
                for packet in container.demux(container.streams.video[0]):
                    if packet.size and not packet.is_discard:  # the decoder drops what an edit list cuts off
                        held += 1
                        _require_few(held, self.path)
                        time = packet.dts if packet.pts is None else packet.pts
                        yield NO_TIME if time is None else time
            except (av.FFmpegError, OSError):
                return  # what is there can be used; `truncated` says that it is not all

    def _number(self, frame: av.VideoFrame) -> int:
        """Which picture a decoded frame is: by its time, so that one that the decoder drops shifts no other."""
        at = int(np.searchsorted(self._stamps, frame.pts)) if frame.pts is not None else len(self._stamps)
        exact = at < len(self._stamps) and self._stamps[at] == frame.pts
        return at if exact else self._next

    def _frame(self, number: int) -> av.VideoFrame:
        """Go forward to a frame."""
        broken, self._broken = self._broken, False  # a later episode may be sound behind the damage
        if broken or number < self._next:
            self._reopen()
        if broken or number - self._next > JUMP_BEYOND:
            self._jump(number)
        for frame in self._frames:
            found = self._number(frame)
            self._next = found + 1
            if found == number:
                return frame
            if found > number:
                raise EpisodeUnreadable(f"{self.path} cannot be decoded: frame {number} does not come")
        raise EpisodeUnreadable(f"{self.path} ends after {self._next} frames, before frame {number}")

    def _jump(self, number: int) -> None:
        """Seek to the keyframe before ``number``, or to the beginning where that does not work."""
        try:
            self._container.seek(int(self._stamps[number]), stream=self._stream)
            self._frames = self._decode()
            keyframe = next(self._frames)
        except (av.FFmpegError, EpisodeUnreadable, StopIteration, IndexError):
            self._reopen()
            return
        if self._number(keyframe) > number:
            self._reopen()
        else:
            self._frames = itertools.chain((keyframe,), self._frames)

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
                f"{self.path} cannot be decoded near frame {self._next}: {reason_of(error)}"
            ) from error


def open_container(path: Path) -> Any:
    """Open a video file, and no playlist or other file through it.

    Raises:
        av.FFmpegError: it is no such file.
        EpisodeUnreadable: it holds no video, one of an unknown codec, or announces too many pictures.
    """
    _require_few(announced(path), path)
    options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
    container = av.open(str(path), options=options, **TITLES)
    if not container.streams.video:
        container.close()
        raise EpisodeUnreadable(f"{path} holds no video; it may be truncated")
    if container.streams.video[0].codec_context is None:
        container.close()
        raise EpisodeUnreadable(f"{path} is coded in a way that FFmpeg does not know; it may be damaged")
    return container


def _require_few(pictures: int, path: Path) -> None:
    if pictures > MOST_PICTURES:
        raise EpisodeUnreadable(f"{path} has more than {MOST_PICTURES} pictures; split the recording into more files")


def header(path: Path) -> tuple[int, str]:
    """How many pictures a video announces (0: it does not say), and their pixel format, such as yuv420p.

    Raises:
        EpisodeUnreadable: it cannot be opened.
    """
    try:
        with open_container(path) as container:
            stream = container.streams.video[0]
            return stream.frames, str(stream.codec_context.pix_fmt)
    except (av.FFmpegError, OSError) as error:
        raise EpisodeUnreadable(f"{path} cannot be opened: {reason_of(error)}") from error
