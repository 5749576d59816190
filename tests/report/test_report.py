"""The report says what the figures say, holds what it must hold, and needs nothing but itself."""

import base64
import dataclasses
import io
import json
import os
import re
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from support.browser import opened
from support.canvases import SlidingArm
from support.commands import files as files_of
from support.pages import Page

from forearm.base.errors import ForearmError
from forearm.base.machine import circumstances
from forearm.batch import Prediction, make_batch
from forearm.canvas import MOVE_MINUS, MOVE_PLUS, STAY, ActionDimension, Camera, Joint, Layout, draw
from forearm.evaluation import (
    CATALOGUE,
    FED_BACK,
    MEAN_FRAME,
    METRICS,
    MODEL,
    PERSISTENCE,
    UNTRAINED,
    Film,
    Persistence,
    Rollouts,
    evaluate,
)
from forearm.evaluation.intervals import Difference
from forearm.evaluation.readout import Readout
from forearm.evaluation.rollouts import CURVES, FedBack
from forearm.media.colours import heat_map
from forearm.media.words import figure, reading
from forearm.report import Facts, recommend, write_report
from forearm.report.charts import bar_chart, line_chart
from forearm.report.extras import extras
from forearm.report.rollouts import film_frames, mean_frame_claim
from forearm.report.targets import key_targets
from forearm.report.training import curves
from forearm.report.uncertainty import uncertainty_section
from forearm.transitions.store import Outcomes

LAYOUT = Layout(
    cameras=(Camera("base", 16, 16),),
    joints=(Joint("pan", "deg", -50, 50, 20), Joint("jaw", "%", 0, 100, 20)),
    actions=(ActionDimension("pan", "pan", "deg", 10.0),),
    action_is="target",  # else figures of joints would be given by the action
    patch=4,
    separator=4,
)
FACTS = Facts(
    run_name="iteration_3",
    model_type="mae",
    checkpoint="runs/iteration_3/best.safetensors",
    dataset="data/pan",
    date="2026-03-17 23:19:15",
    notes="What changed: <everything> & more\nFigure to beat: 0.0102",
    settings={"model": {"width": 192, "copy": True}, "training": {"minutes": None}},
    log=[{"step": s, "loss": 1 / s, "learning_rate": 1e-3, "gradient_norm": 1.0} for s in range(1, 50)]
    + [{"step": s, "val_loss": 1.0 + 1e-4 * s} for s in range(0, 50, 10)],
)
N = 24


class Blind:
    """Grey, whatever is asked."""

    def predict(self, batch):
        return Prediction(torch.full((len(batch), 3, LAYOUT.height, LAYOUT.frame_width), 0.3))


class Noisy:
    """Right but for a little noise, always the same."""

    def __init__(self, predictor, noise):
        self.predictor, self.noise = predictor, noise

    def predict(self, batch):
        region = self.predictor.predict(batch).frame
        return Prediction(region + self.noise * torch.randn(region.shape, generator=torch.Generator().manual_seed(0)))


class Joined:
    """The picture of one predictor over the strip of another."""

    def __init__(self, picture, joints):
        self.picture, self.joints = picture, joints

    def predict(self, batch):
        region = self.picture.predict(batch).frame.clone()
        region[:, :, LAYOUT.frame_height :] = self.joints.predict(batch).frame[:, :, LAYOUT.frame_height :]
        return Prediction(region)


def evaluation_of(
    predictor,
    codes=(STAY, MOVE_PLUS, MOVE_MINUS),
    seen=(8, 8, 8),
    samples=4,
    baselines=None,
    replayed=False,
    kinds=None,
    rollouts=None,
):
    """Of bars that move with the pan joint, as ``SlidingArm`` knows they do; replayed: under every action."""
    rng = np.random.default_rng(0)
    signs = np.array([0, 1, -1])[[codes[i % len(codes)] for i in range(N)]]
    frames = np.zeros((N, 2, 16, 16, 3), np.float32)
    positions = rng.uniform(20, 30, (N, 1, 2)).repeat(2, 1)
    positions[:, 1, 0] += 10 * signs
    for i, start in enumerate(rng.integers(3, 10, N)):
        for t in range(2):
            frames[i, t, :, start + 2 * t * signs[i] : start + 2 * t * signs[i] + 3] = 0.5 + 0.01 * i / N
    actions = signs[:, None, None].astype(np.float32)
    arrays = draw(LAYOUT, frames, positions, actions), positions, actions, np.zeros(N), np.arange(N)
    batches = (make_batch(LAYOUT, *(a[i : i + 10] for a in arrays)) for i in range(0, N, 10))

    def outcomes(rows):
        moments = make_batch(LAYOUT, *(a[rows] for a in arrays))
        under = [SlidingArm().predict(moments.under(code)).frame.numpy() for code in (STAY, MOVE_PLUS, MOVE_MINUS)]
        return Outcomes(np.stack(under, axis=1), np.ones((len(rows), 3), bool))

    return evaluate(
        predictor,
        batches,
        np.arange(N),
        dict(enumerate(seen)),
        samples=samples,
        baselines=baselines,
        outcomes=outcomes if replayed else None,
        kinds_seen=kinds,
        rollouts=rollouts,
    )


@pytest.fixture(scope="module")
def good():
    return evaluation_of(SlidingArm(gain=0.9))


@pytest.fixture(scope="module")
def bad():
    return evaluation_of(Blind())


@pytest.fixture(scope="module")
def without_stay():
    return evaluation_of(SlidingArm(), codes=(MOVE_PLUS, MOVE_MINUS), seen=(0, 12, 12))


def page_of(evaluation, folder, **facts):
    page = Page(write_report(evaluation, dataclasses.replace(FACTS, **facts), folder))
    page.text = re.sub(r"\s+", " ", page.text)
    return page


