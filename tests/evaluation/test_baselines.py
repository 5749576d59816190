"""Every baseline against a slow and obvious computation, on what training holds and on what it does not."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
from support.tiny import make_layout, untrained, write_data

from forearm.base.errors import ForearmError
from forearm.canvas import MOVE_MINUS, MOVE_PLUS, STAY, ActionDimension, action_codes, decode_strip
from forearm.evaluation import baselines as baselines_module
from forearm.evaluation import evaluate, fitted_baselines
from forearm.evaluation.baselines import JointOnly, MeanFrame, NearestNeighbour, action_kinds, spread
from forearm.report.assessment import assess
from forearm.transitions import TransitionSet, batches
from forearm.transitions.store import Columns

OTHERS = (MeanFrame, NearestNeighbour, JointOnly)


def rewrite(data, **changes):
    """The same dataset with other columns."""
    dataclasses.replace(data.columns, **changes).write(data.path / "transitions.parquet")
    return TransitionSet(data.path)


def continuous(tmp_path):
    """Two continuous dimensions of which pan's change is a noisy half; nothing depends on the second."""
    dimensions = (ActionDimension("pan", "pan", "deg", 10.0), ActionDimension("lift", "lift", "deg", 10.0))
    data = write_data(tmp_path / "continuous", make_layout(actions=dimensions, discrete=False))
    actions = data.columns.actions.copy()
    noise = np.random.default_rng(3).uniform(-4, 4, actions.shape)
    return rewrite(data, actions=(0.5 * actions + noise).astype(np.float32))


def training(data):
    """The training transitions one by one: last region (3, H, w), positions before and after, values, code."""
    for row in data.rows("train"):
        batch = data.batch(np.array([row]))
        values = batch.actions[0, -1].numpy()
        region = batch.canvas[0][..., data.layout.frame_columns(-1)].numpy()
        before, after = batch.positions[0, -2:].double().numpy()
        yield region, before, after, values, int(action_codes(values[None])[0])


def asked(data, code=None):
    """Validation contexts, under their own action or another."""
    batch = data.batch(data.rows("val"))
    return batch.context() if code is None else batch.under(code)


def codes_of(batch):
    return action_codes(batch.actions[:, -1].numpy())


@pytest.mark.parametrize("code", [None, STAY, MOVE_PLUS, MOVE_MINUS])
def test_the_mean_frame_is_the_mean_of_the_same_action(tiny_data, code):
    batch = asked(tiny_data, code)
    painted = MeanFrame(tiny_data).predict(batch).frame.numpy()
    for region, own in zip(painted, codes_of(batch), strict=True):
        alike = [last for last, *_, known in training(tiny_data) if known == own]
        assert region == pytest.approx(np.mean(alike, axis=0), abs=1e-6)


@pytest.mark.parametrize("code", [None, STAY, MOVE_PLUS, MOVE_MINUS])
def test_the_neighbour_began_nearest_under_the_same_action(tiny_data, code):
    batch, layout = asked(tiny_data, code), tiny_data.layout
    painted = NearestNeighbour(tiny_data).predict(batch).frame.numpy()
    for region, own, here in zip(painted, codes_of(batch), batch.positions[:, -2].numpy(), strict=True):
        distances = {
            np.sum(((before - here) / (layout.highs - layout.lows)) ** 2): last
            for last, before, _, _, known in training(tiny_data)
            if known == own
        }
        assert np.allclose(region, distances[min(distances)], atol=1e-6)


@pytest.mark.parametrize("code", [None, STAY, MOVE_PLUS, MOVE_MINUS])
def test_joints_alone_go_on_by_the_mean_change(tiny_data, code):
    batch, layout = asked(tiny_data, code), tiny_data.layout
    painted = JointOnly(tiny_data).predict(batch).frame.numpy()
    positions, velocities = decode_strip(layout, painted)
    for i, own in enumerate(codes_of(batch)):
        change = np.mean([after - before for _, before, after, _, known in training(tiny_data) if known == own], axis=0)
        expected = np.clip(batch.positions[i, -2].numpy() + change, layout.lows, layout.highs)
        assert positions[i] == pytest.approx(expected, abs=1e-3)
        assert velocities[i] == pytest.approx(change, abs=1e-3)
    previous = batch.canvas[..., layout.frame_columns(-2)].numpy()
    assert np.array_equal(painted[:, :, : layout.frame_height], previous[:, :, : layout.frame_height])


