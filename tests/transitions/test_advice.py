"""What a dataset is warned of, and what not."""

import dataclasses

import numpy as np
import pytest
from support.tiny import write_late_data

from forearm.recordings.lag import Lag
from forearm.transitions.advice import warnings_of


@pytest.fixture
def moving(tmp_path):
    """A dataset of a bar that follows a joint; the other joint stands still, and so its line is left out."""
    data = write_late_data(tmp_path / "data", 0.0)
    data.states = data.states.copy()
    data.states[:, 1] = data.states[:, 0]
    data.frames = np.array(data.frames)
    return data


def test_a_short_step_and_moving_joints_are_fine(moving):
    moving.columns = dataclasses.replace(moving.columns, frames=moving.columns.frames[:, :1] + [0, 1])
    assert warnings_of(moving) == []


def test_a_step_that_is_too_long_is_named_with_a_better_one(moving):
    random = np.random.default_rng(0)
    moving.frames[:] = 0
    for start in range(0, len(moving.frames), 4):  # the picture is another every 0.4 s
        moving.frames[start : start + 4] = random.integers(0, 255, moving.frames.shape[1:])
    (line,) = [line for line in warnings_of(moving) if "step" in line]
    assert "copying the frame before is worse than the mean frame" in line
    assert line.endswith("--step 0.1 would be better")
    moving.facts["actions"] = "log"  # build refuses --step then
    assert not any("--step" in line for line in warnings_of(moving))
    assert any(line.endswith("record smaller ones") for line in warnings_of(moving))


@pytest.mark.parametrize(("grey", "says"), [(0, "is black"), (90, "is of one colour"), (None, "never changes")])
def test_cameras_that_show_nothing_are_named(moving, grey, says):
    rows, columns = moving.layout.camera_boxes()[1]
    moving.frames[:, rows, columns] = moving.frames[0, rows, columns] if grey is None else grey
    assert any(line.startswith(f"camera wrist {says}") for line in warnings_of(moving))
    assert not any(line.startswith("camera base") for line in warnings_of(moving))


@pytest.mark.parametrize(
    ("lag", "says"),
    [
        (Lag(0.003, 0.001, 0.006), None),  # sure, but nothing to correct
        (Lag(0.06, 0.04, 0.08), "pictures seem to show the joints of 0.06 s before (0.04 to 0.08)"),
        (Lag(0.06, -0.01, 0.08), None),
    ],
)
def test_a_lag_is_named_where_it_is_sure_and_worth_correcting(moving, monkeypatch, lag, says):
    monkeypatch.setattr("forearm.transitions.advice.estimate_lag", lambda data: lag)
    assert [line.split(";")[0] for line in warnings_of(moving) if "pictures seem" in line] == ([says] if says else [])


def test_joints_that_never_move_are_named(moving):
    moving.states[:, 1] = 3
    assert any(line.startswith("1 of 2 joints never move") and line.endswith(": lift") for line in warnings_of(moving))


def test_a_lag_that_cannot_be_told_is_said(moving):
    moving.frames[:] = np.random.default_rng(0).integers(0, 255, moving.frames.shape)
    assert any(line.startswith("how late the pictures are cannot be told") for line in warnings_of(moving))
