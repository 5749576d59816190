"""Objects are found again in pictures, and a figure says no more of a push than the pictures show."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.pushes import METRES, SIDE, write_pushes
from support.tiny import untrained

from forearm.base.errors import ForearmError
from forearm.batch import Prediction
from forearm.evaluation import METRICS, Persistence, evaluate, readout
from forearm.evaluation.baselines import JOINT_ONLY, MEAN_FRAME, NEAREST_NEIGHBOUR, PERSISTENCE, UNTRAINED
from forearm.evaluation.finder import Finder
from forearm.evaluation.intervals import intervals
from forearm.evaluation.learned import fit
from forearm.evaluation.metrics import Truth
from forearm.evaluation.object_reader import (
    FEWEST,
    FILE,
    NEAR,
    RECIPE,
    Drawn,
    ObjectNetwork,
    ObjectReader,
    _drawn,
    object_reader_of,
)
from forearm.evaluation.objects import BALANCED, OBJECT_METRICS, READ_OBJECTS, ObjectSight, ObjectStatistics, balanced
from forearm.evaluation.projection import fit_projections, object_masks, on_table, visible_objects
from forearm.evaluation.samples import Samples
from forearm.report.assessment import assess
from forearm.transitions.loader import batches
from forearm.transitions.store import Columns

LENGTH = 200
"""Pictures of an episode that is far longer than ``NEAR`` steps."""
MILLIMETRES = 1000 * METRES / SIDE
"""Of a pixel."""


@pytest.fixture(scope="module", autouse=True)
def short_training():
    """A tenth of the steps: two squares of their own colours are easily found. No joint has to be."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(RECIPE, "steps", 300)
        patch.setitem(readout.RECIPE, "steps", 2)
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_pushes(tmp_path_factory.mktemp("objects") / "data")


@pytest.fixture(scope="module")
def reader(data):
    return object_reader_of(data)


class Shown:
    """Predicts the true last frames of other rows."""

    def __init__(self, data, rows):
        self.data, self.rows = data, rows

    def predict(self, batch):
        return Prediction(torch.from_numpy(self.data.last_frames(self.rows(batch.rows.numpy()))))


def figures(predictor, data, reader):
    rows = data.rows("val")
    return evaluate(
        predictor,
        batches(data, rows, 16),
        data.groups,
        {0: 1, 1: 1, 2: 1},
        motions=data.motions,
        finder=reader,
        object_names=data.objects.names,
    )


def test_only_a_camera_that_stands_still_is_read(reader):
    assert reader.cameras == [0]


def test_the_truth_has_the_floor_and_copying_errs_by_the_push(reader, data):
    evaluation = figures(Shown(data, lambda rows: rows), data, reader)
    table, copying = evaluation.metrics, evaluation.baselines["persistence"].metrics
    for name in set(OBJECT_METRICS) - {"object_motion_slope"}:
        assert table[name] == pytest.approx(evaluation.objects.floor[name]), name
    pushes = np.linalg.norm(data.motions(data.rows("val")).shifts[:, 0], axis=-1)
    assert evaluation.objects.shift == pytest.approx(pushes.mean())
    assert copying["object_position_error"] == pytest.approx(pushes.mean())
    assert table["object_position_error"] < 0.35 * pushes.mean()
    assert table["object_direction_accuracy"] > 0.9
    assert table["object_motion_slope"] == pytest.approx(1), "beside what is read from the true pictures"
    assert evaluation.objects.floor["object_motion_slope"] == pytest.approx(1, abs=0.2), "beside the true motion"
    assert table["object_position_error_untouched"] < 0.4 * MILLIMETRES
    assert table["object_mse_pushed"] == table["object_mse_untouched"] == 0


def test_a_copied_picture_moves_nothing(reader, data):
    table = figures(Persistence(), data, reader).metrics
    assert table["object_motion_slope"] == pytest.approx(0, abs=1e-6)
    assert table["object_direction_accuracy"] == 0
    assert table["object_position_error_untouched"] == pytest.approx(0, abs=1e-4)
    assert table["object_moved_balanced_accuracy"] == pytest.approx(0.5), "it says of nothing that it moved"
    assert table["object_mse_pushed"] > 20 * table["object_mse_untouched"]


def test_an_object_that_goes_too_far_has_a_slope_above_one(reader, data):
    row = {rows[0]: rows[1] for rows in data.paths(2, data.rows("val"))}
    table = figures(Shown(data, lambda rows: np.array([row.get(r, r) for r in rows])), data, reader).metrics
    assert table["object_motion_slope"] > 1.4
    assert table["object_direction_accuracy"] > 0.9
    assert table["object_position_error"] > MILLIMETRES / 2


