"""Joints are read from pictures alone, and a figure says no more than the pictures show."""

import dataclasses
import json
import os

import numpy as np
import pytest
import torch
from support.tiny import make_layout, untrained, write_data

from forearm.base.errors import ForearmError
from forearm.batch import Prediction
from forearm.canvas import Camera
from forearm.evaluation import Persistence, evaluate
from forearm.evaluation.metrics import Truth
from forearm.evaluation.readout import FILE, READ_METRICS, RECIPE, Sight, reader_of
from forearm.report.assessment import assess
from forearm.training.run import read_tensors, save_tensors
from forearm.transitions import TransitionSet
from forearm.transitions.loader import batches


@pytest.fixture(scope="module", autouse=True)
def short_training():
    """A quarter of the steps: the bar of these pictures is easily read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(RECIPE, "steps", 150)
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """60 episodes; the bar stands where pan is, lift is nowhere to be seen."""
    layout = make_layout(cameras=(Camera("base", 16, 16),))
    return write_data(tmp_path_factory.mktemp("readout") / "data", layout, episodes=60, val=12)


@pytest.fixture(scope="module")
def reader(data):
    return reader_of(data).tested(data, data.rows("val"))


class Painter:
    """Predicts the true picture of one transition above the strip of the same or another."""

    def __init__(self, data, pictures, strips):
        self.data, self.pictures, self.strips = data, pictures, strips

    def predict(self, batch):
        frame = self.data.last_frames(self.pictures(batch.rows.numpy()))
        h = self.data.layout.frame_height
        frame[:, :, h:] = self.data.last_frames(self.strips(batch.rows.numpy()))[:, :, h:]
        return Prediction(torch.from_numpy(frame))


def figures(predictor, data, reader):
    rows = data.rows("val")
    return evaluate(predictor, batches(data, rows, 16), data.groups, {0: 1, 1: 1, 2: 1}, reader=reader)


def same(rows):
    return rows


def test_what_can_be_seen_is_read_and_what_cannot_is_said(reader, data):
    pan, lift = reader.legibility.floor
    assert reader.readable.tolist() == [True, False], reader.legibility
    assert pan < 5 < reader.legibility.of_mean[0]
    assert lift > 5
    table = figures(Persistence(), data, reader).metrics
    assert table["readout_position_mae_per_joint"][1] is None
    assert table["readout_position_mae_mean"] == pytest.approx(table["readout_position_mae_per_joint"][0])


def test_the_truth_has_the_floor_and_copying_errs_by_the_move(reader, data):
    evaluation = figures(Painter(data, same, same), data, reader)
    floor = evaluation.readout.floor
    for name in READ_METRICS:
        assert evaluation.metrics[name] == pytest.approx(floor[name]), name
    assert floor["readout_direction_accuracy"] > 0.95
    copying = evaluation.baselines["persistence"].metrics
    assert copying["readout_position_mae"] == pytest.approx(10, abs=3), "a move is of 10 degrees"
    assert copying["readout_direction_accuracy"] == 0
    assert floor["readout_position_mae"] < copying["readout_position_mae"] / 2


def test_a_painted_arm_that_contradicts_the_strip_is_found(reader, data):
    rows = data.rows("val")
    pans = data.positions(rows)[:, -1, 0]
    order = np.argsort(pans)
    opposite = dict(zip(rows[order], rows[order[::-1]], strict=True))  # the arm at its highest for that at its lowest

    def swapped(asked):
        return np.array([opposite[row] for row in asked])

    right, contradicting = (figures(Painter(data, p, same), data, reader).metrics for p in (same, swapped))
    assert contradicting["acting_joint_position_mae"] == pytest.approx(right["acting_joint_position_mae"])
    apart = np.abs(pans[order] - pans[order[::-1]]).mean()
    assert contradicting["readout_agreement_mae"] == pytest.approx(apart, rel=0.35)
    assert contradicting["readout_agreement_mae"] > 3 * right["readout_agreement_mae"]
    lying = figures(Painter(data, same, swapped), data, reader).metrics
    assert lying["readout_position_mae"] == pytest.approx(right["readout_position_mae"]), "the strip is not looked at"
    assert lying["readout_agreement_mae"] > 3 * right["readout_agreement_mae"]


def test_equal_data_gives_an_equal_reader_kept_or_not(reader, data, monkeypatch):
    pictures = data.frames[:5].transpose(0, 3, 1, 2)
    assert (data.path / FILE).is_file()
    random = torch.random.get_rng_state()
    read = reader.read(pictures)
    (data.path / FILE).unlink()
    np.testing.assert_array_equal(reader_of(data).read(pictures), read)
    assert torch.equal(torch.random.get_rng_state(), random), "whoever evaluates keeps their random numbers"
    monkeypatch.setattr("forearm.evaluation.readout._learn", None)
    np.testing.assert_array_equal(reader_of(data).read(pictures), read)


@pytest.mark.parametrize("damage", ["garbage", "half", "other data", "other joints", "pipe"])
def test_a_kept_reader_that_does_not_fit_is_made_anew(damage, reader, data):
    path = data.path / FILE
    if not path.exists():
        reader_of(data)
    whole = path.read_bytes()
    if damage == "garbage":
        path.write_bytes(b"\0" * 100)
    elif damage == "half":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "other joints":
        tensors, metadata = read_tensors(path)
        save_tensors(path, tensors | {"centre": tensors["centre"][:1]}, metadata)
    elif damage == "pipe":
        path.unlink()
        os.mkfifo(path)
    else:
        path.write_bytes(whole.replace(b'"digest":"', b'"digest":"0')[: len(whole)])
    pictures = data.frames[:5].transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(reader_of(data).read(pictures), reader.read(pictures))
    assert path.read_bytes() == whole


def test_a_dataset_that_cannot_be_written_to_is_read_all_the_same(reader, data, monkeypatch):
    (data.path / FILE).unlink(missing_ok=True)

    def refused(path):
        raise ForearmError(f"{path} cannot be written")

    monkeypatch.setattr("forearm.evaluation.learned.writing", refused)
    pictures = data.frames[:5].transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(reader_of(data).read(pictures), reader.read(pictures))
    assert not (data.path / FILE).exists()


def test_too_few_pictures_are_a_caution_and_no_figure(tiny_data, tmp_path):
    with pytest.raises(ForearmError, match="42 training pictures, fewer than 200"):
        reader_of(tiny_data)
    run = untrained(tiny_data, tmp_path / "run")
    written = json.loads(assess(run.path, device="cpu").with_name("metrics.json").read_text())
    assert written["readout"] is None
    assert written["readout_position_mae"] is None
    assert written["readout_position_mae_per_joint"] == [None, None]
    assert any("No joints are read from the pictures" in warning for warning in written["warnings"])
    assert "readout_position_mae_mean" not in written["rollouts"]["curves"]["model"]


def test_an_evaluation_reads_joints_also_along_rollouts(data, tmp_path):
    run = untrained(data, tmp_path / "run")
    page = assess(run.path, device="cpu", rollouts=3)
    written = json.loads(page.with_name("metrics.json").read_text())
    assert written["readout"]["readable"] == [True, False]
    assert written["readout"]["pictures"] == 48 * 7
    assert set(written["readout"]["floor"]) == set(READ_METRICS)
    curve = written["rollouts"]["curves"]["persistence"]["readout_position_mae_mean"]
    assert len(curve) == 6
    assert curve[0] > written["readout"]["floor_per_joint"][0]
    text = page.read_text()
    assert "Joints as read from the picture" in text
    assert "Not readable from the pictures: lift." in text


def test_where_no_joint_can_be_read_no_sample_defines_a_figure(reader, data):
    blind = dataclasses.replace(reader.legibility, floor=reader.legibility.of_mean)
    truth = Truth.of(data.batch(data.rows("val")))
    table = Sight(dataclasses.replace(reader, legibility=blind), truth).samples(truth.last).table()
    assert table == dict.fromkeys(READ_METRICS) | {"readout_position_mae_per_joint": [None, None]}


def test_large_pictures_are_shrunk(tmp_path, monkeypatch):
    monkeypatch.setitem(RECIPE, "steps", 2)
    large = write_data(tmp_path / "large", make_layout(cameras=(Camera("top", 200, 160),)), episodes=36, val=6)
    reader = reader_of(TransitionSet(large.path))
    assert reader.size[0] * reader.size[1] == pytest.approx(128 * 64, rel=0.02)
    assert reader.read(large.frames[:2].transpose(0, 3, 1, 2)).shape == (2, 2)
