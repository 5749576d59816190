"""The best of K in the dream, how far choosing exploits the model, and whole trials of a run."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from trials.worlds import films, start

from forearm.base.errors import ForearmError
from forearm.canvas import ActionDimension
from forearm.recordings import open_recording
from forearm.trials import trial as of_trials
from forearm.trials.controls import recorded
from forearm.trials.dreaming import as_imagined, chosen, exploited, successes_spec, write_successes
from forearm.trials.policies import policy_named
from forearm.trials.scoring import PictureScorer
from forearm.trials.settings import TrialSettings
from forearm.trials.trial import _groups, chosen_starts, imagined_worlds, trial


def test_the_best_of_k_is_the_best_of_the_first_k():
    scores = np.array([[0.1, 0.9], [0.5, 0.9], [0.4, 1.0]])
    assert chosen(scores, 1).tolist() == [0, 0]
    assert chosen(scores, 2).tolist() == [1, 0]
    assert chosen(scores, 3).tolist() == [1, 2]


def test_choosing_by_an_empty_score_exploits_and_by_the_truth_does_not():
    rng = np.random.default_rng(0)
    truth = rng.random((8, 400)) < 0.3
    right, empty = exploited("p", truth.astype(float), truth), exploited("p", rng.random((8, 400)), truth)
    assert right.k == empty.k == (1, 2, 4, 8)
    assert right.exploitation == (0, 0, 0, 0)
    assert right.true[-1] > 0.9
    assert right.lift.interval[0] > 0.5
    assert empty.exploitation[-1] > 0.6
    assert abs(empty.lift.value) < 0.1
    assert exploited("p", truth.astype(float), None).exploitation is None
    assert right.true[0] == truth.mean()
    assert right.lift.value == pytest.approx((truth.any(axis=0) - truth.mean(axis=0)).mean())


def test_few_proposals_are_averaged_over_all_groups_of_as_many():
    scores = np.array([[0.9], [0.1], [0.2], [0.8]])
    truth = np.array([[True], [True], [True], [False]])
    found = exploited("p", scores, truth)
    assert found.k == (1, 2, 4)
    assert found.true == (0.75, 0.5, 1.0)  # of two groups of two, the best succeed once
    assert found.imagined == (0.5, 1.0, 1.0)
    assert found.lift.value == 0.25


def test_what_was_imagined_is_carried_out():
    starts = [start(0, [5, 10]), start(1, [3, 30])]
    dreamt = films(policy_named("noise:2", starts), starts)
    again = films(as_imagined(dreamt), starts)
    assert all(np.array_equal(a.positions, b.positions) for a, b in zip(dreamt, again, strict=True))


@pytest.fixture(scope="module")
def tried(commanded_run, tmp_path_factory):
    kept = []
    settings = TrialSettings(("replay", "still"), starts=2, best_of=2, horizon=3, abstain=1e-9)
    found = trial(
        commanded_run, settings, sheets=tmp_path_factory.mktemp("s"), on_films=lambda *each: kept.append(each)
    )
    return found, kept


def test_a_run_tries_policies_from_its_validation_episodes(tried):
    (results, shown), kept = tried
    assert results.starts == (6, 7)
    assert [each.policy for each in results.tried] == ["replay", "still"]
    assert results.horizon == 3
    assert {each.what for each in shown} == {"best", "worst", "most doubtful"}
    assert [name for name, _, _ in kept] == ["replay", "still"]
    assert kept[0][1][0].pictures["base"].shape == (4, 8, 8, 3)
    assert results.exploited[0].k == (1, 2)
    assert results.exploited[0].true is None


def test_scenes_are_those_of_the_starts_alone():
    asked = []

    def groups(rows):
        asked.append(rows.tolist())
        return np.array([4, 4, 5, 6]), "episodes"

    data = SimpleNamespace(columns=SimpleNamespace(episodes=np.array([0, 0, 1, 2])), independent_groups=groups)
    worlds = SimpleNamespace(data=data, episodes={10: 0, 11: 2})
    assert _groups(worlds, [SimpleNamespace(episode=11), SimpleNamespace(episode=10)]).tolist() == [6, 4]
    assert asked == [[0, 1, 3]]


def test_controls_are_judged_by_what_was_recorded(tried, commanded_run):
    (results, _), kept = tried
    assert results.controls.scores.shape == (2, 2)
    assert results.controls.rates is None  # two starts are too few
    np.testing.assert_array_equal(results.controls.scores[0], kept[0][2].scores)
    worlds = imagined_worlds(commanded_run, None)
    starts = chosen_starts(worlds, TrialSettings(("replay",), starts=2))
    whole, cut = recorded(worlds, starts, 99), recorded(worlds, starts, 2)
    judge = PictureScorer(commanded_run.layout())
    np.testing.assert_array_equal(results.controls.known[0], judge.scores(recorded(worlds, starts, 3)) >= 0.5)
    for begun, film, short in zip(starts, whole, cut, strict=True):
        np.testing.assert_array_equal(film.pictures["base"][0], begun.first["base"])
        np.testing.assert_array_equal(film.pictures["base"][-1], begun.last["base"])
        assert len(film.pictures["base"]) == len(begun.commands) + 1
        np.testing.assert_array_equal(short.pictures["wrist"], film.pictures["wrist"][:3])


def test_a_policy_is_refused_before_anything_is_dreamt(commanded_run, tmp_path):
    told = []
    settings = TrialSettings(("replay", "nonsense"), starts=2, horizon=2, abstain=1.0)
    with pytest.raises(ForearmError, match="no policy 'nonsense'"):
        trial(commanded_run, settings, sheets=tmp_path, watch=lambda *each: told.append(each))
    assert not told


def test_the_simulator_is_closed_where_something_fails(commanded_run, tmp_path, monkeypatch):
    closed = []
    truth = SimpleNamespace(close=lambda: closed.append(True))
    monkeypatch.setattr(of_trials, "simulated", lambda *given: (truth, None))
    settings = TrialSettings(("replay", "nonsense"), starts=2, horizon=2, abstain=1.0, simulator=tmp_path)
    with pytest.raises(ForearmError, match="no policy 'nonsense'"):
        trial(commanded_run, settings, sheets=tmp_path)
    assert closed == [True]


def test_nobody_is_asked_about_controls_who_need_not_be(commanded_run, tmp_path):
    program = tmp_path / "judge.py"
    program.write_text(
        "#!/usr/bin/env python3\n"
        "import json, sys\n"
        "names = json.load(open(sys.argv[1] + '/tasks.json'))\n"
        "json.dump(dict.fromkeys(names, 1), open(sys.argv[1] + '/scores.json', 'w'))\n"
    )
    program.chmod(0o755)
    settings = TrialSettings(("replay",), starts=2, horizon=2, abstain=1.0, success=str(program))
    results, _ = trial(commanded_run, settings, sheets=tmp_path / "sheets")
    assert results.controls is None
    assert [folder.name for folder in (tmp_path / "sheets").iterdir()] == ["00"]
    without = TrialSettings(("replay",), starts=2, horizon=2, abstain=1.0, controls=False)
    assert trial(commanded_run, without, sheets=tmp_path)[0].controls is None


def test_imagined_successes_are_a_recording(tried, commanded_run, tmp_path):
    _, kept = tried
    write_successes(tmp_path / "dreams", kept[0][1], commanded_run.layout())
    recording = open_recording(tmp_path / "dreams")
    assert (recording.fps, len(recording.episodes), recording.joints) == (5, 2, ("pan.pos", "lift.pos"))
    episode = next(iter(recording.read(recording.cameras)))
    np.testing.assert_allclose(episode.states, kept[0][1][0].positions)
    with pytest.raises(ForearmError, match="no imagined trial succeeds"):
        write_successes(tmp_path / "none", [], commanded_run.layout())


def test_successes_name_the_commands_and_need_whole_frames_a_second(commanded_run):
    pan, lift = commanded_run.layout().actions
    switch = ActionDimension("gripper", None, "", 1.0)
    layout = dataclasses.replace(commanded_run.layout(), actions=(lift, pan, switch))
    spec = successes_spec(layout)
    assert (spec.fps, spec.joints) == (5, ("pan.pos", "lift.pos"))
    assert spec.action_names == ("lift.pos", "pan.pos", "gripper")
    for seconds in (0.4, 2.0):
        with pytest.raises(ForearmError, match=f"a step of the run lasts {seconds:g} s"):
            successes_spec(dataclasses.replace(layout, action_duration=seconds))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"policy": ()}, "no policy is given"),
        ({"policy": ("replay", "replay")}, "given twice"),
        ({"starts": 1}, "at least 2"),
        ({"within": 0}, "within is 0"),
        ({"abstain": -1}, "abstain is -1"),
    ],
)
def test_unsound_settings_are_refused(given, says):
    with pytest.raises(ForearmError, match=says):
        TrialSettings(**{"policy": ("replay",)} | given).require_sound()