def test_the_page_holds_everything_in_order_and_needs_nothing_else(good, tmp_path):
    page = page_of(good, tmp_path)
    headings = ["Analysis Notes", "Metrics", "Recommendations", "Counterfactual Action Grids"]
    headings += ["Where the model errs", "Training", "Settings"]
    assert re.findall(r"<h2>(.*?)</h2>", page.source) == headings
    linked = re.findall(r'<a href="#(.*?)">', page.source)
    assert linked == re.findall(r'<(?:section|div) id="(.*?)">', page.source)
    places = [page.text.index(part) for part in ("before", "truth", "prediction", "This model beats", "Run Name")]
    assert places == sorted(places)
    for expected in (FACTS.run_name, FACTS.checkpoint, FACTS.dataset, FACTS.date, "24 from 24 episodes"):
        assert expected in page.text
    assert "What changed: <everything> & more" in page.text
    assert {m.name for m in CATALOGUE if m.name not in page.text} == set()
    assert "model.width192" in page.text.replace(" ", "")
    assert page.needs_nothing_else()
    assert "<script" not in page.source


@pytest.mark.parametrize("media", ["screen", "print"])
def test_settings_fold_and_print_shows_them(good, tmp_path, media):
    write_report(good, FACTS, tmp_path)
    with opened((tmp_path / "report.html").as_uri(), viewport={"width": 956, "height": 800}) as page:
        page.emulate_media(media=media)
        assert page.locator("#settings").is_visible() == (media == "print")
        assert page.evaluate("document.documentElement.scrollWidth") <= 956
        page.evaluate("location.hash = 'settings'")
        assert page.locator("#settings").is_visible()


def test_the_figures_on_the_page_are_those_of_metrics_json(good, tmp_path):
    page = page_of(good, tmp_path)
    written = json.loads((tmp_path / "metrics.json").read_text())
    for name in ("val_mse", "val_mse_dynamic", "ssim", "val_mse_motor_strip", "action_discrimination_score"):
        assert figure(written[name]) in page.text
    assert figure(written["baselines"]["persistence"]["metrics"]["val_mse"]) in page.text
    for position in written["motor_position_mae_per_joint"]:
        assert figure(position) in page.text
    assert "pan" in page.text
    assert "jaw" in page.text


def test_the_headline_is_glad_or_honest(good, bad, tmp_path):
    assert "This model beats copying the last frame on all 4 key figures." in page_of(good, tmp_path).text
    text = page_of(bad, tmp_path).text
    assert "This model is worse than copying the last frame on" in text
    assert "do not plan with them" in text
    assert "The action makes no certain difference" in text


def test_copying_is_no_better_than_copying(tmp_path):
    page = page_of(evaluation_of(Persistence()), tmp_path)
    assert "This model does not clearly differ from copying the last frame on any key figure." in page.text


def test_one_episode_is_too_little_to_judge(good, tmp_path):
    baseline = good.baselines["persistence"]
    unknown = dict.fromkeys(baseline.differences)
    lone = dataclasses.replace(
        good, groups=1, baselines={"persistence": dataclasses.replace(baseline, differences=unknown)}
    )
    text = page_of(lone, tmp_path).text
    assert "The data do not say whether this model beats copying the last frame. 1 episode: too few to tell" in text
    assert "24 from 1 episode " in text


def test_the_page_begins_with_the_median_move(good, tmp_path):
    moves = sorted((e for e in good.drawn if e.code != STAY), key=lambda e: e.error)
    page = page_of(good, tmp_path)
    head = page.text[: page.text.index("This model beats")]
    sign = "+" if moves[1].code == MOVE_PLUS else "−"
    assert f"pan {sign}10° a typical move: of the 3 moves drawn at random below" in head
    assert f"(row {moves[1].row} of the dataset)" in head
    assert page.source[: page.source.index('class="headline"')].count("<img") == 4


def test_stay_does_not_fill_the_page(good):
    assert [example.code for example in good.drawn] == [MOVE_PLUS, MOVE_MINUS, MOVE_PLUS, STAY]
    assert STAY not in {example.code for example in (*good.best, *good.worst)}
    still = evaluation_of(SlidingArm(), codes=(STAY, STAY, STAY, STAY, STAY, MOVE_PLUS), samples=8)
    assert [example.code for example in still.drawn] == [MOVE_PLUS] * 4 + [STAY] * 4


TRAINED = {"steps": 965, "samples": 7720, "seconds": 240.0}


def test_a_training_is_told_in_a_line_and_settings_without_effect_are_not(good, tmp_path):
    machine = circumstances(torch.device("cpu"))
    settings = {"training": {"steps": 3000, "minutes": 4.0, "seed": 0}}
    facts = {"origin": {"training": TRAINED}, "transitions": 800, "machine": machine, "settings": settings}
    text = page_of(good, tmp_path, **facts).text
    line = "Trained for 965 steps with 7,720 samples, 9.7 times its 800 transitions, in 4.00 minutes, on"
    assert line in text
    for known in (machine["machine"], f"PyTorch {torch.__version__}"):
        assert known in text
    assert "training.steps" not in text
    assert "3000" not in text
    from_source = page_of(good, tmp_path, **facts | {"machine": machine | {"forearm": "", "commit": ""}}).text
    assert "Forearm, PyTorch" in from_source
    steps = page_of(good, tmp_path, settings={"training": {"steps": 3000, "minutes": None}}).text
    assert "training.steps3000" in steps.replace(" ", "")


@pytest.mark.parametrize(
    ("samples", "losses", "hardly"),
    [
        (120, (1, 0.9), "it saw 120 samples, fewer than the 800 transitions of its data"),
        (2000, (1, 0.4), "its validation loss fell to less than half between the last two evaluations"),
        (2000, (1, 0.4, 0.3), ""),
        (2000, (), ""),
    ],
)
def test_a_run_that_is_hardly_trained_says_so(good, tmp_path, samples, losses, hardly):
    log = [{"step": i, "val_loss": loss} for i, loss in enumerate(losses)]
    origin = {"training": {"steps": 15, "samples": samples, "seconds": 9.0}}
    text = page_of(good, tmp_path, log=log, origin=origin, transitions=800).text
    assert ("Hardly trained:" in text) == bool(hardly)
    assert hardly in text
    assert ("Train longer before judging" in text) == bool(hardly)