def test_continuous_actions_are_near_in_joints_and_amounts(tmp_path):
    data = continuous(tmp_path)
    batch, layout = asked(data), data.layout
    painted = NearestNeighbour(data).predict(batch).frame.numpy()
    for region, here, values in zip(painted, batch.positions[:, -2].numpy(), batch.actions[:, -1].numpy(), strict=True):
        distances = {
            np.sum(((before - here) / (layout.highs - layout.lows)) ** 2) + np.sum((known - values) ** 2): last
            for last, before, _, known, _ in training(data)
        }
        assert np.allclose(region, distances[min(distances)], atol=1e-6)


def test_continuous_changes_are_fitted_by_a_line(tmp_path):
    data = continuous(tmp_path)
    batch, layout = asked(data), data.layout
    _, before, after, values, _ = map(np.array, zip(*training(data), strict=True))
    unknowns = np.column_stack([values.astype(float), np.ones(len(values))])
    line = np.linalg.solve(unknowns.T @ unknowns, unknowns.T @ (after - before))
    changes = np.column_stack([batch.actions[:, -1].double(), np.ones(len(batch))]) @ line
    positions, velocities = decode_strip(layout, JointOnly(data).predict(batch).frame.numpy())
    expected = np.clip(batch.positions[:, -2].double().numpy() + changes, layout.lows, layout.highs)
    assert positions == pytest.approx(expected, abs=1e-3)
    limits = layout.max_velocities  # beyond which a cell is black or white
    assert velocities == pytest.approx(np.clip(changes, -limits, limits), abs=1e-3)
    assert np.ptp(changes[:, 0]) > 5  # there is something to fit


def test_an_entry_that_never_moved_has_no_say(tmp_path):
    data = continuous(tmp_path)
    actions = data.columns.actions.copy()
    actions[data.rows("train"), :, 1] = 0
    data = rewrite(data, actions=actions)
    batch = asked(data)
    still = dataclasses.replace(batch, actions=batch.actions * torch.tensor([1.0, 0.0]))
    model = JointOnly(data)
    assert torch.allclose(model.predict(batch).frame, model.predict(still).frame, atol=1e-6)


def test_an_action_never_seen_is_answered_as_if_it_were_not_known(tiny_data):
    layout, train = tiny_data.layout, tiny_data.rows("train")
    kept = np.setdiff1d(np.arange(len(tiny_data)), train[tiny_data.codes[train] == MOVE_PLUS])
    fields = (field.name for field in dataclasses.fields(Columns))
    data = rewrite(tiny_data, **{name: getattr(tiny_data.columns, name)[kept] for name in fields})
    assert data.actions_seen()[MOVE_PLUS] == 0
    batch = asked(data, MOVE_PLUS)
    unseen = np.flatnonzero(codes_of(batch) == MOVE_PLUS)
    assert len(unseen) == len(batch)
    regions, before, after, *_ = map(np.array, zip(*training(data), strict=True))
    mean, neighbour, joints = (baseline(data).predict(batch).frame.numpy() for baseline in OTHERS)
    assert np.allclose(mean, regions.mean(0), atol=1e-6)
    here = batch.positions[:, None, -2].numpy()
    nearest = (((before[None] - here) / (layout.highs - layout.lows)) ** 2).sum(2).argmin(1)
    assert np.allclose(neighbour, regions[nearest], atol=1e-6)
    assert decode_strip(layout, joints)[1] == pytest.approx(
        np.tile((after - before).mean(0), (len(batch), 1)), abs=1e-3
    )


def test_kinds_are_what_the_canvas_shows():
    values = np.array([[0, 0, 0], [0.01, 0, 0], [1, 0, 0], [-1, 0, 0.5], [0, 0.4, -0.3], [0, 0, -1]], np.float32)
    stay, little, *moves = action_kinds(values).tolist()
    assert stay == little
    assert len({stay, *moves}) == 5


