"""The loop: what it keeps, what it accepts, why it ends, and that an interruption changes nothing."""

import dataclasses
import os
import shutil
import signal
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.learning import BarWorld, bar_layout, bar_run, learner
from support.tiny import write_data

from forearm.arms.settings import RobotSettings
from forearm.base.errors import ForearmError
from forearm.evaluation import Persistence
from forearm.learning import loop, start
from forearm.learning.cells import Grid
from forearm.learning.folder import LearnFolder
from forearm.learning.judging import expected_by_cell
from forearm.learning.newness import newness
from forearm.learning.settings import LearnSettings
from forearm.recordings import open_recording
from forearm.training import loop as training
from forearm.training.run import Run, load_weights, save_weights
from forearm.transitions import TransitionSet

ACTIONS = 3 + 2 + 3 + 3
"""Of the locked set, the wide set and both cycles."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run to learn on from; only to be read."""
    return bar_run(tmp_path_factory.mktemp("learning"))


@pytest.fixture(scope="module")
def unbroken(run, tmp_path_factory):
    """Two cycles of three actions that nothing interrupted; only to be read."""
    found = learner(run, tmp_path_factory.mktemp("learning") / "out")
    assert found.learn() == loop.SPENT
    return found


def test_a_lower_learning_rate_lowers_that_of_muon_alike(run, unbroken):
    begun, found = run.training(), unbroken._accepted().training()
    assert found.learning_rate == LearnSettings().learning_rate != begun.learning_rate
    assert found.matrix_rate / found.learning_rate == pytest.approx(begun.matrix_rate / begun.learning_rate)
    assert found.matrix_rate > 0


def test_a_dry_run_looks_and_learns_nothing(run, tmp_path, monkeypatch):
    looked = []
    arm = SimpleNamespace(connected=nullcontext, observe=lambda: looked.append(1))
    monkeypatch.setattr(start, "open_robot_arm", lambda *args, **options: arm)
    robot, settings = RobotSettings(robot="port", dry_run=True), LearnSettings(wide=0, rearrange_every=0)
    assert start.learn_from(run.path, tmp_path / "out", settings, robot, ask=looked.append) == start.DRY
    assert looked == [1]
    assert not list(tmp_path.iterdir())


def test_everything_recorded_is_an_ordinary_recording_dataset_and_run(run, unbroken):
    folder = unbroken.folder
    for name, count in {"locked": 3, "wide": 2, "cycle_001": 3, "cycle_002": 3}.items():
        recording = open_recording(folder.recording(name))
        assert len(recording.episodes) == count
        assert recording.has_logs
        assert not folder.recording(f"{name}.partial").exists()
    data = TransitionSet(folder.data("all"))
    assert len(data) == len(run.data()) + 6
    assert data.layout == run.layout(), "strips keep their meaning"
    assert Run.open(folder.run).load("best").layout == run.layout()
    assert folder.cycles() == unbroken.cycles
    assert [cycle.actions for cycle in unbroken.cycles] == [0, 3, 6]


def test_the_test_sets_are_never_trained_on(unbroken):
    folder = unbroken.folder
    for name, scenes in {"locked": {0}, "wide": {101, 102}}.items():
        test = TransitionSet(folder.data(name))
        assert {episode["scene"] for episode in test.episodes} == scenes
        assert test.codes.tolist() == {"locked": [1, 2, 2], "wide": [1, 2]}[name], "each joint and action in turn"
        for cycle in (1, 2):
            assert not Run(folder.candidate(cycle)).known_in(test).copies.any()


def test_the_scene_is_rearranged_every_so_many_actions(unbroken):
    assert [trial.scene for trial in unbroken.trials] == [0] * 2 + [1] * 2 + [2] * 2
    assert [trial.purpose for trial in unbroken.trials] == ["verify", "explore", "explore"] * 2


