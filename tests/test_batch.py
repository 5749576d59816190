"""What a model is given: contexts without answers, other actions, and the order of training."""

import dataclasses
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.canvases import decode
from support.tiny import make_layout, write_data

from forearm.base.errors import ForearmError
from forearm.batch import Prediction, draw_canvases, draw_strip, present, read_positions
from forearm.canvas import (
    CODES,
    MOVE_MINUS,
    MOVE_PLUS,
    STAY,
    ActionDimension,
    Camera,
    Joint,
    Observation,
    action_codes,
    decode_strip,
    draw,
    draw_strips,
    stack_pictures,
)
from forearm.canvas.actions import DEAD_BAND
from forearm.transitions import TrainingSteps, batches
from forearm.transitions.loader import batch_on, raw_batch

TENSORS = ("canvas", "positions", "actions", "dimensions", "rows")


def test_context_hides_the_answer_and_nothing_else(tiny_data):
    layout, whole = tiny_data.layout, tiny_data.batch(np.arange(5))
    before = whole.canvas.clone()
    context = whole.context()
    last = layout.frame_columns(-1)
    assert (context.canvas[..., last] == 0).all()
    assert torch.equal(context.canvas[..., : last.start], whole.canvas[..., : last.start])
    assert context.positions[:, -1].isnan().all()
    assert torch.equal(context.positions[:, :-1], whole.positions[:, :-1])
    assert torch.equal(context.actions, whole.actions)
    assert torch.equal(whole.canvas, before), "the batch itself is left as it was"
    assert not whole.positions.isnan().any()


def test_a_clone_has_the_same_numbers_in_memory_of_its_own(tiny_data):
    for batch in (tiny_data.batch(np.arange(3)), raw_batch(tiny_data, np.arange(3))):
        clone = batch.cloned()
        assert len(clone.tensors()) == 5
        for mine, theirs in zip(clone.tensors(), batch.tensors(), strict=True):
            assert torch.equal(mine, theirs)
            assert mine.data_ptr() != theirs.data_ptr()


@pytest.mark.parametrize("code", CODES)
def test_under_redraws_the_last_separator_and_nothing_else(tmp_path, code):
    dimensions = (ActionDimension("pan", "pan", "deg", 10.0), ActionDimension("lift", "lift", "deg", 10.0))
    data = write_data(tmp_path / "data", make_layout(actions=dimensions, history=3))
    layout, whole = data.layout, data.batch(data.rows())
    assert set(data.codes) == set(CODES)
    before = whole.actions.clone()
    other = whole.under(code)
    context = whole.context()
    separator = layout.separator_columns(-1)
    elsewhere = np.ones(layout.width, bool)
    elsewhere[separator] = False
    assert torch.equal(other.canvas[..., elsewhere], context.canvas[..., elsewhere])
    assert torch.equal(other.actions[:, :-1], whole.actions[:, :-1])
    assert (action_codes(other.actions[:, -1].numpy()) == code).all()
    taken = data.codes == code
    assert torch.equal(other.actions[taken], whole.actions[taken]), "its own action stays what it was"
    np.testing.assert_allclose(decode(layout, other.canvas.numpy()).actions, other.actions.numpy(), atol=1e-6)
    assert torch.equal(whole.actions, before)


def test_under_moves_the_entry_the_decision_was_about(tmp_path):
    dimensions = (ActionDimension("pan", "pan", "deg", 10.0), ActionDimension("lift", "lift", "deg", 10.0))
    data = write_data(tmp_path / "data", make_layout(actions=dimensions))
    stays = np.flatnonzero(data.codes == STAY)[:2]
    batch = dataclasses.replace(data.batch(stays), dimensions=torch.tensor([0, 1]))
    assert batch.under(MOVE_PLUS).actions[:, -1].tolist() == [[1, 0], [0, 1]]
    assert batch.under(MOVE_MINUS).actions[:, -1].tolist() == [[-1, 0], [0, -1]]


