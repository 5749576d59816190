"""Frames in shards: indexed like an array, the same wherever they are decoded, and refused in one line when damaged."""

import json
import multiprocessing
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.recordings import make_recording
from support.tiny import write_data

from forearm.base.errors import ForearmError
from forearm.report.inspection import facts_of
from forearm.transitions import TransitionSet
from forearm.transitions import frames as module
from forearm.transitions.build import build
from forearm.transitions.combine import combine
from forearm.transitions.frames import JpegFrames, ShardWriter, compressed, decompressed
from forearm.transitions.settings import BuildConfig

SHAPE = (16, 8, 3)


def smooth(number: int) -> np.ndarray:
    y, x = np.mgrid[:16, :8]
    return np.stack([16 * y, 30 * x, np.full_like(x, 9 * number % 256)], axis=-1).astype(np.uint8)


def shards(folder, count: int, shard_bytes: int = 1000) -> JpegFrames:
    writer = ShardWriter(folder, shard_bytes)
    for number in range(count):
        assert writer.append(compressed(smooth(number))) == number
    writer.close()
    writer.close()
    return JpegFrames(folder, SHAPE)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Twelve frames in several shards, and the same decoded."""
    found = shards(tmp_path_factory.mktemp("frames") / "frames", 12)
    assert len(found._shards) > 2
    decoded = np.empty((12, *SHAPE), np.uint8)
    for number, frame in enumerate(decoded):
        decompressed(found.picture(number), frame)
    assert np.abs(decoded[5].astype(int) - smooth(5)).max() < 40
    return found, decoded


@given(
    st.one_of(
        st.integers(-12, 11),
        st.slices(12),
        st.lists(st.integers(-12, 11), max_size=9).map(lambda rows: np.array(rows, np.int64)),
        st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=5).map(
            lambda rows: np.array(rows, np.int64).reshape(-1, 2)
        ),
        st.lists(st.booleans(), min_size=12, max_size=12).map(np.array),
        st.tuples(st.slices(12), st.slices(16), st.slices(8)),
        st.tuples(st.integers(0, 11), st.slices(16)),
    )
)
def test_shards_are_indexed_like_an_array(many, rows):
    found, decoded = many
    np.testing.assert_array_equal(found[rows], decoded[rows])


def test_shards_are_as_long_and_iterate_as_an_array(many):
    found, decoded = many
    assert (len(found), found.shape, found.ndim, found.dtype) == (12, decoded.shape, 4, np.uint8)
    np.testing.assert_array_equal(np.asarray(found), decoded)
    np.testing.assert_array_equal(np.stack(list(found)), decoded)
    with pytest.raises(IndexError):
        found[12]


def test_a_forked_process_decodes_with_threads_of_its_own(many, monkeypatch):
    found, decoded = many
    monkeypatch.setattr(module, "cores", lambda: 2)
    module._threads.cache_clear()
    np.testing.assert_array_equal(found[:], decoded)
    assert module._threads.cache_info().currsize == 1, "threads have decoded"
    with multiprocessing.get_context("fork").Pool(1) as pool:
        np.testing.assert_array_equal(pool.apply_async(_read, (found._folder,)).get(30), decoded)


def _read(folder):
    return JpegFrames(folder, SHAPE)[:]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The same recording with raw and with compressed frames."""
    work = tmp_path_factory.mktemp("built")
    root = make_recording(work / "set")
    usual = {"size": 32, "actions": "change", "history": 2, "step": 0.3, "stride": 0.2, "val": 0.34}
    return [build(root, work / kind, BuildConfig(**usual, storage=kind)) for kind in ("raw", "jpeg")]


def test_compression_changes_pictures_a_little_and_nothing_else(built):
    raw, jpeg = built
    assert (raw.storage, jpeg.storage) == ("raw", "jpeg")
    assert jpeg.frames.shape == raw.frames.shape
    error = np.square(np.asarray(jpeg.frames, np.float64) - raw.frames).mean()
    assert 0 < error < 30
    told = jpeg.facts["storage"]
    assert told["format"] == "jpeg"
    assert abs(told["psnr"] - 10 * np.log10(255**2 / error)) < 6, "measured on two of them"
    assert "storage" not in raw.facts
    np.testing.assert_array_equal(jpeg.states, raw.states)
    np.testing.assert_array_equal(jpeg.columns.frames, raw.columns.frames)
    assert jpeg.layout == raw.layout
    assert jpeg.episodes == raw.episodes, "digests and fingerprints are those of the pictures before compression"
    shown = facts_of(jpeg.path)["frames"]
    assert shown.startswith("JPEG, 0.0 MB, PSNR ")
    assert facts_of(raw.path)["frames"] == "raw, 0.1 MB"