def test_a_trial_keeps_the_error_of_the_prediction_made_before_it(run, unbroken):
    """The first run predicts what was built of the first cycle: coding the pictures changes little."""
    data = TransitionSet(unbroken.folder.data("cycle_001")).with_layout(run.layout(), "run")
    frame = run.load("best").predict(data.batch(data.rows()).context()).frame.detach()
    truth = data.batch(data.rows()).canvas[..., data.layout.frame_columns(-1)]
    errors = ((frame - truth)[:, :, : data.layout.frame_height] ** 2).mean((1, 2, 3)).numpy()
    np.testing.assert_allclose([trial.error for trial in unbroken.trials[:3]], errors, rtol=0.2, atol=1e-3)


class Interrupted(BaseException):
    """Like a kill: nothing may depend on what is done when it passes."""


@pytest.mark.parametrize("when", [8, "train", "judge", "keep"])
def test_an_interruption_costs_one_action_and_changes_nothing(run, unbroken, tmp_path, monkeypatch, when):
    films = iter(range(1, 99))

    def interrupt(*args):
        if when == "keep" or next(films) == when:
            raise Interrupted

    def watch(learning):
        if learning.stage == when and len(learning.cycles) == 2:
            raise Interrupted

    world = BarWorld(run.layout(), interrupt if isinstance(when, int) else lambda: None)
    first = learner(run, tmp_path / "out", world, watch)
    if when == "keep":  # the first cycle is written, and its run not yet in its place
        monkeypatch.setattr(type(first.folder), "accept", lambda self, run: self.cycles()[1:] and interrupt())
    if when == "train":  # the second cycle's last step is logged, and its weights are not yet written
        saves = iter(range(99))

        def save(path, model):
            if path.stem == "last" and next(saves) == 3:
                raise Interrupted
            save_weights(path, model)

        monkeypatch.setattr(training, "save_weights", save)
    with pytest.raises(Interrupted):
        first.learn()
    monkeypatch.undo()
    again = learner(run, tmp_path / "out")
    assert again.learn() == loop.SPENT
    assert again.trials == unbroken.trials
    assert again.cycles[-1].locked == unbroken.cycles[-1].locked
    assert Run(again.folder.run).weights_digest("best") == Run(unbroken.folder.run).weights_digest("best")
    if isinstance(when, int):
        recorded = len(again.explorer.world.scenes)
        assert recorded == ACTIONS - (when - 1), "only the action under way is recorded again"


def test_kill_9_at_work_loses_nothing(run, unbroken, tmp_path):
    """A fork of this process learns and kills itself in the midst of an action."""
    child = os.fork()
    if not child:
        films = iter(range(99))
        kill = lambda: next(films) == 7 and os.kill(os.getpid(), signal.SIGKILL)  # noqa: E731
        learner(run, tmp_path / "out", BarWorld(run.layout(), kill)).learn()
        os._exit(1)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    again = learner(run, tmp_path / "out", actions=3)
    assert again.folder.trials("cycle_001") == unbroken.trials[:2]
    assert again.learn() == loop.SPENT
    assert again.trials == unbroken.trials[:3]


@pytest.mark.parametrize(("by", "finite"), [(0.3, True), (1e30, False)])
def test_a_run_that_is_surely_worse_or_predicts_no_numbers_is_rejected(run, tmp_path, monkeypatch, by, finite):
    trained = loop.retrained

    def spoilt(*args):
        candidate = trained(*args)
        model = candidate.make_model(None)
        load_weights(model, candidate.weights_file("best"))
        for parameter in model.parameters():
            parameter.data += by * torch.randn_like(parameter)
        save_weights(candidate.weights_file("best"), model)
        return candidate

    monkeypatch.setattr(loop, "retrained", spoilt)
    found = learner(run, tmp_path / "out", actions=3, locked=8, wide=0)
    found.learn()
    assert [cycle.accepted for cycle in found.cycles] == [True, False]
    assert (found.cycles[1].locked is not None) == finite
    assert Run(found.folder.run).weights_digest("best") == run.weights_digest("best")
    assert found._accepted().path == run.path, "the next cycle starts from the accepted run"


