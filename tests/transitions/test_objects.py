"""The truth about objects travels from a recording to the evaluation, and no model sees it."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.recordings import add_objects, make_recording
from support.tiny import write_data

from forearm.base.errors import ForearmError
from forearm.canvas import Camera, box_in_camera, cut_or_padded, scaled_size
from forearm.recordings import open_recording
from forearm.recordings.objects import ObjectNames
from forearm.transitions import TransitionSet
from forearm.transitions.build import build
from forearm.transitions.combine import combine
from forearm.transitions.settings import BuildConfig

LENGTHS = (12, 9, 15)
KNOWN = ObjectNames(("red_box", "ball"), ("base",))
CONFIG = BuildConfig(size=16, history=2, step=0.2, stride=0.1, val=0.34)


def truth_of(rows: int) -> np.ndarray:
    """(rows, 24): the box is touched in row 5 and moves on by 4 mm a row; the ball lies still behind the camera."""
    moving = np.maximum(np.arange(rows) - 4, 0) * 0.004
    values = np.zeros((rows, 2, 12), np.float32)
    values[:, 0, 0], values[:, 0, 7] = 0.2 + moving, np.arange(rows) == 5
    values[:, 0, 8:] = np.stack([0.1 + moving, 0 * moving + 0.25, 0.3 + moving, 0 * moving + 0.5], axis=1)
    values[:, 1, :3] = 0.3, 0.1, 0.02
    return values.reshape(rows, -1)


def recorded(root, known=KNOWN, shift=0.0):
    make_recording(root, lengths=LENGTHS, version="v3.0", shift=shift)
    return add_objects(root, known.names(), np.concatenate([truth_of(n) for n in LENGTHS]))


@pytest.fixture
def recording(tmp_path):
    return recorded(tmp_path / "pushes")


def test_a_recording_says_where_objects_are(recording):
    opened = open_recording(recording)
    assert opened.objects == KNOWN
    first = next(iter(opened.read())).objects
    np.testing.assert_allclose(first.positions[:, 0, 0], 0.2 + np.maximum(np.arange(12) - 4, 0) * 0.004, atol=1e-6)
    assert np.flatnonzero(first.touched[:, 0]).tolist() == [5]
    assert first.boxes.shape == (12, 2, 1, 4)
    assert np.isnan(first.boxes[:, 1]).all(), "behind the camera"


@pytest.mark.parametrize("names", [("x", "y"), ("motors",), KNOWN.names()[:-1], KNOWN.names()[::-1]])
def test_another_environment_state_is_no_object(names, tmp_path):
    root = make_recording(tmp_path / "pusht", version="v3.0")
    opened = open_recording(add_objects(root, names, np.zeros((sum(LENGTHS), len(names)))))
    assert opened.objects == ObjectNames()
    assert next(iter(opened.read())).objects is None


def test_transitions_know_what_was_pushed_and_what_was_touched(recording, tmp_path):
    data = build(recording, tmp_path / "data", CONFIG)
    assert data.objects.names == KNOWN.objects
    rows = np.flatnonzero(data.columns.episodes == 0)  # from row i to row i + 2
    motions = data.motions(rows)
    starts = np.arange(10)
    moved = 4.0 * (np.maximum(starts - 2, 0) - np.maximum(starts - 4, 0))
    np.testing.assert_allclose(motions.shifts[:, 0, 0], moved, atol=1e-3)
    assert motions.pushed.tolist() == [[far >= 3, False] for far in moved]
    assert motions.touched[:, 0].tolist() == [3 <= start <= 4 for start in starts], "in a row after the first"
    assert motions.untouched[:, 1].all()
    assert not motions.untouched[3:, 0].any()
    np.testing.assert_allclose(motions.boxes[6, 1, 0, 0], [0.1 + 0.016, 0.25, 0.3 + 0.016, 0.5], atol=1e-6)
    far = data.motions(rows[:1], rows[-1:])
    np.testing.assert_allclose(far.shifts[0, 0], [28, 0, 0], atol=1e-3)
    assert far.touched.tolist() == [[True, False]]


def test_no_batch_holds_it(recording, tmp_path):
    data = build(recording, tmp_path / "data", CONFIG)
    plain = build(make_recording(tmp_path / "plain", lengths=LENGTHS, version="v3.0"), tmp_path / "other", CONFIG)
    assert plain.objects is None
    assert plain.motions(plain.rows()) is None
    batch, other = data.batch(data.rows()), plain.batch(plain.rows())
    for field in dataclasses.fields(batch):
        mine, theirs = getattr(batch, field.name), getattr(other, field.name)
        assert torch.equal(mine, theirs) if isinstance(mine, torch.Tensor) else mine == theirs, field.name
    assert data.episode_digests.tolist() == plain.episode_digests.tolist()


def test_pictures_that_are_late_show_objects_of_earlier(recording, tmp_path):
    late = build(recording, tmp_path / "late", dataclasses.replace(CONFIG, camera_lag=0.05))
    shifts = late.motions(np.flatnonzero(late.columns.episodes == 0)).shifts[:, 0, 0]
    np.testing.assert_allclose(shifts[:5], [0, 0, 0, 2, 6], atol=1e-3)


def test_datasets_with_and_without_objects_combine(recording, tmp_path):
    data = build(recording, tmp_path / "data", CONFIG)
    others = ObjectNames(("mug", "ball"), ("base",))
    second = build(recorded(tmp_path / "more", others, shift=7.0), tmp_path / "second", CONFIG)
    bare = make_recording(tmp_path / "bare", lengths=LENGTHS, version="v3.0", shift=9.0)
    third = build(bare, tmp_path / "third", CONFIG)
    whole = combine([third, data, second], tmp_path / "whole")
    assert whole.objects.names == ("red_box", "ball", "mug")
    n, shifts = len(data), whole.motions(whole.rows()).shifts
    assert np.isnan(shifts[:n]).all(), "nothing is known of the first set's objects"
    np.testing.assert_array_equal(shifts[n : 2 * n, :2], data.motions(data.rows()).shifts)
    assert np.isnan(shifts[n : 2 * n, 2]).all()
    np.testing.assert_array_equal(shifts[2 * n :, [2, 1]], second.motions(second.rows()).shifts)
    assert not whole.motions(whole.rows()).pushed[:n].any()


@pytest.mark.parametrize("damage", ["missing", "shape", "garbage"])
def test_objects_that_do_not_fit_are_damage(damage, recording, tmp_path):
    path = build(recording, tmp_path / "data", CONFIG).path
    if damage == "missing":
        (path / "objects.npy").unlink()
    elif damage == "shape":
        np.save(path / "objects.npy", np.zeros((3, 2, 8), np.float32))
    else:
        (path / "objects.npy").write_bytes(b"nothing")
    with pytest.raises(ForearmError, match=r"damaged.*objects\.npy"):
        TransitionSet(path)


def test_a_dataset_of_before_opens_without_objects(tmp_path):
    data = write_data(tmp_path / "data")
    assert "objects" not in json.loads((data.path / "dataset.json").read_text())
    assert data.objects is None


@given(
    st.tuples(st.integers(24, 60), st.integers(24, 60)),
    st.tuples(st.integers(9, 30), st.integers(9, 30)),
    st.sampled_from(["squeeze", "crop", "letterbox"]),
)
def test_a_box_stays_around_what_it_was_around(recorded_size, size, fit):
    camera = Camera("base", *size, fit=fit)
    height, width = scaled_size(recorded_size, camera)
    picture = np.zeros((height, width, 3), np.uint8)
    rows, columns = slice(height // 3, height // 3 + 2), slice(width // 4, width // 4 + 2)
    picture[rows, columns] = 255
    box = np.array([columns.start / width, rows.start / height, columns.stop / width, rows.stop / height])
    left, top, right, bottom = box_in_camera(box, recorded_size, camera) * np.array(size[::-1] * 2)
    for y, x in np.argwhere(cut_or_padded(picture, camera)[..., 0]):
        assert left - 1e-6 <= x <= right - 1 + 1e-6
        assert top - 1e-6 <= y <= bottom - 1 + 1e-6
