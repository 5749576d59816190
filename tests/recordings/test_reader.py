"""Reading LeRobot recordings: every version, every trap, every kind of damage."""

import json
import re
import shutil
import warnings
from pathlib import Path

import av
import huggingface_hub
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from support.recordings import (
    CAMERA,
    JOINTS,
    VIDEO_PATH,
    make_recording,
    number_of,
    picture_of,
    states_of,
    write_log_lines,
    write_video,
)

from forearm.base.errors import ForearmError
from forearm.base.hub import at_revision
from forearm.recordings import EpisodeUnreadable, open_recording
from forearm.recordings import video as video_file

WRIST = "observation.images.wrist"
LENGTHS = (12, 9, 15)
VERSIONS = ("v2.0", "v2.1", "v3.0")


def read_all(root, size=(24, 32), **options):
    """Every readable episode with all its pictures, and what was skipped."""
    skipped: dict[int, str] = {}

    def on_skip(index, reason):
        assert index not in skipped, "an episode is reported once"
        skipped[index] = reason

    episodes = {}
    for episode in open_recording(root).read(on_skip=on_skip, **options):
        try:
            episodes[episode.index] = (episode, list(episode.pictures(size=size)))
        except EpisodeUnreadable:
            continue
    return episodes, skipped


def assert_whole(root, expected=(0, 1, 2), lengths=LENGTHS):
    """Every expected episode has its own states, and every row its own picture."""
    episodes, skipped = read_all(root)
    assert tuple(episodes) == tuple(expected)
    for index, (episode, pictures) in episodes.items():
        assert np.array_equal(episode.states, states_of(index, lengths[index]))
        assert episode.states.dtype == np.float32
        assert [row for row, _ in pictures] == list(range(lengths[index]))
        for row, cameras in pictures:
            for picture in cameras.values():
                assert picture.shape == (24, 32, 3)
                assert picture.dtype == np.uint8
                assert number_of(picture) == (index, row)
    return skipped


@pytest.mark.parametrize("version", VERSIONS)
def test_reads_every_version(tmp_path, version):
    root = make_recording(tmp_path / "set", version=version, cameras=(CAMERA, WRIST))
    recording = open_recording(root)
    assert (recording.name, recording.version, recording.fps) == ("set", version, 10)
    assert recording.joints == JOINTS
    assert recording.action_names == ("action_0", "action_1", "action_2", "action_3")
    assert recording.cameras == (CAMERA, WRIST)
    assert recording.camera_size(WRIST) == (48, 64)
    assert [(e.index, e.length, e.task) for e in recording.episodes] == [
        (i, length, "pick") for i, length in enumerate(LENGTHS)
    ]
    assert assert_whole(root) == {}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "trap",
    [
        {"names": [list(JOINTS)]},
        {"names": {"motors": list(JOINTS)}},
        {"names": {name: i for i, name in enumerate(JOINTS)}},
        {"double_lists": True},
        {"drop_columns": ("index", "task_index", "timestamp", "frame_index")},
        {"state_key": "state", "action_key": "actions", "cameras": ("image",)},
        {"images": "struct"},
        {"images": "bytes"},
        {"images": "path"},
        {"codec": "mpeg4"},
    ],
    ids=str,
)
def test_survives_what_is_in_the_wild(tmp_path, version, trap):
    root = make_recording(tmp_path / "set", version=version, **trap)
    assert assert_whole(root) == {}
    assert open_recording(root).joints == JOINTS


def test_reads_a_recording_without_actions_or_names(tmp_path):
    root = make_recording(tmp_path / "set", action_key=None, names=None)
    recording = open_recording(root)
    assert recording.action_names == ()
    assert recording.joints == ("joint_0", "joint_1", "joint_2")
    assert next(recording.read()).actions is None


def test_av1_declared_as_h264(tmp_path):
    root = make_recording(tmp_path / "set", codec="libsvtav1", lengths=(8, 8))
    assert assert_whole(root, (0, 1), (8, 8)) == {}