def test_a_chart_compares_losses_that_are_measured_alike():
    log = [{"step": 1, "loss": 9.0, "visual": 0.5}, {"step": 1, "val_loss": 1.0, "val_visual": 0.4}]
    titles = [title for title, _ in curves(log)]
    assert titles == ["Squared error of the picture"]
    assert [title for title, _ in curves([{"step": 1, "loss": 9.0, "val_loss": 1.0}])] == [
        "Training loss",
        "Validation loss",
    ]


def test_a_ratio_to_next_to_nothing_is_a_dash(tmp_path):
    """The error of STAY in simulation is below anything that can be seen; dividing by it gave 195567003.71."""
    page = page_of(evaluation_of(Doubtful(gain=1.0), replayed=True), tmp_path)
    rows = re.findall(r"<tr>.*?</tr>", page.source[page.source.index('id="uncertainty"') :], re.DOTALL)
    (stay,) = [row for row in rows if "<th>STAY" in row]
    assert '<span class="own">–</span>' in stay


def test_an_unseen_action_is_marked_as_a_guess_wherever_it_appears(without_stay, good, tmp_path):
    text = page_of(without_stay, tmp_path).text
    assert text.count("guess: never seen in training") == 1 + 4  # the table of actions, and every grid
    assert "Predictions under STAY are guesses" in text
    assert "Training never saw STAY." in text
    assert json.loads((tmp_path / "metrics.json").read_text())["guesses"] == [STAY]
    assert "counterfactual_000_STAY-is-a-guess.png" in {path.name for path in (tmp_path / "grids").iterdir()}
    assert "guess" not in page_of(good, tmp_path).text
    assert "counterfactual_000.png" in {path.name for path in (tmp_path / "grids").iterdir()}


def test_grids_are_four_canvases_at_their_own_pixels(good, tmp_path):
    write_report(good, FACTS, tmp_path)
    names = sorted(path.name for path in (tmp_path / "grids").iterdir())
    assert names == [f"{kind}_{i:03d}.png" for kind in ("counterfactual", "error") for i in range(4)]
    pixels = np.asarray(Image.open(tmp_path / "grids" / "counterfactual_000.png"))
    assert pixels.shape == (4 * LAYOUT.height, LAYOUT.width, 3)
    middle = LAYOUT.separator_columns(-1).start
    colours = pixels[:: LAYOUT.height, middle].tolist()
    assert colours[1:] == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    assert colours[0] == [0, 255, 0]  # sample 0 was a MOVE+
    assert np.array_equal(pixels[: LAYOUT.height], good.drawn[0].truth.transpose(1, 2, 0))
    error = np.asarray(Image.open(tmp_path / "grids" / "error_000.png"))
    assert error.shape == (LAYOUT.height, 2 * LAYOUT.frame_width + LAYOUT.patch, 3)


def test_the_true_outcome_of_every_action_stands_beside_its_prediction(good, tmp_path):
    evaluation = evaluation_of(SlidingArm(gain=0.9), replayed=True)
    page = page_of(evaluation, tmp_path)
    assert "what that action really leads to" in page.text
    assert "counterfactual_effect_error" in page.text
    assert page.text.count("true ") >= 4 * 2 * 3  # samples, joints, actions
    example = evaluation.drawn[0]  # a MOVE+
    assert f"true {reading(example.positions_after[MOVE_MINUS][0], LAYOUT.joints[0])}" in page.text
    assert f"val_mse {figure(example.errors_under[MOVE_MINUS])}" in page.text
    pixels = np.asarray(Image.open(tmp_path / "grids" / "counterfactual_000.png"))
    frame, gap = LAYOUT.frame_width, LAYOUT.patch
    assert pixels.shape == (4 * LAYOUT.height, LAYOUT.width + 2 * (gap + frame), 3)
    truth = pixels[:, LAYOUT.width + gap :][:, :frame].reshape(4, LAYOUT.height, frame, 3)
    assert (truth[0] == 255).all()  # the truth itself needs none
    for code in (STAY, MOVE_PLUS, MOVE_MINUS):
        assert np.array_equal(truth[1 + code], example.outcomes[code].transpose(1, 2, 0))
    assert np.array_equal(truth[1 + MOVE_PLUS], example.truth.transpose(1, 2, 0)[:, -frame:])
    alone = page_of(good, tmp_path).text
    assert "really leads to from the same moment, and the error" not in alone
    assert "true " not in alone[alone.index("Counterfactual Action Grids") :]


def test_a_baseline_that_is_ahead_is_named_where_copying_is_not(tmp_path):
    rivals = {
        "persistence": Persistence(),
        "nearest-neighbour": Joined(picture=SlidingArm(gain=1.0), joints=Blind()),
        "joint-only": Joined(picture=Blind(), joints=SlidingArm(gain=1.0)),
    }
    opposite = evaluation_of(Joined(picture=SlidingArm(gain=-1.0), joints=SlidingArm(gain=0.9)), baselines=rivals)
    assert opposite.verdict("acting_joint_position_mae") == "better"
    assert opposite.ahead("acting_joint_position_mae") == "joint-only"
    assert opposite.verdict("val_mse") == opposite.verdict("val_mse", "nearest-neighbour") == "worse"
    assert opposite.ahead("val_mse") is None  # copying is better already
    text = page_of(opposite, tmp_path).text
    assert "worse on picture error of moves and structural similarity of moves. The nearest-neighbour " in text
    assert "on error where the picture changes. The joint-only baseline beats it on acting-joint position." in text
    assert re.search(r"joint-only <?[\d.]+ is better", text)
    assert "On acting-joint position, the previous position and the action" in texts(opposite)
    assert "On picture error" not in texts(opposite)
    nearly = evaluation_of(Joined(picture=SlidingArm(), joints=SlidingArm(gain=0.999)), baselines=rivals)
    assert nearly.ahead("acting_joint_position_mae") == "joint-only"
    assert "On acting-joint position" not in texts(nearly), "what is all but right needs no remedy"

    noisy = evaluation_of(Joined(picture=Noisy(SlidingArm(), 0.03), joints=SlidingArm(gain=0.9)), baselines=rivals)
    text = page_of(noisy, tmp_path).text
    assert "beats copying the last frame on all 4 key figures. The nearest-neighbour baseline beats it on " in text
    assert "structural similarity of moves. The joint-only baseline beats it on acting-joint position." in text
    assert "On picture error of moves, the training transition" in texts(noisy)


