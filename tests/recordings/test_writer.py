"""Writing LeRobot v3.0: files, statistics, staging."""

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support.recordings import number_of, picture_of

from forearm.base.errors import ForearmError
from forearm.recordings import (
    DiscreteActionLog,
    EpisodeData,
    RecordingSpec,
    assemble,
    open_recording,
    stage_episode,
    staged_episodes,
    writer,
)
from forearm.recordings.encoding import encode
from forearm.recordings.statistics import merged_statistics, pictures_statistics, rows_statistics
from forearm.recordings.video import VideoFile

CAMERAS = {"observation.images.base": (48, 64), "observation.images.wrist": (64, 64)}
SPEC = RecordingSpec(30, ("a.pos", "b.pos"), ("a.pos", "b.pos", "c.pos"), CAMERAS, units=("deg", "deg"))
LOG = DiscreteActionLog("a.pos", 0.5, 10.0, ((0, 2),), {"seed": 3})


def episode(index: int, length: int = 16) -> EpisodeData:
    rng = np.random.default_rng(index)
    return EpisodeData(
        fps=SPEC.fps,
        states=rng.normal(size=(length, 2)).astype(np.float32),
        actions=rng.normal(size=(length, 3)).astype(np.float32),
        pictures={
            camera: np.stack([picture_of(index, frame, number, size) for frame in range(length)])
            for number, (camera, size) in enumerate(CAMERAS.items())
        },
        task=f"task {index % 2}",
        log=LOG if index == 1 else None,
    )


def recorded(tmp_path, lengths=(16, 5, 1, 30), spec=SPEC):
    for index, length in enumerate(lengths):
        stage_episode(tmp_path / "staged", index, episode(index, length))
    assemble(tmp_path / "staged", tmp_path / "out", spec=spec)
    return tmp_path / "out"


def test_what_is_written_is_read(tmp_path):
    recording = open_recording(recorded(tmp_path))
    assert (recording.version, recording.fps) == ("v3.0", 30)
    assert (recording.joints, recording.action_names) == (SPEC.joints, SPEC.action_names)
    assert recording.units == ("deg", "deg")
    assert {camera: recording.camera_size(camera) for camera in recording.cameras} == CAMERAS
    for found in recording.read():
        meant = episode(found.index, len(found))
        assert np.array_equal(found.states, meant.states)
        assert np.array_equal(found.actions, meant.actions)
        assert (found.task, found.log) == (meant.task, meant.log)
        for row, pictures in found.pictures():
            for picture in pictures.values():
                assert number_of(picture) == (found.index, row)
    assert [info.length for info in recording.episodes] == [16, 5, 1, 30]


