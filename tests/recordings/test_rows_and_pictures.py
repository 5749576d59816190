"""Recordings whose files contradict each other: each row has its own states and picture, or its episode is skipped.

Every kind was met in public bug reports about LeRobot recordings.
"""

import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from support.recordings import CAMERA, VIDEO_PATH, make_recording, number_of, picture_of, states_of, write_video

from forearm.base.errors import ForearmError
from forearm.recordings import EpisodeUnreadable, lines_of, open_recording

WRIST, DEPTH = "observation.images.wrist", "observation.images.depth"


def seen(root, **options):
    """Each readable episode's [(state of joint 1, (episode, frame) of the picture)], and the reasons of the others."""
    skipped: dict[int, str] = {}
    episodes = {}
    for episode in open_recording(root).read(on_skip=skipped.__setitem__, **options):
        try:
            pictures = [number_of(pictures[CAMERA]) for _, pictures in episode.pictures()]
        except EpisodeUnreadable:
            continue
        episodes[episode.index] = list(zip((episode.states[:, 1] * 2).round().tolist(), pictures, strict=True))
    return episodes, skipped


def right(episode: int, frames) -> list:
    """What `seen` gives for frames of an episode of `make_recording`."""
    return [(frame + 200 * (episode % 2) - 80, (episode, frame)) for frame in frames]


def table(root: Path, episode: int) -> Path:
    return root / f"data/chunk-000/episode_{episode:06d}.parquet"


def video(root: Path, episode: int, camera: str = CAMERA) -> Path:
    return root / VIDEO_PATH[0].format(episode_chunk=0, episode_index=episode, video_key=camera)


def shared_video(root: Path, file: int = 0) -> Path:
    return root / VIDEO_PATH[1].format(video_key=CAMERA, chunk_index=0, file_index=file)


def change(path: Path, **columns) -> None:
    """Replace columns of a parquet file by what functions make of their values."""
    old = pq.read_table(path)
    for name, make in columns.items():
        old = old.set_column(old.column_names.index(name), name, pa.array(make(old[name].to_numpy())))
    pq.write_table(old, path)


def change_rows(path: Path, take) -> None:
    """Keep the rows of a parquet file that ``take`` gives for its length."""
    old = pq.read_table(path)
    pq.write_table(old.take(pa.array(take(len(old)))), path)


META = "meta/episodes/chunk-000/file-000.parquet"


def change_meta(root: Path, edit) -> None:
    """Edit the rows of v3.0's list of episodes: a function of the list that returns it."""
    pq.write_table(pa.Table.from_pylist(edit(pq.read_table(root / META).to_pylist())), root / META)


def change_info(root: Path, edit) -> None:
    path = root / "meta/info.json"
    info = json.loads(path.read_text())
    edit(info)
    path.write_text(json.dumps(info))


