"""Datasets on disk: every frame once, mapped into memory, and refused in one line when damaged."""

import json
import pickle
import shutil
import time
import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.canvases import decode
from support.tiny import make_layout, write_data

from forearm.base.errors import ForearmError
from forearm.canvas import ActionDimension, Camera, Joint
from forearm.transitions import TransitionSet
from forearm.transitions.frames import ArrayWriter
from forearm.transitions.store import TransitionWriter


@given(st.integers(0, 20), st.sampled_from([(), (3,), (2, 3, 3)]))
def test_array_writer_is_what_numpy_loads(tmp_path_factory, rows, shape):
    path = tmp_path_factory.mktemp("arrays") / "a.npy"
    writer, expected = ArrayWriter(path, shape, np.float32), []
    random = np.random.default_rng(rows)
    for _ in range(rows):
        row = random.normal(size=shape).astype(np.float32)
        assert writer.append(row) == len(expected)
        expected.append(row)
    writer.close()
    writer.close()
    loaded = np.load(path)
    assert loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded, np.array(expected, np.float32).reshape(-1, *shape))
    assert path.stat().st_size % 64 == (4 * loaded.size) % 64, "the header keeps NumPy's alignment"


def test_frames_leave_memory_as_they_are_written(tmp_path):
    frame, episode_bytes = np.zeros((64, 64, 3), np.uint8), 4000 * 64 * 64 * 3
    tracemalloc.start()
    with TransitionWriter(tmp_path, frame.shape) as writer:
        for _ in range(4000):
            writer.append(frame.copy(), np.zeros(6))
        peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "frames.npy").stat().st_size > episode_bytes
    assert peak < episode_bytes / 20


def test_an_opened_set_is_mapped_and_draws_what_was_written(tiny_data):
    assert isinstance(tiny_data.frames, np.memmap)
    assert len(tiny_data) == 48
    assert sorted([*tiny_data.rows("train"), *tiny_data.rows("val")]) == tiny_data.rows().tolist()
    rows = np.array([40, 3])
    batch = tiny_data.batch(rows)
    shown = decode(tiny_data.layout, batch.canvas.numpy())
    np.testing.assert_allclose(shown.frames * 255, tiny_data.frames[tiny_data.columns.frames[rows]], atol=1e-3)
    np.testing.assert_allclose(
        shown.positions[1], tiny_data.states[tiny_data.columns.frames[rows[1]]], atol=1e-3
    )  # a training row, so within bounds
    np.testing.assert_allclose(shown.actions, tiny_data.columns.actions[rows] / 10, atol=1e-6)
    assert batch.rows.tolist() == rows.tolist()
    assert batch.positions.numpy().tolist() == tiny_data.positions(rows).tolist()


def test_no_frame_of_a_validation_episode_is_trained_on(tiny_data):
    used = [set(tiny_data.columns.frames[tiny_data.rows(split)].ravel()) for split in ("train", "val")]
    assert used[0]
    assert used[1]
    assert not used[0] & used[1]


def test_actions_seen_are_counted_by_side(tiny_data):
    signs = np.sign(tiny_data.columns.actions[:, -1, 0])
    for split in ("train", "val", None):
        mine = signs[tiny_data.rows(split)]
        assert tiny_data.actions_seen(split) == {0: (mine == 0).sum(), 1: (mine > 0).sum(), 2: (mine < 0).sum()}


def test_a_set_far_larger_than_memory_opens_and_draws(tmp_path):
    """Its frames file is mostly a hole: 64 GB that take no room."""
    count, camera = 70_000, Camera("base", 480, 640)
    small = write_data(tmp_path / "data", make_layout(cameras=(camera,)), episodes=3, length=1, val=1)
    with (small.path / "frames.npy").open("rb+") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|u1", "fortran_order": False, "shape": (count, *small.frames.shape[1:])}
        )
        file.truncate(file.tell() + count * camera.height * camera.width * 3)
    np.save(small.path / "states.npy", np.zeros((count, 2), np.float32))
    tracemalloc.start()
    opened = TransitionSet(small.path)
    batch = opened.batch(np.arange(2))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert opened.frames.nbytes > 60e9
    assert peak < 150e6
    assert batch.canvas.shape == (2, 3, opened.layout.height, opened.layout.width)
    assert batch.canvas.max() > 0.9, "the bar"


def test_only_last_frames_are_drawn(tiny_data):
    rows = np.array([7, 0, 31])
    last = tiny_data.layout.frame_columns(-1)
    np.testing.assert_array_equal(tiny_data.last_frames(rows), tiny_data.batch(rows).canvas[..., last].numpy())