@pytest.mark.parametrize("limit", ["VIDEO_FILE_SECONDS", "VIDEO_FILE_MB", "DATA_FILE_MB"])
def test_files_are_split_at_their_limits(tmp_path, monkeypatch, limit):
    small = {"VIDEO_FILE_SECONDS": 40 / 30, "VIDEO_FILE_MB": 0.008, "DATA_FILE_MB": 0.002}
    monkeypatch.setattr(writer, limit, small[limit])
    out = recorded(tmp_path, lengths=(16,) * 6)
    kind = "data" if limit.startswith("DATA") else "videos/observation.images.base"
    files = sorted((out / kind).rglob("file-*"))
    assert 1 < len(files) < 6
    places = pq.read_table(out / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    column = f"{kind}/file_index"
    assert [row[column] for row in places] == sorted(row[column] for row in places)
    assert {row[column] for row in places} == set(range(len(files)))
    for found in open_recording(out).read():
        assert [number_of(p["observation.images.base"]) for _, p in found.pictures()] == [
            (found.index, row) for row in range(16)
        ]


def test_joined_video_has_a_frame_at_every_tick(tmp_path):
    """LeRobot looks pictures up by time and tolerates 1e-4 s."""
    out = recorded(tmp_path)
    for camera in CAMERAS:
        with av.open(str(out / f"videos/{camera}/chunk-000/file-000.mp4")) as container:
            assert container.streams.video[0].average_rate == 30
            times = [frame.time for frame in container.decode(video=0)]
        assert np.abs(np.array(times) - np.arange(52) / 30).max() < 1e-6
    rows = pq.read_table(out / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    starts = [row["videos/observation.images.base/from_timestamp"] for row in rows]
    assert starts == pytest.approx([0, 16 / 30, 21 / 30, 22 / 30])


def test_metadata_is_as_lerobot_writes_it(tmp_path):
    out = recorded(tmp_path)
    info = json.loads((out / "meta/info.json").read_text())
    assert info["codebase_version"] == "v3.0"
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (4, 52, 2)
    assert info["splits"] == {"train": "0:4"}
    assert info["features"]["observation.images.base"]["info"]["video.codec"] == "h264"
    schema = pq.read_schema(out / "data/chunk-000/file-000.parquet")
    assert schema.field("observation.state").type == pa.list_(pa.float32(), 2)
    assert schema.field("timestamp").type == pa.float32()
    assert b"huggingface" in schema.metadata
    tasks = pq.read_table(out / "meta/tasks.parquet")
    assert tasks.to_pydict() == {"task_index": [0, 1], "__index_level_0__": ["task 0", "task 1"]}
    assert json.loads(tasks.schema.metadata[b"pandas"])["index_columns"] == ["__index_level_0__"]
    episodes = pq.read_schema(out / "meta/episodes/chunk-000/file-000.parquet")
    names = ("min", "max", "mean", "std", "count", "q01", "q10", "q50", "q90", "q99")
    statistics = json.loads((out / "meta/stats.json").read_text())
    assert set(statistics) == set(info["features"])
    for feature, values in statistics.items():
        assert set(values) == set(names)
        assert all(f"stats/{feature}/{name}" in episodes.names for name in names)
    assert episodes.field("stats/index/max").type == pa.list_(pa.int64())
    assert episodes.field("stats/index/q50").type == pa.list_(pa.float64())
    assert np.shape(statistics["observation.images.base"]["mean"]) == (3, 1, 1)
    assert statistics["index"]["max"] == [51]
    rows = pq.read_table(out / "data/chunk-000/file-000.parquet")
    assert rows["index"].to_pylist() == list(range(52))
    states = np.array(rows["observation.state"].to_pylist())
    assert statistics["observation.state"]["std"] == pytest.approx(states.std(axis=0))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 4), st.integers(0, 1000))
def test_merged_statistics_are_those_of_all_rows(n, m, width, seed):
    rows = np.random.default_rng(seed).normal(size=(n + m, width))
    merged, whole = merged_statistics(rows_statistics(rows[:n]), rows_statistics(rows[n:])), rows_statistics(rows)
    for name in ("min", "max", "mean", "std", "count"):
        assert merged[name] == pytest.approx(whole[name], abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(0, 1000))
def test_picture_statistics_are_those_of_the_pixels(count, seed):
    pictures = np.random.default_rng(seed).integers(0, 256, (count, 4, 6, 3), dtype=np.uint8)
    found, pixels = pictures_statistics(pictures), pictures.reshape(-1, 3) / 255
    for name, expected in (("min", pixels.min(0)), ("mean", pixels.mean(0)), ("std", pixels.std(0))):
        assert found[name].ravel() == pytest.approx(expected)
    assert found["q50"].ravel() == pytest.approx(np.quantile(pixels, 0.5, axis=0, method="inverted_cdf"))
    assert found["count"] == [count]


def test_one_joint_is_a_plain_number(tmp_path):
    one = replace(episode(0), states=np.zeros((16, 1)), actions=np.ones((16, 1)))
    stage_episode(tmp_path / "staged", 0, one)
    assemble(tmp_path / "staged", tmp_path / "out", spec=RecordingSpec(30, ("a",), ("a",), CAMERAS))
    assert pq.read_schema(tmp_path / "out/data/chunk-000/file-000.parquet").field("action").type == pa.float32()
    (found,) = open_recording(tmp_path / "out").read()
    assert found.states.shape == found.actions.shape == (16, 1)


def test_small_sharp_pictures_survive_coding(tmp_path):
    """What the codec adds to the loss of halved colour is below 1e-4, and a still scene stays still."""
    rng = np.random.default_rng(0)
    grey = np.kron(rng.integers(0, 256, (16, 16, 1)), np.ones((4, 4, 3))).astype(np.uint8)
    encode(tmp_path / "still.mp4", np.stack([grey] * 16), 30)
    decoded = np.stack(list(VideoFile(tmp_path / "still.mp4").pictures(range(16), None))) / 255
    assert ((decoded - grey / 255) ** 2).mean() < 1e-4
    assert abs(decoded.mean() - grey.mean() / 255) < 1 / 255
    assert ((decoded - decoded[0]) ** 2).mean() < 1e-5