def test_the_table_marks_the_best_baseline_and_those_ahead(tmp_path):
    rivals = {"persistence": Persistence(), "joint-only": SlidingArm(gain=1.0), "mean-frame": Blind()}
    write_report(evaluation_of(SlidingArm(gain=0.9), baselines=rivals), FACTS, tmp_path)
    rows = re.findall(r"<tr>.*?</tr>", (tmp_path / "report.html").read_text())
    (row,) = [row for row in rows if "acting_<wbr />joint_<wbr />position" in row]
    assert re.findall(r'<td(?: class="(.*?)")?>', row)[2:5] == ["", "best ahead", ""]
    (row,) = [row for row in rows if "action_<wbr />discrimination" in row]
    assert "best" not in row  # the largest difference is not the goal
    alone = write_report(evaluation_of(SlidingArm(gain=0.9)), FACTS, tmp_path).read_text()
    assert not re.search(r'<td class="[^"]*best', alone)  # of one


def test_directions_have_rivals_only_among_those_who_move():
    rivals = {"persistence": Persistence(), "joint-only": SlidingArm(gain=1.0)}
    evaluation = evaluation_of(SlidingArm(gain=-1.0), baselines=rivals)
    assert evaluation.verdict("acting_joint_direction_accuracy") is None
    assert evaluation.verdict("acting_joint_direction_accuracy", "joint-only") == "worse"
    assert evaluation.verdict("counterfactual_order", "joint-only") is None


def test_another_run_stands_beside(good, bad, tmp_path):
    write_report(bad, FACTS, tmp_path / "old")
    against = json.loads((tmp_path / "old" / "metrics.json").read_text())
    text = page_of(good, tmp_path / "new", against=against, against_name="iteration_2").text
    assert "iteration_2" in text
    assert figure(against["val_mse"]) in text
    foreign = {"val_mse": 0.0102, "motor_position_mae_per_joint": [0.5]}  # other joints, fewer metrics
    assert "0.0102" in page_of(good, tmp_path / "newer", against=foreign).text


def test_a_new_report_replaces_the_old_one_and_only_it(good, without_stay, tmp_path):
    write_report(without_stay, FACTS, tmp_path)
    (tmp_path / "mine.txt").write_text("keep")
    write_report(good, FACTS, tmp_path)
    written = {"examples.npz", "grids", "metrics.json", "report.html", "samples.parquet"}
    assert {path.name for path in tmp_path.iterdir()} == {"mine.txt", *written}
    assert not [path for path in (tmp_path / "grids").iterdir() if "guess" in path.name]


