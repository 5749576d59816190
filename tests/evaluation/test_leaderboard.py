"""Who leads, and how sure that is, follows from the figures, whoever is compared."""

import dataclasses
from unittest import mock

import numpy as np
import pytest

from forearm.evaluation import (
    FED_BACK,
    JOINT_ONLY,
    KEY_METRICS,
    METRICS,
    MODEL,
    NEAREST_NEIGHBOUR,
    PERSISTENCE,
    UNTRAINED,
    key_metrics,
)
from forearm.evaluation.catalogue import NEAREST_1
from forearm.evaluation.intervals import intervals
from forearm.evaluation.leaderboard import Leaderboard
from forearm.evaluation.samples import Samples
from forearm.evaluation.saved import Saved
from forearm.report.headline import comparison_details, comparison_headline

N = 60
NOISE = np.random.default_rng(0).uniform(0.5, 1.5, N)
OWN = np.random.default_rng(1).normal(0, 0.05, N)


def samples_of(error, own=0.0):
    """Errors about as large as that; some samples are hard for everybody, and ``own`` adds noise of one's own."""
    return Samples.of(
        {
            "val_mse": error * NOISE + own * OWN,
            "val_mse_moves": error * NOISE + own * OWN,
            "val_mse_dynamic": 2 * error * NOISE,
            "ssim_moves": 1 - error * NOISE,
            FED_BACK: (1 - error * NOISE, np.arange(N) < N / 3),
            "acting_joint_position_mae": 10 * error * NOISE,
            "controllability_psnr_moves": NOISE,
        }
    )


def evaluation(error, own=0.0, episodes=N, **baselines):
    samples = {MODEL: samples_of(error, own), PERSISTENCE: samples_of(0.5)}
    samples |= {title.replace("_", "-"): samples_of(value) for title, value in baselines.items()}
    numbers = np.arange(N) % episodes
    tables = {who: {"metrics": of.table(), "intervals": intervals(of, numbers)} for who, of in samples.items()}
    mine = tables.pop(MODEL)
    figures = {**mine["metrics"], "intervals": mine["intervals"], "baselines": tables, "guesses": []}
    figures["rollouts"] = {"fed_back": {"steps": 10, "seconds": 2.0}}
    return Saved(figures, np.arange(N), numbers, samples, mock.sentinel.examples)


def test_who_is_better_by_chance_is_level():
    board = Leaderboard({"a": evaluation(0.2), "b": evaluation(0.2, own=0.1)})
    assert {lead.metric.name: lead.over_second for lead in board.leads} == dict.fromkeys(KEY_METRICS, "level")


def test_a_third_that_varies_more_may_be_level_where_the_second_is_not():
    runs = {"a": evaluation(0.10), "b": evaluation(0.105), "c": evaluation(0.11, own=-3)}
    lead = Leaderboard(runs).leads[1]
    assert (lead.second.name, lead.over_second, lead.level) == ("b", "better", ("c",))
    assert "It is level with c on picture error of moves." in comparison_headline(Leaderboard(runs))[0]


def test_who_is_surely_better_leads():
    board = Leaderboard({"b": evaluation(0.2), "a": evaluation(0.1)})
    assert [(lead.run.name, lead.second.name, lead.over_second) for lead in board.leads] == [("a", "b", "better")] * 5
    assert [(lead.baseline.name, lead.over_baseline) for lead in board.leads] == [(PERSISTENCE, "better")] * 5


def test_a_pair_is_told_apart_although_its_intervals_overlap():
    runs = {"a": evaluation(0.100), "b": evaluation(0.104)}
    (_, high), (low, _) = (saved.figures["intervals"]["val_mse_moves"] for saved in runs.values())
    assert high > low
    board = Leaderboard(runs)
    assert board.verdict(*board.runs, METRICS["val_mse_moves"]) == "better"
    low, high = board.difference(*board.runs, METRICS["val_mse_moves"]).interval
    assert low < high < 0
    assert board.difference(*reversed(board.runs), METRICS["val_mse_moves"]).interval == (-high, -low)
    assert board.verdict(*reversed(board.runs), METRICS["val_mse_moves"]) == "worse"


def test_one_episode_makes_nothing_sure():
    board = Leaderboard({"a": evaluation(0.1, episodes=1), "b": evaluation(0.3, episodes=1)})
    assert [(lead.run.name, lead.over_second, lead.over_baseline) for lead in board.leads] == [("a", None, None)] * 5
    assert board.against_baselines(board.runs[0], METRICS["val_mse_moves"]) == (None, None)


def test_five_episodes_make_nothing_sure():
    board = Leaderboard({"a": evaluation(0.1, episodes=5), "b": evaluation(0.3, episodes=5)})
    assert {lead.over_second for lead in board.leads} == {None}
    assert Leaderboard({"a": evaluation(0.1, episodes=6), "b": evaluation(0.3, episodes=6)}).leads[0].over_second


