"""A predictor is scored on what it can know, beside the baselines, and every claim says how sure it is."""

import dataclasses
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.canvases import SlidingArm

from forearm.base.errors import ForearmError
from forearm.batch import Prediction, make_batch
from forearm.canvas import MOVE_MINUS, MOVE_PLUS, STAY, ActionDimension, Camera, Joint, Layout, draw
from forearm.evaluation.baselines import Persistence
from forearm.evaluation.catalogue import FED_BACK, METRICS
from forearm.evaluation.evaluate import evaluate
from forearm.evaluation.metrics import score
from forearm.evaluation.rollouts import FedBack
from forearm.evaluation.samples import MODEL
from forearm.models import family_settings, make_model
from forearm.transitions.store import Outcomes

LAYOUT = Layout(
    cameras=(Camera("base", 16, 16),),
    joints=(Joint("pan", "deg", -50, 50, 20), Joint("lift", "deg", 0, 90, 20)),
    actions=(ActionDimension("pan", "pan", "deg", 10.0),),
    patch=4,
    separator=4,
)


def moments(n, layout=LAYOUT, codes=(STAY, MOVE_PLUS, MOVE_MINUS), seed=0):
    """A bright bar that shifts by two pixels with the pan joint; arrays for ``make_batch``."""
    rng = np.random.default_rng(seed)
    frames = np.zeros((n, 2, 16, 16, 3), np.float32)
    positions = rng.uniform(20, 30, (n, 1, 2)).repeat(2, 1)
    chosen = np.array([codes[i % len(codes)] for i in range(n)])
    signs = np.array([0, 1, -1])[chosen]
    starts = rng.integers(3, 10, n)
    for i in range(n):
        for t in range(2):
            x = starts[i] + 2 * t * signs[i]
            frames[i, t, :, x : x + 3] = 0.5 + 0.02 * i / n
    positions[:, 1, 0] += 10 * signs
    actions = signs[:, None, None].astype(np.float32)
    return draw(layout, frames, positions, actions), positions, actions, np.zeros(n, int), np.arange(n)


def batches(n=24, size=7, **options):
    arrays = moments(n, **options)
    for start in range(0, n, size):
        yield make_batch(options.get("layout", LAYOUT), *(array[start : start + size] for array in arrays))


def outcomes_of(source):
    """As a dataset recorded under every action knows them: here what ``SlidingArm`` predicts, which is always right."""
    known = {}
    for batch in source:
        under = [SlidingArm().predict(batch.under(code)).frame.numpy() for code in (STAY, MOVE_PLUS, MOVE_MINUS)]
        known |= dict(zip(batch.rows.tolist(), np.stack(under, axis=1), strict=True))
    return lambda rows: Outcomes(np.stack([known[int(row)] for row in rows]), np.ones((len(rows), 3), bool))


class Cheat:
    """Copies the answer, if it is there."""

    def predict(self, batch):
        return Prediction(batch.canvas[..., LAYOUT.frame_columns(-1)].clone())


