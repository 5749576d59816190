"""What an evaluation leaves on disk for comparisons is what was measured, and tells its samples from others."""

import copy
import shutil
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from support.tiny import make_layout, write_data

from forearm.base.errors import ForearmError
from forearm.base.files import write_json
from forearm.canvas import CODES
from forearm.evaluation import MODEL, PERSISTENCE, Persistence, evaluate
from forearm.evaluation.intervals import intervals
from forearm.evaluation.saved import EXAMPLES_FILE, SAMPLES_FILE, Examples, Saved, digest_of, save
from forearm.transitions.loader import batches
from forearm.transitions.store import TransitionSet


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("saved") / "data", episodes=4, length=3)


@pytest.fixture(scope="module")
def evaluation(data):
    rows = data.rows("val")
    seen = data.actions_seen()
    return evaluate(Persistence(), batches(data, rows, 4), data.columns.episodes, seen, samples=3)


@pytest.fixture
def folder(evaluation, tmp_path):
    save(evaluation, tmp_path)
    write_json(tmp_path / "metrics.json", evaluation.to_json())
    return tmp_path


def test_samples_come_back_as_they_were(evaluation, folder):
    saved = Saved.open(folder, evaluation.layout)
    assert list(saved.samples) == [MODEL, PERSISTENCE]
    assert np.array_equal(saved.rows, evaluation.rows)
    assert np.array_equal(saved.groups, evaluation.group_of_rows)
    for was, came in ((evaluation.samples, saved.samples[MODEL]), (evaluation.baseline_samples[PERSISTENCE],) * 2):
        assert came.sums.keys() == was.sums.keys()
        for name in was.sums:
            assert np.array_equal(came.sums[name], was.sums[name])
            assert np.array_equal(came.weights[name], was.weights[name])
    assert saved.samples[MODEL].table() == evaluation.metrics
    assert intervals(saved.samples[MODEL], saved.groups) == evaluation.intervals
    assert saved.samples[PERSISTENCE].sums["motor_position_mae_per_joint"].shape == (6, 2)


def test_examples_come_back_as_they_were(evaluation, folder):
    layout = evaluation.layout
    examples = Saved.open(folder, layout).examples
    last = layout.frame_columns(-1)
    assert len(examples.row) == 3
    for k, example in enumerate(evaluation.drawn):
        assert (examples.row[k], examples.code[k], examples.acting[k]) == (example.row, example.code, example.acting)
        assert np.array_equal(examples.truth[k], example.truth)
        for code in CODES:
            assert np.array_equal(examples.under[k][code], example.under[code][..., last])
            assert np.array_equal(examples.positions_under[k][code], example.positions_under[code])
        assert examples.known[k].tolist() == [code == example.code for code in CODES]
        assert np.array_equal(examples.outcomes[k][example.code], example.truth[..., last])
        assert np.array_equal(examples.positions_after[k][example.code], example.positions)
        assert np.isnan(examples.positions_after[k][~examples.known[k]]).all()


def test_outcomes_of_other_actions_are_kept_where_they_are_known(evaluation):
    example = evaluation.drawn[0]
    other = next(code for code in CODES if code != example.code)
    region = np.full_like(example.truth[..., evaluation.layout.frame_columns(-1)], 7)
    known = replace(example, outcomes={other: region}, positions_after={other: np.array([1.0, 2.0])})
    examples = Examples.of([known], evaluation)
    assert sorted(np.flatnonzero(examples.known[0])) == sorted((other, example.code))
    assert np.array_equal(examples.outcomes[0][other], region)
    assert examples.positions_after[0][other].tolist() == [1, 2]


@pytest.mark.parametrize("name", [SAMPLES_FILE, EXAMPLES_FILE])
def test_damaged_files_are_refused(evaluation, folder, name):
    whole = (folder / name).read_bytes()
    for content in (whole[: len(whole) // 2], b"garbage" * 20):
        (folder / name).write_bytes(content)
        with pytest.raises(ForearmError, match=r"is damaged.*evaluate the run again"):
            Saved.open(folder, evaluation.layout)


def _without_digests(data, folder):
    """The episodes of a dataset as an older version wrote them."""
    pq.write_table(pq.read_table(data.path / "episodes.parquet").drop(["digest"]), folder / "episodes.parquet")
    return folder / "episodes.parquet"


def test_a_digest_tells_samples_apart_wherever_they_lie(data, tmp_path):
    rows = data.rows("val")
    digest = digest_of(data, rows)
    copy = TransitionSet(shutil.copytree(data.path, tmp_path / "copy"))
    assert digest_of(copy, rows) == digest
    repainted = shutil.copytree(data.path, tmp_path / "repainted")
    np.save(repainted / "frames.npy", 255 - data.frames)
    shutil.copy(_without_digests(data, tmp_path), repainted / "episodes.parquet")
    others = (
        digest_of(TransitionSet(repainted), rows),
        digest_of(data, rows[:-1]),
        digest_of(data, data.rows("train")),
        digest_of(write_data(tmp_path / "seed", episodes=4, length=3, seed=1), rows),
        digest_of(write_data(tmp_path / "patch", make_layout(patch=2), episodes=4, length=3), rows),
    )
    assert [other == digest for other in others] == [False, False, False, False, True]  # a patch changes no picture


def test_an_evaluation_of_before_there_were_figures_of_moves_gets_them(evaluation, folder):
    new = Saved.open(folder, evaluation.layout)
    table = pq.read_table(folder / SAMPLES_FILE)
    pq.write_table(table.select([name for name in table.column_names if "_moves" not in name]), folder / SAMPLES_FILE)
    figures = copy.deepcopy(evaluation.to_json())
    persistence = figures["baselines"][PERSISTENCE]
    for level in (figures, persistence["metrics"], figures["intervals"], persistence["intervals"]):
        for name in [name for name in level if name.endswith("_moves")]:
            del level[name]
    del figures["given"]
    write_json(folder / "metrics.json", figures)
    old = Saved.open(folder, evaluation.layout)
    assert old.figures["given"] == new.figures["given"] != []
    for predictor, samples in new.samples.items():
        assert old.samples[predictor].table() == samples.table()
    mine, persistence = old.figures, old.figures["baselines"][PERSISTENCE]
    for name in ("val_mse_moves", "psnr_moves", "controllability_psnr_moves"):
        assert mine[name] == persistence["metrics"][name] == new.figures[name]
        assert mine["intervals"][name] == persistence["intervals"][name] == evaluation.intervals[name]