def test_a_lead_by_a_trifle_is_none():
    """A child of the same errors but for the last digits once led on all four key figures."""
    board = Leaderboard({"parent": evaluation(0.2), "child": evaluation(0.1999)})
    assert [(lead.run.name, lead.ahead, lead.over_second) for lead in board.leads] == [("child", False, "level")] * 5
    assert comparison_headline(board)[0] == "No run leads: on every key figure the best two differ by less than 1%."
    assert [lead.ahead for lead in Leaderboard({"a": evaluation(0.2), "b": evaluation(0.1)}).leads] == [True] * 5


def test_what_differs_between_seeds_is_no_difference_of_recipes():
    runs = {"a-0": evaluation(0.10), "a-1": evaluation(0.20), "b-0": evaluation(0.12), "b-1": evaluation(0.25)}
    val_mse = METRICS["val_mse_moves"]
    blind = Leaderboard(runs)
    assert blind.verdict(blind.runs[0], blind.runs[2], val_mse) == "better"
    board = Leaderboard(runs, {"a-0": "a", "a-1": "a", "b-0": "b", "b-1": "b"})
    assert board.verdict(board.runs[0], board.runs[2], val_mse) == "level"
    assert board.verdict(board.runs[0], board.runs[1], val_mse) == "level"
    assert "a-0 and a-1 differ only in the seed" in comparison_details(board)


def test_an_older_evaluation_s_smaller_groups_give_way():
    older, newer = evaluation(0.2), evaluation(0.1, episodes=8)
    board = Leaderboard({"older": older, "newer": newer})
    assert board.count == 8
    assert board.difference(*board.runs, METRICS["val_mse_moves"]).groups == 8


def test_the_best_of_the_baselines_that_are_better_counts():
    board = Leaderboard({"a": evaluation(0.2, joint_only=0.1, nearest_neighbour=0.15)})
    (run,) = board.runs
    verdict, baseline = board.against_baselines(run, METRICS["val_mse_moves"])
    assert (verdict, baseline.name) == ("worse", JOINT_ONLY)
    board = Leaderboard({"a": evaluation(0.2, own=0.1, joint_only=0.2)})
    assert board.against_baselines(board.runs[0], METRICS["val_mse_moves"]) == ("level", None)
    board = Leaderboard({"a": evaluation(0.1, joint_only=0.2)})
    assert board.against_baselines(board.runs[0], METRICS["val_mse_moves"]) == ("better", None)


def test_an_older_evaluation_lacks_what_is_measured_since():
    """It has the plain share instead, which no table shows, and neither leads nor loses on the newer figure."""
    old, new = evaluation(0.1), evaluation(0.2)
    for saved, name in ((old, "object_contact_accuracy"), (new, "object_moved_balanced_accuracy")):
        for of in saved.samples.values():
            of.sums[name], of.weights[name] = np.full(N, 0.9), np.ones(N)
        saved.figures[name] = saved.figures["baselines"][PERSISTENCE]["metrics"][name] = 0.9
    board = Leaderboard({"old": old, "new": new})
    (metric,) = [metric for metric in board.metrics if metric.group == "objects"]
    assert [run.metrics.get(metric.name) for run in board.runs] == [None, 0.9]
    assert [row.name for row in board.ranked(board.runs, metric)] == ["new"]
    assert board.verdict(board.runs[0], board.runs[1], metric) is None


def test_a_baseline_s_rule_neither_wins_nor_loses():
    board = Leaderboard({"a": evaluation(0.1)})
    (run,), (baseline,) = board.runs, board.baselines
    assert board.verdict(run, baseline, METRICS["val_mse_moves"]) == "better"
    assert board.verdict(run, baseline, METRICS["controllability_psnr_moves"]) is None


@pytest.mark.parametrize(
    ("other", "names"),
    [(0.4, [NEAREST_NEIGHBOUR]), (0.5, [f"{NEAREST_NEIGHBOUR} of a", f"{NEAREST_NEIGHBOUR} of b"])],
)
def test_baselines_stand_once_unless_they_differ(other, names):
    runs = {"a": evaluation(0.1, nearest_neighbour=0.4), "b": evaluation(0.2, nearest_neighbour=other)}
    board = Leaderboard(runs)
    assert [row.name for row in board.baselines if row.baseline == NEAREST_NEIGHBOUR] == names
    assert [row.name for row in board.baselines if row.baseline == PERSISTENCE] == [PERSISTENCE]


def test_untrained_models_that_copy_alike_but_place_their_joints_otherwise_stand_apart():
    one, other = (evaluation(0.1, untrained=0.5) for _ in "ab")
    other.samples[UNTRAINED].sums["acting_joint_position_mae"][:] = 3
    names = [row.name for row in Leaderboard({"a": one, "b": other}).baselines]
    assert names == [PERSISTENCE, f"{UNTRAINED} of a", f"{UNTRAINED} of b"]


def test_an_untrained_model_is_a_rival_in_every_metric_but_those_of_which_1_is_best():
    assert [name for name, metric in METRICS.items() if not metric.fair(UNTRAINED)] == list(NEAREST_1)


def test_what_the_action_answers_is_nobodys_lead():
    one, other = evaluation(0.1), evaluation(0.2)
    one.figures["given"] = ["acting_joint_position_mae"]
    assert [lead.metric.name for lead in Leaderboard({"a": one, "b": other}).leads] == list(KEY_METRICS)[:4]