def test_colour_stays_in_place(tmp_path):
    """Colour has half the resolution; a decoder must also know where it was taken."""
    noise = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(noise).resize((64, 64), Image.Resampling.BICUBIC))
    encode(tmp_path / "colour.mp4", np.stack([smooth] * 4), 30)
    decoded = np.stack(list(VideoFile(tmp_path / "colour.mp4").pictures(range(4), None)))
    assert ((decoded / 255 - smooth / 255) ** 2).mean() < 1e-4


def test_staging_goes_on_where_it_stopped_in_several_processes(tmp_path):
    staged = tmp_path / "staged"
    assert staged_episodes(staged) == []
    stage_episode(staged, 2, episode(2))
    (staged / ".episode_000001.dead.partial").mkdir()  # what a killed process leaves behind
    assert staged_episodes(staged) == [2]
    # Spawned, as the simulator's are: a fork would copy the locks of the coder's threads.
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for job in [pool.submit(stage_episode, staged, i, episode(i)) for i in (0, 5)]:
            job.result()
    assert staged_episodes(staged) == [0, 2, 5]
    with pytest.raises(ForearmError, match="already exists"):
        stage_episode(staged, 2, episode(2))
    assemble(staged, tmp_path / "out", spec=SPEC)
    states = [found.states for found in open_recording(tmp_path / "out").read()]
    assert all(np.array_equal(s, episode(i).states) for s, i in zip(states, (0, 2, 5), strict=True))


REFUSED = {
    "lengths": ({"actions": np.zeros((3, 3))}, "must be"),
    "NaN": ({"states": np.full((16, 2), np.nan)}, "not a finite number"),
    "no camera": ({"pictures": {}}, "no camera"),
    "float pictures": ({"pictures": {"c": np.zeros((16, 8, 8, 3))}}, "not uint8"),
    "odd sides": ({"pictures": {"c": np.zeros((16, 7, 8, 3), np.uint8)}}, "even sides"),
    "log": ({"log": DiscreteActionLog("a", 0.5, 10, ((99, 1),))}, "outside its 16 frames"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_unsound_episode_is_refused_and_leaves_nothing(tmp_path, case):
    change, message = REFUSED[case]
    with pytest.raises(ForearmError, match=message):
        stage_episode(tmp_path / "staged", 0, replace(episode(0), **change))
    assert not (tmp_path / "staged").exists()


def test_assembling_refuses_what_does_not_fit(tmp_path):
    with pytest.raises(ForearmError, match="holds no staged episode"):
        assemble(tmp_path, tmp_path / "out", spec=SPEC)
    stage_episode(tmp_path / "staged", 0, episode(0))
    for spec, message in (
        (RecordingSpec(30, ("a",), SPEC.action_names, CAMERAS), r"is \(2,\), not \(1,\)"),
        (RecordingSpec(30, SPEC.joints, SPEC.action_names, {"nose": (48, 64)}), "not the cameras"),
        (RecordingSpec(30, SPEC.joints, SPEC.action_names, dict.fromkeys(CAMERAS, (8, 8))), "not 8×8"),
        (RecordingSpec(10, SPEC.joints, SPEC.action_names, CAMERAS), "30 fps, not 10"),
    ):
        with pytest.raises(ForearmError, match=message):
            assemble(tmp_path / "staged", tmp_path / "out", spec=spec)
    video = next((tmp_path / "staged").rglob("*.mp4"))
    whole = video.read_bytes()
    for content in (b"", whole[: len(whole) // 2]):
        video.write_bytes(content)
        with pytest.raises(ForearmError, match=r"lacks some of its|cannot be opened"):
            assemble(tmp_path / "staged", tmp_path / "out", spec=SPEC)
    video.write_bytes(whole)
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/file").touch()
    with pytest.raises(ForearmError, match="already exists"):
        assemble(tmp_path / "staged", tmp_path / "out", spec=SPEC)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
