"""Trials on an arm: what is predicted, done, compared and kept, and what an arm is not told to do."""

import dataclasses
import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from play.arms import TinyArm, simulated_layout
from scipy import stats
from support.commands import error_of, forearm
from support.tiny import make_layout

from forearm.arms.settings import RobotSettings
from forearm.base.errors import ForearmError
from forearm.canvas import MOVE_MINUS, MOVE_PLUS, STAY, ActionDimension, as_float
from forearm.environment import ImaginedEnvironment, squared_error
from forearm.evaluation.baselines import Persistence
from forearm.play.live import STOPPED, LiveSession
from forearm.play.live_stage import ArmSource, LiveStage, StopSwitch, simulated_source
from forearm.play.random_trials import random_trials, table
from forearm.play.settings import LiveSettings
from forearm.play.state import live_state_of
from forearm.play.trials import Summary, Trial, TrialFolder, mean_interval
from forearm.recordings import Recorder, open_recording
from forearm.transitions.build import build

RUN = {"run": "here"}


def open_session(arm, folder):
    source = ArmSource(arm, "tiny arm")
    return LiveSession(Persistence(), source.begin(0), folder, source.facts)


def open_folder(path, arm, settings=RUN):
    return TrialFolder(path, arm.spec(30), settings)


@pytest.fixture
def session(arm, tmp_path):
    with open_folder(tmp_path / "trials", arm).recording() as folder:
        yield open_session(arm, folder)


def lines(folder):
    return [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]


def test_a_trial_is_predicted_from_what_the_arm_shows_and_compared_with_what_it_then_shows(session, arm):
    for code, pan in ((MOVE_PLUS, 10), (MOVE_PLUS, 20), (STAY, 20), (MOVE_MINUS, 10)):
        before, preview = session.now.truth, session.previews()[code]
        assert np.array_equal(preview.observation.picture, before.picture)  # what Persistence predicts
        shown = session.step(code)
        assert shown.truth.joints[0] == pan
        kept = session.folder.trials[-1]
        error = np.mean((as_float(before.picture) - as_float(arm.observe().picture)) ** 2)
        assert kept.mse == kept.unchanged_mse == pytest.approx(error)
        assert kept.mse == pytest.approx(float(squared_error(preview.observation, shown.truth).mean()))
        assert kept.joints_before == before.joints.tolist()
        assert kept.joints == session.now.truth.joints.tolist() == arm.joints.tolist()
    assert [trial.action for trial in session.folder.trials] == ["pan +10°", "pan +10°", "STAY", "pan −10°"]
    assert [trial.mse == 0 for trial in session.folder.trials] == [False, False, True, False]


def test_trials_are_a_recording_that_a_dataset_is_built_of(arm, tmp_path):
    with open_folder(tmp_path / "trials", arm).recording() as folder:
        session = open_session(arm, folder)
        for code in (MOVE_PLUS, STAY, MOVE_MINUS, MOVE_MINUS):
            session.step(code)
    episodes = list(open_recording(folder.recording_path).read())
    assert [[code for _, code in episode.log.decisions] for episode in episodes] == [[1], [0], [2], [2]]
    assert [episode.states[[0, -1], 0].tolist() for episode in episodes] == [[0, 10], [10, 10], [10, 0], [0, -10]]
    assert {episode.log.position_delta for episode in episodes} == {10.0}
    data = build([folder.recording_path], tmp_path / "data")
    assert data.codes.tolist() == [1, 0, 2, 2]
    assert not list(tmp_path.glob("**/*.partial"))