def test_nearest_1_is_best_without_a_verdict():
    runs = {name: evaluation(0.1) for name in "abc"}
    for saved, sharp in zip(runs.values(), (0.5, 1.1, 1.6), strict=True):
        saved.samples[MODEL].sums["sharpness"] = np.full(N, sharp)
        saved.samples[MODEL].weights["sharpness"] = np.ones(N)
        saved.figures["sharpness"] = sharp
    board = Leaderboard(runs)
    assert [row.name for row in board.ranked(board.rows, METRICS["sharpness"])] == ["b", "a", "c"]
    assert board.verdict(*board.runs[:2], METRICS["sharpness"]) is None


def test_metrics_that_no_run_has_are_left_out():
    names = [metric.name for metric in Leaderboard({"a": evaluation(0.1)}).metrics]
    assert names == [*KEY_METRICS, "controllability_psnr_moves"]


def test_what_is_read_from_the_picture_stands_for_what_the_action_gives():
    assert list(key_metrics((), fed_back_for="2 s")) == list(KEY_METRICS)
    assert list(key_metrics({"acting_joint_position_mae"})) == [*list(KEY_METRICS)[1:4], "readout_position_mae"]


# Predictions that are fed back


def test_runs_are_ranked_by_what_is_fed_back():
    board = Leaderboard({"a": evaluation(0.2), "b": evaluation(0.1)})
    assert board.metrics[0].name == FED_BACK
    assert board.leads[0].title == "structural similarity, fed back for 2 s"
    assert (board.leads[0].run.name, board.leads[0].over_second) == ("b", "better")
    assert board.difference(*board.runs, METRICS[FED_BACK]).groups == N / 3, "those of the paths"
    assert board.not_fed_back == []


def older(error):
    """An evaluation of before there was the figure."""
    saved = evaluation(error)
    for samples in saved.samples.values():
        del samples.sums[FED_BACK], samples.weights[FED_BACK]
    for table in (saved.figures, *(baseline["metrics"] for baseline in saved.figures["baselines"].values())):
        del table[FED_BACK]
    del saved.figures["rollouts"]["fed_back"]
    return saved


def without_rollouts(error):
    saved = evaluation(error).without(FED_BACK)
    for samples in saved.samples.values():
        samples.sums[FED_BACK], samples.weights[FED_BACK] = np.zeros(N), np.zeros(N)
    return dataclasses.replace(saved, figures=saved.figures | {"rollouts": None})


def along_other_paths(error):
    saved = evaluation(error)
    for samples in saved.samples.values():
        samples.weights[FED_BACK] = np.roll(samples.weights[FED_BACK], 1)
        samples.sums[FED_BACK] = np.roll(samples.sums[FED_BACK], 1)
    return saved


def for_longer(error):
    saved = evaluation(error)
    return dataclasses.replace(saved, figures=saved.figures | {"rollouts": {"fed_back": {"steps": 12, "seconds": 2.4}}})


@pytest.mark.parametrize("other", [older, without_rollouts, along_other_paths, for_longer])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_run_that_was_fed_back_otherwise_has_no_say_in_it(other, place):
    runs = [("a", evaluation(0.2)), ("b", evaluation(0.1))]
    runs.insert(place, ("c", other(0.05)))
    board = Leaderboard(dict(runs))
    metric = METRICS[FED_BACK]
    assert [row.name for row in board.ranked(board.runs, metric)] == ["b", "a"]
    assert [run.name for run in board.not_fed_back] == ["c"]
    assert [lead.metric.name for lead in board.leads] == list(KEY_METRICS)[1:]
    (persistence,) = board.baselines
    assert persistence.metrics[FED_BACK] is not None
    by_name = {run.name: run for run in board.runs}
    assert board.verdict(by_name["b"], by_name["a"], metric) == "better"
    assert board.verdict(by_name["b"], persistence, metric) == "better"
    assert board.verdict(by_name["c"], by_name["a"], metric) is None
    assert board.verdict(by_name["c"], by_name["a"], METRICS["val_mse_moves"]) == "better"
    assert comparison_details(board) == (
        "c was not fed back along the paths of the others, so no run leads on structural similarity, fed back for 2 s: "
        "evaluate it again to compare that."
    )


def test_of_two_that_were_fed_back_otherwise_the_first_keeps_its_figure():
    board = Leaderboard({"a": along_other_paths(0.2), "b": evaluation(0.1)})
    assert [run.name for run in board.not_fed_back] == ["b"]
    assert [run.metrics[FED_BACK] is None for run in board.runs] == [False, True]


@pytest.mark.parametrize("other", [older, without_rollouts])
def test_without_the_figure_runs_compare_as_before(other):
    board = Leaderboard({"a": other(0.2), "b": other(0.1)})
    assert [lead.metric.name for lead in board.leads] == list(KEY_METRICS)[1:]
    assert FED_BACK not in [metric.name for metric in board.metrics]
    assert (board.not_fed_back, comparison_details(board)) == ([], "")
