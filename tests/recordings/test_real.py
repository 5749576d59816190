"""The real recordings beside the repository; skipped where they are absent."""

import re
from pathlib import Path

import av
import numpy as np
import pytest

from forearm.recordings import open_recording

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the real recordings are not beside the repository")


def test_one_file_per_episode():
    recording = open_recording(DATA / "cr5_banana_v21")
    assert (recording.version, recording.fps, recording.camera_size(*recording.cameras)) == ("v2.1", 10, (480, 640))
    assert recording.joints == tuple(f"joint_{i}" for i in range(6))
    assert recording.action_names[-1] == "gripper"
    assert recording.units == ("rad",) * 6
    lengths = [len(episode) for episode in recording.read()]
    assert len(lengths) == 24
    assert sum(lengths) == 5438
    assert lengths == [info.length for info in recording.episodes]


def test_episodes_at_offsets_get_their_own_pictures():
    """Every episode's chosen pictures equal those of its shared video, decoded naively from the start."""
    recording = open_recording(DATA / "cr5_banana_v30")
    (camera,) = recording.cameras
    naive = []
    for path in sorted((recording.root / "videos" / camera).rglob("*.mp4")):
        with av.open(str(path)) as container:
            naive += [frame.to_ndarray(format="gray8")[::8, ::8] for frame in container.decode(video=0)]
    start = 0
    for episode in recording.read():
        for row, pictures in episode.pictures((0, 57, len(episode) - 1)):
            grey = pictures[camera][::8, ::8] @ np.array([0.299, 0.587, 0.114])
            around = range(max(start + row - 9, 0), min(start + row + 10, len(naive)), 3)
            apart = {number: np.abs(grey - naive[number]).mean() for number in {*around, start + row}}
            assert apart[start + row] == min(apart.values()) < 12
        start += len(episode)
    assert start == len(naive) == 2647


def test_missing_videos_are_reported_and_the_rest_is_read():
    skipped = {}
    recording = open_recording(DATA / "g1_inspire_v21")
    assert recording.joints[0] == "kLeftShoulderPitch"
    assert len(recording.joints) == 26
    read = [episode.index for episode in recording.read(on_skip=skipped.__setitem__)]
    assert read == [1, 2, 4, 5]
    assert set(skipped) == {0, 3}
    assert all(re.search(rf"episode_00000{i}\.mp4 is missing", reason) for i, reason in skipped.items())


def test_memory_does_not_grow_with_the_recording():
    psutil = pytest.importorskip("psutil")
    recording, process = open_recording(DATA / "cr5_banana_v30"), psutil.Process()
    used = []
    for episode in recording.read():
        for _ in episode.pictures(range(0, len(episode), 20), (64, 64)):
            used.append(process.memory_info().rss)
        if episode.index == 6:
            break
    assert max(used) - used[3] < 100e6  # seven episodes hold 1.4 GB of full pictures
