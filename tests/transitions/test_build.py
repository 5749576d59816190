"""From recordings to datasets: right pairs, each frame once, whole episodes or none, and no half-written target."""

import dataclasses
import errno
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.canvases import decode
from support.recordings import (
    CAMERA,
    JOINTS,
    VIDEO_PATH,
    make_recording,
    number_of,
    picture_of,
    states_of,
    write_log_lines,
)
from support.recordings import write_video as write_pictures

from forearm.base.errors import ForearmError
from forearm.recordings import open_recording
from forearm.report.inspection import facts_of
from forearm.transitions import TransitionSet, parts
from forearm.transitions.advice import warnings_of
from forearm.transitions.build import _require_step, build
from forearm.transitions.combine import combine
from forearm.transitions.frames import ArrayWriter
from forearm.transitions.pace import choose_step
from forearm.transitions.settings import BuildConfig

WRIST = "observation.images.wrist"
LENGTHS = (12, 9, 15)


def settings(**changes) -> BuildConfig:
    """Cameras of 32×32, frames 0.3 s (3 rows) apart, a transition every 0.2 s."""
    usual = {"size": 32, "actions": "change", "history": 2, "step": 0.3, "stride": 0.2, "val": 0.34}
    return BuildConfig(**usual | changes)


def of_logs(**changes):
    """The same for decisions of logs, which bring their own steps."""
    return BuildConfig(**{"size": 32, "val": 0.34} | changes)


def video(root: Path, episode: int, camera: str = CAMERA) -> Path:
    return root / VIDEO_PATH[0].format(episode_chunk=0, episode_index=episode, video_key=camera)


def assert_paired(data: TransitionSet, moments: list[tuple[int, list[int]]]) -> None:
    """Every transition shows the frames of these (episode, rows), with the states that belong to them."""
    assert len(data) == len(moments)
    for row, (episode, rows) in enumerate(moments):
        told = data.episodes[data.columns.episodes[row]]
        assert told["index"] == episode
        pictures = data.frames[data.columns.frames[row]][:, :32, :32]
        assert [number_of(picture) for picture in pictures] == [(episode, r) for r in rows]
        np.testing.assert_array_equal(data.positions(np.array([row]))[0], states_of(episode, max(rows) + 1)[rows])
    unique = {(episode, row) for episode, rows in moments for row in rows}
    assert len(data.frames) == len(data.states) == len(unique), "every frame is stored once"


def every(lengths, step, stride, history=2, skip=()):
    span = step * (history - 1)
    return [
        (episode, [start + step * t for t in range(history)])
        for episode, length in enumerate(lengths)
        if episode not in skip
        for start in range(0, length - span, stride)
    ]


@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
def test_pictures_and_states_are_paired_by_row(tmp_path, version):
    root = make_recording(tmp_path / "set", version=version)
    data = build([root], tmp_path / "data", settings())
    assert_paired(data, every(LENGTHS, 3, 2))
    np.testing.assert_allclose(data.columns.actions, 1.5, atol=1e-5)  # half a degree a row
    assert data.layout.joint_names == ("shoulder_pan", "elbow_flex", "gripper")
    assert [dimension.joint for dimension in data.layout.actions] == ["shoulder_pan", "elbow_flex", "gripper"]
    assert not data.layout.discrete
    assert data.facts["actions"] == "change"
    assert data.facts["recordings"] == [{"name": "set", "version": version, "fps": 10}]
    for split in ("train", "val"):
        assert len(data.rows(split))
    used = [set(data.columns.episodes[data.rows(split)]) for split in ("train", "val")]
    assert not used[0] & used[1]
    training = data.positions(data.rows("train"))
    assert (data.layout.lows < training.min((0, 1))).all()
    assert data.layout.lows.min() > training.min() - 10, "bounds lie close"


def test_bounds_and_scales_come_from_training_alone(tmp_path):
    root = make_recording(tmp_path / "set", lengths=(12, 12))
    path = root / "data/chunk-000/episode_000001.parquet"
    states = pa.array((10 * states_of(1, 12)).tolist(), pa.list_(pa.float32()))  # faster, and far from the first
    pq.write_table(pq.read_table(path).set_column(0, "observation.state", states), path)
    seen = set()
    for seed in range(4):
        data = build([root], tmp_path / str(seed), settings(val=0.5, seed=seed))
        training, validation = (data.positions(data.rows(split)) for split in ("train", "val"))
        assert (data.layout.lows > training.min((0, 1)) - 10).all()
        assert (data.layout.highs < training.max((0, 1)) + 10).all()
        assert ((validation < data.layout.lows) | (validation > data.layout.highs)).all()
        step = np.abs(np.diff(training, axis=1)).max()
        assert [dimension.scale for dimension in data.layout.actions] == pytest.approx([step] * 3, rel=1e-3)
        seen.add(round(float(step), 3))
    assert seen == {1.5, 15.0}, "either episode has trained"


def test_late_pictures_stand_beside_the_joints_of_before(tmp_path):
    root = make_recording(tmp_path / "set")
    late, plain = (
        build([root], tmp_path / "late", settings(camera_lag=0.2)),
        build([root], tmp_path / "plain", settings()),
    )
    np.testing.assert_array_equal(late.frames, plain.frames)
    assert late.facts["settings"]["camera_lag"] == 0.2
    for row, episode in enumerate(late.columns.episodes):
        pictures = late.frames[late.columns.frames[row]]
        shown = [number_of(picture)[1] for picture in pictures]
        told = states_of(late.episodes[episode]["index"], LENGTHS[late.episodes[episode]["index"]])
        np.testing.assert_array_equal(late.positions(np.array([row]))[0], told[[max(0, r - 2) for r in shown]])