def run(predictor, source=None, seen=(8, 8, 8), **options):
    source = batches() if source is None else source
    return evaluate(predictor, source, np.arange(24) // 2, dict(enumerate(seen)), **options)


def flat(table):
    """The table with a dimension for each joint, which pytest.approx can compare."""
    lists = {name: value for name, value in table.items() if isinstance(value, list)}
    per_joint = {f"{name}_{i}": dimension for name, value in lists.items() for i, dimension in enumerate(value)}
    return {name: value for name, value in table.items() if name not in lists} | per_joint


def test_a_model_that_knows_the_arm_is_right_about_everything():
    evaluation = run(SlidingArm())
    metrics = evaluation.metrics
    assert metrics["val_mse"] == pytest.approx(0, abs=1e-12)
    assert metrics["acting_joint_direction_accuracy"] == metrics["counterfactual_order"] == 1
    assert metrics["counterfactual_plus_above_minus"] == 1
    assert metrics["controllability_psnr"] > 10
    assert metrics["action_discrimination_score"] > 0.01
    assert evaluation.baselines["persistence"].skill["val_mse"] == pytest.approx(1)
    assert {evaluation.verdict(name) for name in ("val_mse", "ssim", "acting_joint_position_mae")} == {"better"}


def test_the_truth_under_every_action_judges_those_that_were_not_taken():
    outcomes = outcomes_of(batches())
    right = run(SlidingArm(), outcomes=outcomes)
    assert right.metrics["k_way_accuracy"] == 1
    assert right.metrics["counterfactual_mse"] == pytest.approx(0, abs=1e-12)
    assert right.metrics["counterfactual_position_mae"] == pytest.approx(0, abs=1e-4)
    assert right.metrics["counterfactual_effect_error"] == pytest.approx(0, abs=1e-12)
    copying = right.baselines["persistence"]
    assert copying.metrics["k_way_accuracy"] == pytest.approx(1 / 3)
    assert copying.metrics["counterfactual_effect_error"] == pytest.approx(1)
    assert copying.metrics["counterfactual_mse_action_0"] == pytest.approx(0, abs=1e-12)
    assert copying.metrics["counterfactual_position_mae"] == pytest.approx(20 / 3, rel=1e-3)  # two of three are moves
    assert copying.skill["counterfactual_effect_error"] == pytest.approx(1)
    names = ("k_way_accuracy", "counterfactual_mse", "counterfactual_position_mae", "counterfactual_effect_error")
    assert {right.verdict(name) for name in names} == {"better"}
    opposite = run(SlidingArm(gain=-1.0), outcomes=outcomes)
    assert opposite.metrics["k_way_accuracy"] < 0.5
    assert opposite.metrics["counterfactual_effect_error"] > 1
    example = right.drawn[0]
    assert all(np.array_equal(example.outcomes[code], example.under[code][..., -16:]) for code in range(3))
    assert example.positions_after[MOVE_PLUS][0] - example.before[0] == pytest.approx(10, abs=1e-3)
    assert example.errors_under == pytest.approx(dict.fromkeys(range(3), 0), abs=1e-12)


def test_without_the_truth_under_every_action_its_metrics_are_undefined():
    evaluation = run(SlidingArm())
    assert evaluation.metrics["counterfactual_mse"] is evaluation.metrics["counterfactual_effect_error"] is None
    assert evaluation.intervals["counterfactual_mse"] is None
    assert evaluation.verdict("counterfactual_mse") is None
    assert evaluation.drawn[0].outcomes == {}
    assert evaluation.metrics["k_way_accuracy"] == 1


def test_a_model_that_does_the_opposite_is_found_out():
    evaluation = run(SlidingArm(gain=-1.0))
    metrics = evaluation.metrics
    assert metrics["acting_joint_direction_accuracy"] == metrics["counterfactual_order"] == 0
    assert metrics["counterfactual_plus_above_minus"] == 0
    assert evaluation.baselines["persistence"].skill["acting_joint_position_mae"] == pytest.approx(-1, abs=1e-3)
    assert {evaluation.verdict(name) for name in ("val_mse", "ssim", "acting_joint_position_mae")} == {"worse"}


def test_persistence_is_the_score_of_the_previous_frame():
    canvases, _, actions, *_ = moments(24)
    previous = canvases[..., LAYOUT.frame_columns(-2)].copy()
    for rows, columns in LAYOUT.strip_cells()[2:]:
        previous[:, :, rows, columns] = 0.5  # what does not change has no velocity
    codes = np.array([{0: STAY, 1: MOVE_PLUS, -1: MOVE_MINUS}[int(a)] for a in actions[:, 0, 0]])
    expected = score(canvases, previous, LAYOUT, codes)
    evaluation = run(Persistence())
    assert flat({name: evaluation.metrics[name] for name in expected}) == pytest.approx(flat(expected))
    assert evaluation.metrics == evaluation.baselines["persistence"].metrics
    assert evaluation.metrics["motor_consistency_error"] == pytest.approx(0, abs=1e-5)
    assert evaluation.metrics["action_discrimination_score"] == evaluation.metrics["counterfactual_order"] == 0
    assert evaluation.verdict("val_mse") == "level"


def test_persistence_with_history_copies_the_frame_before_the_last():
    layout = dataclasses.replace(LAYOUT, history=3)
    rng = np.random.default_rng(0)
    frames = rng.random((1, 3, 16, 16, 3), np.float32)
    canvas = draw(layout, frames, np.array([[[0, 10], [10, 20], [20, 30]]], float), np.ones((1, 2, 1)))
    batch = make_batch(layout, canvas, np.zeros((1, 3, 2)), np.ones((1, 2, 1)), np.zeros(1), np.zeros(1))
    region = Persistence().predict(batch.context()).frame.numpy()
    assert np.array_equal(region[0, :, :16], frames[0, 1].transpose(2, 0, 1))


def test_no_predictor_sees_the_answer():
    evaluation = run(Cheat())
    assert evaluation.metrics["val_mse"] > evaluation.baselines["persistence"].metrics["val_mse"]
    truth, *_ = moments(24)
    black = truth.copy()
    black[..., LAYOUT.frame_columns(-1)] = 0
    codes = np.array([(STAY, MOVE_PLUS, MOVE_MINUS)[i % 3] for i in range(24)])
    assert evaluation.metrics["val_mse"] == pytest.approx(score(truth, black, LAYOUT, codes)["val_mse"])


def test_figures_do_not_depend_on_the_batch_size():
    in_one, in_many = run(SlidingArm(gain=0.5), batches(size=24)), run(SlidingArm(gain=0.5), batches(size=5))
    assert flat(in_one.metrics) == pytest.approx(flat(in_many.metrics))
    assert in_one.intervals["val_mse"] == pytest.approx(in_many.intervals["val_mse"])
    assert [e.row for e in in_one.drawn] == [e.row for e in in_many.drawn]
    for name, values in in_one.extras.items():
        assert values == pytest.approx(in_many.extras[name])


def test_every_metric_is_catalogued_and_every_catalogued_metric_measured():
    evaluation = run(SlidingArm())
    assert set(METRICS) == set(evaluation.metrics) == set(evaluation.intervals)


def test_an_action_that_training_never_saw_is_a_guess():
    evaluation = run(SlidingArm(), batches(codes=(MOVE_PLUS, MOVE_MINUS)), seen=(0, 10, 12))
    assert evaluation.guesses == [STAY]
    written = json.loads(json.dumps(evaluation.to_json(), allow_nan=False))
    assert written["guesses"] == [STAY]
    assert written["actions_seen"] == {"0": 0, "1": 10, "2": 12}
    assert written["per_action"]["0"] == {
        **{"name": "STAY", "seen_in_training": 0, "guess": True, "samples": 0},
        **{"val_mse": None, "motor_position_mae": None},
    }
    assert written["per_action"]["1"]["guess"] is False
    assert written["val_mse_action_0"] is None
    assert any("STAY was never seen in training" in warning for warning in written["warnings"])


def test_metrics_json_has_the_names_of_the_design_at_its_top():
    written = json.loads(json.dumps(run(SlidingArm(gain=0.5)).to_json(), allow_nan=False))
    assert set(METRICS) <= set(written)
    low, high = written["intervals"]["val_mse"]
    assert low <= written["val_mse"] <= high
    assert len(written["motor_position_mae_per_joint"]) == 2
    assert written["samples"] == 24
    assert (written["groups"], written["grouped_by"]) == (12, "episodes")
    persistence = written["baselines"]["persistence"]
    assert persistence["skill"]["val_mse"] == pytest.approx(1 - written["val_mse"] / persistence["metrics"]["val_mse"])
    assert written["latency"]["single_ms"] > 0


def test_examples_are_spread_over_the_actions_and_the_same_for_every_model():
    ours, theirs = run(SlidingArm(), samples=6), run(SlidingArm(gain=-1.0), samples=6)
    assert [example.code for example in ours.drawn] == [1, 2, 1, 2, 1, 0]  # STAY is one in four at most
    assert [example.row for example in ours.drawn] == [example.row for example in theirs.drawn]
    of_moves = theirs.samples.sums["val_mse"][theirs.samples.weights["val_mse_action_0"] == 0]
    assert [e.error for e in theirs.worst] == sorted(of_moves, reverse=True)[:2]
    assert [e.error for e in theirs.best] == sorted(of_moves)[:2]


def test_an_example_shows_the_sample_under_every_action():
    truth, positions, *_ = moments(24)
    for example in run(SlidingArm()).drawn:
        assert np.abs(example.truth / 255 - truth[example.row]).max() < 1 / 255
        assert np.array_equal(example.under[example.code], example.truth)  # this model is always right
        assert example.positions == pytest.approx(positions[example.row, 1], abs=1e-4)
        pan = [example.positions_under[code][0] - example.before[0] for code in (STAY, MOVE_PLUS, MOVE_MINUS)]
        assert pan == pytest.approx([0, 10, -10], abs=1e-4)
        colours = [example.under[code][:, 0, LAYOUT.separator_columns(-1).start].tolist() for code in range(3)]
        assert colours == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]