def test_actions_out_of_the_bounds_are_refused_and_those_back_into_them_are_not(session, arm):
    arm.joints[0] = 40
    session.look()
    with pytest.raises(ForearmError, match=r"pan would go to 50.00°, beyond this run's data, −45.00° to 45.00°"):
        session.step(MOVE_PLUS)
    assert "moved" not in arm.said
    assert [bool(reason) for reason in live_state_of(session)["forbidden"]] == [False, True, False]
    arm.joints[0] = 60
    session.look()
    session.step(MOVE_MINUS)
    assert arm.joints[0] == 50
    with pytest.raises(ForearmError, match="there is no joint 'roll'"):
        session.move_to({"roll": 0})
    with pytest.raises(ForearmError, match=r"pan would go to 90\.00°"):
        session.move_to({"pan": 90})
    session.move_to({"pan": -45, "lift": 3})
    assert session.now.truth.joints.tolist() == [-45, 3]
    with pytest.raises(ForearmError, match="not a number"):
        session.move_to({"pan": float("nan")})
    assert len(session.folder.trials) == 1


def test_where_a_camera_fails_the_arm_holds_and_is_not_moved_until_it_is_seen_again(session, arm):
    arm.fails = ForearmError("the robot could not be read from: camera wrist timed out")
    with pytest.raises(ForearmError, match="timed out"):
        session.step(MOVE_PLUS)
    assert arm.said == ["hold"]
    assert session.is_seen
    assert 5 <= session.now.truth.joints[0] < 6  # half-way, and that is where it goes on from
    arm.is_blind = True
    with pytest.raises(ForearmError, match="timed out"):
        session.step(MOVE_PLUS)
    with pytest.raises(ForearmError, match=r"could not be seen since: the robot .* timed out; .* Look again"):
        session.step(MOVE_PLUS)
    assert "moved" not in arm.said
    assert not session.folder.trials
    arm.is_blind = False
    session.look()
    session.step(MOVE_PLUS)
    assert (session.trouble, len(session.folder.trials)) == ("", 1)


def test_a_stop_holds_the_arm_and_keeps_no_half_trial(session, arm):
    arm.fails = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        session.step(MOVE_PLUS)
    assert arm.said[-1] == "hold"
    assert session.trouble == STOPPED
    half_way = session.now.truth.joints[0]
    assert 5 <= half_way < 6
    assert not session.folder.trials
    session.step(MOVE_PLUS)
    assert session.folder.trials[0].joints_before[0] == half_way


def test_a_slack_arm_is_told_nothing_but_to_hold(session, arm):
    session.relax()
    for deed in (lambda: session.step(STAY), session.home, lambda: session.move_to({"pan": 0})):
        with pytest.raises(ForearmError, match="motors are slack; press Hold"):
            deed()
    session.halt()
    assert "hold" not in arm.said  # whoever guides it by hand is not surprised
    session.hold()
    session.home()
    session.step(STAY)


def test_no_trial_is_lost_where_the_process_ends_before_the_session(arm, tmp_path, monkeypatch):
    path, finish = tmp_path / "trials", Recorder.finish
    monkeypatch.setattr(Recorder, "finish", lambda recorder: None)  # as after kill −9
    with open_folder(path, arm).recording() as folder:
        session = open_session(arm, folder)
        session.step(MOVE_PLUS)
        session.step(STAY)
    staged = path / "recording.partial"
    kept = lines(path)
    with (path / "trials.jsonl").open("a") as file:  # the trial under way: a line without an episode, then a torn one
        file.write(json.dumps(kept[0] | {"episode": 2}) + "\n" + json.dumps(kept[0])[:40])
    assert staged.is_dir()
    monkeypatch.setattr(Recorder, "finish", finish)
    with open_folder(path, arm).recording() as folder:
        assert [trial.episode for trial in folder.trials] == [0, 1]
        open_session(arm, folder).step(MOVE_MINUS)
    assert [(trial.recording, trial.episode) for trial in folder.trials] == [("recording", i) for i in range(3)]
    assert len(list(open_recording(path / "recording").read())) == 3
    with open_folder(path, arm).recording() as folder:  # and a session after one that has ended
        assert len(folder.trials) == 3
        open_session(arm, folder).step(STAY)
    with open_folder(path, arm).recording():  # in which nothing is done
        pass
    assert sorted(each.name for each in path.iterdir() if each.is_dir()) == ["recording", "recording-2"]
    again = open_folder(path, arm)
    assert [trial.recording for trial in again.trials] == ["recording"] * 3 + ["recording-2"]
    assert again.session == 2