def test_two_cameras_in_the_order_asked_for(tmp_path):
    root = make_recording(tmp_path / "set", cameras=(CAMERA, WRIST))
    for episode, length in enumerate(LENGTHS):
        write_pictures(video(root, episode, WRIST), [picture_of(100 + episode, f) for f in range(length)])
    shapes = {}
    for stacking in ("vertical", "horizontal"):
        config = settings(cameras=("wrist", "base"), stacking=stacking, history=3)
        data = build([root], tmp_path / stacking, config)
        assert [camera.name for camera in data.layout.cameras] == ["wrist", "base"]
        moments = every(LENGTHS, 3, 2, history=3)
        assert len(data) == len(moments)
        boxes = data.layout.camera_boxes()
        for row, (episode, rows) in enumerate(moments):
            for frame, number in zip(data.frames[data.columns.frames[row]], rows, strict=True):
                numbers = [number_of(frame[box]) for box in boxes]
                assert numbers == [(100 + episode, number), (episode, number)]
        shapes[stacking] = data.frames.shape[1:]
    assert shapes == {"vertical": (64, 32, 3), "horizontal": (32, 64, 3)}
    with pytest.raises(ForearmError, match="no camera 'top'; it has base, wrist"):
        build([root], tmp_path / "data", settings(cameras=("top",)))


def test_decisions_of_logs(tmp_path):
    root = make_recording(tmp_path / "set")
    deltas = {"elbow_flex.pos": 5.0, "shoulder_pan.pos": 10.0}
    for episode, joint in enumerate(("elbow_flex.pos", "shoulder_pan.pos", "elbow_flex.pos")):
        header = {"joint_name": joint, "action_duration": 0.4, "position_delta": deltas[joint], "session": 7}
        lines = [{"frame_index": f, "discrete_action": code} for f, code in ((0, 1), (4, 0), (8, 2))]
        write_log_lines(root, episode, lines, header)
    data = build([root], tmp_path / "data", of_logs())
    assert_paired(data, [(0, [0, 4]), (0, [4, 8]), (1, [0, 4]), (1, [4, 8]), (2, [0, 4]), (2, [4, 8]), (2, [8, 12])])
    assert data.facts["actions"] == "log"
    assert data.layout.discrete
    assert [(e.name, e.joint, e.scale) for e in data.layout.actions] == [
        ("shoulder_pan", "shoulder_pan", 10),
        ("elbow_flex", "elbow_flex", 5),
    ]
    assert data.columns.dimensions.tolist() == [1, 1, 0, 0, 1, 1, 1]
    assert data.columns.actions[:, 0].tolist() == [[0, 5], [0, 0], [10, 0], [0, 0], [0, 5], [0, 0], [0, -5]]
    assert data.codes.tolist() == [1, 0, 1, 0, 1, 0, 2]
    assert {episode["session"] for episode in data.episodes} == {7}
    longer = build([root], tmp_path / "longer", of_logs(history=3))
    assert_paired(longer, [(0, [0, 4, 8]), (1, [0, 4, 8]), (2, [0, 4, 8]), (2, [4, 8, 12])])


def test_episodes_of_one_moment_stay_together(tmp_path):
    """Two recordings of six moments each, both numbered from 0, with an episode for each action."""
    roots = []
    for name in ("one", "two"):
        roots.append(make_recording(tmp_path / name, lengths=[5] * 18, shift=len(roots)))
        for episode in range(18):
            moment, code = divmod(episode, 3)
            header = {"joint_name": JOINTS[moment % 2], "action_duration": 0.4, "position_delta": 5.0, "moment": moment}
            write_log_lines(roots[-1], episode, [{"frame_index": 0, "discrete_action": code}], header)
    for seed in range(3):
        data = build(roots, tmp_path / str(seed), of_logs(val=1 / 3, seed=seed))
        assert [e["moment"] for e in data.episodes] == np.repeat(np.arange(12), 3).tolist()
        sides = data.columns.validation.reshape(12, 3)
        assert (sides == sides[:, :1]).all(), "a moment goes one way"
        # A third of the moments of each joint, and so a third of each action.
        assert data.columns.dimensions[data.rows("val")].tolist().count(0) == 6
        assert data.actions_seen("val") == {0: 4, 1: 4, 2: 4}
        assert data.outcomes(data.rows()).known.all()


def test_a_joint_that_moves_by_two_amounts_is_refused(tmp_path):
    root = make_recording(tmp_path / "set")
    for episode, delta in enumerate((5.0, 5.0, 6.0)):
        header = {"joint_name": JOINTS[0], "action_duration": 0.4, "position_delta": delta}
        write_log_lines(root, episode, [{"frame_index": 0, "discrete_action": 1}], header)
    with pytest.raises(ForearmError, match="episode 2 moves shoulder_pan.pos by 6.0, others by 5.0"):  # noqa: RUF043
        build([root], tmp_path / "data", of_logs())