@pytest.mark.parametrize("history", [2, 3, 4])
@pytest.mark.parametrize("stacking", ["vertical", "horizontal"])
def test_then_is_what_draw_would_draw(tmp_path, history, stacking):
    dimensions = (ActionDimension("pan", "pan", "deg", 10.0), ActionDimension("lift", "lift", "deg", 10.0))
    data = write_data(tmp_path / "data", make_layout(actions=dimensions, history=history, stacking=stacking))
    layout, whole = data.layout, data.batch(np.arange(7))
    before = {name: getattr(whole, name).clone() for name in TENSORS}
    random = torch.Generator().manual_seed(0)
    region = torch.rand(7, 3, layout.height, layout.frame_width, generator=random)
    values = 2 * torch.rand(7, 2, generator=random) - 1
    after = whole.then(Prediction(region), values, torch.tensor([0, 1, 0, 1, 0, 1, 0]))

    shown = [whole.canvas[..., layout.frame_columns(t)] for t in range(1, history - 1)]
    frames = torch.stack([*shown, region, torch.zeros_like(region)], 1)[:, :, :, : layout.frame_height]
    positions = after.positions.nan_to_num(0)
    drawn = draw(layout, frames.permute(0, 1, 3, 4, 2).numpy(), positions.numpy(), after.actions.numpy())
    drawn[..., layout.frame_columns(-1)] = 0
    assert np.array_equal(after.canvas.numpy(), drawn)  # as canvas.draw_strips draws, to the last bit
    assert after.canvas.dtype == after.positions.dtype == after.actions.dtype == torch.float32

    assert after.positions[:, -1].isnan().all()
    assert torch.equal(after.positions[:, :-2], whole.positions[:, 1:-1])
    cells = [region[:, 0, y, x].mean((1, 2)) for y, x in layout.strip_cells()[:2]]
    low, high = torch.tensor(layout.lows), torch.tensor(layout.highs)
    torch.testing.assert_close(after.positions[:, -2], (low + torch.stack(cells, 1) * (high - low)).float())
    assert torch.equal(after.actions, torch.cat([whole.actions[:, 1:], values[:, None]], dim=1))
    assert after.dimensions.tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert torch.equal(after.rows, whole.rows)
    assert all(torch.equal(getattr(whole, name), value) for name, value in before.items()), "left as it was"


def test_the_mode_of_a_prediction_is_what_is_fed_back(tiny_data):
    layout, whole = tiny_data.layout, tiny_data.batch(np.arange(2))
    known, height = layout.frame_columns(-2), layout.frame_height
    frame = torch.full((2, 3, layout.height, layout.frame_width), 0.5)
    mean = Prediction(frame, whole.positions[:, -1])
    mode = torch.rand(2, 3, height, layout.frame_width, generator=torch.Generator().manual_seed(0))
    taken = whole.actions[:, -1], whole.dimensions
    before, after = whole.then(mean, *taken), whole.then(dataclasses.replace(mean, mode=mode), *taken)
    assert torch.equal(after.canvas[:, :, :height, known], mode)
    assert torch.equal(after.canvas[:, :, height:], before.canvas[:, :, height:]), "joints are drawn alike"
    both = Prediction.concatenate([dataclasses.replace(mean, mode=mode)[:1], dataclasses.replace(mean, mode=mode)[1:]])
    assert torch.equal(both.mode, mode)
    assert Prediction.concatenate([mean, dataclasses.replace(mean, mode=mode)]).mode is None
    with pytest.raises(ForearmError, match="no numbers"):
        Prediction(frame, mode=mode * torch.nan)


def test_another_last_action(tiny_data):
    layout, batch = tiny_data.layout, tiny_data.batch(np.arange(5))
    other = batch.with_action(torch.full((5, 1), -0.5), torch.zeros(5))
    assert decode(layout, other.canvas.numpy()).actions.ravel().tolist() == [-0.5] * 5
    assert (other.actions == -0.5).all()
    assert other.dimensions.dtype == torch.int64
    assert (other.canvas[..., layout.frame_columns(-1)] == 0).all()
    own = batch.with_action(batch.actions[:, -1], batch.dimensions)
    assert torch.equal(own.canvas, batch.context().canvas)