def test_ctrl_c_says_what_is_kept(arm, tmp_path):
    def interrupted():
        with open_folder(tmp_path / "trials", arm).recording() as folder:
            open_session(arm, folder).step(STAY)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"stopped; 1 trial is kept in .*/trials; the same command goes on"):
        interrupted()
    assert (tmp_path / "trials" / "recording" / "meta" / "info.json").exists()


def test_what_a_killed_writer_left_is_nothing_of_somebody_elses(arm, tmp_path):
    (tmp_path / ".session.json.lock").touch()
    open_folder(tmp_path, arm)
    assert (tmp_path / "session.json").is_file()


def test_a_folder_of_something_else_is_left_alone(arm, tmp_path):
    open_folder(tmp_path / "trials", arm)
    with pytest.raises(ForearmError, match="holds trials with another run; choose another folder with --out"):
        open_folder(tmp_path / "trials", arm, {"run": "elsewhere"})
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("x")
    with pytest.raises(ForearmError, match="exists and holds no trials"):
        open_folder(tmp_path / "letters", arm)
    with (
        open_folder(tmp_path / "trials", arm).recording(),
        pytest.raises(ForearmError, match="is being written by"),
        open_folder(tmp_path / "trials", arm).recording(),
    ):
        pass


@pytest.mark.parametrize("discrete", [True, False])
def test_random_trials_take_every_action_before_any_comes_again_and_stay_within_the_bounds(tmp_path, discrete):
    dimensions = tuple(ActionDimension(name, name, "deg", 30.0) for name in ("pan", "lift"))
    arm = TinyArm(make_layout(actions=dimensions, discrete=discrete))
    with open_folder(tmp_path / "trials", arm).recording() as folder:
        session = open_session(arm, folder)
        told = list(table(folder.trials, random_trials(session, 12, seed=0)))
        assert list(random_trials(session, 12, seed=0)) == []  # as many are kept already
        assert all(np.abs(trial.joints).max() <= 45 for trial in folder.trials)
        sizes = [np.abs(trial.values).max() for trial in folder.trials]
    actions = [(trial.dimension, np.sign(sum(trial.values))) for trial in folder.trials]
    assert len(set(actions[:6])) >= 4
    assert {size for size in sizes if size} == {1.0} if discrete else len(set(sizes)) > 6
    assert told[0].split() == ["trial", "action", "expected", "error", "unchanged", "time"]
    assert [line.split()[0] for line in told[1:13]] == [str(i + 1) for i in range(12)]
    assert told[13].startswith(" mean  of 12 trials")
    assert told[14].startswith("95% interval of the mean error: ")


def test_the_interval_of_a_mean_is_not_narrower_than_that_of_students_t():
    errors = np.random.default_rng(0).uniform(0.01, 0.03, 20)
    low, high = mean_interval(errors.tolist())
    t = stats.t.interval(0.95, 19, errors.mean(), stats.sem(errors))
    assert (low, high) == pytest.approx(t, rel=0.05)
    assert low <= t[0] + 1e-12
    assert high >= t[1] - 1e-12
    assert mean_interval([0.1]) is None
    assert mean_interval([0.0, 1.0])[0] == 0.0
    assert Summary.of([]) == Summary(0, None, None, None, None)
    assert Trial.__dataclass_fields__.keys() >= {"expected_mse", "mse", "unchanged_mse", "action_seconds"}


def test_the_stop_switch_stops_until_it_is_let_go():
    switch = StopSwitch()
    assert not switch.pressed()
    switch.press()
    assert switch.pressed()
    assert switch.answer() == ""  # nobody is waited for who was stopped
    switch.let_go()
    assert not switch.pressed()