def test_noise_is_no_action_and_each_joint_moves_by_its_own_step(tmp_path):
    root = make_recording(tmp_path / "set", lengths=(60, 60, 60))
    random = np.random.default_rng(0)
    for episode in range(3):
        path = root / f"data/chunk-000/episode_{episode:06d}.parquet"
        swing = np.sin(np.arange(60) / 5 + episode)
        states = np.stack([40 * swing, 0.5 * swing, random.normal(0, 0.2, 60)], axis=1)
        column = pa.array(states.tolist(), pa.list_(pa.float32()))
        pq.write_table(pq.read_table(path).set_column(0, "observation.state", column), path)
    data = build([root], tmp_path / "data", settings(step=0.5, stride=0.1))
    pan, elbow, gripper = (dimension.scale for dimension in data.layout.actions)
    assert pan == pytest.approx(80 * elbow, rel=0.01)
    assert 0.001 < gripper < 0.2
    moved = np.abs(data.action_values(data.rows())).max(axis=(0, 1))
    assert moved.tolist() == pytest.approx([1, 1, 0], abs=0.01)
    dominant = build([root], tmp_path / "dominant", settings(step=0.5, stride=0.1, actions="dominant"))
    assert set(dominant.columns.dimensions.tolist()) <= {0, 1}


def test_what_actions_last_and_how_cameras_recorded_travels(tmp_path):
    root = make_recording(tmp_path / "set")
    data = build([root], tmp_path / "data", settings())
    assert data.layout.action_duration == pytest.approx(0.3)
    assert (data.layout.cameras[0].recorded_size, data.layout.cameras[0].fps) == ((48, 64), 10)
    logged = make_recording(tmp_path / "logged", log_numbers=(0, 1, 2))
    assert build([logged], tmp_path / "of logs", of_logs()).layout.action_duration == 0.5
    header = {"joint_name": JOINTS[0], "action_duration": 0.3, "position_delta": 10.0}
    write_log_lines(logged, 2, [{"frame_index": 1, "discrete_action": 1}], header)
    with pytest.raises(ForearmError, match=r"episode 2 has actions of 0.3 s, others of 0.5 s; build them apart"):
        build([logged], tmp_path / "mixed", of_logs())


def test_columns_and_dominant_joints(tmp_path):
    root = make_recording(tmp_path / "set")
    recorded = build([root], tmp_path / "column", settings(actions="column"))
    assert [dimension.name for dimension in recorded.layout.actions] == [f"action_{i}" for i in range(4)]
    assert [dimension.joint for dimension in recorded.layout.actions] == ["shoulder_pan", "elbow_flex", "gripper", None]
    assert (recorded.layout.action_is, recorded.facts["actions"]) == ("target", "command")
    assert recorded.facts["commands"].startswith("target (explained by the states: target 100%")
    np.testing.assert_allclose(recorded.columns.actions[:, 0, :3], 1.0, atol=1e-4)  # the column repeats the state
    np.testing.assert_array_equal(recorded.columns.actions[:, 0, 3], 0)
    dominant = build([root], tmp_path / "dominant", settings(actions="dominant"))
    assert dominant.layout.discrete
    values = dominant.action_values(dominant.rows())[:, 0]
    np.testing.assert_array_equal(np.abs(values).sum(1), 1)


def test_columns_named_like_the_state_are_targets(tmp_path):
    names = [*JOINTS, "extra"]
    root = make_recording(tmp_path / "set")
    info = json.loads((root / "meta/info.json").read_text())
    info["features"]["action"] |= {"names": list(JOINTS), "shape": [3]}
    (root / "meta/info.json").write_text(json.dumps(info))
    for path in (root / "data").rglob("*.parquet"):
        table = pq.read_table(path)
        targets = np.array(table["observation.state"].to_pylist()) + 2
        column = pa.array(targets.tolist(), pa.list_(pa.float32()))
        pq.write_table(table.set_column(table.column_names.index("action"), "action", column), path)
    data = build([root], tmp_path / "data", settings(actions="column"))
    assert [dimension.joint for dimension in data.layout.actions] == [name.removesuffix(".pos") for name in names[:3]]
    np.testing.assert_allclose(data.columns.actions, 3.0, atol=1e-4)  # two rows of half a degree, and 2


def with_actions(root: Path, names: list[str], command) -> Path:
    """A recording whose commands are what a function makes of an episode's states (n, 3) and its index."""
    make_recording(root)
    info = json.loads((root / "meta/info.json").read_text())
    info["features"]["action"] |= {"names": names, "shape": [len(names)]}
    (root / "meta/info.json").write_text(json.dumps(info))
    for episode, path in enumerate(sorted((root / "data").rglob("*.parquet"))):
        table = pq.read_table(path)
        column = pa.array(command(np.array(table["observation.state"].to_pylist()), episode).tolist())
        pq.write_table(table.set_column(table.column_names.index("action"), "action", column), path)
    return root


def test_a_gripper_that_is_commanded_but_not_measured_is_an_action_of_its_own(tmp_path):
    """Its absolute command counts from the lowest one and is scaled by its own range."""

    def command(states, episode):
        return np.c_[states, 1100 + 50 * np.arange(len(states))]

    one = with_actions(tmp_path / "one", [*JOINTS, "claw"], command)
    data = build(one, tmp_path / "data", settings(actions="command"))
    claw = data.layout.actions[3]
    assert (claw.joint, claw.unit, claw.zero) == (None, "", 1150.0)  # the mean of the first three rows
    assert "no joint answers claw: an action of its own" in data.facts["commands"]
    first = data.columns.frames[0, 0]
    assert data.columns.actions[first, 0, 3] == 0
    values = data.action_values(data.rows("train"))[..., 3]
    assert (values.min(), values.max()) == (0, 1)
    assert TransitionSet(data.path).layout == data.layout
    moved = build(one, tmp_path / "moved", settings(actions="command", episodes="1:3", val=0.5))
    later = with_actions(tmp_path / "later", [*JOINTS, "claw"], lambda states, e: command(states, e) + 7)
    elsewhere = build(later, tmp_path / "elsewhere", settings(actions="command"))
    assert moved.layout.actions[3].zero == 1150
    for refused in (
        lambda: combine([data, elsewhere], tmp_path / "both"),
        lambda: elsewhere.require_fit(data.layout, "run"),
    ):
        with pytest.raises(ForearmError, match=r"1157"):
            refused()