def test_a_batch_moves_as_a_whole(tiny_data):
    moved = tiny_data.batch(np.arange(3)).to("meta")
    assert len(moved) == 3
    assert {getattr(moved, name).device.type for name in TENSORS} == {"meta"}


def test_batches_come_in_order(tiny_data):
    rows = tiny_data.rows("val")[::-1]
    drawn = list(batches(tiny_data, rows, 5))
    assert [len(batch) for batch in drawn] == [5, 5, 2]
    assert torch.cat([batch.rows for batch in drawn]).tolist() == rows.tolist()


class Rows:
    """A dataset that only passes on which rows it was asked for."""

    def batch(self, rows):
        return rows

    def weights(self, rows):
        return None


@settings(max_examples=50)
@given(st.integers(1, 40), st.integers(1, 16), st.integers(0, 5))
def test_every_epoch_is_a_permutation(count, batch_size, seed):
    rows = 100 + 3 * np.arange(count)
    steps = TrainingSteps(Rows(), rows, batch_size, seed)
    strung = np.concatenate([steps[s][0] for s in range(3 * count // batch_size + 1)])
    for epoch in range(len(strung) // count):
        assert sorted(strung[epoch * count : (epoch + 1) * count]) == rows.tolist()
    assert all(len(steps[s][0]) == batch_size for s in range(5))


def test_epochs_and_seeds_differ():
    rows = np.arange(50)
    first, again, other = (TrainingSteps(Rows(), rows, 50, seed) for seed in (0, 0, 1))
    assert first[0][0].tolist() == again[0][0].tolist()
    assert first[0][0].tolist() != first[1][0].tolist()
    assert first[0][0].tolist() != other[0][0].tolist()


def test_a_resumed_order_is_the_unbroken_one():
    unbroken = TrainingSteps(Rows(), np.arange(23), 7, seed=4)
    seen = [unbroken[s][0].tolist() for s in range(12)]
    resumed = TrainingSteps(Rows(), np.arange(23), 7, seed=4)
    assert [resumed[s][0].tolist() for s in range(8, 12)] == seen[8:]


@pytest.mark.parametrize("shards", [2, 4])
def test_shards_share_out_each_step(shards):
    whole = TrainingSteps(Rows(), np.arange(30), 8, seed=0)
    parts = [TrainingSteps(Rows(), np.arange(30), 8, 0, shard, shards) for shard in range(shards)]
    for step in range(6):
        assert np.concatenate([part[step][0] for part in parts]).tolist() == whole[step][0].tolist()
        assert {len(part[step][0]) for part in parts} == {8 // shards}


def test_steps_can_be_sent_to_another_process(tiny_data):
    steps = TrainingSteps(tiny_data, tiny_data.rows("train"), 4, seed=0)
    sent = pickle.loads(pickle.dumps(steps))
    assert torch.equal(sent[3][0].canvas, steps[3][0].canvas)


@pytest.mark.parametrize("history", [2, 3])
@pytest.mark.parametrize("stacking", ["vertical", "horizontal"])
def test_the_present_is_the_context_of_a_transition_in_which_nothing_has_happened(tmp_path, history, stacking):
    layout = make_layout(history=history, stacking=stacking)
    random = np.random.default_rng(0)
    pictures = [random.integers(0, 256, (c.height, c.width, 3), np.uint8) for c in layout.cameras]
    joints = random.uniform(layout.lows, layout.highs).astype(np.float32)
    seen = present(layout, Observation(stack_pictures(layout, pictures), joints))
    frame = np.concatenate(pictures, axis=0 if stacking == "vertical" else 1)
    positions = np.repeat(joints[None, None], history, axis=1)
    nothing = np.zeros((1, history - 1, len(layout.actions)))
    drawn = draw(layout, np.repeat(frame[None, None], history, axis=1), positions, nothing)
    drawn[..., layout.frame_columns(-1)] = 0
    np.testing.assert_array_equal(seen.canvas.numpy(), drawn)
    np.testing.assert_array_equal(seen.positions[:, :-1].numpy(), positions[:, :-1])
    assert seen.positions[:, -1].isnan().all()
    assert not seen.actions.any()
    assert len(seen.repeated(3)) == 3
    assert torch.equal(seen.repeated(3).canvas[2], seen.canvas[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda picture, joints: (picture[:-1], joints), "the pictures are uint8 .*, not"),
        (lambda picture, joints: (picture / 255, joints), "are float64 .*, not uint8"),
        (lambda picture, joints: (picture, joints[:-1]), "joints are .*; give .* finite numbers: "),
        (lambda picture, joints: (picture, joints * np.nan), "joints are .*; give .* finite numbers: "),
    ],
)
def test_a_present_that_does_not_fit_is_refused(change, message):
    layout = make_layout()
    picture = np.zeros((layout.frame_height, layout.frame_width, 3), np.uint8)
    with pytest.raises(ForearmError, match=message):
        present(layout, Observation(*change(picture, np.zeros(len(layout.joints)))))


@pytest.mark.parametrize("what", ["frame", "positions", "expected_error"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_predictions_that_are_no_numbers_are_refused(what, value):
    parts = {"frame": torch.zeros(2, 3, 24, 8), "positions": torch.zeros(2, 2), "expected_error": torch.zeros(2, 16, 8)}
    prediction = Prediction(**parts)
    assert len(prediction) == len(prediction[[1, 0]]) == 2
    parts[what].view(-1)[-1] = value
    with pytest.raises(ForearmError, match=r"no numbers \(NaN or infinite\); did training diverge\?"):
        Prediction(**parts)


def test_predictions_are_put_together_and_read(tiny_data):
    layout, batch = tiny_data.layout, tiny_data.batch(np.arange(4))
    known = batch.known()
    whole = Prediction.concatenate([known[:1], known[1:]])
    assert torch.equal(whole.frame, known.frame)
    assert torch.equal(whole.joints(layout), batch.positions[:, -2])
    assert Prediction.concatenate([known, Prediction(known.frame)]).positions is None
    np.testing.assert_allclose(Prediction(known.frame).joints(layout), batch.positions[:, -2], atol=1e-4)
    assert np.array_equal(read_positions(layout, known.frame), decode_strip(layout, known.frame.numpy())[0])


def test_what_a_predictor_carries_comes_back_with_its_prediction(tiny_data):
    batch = tiny_data.batch(np.arange(3))
    numbers = torch.arange(3.0)
    prediction = Prediction(batch.known().frame, batch.positions[:, -2], carried={"number": numbers})
    following = batch.context().then(prediction, batch.actions[:, -1], batch.dimensions)
    for each in (prediction, following, following.with_action(batch.actions[:, -1], batch.dimensions)):
        assert torch.equal(each.carried["number"], numbers)
    assert following.repeated(2)[np.array([4])].carried["number"].tolist() == [2]
    assert Prediction.concatenate([prediction[:1], prediction[1:]]).carried["number"].tolist() == [0, 1, 2]
    other = Prediction(prediction.frame, prediction.positions)
    assert Prediction.concatenate([prediction, other]).carried is None
    assert following.then(other, batch.actions[:, -1], batch.dimensions).carried is None


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 7), st.sampled_from([torch.float32, torch.float64]))
def test_strips_are_drawn_as_the_canvas_draws_them(seed, joints, dtype):
    names = ["pan", "lift", *"abcde"][:joints]
    layout = make_layout(joints=tuple(Joint(name, "deg", -45 - i, 45, 5 + i) for i, name in enumerate(names)))
    positions = torch.from_numpy(np.random.default_rng(seed).uniform(-60, 60, (3, 2, joints))).to(dtype)
    drawn = draw_strip(layout, *positions.unbind(1))
    assert drawn.dtype == dtype
    np.testing.assert_allclose(drawn, draw_strips(layout, positions.numpy())[:, 1], atol=2e-6)


def test_positions_go_on_as_numbers(tiny_data):
    """What is predicted as numbers is not read from the strip, even beyond what a strip can show."""
    layout, batch = tiny_data.layout, tiny_data.batch(np.arange(2))
    there = torch.tensor([[1000.0, -1000.0], [3.25, 1.5]])
    after = batch.then(Prediction(batch.known().frame, there), batch.actions[:, -1], batch.dimensions)
    assert torch.equal(after.positions[:, -2], there)
    drawn = draw_strips(layout, np.stack([there, there], axis=1))[:, 0, None].repeat(3, axis=1)
    assert np.array_equal(after.known().frame[:, :, layout.frame_height :], drawn)


@st.composite
def recorded(draw_of):
    """A layout and transitions of it, whose joints may leave their bounds and whose actions may be too small to see."""
    joints = tuple(Joint(name, "deg", -45 - i, 45, 5 + i) for i, name in enumerate(["pan", "lift", *"abcde"]))
    joints = joints[: draw_of(st.integers(2, 7))]
    dimensions = tuple(ActionDimension(joint.name, joint.name) for joint in joints[: draw_of(st.integers(1, 7))])
    cameras = tuple(Camera(name, 8, 8) for name in "xyz"[: draw_of(st.integers(1, 3))])
    layout = make_layout(
        cameras=cameras,
        joints=joints,
        actions=dimensions,
        discrete=draw_of(st.booleans()),
        history=draw_of(st.integers(2, 4)),
        stacking=draw_of(st.sampled_from(["vertical", "horizontal"])),
    )
    random, count = np.random.default_rng(draw_of(st.integers(0, 10**6))), draw_of(st.integers(1, 3))
    shape = (count, layout.history, layout.frame_height, layout.frame_width, 3)
    positions = random.uniform(-70, 70, (count, layout.history, len(joints))).astype(np.float32)
    size = draw_of(st.sampled_from([1.0, 1.2, DEAD_BAND, 0.0]))
    actions = random.uniform(-size, size, (count, layout.history - 1, len(dimensions))).astype(np.float32)
    if layout.discrete:
        actions = np.sign(actions)
    return layout, random.integers(0, 256, shape, np.uint8), positions, actions


@settings(max_examples=60)
@given(recorded())
def test_canvases_are_drawn_on_a_device_as_the_canvas_draws_them(known):
    layout, *parts = known
    drawn = draw_canvases(layout, *map(torch.from_numpy, parts))
    assert drawn.dtype == torch.float32
    np.testing.assert_allclose(drawn, draw(layout, *parts), atol=1e-6)


def test_a_raw_batch_is_drawn_as_the_dataset_draws_it(tiny_data):
    rows = np.array([5, 0, 11])
    raw, whole = raw_batch(tiny_data, rows), tiny_data.batch(rows)
    assert raw.frames.dtype == torch.uint8
    for drawn in (raw.draw(), raw.to("cpu").draw(), batch_on(torch.device("cpu"), tiny_data, rows)):
        assert drawn.layout == whole.layout
        for name in TENSORS:
            assert torch.equal(getattr(drawn, name), getattr(whole, name))
            assert getattr(drawn, name).dtype == getattr(whole, name).dtype
    assert batch_on(torch.device("meta"), tiny_data, rows).canvas.shape == whole.canvas.shape


def test_training_steps_may_stay_raw(tiny_data):
    drawn, raw = (TrainingSteps(tiny_data, tiny_data.rows("train"), 4, 0, drawn=drawn) for drawn in (True, False))
    sent = pickle.loads(pickle.dumps(raw))
    assert torch.equal(sent[3][0].draw().canvas, drawn[3][0].canvas)