def test_a_family_can_look_into_itself():
    class Curious(SlidingArm):
        def diagnose(self, batch, truth):
            assert not batch.canvas[..., LAYOUT.frame_columns(-1)].any()
            assert truth.any()  # is there to be held against
            return self.predict(batch), {"rows": batch.rows.double(), "halves": torch.ones(len(batch), 2) / 2}

    evaluation = run(Curious(), batches(size=5))
    assert evaluation.extras["rows"] == pytest.approx(11.5)
    assert evaluation.extras["halves"].tolist() == [0.5, 0.5]
    patches = run(Persistence()).extras["squared_error_per_patch"]
    assert patches.shape == (5, 4)
    metrics = run(Persistence()).metrics
    assert patches[:4].mean() == pytest.approx(metrics["val_mse"], rel=1e-4)
    assert patches[4:].mean() == pytest.approx(metrics["val_mse_motor_strip"], rel=1e-4)


def test_one_episode_gives_figures_without_intervals():
    evaluation = evaluate(SlidingArm(gain=0.5), batches(), lambda rows: rows * 0, {0: 1, 1: 1, 2: 1})
    assert evaluation.intervals["val_mse"] is None
    assert evaluation.verdict("val_mse") is None
    assert any("1 episode: too few" in warning for warning in evaluation.warnings)
    json.dumps(evaluation.to_json(), allow_nan=False)


