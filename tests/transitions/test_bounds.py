"""Bounds that are given: strips mean the same however much data there is, and what cannot be is told in one line."""

import json

import numpy as np
import pytest
from support.commands import error_of, forearm
from support.recordings import make_recording
from support.tiny import make_layout, write_data

from forearm.base.errors import ForearmError
from forearm.canvas import draw
from forearm.transitions import TransitionSet
from forearm.transitions.bounds import bounded, read_bounds
from forearm.transitions.combine import combine


def bounds_file(path, **bounds):
    path.write_text(json.dumps(bounds))
    return path


def test_combined_strips_keep_their_meaning_as_data_grow(tmp_path):
    first, more = write_data(tmp_path / "first"), write_data(tmp_path / "more", seed=1)
    np.save(more.path / "states.npy", more.states * 1.5)
    pinned = combine([first, TransitionSet(more.path)], tmp_path / "pinned", read_bounds(first.path))
    assert pinned.layout == first.layout
    np.testing.assert_array_equal(pinned.batch(np.arange(4)).canvas, first.batch(np.arange(4)).canvas)
    learned = combine([first, TransitionSet(more.path)], tmp_path / "learned")
    assert learned.layout.joints[0].high > first.layout.joints[0].high
    assert "pan leaves the bounds given" in " ".join(pinned.facts["warnings"])
    assert not learned.facts["warnings"]


def test_build_and_combine_take_bounds_from_a_file_a_dataset_or_a_run(tmp_path):
    make_recording(tmp_path / "recording")
    given = bounds_file(tmp_path / "bounds.json", shoulder_pan=[-200, 200, 9], **{"gripper.pos": [-100, 100]})
    build = ("build", tmp_path / "recording", "--size", 32, "--actions", "change", "--step", 0.3)
    assert forearm(*build, "--bounds", given, "--out", tmp_path / "data").code == 0
    pan, elbow, gripper = TransitionSet(tmp_path / "data").layout.joints
    assert (pan.low, pan.high, pan.max_velocity) == (-200, 200, 9)
    assert (gripper.low, gripper.high) == (-100, 100)
    assert -200 < elbow.low < elbow.high < 200
    assert forearm(*build, "--bounds", tmp_path / "data", "--out", tmp_path / "again").code == 0
    assert TransitionSet(tmp_path / "again").layout == TransitionSet(tmp_path / "data").layout
    assert TransitionSet(tmp_path / "data").facts["settings"]["bounds"] == str(given)


def test_other_joints_learn_their_bounds():
    positions = np.random.default_rng(0).uniform(-30, 30, (5, 2, 2)).astype(np.float32)
    layout, warnings = bounded(make_layout(), positions, {"lift": (-1.0, 1.0)})
    pan, lift = layout.joints
    assert pan.low < positions[..., 0].min()
    assert positions[..., 0].max() < pan.high
    assert (lift.low, lift.high) == (-1, 1)
    assert len(warnings) == 1
    assert "lift" in warnings[0]
    outside = np.array([[[[0.0, 50.0], [0.0, -50.0]]]], np.float32)[0]
    cells = draw(layout, np.zeros((1, 2, 16, 8, 3), np.uint8), outside, np.zeros((1, 1, 1)))
    assert cells[0, 0, 18, 6] == 1, "a joint beyond its bounds is drawn at the bound"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"pan": [1, 0]}', "pan has [1, 0]; give [low, high]"),
        ('{"pan": [0, 1, 0]}', "give [low, high]"),
        ('{"pan": 3}', "bounds look like"),
        ("[]", "bounds look like"),
        ("{", "cannot be read as JSON"),
    ],
)
def test_what_are_no_bounds_is_told_in_one_line(tmp_path, content, told):
    path = tmp_path / "bounds.json"
    path.write_text(content)
    with pytest.raises(ForearmError) as refusal:
        read_bounds(path)
    assert told in str(refusal.value)
    assert str(path) in str(refusal.value)


def test_bounds_of_a_joint_that_there_is_not_are_refused(tiny_data, tmp_path):
    given = bounds_file(tmp_path / "bounds.json", elbow=[0, 1])
    said = error_of(forearm("combine", tiny_data.path, tiny_data.path, "--bounds", given, "--out", tmp_path / "out"))
    assert "'elbow'" in said
    assert "pan, lift" in said
    assert not (tmp_path / "out").exists()