def test_finds_videos_in_another_folder(tmp_path):
    root = make_recording(tmp_path / "set", cameras=(CAMERA, WRIST))
    (root / "videos").rename(root / "elsewhere")
    assert assert_whole(root) == {}


def test_ignores_stray_parquet_files(tmp_path):
    for version in VERSIONS:
        root = make_recording(tmp_path / version, version=version)
        pq.write_table(pa.table({"x": [1]}), root / "data/chunk-000/leftover.parquet")
        pq.write_table(pa.table({"x": [1]}), root / "meta/notes.parquet")
        assert assert_whole(root) == {}


def test_lists_episodes_from_the_files_where_metadata_does_not(tmp_path):
    root = make_recording(tmp_path / "set")
    (root / "meta/episodes.jsonl").unlink()
    assert assert_whole(root) == {}


def test_rows_out_of_order_are_sorted_by_frame(tmp_path):
    root = make_recording(tmp_path / "set")
    path = root / "data/chunk-000/episode_000001.parquet"
    table = pq.read_table(path)
    pq.write_table(table.take(pa.array(np.random.default_rng(0).permutation(len(table)))), path)
    assert assert_whole(root) == {}


def test_shared_table_with_foreign_episode_numbers(tmp_path):
    root = make_recording(tmp_path / "set", version="v3.0")
    path = root / "data/chunk-000/file-000.parquet"
    table = pq.read_table(path)
    at = table.column_names.index("episode_index")
    pq.write_table(table.set_column(at, "episode_index", pa.array(table["episode_index"].to_numpy() + 24)), path)
    assert assert_whole(root) == {}


def test_camera_size_from_video_info_or_the_first_picture(tmp_path):
    feature = {"dtype": "video", "video_info": {"video.height": 48, "video.width": 64}}
    features = {"observation.state": {"shape": [3]}, CAMERA: feature}
    root = make_recording(tmp_path / "a", info={"features": features})
    assert open_recording(root).camera_size(CAMERA) == (48, 64)
    features[CAMERA] = {"dtype": "video"}
    root = make_recording(tmp_path / "b", info={"features": features})
    assert open_recording(root).camera_size(CAMERA) == (48, 64)


def test_serves_the_wanted_rows_and_sizes(tmp_path):
    root = make_recording(tmp_path / "set", version="v3.0", cameras=(CAMERA, WRIST))
    for episode in open_recording(root).read(cameras=(WRIST,)):
        got = list(episode.pictures([7, 2, 2, 5], {WRIST: (12, 16)}))
        assert [row for row, _ in got] == [2, 5, 7]
        assert all(set(p) == {WRIST} and p[WRIST].shape == (12, 16, 3) for _, p in got)
        assert [number_of(p[WRIST]) for _, p in got] == [(episode.index, r) for r in (2, 5, 7)]
        with pytest.raises(ForearmError, match="has rows 0 to"):
            episode.pictures([99])


def test_reading_no_episodes_is_no_failure(tmp_path):
    make_recording(tmp_path / "r")
    assert list(open_recording(tmp_path / "r").read(episodes=())) == []


@pytest.mark.parametrize("per_file", [1, 6])
def test_each_video_is_opened_once_and_never_sought_in(tmp_path, monkeypatch, per_file):
    root = make_recording(tmp_path / "set", version="v3.0", lengths=(6,) * 6, episodes_per_file=per_file)
    opened, sought = count_opens(monkeypatch)
    episodes, skipped = read_all(root)
    assert (len(episodes), skipped) == (6, {})
    assert len(opened) == 6 // per_file
    assert len(set(opened)) == len(opened)
    assert sought == []


