"""The best of K in the dream, how far choosing exploits the model, and whole trials of a run."""

import numpy as np
import pytest
from trials.worlds import films, start

from forearm.base.errors import ForearmError
from forearm.recordings import open_recording
from forearm.trials.dreaming import as_imagined, chosen, exploited, write_successes
from forearm.trials.policies import policy_named
from forearm.trials.settings import TrialSettings
from forearm.trials.trial import trial


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


def test_imagined_successes_are_a_recording(tried, commanded_run, tmp_path):
    (results, _), kept = tried
    write_successes(tmp_path / "dreams", kept[0][1], commanded_run.layout(), results.seconds)
    recording = open_recording(tmp_path / "dreams")
    assert (recording.fps, len(recording.episodes), recording.joints) == (5, 2, ("pan.pos", "lift.pos"))
    episode = next(iter(recording.read(recording.cameras)))
    np.testing.assert_allclose(episode.states, kept[0][1][0].positions)
    with pytest.raises(ForearmError, match="no imagined trial succeeds"):
        write_successes(tmp_path / "none", [], commanded_run.layout(), results.seconds)


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
