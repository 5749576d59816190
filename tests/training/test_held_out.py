"""What a run was not trained on is known by its content, wherever the dataset lies now."""

import json
import shutil

import numpy as np
import pytest
from support.tiny import write_data

from forearm.training.config import TrainConfig
from forearm.training.loop import start_run
from forearm.training.run import Run
from forearm.transitions import TransitionSet
from forearm.transitions.combine import combine

SMALL = {"width": 16, "depth": 1, "heads": 2, "decoder_width": 16, "decoder_depth": 1, "decoder_heads": 2}


@pytest.fixture
def run(tiny_data, tmp_path) -> Run:
    return start_run(tmp_path / "run", "mae", SMALL, TrainConfig(steps=1), tiny_data)


def as_of_an_older_version(run: Run) -> Run:
    """The run without its note of what it was trained on."""
    config = run.config()
    del config["data"]["trained_on"]
    run.config_file.write_text(json.dumps(config))
    return Run.open(run.path)


def without_digests(data: TransitionSet) -> TransitionSet:
    """The dataset as an older version wrote it, its digests computed from its frames."""
    older = TransitionSet(data.path)
    for episode in older.episodes:
        del episode["digest"]
    return older


@pytest.mark.parametrize("age", ["new", "old"])
def test_in_a_copy_and_in_a_combined_dataset_training_episodes_are_known(run, tiny_data, tmp_path, age):
    run = run if age == "new" else as_of_an_older_version(run)
    copy = TransitionSet(shutil.copytree(tiny_data.path, tmp_path / "copy"))
    for data in (tiny_data, copy, without_digests(copy)):
        np.testing.assert_array_equal(run.held_out(data), tiny_data.rows("val"))
    other = write_data(tmp_path / "other", seed=5)
    assert len(run.held_out(other)) == len(other)
    both = combine([other, copy], tmp_path / "both")
    np.testing.assert_array_equal(run.held_out(both), [*other.rows(), *(len(other) + tiny_data.rows("val"))])


def test_a_moved_dataset_is_known_but_not_to_a_run_that_never_noted_what_it_saw(run, tiny_data, tmp_path):
    moved = TransitionSet(tiny_data.path.rename(tmp_path / "moved"))
    np.testing.assert_array_equal(run.held_out(moved), moved.rows("val"))
    assert as_of_an_older_version(run).trained_on() is None


def test_what_the_run_before_was_trained_on_is_not_held_out(run, tiny_data, tmp_path):
    other = write_data(tmp_path / "other", seed=5)
    shutil.copy(run.path / "layout.json", other.path / "layout.json")
    after = start_run(tmp_path / "after", "mae", {}, TrainConfig(steps=1), TransitionSet(other.path), fine_tune=run)
    np.testing.assert_array_equal(after.held_out(tiny_data), tiny_data.rows("val"))
    np.testing.assert_array_equal(after.held_out(other), other.rows("val"))


def test_episodes_that_differ_in_one_pixel_or_one_position_are_others(tiny_data, tmp_path):
    digests = tiny_data.episode_digests
    for name in ("frames.npy", "states.npy"):
        changed = shutil.copytree(tiny_data.path, tmp_path / name)
        values = np.load(changed / name)
        values[tiny_data.columns.frames[-1, -1]].flat[0] += 1
        np.save(changed / name, values)
        assert (without_digests(TransitionSet(changed)).episode_digests != digests).tolist() == [False] * 7 + [True]


# Picked on one half, reported on the other


def in_halves(path, val=5, **options) -> TransitionSet:
    return write_data(path, episodes=8, length=3, val=val, **options)


def test_weights_are_picked_on_one_half_of_the_held_out_episodes_and_reported_on_the_other(tmp_path):
    data = in_halves(tmp_path / "data")
    runs = [start_run(tmp_path / name, "mae", SMALL, TrainConfig(steps=1, seed=i), data) for i, name in enumerate("ab")]
    picked, reported = runs[0].picked_on(data), runs[0].reported_on(data)
    np.testing.assert_array_equal(picked, data.rows("picking"))
    np.testing.assert_array_equal(np.sort([*picked, *reported]), data.rows("val"))
    assert len(np.unique(data.groups[picked])) == 2
    assert len(np.unique(data.groups[reported])) == 3
    np.testing.assert_array_equal(runs[1].reported_on(data), reported)
    assert not np.array_equal(data.rows("val")[len(reported) :], picked), "or the order of episodes decides"


@pytest.mark.parametrize("age", ["new", "old"])
def test_the_halves_are_the_same_in_a_copy_and_in_a_combined_dataset(tmp_path, age):
    data = in_halves(tmp_path / "data")
    run = start_run(tmp_path / "run", "mae", SMALL, TrainConfig(steps=1), data)
    if age == "old":
        config = run.config()
        for key in ("picked_on", "picked_fingerprints"):
            del config["data"][key]
        run.config_file.write_text(json.dumps(config))
    assert run.picks_apart() == (age == "new")
    reported = run.reported_on(data)
    assert 0 < len(reported) < len(data.rows("val"))
    np.testing.assert_array_equal(
        run.reported_on(TransitionSet(shutil.copytree(data.path, tmp_path / "copy"))), reported
    )
    other = in_halves(tmp_path / "other", seed=5)
    np.testing.assert_array_equal(run.reported_on(other), other.rows())
    both = combine([other, data], tmp_path / "both")
    np.testing.assert_array_equal(run.reported_on(both), [*other.rows(), *(len(other) + reported)])


def test_a_single_held_out_episode_is_for_both(tmp_path):
    data = in_halves(tmp_path / "data", val=1)
    run = start_run(tmp_path / "run", "mae", SMALL, TrainConfig(steps=1), data)
    np.testing.assert_array_equal(run.picked_on(data), data.rows("val"))
    np.testing.assert_array_equal(run.reported_on(data), data.rows("val"))


def test_what_the_run_before_was_picked_on_is_not_reported(tmp_path):
    data, other = in_halves(tmp_path / "data"), in_halves(tmp_path / "other", seed=5)
    run = start_run(tmp_path / "run", "mae", SMALL, TrainConfig(steps=1), data)
    shutil.copy(run.path / "layout.json", other.path / "layout.json")
    after = start_run(tmp_path / "after", "mae", {}, TrainConfig(steps=1), TransitionSet(other.path), fine_tune=run)
    np.testing.assert_array_equal(after.reported_on(data), run.reported_on(data))
    np.testing.assert_array_equal(after.reported_on(other), np.setdiff1d(other.rows("val"), other.rows("picking")))