def test_somebody_elses_files_stay(good, tmp_path):
    write_report(good, FACTS, tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("kept")
    (tmp_path / "examples.npz").unlink()
    (tmp_path / "examples.npz").mkdir()
    (tmp_path / "examples.npz" / "notes.txt").write_text("under a name of ours")
    (tmp_path / ".new").mkdir()  # what a killed forearm of before 2026-11-26 left
    (tmp_path / "grids" / "old.png").touch()
    inode = (tmp_path / "metrics.json").stat().st_ino
    write_report(good, FACTS, tmp_path)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "kept"
    assert (tmp_path / "examples.npz.before" / "notes.txt").read_text() == "under a name of ours"
    assert (tmp_path / "examples.npz").is_file()
    assert not (tmp_path / ".new").exists()
    assert not (tmp_path / "grids" / "old.png").exists()
    assert (tmp_path / "metrics.json").stat().st_ino != inode


def test_the_folder_is_replaced_as_one(good, bad, tmp_path, monkeypatch):
    """A process that is killed at any moment leaves the files of one evaluation: none is replaced in the folder."""
    folder = tmp_path / "evaluation"
    write_report(bad, FACTS, folder)
    before = files_of(folder)
    moments = []

    def watched(system_call):
        def call(*args, **kwargs):
            moments.append(files_of(folder) if folder.is_dir() else {})
            return system_call(*args, **kwargs)

        return call

    for module, name in ((os, "replace"), (os, "rename"), (os, "unlink"), (shutil, "rmtree"), (Path, "unlink")):
        monkeypatch.setattr(module, name, watched(getattr(module, name)))
    write_report(good, FACTS, folder)
    monkeypatch.undo()
    after = files_of(folder)
    assert before != after
    assert before in moments
    assert all(moment in (before, after) for moment in moments)


def test_a_failure_leaves_the_old_report(good, tmp_path, monkeypatch):
    write_report(good, FACTS, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(ForearmError, match="No space left"):
        write_report(good, FACTS, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_report_needs_no_notes_log_or_settings(good, tmp_path):
    page = page_of(good, tmp_path, notes="", log=[], settings={})
    assert "Analysis Notes" not in page.text
    assert "Settings" not in page.text


def texts(evaluation, log=()):
    return " ".join(advice.text for advice in recommend(evaluation, list(log)))


def with_metrics(evaluation, **metrics):
    return dataclasses.replace(evaluation, metrics=evaluation.metrics | metrics)


def test_recommendations_follow_from_the_figures(good, bad):
    assert recommend(good, []) == []
    assert "hardly depends on the action" in texts(bad)
    assert "worse than no motion" not in texts(good)
    opposite = texts(evaluation_of(SlidingArm(gain=-1.0)))
    assert "wrong way" in opposite
    assert "worse than no motion" in opposite
    reference = "Motor position and velocity predictions are inconsistent. Consider adding a consistency loss"
    assert reference in texts(with_metrics(good, motor_consistency_error=1.95, motor_position_mae_mean=1.70))
    assert reference not in texts(with_metrics(good, motor_consistency_error=1.60, motor_position_mae_mean=1.70))
    assert reference not in texts(with_metrics(good, motor_consistency_error=0.1, motor_position_mae_mean=0.05))
    wide = dataclasses.replace(good, intervals=good.intervals | {"val_mse": (0.0, 0.01)})
    assert "Hold out more episodes" in texts(wide)
    for advice in recommend(bad, []):
        assert re.search(r"\d", advice.figure)
        assert advice.rule


def test_a_wrong_effect_of_the_action_is_worse_than_none():
    assert "further from the truth than no difference" in texts(evaluation_of(SlidingArm(gain=-1.0), replayed=True))
    assert "further from the truth than no difference" not in texts(evaluation_of(Blind(), replayed=True))
    assert "further from the truth than no difference" not in texts(evaluation_of(SlidingArm(gain=-1.0)))  # who knows


def validations(*losses):
    return [{"step": 100 * i, "val_loss": loss} for i, loss in enumerate(losses)]


@pytest.mark.parametrize(
    ("name", "groups", "says"),
    [
        ("val_mse_static", 9, "the model disturbs what stands still"),
        ("val_mse_static", 2, "the model disturbs what stands still"),
        ("motor_velocity_mae_mean", 9, "Copying the last frame is better on these figures."),
    ],
)
def test_what_is_worse_than_copying_is_never_passed_over(good, name, says, groups):
    """A report said that there was nothing to mend while the static error was 50 times copying's."""
    copied = good.baselines["persistence"]
    found = Difference(0.49, (0.4, 0.5), 1e-9, groups, relevant=True)
    copied = dataclasses.replace(
        copied, metrics=copied.metrics | {name: 0.01}, differences=copied.differences | {name: found}
    )
    worse = dataclasses.replace(with_metrics(good, **{name: 0.5}), baselines={"persistence": copied})
    (one,) = recommend(worse, [])
    assert says in one.text
    assert one.figure == f"{name} 0.500, copying 0.0100"


@pytest.mark.parametrize("predictor", [Blind(), Noisy(SlidingArm(), 0.05), SlidingArm(gain=-1.0)])
def test_beside_an_untrained_baseline_all_that_is_worse_than_copying_is_named(predictor):
    evaluation = evaluation_of(predictor, baselines={PERSISTENCE: Persistence(), UNTRAINED: Blind()})
    worse = {metric.name for metric in CATALOGUE if evaluation.verdict(metric.name) == "worse"}
    named = " ".join(one.figure for one in recommend(evaluation, []))
    assert worse
    assert {name for name in worse if not re.search(rf"\b{name}\b", named)} == set()


def test_recommendations_follow_from_the_training_curve(good):
    assert "still improving" in texts(good, validations(10, 8, 6, 5, 4, 3.5))
    assert "overfit" in texts(good, validations(10, 4, 3, 3.2, 3.5, 4))
    assert texts(good, validations(10, 4, 3, 3.0, 3.0, 3.0)) == ""
    assert texts(good, validations(10, 5)) == ""  # too few to tell


def test_heat_runs_from_blue_to_red():
    none, half, all_of_it = heat_map(np.array([[0.0, 0.5, 9.0]]), top=1.0)[0].astype(int)
    assert none[2] > none[0]
    assert half[1] > max(half[0], half[2])
    assert all_of_it[0] > all_of_it[2]


def test_charts_take_the_page_s_colours():
    x = np.arange(1, 5)
    svg = line_chart({"training": (x, 1 / x), "validation": (x, 2 / x)}, "step", "loss", log=True)
    assert svg.startswith("<svg")
    assert "currentColor" in svg
    assert "var(--series-2)" in svg
    assert "#0102" not in svg
    assert "metadata" not in svg


SURE = {
    "+": Difference(1.5, (1.0, 2.0), 1e-6, 9, relevant=True),
    "-": Difference(-1.5, (-2.0, -1.0), 1e-6, 9, relevant=True),
    "0": Difference(0.0, (-1.0, 1.0), 1.0, 9, relevant=False),
    "?": None,
}


def rollouts_of(psnrs, verdicts, ssim_verdicts, step=None, similarity=0.5, paths=9):
    """Rollouts with given PSNR of the model (persistence has 10 dB), in which a verdict is "+", "−" or "0".

    A step lasts so many seconds. After it the model has that SSIM, persistence 0.25.
    """
    steps, k = 1 + np.arange(len(psnrs)), len(psnrs)
    level = [SURE["0"]] * k
    random = np.random.default_rng(0)
    hard = np.linspace(-0.1, 0.1, paths)[:, None].repeat(k, axis=1)
    alike = {MODEL: similarity + 1.1 * hard, PERSISTENCE: 0.25 + hard, MEAN_FRAME: 0.3 + hard}
    shape = (k, 3, LAYOUT.height, LAYOUT.frame_width)
    film = Film(
        rows=np.arange(7, 7 + k),
        codes=np.arange(k) % 3,
        actions=np.array([0, 1, -1], np.float32)[np.arange(k) % 3, None],
        start=random.integers(0, 255, shape[1:], np.uint8),
        truth=random.integers(0, 255, shape, np.uint8),
        predicted=random.integers(0, 255, shape, np.uint8),
        psnr=np.array(psnrs),
    )
    return Rollouts(
        horizons=steps,
        paths=9,
        groups=5,
        grouped_by="episodes",
        curves={
            MODEL: {name: list(psnrs) if name == "psnr" else [0.5] * k for name in CURVES},
            PERSISTENCE: {name: [10.0] * k if name == "psnr" else [0.25] * k for name in CURVES},
        },
        intervals=dict.fromkeys(CURVES, [(0.4, 0.6)] * k),
        differences={
            PERSISTENCE: dict.fromkeys(CURVES, level)
            | {"psnr": [SURE[v] for v in verdicts], "ssim": [SURE[v] for v in ssim_verdicts]}
        },
        films=[film],
        ahead={who: dict.fromkeys(CURVES, [7] * k) for who in (PERSISTENCE, MEAN_FRAME)},
        fed_back=FedBack.of(alike, np.arange(paths), step),
    )


def test_rollouts_say_how_far_the_model_can_be_trusted(good, tmp_path):
    rolled = dataclasses.replace(good, rollouts=rollouts_of([24.5, 20.25, 16.0, 11.0], "+++0", "0---"))
    page = page_of(rolled, tmp_path)
    headings = re.findall(r"<h2>(.*?)</h2>", page.source)
    assert headings[3:6] == ["Counterfactual Action Grids", "Rollouts", "Where the model errs"]
    assert page.source.index("<video") < page.source.index('class="headline"')
    assert (
        "The predicted picture is surely nearer to the truth than the first frame at steps 1 to 3 by PSNR. "
        "It is surely further from the truth than the first frame at steps 2 to 4 by structural similarity. "
        "At step 4 it is nearer to the truth than the first frame in 7 of 9 paths by squared error: "
        "too few paths to be sure of any step."
    ) in page.text
    assert "4 steps along 9 recorded paths from 5 episodes" in page.text
    assert re.search(r"psnr ↑ ?24\.5 ?20\.2 ?16\.0 ?11\.0", page.text)
    assert "step 4" in page.text
    written = json.loads((tmp_path / "metrics.json").read_text())["rollouts"]
    assert written["curves"][MODEL]["psnr"] == [24.5, 20.25, 16.0, 11.0]
    assert written["verdicts"]["psnr"] == ["better"] * 3 + ["level"]
    assert "Rollouts" not in page_of(good, tmp_path).text


def test_what_is_fed_back_stands_first(good, tmp_path):
    def page(step=0.5, steps=6, **options):
        rollouts = rollouts_of([24.0] * steps, "+" * steps, "+" * steps, step, **options)
        return page_of(evaluation_of(SlidingArm(gain=0.9), rollouts=rollouts), tmp_path)

    sure = page()
    assert re.search(r"structural similarity, fed back for 2 s ↑ ?0\.500 ?copying 0\.250 · better", sure.text)
    assert sure.source.index("fed back for 2 s") < sure.source.index("picture error of moves ↓")
    assert "on all 5 key figures" in sure.text
    assert re.search(r"ssim_fed_back ↑ ?9 ?0\.500 ?0\.4\d+ to 0\.5\d+", sure.text), "a line of the table"
    worse = page(steps=2, similarity=0.1)
    assert "It is worse on structural similarity, fed back for 1 s." in worse.text
    assert "Copying the last frame is better on these figures." in worse.text
    assert "structural similarity, fed back for 3 steps" in page(None, 3).text
    assert re.search(r"fed back for 2 s ↑ ?0\.500 ?copying 0\.250 · too few to tell", page(paths=5).text)
    without = page_of(good, tmp_path)
    assert "fed back for" not in without.text
    assert FED_BACK not in without.text[: without.text.index("What the metrics mean")]


def test_another_baseline_that_is_better_fed_back_is_named(tmp_path):
    rollouts = rollouts_of([24.0] * 6, "++++++", "++++++", 0.5, similarity=0.27)
    baselines = {PERSISTENCE: Persistence(), MEAN_FRAME: Blind()}
    text = page_of(evaluation_of(SlidingArm(gain=0.9), rollouts=rollouts, baselines=baselines), tmp_path).text
    assert "The mean-frame baseline beats it on structural similarity, fed back for 2 s." in text
    assert "mean-frame 0.300 is better" in text


@pytest.mark.parametrize(
    ("verdicts", "says"),
    [("++++", "at each of 4 steps by PSNR"), ("+0++", "at 3 of 4 steps by PSNR"), ("0+00", "at 1 of 4 steps by PSNR")],
)
def test_the_steps_at_which_the_model_is_better_are_named(good, tmp_path, verdicts, says):
    rolled = dataclasses.replace(good, rollouts=rollouts_of([24.0, 20.0, 16.0, 11.0], verdicts, "++++"))
    assert says in page_of(rolled, tmp_path).text


@pytest.mark.parametrize(
    ("mine", "mean", "differences", "says"),
    [
        ([1.0] * 3, [3.0] * 3, "000", "than the mean frame in 7 of 9 paths: too few paths to be sure of any step."),
        ([1.0] * 3, [3.0] * 3, "---", "surely nearer to the truth than the mean frame at each of 3 steps."),
        ([1.0, 2.0, 5.0], [3.0] * 3, "-0+", "From step 2 on the predicted picture is no longer"),
        ([5.0] * 3, [3.0] * 3, "+++", "surely nearer to the truth than the mean frame at no step."),
        ([1.0, 4.0, 1.0], [3.0] * 3, "-0-", "than the mean frame at 2 of 3 steps."),
        ([1.0, 2.0, 5.0], [3.0] * 3, "???", "From step 3 on the predicted picture is no longer nearer"),
    ],
)
def test_the_step_from_which_the_mean_frame_is_as_good_is_named(mine, mean, differences, says):
    rollouts = rollouts_of([20.0] * 3, "+++", "+++")
    rollouts.curves[MODEL]["val_mse"], rollouts.curves[MEAN_FRAME] = mine, {"val_mse": mean}
    rollouts.differences[MEAN_FRAME] = {"val_mse": [SURE[of] for of in differences]}
    claim = mean_frame_claim(rollouts)
    assert says in claim
    assert ("episodes are too few to be sure" in claim) == ("?" in differences)


def test_without_a_mean_frame_nothing_is_said_of_it():
    assert mean_frame_claim(rollouts_of([20.0], "+", "+")) == ""


def test_the_film_shows_truth_beside_prediction_step_by_step(good, tmp_path):
    rolled = dataclasses.replace(good, rollouts=rollouts_of([24.0, 20.0, 16.0], "+++", "+++"))
    (first,) = rolled.rollouts.films
    frames = film_frames(LAYOUT, first)
    assert len(frames) == 4, "the start and every step"
    height, width = frames[0].shape[:2]
    assert height % 2 == width % 2 == 0
    half = width // 2
    assert np.array_equal(frames[0][50:90, 20 : half - 20], frames[0][50:90, half + 14 : -26 + half % 2])
    assert not np.array_equal(frames[1][50:90, 20 : half - 20], frames[1][50:90, half + 14 : -26 + half % 2])
    assert len({frame.tobytes() for frame in frames}) == 4
    page = page_of(rolled, tmp_path)
    encoded = re.search(r'<video src="data:video/mp4;base64,([^"]+)" poster="data:image/webp', page.source)[1]
    with av.open(io.BytesIO(base64.b64decode(encoded))) as video:
        assert sum(1 for _ in video.decode(video=0)) == 4


def test_what_is_sure_at_no_step_is_counted_in_paths(good, tmp_path):
    rollouts = rollouts_of([24.0, 20.0], "00", "00")
    rollouts.ahead[PERSISTENCE] |= {"val_mse": [9, 9], "ssim": [9, 2]}
    text = page_of(dataclasses.replace(good, rollouts=rollouts), tmp_path).text
    assert (
        "At step 2 the predicted picture is nearer to the truth than the first frame in 9 of 9 paths by squared error, "
        "in 7 of 9 paths by PSNR and in 2 of 9 paths by structural similarity: sure at no step."
    ) in text


def test_one_episode_of_rollouts_claims_nothing(good, tmp_path):
    rolled = dataclasses.replace(good, rollouts=rollouts_of([24.0, 20.0], "??", "??"))
    text = page_of(rolled, tmp_path).text
    assert "Rollouts" in text
    assert "surely nearer to the truth than the first frame" not in text


def test_an_unseen_action_is_a_guess_in_films_too(without_stay, tmp_path):
    rolled = dataclasses.replace(without_stay, rollouts=rollouts_of([24.0, 20.0, 16.0], "+++", "+++"))
    assert page_of(rolled, tmp_path).text.count("guess: never seen in training") == 1 + 4 + 1


class Doubtful(SlidingArm):
    """Errs as ``SlidingArm`` does, and expects an error that grows with what is asked."""

    def predict(self, batch):
        asked = batch.actions[:, -1, 0].abs()[:, None, None]
        columns = torch.linspace(0.5, 1.5, LAYOUT.frame_width)
        expected = (0.001 + 0.01 * asked) * columns.expand(len(batch), LAYOUT.frame_height, -1)
        return dataclasses.replace(super().predict(batch), expected_error=expected)


def test_uncertainty_stands_beside_the_truth(tmp_path):
    page = page_of(evaluation_of(Doubtful(gain=0.0), replayed=True, kinds={(0, MOVE_PLUS): 8}), tmp_path)
    uncertainty = json.loads((tmp_path / "metrics.json").read_text())["uncertainty"]
    assert (
        page.text.index("Counterfactual Action Grids")
        < page.text.index("Uncertainty The")
        < page.text.index("Training ")
    )
    assert (
        f"The model expects {figure(uncertainty['figures']['expected_error_ratio'])} times the squared error"
        in page.text
    )
    low, high = uncertainty["intervals"]["expected_error_ratio"]
    assert f"(95% interval {figure(low)} to {figure(high)})" in page.text
    assert "Training never saw MOVE−. The model expects 1.00 times the error of the moves that it knows." in page.text
    assert "The true error is 1.00 times as large." in page.text
    for kind in uncertainty["kinds"]:
        assert figure(kind["expected"]) in page.text
        assert figure(kind["true"]) in page.text
    assert "error that it expects" in page.text
    assert page.needs_nothing_else()


def test_who_expects_no_error_is_not_asked_about_it(good, tmp_path):
    page = page_of(good, tmp_path)
    assert "Uncertainty" not in page.text
    assert "error that it expects" not in page.text


def test_moves_are_only_called_unknown_where_that_is_known():
    asked = evaluation_of(Doubtful(), kinds=None)
    assert "never saw" not in " ".join(uncertainty_section(asked)["claims"])
    assert {kind["seen"] for kind in uncertainty_section(asked)["kinds"]} == {None}
    strange = evaluation_of(Doubtful(), kinds={})
    assert uncertainty_section(strange)["claims"][-1] == "Training saw none of these moves."
    untaken = evaluation_of(Doubtful(0.5), codes=(MOVE_PLUS,), kinds={(0, MOVE_PLUS): 8})
    claims = uncertainty_section(untaken)["claims"]
    assert "never saw MOVE−" in claims[-1]
    assert "the error is" not in claims[-1]  # as nobody knows what MOVE− leads to
    assert [kind["true"] is None for kind in uncertainty_section(untaken)["kinds"]] == [True, False, True]


def test_losses_per_position_share_a_chart_in_which_the_strip_is_marked():
    figures = {
        "free_running_loss": np.array(0.25),
        "teacher_forcing_loss_per_position": np.linspace(0.1, 0.2, 20),
        "free_running_loss_per_position": np.linspace(0.1, 0.9, 20),
        "squared_error_per_patch": np.ones((5, 4)),
        "spread": np.arange(3.0),
    }
    shown = {extra["name"]: extra for extra in extras(LAYOUT, figures)}
    assert list(shown) == ["free_running_loss", "squared_error_per_patch", "spread", "loss_per_position"]
    assert shown["free_running_loss"]["value"] == "0.250"
    assert "predicted before it" in shown["free_running_loss"]["text"]
    for words in ("teacher forcing", "free running", "motor strip"):
        assert f">{words}<" in shown["loss_per_position"]["svg"]
    assert shown["spread"]["kind"] == "chart"


def test_maps_of_errors_share_a_scale():
    """Two maps that were to be compared each ended at their own largest error."""
    figures = {name: scale * np.ones((5, 4)) for name, scale in (("squared_error_per_patch", 1), ("attention", 7))}
    figures["expected_error_per_patch"] = 2 * np.ones((5, 4))
    assert {extra["name"]: extra["top"] for extra in extras(LAYOUT, figures)} == {
        "squared_error_per_patch": "2.00",
        "expected_error_per_patch": "2.00",
        "attention": "7.00",
    }


def test_losses_by_noise_level_are_bars_with_the_levels_names():
    (extra,) = extras(LAYOUT, {"loss_by_noise_level": np.array([0.001, 0.01, 0.1, 0.2])})
    for words in ("0 to ¼", "¾ to 1", "0.00100", "share of noise"):
        assert f">{words}<" in extra["svg"]
    (other,) = extras(LAYOUT, {"loss_by_noise_level": np.ones(7)})
    assert "¼" not in other["svg"]


def test_a_wide_interval_does_not_flatten_the_curves():
    x, y = np.arange(5), np.linspace(0, 1, 5)
    chart = line_chart({"this": (x, y)}, "steps", "error", bands={"this": np.array([y - 1000, y + 1000])})
    assert "1000" not in chart
    assert ">1.0<" in chart


def test_rounding_does_not_stretch_a_log_axis():
    x, y = np.arange(1, 5), np.array([1e-16, 1e-5, 1e-4, 1e-3])
    assert not re.search(r">(0|[\d.]+ × 10⁻¹[3-9])<", line_chart({"loss": (x, y)}, "", "loss", log=True))


def test_a_chart_has_a_colour_for_each_curve_and_band():
    x = np.arange(1, 5)
    names = ("model", "persistence", "mean-frame", "neighbour", "joint-only")
    bands = {"model": np.stack([x - 0.5, x + 0.5])}
    svg = line_chart({name: (x, x * i) for i, name in enumerate(names)}, "steps", "error", bands=bands)
    assert {f"var(--series-{i + 1})" for i in range(5)} <= set(re.findall(r"var\(--series-\d\)", svg))
    assert "opacity: 0.18" in svg
    assert "#0102" not in svg
    assert "#0102" not in bar_chart({"a": 1.0}, "x", "y")


def test_what_the_action_answers_is_marked_and_not_counted(good, tmp_path):
    given = dataclasses.replace(good, layout=dataclasses.replace(LAYOUT, action_is=None))
    assert json.loads(json.dumps(given.to_json()))["given"]
    page = page_of(given, tmp_path / "given")
    assert "This model beats copying the last frame on all 3 key figures." in page.text
    assert "The action names the change of the joint" in page.text
    table = page.text[page.text.index("95% interval") :]
    for name in ("acting_joint_position_mae", "counterfactual_order"):
        assert f"{name} {METRICS[name].arrow} given by the action" in table
    assert f"motor_consistency_error {METRICS['motor_consistency_error'].arrow} given" not in table
    assert "given by the action" not in page_of(good, tmp_path / "asked").text


@pytest.mark.parametrize("floor", [4.0, 6.0])
def test_a_reader_that_errs_nearly_as_much_as_copying_judges_no_model(good, tmp_path, floor):
    name, still = "readout_position_mae", good.baselines[PERSISTENCE]
    readout = Readout(880, {name: floor}, [floor, 1.0], [20.0, 20.0], [True, True])
    seen = dataclasses.replace(
        with_metrics(good, **{name: 8.0, "readout_position_mae_per_joint": [8.0, 1.0]}),
        layout=dataclasses.replace(LAYOUT, action_is=None),
        readout=readout,
        baselines={PERSISTENCE: dataclasses.replace(still, metrics=still.metrics | {name: 10.0})},
    )
    page = page_of(seen, tmp_path)
    assert (name in seen.key_metrics) == (floor == 4)
    assert [target.name for target in key_targets(json.loads((tmp_path / "metrics.json").read_text()))] == list(
        seen.key_metrics
    )
    says = "cannot tell The reader errs by 6.00° on true pictures, more than half of the 10.0° on copied ones"
    assert (says in page.text) == (floor == 6), page.text
    assert ("it cannot tell how well the model paints the joint" in page.text) == (floor == 6)


def test_actions_are_named_in_tables_and_keys_in_the_glossary(good, tmp_path):
    text = page_of(good, tmp_path).text
    table, glossary = text.split("What the metrics mean")
    assert "val_mse of STAY ↓" in table
    assert "counterfactual_mse_action_0" not in table
    assert "val_mse_action_0" in glossary


def test_a_sample_leaves_little_empty_and_print_says_what_it_leaves_out(good, tmp_path):
    write_report(good, FACTS, tmp_path)
    with opened((tmp_path / "report.html").as_uri(), viewport={"width": 1280, "height": 800}) as page:
        heights = page.evaluate("[...document.querySelector('.card').children].map((e) => e.offsetHeight)")
        assert min(heights) > 0.65 * max(heights)
        assert page.locator(".more > summary").inner_text().endswith("more samples")
        page.emulate_media(media="print")
        assert page.locator(".more > summary").inner_text().endswith("more samples, not printed")