def test_the_metrics_say_what_shifts_do(reader, data):
    """Of shifts that are put in their place; the reader itself is not asked."""
    truth = Truth.of(data.batch(data.rows("val")[:4]))
    sight = ObjectSight(reader, data.motions(data.rows("val")[:4]), truth, truth.previous)
    true = sight.__dict__["_read_in_truth"] = sight.motions.shifts[..., :2]
    turned = np.stack([-true[..., 1], true[..., 0]], -1)

    def read(shifts: np.ndarray) -> dict:
        return Samples.table(sight._read(shifts))

    length = np.linalg.norm(true, axis=-1)[:, 0]
    half = read(0.5 * true)
    assert half["object_motion_slope"] == pytest.approx(0.5)
    assert half["object_position_error"] == pytest.approx(length.mean() / 2)
    assert half["object_direction_accuracy"] == 1
    assert read(true + 1.01 * turned)["object_direction_accuracy"] == 0, "more than 45° off"
    assert read(true + 0.99 * turned)["object_direction_accuracy"] == 1
    assert read(0.01 * true)["object_direction_accuracy"] == 0, "too short to have a direction"
    assert read(-true)["object_motion_slope"] == pytest.approx(-1)
    sight.__dict__["_read_in_truth"] = 0.8 * true
    assert read(0.4 * true)["object_motion_slope"] == pytest.approx(0.5), "half of what is read of the truth"
    dragged = read(true + np.array([5.0, 0]))
    assert dragged["object_position_error_untouched"] == pytest.approx(5)
    assert dragged["object_moved_balanced_accuracy"] == [1, 0], "of pushed objects, of untouched ones"


def test_limits_are_where_the_metrics_say_they_are(reader, data):
    """45°, 1 mm, 3 mm; the slope is that of all pushes together; what was lifted, or left the picture, was
    not pushed along the table."""
    rows = data.rows("val")[:4]
    truth = Truth.of(data.batch(rows))
    sight = ObjectSight(reader, data.motions(rows), truth, truth.previous)
    true = sight.__dict__["_read_in_truth"] = sight.motions.shifts[..., :2]
    far = np.linalg.norm(true, axis=-1, keepdims=True)

    def read(length):
        return Samples.table(sight._read(np.where(far > 0, length * true / np.maximum(far, 1e-9), [length, 0])))

    assert [read(length)["object_direction_accuracy"] for length in (0.99, 1.01)] == [0, 1]
    assert [read(length)["object_moved_balanced_accuracy"] for length in (2.99, 3.01)] == [[0, 1], [1, 0]]
    shares = np.arange(1.0, 5)[:, None, None]
    far = far[:, 0, 0]
    slope = (shares[:, 0, 0] * far**2).sum() / (far**2).sum()
    assert Samples.table(sight._read(shares * true))["object_motion_slope"] == pytest.approx(slope)
    only_pushed = np.where(np.arange(2)[:, None] == 0, true, [2.99, 0])
    assert Samples.table(sight._read(only_pushed))["object_moved_balanced_accuracy"] == [1, 1]
    only_pushed[:, 1] = [3.01, 0]
    assert Samples.table(sight._read(only_pushed))["object_moved_balanced_accuracy"] == [1, 0]
    lifted = data.motions(rows)
    lifted.shifts[:, 1], lifted.shifts[0, 0], lifted.boxes[1, 1] = [0, 0, 50], [2.9, 0, 0], -1
    sight = ObjectSight(reader, lifted, truth, truth.previous)
    assert sight.pushed.tolist() == [[False, False], [False, False], [True, False], [True, False]]
    hidden = data.motions(rows)
    hidden.boxes[:, 1, 1] = -1
    alone = Samples.table(ObjectSight(reader, hidden, truth, truth.previous)._read(np.zeros((4, 2, 2))))
    assert alone["object_moved_balanced_accuracy"] == [0, None], "what is out of sight is not judged to have stayed"
    assert alone["object_position_error_untouched"] is None


def test_heights_and_perspective_are_seen_through():
    """Places on the table come back from where a tilted camera shows things of all heights."""
    random = np.random.default_rng(0)
    positions = random.uniform([0, 0, 0], [0.4, 0.4, 0.1], (50, 3, 3))
    a = np.array([0.2, 1.5, 0.1, 0.3, 0.1, -0.1, 1.4, -0.4, 0.2, 0.5, -0.6])
    one = np.concatenate([np.ones((50, 3, 1)), positions], -1)
    seen = np.stack([one @ a[:4], one @ a[4:8]], -1) / (1 + positions @ a[8:])[..., None]
    projections = fit_projections(positions, seen[:, :, None])
    np.testing.assert_allclose(projections[0], a, atol=1e-6)
    there = on_table(projections[0], seen, positions[..., 2])
    np.testing.assert_allclose(there, positions[..., :2], atol=1e-6)