@pytest.mark.parametrize("history", [2, 3])
def test_paths_follow_shared_frames(tmp_path, history):
    data = write_data(tmp_path / "data", make_layout(history=history))
    frames = data.columns.frames

    @given(st.sets(st.integers(0, 47)), st.integers(1, 7))
    def holds(chosen, horizon):
        rows = np.array(sorted(chosen), np.int64)
        found = data.paths(horizon, rows)
        # In this data the next row of an episode, of six, goes on where the one before ended.
        stretches = [range(row, row + horizon) for row in sorted(chosen)]
        expected = [list(r) for r in stretches if chosen.issuperset(r) and r[0] // 6 == r[-1] // 6]
        assert found.tolist() == expected
        assert found.shape == (len(expected), horizon)
        np.testing.assert_array_equal(frames[found[:, :-1], 1:], frames[found[:, 1:], :-1])
        assert (data.longest_path(rows) >= horizon) == bool(expected)

    holds()


def test_paths_go_by_whole_steps_where_transitions_overlap(tiny_data):
    """Frames 0.5 s apart and a transition every 0.1 s: those that begin between the steps make paths of their own."""
    starts = np.arange(48)
    tiny_data.columns.frames = starts[:, None] + 5 * np.arange(2)
    assert tiny_data.paths(3).tolist() == [[start, start + 5, start + 10] for start in range(38)]
    assert tiny_data.longest_path() == 10
    assert tiny_data.longest_path(np.arange(5)) == 1
    assert tiny_data.longest_path(np.arange(0)) == 0


def test_paths_of_a_hundred_thousand_are_there_at_once(tiny_data):
    tiny_data.columns.frames = np.arange(100_000)[:, None] + np.arange(2)
    tiny_data.columns.episodes = np.zeros(100_000, int)
    begun = time.process_time()
    assert tiny_data.longest_path() == 100_000
    assert len(tiny_data.paths(20)) == 99_981
    assert time.process_time() - begun < 10, "a search among all for each would take minutes"


@pytest.fixture
def moments_data(tmp_path):
    """Episodes of two transitions: 0 to 2 and 3, 4 began in one moment each, the others by themselves."""
    data = write_data(tmp_path / "data", episodes=8, length=2)
    data.columns.actions = data.columns.actions.copy()
    data.columns.actions[::2, 0, 0] = [(0, 10, -10)[code] for code in (0, 1, 2, 2, 1, 0, 1, 2)]
    data.columns.write(data.path / "transitions.parquet")
    for episode, moment in zip(data.episodes, [4, 4, 4, 7, 7, None, None, None], strict=True):
        episode["moment"] = moment
    pq.write_table(pa.Table.from_pylist(data.episodes), data.path / "episodes.parquet")
    return TransitionSet(data.path)


def test_outcomes_of_every_action_recorded(moments_data):
    data, rows = moments_data, moments_data.rows()
    assert data.has_outcomes
    outcomes = data.outcomes(rows)
    assert outcomes.last.dtype == np.float32
    expected = np.full((len(data), 3), -1)
    expected[[0, 2, 4]] = [0, 2, 4]  # by code STAY, MOVE+, MOVE−
    expected[[6, 8]] = [-1, 8, 6]
    expected[rows, data.codes] = rows
    assert outcomes.known.tolist() == (expected >= 0).tolist()
    last = data.last_frames(rows)
    for row in rows:
        for code in range(3):
            source = expected[row, code]
            np.testing.assert_array_equal(outcomes.last[row, code], last[source] if source >= 0 else 0 * last[0])
    few = data.outcomes(rows[[8, 3]])
    np.testing.assert_array_equal(few.last, outcomes.last[[8, 3]])
    np.testing.assert_array_equal(few.known, outcomes.known[[8, 3]])
    assert data.groups.tolist() == np.repeat([0, 0, 0, 3, 3, 5, 6, 7], 2).tolist()


@pytest.mark.parametrize(
    ("told", "expected", "kind"),
    [
        ([{"scene": s} for s in (7, 9, 7, 9, 7, 9, 7, 9)], [0, 1] * 4, "scenes"),
        ([{"session": s} for s in (1, 1, 1, 1, 2, 2, 3, 3)], [0, 0, 0, 0, 1, 1, 2, 2], "scenes"),
        ([{"session": 1}] * 8, [0, 0, 0, 3, 3, 5, 6, 7], "episodes"),  # one scene: its episodes
        ([{"scene": s} for s in (0, 0, 0, 3, 3, 5, 6, 7)], [0, 0, 0, 3, 3, 5, 6, 7], "episodes"),  # each its own
        ([{"scene": None}] * 8, [0, 0, 0, 3, 3, 5, 6, 7], "episodes"),
    ],
)
def test_scenes_are_independent_where_episodes_share_them(moments_data, told, expected, kind):
    for episode, more in zip(moments_data.episodes, told, strict=True):
        episode.update({"scene": None, "session": None} | more)
    groups, found = moments_data.independent_groups(moments_data.rows())
    assert (groups.tolist(), found) == (np.repeat(expected, 2).tolist(), kind)


def test_the_half_that_picks_shares_no_scene_with_the_half_that_is_reported_on(tiny_data):
    for number, episode in enumerate(tiny_data.episodes):
        episode.update(scene=number % 4, session=None)
    tiny_data.columns.validation[:] = True
    scenes = tiny_data.independent_groups(tiny_data.rows())[0]
    picking = tiny_data.rows("picking")
    others = np.setdiff1d(tiny_data.rows("val"), picking)
    assert len(picking) == len(others)
    assert not set(scenes[picking]) & set(scenes[others])


def test_outcomes_are_drawn_with_the_layout_given(moments_data):
    layout = moments_data.layout.with_bounds(np.array([-200, -200]), np.array([200, 200]), np.array([50, 50]))
    rows = np.array([2])
    other = moments_data.with_layout(layout, "a test")
    outcomes = other.outcomes(rows)
    np.testing.assert_array_equal(outcomes.last[0, 1], other.last_frames(rows)[0])


def test_datasets_without_moments_know_their_own_outcomes(tiny_data):
    table = pq.read_table(tiny_data.path / "episodes.parquet")
    assert "moment" not in table.column_names, "as datasets were before"
    assert not tiny_data.has_outcomes
    assert {episode["moment"] for episode in tiny_data.episodes} == {None}
    known = tiny_data.outcomes(tiny_data.rows()).known
    assert known.sum(axis=1).tolist() == [1] * len(tiny_data)
    assert known.argmax(axis=1).tolist() == tiny_data.codes.tolist()
    assert tiny_data.groups.tolist() == tiny_data.columns.episodes.tolist()


def test_another_process_is_sent_the_path_and_not_the_frames(tiny_data):
    sent = pickle.dumps(tiny_data)
    assert len(sent) < 1000
    assert isinstance(pickle.loads(sent).frames, np.memmap)


def cut(path, keep=0.5):
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])


