"""Dreams: previews are what the model says alone, steps are previews, undo is exact, and each goes its own way."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tiny import make_layout, write_data

from forearm.base.errors import ForearmError
from forearm.batch import Prediction
from forearm.canvas import CODES, MOVE_PLUS, ActionDimension, decode_strip
from forearm.environment import rollout
from forearm.evaluation.baselines import Persistence
from forearm.models import make_model
from forearm.play.session import PlaySession
from forearm.play.starts import Recording

RECORDED = 3
"""After the three codes, the number of the action that was recorded, where it is none of theirs."""


@pytest.fixture(scope="module", params=["short", "long"])
def source(request, data, long_memory):
    chosen = data if request.param == "short" else long_memory
    return Recording(chosen)


@pytest.fixture(scope="module")
def model(source, small):
    torch.manual_seed(0)
    model = make_model("warp", source.data.layout, small).eval()
    for weights in model.parameters():  # fresh, it would only copy
        torch.nn.init.normal_(weights, std=0.2)
    return model


def dreaming(model, source, number=3):
    return PlaySession(model, source.begin(number))


def looks(session):
    """Everything that a session shows and goes on from."""
    now = session.now
    return [
        now.number,
        now.observation.picture,
        now.observation.joints,
        *(getattr(now.context, name).numpy() for name in ("canvas", "positions", "actions", "dimensions", "rows")),
        *(array for p in session.previews() for array in (p.prediction.frame.numpy(), *vars(p.observation).values())),
    ]


def same(one, other):
    return len(one) == len(other) and all(np.array_equal(a, b, equal_nan=True) for a, b in zip(one, other, strict=True))


def test_previews_are_three_single_predictions(model, source):
    session, context = dreaming(model, source), source.begin(3).context
    for code, preview in zip(CODES, session.previews(), strict=False):
        alone = context.with_action(torch.from_numpy(preview.action.values)[None], torch.tensor([session.dimension]))
        with torch.inference_mode():
            expected = model.predict(alone)
        torch.testing.assert_close(preview.prediction.frame, expected.frame, atol=1e-5, rtol=0)
        torch.testing.assert_close(preview.prediction.expected_error, expected.expected_error, atol=1e-5, rtol=1e-4)
        assert preview.action.code == code
        drawn = decode_strip(source.data.layout, preview.prediction.frame.numpy())[0][0]
        np.testing.assert_allclose(preview.observation.joints, drawn, atol=1e-3)


def test_a_path_is_the_rollout_of_its_actions(model, source):
    session, taken = dreaming(model, source), [1, 0, 2, 2, 1]
    dimensions = [0, 0, len(source.data.layout.actions) - 1, 0, 0]
    for which, dimension in zip(taken, dimensions, strict=True):
        session.choose(dimension)
        session.step(which)
    values = np.stack([step.action.values for step in session.path[1:]])
    frames = rollout(model, source.begin(3).context, torch.from_numpy(values)[None], torch.tensor(dimensions)[None])
    for step, frame in zip(session.path[1:], frames, strict=True):
        # batches of other sizes round otherwise, and where two sources of a pixel are level either may be taken
        assert (step.prediction.frame - frame.frame).abs().mean() < 1e-5


@settings(max_examples=15, deadline=None)
@given(walk=st.lists(st.integers(0, 2), min_size=1, max_size=6), back=st.integers(1, 6))
def test_undo_is_exact(model, source, walk, back):
    session, seen = dreaming(model, source), []
    for which in walk:
        seen.append(looks(session))
        session.step(which)
    for _ in range(min(back, len(walk))):
        session.undo()
        assert same(looks(session), seen.pop())


def test_going_back_is_undoing_all_since(model, source):
    session = dreaming(model, source)
    for which in (1, 2, 0):
        session.step(which)
    target = session.path[1].number
    session.back_to(target)
    assert [moment.number for moment in session.path] == [session.path[0].number, target]
    with pytest.raises(ForearmError, match="no state"):
        session.back_to(target + 1)
    session.undo()
    session.undo()  # at the start there is nothing to take back
    assert len(session.path) == 1


def test_dreams_do_not_know_of_each_other(model, source):
    one, other, alone = (dreaming(model, source) for _ in range(3))
    for mine, theirs in ((1, 2), (1, 0), (2, 2)):
        one.step(mine)
        other.step(theirs)
        alone.step(mine)
    assert same(looks(one)[1:], looks(alone)[1:])
    assert not np.array_equal(one.now.observation.joints, other.now.observation.joints)


def test_a_step_costs_no_further_prediction(model, source, monkeypatch):
    session, calls = dreaming(model, source), []
    predict = model.predict
    monkeypatch.setattr(model, "predict", lambda batch: calls.append(len(batch)) or predict(batch))
    shown = session.previews()[MOVE_PLUS]
    assert calls == [len(session.previews())]
    assert torch.equal(session.step(MOVE_PLUS).prediction.frame, shown.prediction.frame)
    assert session.now.number == shown.number
    assert len(calls) == 1


def test_models_that_fail_leave_the_path_as_it_was(model, source, monkeypatch):
    session = dreaming(model, source)
    session.step(1)
    before = [moment.number for moment in session.path]
    monkeypatch.setattr(model, "predict", lambda batch: Prediction(torch.full((3, 3, 24, 8), torch.nan)))
    with pytest.raises(ForearmError, match="no number"):
        session.step(1)
    assert [moment.number for moment in session.path] == before
    monkeypatch.undo()
    session.step(1)
    assert len(session.path) == 3


def test_what_cannot_be_asked_for(model, source):
    session = PlaySession(model, source.begin(0), longest=2)
    for refused in (
        lambda: session.step(-1),
        lambda: session.step(RECORDED),
        lambda: session.choose(-1),
        lambda: session.choose(len(source.data.layout.actions)),
        lambda: session.choose(0, 0.5),
        lambda: source.begin(-1),
        lambda: source.begin(source.count),
    ):
        with pytest.raises(ForearmError):
            refused()
    session.step(1)
    session.step(1)
    with pytest.raises(ForearmError, match="2 steps long"):
        session.step(1)


def test_models_without_doubt_have_none(source):
    session = PlaySession(Persistence(), source.begin(0))
    assert session.previews()[0].observation.expected_error is None
    assert session.step(0).observation.expected_error is None


def test_following_the_recording_shows_the_truth(data):
    source = Recording(data)
    session = dreaming(Persistence(), source, number=0)
    assert session.now.error.max() == 0  # it begins with what is there
    for row in range(6):
        assert session.start.truth.recorded().code == data.codes[row]
        session.step(session.recorded())
        truth = session.now.truth
        assert np.array_equal(truth.picture, data.frames[data.columns.frames[row, -1]])
        assert np.array_equal(truth.joints, data.states[data.columns.frames[row, -1]])
        difference = session.now.observation.picture / 255 - truth.picture / 255
        np.testing.assert_allclose(session.now.error, (difference**2).mean(-1), atol=1e-6)
    assert session.start.truth.recorded() is None  # the episode ends here
    session.step(1)
    assert session.now.truth is None
    assert session.now.error is None
    session.undo()
    assert session.now.truth is not None


@pytest.mark.parametrize("source", ["long"], indirect=True)
def test_errors_of_a_step_and_of_the_path_are_told_apart(model, source):
    """A step's error is that of one prediction from the truth: what evaluation makes of the same transition."""
    data = source.data
    session = dreaming(model, source, number=0)
    while session.start.truth.recorded() is not None:
        session.step(session.recorded())
    for row, state in enumerate(session.path[1:]):
        with torch.inference_mode():
            shown = model.predict(data.batch(np.array([row])).context()).observation(data.layout)
        error = ((shown.picture / 255 - state.truth.picture / 255) ** 2).mean()
        assert session.step_errors[state.number] == pytest.approx(error, rel=1e-3)
    errors = [(session.step_errors[state.number], float(state.error.mean())) for state in session.path[1:]]
    assert errors[0][0] == pytest.approx(errors[0][1])  # the first step is the whole path
    assert len(errors) > 2
    assert all(abs(step - path) > 1e-4 for step, path in errors[1:])
    session.step(0)
    assert session.now.number not in session.step_errors  # nobody knows the truth