def test_shifts_are_the_mean_of_the_cameras_that_see_the_object(data):
    network = ObjectNetwork(2)
    network.fixed[:] = 1
    network.projection[:, 1] = network.projection[:, 6] = 1.0
    motions = data.motions(data.rows("val")[:3])
    motions.boxes[...] = 0.5
    places = np.full((3, 2, 2, 2), 0.5)
    places[0, 0, 0, 0], places[1, 0, 1] = 0.51, np.nan
    places[1, 0, 0, 1], places[2, 0] = 0.48, np.nan
    found = ObjectReader(network, data.layout, 0).shifts(places, motions)
    np.testing.assert_allclose(found[:, 0], [[5, 0], [0, -20], [np.nan, np.nan]], atol=1e-9)
    assert (found[:, 1] == 0).all()


def test_objects_are_counted(reader, data):
    for untouched in (0, 12):
        rows = data.rows("val")[:4]
        truth, motions = Truth.of(data.batch(rows)), data.motions(rows)
        motions.touched[:, 1] = True
        motions.touched.ravel()[:untouched] = False
        sight, statistics = ObjectSight(reader, motions, truth, truth.previous), ObjectStatistics(("a", "b"), reader)
        statistics.add(sight, rows, truth, truth.last)
        found = statistics.result(sight.samples(truth.last))
        touched, untouched = int(motions.touched.sum()), int(motions.untouched.sum())
        assert (found.pushed, found.untouched, found.touched) == (4, untouched, touched)


def test_the_few_that_move_count_as_much_as_the_many_that_stay():
    """Of 2 pushed objects 1 is found right, of 8 untouched ones 6."""
    right, judged = np.array([[1.0, 2], [0, 3], [0, 1]]), np.array([[1.0, 2], [1, 3], [0, 3]])
    weighed = balanced(Samples({BALANCED: right}, {BALANCED: judged}), 2, 8)
    assert weighed.table()[BALANCED] == pytest.approx((1 / 2 + 6 / 8) / 2)
    assert weighed.weights[BALANCED].sum() == pytest.approx(4 / (1 / 2 + 1 / 8)), "the effective number"
    low, high = intervals(weighed, np.arange(3))[BALANCED]
    assert 0 <= low < 0.625 < high <= 1
    of_one_kind = np.array([[0.0, 2], [0, 3], [0, 3]])
    alone = balanced(Samples({BALANCED: of_one_kind}, {BALANCED: of_one_kind}), 0, 8)
    assert alone.table()[BALANCED] is None, "nothing was pushed"


def test_masks_are_the_pixels_that_boxes_touch(data):
    boxes = np.full((1, 2, 1, 2, 4), np.nan)
    boxes[0, 0, 0, 0] = np.array([1.5, 2, 3.5, 4]) / SIDE
    boxes[0, 1, 0, 1] = np.array([30, 30, 40, 40]) / SIDE
    (mask,) = object_masks(data.layout, boxes)[0]
    expected = np.zeros((2 * SIDE, SIDE), bool)
    expected[2:4, 1:4] = expected[SIDE + 30 :, 30:] = True
    np.testing.assert_array_equal(mask, expected)
    assert not visible_objects(boxes).any(), "each camera sees it only before, or only after"


def test_equal_data_gives_an_equal_reader_kept_or_not(reader, data, monkeypatch):
    whole = (data.path / FILE).read_bytes()
    (data.path / FILE).unlink()
    random = torch.random.get_rng_state()
    object_reader_of(data)
    assert (data.path / FILE).read_bytes() == whole
    assert torch.equal(torch.random.get_rng_state(), random), "whoever evaluates keeps their random numbers"
    monkeypatch.setattr("forearm.evaluation.object_reader._learn", None)
    object_reader_of(data)


def test_without_a_reader_pixels_are_scored_and_no_figure_is_read(data):
    table = figures(Persistence(), data, None).metrics
    assert all(table[name] is None for name in READ_OBJECTS)
    assert table["object_mse_pushed"] > 0


def test_too_few_pictures_are_a_caution(tmp_path):
    few = write_pushes(tmp_path / "few", episodes=8, val=2)
    with pytest.raises(ForearmError, match="30 training pictures with objects, fewer than 200"):
        object_reader_of(few)
    run = untrained(few, tmp_path / "run")
    written = json.loads(assess(run.path, device="cpu", rollouts=0).with_name("metrics.json").read_text())
    assert any("No objects are found in the pictures" in warning for warning in written["warnings"])
    assert written["object_position_error"] is None
    assert written["object_mse_pushed"] > 0


