"""Where sessions begin: data that do not fit are refused, and the simulator does what the session does."""

import dataclasses
from importlib.util import find_spec

import numpy as np
import pytest
from play.arms import simulated_layout

from forearm.base.errors import ForearmError
from forearm.canvas import MOVE_MINUS, MOVE_PLUS, STAY
from forearm.evaluation.baselines import Persistence
from forearm.play.session import PlaySession
from forearm.play.starts import Recording, Simulation
from forearm.transitions import TransitionSet

needs_simulator = pytest.mark.skipif(find_spec("mujoco") is None, reason="needs the extra `sim`")


def test_starts_are_the_datasets_moments(data):
    source = Recording(data)
    for number in (0, 7, source.count - 1):
        start = source.begin(number)
        row = np.array([number])
        assert np.array_equal(start.context.canvas, data.batch(row).context().canvas)
        assert np.array_equal(start.truth.observe().picture, data.frames[data.columns.frames[number, -2]])
    assert source.begin(source.usual).note == "episode 6 of data, validation"


def test_an_empty_dataset_has_no_frames(data):
    empty = TransitionSet(data.path)
    empty.columns = dataclasses.replace(
        empty.columns, **{f.name: getattr(empty.columns, f.name)[:0] for f in dataclasses.fields(empty.columns)}
    )
    with pytest.raises(ForearmError, match="no frames to begin from"):
        Recording(empty)


def test_every_recorded_outcome_of_a_moment_is_true(data, monkeypatch):
    """Where several episodes show the same moment, each of their actions leads to what they show."""
    outcomes = data.outcome_rows.copy()
    row = int(np.flatnonzero(data.codes == MOVE_PLUS)[0])
    other = int(np.flatnonzero(data.codes == MOVE_MINUS)[0])
    outcomes[row, MOVE_MINUS] = other
    monkeypatch.setitem(data.__dict__, "outcome_rows", outcomes)
    source = Recording(data)
    session = PlaySession(Persistence(), source.begin(row))
    assert np.array_equal(session.step(MOVE_MINUS).truth.picture, data.frames[data.columns.frames[other, -1]])
    session.undo()
    assert session.step(STAY).truth is None


@needs_simulator
def test_the_simulator_does_what_the_dream_does_and_comes_back():
    layout = simulated_layout()
    source = Simulation(layout, 0)
    assert (source.title, source.counts) == ("simulator, scene 0", "pose")
    one, other = (PlaySession(Persistence(), source.begin(number)) for number in (0, 1))
    start = one.now.truth.joints[0]
    went = one.step(MOVE_PLUS).truth
    assert went.joints[0] - start == pytest.approx(10, abs=1)
    assert (went.picture != one.path[0].truth.picture).any()
    other.choose(1)
    other.step(MOVE_MINUS)  # another visitor's session moves the same simulator
    one.undo()
    again = one.step(MOVE_PLUS).truth
    assert np.array_equal(again.joints, went.joints)
    assert np.array_equal(again.picture, went.picture)
    assert one.step(STAY).truth.joints[0] == pytest.approx(went.joints[0], abs=0.5)
    assert np.array_equal(source.begin(0).truth.observe().picture, one.path[0].truth.picture)
