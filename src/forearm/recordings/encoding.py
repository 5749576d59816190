"""Video out: pictures to a small near-lossless mp4, and several such files to one without re-encoding."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from forearm.recordings.pictures import ACCURATE_RND, FULL_CHR_H_INP
from forearm.recordings.video import open_container

# H.264 against AV1 for pictures of 64 to 224 pixels: at equal error a quarter of the time and half the bytes
# (docs/benchmarks). No B-frames: every packet is shown when it is decoded, so files join by shifting times.
CODEC, PIXEL_FORMAT, KEYFRAME_EVERY = "libx264", "yuv420p", 8
NEAR_LOSSLESS = 10
ENCODER_OPTIONS = {
    "preset": "medium",
    "bf": "0",
    "g": str(KEYFRAME_EVERY),
    # chromaloc: colour is the mean of 2 × 2 pixels, at their centre; H.264 assumes the left. cpu-independent: some of
    # x264's faster routines read memory that was never written, so that the same pictures may come out otherwise.
    "x264-params": "chromaloc=1:cpu-independent=1",
}
TO_MEANS = Interpolation.AREA | ACCURATE_RND | FULL_CHR_H_INP


def encode(target: Path | BinaryIO, pictures: np.ndarray, fps: int, crf: int = NEAR_LOSSLESS) -> None:
    """Encode ``pictures`` (n, H, W, 3) uint8, H and W even, to an H.264 mp4 at a path or into a stream of bytes.

    ``crf`` is x264's constant rate factor: 0 is lossless, 6 more are about half the bytes.
    """
    with av.open(str(target) if isinstance(target, Path) else target, "w", format="mp4") as container:
        stream: Any = container.add_stream(CODEC, rate=fps, options=ENCODER_OPTIONS | {"crf": str(crf)})
        stream.height, stream.width = pictures.shape[1:3]
        stream.pix_fmt = PIXEL_FORMAT
        stream.codec_context.thread_count = 1  # episodes are encoded in parallel, not frames
        reformatter = VideoReformatter()  # one for all: setting up costs more than a picture
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame = reformatter.reformat(frame, format=PIXEL_FORMAT, interpolation=TO_MEANS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def join(paths: Sequence[Path], target: Path) -> None:
    """Write the packets of the mp4 files at ``paths``, all encoded by `encode` alike, into one mp4."""
    with av.open(str(target), "w", format="mp4", options={"movflags": "faststart"}) as joined:
        output: Any = None
        start = 0
        for path in paths:
            with open_container(path) as part:
                video = part.streams.video[0]
                if output is None:
                    output = joined.add_stream_from_template(video)
                    output.time_base = video.time_base
                end = start
                for packet in part.demux(video):
                    if packet.pts is None or packet.dts is None:  # the demuxer's end mark
                        continue
                    packet.pts, packet.dts = packet.pts + start, packet.dts + start
                    end = max(end, packet.pts + (packet.duration or 0))
                    packet.stream = output
                    joined.mux(packet)
                start = end


def decoder_setup(path: Path) -> bytes:
    """What a decoder must know before the first packet; files can be joined where it is the same."""
    with open_container(path) as container:
        return bytes(container.streams.video[0].codec_context.extradata or b"")