def test_targets_beside_the_states_are_counted_from_the_states_in_each_recording(tmp_path):
    roots = [
        with_actions(tmp_path / str(by), list(JOINTS), lambda states, e, by=by: np.add(states, (0, by, 0)))
        for by in (0, 20)
    ]
    for path in roots[1].rglob("*.parquet"):
        table = pq.read_table(path)
        states = np.array(table["observation.state"].to_pylist()) + 5
        actions = np.array(table["action"].to_pylist()) + 5
        for name, values in (("observation.state", states), ("action", actions)):
            table = table.set_column(table.column_names.index(name), name, pa.array(values.tolist()))
        pq.write_table(table, path)
    data = build(roots, tmp_path / "data", settings(actions="command"))
    assert np.abs(data.columns.actions[..., 1]).max() < 10
    assert "elbow_flex.pos by 20" in data.facts["commands"]


def test_a_command_that_joints_answer_in_one_recording_alone_says_what_to_do(tmp_path):
    one = with_actions(tmp_path / "one", list(JOINTS), lambda states, e: states)
    switch = with_actions(tmp_path / "other", list(JOINTS), lambda states, e: np.c_[states[:, :2], states[:, 2] > 0])
    with pytest.raises(
        ForearmError, match=r"joints answer gripper.pos otherwise in other than in one; build them apart,"
    ):
        build([one, switch], tmp_path / "data", settings(actions="command"))


def test_units_that_the_values_contradict_are_warned_of(tmp_path):
    degrees, radians = make_recording(tmp_path / "degrees"), make_recording(tmp_path / "radians")
    for path in (radians / "data").rglob("*.parquet"):
        table = pq.read_table(path)
        states = np.deg2rad(np.array(table["observation.state"].to_pylist()))
        pq.write_table(table.set_column(0, "observation.state", pa.array(states.tolist())), path)
    given = build([degrees, radians], tmp_path / "both", settings(units=("deg",)))
    (line,) = (line for line in warnings_of(given) if "said to be" in line)
    assert line.startswith("joints of radians are said to be in deg, but never leave ±2π, so they look like radians")
    other = build(degrees, tmp_path / "other", settings(units=("rad",)))
    assert "joints of degrees are said to be in rad, but go far beyond ±2π" in other.facts["warnings"][0]
    assert not build(degrees, tmp_path / "right", settings(units=("deg",))).facts["warnings"]
    twice = combine(
        [given, build(make_recording(tmp_path / "third", shift=3.0), tmp_path / "c", settings())], tmp_path / "d"
    )
    assert line in warnings_of(twice)


def break_in_the_middle(path: Path) -> None:
    """A video that opens, counts its frames, and turns out to be spoilt when decoded."""
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=10, options={"bf": "0", "g": "1"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for i in range(9):
            noise = np.random.default_rng(i).integers(0, 256, (48, 64, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noise, format="rgb24")))
        container.mux(stream.encode())
    with av.open(str(path)) as container:
        place = [packet.pos for packet in container.demux(video=0)][7]
    content = bytearray(path.read_bytes())
    content[place : place + 4] = b"\xff" * 4  # the length of a part of the frame
    path.write_bytes(content)


def with_nan(root: Path) -> None:
    path = root / "data/chunk-000/episode_000001.parquet"
    table, states = pq.read_table(path), states_of(1, 9).tolist()
    states[4][1] = float("nan")
    pq.write_table(table.set_column(0, "observation.state", pa.array(states)), path)


@pytest.mark.parametrize(
    "damage",
    [lambda root: break_in_the_middle(video(root, 1)), lambda root: video(root, 1).unlink(), with_nan],
    ids=["breaks in the middle", "missing video", "NaN"],
)
def test_a_damaged_episode_is_dropped_whole_and_told_once(tmp_path, damage):
    root = make_recording(tmp_path / "set")
    damage(root)
    told = []
    data = build(
        [root],
        tmp_path / "data",
        settings(),
        lambda p: told.append((p.episode, p.frames, p.transitions, len(p.skipped))),
    )
    assert_paired(data, every(LENGTHS, 3, 2, skip=(1,)))
    assert [(skip["recording"], skip["episode"]) for skip in data.facts["skipped"]] == [("set", 1)]
    assert data.facts["skipped"][0]["reason"]
    frames = [len({r for e, rows in every(LENGTHS, 3, 2) if e == episode for r in rows}) for episode in range(3)]
    assert told == [(1, frames[0], 5, 0), (2, frames[0], 5, 1), (3, frames[0] + frames[2], 11, 1)]


def test_a_break_in_the_middle_is_met_only_while_decoding(tmp_path, monkeypatch):
    """Or the test above would prove nothing about forgetting frames already written."""
    coded = []
    monkeypatch.setattr(parts, "coded", lambda frame, storage: coded.append(frame) or frame.tobytes())
    root = make_recording(tmp_path / "set")
    break_in_the_middle(video(root, 1))
    data = build([root], tmp_path / "data", settings())
    assert len(coded) > len(data.frames)