def test_leaving_the_recording_ends_the_truth(data):
    source = Recording(data)
    session = dreaming(Persistence(), source, number=0)
    others = [code for code in CODES if code != session.recorded()]
    session.step(others[0])
    assert session.now.truth is None
    session.undo()
    assert session.recorded() is not None


@pytest.fixture(scope="module")
def continuous(tmp_path_factory):
    """A dataset whose actions are values of two joints, as they are where the change was the action."""
    dimensions = (ActionDimension("pan", "pan", "deg", 25.0), ActionDimension("lift", "lift", "deg", 25.0))
    return write_data(tmp_path_factory.mktemp("play") / "data", make_layout(discrete=False, actions=dimensions))


def test_continuous_amounts_are_chosen_and_what_was_recorded_can_be_done(continuous):
    source = Recording(continuous)
    moving = int(np.flatnonzero(continuous.codes == MOVE_PLUS)[0])
    session = PlaySession(Persistence(), source.begin(moving))
    assert [preview.action.values.tolist() for preview in session.previews()[:3]] == [[0, 0], [0.5, 0], [-0.5, 0]]
    assert session.recorded() == RECORDED
    np.testing.assert_allclose(session.previews()[RECORDED].action.values, [0.4, 0], atol=1e-6)
    session.choose(1, 0.8)
    np.testing.assert_allclose(session.previews()[MOVE_PLUS].action.values, [0, 0.8])
    session.choose(0, 0.4)
    assert session.recorded() == MOVE_PLUS
    assert len(session.previews()) == 3
    assert session.step(MOVE_PLUS).truth is not None