def test_a_stage_tells_the_page_which_arm_it_is(stage, arm, tmp_path):
    source = ArmSource(arm, "tiny arm")
    live = LiveStage(stage, source, open_folder(tmp_path / "trials", arm), StopSwitch())
    told = live.to_json()
    assert (told["kind"], told["folder"]) == ("live", str(tmp_path / "trials"))


def test_live_needs_one_arm(run, tmp_path):
    for arms in ((), ("--simulator", 1, "--robot", "/dev/null", "--camera", "base", 0)):
        said = error_of(forearm("live", run.path, *arms, "--out", tmp_path / "out"))
        assert said == "choose one arm: --simulator SCENE or --robot PORT"
    assert error_of(forearm("live", run.path, "--simulator", 1, "--trials", 0)) == "trials is 0; choose at least 1"
    seeded = forearm("live", run.path, "--simulator", 1, "--trials", 1, "--seed", -1)
    assert error_of(seeded) == "seed is -1; choose a number from 0 up"
    said = error_of(forearm("live", run.path, "--simulator", 1, "--trials", 3, "--port", 1))
    assert said == "--port has no effect with --trials; leave it out"
    assert not (tmp_path / "out").exists()
    assert RobotSettings().robot is None
    assert not list(Path(tmp_path).iterdir())


@pytest.mark.skipif(find_spec("mujoco") is None, reason="needs the extra `sim`")
def test_the_simulator_acts_and_its_free_objects_are_recorded(tmp_path):
    source = simulated_source(simulated_layout(), LiveSettings(simulator=0, task="push"))
    with TrialFolder(tmp_path / "trials", source.arm.spec(source.fps), {}).recording() as folder:
        session = LiveSession(Persistence(), source.begin(0), folder, source.facts)
        pan = session.now.truth.joints[0]
        session.step(MOVE_PLUS)
        assert session.now.truth.joints[0] - pan == pytest.approx(10, abs=1)
        session.relax()
        session.hold()
        session.home()
        session.begin(lambda: source.begin(1))
        assert abs(session.now.truth.joints[0] - pan) > 1
        assert session.start.note == "simulated SO-101, scene 0, pose 1"
        session.step(STAY)
    first, second = open_recording(folder.recording_path).read()
    assert first.facts["session_seed"] == 0
    assert first.objects is not None
    assert len(first.states) == 16
    assert second.log.decisions == ((0, STAY),)


def test_a_trial_that_cannot_be_kept_leaves_the_session_where_the_arm_is(session, arm, monkeypatch):
    def full(*args):
        raise ForearmError("the disk is full")

    monkeypatch.setattr(Recorder, "stage", full)
    with pytest.raises(ForearmError, match="disk is full"):
        session.step(MOVE_PLUS)
    assert session.now.truth.joints[0] == arm.joints[0] == 10
    assert not session.folder.trials


def test_whatever_goes_wrong_in_a_motion_the_arm_is_told_to_hold(session, arm):
    arm.fails = ZeroDivisionError("a driver's")
    with pytest.raises(ZeroDivisionError):
        session.step(MOVE_PLUS)
    assert arm.said == ["hold"]


def test_the_page_is_told_the_state_while_a_new_path_begins(session, monkeypatch):
    """It asks from another thread than that of the arm."""
    told, begin = [], ImaginedEnvironment.begin

    def asked(environment, start):
        told.append(session.version)
        return begin(environment, start)

    before = session.version
    monkeypatch.setattr(ImaginedEnvironment, "begin", asked)
    session.step(MOVE_PLUS)
    assert told[0].split()[0] != before.split()[0]  # the state that the action led to
    assert session.version not in (before, *told)


def test_a_path_that_cannot_begin_leaves_the_one_that_was(session, monkeypatch):
    before, start = session.version, session.start

    def fails(environment, start):
        raise ForearmError("no numbers")

    monkeypatch.setattr(ImaginedEnvironment, "begin", fails)
    with pytest.raises(ForearmError, match="no numbers"):
        session.reset(dataclasses.replace(start, note="elsewhere"))
    assert (session.version, session.start) == (before, start)