def test_whole_episodes_are_jumped_with_one_seek(tmp_path, monkeypatch):
    lengths = (5, 120, 120, 120, 20)
    root = make_recording(tmp_path / "set", version="v3.0", lengths=lengths, episodes_per_file=5)
    opened, sought = count_opens(monkeypatch)
    for episode in open_recording(root).read():
        if episode.index in (0, 4):
            for row, pictures in episode.pictures():
                assert number_of(pictures[CAMERA]) == (episode.index, row)
    assert len(opened) == 1
    assert len(sought) == 1


def count_opens(monkeypatch):
    opened, sought = [], []
    open_it, jump = video_file.VideoFile._open, video_file.VideoFile._jump
    monkeypatch.setattr(video_file.VideoFile, "_open", lambda s: (opened.append(s.path), open_it(s))[1])
    monkeypatch.setattr(video_file.VideoFile, "_jump", lambda s, n: (sought.append(n), jump(s, n))[1])
    return opened, sought


def test_shrinking_keeps_colour_and_brightness(tmp_path):
    """A shrunken picture is close to the mean of the full one's pixels, as Pillow has it."""
    noise = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    full = np.asarray(Image.fromarray(noise).resize((640, 480), Image.Resampling.BICUBIC))
    path = tmp_path / "video.mp4"
    write_video(path, [full] * 3, crf="5")
    file = video_file.VideoFile(path)
    (whole,) = file.pictures([0], None)
    for size in ((64, 64), (224, 224), (90, 100)):
        (small,) = file.pictures([0], size)
        mean = np.asarray(Image.fromarray(whole).resize(size[::-1], Image.Resampling.BOX))
        difference = small.astype(float) - mean
        assert (difference**2).mean() / 255**2 < 5e-5
        assert abs(difference.mean()) < 0.4
    file.close()


# Damage: the episode is skipped by name, the others are read.


def truncate(path: Path, share: float) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def video(root: Path, episode: int, camera: str = CAMERA) -> Path:
    return root / VIDEO_PATH[0].format(episode_chunk=0, episode_index=episode, video_key=camera)


def table(root: Path, episode: int) -> Path:
    return root / f"data/chunk-000/episode_{episode:06d}.parquet"


def replace_column(path: Path, column: str, values) -> None:
    old = pq.read_table(path)
    pq.write_table(old.set_column(old.column_names.index(column), column, values), path)


def with_nan(root):
    states = states_of(1, 9).tolist()
    states[4][1] = float("nan")
    replace_column(table(root, 1), "observation.state", pa.array(states))


def with_ragged_states(root):
    states = states_of(1, 9).tolist()
    states[4].append(1.0)
    replace_column(table(root, 1), "observation.state", pa.array(states))


def with_front_moov_truncated(root, share=0.6):
    pictures = [np.random.default_rng(i).integers(0, 256, (48, 64, 3), dtype=np.uint8) for i in range(9)]
    whole = video(root, 1)
    write_video(whole, pictures)
    with av.open(str(whole)) as part, av.open(f"{whole}.mp4", "w", options={"movflags": "faststart"}) as moved:
        stream = moved.add_stream_from_template(part.streams.video[0])
        for packet in part.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                moved.mux(packet)
    Path(f"{whole}.mp4").replace(whole)
    truncate(whole, share)