def test_of_many_transitions_each_kind_keeps_its_share():
    kinds = np.array([0] * 1000 + [1] * 3 + [4] * 500)
    places = spread(kinds, 300)
    assert np.array_equal(places, spread(kinds, 300))
    assert len(np.unique(places)) == len(places)
    assert {kind: int((kinds[places] == kind).sum()) for kind in (0, 1, 4)} == {0: 100, 1: 3, 4: 100}
    assert spread(kinds, len(kinds)).tolist() == list(range(len(kinds)))


def test_fewer_transitions_are_read_than_there_are(tiny_data, monkeypatch):
    monkeypatch.setattr(baselines_module, "MOST_AVERAGED", 3)
    monkeypatch.setattr(baselines_module, "MOST_NEIGHBOURS", 3)
    batch = asked(tiny_data)
    mean, neighbour, _ = (baseline(tiny_data) for baseline in OTHERS)
    once = [last for last, *_ in training(tiny_data)]
    for region in (*mean.predict(batch).frame.numpy(), *neighbour.predict(batch).frame.numpy()):
        assert min(np.abs(region - last).max() for last in once) < 1e-6  # one of each kind is left
    assert len(np.unique(neighbour.neighbours(batch))) <= 3


def test_nobody_looks_at_the_truth(tiny_data):
    layout = tiny_data.layout
    batch = tiny_data.batch(tiny_data.rows("val"))
    other = dataclasses.replace(batch, canvas=batch.canvas.clone(), positions=batch.positions.clone())
    other.canvas[..., layout.frame_columns(-1)] = torch.rand_like(other.canvas[..., layout.frame_columns(-1)])
    other.positions[:, -1] += 7
    for name, baseline in fitted_baselines(tiny_data).items():
        told, blind, lied = (baseline.predict(b).frame for b in (batch, batch.context(), other))
        assert torch.equal(told, blind), name
        assert torch.equal(told, lied), name
        assert told.shape == (len(batch), 3, layout.height, layout.frame_width)
        assert told.dtype == torch.float32
        assert 0 <= told.min() <= told.max() <= 1


def test_only_training_rows_are_learned_from(tiny_data):
    before = [b.predict(asked(tiny_data)).frame for b in fitted_baselines(tiny_data).values()]
    assert set(NearestNeighbour(tiny_data).neighbours(asked(tiny_data))) <= set(tiny_data.rows("train"))
    batch = asked(tiny_data)
    actions, val = tiny_data.columns.actions.copy(), tiny_data.rows("val")
    actions[val] = -actions[val]
    after = fitted_baselines(rewrite(tiny_data, actions=actions)).values()
    assert all(torch.equal(b.predict(batch).frame, expected) for b, expected in zip(after, before, strict=True))


def test_another_layout_s_bounds_are_used(tiny_data):
    layout = tiny_data.layout
    wide = layout.with_bounds(2 * layout.lows, 2 * layout.highs, 2 * layout.max_velocities)
    rows, widely = tiny_data.rows("val"), tiny_data.with_layout(wide, "a test")
    narrow_batch, wide_batch = tiny_data.batch(rows), widely.batch(rows)
    for baseline in OTHERS:
        narrow = decode_strip(layout, baseline(tiny_data).predict(narrow_batch.context()).frame.numpy())
        drawn = decode_strip(wide, baseline(widely).predict(wide_batch.context()).frame.numpy())
        assert drawn[1] == pytest.approx(narrow[1], abs=1e-3)
        if baseline is not JointOnly:  # which goes beyond narrow bounds
            assert drawn[0] == pytest.approx(narrow[0], abs=1e-3)


def test_no_training_part_is_said(tmp_path):
    data = write_data(tmp_path / "data", episodes=2, val=2)
    with pytest.raises(ForearmError, match="no training transitions"):
        fitted_baselines(data)


# Beside a run


@pytest.fixture
def run(tiny_data, tmp_path):
    return untrained(tiny_data, tmp_path / "run")


def figures(page):
    return json.loads(page.with_name("metrics.json").read_text())


NAMES = ["persistence", "mean-frame", "nearest-neighbour", "joint-only", "untrained"]