@pytest.mark.parametrize(
    ("kinds", "storage", "becomes"), [("rj", "auto", "jpeg"), ("jj", "auto", "jpeg"), ("jr", "raw", "raw")]
)
def test_combining_codes_no_frame_twice(built, tmp_path, kinds, storage, becomes):
    root = make_recording(tmp_path / "other", shift=1)
    usual = {"size": 32, "actions": "change", "history": 2, "step": 0.3, "stride": 0.2, "val": 0.34}
    first = built["rj".index(kinds[0])]
    second = build(root, tmp_path / "b", BuildConfig(**usual, storage={"r": "raw", "j": "jpeg"}[kinds[1]]))
    both = combine([first, second], tmp_path / "both", storage=storage)
    assert both.storage == becomes
    parts = both.frames[: len(first.frames)], both.frames[len(first.frames) :]
    for part, data in zip(parts, (first, second), strict=True):
        if becomes == "raw" or data.storage == "jpeg":
            np.testing.assert_array_equal(part, data.frames[:])
        else:
            assert 0 < np.square(part.astype(float) - data.frames).mean() < 30
    known = ("digest", "fingerprint")
    assert [[e[k] for k in known] for e in both.episodes] == [
        [e[k] for k in known] for data in (first, second) for e in data.episodes
    ]
    assert both.facts["choices"] == [
        *dict.fromkeys([*first.facts["choices"], *second.facts["choices"]]),
        *["frames are compressed as JPEG, since some of them are already; --storage raw keeps them as they are"]
        * (storage == "auto"),
    ]
    if becomes == "jpeg":
        least = min(data.facts["storage"]["psnr"] for data in (first, second) if data.storage == "jpeg")
        assert both.facts["storage"]["psnr"] <= least


def test_much_is_compressed_unless_it_is_to_stay_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "RAW_BYTES", 50_000)
    monkeypatch.setattr("forearm.transitions.build.RAW_BYTES", 50_000)
    root = make_recording(tmp_path / "set")
    usual = {"size": 32, "actions": "change", "history": 2, "step": 0.3, "val": 0.34}
    sparse = build(root, tmp_path / "sparse", BuildConfig(**usual, stride=0.6))
    assert 50_000 < sparse.states.shape[0] * 32 * 32 * 3 * 2 < 100_000, "all its rows would be more"
    assert (sparse.storage, sparse.facts["choices"]) == ("raw", [])
    dense = build(root, tmp_path / "dense", BuildConfig(**usual, stride=0.1))
    assert dense.storage == "jpeg"
    assert len(dense.facts["choices"]) == 1
    assert "raw they would take about 0.00011 GB; --storage raw keeps them" in dense.facts["choices"][0]
    assert build(root, tmp_path / "kept", BuildConfig(**usual, stride=0.1, storage="raw")).storage == "raw"


def rewrite_offsets(path, change):
    offsets = np.load(path / "frames/offsets.npy")
    np.save(path / "frames/offsets.npy", change(offsets))


def rewrite_facts(path, **storage):
    facts = json.loads((path / "dataset.json").read_text())
    (path / "dataset.json").write_text(json.dumps({**facts, "storage": storage}))


DAMAGE = {
    "no folder": lambda path: shutil.rmtree(path / "frames"),
    "a file for the folder": lambda path: (shutil.rmtree(path / "frames"), (path / "frames").write_text("x")),
    "no shard": lambda path: (path / "frames/00000.bin").unlink(),
    "a shard of another number": lambda path: (path / "frames/00000.bin").rename(path / "frames/00007.bin"),
    "a cut shard": lambda path: (path / "frames/00000.bin").write_bytes((path / "frames/00000.bin").read_bytes()[:99]),
    "no offsets": lambda path: (path / "frames/offsets.npy").unlink(),
    "offsets that fall": lambda path: rewrite_offsets(path, lambda o: o[::-1]),
    "offsets from elsewhere": lambda path: rewrite_offsets(path, lambda o: o + 1),
    "offsets of another type": lambda path: rewrite_offsets(path, lambda o: o.astype(np.float32)),
    "fewer offsets": lambda path: rewrite_offsets(path, lambda o: o[:-1]),
    "no offset": lambda path: rewrite_offsets(path, lambda o: o[:0]),
    "another format": lambda path: rewrite_facts(path, format="gif"),
    "raw frames are said": lambda path: rewrite_facts(path, format="raw"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_shards_are_one_line(built, tmp_path, damage):
    path = tmp_path / "data"
    shutil.copytree(built[1].path, path)
    DAMAGE[damage](path)
    with pytest.raises(ForearmError, match="is damaged") as failure:
        TransitionSet(path)
    assert str(path) in str(failure.value)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    ("picture", "says"),
    [(b"no picture at all", "is damaged"), (compressed(smooth(0)), "a picture of 16×8, not 32×32")],
)
def test_a_damaged_picture_is_one_line_when_it_is_asked_for(built, tmp_path, picture, says):
    shutil.copytree(built[1].path, tmp_path / "data")
    data = TransitionSet(tmp_path / "data")
    pictures = [picture if row == 3 else data.frames.picture(row) for row in range(len(data.frames))]
    shutil.rmtree(tmp_path / "data/frames")
    writer = ShardWriter(tmp_path / "data/frames")
    for each in pictures:
        writer.append(each)
    writer.close()
    frames = TransitionSet(tmp_path / "data").frames
    frames[[0, 1, 2, 4]]
    with pytest.raises(ForearmError, match=f"frame 3 in .*{says}.*build it anew") as failure:
        frames[:]
    assert "\n" not in str(failure.value)


def test_datasets_of_raw_frames_stay_as_they_were(tmp_path):
    data = write_data(tmp_path / "data")
    assert (data.path / "frames.npy").is_file()
    assert not (data.path / "frames").exists()
    assert isinstance(data.frames, np.memmap)
