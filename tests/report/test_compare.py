"""What a comparison claims follows from the figures, and is no more sure than they are."""

from unittest import mock

import numpy as np
import pytest
from support.tiny import make_layout

from forearm.canvas import STAY
from forearm.evaluation import JOINT_ONLY, METRICS, MODEL, NEAREST_NEIGHBOUR, PERSISTENCE
from forearm.evaluation.samples import Samples, intervals
from forearm.evaluation.saved import Saved
from forearm.report.compare import Contest, Entrant, details, headline
from forearm.report.headline import KEY_FIGURES
from forearm.report.numbers import unit_of

N = 60
NOISE = np.random.default_rng(0).uniform(0.5, 1.5, N)
OWN = np.random.default_rng(1).normal(0, 0.05, N)


def samples_of(error, own=0.0):
    """Errors about as large as that; some samples are hard for everybody, and ``own`` adds noise of one's own."""
    return Samples.of(
        {
            "val_mse": error * NOISE + own * OWN,
            "val_mse_dynamic": 2 * error * NOISE,
            "ssim": 1 - error * NOISE,
            "acting_joint_position_mae": 10 * error * NOISE,
            "controllability_psnr": NOISE,
        }
    )


def entrant(name, error, own=0.0, episodes=N, **baselines):
    samples = {MODEL: samples_of(error, own), PERSISTENCE: samples_of(0.5)}
    samples |= {title.replace("_", "-"): samples_of(value) for title, value in baselines.items()}
    numbers = np.arange(N) % episodes
    told = {who: {"metrics": of.table(), "intervals": intervals(of, numbers)} for who, of in samples.items()}
    mine = told.pop(MODEL)
    figures = {**mine["metrics"], "intervals": mine["intervals"], "baselines": told, "guesses": []}
    saved = Saved(figures, np.arange(N), numbers, samples, mock.sentinel.examples)
    return Entrant(name, saved, make_layout(), {"family": "mae"}, [])


def test_who_is_surely_better_leads_surely():
    first, second = headline(Contest([entrant("b", 0.2), entrant("a", 0.1)]))
    assert first == "a leads on all 4 key figures, surely ahead of the second on each."
    assert second == "It surely beats every baseline on all of them."


def test_who_is_better_by_chance_does_not():
    contest = Contest([entrant("a", 0.2), entrant("b", 0.2, own=0.1)])
    verdicts = {standing.metric.name: standing.over_second for standing in contest.standings}
    assert verdicts == dict.fromkeys(KEY_FIGURES, "level")
    assert "but nowhere surely ahead of the second" in headline(contest)[0]


def test_a_pair_is_told_apart_although_its_intervals_overlap():
    one, other = entrant("a", 0.100), entrant("b", 0.104)
    (_, high), (low, _) = (of.saved.figures["intervals"]["val_mse"] for of in (one, other))
    assert high > low
    contest = Contest([one, other])
    assert contest.verdict(*contest.runs, METRICS["val_mse"]) == "better"


def test_a_baseline_that_is_better_is_named():
    _, second = headline(Contest([entrant("a", 0.2, joint_only=0.1), entrant("b", 0.3, joint_only=0.1)]))
    assert second.startswith(f"It loses to a baseline on picture error ({JOINT_ONLY}), ")
    alone, nothing = headline(Contest([entrant("a", 0.2, joint_only=0.1)]))
    assert alone.startswith(f"a loses to a baseline on picture error ({JOINT_ONLY}), ")
    assert nothing == ""


def test_runs_that_guess_the_same_are_named_together():
    runs = [entrant(name, 0.1) for name in "abc"]
    for run in runs[1:]:
        run.saved.figures["guesses"].append(STAY)
    assert details(Contest(runs)) == "b and c never saw STAY in training; what is shown under it is a guess."


def test_one_episode_makes_nothing_sure():
    contest = Contest([entrant("a", 0.1, episodes=1), entrant("b", 0.3, episodes=1)])
    assert headline(contest) == (
        "a leads on all 4 key figures, though nothing says how surely.",
        "Nothing says how surely it differs from the baselines.",
    )


def test_a_baseline_s_rule_neither_wins_nor_loses():
    contest = Contest([entrant("a", 0.1)])
    (run,), (baseline,) = contest.runs, contest.baselines
    assert contest.verdict(run, baseline, METRICS["val_mse"]) == "better"
    assert contest.verdict(run, baseline, METRICS["controllability_psnr"]) is None


@pytest.mark.parametrize(
    ("other", "names"),
    [(0.4, [NEAREST_NEIGHBOUR]), (0.5, [f"{NEAREST_NEIGHBOUR} of a", f"{NEAREST_NEIGHBOUR} of b"])],
)
def test_baselines_stand_once_unless_they_differ(other, names):
    contest = Contest([entrant("a", 0.1, nearest_neighbour=0.4), entrant("b", 0.2, nearest_neighbour=other)])
    assert [baseline.name for baseline in contest.baselines if baseline.baseline == NEAREST_NEIGHBOUR] == names
    assert [baseline.name for baseline in contest.baselines if baseline.baseline == PERSISTENCE] == [PERSISTENCE]


def test_only_joints_have_a_unit():
    layout = make_layout()
    assert unit_of(layout, METRICS["acting_joint_position_mae"]) == "deg"
    assert unit_of(layout, METRICS["val_mse"]) == ""