def test_several_recordings_become_one(tmp_path):
    roots = [make_recording(tmp_path / n, version=v, shift=s) for n, v, s in (("one", "v2.1", 0), ("two", "v3.0", 1))]
    counted = []
    data = build(roots, tmp_path / "data", settings(), lambda p: counted.append((p.recording, p.episode, p.episodes)))
    assert len(data) == 2 * len(every(LENGTHS, 3, 2))
    assert [e["recording"] for e in data.episodes] == ["one"] * 3 + ["two"] * 3
    assert counted == [("one" if i <= 3 else "two", i, 6) for i in range(1, 7)]


def test_copies_of_episodes_are_left_out(tmp_path):
    """Or one would train and the other validate; other pictures, or joints that stand still, make no copy."""
    one = make_recording(tmp_path / "one")  # episodes 0 and 2 move alike before other pictures
    copy = make_recording(tmp_path / "copy", version="v3.0")
    data = build([one, copy], tmp_path / "data", settings())
    assert len(data) == len(every(LENGTHS, 3, 2))
    assert [(s["episode"], s["reason"]) for s in data.facts["skipped"]] == [
        (index, f"it is a copy of episode {index} of one") for index in range(3)
    ]
    for root, name in ((one, "one"), (copy, "copy")):
        shutil.copytree(root, tmp_path / "still" / name)
        for path in (tmp_path / "still" / name / "data").rglob("*.parquet"):
            table = pq.read_table(path)
            states = pa.array(np.ones((len(table), 3), np.float32).tolist(), pa.list_(pa.float32(), 3))
            table = table.set_column(0, "observation.state", states)
            pq.write_table(table, path)
    still = build([tmp_path / "still/one", tmp_path / "still/copy"], tmp_path / "more", settings())
    assert still.facts["skipped"] == []


def test_rows_that_no_joint_can_read_are_left_out_and_named(tmp_path):
    root = make_recording(tmp_path / "set")
    path = root / "data/chunk-000/episode_000002.parquet"
    table, states = pq.read_table(path), states_of(2, 15).tolist()
    states[6][1] = 65535.0
    pq.write_table(table.set_column(0, "observation.state", pa.array(states)), path)
    data = build([root], tmp_path / "data", settings())
    assert_paired(data, [(e, rows) for e, rows in every(LENGTHS, 3, 2) if not (e == 2 and 6 in rows)])
    assert data.states.max() < 200
    assert [note["note"] for note in data.facts["notes"] if "reads" in note["note"]] == [
        "elbow_flex.pos reads 65535 in row 6, which no joint can: its transitions are left out"
    ]


@pytest.mark.parametrize("lag", [0.0, 0.05])
def test_rows_of_a_sensor_that_is_stuck_are_left_out_and_named(tmp_path, lag):
    root = make_recording(tmp_path / "set", lengths=(40, 40))
    path = root / "data/chunk-000/episode_000001.parquet"
    table, states = pq.read_table(path), states_of(1, 40).tolist()
    for row in range(20, 27):
        states[row][2] = 1e6
    pq.write_table(table.set_column(0, "observation.state", pa.array(states)), path)
    data = build([root], tmp_path / "data", settings(camera_lag=lag, val=0))
    assert data.states.max() < 200
    stuck = set(range(20, 27 + (lag > 0)))
    (note,) = (note["note"] for note in data.facts["notes"] if "reads" in note["note"])
    assert f"in rows 20 to {max(stuck)}, which no joint can" in note
    assert (data.columns.episodes == 1).sum() == sum(not stuck & {a, a + 3} for a in range(0, 37, 2))


def test_what_does_not_fit_is_noted(tmp_path):
    root = make_recording(tmp_path / "set")
    noted = []
    data = build([root], tmp_path / "data", settings(), lambda p: noted.append(len(p.notes)))
    assert noted == [1, 2, 3]
    assert [note["episode"] for note in data.facts["notes"]] == [0, 1, 2]
    assert {note["note"] for note in data.facts["notes"]} == {
        "paired by count: timestamp drifts from frame_index / fps by more than half a frame"
    }


def units_of(data: TransitionSet) -> list[tuple[str, str]]:
    return [(joint.unit, joint.unit_origin) for joint in data.layout.joints]


def declaring(root: Path, *units: str) -> Path:
    """A recording that says what its joints are measured in."""
    make_recording(root)
    info = json.loads((root / "meta/info.json").read_text())
    info["features"]["observation.state"]["units"] = list(units)
    (root / "meta/info.json").write_text(json.dumps(info))
    return root


def test_a_unit_says_how_it_is_known(tmp_path):
    silent, says = make_recording(tmp_path / "silent"), declaring(tmp_path / "says", "deg", "deg", "%")
    assert units_of(build(silent, tmp_path / "a", settings())) == [("deg", "guessed")] * 3
    assert units_of(build(says, tmp_path / "b", settings())) == [("deg", "declared")] * 2 + [("%", "declared")]
    some = build(silent, tmp_path / "c", settings(units=("gripper=%",)))
    assert units_of(some) == [("deg", "guessed")] * 2 + [("%", "given")]
    with pytest.raises(ForearmError, match=r"gripper is in % \(declared\) in says, but in deg \(guessed\) in silent"):
        build([silent, says], tmp_path / "d", settings())
    assert not (tmp_path / "d").exists()