def test_every_report_has_all_baselines(run, tiny_data):
    page = assess(run.path, device="cpu")
    written = figures(page)
    assert list(written["baselines"]) == NAMES
    assert all(name in page.read_text() for name in NAMES)
    rows = run.reported_on(tiny_data)
    for name, baseline in fitted_baselines(tiny_data).items():
        alone = evaluate(baseline, batches(tiny_data, rows, 5), tiny_data.columns.episodes, {}, baselines={})
        assert written["baselines"][name]["metrics"]["val_mse"] == pytest.approx(alone.metrics["val_mse"])
    assert not [warning for warning in written["warnings"] if "baseline" in warning]


def test_on_other_data_baselines_know_what_the_run_was_trained_on(run, tiny_data, tmp_path):
    other = write_data(tmp_path / "other", seed=5)
    written = figures(assess(run.path, data=other.path, device="cpu"))
    for name, baseline in fitted_baselines(tiny_data).items():
        source = batches(other.with_layout(run.layout(), "a test"), other.rows(), 5)
        alone = evaluate(baseline, source, other.columns.episodes, {}, baselines={})
        assert written["baselines"][name]["metrics"]["val_mse"] == pytest.approx(alone.metrics["val_mse"])
    assert written["baselines"]["nearest-neighbour"]["metrics"]["val_mse"] > 0.001  # or it would know other by heart


def test_without_the_training_s_data_persistence_is_left(run, tiny_data, tmp_path):
    other = write_data(tmp_path / "other", seed=5)
    shutil.rmtree(tiny_data.path)
    page = assess(run.path, data=other.path, device="cpu")
    written = figures(page)
    assert list(written["baselines"]) == ["persistence", "untrained"]
    (warning,) = [warning for warning in written["warnings"] if "baseline" in warning]
    assert str(tiny_data.path) in warning
    assert "Only persistence and the untrained model are shown" in page.read_text()


def test_a_moved_dataset_is_still_the_one_of_the_training(run, tiny_data, tmp_path):
    reported = len(run.reported_on(tiny_data))
    moved = tiny_data.path.rename(tmp_path / "moved")
    written = figures(assess(run.path, data=moved, device="cpu"))
    assert written["samples"] == reported
    assert list(written["baselines"]) == NAMES
    everything = figures(assess(run.path, data=moved, split="all", device="cpu"))
    assert any("include those of training" in warning for warning in everything["warnings"])


def test_on_all_of_its_own_data_the_neighbour_remembers_and_the_report_says_so(run):
    written = figures(assess(run.path, split="all", device="cpu"))
    assert any("by heart" in warning for warning in written["warnings"])
    assert not any("by heart" in warning for warning in figures(assess(run.path, device="cpu"))["warnings"])


def test_the_untrained_row_is_the_run_s_first_model(run, tiny_data):
    written = figures(assess(run.path, device="cpu"))
    source = batches(tiny_data, run.reported_on(tiny_data), 16)
    alone = evaluate(run.untrained(), source, tiny_data.columns.episodes, {}, baselines={})
    for name in ("val_mse", "acting_joint_position_mae", "action_discrimination_score"):
        assert written["baselines"]["untrained"]["metrics"][name] == pytest.approx(alone.metrics[name])
    assert run.untrained().training is False


def test_a_report_says_which_of_its_samples_picked_the_weights(run, tiny_data, tmp_path):
    def said(page):
        return [warning for warning in figures(page)["warnings"] if "best weights" in warning]

    assert said(assess(run.path, device="cpu")) == []
    (both,) = said(assess(run.path, split="val", device="cpu"))
    assert "chosen by 6 of the 12 scored samples" in both
    single = write_data(tmp_path / "single", val=1)
    (alone,) = said(assess(untrained(single, tmp_path / "alone").path, device="cpu"))
    assert "the scored samples themselves, as no more than one group of episodes is held out" in alone
    config = run.config()
    del config["data"]["picked_on"], config["data"]["picked_fingerprints"]
    run.config_file.write_text(json.dumps(config))
    (older,) = said(assess(run.path, device="cpu"))
    assert "the run was trained before 2026-11-26" in older
    assert figures(run.path / "evaluation" / "report.html")["samples"] == 6
    other = write_data(tmp_path / "other", seed=5)
    assert said(assess(run.path, data=other.path, device="cpu")) == []
