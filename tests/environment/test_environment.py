"""Worlds are reset, step, and go back exactly; an imagined one keeps to its truth and to the batched rollout."""

import numpy as np
import pytest
import torch
from support.tiny import make_layout, write_data

from forearm.base.errors import ForearmError
from forearm.batch import Prediction
from forearm.canvas import MOVE_PLUS, STAY, Action, ActionDimension
from forearm.environment import ImaginedEnvironment, RecordedEnvironment, rollout
from forearm.evaluation.baselines import JointOnly

MOVES = [
    Action(np.array(values, np.float32), dimension) for values, dimension in (([1, 0], 0), ([0, -1], 1), ([0, 0], 0))
]


@pytest.fixture(scope="module", params=[2, 3])
def data(request, tmp_path_factory):
    dimensions = (ActionDimension("pan", "pan", "deg", 10.0), ActionDimension("lift", "lift", "deg", 10.0))
    return write_data(tmp_path_factory.mktemp("world") / "data", make_layout(history=request.param, actions=dimensions))


def imagined(data, row: int = 0) -> ImaginedEnvironment:
    truth = RecordedEnvironment(data)
    truth.reset(row)
    world = ImaginedEnvironment(JointOnly(data), truth=truth)
    world.reset(data.batch(np.array([row])).context())
    return world


def test_a_step_is_the_rollout_of_its_actions(data) -> None:
    world = imagined(data)
    seen = [world.step(move) for move in MOVES]
    values = torch.from_numpy(np.stack([move.values for move in MOVES]))[None].repeat(2, 1, 1)
    dimensions = torch.tensor([[move.dimension for move in MOVES]] * 2)
    steps = rollout(JointOnly(data), data.batch(np.array([5, 0])).context(), values, dimensions)
    for observation, step in zip(seen, steps, strict=True):
        np.testing.assert_array_equal(observation.picture, step.observation(data.layout, 1).picture)
        np.testing.assert_allclose(observation.joints, step.observation(data.layout, 1).joints)
        assert observation.expected_error is None


def test_a_preview_is_the_step_that_it_becomes(data) -> None:
    one, other = imagined(data), imagined(data)
    previews = one.preview(MOVES)
    one.enter(previews[1])
    other.step(MOVES[1])
    assert torch.equal(one.state.context.canvas, other.state.context.canvas)
    assert torch.equal(one.state.prediction.frame, other.state.prediction.frame)
    assert one.state.number == previews[1].number != other.state.number


def test_undo_goes_back_with_the_truth(data) -> None:
    world = imagined(data)
    states = [world.state]
    for _ in range(3):
        world.step(world.truth.recorded())
        states.append(world.state)
    assert all(state.truth is not None for state in states)
    assert states[0].error.max() == 0
    world.undo(2)
    assert world.state is states[1]
    assert world.truth.state is states[1].truth
    world.undo(7)  # at the start there is nothing more to take back
    assert world.history == [states[0]]
    assert world.truth.history == [states[0].truth]


def test_what_is_recorded_is_known_while_one_does_what_was_done(data) -> None:
    world = RecordedEnvironment(data)
    row = int(np.flatnonzero((data.codes == MOVE_PLUS) & (data.followers >= 0))[0])
    frames = data.columns.frames
    assert np.array_equal(world.reset(row).picture, data.frames[frames[row, -2]])
    assert np.array_equal(world.step(world.recorded()).picture, data.frames[frames[row, -1]])
    world.undo()
    other = Action(-world.recorded().values, world.recorded().dimension)
    assert other.code not in (STAY, MOVE_PLUS)
    assert world.step(other) is world.step(other) is world.recorded() is None
    world.undo(2)
    assert world.recorded().code == MOVE_PLUS


def test_a_world_that_fails_stays_as_it_was(data, monkeypatch) -> None:
    world = imagined(data)
    world.step(MOVES[0])
    before = list(world.history), list(world.truth.history)
    monkeypatch.setattr(world.predictor, "predict", lambda batch: Prediction(torch.full((1, 3, 24, 8), torch.nan)))
    with pytest.raises(ForearmError, match="no numbers"):
        world.step(MOVES[0])
    assert (world.history, world.truth.history) == before


def test_a_path_keeps_no_more_than_its_own_steps(data) -> None:
    world = imagined(data)
    world.enter(world.preview(MOVES * 5)[0])
    for tensor in (world.state.context.canvas, world.state.prediction.frame):
        assert tensor.untyped_storage().nbytes() == tensor.nbytes