def test_of_several_recordings_the_one_that_knows_least_decides_how_a_unit_is_known(tmp_path):
    silent = make_recording(tmp_path / "silent", shift=2.0)
    both = build([declaring(tmp_path / "says", "deg", "deg", "deg"), silent], tmp_path / "both", settings())
    assert units_of(both) == [("deg", "guessed")] * 3
    parts = [build(root, tmp_path / f"{root.name} data", settings()) for root in (tmp_path / "says", silent)]
    assert units_of(combine(parts, tmp_path / "combined")) == [("deg", "guessed")] * 3


def other_joints(root):
    return make_recording(root, names=("a", "b", "c"))


def other_cameras(root):
    return make_recording(root, cameras=(WRIST,))


def logged(root):
    return make_recording(root, log_numbers=(0, 1, 2))


@pytest.mark.parametrize(
    ("other", "options", "says"),
    [
        (other_joints, {}, "has joints a, b, c, but one has shoulder_pan.pos"),
        (other_cameras, {}, "has cameras none of these"),
        (logged, {"actions": "auto"}, "one has no discrete-action log but others have"),
        (lambda root: make_recording(root, action_key=None), {"actions": "column"}, "has actions none of these"),
        (lambda root: root.with_name("one"), {}, "one is given twice"),
    ],
)
def test_unlike_recordings_are_refused(tmp_path, other, options, says):
    one = make_recording(tmp_path / "one")
    with pytest.raises(ForearmError, match=says) as failure:
        build([one, other(tmp_path / "other")], tmp_path / "data", settings(**options))
    assert "\n" not in str(failure.value)
    assert not list(tmp_path.glob("*data*"))
    assert not list(tmp_path.glob(".*"))


REFUSALS = {
    "not a dataset": (lambda root: root.mkdir(), {}, "set"),
    "one episode": (lambda root: make_recording(root, lengths=(12,)), {}, "1 episode"),
    "one transition": (lambda root: make_recording(root, lengths=(4,)), {}, r"1 transition\(s\) in 1 episode"),
    "too short": (lambda root: make_recording(root, lengths=(3, 2)), {}, "lower --step"),
    "too short but for one": (
        lambda root: [video(make_recording(root, lengths=(3, 12)), 1).unlink()],
        {},
        r"lower --step\. Skipped: episode 1 of set: .* is missing",
    ),
    "no log": (make_recording, {"actions": "log"}, "no readable episode has a logged decision"),
    "no action": (lambda root: make_recording(root, action_key=None), {"actions": "column"}, "no action column"),
    "patch": (make_recording, {"size": 30}, "not divisible by the patch 8"),
    "no size": (make_recording, {"size": 0}, "0 is not divisible by the patch"),
    "history": (make_recording, {"history": 1}, "at least 2 frames"),
    "nothing readable": (
        lambda root: [video(make_recording(root, lengths=(5,)), 0).unlink()],
        {},
        "no episode can be read",
    ),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_refusals_are_one_line_and_leave_nothing(tmp_path, refusal):
    make, options, says = REFUSALS[refusal]
    make(tmp_path / "set")
    with pytest.raises(ForearmError, match=says) as failure:
        build([tmp_path / "set"], tmp_path / "data", settings(**options))
    assert "\n" not in str(failure.value)
    assert [p.name for p in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"preset": "huge"}, "so101, tiny"),
        ({"step": 0.0}, "step"),
        ({"stride": -1.0}, "stride"),
        ({"val": 1.5}, "val"),
        ({"camera_lag": -0.1}, "camera_lag"),
    ],
)
def test_impossible_settings_are_refused_at_once(options, says):
    with pytest.raises(ForearmError, match=says):
        settings(**options)


def test_a_single_episode_can_be_a_pure_test_set(tmp_path):
    root = make_recording(tmp_path / "set", lengths=(12,))
    data = build([root], tmp_path / "data", settings(val=1.0))
    assert data.columns.validation.all()
    shown = decode(data.layout, data.batch(data.rows()).canvas.numpy())
    np.testing.assert_allclose(shown.positions, data.positions(data.rows()), atol=1e-3)


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"episodes": "0,2"}, [0, 2]),
        ({"episodes": "1:"}, [1, 2]),
        ({"exclude": "1"}, [0, 2]),
        ({"episodes": ":2", "exclude": "0"}, [1]),
    ],
)
def test_episodes_are_chosen_by_number(tmp_path, options, kept):
    root = make_recording(tmp_path / "set", version="v3.0")
    seen = []
    data = build([root], tmp_path / "data", settings(val=0.0, **options), lambda p: seen.append(p.episodes))
    assert_paired(data, every(LENGTHS, 3, 2, skip={0, 1, 2} - set(kept)))
    assert seen[-1] == len(kept)


@pytest.mark.parametrize(
    ("options", "sets", "says"),
    [
        ({"episodes": "7"}, 1, "there is no episode 7; there are 3 episodes .0 to 2."),
        ({"exclude": "0:"}, 1, "leave none of the 3 episodes"),
        ({"exclude": "1"}, 2, "need a single recording"),
    ],
)
def test_a_choice_that_cannot_be_made_is_refused(tmp_path, options, sets, says):
    roots = [make_recording(tmp_path / f"set{i}", shift=i) for i in range(sets)]
    with pytest.raises(ForearmError, match=says):
        build(roots, tmp_path / "data", settings(**options))
    with pytest.raises(ForearmError, match="'a-b' selects no episodes"):
        settings(episodes="a-b")