def test_continuous_actions():
    layout = dataclasses.replace(LAYOUT, discrete=False)
    evaluation = evaluate(SlidingArm(), batches(layout=layout), np.arange(24), {0: 1, 1: 1, 2: 1})
    assert evaluation.metrics["val_mse"] == pytest.approx(0, abs=1e-12)
    assert evaluation.metrics["counterfactual_order"] == 1


def test_nonsense_is_refused():
    class Diverged(SlidingArm):
        def predict(self, batch):
            return Prediction(super().predict(batch).frame * torch.nan)

    class Narrow(SlidingArm):
        def predict(self, batch):
            return Prediction(super().predict(batch).frame[..., 1:])

    with pytest.raises(ForearmError, match="no validation samples"):
        run(SlidingArm(), iter(()))
    with pytest.raises(ForearmError, match="no numbers"):
        run(Diverged())
    with pytest.raises(ForearmError, match="the layout says"):
        run(Narrow())


def test_the_documentation_names_every_metric_and_key():
    text = (Path(__file__).resolve().parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    for name in run(SlidingArm()).to_json():
        assert f"`{re.sub('_action_[0-9]$', '_action_<code>', name)}`" in text, name


@pytest.mark.parametrize(("family", "module"), [("warp", "flow_head"), ("diffusion", "norm"), ("mae", "encoder")])
def test_three_forward_passes_a_sample_are_enough(family, module):
    """The action taken and the two others: expected error and diagnosis come from the same pass."""
    settings = family_settings(
        family, "tiny", {"width": 16, "levels": 1} if family == "warp" else {"width": 16, "depth": 1, "heads": 2}
    )
    model = make_model(family, LAYOUT, settings)
    passes = []
    part = model.blocks[0] if family == "diffusion" else getattr(model, module)
    part.register_forward_hook(lambda part, inputs, output: passes.append(len(inputs[0])))
    per_pass = 2 if family == "diffusion" else 1  # the context is read, and a picture denoised from it
    evaluation = run(model, batches(size=12))
    timing = passes.count(1)  # of single samples
    levels = 4 * 24 if family == "diffusion" else 0  # its diagnosis denoises from four levels
    assert sum(passes) - timing == per_pass * 3 * 24 + levels
    assert evaluation.samples.sums["val_mse"].shape == (24,)


def test_several_batches_at_a_time_give_the_same_figures():
    alone, beside = (run(SlidingArm(), batches(size=2), threads=threads) for threads in (1, 3))
    one, other = (evaluation.to_json() for evaluation in (alone, beside))
    assert one.pop("latency") != other.pop("latency")
    assert json.dumps(one) == json.dumps(other)
    assert [example.row for example in alone.drawn] == [example.row for example in beside.drawn]


def test_a_baseline_that_is_asked_about_some_samples_is_compared_on_these():
    rows = np.array([1, 2, 5, 9, 10, 13, 17, 22])
    whole, part = (run(SlidingArm(gain=0.5), asked=asked) for asked in (None, {"persistence": rows}))
    assert part.metrics == whole.metrics
    arrays = [array[rows] for array in moments(24)]
    alone = evaluate(SlidingArm(gain=0.5), [make_batch(LAYOUT, *arrays)], np.arange(24) // 2, {}).baselines
    mine, theirs = part.baselines["persistence"], alone["persistence"]
    assert flat(mine.metrics) == pytest.approx(flat(theirs.metrics), nan_ok=True)
    assert mine.skill["val_mse"] == pytest.approx(theirs.skill["val_mse"])
    assert mine.differences["val_mse"].interval == pytest.approx(theirs.differences["val_mse"].interval)
    assert part.baseline_samples["persistence"].weights["val_mse"].sum() == len(rows)


def test_what_is_fed_back_is_compared_along_all_paths_whoever_was_asked_about_fewer_samples():
    similarity = {MODEL: np.linspace(0.5, 0.9, 8), "persistence": np.linspace(0.2, 0.7, 8)}
    rollouts = SimpleNamespace(fed_back=FedBack(10, 2.0, np.arange(0, 24, 3), similarity))
    part, whole = (
        run(SlidingArm(gain=0.5), rollouts=rollouts, **options) for options in ({"asked": {"persistence": [1, 2]}}, {})
    )
    mine, theirs = part.baselines["persistence"], whole.baselines["persistence"]
    assert part.metrics[FED_BACK] == pytest.approx(0.7)
    assert mine.metrics[FED_BACK] == theirs.metrics[FED_BACK] == pytest.approx(0.45)
    assert mine.differences[FED_BACK] == theirs.differences[FED_BACK]
    assert mine.differences[FED_BACK].value == pytest.approx(0.25)
    assert mine.differences[FED_BACK].groups == 8
    assert mine.metrics["val_mse"] != theirs.metrics["val_mse"]


def test_baselines_that_were_not_rolled_out_have_no_such_figure():
    rollouts = SimpleNamespace(fed_back=FedBack(10, 2.0, np.arange(8), {MODEL: np.linspace(0.5, 0.9, 8)}))
    found = run(SlidingArm(gain=0.5), rollouts=rollouts)
    assert found.metrics[FED_BACK] == pytest.approx(0.7)
    assert found.baselines["persistence"].metrics[FED_BACK] is None
    assert found.verdict(FED_BACK) is None