def test_an_evaluation_has_things_in_figures_page_and_rollouts(data, reader, tmp_path):
    run = untrained(data, tmp_path / "run")
    page = assess(run.path, device="cpu", rollouts=6)
    written = json.loads(page.with_name("metrics.json").read_text())
    assert written["objects"]["names"] == ["pushed", "still"]
    assert written["objects"]["pushed"] == written["objects"]["untouched"] == written["samples"]
    assert set(written["objects"]["floor"]) == set(OBJECT_METRICS)
    assert set(OBJECT_METRICS) <= set(METRICS)
    for name in OBJECT_METRICS:
        assert written[name] is not None, name
        assert written["baselines"]["untrained"]["metrics"][name] is not None, name
    assert "object_position_error" in written["skill"]
    assert not {"object_position_error_untouched", "motor_consistency_error"} & set(written["skill"])
    assert set(written["baselines"]["untrained"]["skill"]) == set(written["skill_intervals"]) == set(written["skill"])
    low, high = written["intervals"]["object_position_error"]
    assert low < written["object_position_error"] < high
    curves, floor = written["rollouts"]["curves"], written["rollouts"]["floor"]
    copied = curves["persistence"]["object_position_error"]
    assert copied == sorted(copied), "an object that is pushed on is left behind"
    assert copied[-1] > 2 * copied[0]
    assert all(mine < copied[k] for k, mine in enumerate(floor["object_position_error"]))
    assert len(curves["model"]["sharpness"]) == len(copied)
    text = page.read_text()
    assert 'id="things"' in text
    assert "pushed objects end" in text


def test_what_copies_pictures_is_no_rival_on_objects_that_stay():
    unmoved = METRICS["object_position_error_untouched"]
    everybody = (PERSISTENCE, MEAN_FRAME, NEAREST_NEIGHBOUR, JOINT_ONLY, UNTRAINED)
    assert [name for name in everybody if not unmoved.fair(name)] == [PERSISTENCE, JOINT_ONLY]
    assert METRICS["object_position_error"].fair(PERSISTENCE)


def test_data_without_objects_has_none_in_page_and_figures(tiny_data, tmp_path):
    page = assess(untrained(tiny_data, tmp_path / "run").path, device="cpu")
    written = json.loads(page.with_name("metrics.json").read_text())
    assert written["objects"] is None
    assert all(written[name] is None for name in OBJECT_METRICS)
    assert 'id="things"' not in page.read_text()


@pytest.mark.parametrize("lengths", [(10, 400), (400, 10)])
def test_a_very_long_episode_is_learned_from_however_short_the_one_before_it(lengths, monkeypatch):
    monkeypatch.setitem(RECIPE, "pictures", 300)
    before = np.concatenate([start + np.arange(length) for start, length in zip((0, 1000), lengths, strict=True)])
    none = np.zeros(len(before), np.int64)
    columns = Columns(np.stack([before, before + 1], 1), none[:, None], none, (before >= 1000) + none, none > 0)
    drawn = _drawn(SimpleNamespace(columns=columns, episodes=["", ""]), np.arange(len(before)))
    assert len(drawn) >= FEWEST


def test_half_of_the_pairs_are_near_and_half_anywhere_in_the_episode():
    lasts = np.repeat([LENGTH - 1, 2 * LENGTH - 1], LENGTH)
    first, later = Drawn(np.arange(2 * LENGTH), lasts, 2).pairs(4000, torch.Generator().manual_seed(0))
    assert (later >= first).all()
    assert (later <= lasts[first]).all()
    early = first % LENGTH < LENGTH // 2
    far = (later - first)[early] > 2 * NEAR
    assert 0.35 < far.mean() < 0.5
    assert (later - first)[early].max() > LENGTH // 2


def test_hidden_matrices_are_fitted_by_muon():
    torch.manual_seed(0)
    finder = Finder()
    hidden = finder.hidden_matrices()
    assert not any(finder.head[-1].weight is p or finder.fine[-1].weight is p for p in hidden)
    before = {name: p.detach().clone() for name, p in finder.named_parameters()}
    recipe = {"steps": 2, "rate": 1e-9, "matrix_rate": 0.1, "decay": 0.0}
    fit(finder, lambda random: sum(p.square().sum() for p in finder.parameters()), recipe, hidden)
    for name, parameter in finder.named_parameters():
        moved = (parameter - before[name]).abs().max() > 1e-4
        assert moved == any(parameter is of for of in hidden), name
