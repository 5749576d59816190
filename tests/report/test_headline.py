"""What a page claims in sentences is no more sure than the verdicts behind it."""

from types import SimpleNamespace

from support.tiny import make_layout

from forearm.canvas import STAY
from forearm.evaluation import FED_BACK, JOINT_ONLY, KEY_METRICS, METRICS
from forearm.evaluation.leaderboard import Lead, Row
from forearm.report.comparison_page import lead_tile
from forearm.report.headline import comparison_details, comparison_headline
from forearm.report.wording import unit_of


def board_of(leaders, over_second, baselines, episodes=60, guesses=(), ahead=True, legible=True):
    """A leaderboard of runs a, b, c: who leads on each key metric, how surely, and verdicts against baselines."""
    runs = {name: Row(name, None, {"guesses": list(guesses) if name != "a" else []}, {}, None) for name in "abc"}
    names = [name for name in KEY_METRICS if name != FED_BACK]
    metrics = [METRICS[name] for name in names]
    leads = [
        Lead(metric, KEY_METRICS[metric.name], runs[leader], runs["c"], ahead, verdict, None, None)
        for metric, leader, verdict in zip(metrics, leaders, over_second, strict=True)
    ]
    verdicts = dict(zip(names, baselines, strict=True))

    def against_baselines(run, metric):
        verdict = verdicts[metric.name]
        return verdict, Row(JOINT_ONLY, None, {}, {}, None, JOINT_ONLY) if verdict == "worse" else None

    return SimpleNamespace(
        runs=list(runs.values()),
        leads=leads,
        count=episodes,
        grouped_by="episodes",
        seeds={},
        difference=lambda one, other, metric: None,
        not_fed_back=[],
        against_baselines=against_baselines,
        legible=legible,
        too_few=None,
    )


def test_who_is_surely_better_leads_surely():
    first, second = comparison_headline(board_of("aaaa", ["better"] * 4, ["better"] * 4))
    assert first == "a leads on all 4 key figures. It is surely ahead of the second on each."
    assert second == "a surely beats every baseline on all key figures."


def test_a_lead_is_as_sure_as_its_verdicts():
    first, _ = comparison_headline(board_of("aaab", ["level"] * 4, ["level"] * 4))
    assert "It is nowhere surely ahead of the second. b leads on acting-joint position." in first
    first, _ = comparison_headline(board_of("aaaa", ["better", "level", "level", None], ["level"] * 4))
    assert first.endswith("It is surely ahead of the second on picture error of moves.")
    assert comparison_headline(board_of("aaaa", [None] * 4, [None] * 4)) == (
        "a leads on all 4 key figures. The data do not say how sure that is.",
        "The data do not say how a differs from the baselines.",
    )


def test_a_baseline_that_is_better_is_named():
    board = board_of("aaaa", ["better"] * 4, ["worse", "better", "level", None])
    assert comparison_headline(board)[1] == (
        "a surely beats every baseline on error where the picture changes. "
        "a is level with a baseline on structural similarity of moves. "
        f"a loses to a baseline on picture error of moves ({JOINT_ONLY})."
    )
    board.runs = board.runs[:1]
    alone, nothing = comparison_headline(board)
    assert alone.startswith("a surely beats every baseline on")
    assert nothing == ""


def test_runs_that_guess_the_same_are_named_together():
    board = board_of("aaaa", ["better"] * 4, ["better"] * 4, guesses=[STAY])
    assert comparison_details(board) == "b and c were trained without STAY. Predictions under it are guesses."


def test_few_episodes_are_a_caution():
    few, enough = (comparison_details(board_of("aaaa", ["better"] * 4, ["better"] * 4, n)) for n in (3, 7))
    assert few == "The samples are from 3 episodes: too few to tell (at least 6)."
    assert enough == ""


def test_only_joints_have_a_unit():
    layout = make_layout()
    assert unit_of(layout, METRICS["acting_joint_position_mae"]) == "deg"
    assert unit_of(layout, METRICS["val_mse"]) == ""


def test_a_tile_names_no_run_where_none_leads():
    board = board_of("aaaa", ["level"] * 4, ["better"] * 4, ahead=False)
    for row in board.runs:
        row.metrics["val_mse_moves"] = 0.01
    tile = lead_tile(board, board.leads[0], "")
    assert tile["name"] == "no run leads"
    assert tile["remarks"] == [("a and c differ by less than 1%", "second, 0.0100", "")]
    board = board_of("aaaa", ["level"] * 4, ["better"] * 4)
    for row in board.runs:
        row.metrics["val_mse_moves"] = 0.01
    tile = lead_tile(board, board.leads[0], "")
    assert (tile["name"], tile["remarks"][0][0]) == ("a", "no clear difference from c")


def test_a_comparison_says_where_joints_cannot_be_read():
    board = board_of("aaaa", ["better"] * 4, ["better"] * 4, legible=False)
    assert comparison_details(board).startswith("Joints as read from the picture are no key figure here")