@pytest.mark.parametrize(("fit", "black"), [("squeeze", 0), ("crop", 0), ("letterbox", 8)])
def test_pictures_fit_as_asked_and_the_layout_remembers(tmp_path, fit, black):
    root = make_recording(tmp_path / "set")  # pictures of 48×64
    data = build([root], tmp_path / "data", settings(fit=fit))
    assert [camera.fit for camera in data.layout.cameras] == [fit]
    assert (np.asarray(data.frames[:, :32]).max(axis=(0, 2, 3)) < 10).sum() == black
    assert any("is squeezed from 48×64 to 32×32" in line for line in warnings_of(data)) == (fit == "squeeze")
    with pytest.raises(ForearmError, match="cameras of"):
        data.require_fit(build([root], tmp_path / "other", settings(fit="crop", size=40)).layout, "another")


def test_an_arm_that_never_moves_has_nothing_left_without_its_pauses(tmp_path):
    root = make_recording(tmp_path / "set")
    for path in (root / "data").rglob("*.parquet"):
        table = pq.read_table(path)
        still = pa.array([[1.0, 2.0, 3.0]] * len(table))
        pq.write_table(
            table.set_column(table.column_names.index("observation.state"), "observation.state", still), path
        )
    with pytest.raises(ForearmError, match=r"episode without its pauses is shorter than .* or leave out --trim-idle"):
        build(root, tmp_path / "data", settings(trim_idle=True))


def test_idle_ends_are_trimmed(tmp_path):
    root = make_recording(tmp_path / "set", lengths=(40,))
    path = next(root.glob("data/**/*.parquet"))
    table = pq.read_table(path)
    states = np.interp(np.arange(40), [12, 28], [0, 8])[:, None] * np.ones(3)
    place = table.column_names.index("observation.state")
    pq.write_table(table.set_column(place, "observation.state", pa.array(states.tolist())), path)
    data = build([root], tmp_path / "data", settings(val=0.0, trim_idle=True))
    shown = [number_of(picture)[1] for picture in data.frames[:, :32, :32]]
    assert (min(shown), max(shown)) == (pytest.approx(12, abs=3), pytest.approx(28, abs=3))


def test_a_taken_target_is_left_untouched_before_anything_is_read(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine").write_text("precious")
    with pytest.raises(ForearmError, match="already exists"):
        build(["no/such-recording-anywhere"], tmp_path / "data", settings())
    assert [p.name for p in tmp_path.rglob("*")] == ["data", "mine"]


def same(one: Path, other: Path) -> bool:
    """Whether two datasets are equal to the byte but for when they were built."""
    names = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(other) for path in other.rglob("*") if path.is_file())
    facts = [json.loads((path / "dataset.json").read_text()) | {"built": None} for path in (one, other)]
    equal = ((one / name).read_bytes() == (other / name).read_bytes() for name in names if name.name != "dataset.json")
    return facts[0] == facts[1] and all(equal)


def watched(patch: pytest.MonkeyPatch) -> list[str]:
    """The names of the parts that are written from now on."""
    written: list[str] = []
    write = parts._write
    patch.setattr(parts, "_write", lambda path, *rest: (written.append(path.name), write(path, *rest)))
    return written


@pytest.mark.parametrize("storage", ["raw", "jpeg"])
def test_an_interrupted_build_goes_on_where_it_stopped(tmp_path, monkeypatch, storage):
    root, config = make_recording(tmp_path / "set"), settings(storage=storage)
    unbroken = build([root], tmp_path / "unbroken", config).path

    def interrupt(progress):
        assert list(tmp_path.glob(".data.partial/frames*")), "it was on its way"
        if progress.episode == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="stopped after 2 of 3 episodes; run the same command again"):
        build([root], tmp_path / "data", config, interrupt)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".data.parts", "set", "unbroken"]
    written = watched(monkeypatch)
    half = tmp_path / ".data.parts/0_1.bin"
    half.write_bytes(half.read_bytes()[:-1])
    assert same(build([root], tmp_path / "data", config).path, unbroken)
    assert written == ["0_1.npz", "0_2.npz"], "each episode once, but for the damaged one"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "set", "unbroken"]


def test_parts_of_another_job_are_not_used(tmp_path, monkeypatch):
    root = make_recording(tmp_path / "set")

    def interrupt(progress):
        raise RuntimeError

    for number, change in enumerate(("settings", "files")):
        with pytest.raises(RuntimeError):
            build([root], tmp_path / f"data{number}", settings(), interrupt)
        if change == "files":
            shutil.copyfile(video(root, 1), video(root, 0))
        with monkeypatch.context() as patch:
            written = watched(patch)
            build([root], tmp_path / f"data{number}", settings(stride=0.3 if change == "settings" else 0.2))
        assert written[0] == "0_0.npz"


def test_several_processes_write_the_same_bytes(tmp_path):
    """Also of what is skipped, noted and known of two recordings."""
    roots = [make_recording(tmp_path / n, version=v, shift=s) for n, v, s in (("one", "v2.1", 0), ("two", "v3.0", 1))]
    break_in_the_middle(video(roots[0], 1))
    told = {1: [], 2: []}
    for processes, heard in told.items():
        report = lambda progress, heard=heard: heard.append(repr(progress))  # noqa: E731
        build(roots, tmp_path / str(processes), settings(storage="jpeg"), report, processes)
    assert same(tmp_path / "1", tmp_path / "2")
    assert told[1] == told[2]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1", "2", "one", "two"]


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    root = make_recording(tmp_path / "set")

    def append(self, row):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ArrayWriter, "append_bytes", append)
    with pytest.raises(ForearmError, match=r"data cannot be written: No space left") as failure:
        build([root], tmp_path / "data", settings())
    assert "\n" not in str(failure.value)
    assert [p.name for p in tmp_path.iterdir()] == ["set"]