def set_lengths(root: Path, lengths) -> None:
    lines = [{"episode_index": e, "tasks": ["pick"], "length": n} for e, n in enumerate(lengths)]
    (root / "meta/episodes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


# Pictures and rows.


def test_a_video_of_three_times_the_rate(tmp_path):
    root = make_recording(tmp_path / "set", lengths=(12, 9))
    for e, length in enumerate((12, 9)):
        write_video(video(root, e), [picture_of(e, n // 3) for n in range(3 * length)], fps=30)
        change(table(root, e), timestamp=lambda t: (np.arange(len(t)) / 10).astype(np.float32))
    assert seen(root) == ({0: right(0, range(12)), 1: right(1, range(9))}, {})


def test_a_shared_episode_with_a_picture_too_few(tmp_path):
    lengths, filmed = (12, 9, 15), (11, 9, 15)
    root = make_recording(tmp_path / "set", version="v3.0", lengths=lengths, episodes_per_file=3)
    write_video(shared_video(root), [picture_of(e, n) for e, length in enumerate(filmed) for n in range(length)])
    with pytest.raises(ForearmError, match="nothing says where pictures are missing"):
        seen(root)

    def told(rows):
        ends = np.cumsum(filmed) / 10
        return [
            row | {f"videos/{CAMERA}/from_timestamp": end - n / 10, f"videos/{CAMERA}/to_timestamp": end}
            for row, end, n in zip(rows, ends, filmed, strict=True)
        ]

    change_meta(root, told)
    episodes, skipped = seen(root)
    assert episodes == {1: right(1, range(9)), 2: right(2, range(15))}
    assert "12 rows but 11 pictures" in skipped[0]


def test_a_camera_that_dropped_a_frame(tmp_path):
    root = make_recording(tmp_path / "set", cameras=(CAMERA, WRIST))
    whole = [picture_of(1, n, 1) for n in range(9)]
    write_video(video(root, 1, WRIST), whole[:4] + whole[5:])
    episodes, skipped = seen(root)
    assert list(episodes) == [0, 2]
    assert "wrist" in skipped[1]
    assert "9 rows but 8 pictures" in skipped[1]


def test_rows_cut_from_the_beginning(tmp_path):
    root = make_recording(tmp_path / "set", lengths=(12, 9))
    for e in range(2):
        change_rows(table(root, e), lambda n: np.arange(5, n))
        change(table(root, e), timestamp=lambda t: (np.arange(5, 5 + len(t)) / 10).astype(np.float32))
    expected = ({0: right(0, range(5, 12)), 1: right(1, range(5, 9))}, {})
    assert seen(root) == expected  # the metadata still has the old lengths
    set_lengths(root, (7, 4))
    assert seen(root) == expected
    set_lengths(root, (12, 9))
    change(table(root, 0), frame_index=lambda frames: frames - 5)  # numbered anew, but not in time
    episodes, skipped = seen(root)
    assert episodes == {1: expected[0][1]}
    assert "frame_index / fps, timestamp and the video's start disagree" in skipped[0]


def test_rows_cut_from_the_middle_and_numbered_anew_but_not_in_time(tmp_path):
    root = make_recording(tmp_path / "set")
    for e in range(3):
        change(table(root, e), timestamp=lambda t: np.arange(len(t)) / 10)
    change_rows(table(root, 2), lambda n: np.r_[:5, 9:n])
    change(table(root, 2), frame_index=lambda frames: np.arange(len(frames)))
    change_rows(table(root, 1), lambda n: np.arange(7))
    episodes, skipped = seen(root)
    assert episodes == {0: right(0, range(12)), 1: right(1, range(7))}
    assert "frame_index / fps, timestamp and the video's start disagree" in skipped[2]


def test_rows_missing_from_a_table_that_numbers_nothing(tmp_path):
    bare = ("episode_index", "index", "frame_index", "timestamp")
    root = make_recording(tmp_path / "set", version="v3.0", drop_columns=bare)
    change_rows(root / "data/chunk-000/file-000.parquet", lambda n: np.setdiff1d(np.arange(n), [8, 9]))
    with pytest.raises(ForearmError, match="34 rows, but none that"):
        seen(root)


def test_a_shared_file_that_begins_late(tmp_path):
    lengths = (12, 9, 15)
    root = make_recording(tmp_path / "set", version="v3.0", lengths=lengths, episodes_per_file=3)
    exact = np.concatenate([np.arange(length) for length in lengths]) / 10
    change(root / "data/chunk-000/file-000.parquet", timestamp=lambda _: exact)
    pictures = [picture_of(e, n // 2) for e, length in enumerate(lengths) for n in range(2 * length)]
    write_video(shared_video(root), pictures, fps=20, begin=10)
    with pytest.raises(ForearmError, match=r"first picture is shown at 0\.500 s"):
        seen(root)
    write_video(shared_video(root), pictures, fps=20)
    assert seen(root) == ({e: right(e, range(n)) for e, n in enumerate(lengths)}, {})


@pytest.mark.parametrize("images", [None, "bytes"])
def test_tables_shorter_than_the_metadata_says(tmp_path, images):
    root = make_recording(tmp_path / "set", version="v3.0", images=images)
    path = root / "data/chunk-000/file-000.parquet"
    change_rows(path, lambda n: np.setdiff1d(np.arange(n), [19, 20, 34, 35]))
    expected = {0: range(12), 1: range(7), 2: range(13)}
    assert seen(root) == ({index: right(index, frames) for index, frames in expected.items()}, {})


def test_no_from_timestamp(tmp_path):
    root = make_recording(tmp_path / "set", version="v3.0", lengths=(6, 7, 8), episodes_per_file=3)

    def without(rows):
        return [{k: None if k.endswith("_timestamp") else v for k, v in row.items()} for row in rows]

    change_meta(root, without)
    assert seen(root) == ({e: right(e, range(n)) for e, n in enumerate((6, 7, 8))}, {})
    write_video(shared_video(root), [picture_of(0, n) for n in range(20)])
    with pytest.raises(ForearmError, match="from_timestamp is missing"):
        seen(root)


def test_a_file_at_30000_1001(tmp_path):
    from fractions import Fraction

    lengths = (200, 170, 180)  # the third begins more than a third of a picture late
    root = make_recording(tmp_path / "set", version="v3.0", lengths=(1, 1, 1), episodes_per_file=3)
    shutil.rmtree(root)
    root = make_recording(root, version="v3.0", lengths=lengths, episodes_per_file=3, info={"fps": 30})
    pictures = [picture_of(e, n % 256) for e, length in enumerate(lengths) for n in range(length)]
    write_video(shared_video(root), pictures, fps=Fraction(30000, 1001), g="50")
    for rate in (30, 30000 / 1001):

        def told(rows, rate=rate):
            starts = np.cumsum([0, *lengths])
            return [
                row
                | {
                    f"videos/{CAMERA}/from_timestamp": starts[e] / rate,
                    f"videos/{CAMERA}/to_timestamp": starts[e + 1] / rate,
                }
                for e, row in enumerate(rows)
            ]

        change_meta(root, told)
        for episode in open_recording(root).read():
            rows = [0, len(episode) // 2, len(episode) - 1]
            assert [number_of(p[CAMERA]) for _, p in episode.pictures(rows)] == [(episode.index, r) for r in rows]


# Rows.


@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
def test_images_in_a_table_whose_rows_are_out_of_order(tmp_path, version):
    root = make_recording(tmp_path / "set", version=version, images="bytes", lengths=(12, 9))
    random = np.random.default_rng(0)
    for path in (root / "data").rglob("*.parquet"):
        episodes = pq.read_table(path)["episode_index"].to_numpy()
        order = [random.permutation(np.flatnonzero(episodes == e)) for e in np.unique(episodes)]
        change_rows(path, lambda n, order=order: np.concatenate(order))
    assert seen(root) == ({0: right(0, range(12)), 1: right(1, range(9))}, {})


@pytest.mark.parametrize("kept", ["index", "timestamp"])
def test_rows_out_of_order_that_frame_index_does_not_number(tmp_path, kept):
    """A null makes frame_index useless; index or timestamp still tells the order."""
    root = make_recording(tmp_path / "set")
    path = table(root, 1)
    change_rows(path, lambda n: np.random.default_rng(0).permutation(n))
    old = pq.read_table(path)
    frames = pa.array([None, *old["frame_index"].to_pylist()[1:]])
    old = old.set_column(old.column_names.index("frame_index"), "frame_index", frames)
    pq.write_table(old.drop([name for name in ("index", "timestamp") if name != kept]), path)
    assert seen(root)[0][1] == right(1, range(9))


def test_rows_that_were_numbered_anew_in_another_order(tmp_path):
    """timestamp tells; a clock that was set back while recording does not."""
    root = make_recording(tmp_path / "set")
    change_rows(table(root, 1), lambda n: np.r_[4:n, :4])
    change(table(root, 1), frame_index=lambda frames: np.arange(len(frames)))
    change(table(root, 2), timestamp=lambda t: np.r_[t[:8], t[7:-1] - 0.35])
    episodes, skipped = seen(root)
    assert episodes == {0: right(0, range(12)), 2: right(2, range(15))}
    assert "timestamp and frame_index order the rows otherwise: after frame 4 the time goes from 0.880 s" in skipped[1]


def test_image_folders_are_paired_by_the_numbers_in_their_names(tmp_path):
    root = make_recording(tmp_path / "set", images="path", lengths=(12, 9))
    for e in range(2):
        path = table(root, e)
        pq.write_table(pq.read_table(path).drop([CAMERA]).slice(5), path)
    assert seen(root) == ({0: right(0, range(5, 12)), 1: right(1, range(5, 9))}, {})


def test_a_subset_that_is_numbered_anew_in_the_metadata_alone(tmp_path):
    root = make_recording(tmp_path / "set", version="v3.0", lengths=(7,) * 6, episodes_per_file=6)
    path = root / "data/chunk-000/file-000.parquet"
    kept = pq.read_table(path)
    pq.write_table(kept.filter(pa.array(np.isin(kept["episode_index"].to_numpy(), (1, 2, 5)))), path)

    def renumbered(rows):
        return [
            rows[old] | {"episode_index": new, "dataset_from_index": 7 * new, "dataset_to_index": 7 * new + 7}
            for new, old in enumerate((1, 2, 5))
        ]

    change_meta(root, renumbered)
    assert seen(root) == ({new: right(old, range(7)) for new, old in enumerate((1, 2, 5))}, {})


@pytest.mark.parametrize("numbered", [True, False])
def test_no_dataset_from_index(tmp_path, numbered):
    root = make_recording(tmp_path / "set", version="v3.0", drop_columns=() if numbered else ("episode_index", "index"))
    names = ("dataset_from_index", "dataset_to_index")
    change_meta(root, lambda rows: [{k: v for k, v in row.items() if k not in names} for row in rows])
    assert seen(root) == ({e: right(e, range(n)) for e, n in enumerate((12, 9, 15))}, {})


@pytest.mark.parametrize("lengths", [(9, 9, 9), (12, 9, 15)])
def test_swapped_file_indices_of_tables(tmp_path, lengths):
    root = make_recording(tmp_path / "set", version="v3.0", lengths=lengths)
    whole = pq.read_table(root / "data/chunk-000/file-000.parquet")
    for e in range(3):
        rows = np.flatnonzero(whole["episode_index"].to_numpy() == e)
        pq.write_table(whole.take(pa.array(rows)), root / f"data/chunk-000/file-{e:03d}.parquet")
    change_meta(root, lambda rows: [r | {"data/file_index": (1, 0, 2)[e]} for e, r in enumerate(rows)])
    episodes, skipped = seen(root)
    assert episodes == {e: right(e, range(lengths[e])) for e in episodes}
    assert set(skipped) == ({0, 1} if len(set(lengths)) == 1 else {1})


def test_swapped_tables_of_single_episodes(tmp_path):
    root = make_recording(tmp_path / "set", lengths=(9, 9, 9))
    table(root, 0).rename(tmp_path / "aside")
    table(root, 1).rename(table(root, 0))
    (tmp_path / "aside").rename(table(root, 1))
    episodes, skipped = seen(root)
    assert episodes == {2: right(2, range(9))}
    assert all("mixed up" in reason for reason in skipped.values())
    for e in range(3):  # numbers of another recording contradict nothing
        change(table(root, e), episode_index=lambda numbers: numbers + 24)
    assert len(seen(root)[0]) == 3


def test_swapped_file_indices_of_videos(tmp_path):
    root = make_recording(tmp_path / "set", version="v3.0", episodes_per_file=1)
    name = f"videos/{CAMERA}/file_index"
    change_meta(root, lambda rows: [row | {name: (1, 0, 2)[e]} for e, row in enumerate(rows)])
    episodes, skipped = seen(root)
    assert episodes == {2: right(2, range(15))}
    assert all("mixed up" in reason for reason in skipped.values())
    change_meta(root, lambda rows: [row | {name: (0, 0, 2)[e]} for e, row in enumerate(rows)])
    episodes, skipped = seen(root)
    assert episodes == {2: right(2, range(15))}
    assert "to episode 1 as well" in skipped[0]
    assert "to episode 0 as well" in skipped[1]


@pytest.mark.parametrize("per_file", [1, 3])
def test_videos_and_rows_in_another_order_are_skipped_though_all_are_as_long(tmp_path, per_file):
    """Only the episodes whose places disagree; where rows and videos are in one order, whatever it is, they agree."""
    root = make_recording(tmp_path / "set", version="v3.0", lengths=(9,) * 3, episodes_per_file=per_file)
    names = [f"videos/{CAMERA}/{name}" for name in ("file_index", "from_timestamp", "to_timestamp")]

    def swapped(rows):
        return [row | {name: rows[(1, 0, 2)[e]][name] for name in names} for e, row in enumerate(rows)]

    change_meta(root, swapped)
    episodes, skipped = seen(root)
    assert episodes == {2: right(2, range(9))}
    assert set(skipped) == {0, 1}
    assert all("another place among the pictures" in reason for reason in skipped.values())
    again = make_recording(tmp_path / "again", version="v3.0", lengths=(9,) * 3, episodes_per_file=per_file)
    numbers = (1, 0, 2)
    change_meta(again, lambda rows: [row | {"episode_index": numbers[e]} for e, row in enumerate(rows)])
    change(again / "data/chunk-000/file-000.parquet", episode_index=lambda old: np.array(numbers)[old])
    assert seen(again) == ({numbers[e]: right(e, range(9)) for e in range(3)}, {})


def test_a_file_that_goes_on_is_compared_with_the_statistics(tmp_path):
    """The last episode was taken out of all but the video, or the first one, and times were counted anew."""
    levels = (60, 120, 180)
    for taken, readable in ((2, 2), (0, 0)):
        root = make_recording(tmp_path / str(taken), version="v3.0", lengths=(9,) * 3, episodes_per_file=3)
        write_video(shared_video(root), [np.full((48, 64, 3), level, np.uint8) for level in levels for _ in range(9)])
        times = [{k: v for k, v in row.items() if "timestamp" in k} for row in pq.read_table(root / META).to_pylist()]
        kept = [e for e in range(3) if e != taken]
        change_rows(
            root / "data/chunk-000/file-000.parquet",
            lambda n, taken=taken: np.flatnonzero(np.arange(n) // 9 != taken),
        )
        mean = f"stats/{CAMERA}/mean"
        change_meta(
            root,
            lambda rows, kept=kept, times=times, mean=mean: [
                rows[e] | times[place] | {mean: [[[levels[e] / 255]]] * 3} for place, e in enumerate(kept)
            ],
        )
        reasons: dict[int, str] = {}
        read = open_recording(root).read(on_skip=reasons.__setitem__)
        if readable:
            assert all("goes on behind the last episode" in e.pairings[CAMERA].note for e in read)
        else:
            with pytest.raises(ForearmError, match=r"the mean colour .* by the metadata's statistics"):
                list(read)


def test_frames_that_are_counted_from_one(tmp_path):
    """Rows are missing at the end of one episode; without a frame 1 everywhere the first row is missing instead."""
    root = make_recording(tmp_path / "set", drop_columns=("timestamp",))
    for e in range(3):
        change(table(root, e), frame_index=lambda frames: frames + 1)
    change_rows(table(root, 0), lambda n: np.arange(10))
    assert seen(root) == ({0: right(0, range(10)), 1: right(1, range(9)), 2: right(2, range(15))}, {})
    cut = make_recording(tmp_path / "cut", drop_columns=("timestamp",))
    for e in range(3):
        change_rows(table(cut, e), lambda n: np.arange(1, n))
    assert seen(cut) == ({e: right(e, range(1, n)) for e, n in enumerate((12, 9, 15))}, {})


def test_rows_that_may_have_been_cut_from_the_beginning_and_numbered_anew_are_noted(tmp_path):
    root = make_recording(tmp_path / "set", drop_columns=("timestamp",))
    change_rows(table(root, 1), lambda n: np.arange(7))
    notes = {e.index: e.pairings[CAMERA].note for e in open_recording(root).read()}
    assert [e for e, note in notes.items() if "cut and the others numbered anew" in note] == [1]


def test_an_episode_that_is_listed_twice(tmp_path):
    root = make_recording(tmp_path / "set", version="v3.0")
    change_meta(root, lambda rows: [*rows, rows[1]])
    with pytest.raises(ForearmError, match="lists episode 1 twice"):
        open_recording(root)
    change_meta(root, lambda rows: [*rows[:3], rows[1] | {"episode_index": 7}])
    _, skipped = seen(root)
    assert set(skipped) == {1, 7}
    single = make_recording(tmp_path / "single")
    path = single / "meta/episodes.jsonl"
    path.write_text(path.read_text() * 2)
    with pytest.raises(ForearmError, match="lists episode 0 twice"):
        open_recording(single)


def test_whole_numbers_that_are_stored_as_floats(tmp_path):
    root = make_recording(tmp_path / "set", version="v3.0", info={"chunks_size": 1000.0})

    def floats(rows):
        return [{k: float(v) if isinstance(v, int) else v for k, v in row.items()} for row in rows]

    change_meta(root, floats)
    path = root / "data/chunk-000/file-000.parquet"
    change(path, **dict.fromkeys(("episode_index", "frame_index", "index"), lambda numbers: numbers.astype(float)))
    assert seen(root) == ({e: right(e, range(n)) for e, n in enumerate((12, 9, 15))}, {})
    change_meta(root, lambda rows: [row | {"length": 8.5} for row in rows])
    with pytest.raises(ForearmError, match=r"length is 8\.5, not a whole number"):
        open_recording(root)
    single = make_recording(tmp_path / "single")
    set_lengths(single, (12.0, 9.0, 15.0))
    assert [type(e.length) for e in open_recording(single).episodes] == [int] * 3


# Formats.


@pytest.mark.parametrize(
    "mark",
    [
        {"info": {"is_depth_map": True}},
        {"info": {"video.is_depth_map": True}},
        {"video_info": {"video.is_depth_map": True}},
        {"is_depth_map": True},
        {"info": {"video.pix_fmt": "gray16le"}},
        {"info": {"pix_fmt": "gray12le"}},
    ],
    ids=str,
)
def test_depth_maps_are_left_out_by_every_mark(tmp_path, mark):
    root = make_recording(tmp_path / "set", cameras=(CAMERA, DEPTH))
    change_info(root, lambda info: info["features"][DEPTH].update(mark))
    recording = open_recording(root)
    assert (recording.cameras, recording.depth_maps) == ((CAMERA,), (DEPTH,))
    denied = {"info": {"video.is_depth_map": "false"}, "video_info": {}, "is_depth_map": 0}
    change_info(root, lambda info: info["features"][DEPTH].update(denied))
    assert open_recording(root).cameras == (CAMERA, DEPTH)


@pytest.mark.parametrize(
    ("camera", "form", "codec", "depth"),
    [
        (WRIST, "gray16le", "ffv1", True),
        (WRIST, "gray10le", "ffv1", True),
        (WRIST, "gray12le", "ffv1", True),
        (WRIST, "gray", "ffv1", False),
        (DEPTH, "gray", "ffv1", True),
        (DEPTH, "yuv420p", "ffv1", False),
    ],
)
def test_depth_maps_are_left_out_by_the_videos_pixel_format(tmp_path, camera, form, codec, depth):
    """Grey of more than 8 bits under any name, grey of 8 bits only where it is called depth; colours are no depth."""
    import av

    root = make_recording(tmp_path / "set", cameras=(CAMERA, camera), lengths=(4,))
    path = video(root, 0, camera).with_suffix(".mkv")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, form
        for n in range(4):
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(picture_of(0, n), format="rgb24").reformat(format=form))
            )
        container.mux(stream.encode())
    path.rename(video(root, 0, camera))
    assert open_recording(root).cameras == ((CAMERA,) if depth else (CAMERA, camera))


@pytest.mark.parametrize(("camera", "depth"), [(WRIST, False), (DEPTH, True)])
def test_grey_images_are_depth_maps_where_they_are_called_so(tmp_path, camera, depth):
    root = make_recording(tmp_path / "set", images="bytes", cameras=(CAMERA, camera), lengths=(5,))
    expected = (CAMERA,) if depth else (CAMERA, camera)
    coded = io.BytesIO()
    Image.new("L", (64, 48)).save(coded, "PNG")
    old = pq.read_table(table(root, 0))
    cells = pa.array([coded.getvalue()] * 5)
    pq.write_table(old.set_column(old.column_names.index(camera), camera, cells), table(root, 0))
    assert open_recording(root).cameras == expected
    made = make_recording(tmp_path / "declared", cameras=(CAMERA, camera), lengths=(5,))
    change_info(made, lambda info: info["features"][camera].update(shape=[48, 64, 1]))
    assert open_recording(made).cameras == expected


@pytest.mark.parametrize(("kind", "values"), [("PNG", np.uint16), ("TIFF", np.float32)])
def test_images_of_more_than_8_bits_are_left_out(tmp_path, kind, values):
    root = make_recording(tmp_path / "set", images="struct", cameras=(CAMERA, DEPTH), lengths=(5, 6))
    coded = io.BytesIO()
    Image.fromarray((np.arange(48 * 64).reshape(48, 64) % 3000 + 500).astype(values)).save(coded, kind)
    for e, length in enumerate((5, 6)):
        old = pq.read_table(table(root, e))
        cells = pa.array([{"bytes": coded.getvalue(), "path": "depth"}] * length)
        pq.write_table(old.set_column(old.column_names.index(DEPTH), DEPTH, cells), table(root, e))
    recording = open_recording(root)
    assert recording.cameras == (CAMERA,)
    cells = pq.read_table(table(root, 0))[CAMERA].to_pylist()
    cells[3] = {"bytes": coded.getvalue(), "path": None}
    old = pq.read_table(table(root, 0))
    pq.write_table(old.set_column(old.column_names.index(CAMERA), CAMERA, pa.array(cells)), table(root, 0))
    episodes, skipped = seen(root)
    assert list(episodes) == [1]
    assert "the image of row 3" in skipped[0]


@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
@pytest.mark.parametrize("entry", ["data_path", "video_path"])
@pytest.mark.parametrize(
    "template",
    [
        "{chunk_index:03d}",
        "{chunk:03d}/{nobody}",
        "{episode_index.__class__}/{0}",
        "{x:0999999999d}",
        "{episode_index:0999999999d}",
        "../{episode_index}",
        "{",
        "",
    ],
)
def test_a_template_that_cannot_be_filled_falls_back_to_the_names(tmp_path, version, entry, template):
    root = make_recording(tmp_path / "set", version=version, info={entry: template})
    expected = ({e: right(e, range(n)) for e, n in enumerate((12, 9, 15))}, {})
    if template == "{chunk_index:03d}":
        usual = (
            "data/chunk-{chunk_index:03d}/episode_{episode_index:06d}.parquet",
            "videos/chunk-{chunk:03d}/{camera_key}/episode_{episode_index}.mp4",
        )
        if version == "v2.1":
            change_info(root, lambda info: info.update({entry: usual[entry == "video_path"]}))
    if version == "v3.0" and template == "{chunk_index:03d}":
        return  # it can be filled, and leads to no file
    assert seen(root) == expected


def test_a_template_that_gives_several_one_file_falls_back_to_the_names(tmp_path):
    constant = {
        "data_path": "data/chunk-000/episode_000000.parquet",
        "video_path": f"videos/chunk-000/{CAMERA}/episode_{{episode_index:06d}}.mp4",
    }
    root = make_recording(tmp_path / "set", cameras=(CAMERA, WRIST), lengths=(9, 9), info=constant)
    for e in range(2):
        write_video(video(root, e, WRIST), [picture_of(e + 4, n) for n in range(9)])
    for episode in open_recording(root).read():
        assert np.array_equal(episode.states, states_of(episode.index, 9))
        for row, pictures in episode.pictures():
            assert [number_of(p) for p in pictures.values()] == [(episode.index, row), (episode.index + 4, row)]


@pytest.mark.parametrize("entry", ["data_path", "video_path"])
def test_a_null_path_is_named(tmp_path, entry):
    for value in (None, 3):
        root = make_recording(tmp_path / str(value), version="v3.0", info={entry: value})
        with pytest.raises(ForearmError, match=rf"info\.json: {entry} is (null, not a path|3, not a text)"):
            open_recording(root)
    images = make_recording(tmp_path / "images", version="v3.0", images="bytes", info={"video_path": None})
    assert len(seen(images)[0]) == 3  # LeRobot writes null where there is no video


def test_separators_in_task_texts(tmp_path):
    root = make_recording(tmp_path / "set")
    text = "pick\u2028the\x85cube"
    lines = [{"episode_index": e, "tasks": [text], "length": n} for e, n in enumerate((12, 9, 15))]
    (root / "meta/episodes.jsonl").write_text("".join(json.dumps(x, ensure_ascii=False) + "\n" for x in lines))
    assert [episode.task for episode in open_recording(root).episodes] == [text] * 3


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"


@pytest.mark.parametrize("part", ["meta/info.json", "meta/episodes.jsonl", "table", "video", "meta/stats.json"])
def test_git_lfs_pointers_are_named(tmp_path, part):
    root = make_recording(tmp_path / "set")
    path = {"table": table(root, 1), "video": video(root, 1)}.get(part, root / part)
    path.write_text(POINTER)
    if part == "meta/stats.json":  # nothing needs it
        assert open_recording(root).units
        assert "the statistics are not used" in open_recording(root).missing_files()[0]
        assert "Git LFS pointer" in open_recording(root).missing_files()[0]
    elif path.suffix.startswith(".json"):
        with pytest.raises(ForearmError, match=r"Git LFS pointer.*run git lfs pull"):
            assert open_recording(root).units
    else:
        assert "Git LFS pointer" in seen(root)[1][1]
        assert "Git LFS pointer" in open_recording(root).missing_files()[0]


@pytest.mark.parametrize(
    ("cell", "reason"), [(POINTER.encode(), "is a Git LFS pointer"), ([[0.5] * 4] * 4, "stored as bare numbers")]
)
def test_cells_that_hold_no_image_say_what_they_hold(tmp_path, cell, reason):
    root = make_recording(tmp_path / "set", images="bytes")
    old = pq.read_table(table(root, 1))
    cells = pa.array([cell] * len(old))
    pq.write_table(old.set_column(old.column_names.index(CAMERA), CAMERA, cells), table(root, 1))
    assert f"the image of row 0 {'is ' * ('bare' in reason)}{reason}" in seen(root)[1][1]


def test_json_files_with_a_byte_order_mark_are_read(tmp_path):
    root = make_recording(tmp_path / "set")
    for name in ("info.json", "episodes.jsonl"):
        path = root / "meta" / name
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(seen(root)[0]) == 3


@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
def test_numbers_of_the_list_that_are_text_are_named_with_their_file(tmp_path, version):
    root = make_recording(tmp_path / "set", version=version)
    if version == "v3.0":
        change_meta(root, lambda rows: [row | {"episode_index": "first"} for row in rows])
    else:
        path = root / "meta/episodes.jsonl"
        path.write_text(path.read_text().replace('"episode_index": 1', '"episode_index": "first"'))
    with pytest.raises(ForearmError, match=r"meta/episodes\S*: episode_index is 'first', not a whole number"):
        open_recording(root)


# Strangers' files.


def test_links_and_pipes_are_not_followed(tmp_path):
    root = make_recording(tmp_path / "set")
    video(root, 1).rename(tmp_path / "outside.mp4")
    video(root, 1).symlink_to(tmp_path / "outside.mp4")
    table(root, 2).unlink()
    os.mkfifo(table(root, 2))
    episodes, skipped = seen(root)
    assert list(episodes) == [0]
    assert "leads out of the recording" in skipped[1]
    assert "no regular file" in skipped[2]
    followed = [e.index for e in open_recording(root, follow_links=True).read(on_skip=lambda *_: None)]
    assert followed == [0, 1]


def test_the_hubs_cache_of_links_is_read(tmp_path):
    root = make_recording(tmp_path / "made")
    blobs, snapshot = tmp_path / "datasets--a--b/blobs", tmp_path / "datasets--a--b/snapshots/123"
    blobs.mkdir(parents=True)
    for number, path in enumerate(sorted(p for p in root.rglob("*") if p.is_file())):
        link = snapshot / path.relative_to(root)
        link.parent.mkdir(parents=True, exist_ok=True)
        path.rename(blobs / str(number))
        link.symlink_to(os.path.relpath(blobs / str(number), link.parent))
    assert len(seen(snapshot)[0]) == 3


def test_image_cells_do_not_name_files_outside(tmp_path):
    root = make_recording(tmp_path / "set", images="path")
    outside = tmp_path / "secret.png"
    Image.new("RGB", (64, 48)).save(outside)
    for name in (str(outside), "../secret.png"):
        old = pq.read_table(table(root, 1))
        cells = pa.array([name] * len(old))
        pq.write_table(old.set_column(old.column_names.index(CAMERA), CAMERA, cells), table(root, 1))
        assert "leads out of the recording" in seen(root)[1][1]


def test_playlists_and_programs_are_no_pictures(tmp_path):
    root = make_recording(tmp_path / "set", images="bytes")
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\n"
    old = pq.read_table(table(root, 1))
    cells = pa.array([script] * len(old))
    pq.write_table(old.set_column(old.column_names.index(CAMERA), CAMERA, cells), table(root, 1))
    assert "no PNG, JPEG or WebP" in seen(root)[1][1]
    root = make_recording(tmp_path / "videos")
    video(root, 1).write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{video(root, 0)}\n#EXT-X-ENDLIST\n")
    assert "cannot be opened" in seen(root)[1][1]


def test_a_video_whose_title_is_no_text_is_read(tmp_path):
    import av

    root = make_recording(tmp_path / "set", lengths=(5,))
    path = video(root, 0)
    with av.open(str(path)) as old, av.open(str(tmp_path / "titled.mp4"), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        new.metadata["title"] = "A picture"
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    content = (tmp_path / "titled.mp4").read_bytes()
    assert content.count(b"A picture") == 1
    path.write_bytes(content.replace(b"A picture", b"A\xff\xfeicture"))
    assert seen(root) == ({0: right(0, range(5))}, {})


def test_pictures_too_large_are_refused_before_they_are_decoded(tmp_path):
    root = make_recording(tmp_path / "set", images="bytes")
    coded = io.BytesIO()
    Image.new("1", (8_000, 8_000)).save(coded, "PNG")
    old = pq.read_table(table(root, 1))
    cells = pa.array([coded.getvalue()] * len(old))
    pq.write_table(old.set_column(old.column_names.index(CAMERA), CAMERA, cells), table(root, 1))
    assert "8000×8000, more than" in seen(root)[1][1]


def test_reasons_become_few_lines():
    skips = [(n, f"/set/file-{n // 30:03d}.mp4 is missing") for n in range(55)]
    assert lines_of(skips) == ["55 episodes (0 to 54): 2 files are missing: /set/file-000.mp4, /set/file-001.mp4"]
    both = [(n, "/a.mp4 and /b.mp4 are missing") for n in (3, 4, 7)] + [(9, "torn\x1b[2J")]
    assert lines_of(both) == ["3 episodes (3 to 4, 7): 2 files are missing: /a.mp4, /b.mp4", "episode 9: torn\\x1b[2J"]
    assert lines_of([(n, f"/{n} is missing") for n in range(5)]) == [
        "5 episodes (0 to 4): 5 files are missing: /0, /1, /2, and 2 more"
    ]


def test_missing_files_are_known_without_reading(tmp_path):
    root = make_recording(tmp_path / "set", version="v3.0", episodes_per_file=2)
    assert open_recording(root).missing_files() == []
    shared_video(root).unlink()
    (line,) = open_recording(root).missing_files()
    assert line.startswith("2 episodes (0 to 1): ")
    assert line.endswith("file-000.mp4 is missing")