@pytest.mark.parametrize(
    ("changes", "outcome", "actions"),
    [
        ({"target": 0.99}, loop.TARGET, 0),
        ({"patience": 1, "retrain": "cold", "choose": "past-error", "actions": 99}, loop.PLATEAU.format(1), 3),
    ],
)
def test_why_it_ends(run, tmp_path, changes, outcome, actions):
    found = learner(run, tmp_path / "out", wide=0, **changes)
    assert found.learn() == outcome
    assert len(found.trials) == actions


def test_a_stop_file_ends_it_and_keeps_it_from_beginning(run, tmp_path):
    found = learner(
        run, tmp_path / "out", watch=lambda it: len(it.trials) == 1 and it.folder.stop_file.touch(), choose="random"
    )
    assert found.learn() == loop.STOPPED
    assert len(found.trials) == 1
    with pytest.raises(ForearmError, match="STOP is there; remove it"):
        learner(run, tmp_path / "out", choose="random").learn()
    found.folder.stop_file.unlink()
    with pytest.raises(ForearmError, match="other choose; give the same"):
        learner(run, tmp_path / "out").learn()
    assert learner(run, tmp_path / "out", choose="random", actions=3, steps=2).learn() == loop.SPENT


def test_the_range_grows_once_its_cells_are_visited(run, unbroken, tmp_path):
    found = learner(run, tmp_path / "out", choose="random", range_growth=0.4)
    found.folder.begin({})
    for covered, share in ((False, 0.3), (True, 0.7)):
        found.cycles = [dataclasses.replace(unbroken.cycles[1], share=0.3, covered=covered)]
        begun = found._begin(9, None, None)
        assert begun.share == pytest.approx(share)
        assert found.folder.begun(9) == begun
        assert np.sum(begun.allowed) == sum(found.grid.interval(c, share) is not None for c in np.ndindex(2, 3, 3))


def test_a_batch_is_told_how_new_it_is(run, unbroken):
    data, frames = run.data(), run.data().frames[:6]
    same, other = (newness(data, shown, unbroken.trials, 3) for shown in (frames, np.full_like(frames, 255)))
    assert same.unlike == 0
    assert other.unlike == 1
    assert same.unvisited == 0.5
    moves = [trial for trial in unbroken.trials if trial.cell[2]]
    assert same.error == pytest.approx(np.mean([trial.error for trial in moves]))


def test_what_cannot_learn_on_is_refused(run, tmp_path):
    class Longer(Run):
        def layout(self):
            return bar_layout(history=3)

    with pytest.raises(ForearmError, match="--history 2"):
        loop.Learner(Longer(run.path), run.data(), LearnSettings(), BarWorld(run.layout()), LearnFolder(tmp_path))
    with pytest.raises(ForearmError, match="--choose past-error or random"):
        expected_by_cell(Persistence(), run.data(), Grid(run.layout(), 3, np.zeros(2)), "cpu")
    shutil.copytree(run.path, tmp_path / "out")
    with pytest.raises(ForearmError, match="no folder of forearm learn"):
        learner(run, tmp_path / "out").learn()


def test_the_candidate_has_the_last_weights_whatever_few_validation_moments_say(unbroken) -> None:
    for number in (1, 2):
        candidate = Run.open(unbroken.folder.candidate(number))
        assert candidate.weights_digest("best") == candidate.weights_digest("last")
        assert Run(unbroken.first.path).weights_digest("best") != candidate.weights_digest("best")


def test_a_pure_test_set_is_nothing_to_learn_on_from(run, tmp_path):
    data = write_data(tmp_path / "tests", bar_layout(), episodes=2, length=2, val=2)
    with pytest.raises(ForearmError, match="has no transitions to train on"):
        loop.Learner(run, data, LearnSettings(), BarWorld(run.layout()), LearnFolder(tmp_path / "out"), "cpu")
