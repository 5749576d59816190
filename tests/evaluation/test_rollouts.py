"""Predictions are fed back along paths that were recorded, and every step is scored against what was recorded."""

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tiny import untrained, write_data

from forearm.base.errors import ForearmError
from forearm.batch import Prediction
from forearm.canvas import as_uint8
from forearm.evaluation import (
    FED_BACK,
    MODEL,
    PERSISTENCE,
    UNTRAINED,
    Persistence,
    draw_paths,
    fed_back_for,
    fitted_baselines,
    key_metrics,
    roll_out,
)
from forearm.evaluation.intervals import Difference
from forearm.evaluation.metrics import score
from forearm.evaluation.rollouts import CURVES, FILMS, FedBack
from forearm.evaluation.saved import Saved
from forearm.report.assessment import assess
from forearm.transitions import TransitionSet


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Four episodes of six transitions, all of which validate."""
    return write_data(tmp_path_factory.mktemp("rollouts") / "data", episodes=4, val=4)


class Oracle:
    """Knows the recording: what followed this picture under this action. ``shade`` is added to what it says."""

    def __init__(self, data, shade=0.0):
        self.data, self.shade = data, shade
        batch = data.batch(data.rows())
        self.known = self._keys(batch)

    def predict(self, batch):
        rows = [self.known.index(key) for key in self._keys(batch)]
        return Prediction(torch.from_numpy(self.data.last_frames(np.array(rows)) + np.float32(self.shade)))

    def _keys(self, batch):
        layout = self.data.layout
        frames = batch.canvas[:, :, : layout.frame_height, layout.frame_columns(-2)].numpy()
        actions = batch.actions.numpy()
        return [(as_uint8(frame).tobytes(), action.tobytes()) for frame, action in zip(frames, actions, strict=True)]


class Brighter:
    """Persistence that gets lighter at every step."""

    def predict(self, batch):
        return Prediction(Persistence().predict(batch).frame + 0.03)


def follow(predictor, data, horizon=4, count=5, **options):
    paths = draw_paths(data, data.rows(), horizon, count)
    return paths, roll_out(predictor, data, paths, {PERSISTENCE: Persistence()}, **options)


def test_who_knows_what_follows_is_right_at_every_horizon(data):
    paths, rollouts = follow(Oracle(data), data)
    ours = rollouts.curves[MODEL]
    assert rollouts.horizons.tolist() == [1, 2, 3, 4]
    assert (rollouts.paths, rollouts.groups) == (5, 4)
    assert ours["val_mse"] == pytest.approx([0] * 4, abs=1e-12)
    assert ours["psnr"] == [100] * 4
    assert ours["ssim"] == pytest.approx([1] * 4)
    assert ours["acting_joint_position_mae"] == pytest.approx([0] * 4, abs=1e-3)
    assert rollouts.differences[PERSISTENCE]["val_mse"][-1].value < 0
    assert rollouts.verdicts("val_mse") == [None] * 4  # 4 episodes are too few to tell
    before, after = data.frames[data.columns.frames[paths[:, 0], -2]], data.frames[data.columns.frames[paths, -1]]
    changed = (after != before[:, None]).any(axis=(2, 3, 4)).sum(axis=0)  # where nothing has, copying is as good
    assert rollouts.ahead[PERSISTENCE]["val_mse"] == changed.tolist()
    for film, path in zip(rollouts.films, paths, strict=False):
        assert film.rows.tolist() == path.tolist()
        assert np.array_equal(film.predicted, film.truth)


def test_persistence_holds_the_first_frame_still(data):
    paths, rollouts = follow(Persistence(), data)
    layout, first = data.layout, data.batch(paths[:, 0])
    still = first.canvas[..., layout.frame_columns(-2)].numpy()
    for k, rows in enumerate(paths.T):
        table = score(data.batch(rows).canvas, still, layout, data.codes[rows])
        for name in CURVES:
            assert rollouts.curves[PERSISTENCE][name][k] == pytest.approx(table[name], rel=1e-4), name
    assert rollouts.curves[MODEL] == rollouts.curves[PERSISTENCE]
    assert rollouts.ahead[PERSISTENCE]["val_mse"] == [0] * 4
    assert [found.value for found in rollouts.differences[PERSISTENCE]["psnr"]] == [0] * 4


def test_a_prediction_is_what_the_next_one_sees(data):
    paths, rollouts = follow(Brighter(), data)
    h = data.layout.frame_height
    for film in rollouts.films:
        for k, frame in enumerate(film.predicted):
            expected = (film.start[:, :h] + 255 * 0.03 * (k + 1)).clip(0, 255)
            assert frame[:, :h].astype(float) == pytest.approx(expected, abs=1)  # within the rounding to bytes
    assert len(rollouts.films) == min(FILMS, len(paths))


def test_figures_do_not_depend_on_how_many_paths_are_followed_at_once(data, monkeypatch):
    _, in_one = follow(Brighter(), data)
    monkeypatch.setattr("forearm.evaluation.rollouts.AT_ONCE", 2)
    steps = []
    _, in_pairs = follow(Brighter(), data, watch=steps.append)
    assert steps == [*range(2, 17, 2), 17, 18, 19, 20], "two paths at once, then the fifth alone"
    for name in CURVES:
        assert in_pairs.curves[MODEL][name] == pytest.approx(in_one.curves[MODEL][name])
        for low_high, other in zip(in_pairs.intervals[name], in_one.intervals[name], strict=True):
            assert low_high == pytest.approx(other)
    assert [film.rows.tolist() for film in in_pairs.films] == [film.rows.tolist() for film in in_one.films]


@given(horizon=st.integers(0, 9), count=st.integers(0, 20))
@settings(max_examples=30, deadline=None)
def test_paths_are_drawn_equally_from_the_episodes(data, horizon, count):
    paths = draw_paths(data, data.rows(), horizon, count)
    assert np.array_equal(paths, draw_paths(data, data.rows(), horizon, count))
    longest = min(horizon, 6)
    if longest < 2 or not count:
        assert not len(paths)
        return
    assert paths.shape == (min(count, 4 * (6 - longest + 1)), longest)
    assert (np.diff(paths, axis=1) == 1).all()
    of_episodes = np.bincount(data.groups[paths[:, 0]], minlength=4)
    assert np.ptp(of_episodes) <= 1
    assert (data.groups[paths] == data.groups[paths[:, :1]]).all()


def test_paths_are_as_long_as_enough_episodes_allow(tmp_path):
    data = write_data(tmp_path / "data", episodes=8)
    lengths = [6, 6, 5, 5, 4, 4, 2, 1]
    rows = np.concatenate([6 * episode + np.arange(length) for episode, length in enumerate(lengths)])
    assert draw_paths(data, rows, 9, 50).shape == (2 * 3 + 2 * 2 + 2, 4), "six episodes have paths of four steps"
    assert draw_paths(data, rows, 3, 50).shape[1] == 3
    assert draw_paths(data, rows[:11], 9, 50).shape[1] == 5, "both of two"
    assert draw_paths(data, rows[-3:], 9, 50).shape == (1, 2), "an episode without paths has no say"


def test_where_no_verdict_is_possible_the_means_say_who_is_better(data):
    _, few = follow(Oracle(data), data)
    few.curves[MODEL]["val_mse"][2] = 1.0
    assert few.better_than(PERSISTENCE) == ([True, True, False, True], False)
    better = Difference(-1.0, (-2.0, -0.5), 1e-6, 9, relevant=True)
    enough = dataclasses.replace(few, differences={PERSISTENCE: {"val_mse": [better] * 4}})
    assert enough.better_than(PERSISTENCE) == ([True] * 4, True)


@pytest.mark.parametrize(
    ("step", "lasts", "steps"),
    [(0.2, "2 s", 10), (0.5, "2 s", 4), (5.0, "5 s", 1), (0.1, "1.2 s", 12), (None, "10 steps", 10)],
)
def test_what_stands_first_is_fed_back_for_two_seconds_or_as_long_as_there_are_steps(step, lasts, steps):
    curves = np.tile(np.arange(1.0, 13), (3, 1))
    found = FedBack.of({MODEL: curves, PERSISTENCE: -curves}, np.arange(3), step)
    assert {who: values.tolist() for who, values in found.similarity.items()} == {
        MODEL: [steps] * 3,
        PERSISTENCE: [-steps] * 3,
    }
    assert found.lasts == lasts
    assert fed_back_for({"rollouts": {"fed_back": found.to_json()}}) == lasts
    assert next(iter(key_metrics((), fed_back_for=lasts).values())).endswith(f"fed back for {lasts}")


@pytest.mark.parametrize("figures", [{}, {"rollouts": None}, {"rollouts": {"horizons": [1]}}])
def test_evaluations_of_before_were_not_fed_back(figures):
    assert fed_back_for(figures) == ""
    assert FED_BACK not in key_metrics(())


def test_a_path_counts_where_it_begins_or_at_the_nearest_sample_of_its_group():
    similarity = {MODEL: np.array([0.1, 0.2, 0.4, 0.8]), PERSISTENCE: np.zeros(4)}
    back = FedBack(10, 2.0, np.array([12, 14, 19, 27]), similarity)
    rows = np.array([3, 11, 14, 22, 28, 29])
    found = back.samples(rows, lambda rows: rows // 10)
    assert found.keys() == similarity.keys()
    assert found[MODEL].weights[FED_BACK].tolist() == [0, 1, 2, 0, 1, 0]
    assert found[MODEL].sums[FED_BACK] == pytest.approx([0, 0.1, 0.6, 0, 0.8, 0])
    assert found[MODEL].table()[FED_BACK] == pytest.approx(similarity[MODEL].mean())


def test_no_paths_no_rollouts(data):
    assert follow(Persistence(), data, horizon=1)[1] is None
    assert follow(Persistence(), data, count=0)[1] is None


def test_with_one_episode_nothing_is_sure(data):
    paths = draw_paths(data, data.rows()[:6], 3, 9)
    rollouts = roll_out(Oracle(data), data, paths, {PERSISTENCE: Persistence()})
    assert rollouts.groups == 1
    assert rollouts.intervals["val_mse"] == rollouts.verdicts("val_mse") == [None] * 3
    json.dumps(rollouts.to_json(), allow_nan=False)


def test_an_evaluation_writes_its_rollouts(tiny_data, tmp_path):
    run = untrained(tiny_data, tmp_path / "run")

    def written(**options):
        return json.loads(assess(run.path, device="cpu", **options).with_name("metrics.json").read_text())["rollouts"]

    seen = []
    rollouts = written(watch=lambda done, total: seen.append((done, total)))
    assert rollouts["horizons"] == [1, 2, 3, 4, 5, 6]
    assert rollouts["groups"] == rollouts["paths"] == 1  # the episode that is reported on holds one path of six
    assert list(rollouts["curves"]) == [MODEL, *fitted_baselines(tiny_data), UNTRAINED]
    assert {len(curve) for curves in rollouts["curves"].values() for curve in curves.values()} == {6}
    assert seen[-1] == (6 + 6, 6 + 6)  # samples and steps
    assert written(horizon=3, rollouts=3)["paths"] == 3
    assert written(rollouts=0) is None


def test_the_first_key_figure_is_that_of_the_paths(tmp_path):
    data = write_data(tmp_path / "data", episodes=8, val=6, length=6)
    run = untrained(data, tmp_path / "run")

    def figures(**options):
        page = assess(run.path, device="cpu", horizon=4, **options)
        return json.loads(page.with_name("metrics.json").read_text())

    for written in (figures(), figures(most=6), figures(rollouts=2)):
        assert written["rollouts"]["fed_back"] == {"steps": 4, "seconds": None}
        for who, curves in written["rollouts"]["curves"].items():
            table = written if who == MODEL else written["baselines"][who]["metrics"]
            assert table[FED_BACK] == pytest.approx(curves["ssim"][3])
    assert written["intervals"][FED_BACK] == pytest.approx(written["rollouts"]["intervals"]["ssim"][3])
    rows = run.reported_on(data, len(data))
    named, drawn = figures(rows=rows, most=6), figures(most=6)
    assert [named[name] for name in ("data", FED_BACK)] == [drawn[name] for name in ("data", FED_BACK)]
    few = figures(most=2)
    assert (few["groups"], few["rollouts"]["groups"]) == (2, 2), "paths are of groups that have a sample"
    assert figures(rollouts=0)[FED_BACK] is None


def test_rollouts_cannot_be_fewer_than_none(tiny_data, tmp_path):
    run = untrained(tiny_data, tmp_path / "run")
    with pytest.raises(ForearmError, match="rollouts is -1"):
        assess(run.path, rollouts=-1)


def test_an_evaluation_scores_so_many_transitions_equally_from_the_episodes(tmp_path):
    data = write_data(tmp_path / "data", episodes=8, val=6, length=6)
    run = untrained(data, tmp_path / "run")

    def written(most):
        page = assess(run.path, device="cpu", most=most, horizon=6)
        return json.loads(page.with_name("metrics.json").read_text()), Saved.open(page.parent, run.layout())

    held = run.reported_on(data, len(data))
    figures, drawn = written(6)
    assert len(drawn.rows) == figures["samples"] == 6 < len(held)
    assert set(drawn.rows) < set(held)
    assert set(np.unique(data.groups[drawn.rows], return_counts=True)[1]) == {2}
    assert drawn.rows.tolist() == sorted(run.reported_on(data, 6)), "the same for whoever asks"
    assert f"6 of {len(held)} samples were drawn, equally from the episodes" in " ".join(figures["warnings"])
    assert figures["rollouts"]["horizons"] == [1, 2, 3, 4, 5, 6], "paths need neighbours, which are not all drawn"
    figures, whole = written(0)
    assert whole.rows.tolist() == held.tolist()
    assert not any("were drawn" in warning for warning in figures["warnings"])


def test_an_evaluation_asks_the_dataset_for_the_outcomes_of_every_action(tiny_data, tmp_path):
    run = untrained(tiny_data, tmp_path / "run")
    assert (
        json.loads(assess(run.path, device="cpu").with_name("metrics.json").read_text())["counterfactual_mse"] is None
    )
    began = write_data(tmp_path / "moments", episodes=6, length=1, val=6)
    for episode in began.episodes:
        episode["moment"] = 0  # as if all six had begun in one moment
    pq.write_table(pa.Table.from_pylist(began.episodes), began.path / "episodes.parquet")
    began = TransitionSet(began.path)
    assert began.has_outcomes
    figures = json.loads(assess(run.path, data=began.path, device="cpu").with_name("metrics.json").read_text())
    assert figures["groups"] == 1  # what began in one moment is one thing
    assert figures["baselines"][PERSISTENCE]["metrics"]["counterfactual_effect_error"] == pytest.approx(1)
    assert figures["counterfactual_mse"] > 0