DAMAGE = {
    "missing video": (lambda root: video(root, 1).unlink(), "is missing"),
    "truncated mp4": (lambda root: truncate(video(root, 1), 0.5), "cannot be opened|holds no video"),
    "mp4 truncated behind its index": (with_front_moov_truncated, "truncated|decoded|ends after"),
    "last frame cut": (lambda root: with_front_moov_truncated(root, 0.99), "is truncated$"),
    "no video at all": (lambda root: video(root, 1).write_bytes(b"no video"), "cannot be opened"),
    "short video": (lambda root: write_video(video(root, 1), [picture_of(1, 0)] * 5), "9 rows but 5 pictures"),
    "missing parquet": (lambda root: table(root, 1).unlink(), "is missing"),
    "truncated parquet": (lambda root: truncate(table(root, 1), 0.7), "cannot be read"),
    "missing column": (
        lambda root: pq.write_table(pq.read_table(table(root, 1)).drop(["observation.state"]), table(root, 1)),
        "has no column",
    ),
    "NaN": (with_nan, "not a finite number in row 4"),
    "ragged states": (with_ragged_states, "differ in length"),
    "repeated frames": (
        lambda root: replace_column(table(root, 1), "frame_index", pa.array([0] * 9)),
        "skips or repeats",
    ),
    "no rows": (lambda root: pq.write_table(pq.read_table(table(root, 1)).slice(0, 0), table(root, 1)), "no rows"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_skips_a_damaged_episode_by_name(tmp_path, damage):
    root = make_recording(tmp_path / "set")
    hurt, reason = DAMAGE[damage]
    hurt(root)
    skipped = assert_whole(root, (0, 2))
    assert set(skipped) == {1}
    assert "episode_000001" in skipped[1]
    assert "\n" not in skipped[1]
    assert re.search(reason, skipped[1])


@pytest.mark.parametrize("version", VERSIONS)
def test_skips_an_undecodable_image(tmp_path, version):
    root = make_recording(tmp_path / "set", version=version, images="bytes")
    path = root / ("data/chunk-000/file-000.parquet" if version == "v3.0" else "data/chunk-000/episode_000001.parquet")
    cells = pq.read_table(path)[CAMERA].to_pylist()
    cells[LENGTHS[0] + 3 if version == "v3.0" else 3] = b"no image"
    replace_column(path, CAMERA, pa.array(cells))
    skipped = assert_whole(root, (0, 2))
    assert "the image of row" in skipped[1]


def test_an_episode_that_breaks_in_the_middle_is_reported_and_raised(tmp_path):
    root = make_recording(tmp_path / "set")
    with_front_moov_truncated(root)
    reported = []
    for episode in open_recording(root).read(on_skip=lambda *skip: reported.append(skip)):
        pictures = episode.pictures()
        if episode.index == 1:
            next(pictures)
            with pytest.raises(EpisodeUnreadable, match="episode 1"):
                list(pictures)
            with pytest.raises(EpisodeUnreadable, match="episode 1"):
                list(episode.pictures())
        else:
            list(pictures)
    assert [index for index, _ in reported] == [1]


def test_a_skip_is_a_warning_by_default(tmp_path):
    root = make_recording(tmp_path / "set")
    video(root, 1).unlink()
    with pytest.warns(UserWarning, match="set: skipped episode 1: .*episode_000001.mp4 is missing"):
        list(open_recording(root).read())


def test_damage_in_a_shared_video_costs_only_its_episodes(tmp_path):
    root = make_recording(tmp_path / "set", version="v3.0", lengths=(6,) * 4, episodes_per_file=2)
    truncate(root / VIDEO_PATH[1].format(video_key=CAMERA, chunk_index=0, file_index=0), 0.5)
    assert set(assert_whole(root, (2, 3), (6,) * 4)) == {0, 1}


def test_an_episode_behind_a_spoilt_frame_of_the_same_video_is_read(tmp_path):
    root = make_recording(tmp_path / "set", version="v3.0", lengths=(20, 20), episodes_per_file=2)
    path = root / VIDEO_PATH[1].format(video_key=CAMERA, chunk_index=0, file_index=0)
    write_video(path, [picture_of(e, f) for e in range(2) for f in range(20)], g="5", bf="0")
    with av.open(str(path)) as container:
        place = [packet.pos for packet in container.demux(video=0)][7]
    content = bytearray(path.read_bytes())
    content[place : place + 4] = b"\xff" * 4  # the length of a part of the frame
    path.write_bytes(content)
    skipped = assert_whole(root, (1,), (20, 20))
    assert "cannot be decoded" in skipped[0]


# Refusals: one clear line.


def unequal_cameras(tmp_path):
    root = make_recording(tmp_path / "set", cameras=(CAMERA, WRIST))
    video(root, 2, WRIST).unlink()
    return root


def all_damaged(tmp_path):
    root = make_recording(tmp_path / "set")
    for episode in range(3):
        truncate(video(root, episode), 0.5)
    return root


REFUSALS = {
    "not a data set": (lambda tmp: tmp, "not a LeRobot data set"),
    "no folder": (lambda tmp: tmp / "a" / "b" / "c", "is no folder"),
    "old version": (
        lambda tmp: make_recording(tmp / "s", info={"codebase_version": "v1.6"}),
        "codebase_version is v1.6",
    ),
    "no version": (lambda tmp: make_recording(tmp / "s", info={"codebase_version": None}), "codebase_version"),
    "no features": (lambda tmp: make_recording(tmp / "s", info={"features": []}), "features is \\[\\], not an object"),
    "fps": (lambda tmp: make_recording(tmp / "s", info={"fps": 0}), "fps is 0"),
    "no camera": (lambda tmp: make_recording(tmp / "s", cameras=()), "has no camera"),
    "no state": (lambda tmp: make_recording(tmp / "s", state_key="pose"), "has no state column"),
    "no episode": (lambda tmp: make_recording(tmp / "s", lengths=()), "lists no episode"),
    "unequal cameras": (unequal_cameras, "episode 2 lacks observation.images.wrist"),
    "nothing readable": (all_damaged, "no episode can be read; episode 0: .*episode_000000.mp4 cannot be opened"),
    "columns missing": (
        lambda tmp: make_recording(tmp / "s", drop_columns=["observation.state"]),
        "no episode can be read; episode 0: .*no column 'observation.state'",
    ),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_refuses_with_one_line(tmp_path, refusal):
    make, message = REFUSALS[refusal]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ForearmError, match=message) as caught:
            list(open_recording(make(tmp_path)).read())
    assert "\n" not in str(caught.value)


def test_unequal_cameras_can_be_read_by_choosing(tmp_path):
    root = unequal_cameras(tmp_path)
    assert len(list(open_recording(root).read(cameras=(CAMERA,)))) == 3
    with pytest.raises(ForearmError, match="has no camera 'nose'"):
        next(open_recording(root).read(cameras=("nose",)))


def test_broken_json_is_named(tmp_path):
    root = make_recording(tmp_path / "set")
    (root / "meta/info.json").write_text("{")
    with pytest.raises(ForearmError, match=r"info\.json cannot be read as JSON"):
        open_recording(root)
    shutil.rmtree(root)
    make_recording(root)
    (root / "meta/episodes.jsonl").write_text('{"episode_index": 0}\n')
    with pytest.raises(ForearmError, match="list of episodes makes no sense"):
        open_recording(root)


def test_hub_ids_are_downloaded(tmp_path, monkeypatch):
    root = make_recording(tmp_path / "set")
    asked = {}

    def download(repo_id, **options):
        asked.update(options, repo_id=repo_id)
        return str(root)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert open_recording("someone/somewhere@v2.1").name == "someone/somewhere@v2.1"
    assert (asked["repo_id"], asked["revision"]) == ("someone/somewhere", "v2.1")
    assert open_recording(at_revision("someone/somewhere", "main")).name == "someone/somewhere@main"
    assert (asked["repo_id"], asked["repo_type"], asked["revision"]) == ("someone/somewhere", "dataset", "main")

    def fail(repo_id, **options):
        raise OSError("no network\nat all")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(ForearmError, match=r"neither a folder here nor .* no network$"):
        open_recording("someone/somewhere")


# Logs.


def logs_of(root):
    return [episode.log for episode in open_recording(root).read(on_skip=lambda *_: None)]


def test_logs_go_with_the_episode_of_their_number(tmp_path):
    root = make_recording(tmp_path / "set", log_numbers=(0, 1, 2))
    write_log_lines(root, 7, [])  # only a header
    for index, log in enumerate(logs_of(root)):
        assert log.decisions == ((index + 1, 1),)
        assert (log.joint_name, log.action_duration, log.position_delta) == (JOINTS[0], 0.5, 10.0)


def test_logs_are_paired_in_order_where_numbers_do_not_fit(tmp_path):
    root = make_recording(tmp_path / "set", log_numbers=(1, 4, 6))
    write_log_lines(root, 0, [])
    assert [log.decisions for log in logs_of(root)] == [((1, 1),), ((2, 1),), ((3, 1),)]


def test_an_episode_without_log_has_none(tmp_path):
    root = make_recording(tmp_path / "set", log_numbers=(0, 1))
    assert [log is None for log in logs_of(root)] == [False, False, True]


def test_logs_without_types_are_understood_and_extras_kept(tmp_path):
    root = make_recording(tmp_path / "set")
    header = {"joint_name": "elbow_flex.pos", "action_duration": 1, "position_delta": 5, "seed": 3}
    write_log_lines(root, 0, [{"frame_index": 4, "discrete_action": 2}], header)
    log = logs_of(root)[0]
    assert log.decisions == ((4, 2),)
    assert log.extra == {"seed": 3}


@pytest.mark.parametrize(
    ("decision", "reason"),
    [({"discrete_action": 1}, "lacks 'frame_index'"), ({"frame_index": 1, "discrete_action": 7}, "is none of")],
)
def test_a_log_that_makes_no_sense_skips_its_episode(tmp_path, decision, reason):
    root = make_recording(tmp_path / "set", log_numbers=(0, 1, 2))
    write_log_lines(root, 1, [decision])
    skipped = assert_whole(root, (0, 2))
    assert reason in skipped[1]


@pytest.mark.parametrize("value", ["1e999", "Infinity", "NaN", "0", "-0.5", "1e300", "1" + 400 * "0", '"soon"'])
@pytest.mark.parametrize("name", ["action_duration", "position_delta"])
def test_a_log_s_numbers_are_positive_and_finite(tmp_path, name, value):
    root = make_recording(tmp_path / "set", log_numbers=(0, 1, 2))
    header = {"joint_name": "elbow_flex.pos", "action_duration": 1, "position_delta": 5}
    write_log_lines(root, 1, [{"frame_index": 4, "discrete_action": 2}], header)
    path = root / "meta/discrete_action_logs/episode_000001.jsonl"
    path.write_text(re.sub(rf'"{name}": \d+', f'"{name}": {value}', path.read_text()))
    skipped = assert_whole(root, (0, 2))
    assert "cannot be understood" in skipped[1]


# Names and units.


@pytest.mark.parametrize(
    ("ranges", "units"),
    [
        ([(-1.8, 1.7), (-0.3, 0.4), (0, 1)], ("rad", "rad", "")),
        ([(-90, 110), (-30, 40), (0, 100)], ("deg", "deg", "%")),
        ([(-100, 100), (-98, 100), (0, 100)], ("%", "%", "%")),
        ([(800, 3100), (700, 2000), (2000, 3300)], ("ticks", "ticks", "ticks")),
    ],
)
def test_units_are_guessed(tmp_path, ranges, units):
    root = make_recording(tmp_path / "set")
    low, high = zip(*ranges, strict=True)
    (root / "meta/stats.json").write_text(json.dumps({"observation.state": {"min": low, "max": high}}))
    assert open_recording(root).units == units


def test_units_come_from_the_rows_without_statistics(tmp_path):
    assert open_recording(make_recording(tmp_path / "set")).units == ("deg", "deg", "deg")


def test_joints_are_found_by_their_bare_name(tmp_path):
    recording = open_recording(make_recording(tmp_path / "set"))
    assert [recording.joint_index(n) for n in ("elbow_flex", "elbow_flex.pos", "main_elbow_flex")] == [1, 1, 1]
    with pytest.raises(ForearmError, match="no joint 'knee'"):
        recording.joint_index("knee")