def replace_column(path, name, values):
    table = pq.read_table(path / "transitions.parquet")
    changed = table.drop_columns(name)
    if values is not None:
        changed = changed.append_column(name, pa.array([values] * len(table)))
    pq.write_table(changed, path / "transitions.parquet")


def rewrite_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


DAMAGE = {
    "no folder": lambda path: shutil.rmtree(path),
    "no dataset.json": lambda path: (path / "dataset.json").unlink(),
    "a list for facts": lambda path: (path / "dataset.json").write_text("[]"),
    "cut facts": lambda path: cut(path / "dataset.json"),
    "later format": lambda path: rewrite_json(path / "dataset.json", format=99),
    "no layout": lambda path: (path / "layout.json").unlink(),
    "layout without joints": lambda path: rewrite_json(path / "layout.json", joints=[]),
    "layout of no patch": lambda path: rewrite_json(path / "layout.json", patch=0),
    "layout of other cameras": lambda path: rewrite_json(
        path / "layout.json", cameras=[{"name": "base", "height": 16, "width": 16}]
    ),
    "layout of more history": lambda path: rewrite_json(path / "layout.json", history=3),
    "cut frames": lambda path: cut(path / "frames.npy"),
    "empty frames": lambda path: cut(path / "frames.npy", 0),
    "no frames": lambda path: (path / "frames.npy").unlink(),
    "fewer states": lambda path: np.save(path / "states.npy", np.load(path / "states.npy")[:-1]),
    "states of other joints": lambda path: np.save(path / "states.npy", np.load(path / "states.npy")[:, :1]),
    "cut states": lambda path: cut(path / "states.npy"),
    "cut table": lambda path: cut(path / "transitions.parquet"),
    "empty table": lambda path: cut(path / "transitions.parquet", 0),
    "another table": lambda path: shutil.copy(path / "episodes.parquet", path / "transitions.parquet"),
    "frames beyond the end": lambda path: replace_column(path, "frames", [10**6, 10**6 + 1]),
    "no split": lambda path: replace_column(path, "split", None),
    "a split of another name": lambda path: replace_column(path, "split", "test"),
    "a split that is no text": lambda path: replace_column(path, "split", 1),
    "no episodes": lambda path: (path / "episodes.parquet").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_one_line_that_names_the_folder(tiny_data, damage):
    DAMAGE[damage](tiny_data.path)
    with pytest.raises(ForearmError) as failure:
        TransitionSet(tiny_data.path)
    assert str(tiny_data.path) in str(failure.value)
    assert "\n" not in str(failure.value)


def test_only_a_layout_that_fits_may_draw(tiny_data):
    layout = tiny_data.layout
    tiny_data.require_fit(layout, "run a")
    other_bounds = layout.with_bounds(layout.lows - 9, layout.highs + 9, layout.max_velocities)
    tiny_data.require_fit(other_bounds, "run a")
    for says, changes in {
        "cameras": {"cameras": (Camera("base", 8, 8), Camera("wrist", 4, 8))},
        "joints": {"joints": (Joint("pan"), Joint("roll"))},
        "units": {"joints": (Joint("pan", "rad", unit_origin="declared"), Joint("lift"))},
        "actions": {"actions": (ActionDimension("lift", "lift"),)},
        "discrete": {"discrete": False},
        "history": {"history": 3},
        "stacking": {"stacking": "horizontal"},
    }.items():
        with pytest.raises(ForearmError, match=rf"{says}.*run a") as failure:
            tiny_data.require_fit(make_layout(**changes), "run a")
        assert "\n" not in str(failure.value)


def test_cameras_of_known_names_stand_in_the_same_order(tiny_data):
    """Else a run would take one camera's pictures for the other's; cameras of other names may be anywhere."""
    wrist, base, side = (Camera(name, 8, 8) for name in ("wrist", "base", "side"))
    for cameras in ((wrist, base), (side, base), (wrist, side)):
        with pytest.raises(ForearmError, match=r"cameras in the order \['base', 'wrist'\], but run a has \["):
            tiny_data.require_fit(make_layout(cameras=cameras), "run a")
    tiny_data.require_fit(make_layout(cameras=(side, wrist)), "run a")
    tiny_data.require_fit(make_layout(cameras=(side, Camera("top", 8, 8))), "run a")


def test_another_layout_draws_the_strip_anew(tiny_data):
    layout = tiny_data.layout.with_bounds(np.array([-200, -200]), np.array([200, 200]), np.array([50, 50]))
    rows = tiny_data.rows()
    anew = tiny_data.with_layout(layout, "a test").batch(rows)
    assert not np.array_equal(anew.canvas, tiny_data.batch(rows).canvas)
    np.testing.assert_allclose(decode(layout, anew.canvas.numpy()).positions, tiny_data.positions(rows), atol=1e-3)


def test_continuous_actions_on_several_entries(tmp_path):
    dimensions = (ActionDimension("pan", "pan", "deg", 20.0), ActionDimension("lift", "lift", "deg", 5.0))
    data = write_data(tmp_path / "data", make_layout(actions=dimensions, discrete=False, history=3))
    assert data.action_values(data.rows()).shape == (48, 2, 2)
    assert set(np.unique(data.action_values(data.rows()))) == {-0.5, 0, 0.5}


def test_digests_that_are_missing_are_made_and_those_that_are_no_texts_refused(tmp_path):
    data = write_data(tmp_path / "data")
    table = pq.read_table(data.path / "episodes.parquet")
    at, count = table.column_names.index("digest"), len(table)

    def told(values) -> TransitionSet:
        pq.write_table(table.set_column(at, "digest", pa.array(values)), data.path / "episodes.parquet")
        return TransitionSet(data.path)

    assert told([None, *data.episode_digests[1:]]).episode_digests.tolist() == data.episode_digests.tolist()
    with pytest.raises(ForearmError, match=r"episodes\.parquet: 0: digest is 0, not a text"):
        told(range(count))


def test_rows_and_frames_by_episode_of_a_hundred_thousand_are_there_at_once(tiny_data):
    count, random = 100_000, np.random.default_rng(0)
    tiny_data.columns.frames = np.arange(count)[:, None] + np.arange(2)
    tiny_data.columns.episodes = 2 * random.permutation(np.repeat(np.arange(count // 10), 10))
    begun = time.process_time()
    rows, frames = tiny_data.columns.by_episode(), tiny_data.columns.frames_by_episode()
    assert time.process_time() - begun < 3, "a search among all rows for each episode would take a minute"
    assert list(rows) == list(frames) == list(range(0, count // 5, 2)), "only those that have any"
    for number in (0, 5000, 19_998):
        np.testing.assert_array_equal(rows[number], np.flatnonzero(tiny_data.columns.episodes == number))
        np.testing.assert_array_equal(frames[number], np.unique(tiny_data.columns.frames[rows[number]]))
