"""What a video announces: counted before FFmpeg makes room for it."""

import struct

import av
import numpy as np
import pytest
from support.recordings import picture_of, write_video

from forearm.recordings import EpisodeUnreadable, video
from forearm.recordings.boxes import announced
from forearm.recordings.video import VideoFile, header

FRAGMENTED = {"movflags": "frag_keyframe+empty_moov", "g": "4"}


def write(path, pictures=14, **options):
    write_video(path, [picture_of(0, n) for n in range(pictures)])
    if options:
        with av.open(str(path)) as source, av.open(str(path.with_stem("copy")), "w", options=options) as target:
            stream = target.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    target.mux(packet)
        path.with_stem("copy").replace(path)
    return path


@pytest.mark.parametrize("options", [{}, FRAGMENTED], ids=["whole", "fragments"])
def test_all_pictures_of_a_file_are_counted(tmp_path, options):
    path = write(tmp_path / "a.mp4", **options)
    assert (b"moof" in path.read_bytes()) == bool(options)
    assert announced(path) == 14
    assert len(VideoFile(path).times) == 14


def test_other_files_announce_nothing(tmp_path):
    for name, content in (("a", b""), ("b", b"\0" * 99), ("c", b"\0\0\0\x04moov" * 9), ("d", b"\xff" * 99)):
        (tmp_path / name).write_bytes(content)
        assert announced(tmp_path / name) == 0


def test_a_video_that_announces_millions_of_pictures_is_refused_unopened(tmp_path, monkeypatch):
    content = bytearray(write(tmp_path / "a.mp4").read_bytes())
    at = content.index(b"stsz") + 8
    content[at : at + 8] = struct.pack(">II", 1, 10**7)
    (tmp_path / "a.mp4").write_bytes(content)
    monkeypatch.setattr(av, "open", None)
    for look in (VideoFile, header):
        with pytest.raises(EpisodeUnreadable, match="more than 4000000 pictures"):
            look(tmp_path / "a.mp4")


def test_a_video_of_an_unknown_codec_is_refused(tmp_path):
    path = write(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    for look in (VideoFile, header):
        with pytest.raises(EpisodeUnreadable, match="does not know"):
            look(path)


def test_a_video_without_an_end_is_given_up(tmp_path, monkeypatch):
    path = write(tmp_path / "a.mkv")  # announces nothing
    monkeypatch.setattr(video, "MOST_PICTURES", 14)
    assert np.allclose(VideoFile(path).times, np.arange(14) / 10, atol=2e-3)
    monkeypatch.setattr(video, "MOST_PICTURES", 13)
    with pytest.raises(EpisodeUnreadable, match="more than 13 pictures"):
        _ = VideoFile(path).times