def test_a_target_below_a_file_is_refused(tmp_path):
    root = make_recording(tmp_path / "set")
    (tmp_path / "file").touch()
    with pytest.raises(ForearmError, match="cannot be written"):
        build([root], tmp_path / "file" / "data", settings())


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak memory as Linux tells it")
def test_memory_does_not_grow_with_the_recording(tmp_path):
    """400 frames of two cameras at 224×224 are 120 MB on disk; the process that builds stays far from holding them."""
    pictures = [picture_of(0, 0), picture_of(0, 1)] * 100
    root = make_recording(tmp_path / "set", lengths=(200, 200), cameras=(CAMERA, WRIST))
    for episode in range(2):
        for camera in (CAMERA, WRIST):
            write_pictures(video(root, episode, camera), pictures)
    code = (
        "import sys; from pathlib import Path; from forearm.transitions.build import BuildConfig, build\n"
        "peak = lambda: int(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0]) / 1024\n"
        "before = peak()\n"
        "build([sys.argv[1]], Path(sys.argv[2]), BuildConfig(preset='so101', step=0.1, val=0.5))\n"
        "print(peak() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(root), str(tmp_path / "data")], capture_output=True, text=True, check=True
    )
    assert (tmp_path / "data" / "frames.npy").stat().st_size > 119e6
    assert float(done.stdout) < 80


def test_the_recorded_action_is_taken_where_joints_answer_it(tmp_path):
    """By default; else how they changed, and the dataset says why."""
    chosen = BuildConfig(size=32, val=0.34)
    aims = with_actions(tmp_path / "aims", list(JOINTS), lambda states, e: states + 0.5)
    data = build(aims, tmp_path / "data", chosen)
    assert (data.facts["actions"], data.layout.action_is) == ("command", "target")
    assert (data.layout.history, data.layout.action_duration) == (3, 0.2)
    assert data.facts["settings"]["step"] == 0.2
    assert data.facts["choices"] == [f"a step is {choose_step([open_recording(aims)], [CAMERA], 0.1)[1]}"]
    assert facts_of(data.path)["chosen"] == data.facts["choices"][0]
    changed = build(aims, tmp_path / "change", dataclasses.replace(chosen, actions="change"))
    with pytest.raises(ForearmError, match=r"has actions that are changes of joints, but a run has target commands"):
        changed.require_fit(data.layout, "a run")

    noise = with_actions(
        tmp_path / "noise", ["a", "b"], lambda states, e: np.random.default_rng(e).normal(size=(len(states), 2))
    )
    some = with_actions(tmp_path / "some", [JOINTS[0]], lambda states, e: states[:, :1] + 0.5)
    for root, why in ((noise, "what the actions of noise mean is not clear"), (some, "most joints that move have no")):
        data = build(root, tmp_path / f"{root.name}-data", chosen)
        assert (data.facts["actions"], data.layout.action_is, data.layout.history) == ("change", None, 3)
        assert why in data.facts["choices"][0]
    silent = build(make_recording(tmp_path / "silent", action_key=None), tmp_path / "silent-data", chosen)
    assert (silent.facts["actions"], len(silent.facts["choices"])) == ("change", 1)
    logged = build(make_recording(tmp_path / "logged", log_numbers=(0, 1, 2)), tmp_path / "log-data", of_logs())
    assert (logged.facts["actions"], logged.facts["choices"], logged.layout.history) == ("log", [], 2)


def test_a_step_lasts_as_long_as_was_asked_for():
    five, ten, thirty, fifty = (SimpleNamespace(name=f"at {fps}", fps=fps) for fps in (5, 10, 30, 50))
    _require_step([five, ten, thirty], 0.2)
    _require_step([thirty, fifty], 0.08)  # 2 and 4 rows: .067 and .08 s
    for recordings in ([five], [thirty, five]):
        with pytest.raises(ForearmError) as caught:
            _require_step(recordings, 0.1)
        told = "a step of 0.1 s lasts 0.2 s in at 5, which has 5 frames a second; give a --step that its rows have"
        assert str(caught.value) == f"{told}, such as 0.2"


def test_a_step_that_rows_do_not_have_is_refused_before_anything_is_written(tmp_path):
    recording = make_recording(tmp_path / "recording")
    with pytest.raises(ForearmError, match=r"a step of 0\.01 s lasts 0\.1 s"):
        build(recording, tmp_path / "data", BuildConfig(actions="change", step=0.01))
    assert [path.name for path in tmp_path.iterdir()] == ["recording"]


@pytest.mark.parametrize("duration", [0.02, 0.14])
def test_a_logs_action_that_rows_do_not_have_is_refused(tmp_path, duration):
    recording = make_recording(tmp_path / "recording", log_numbers=(0, 1, 2))  # at ten frames a second
    for log in sorted((recording / "meta").rglob("*.jsonl")) + sorted(recording.glob("*.jsonl")):
        log.write_text(log.read_text().replace('"action_duration": 0.5', f'"action_duration": {duration}'))
    with pytest.raises(ForearmError, match=rf"log of episode 0 lasts {duration} s, which rows at 10 frames a second"):
        build(recording, tmp_path / "data", of_logs())
    assert not (tmp_path / "data").exists()
