"""Targets mean what they say, and lines that cannot be understood are refused."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forearm.base.errors import ForearmError
from forearm.evaluation import METRICS
from forearm.report.targets import LISTS, RELATIONS, Target, key_targets, parse_targets

NAMES = st.sampled_from(sorted(METRICS.keys() - set(LISTS)))
NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)
TARGETS = st.builds(Target, NAMES, st.sampled_from(sorted(RELATIONS)), NUMBERS)
SPACE = st.sampled_from(["", " ", "  "])


@given(st.lists(TARGETS, min_size=1), SPACE, st.sampled_from([",", ";"]), st.sampled_from(["target:", "Targets :"]))
def test_what_is_written_is_read(targets, space, separator, start):
    texts = (f"{t.name}{space}{t.relation}{space}{t.value!r}" for t in targets)
    notes = f"We changed the lamp.\n  {start}{space}{(space + separator).join(texts)}\nnext: val_mse <= 1\n"
    assert parse_targets(notes) == targets


@given(st.sampled_from([name for name, metric in METRICS.items() if metric.unit == "share"]), st.integers(0, 100))
def test_shares_may_be_percent(name, percent):
    (target,) = parse_targets(f"target: {name} ≥ {percent}%")
    assert (target.relation, target.value) == (">=", percent / 100)


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\n\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")))
def test_a_line_is_understood_or_refused_in_one_line(text):
    said = ""
    try:
        assert parse_targets(f"target:{text}")
    except ForearmError as error:
        said = str(error)
    assert not said or "in the notes cannot be understood: " in said
    assert len(said.splitlines()) <= 1


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "it is written as: target: val_mse <= 0.0102"),
        (" , ;", "it is written as"),
        ("beat the other run", "it is written as"),
        ("val_mse = 0.01", "it is written as"),
        ("val_mse <= nan", "it is written as"),
        ("val_mse <= 1e999", "it is written as"),
        ("val_mse <= 0,0102", "'0102'"),
        ("mse <= 0.01", "no single figure 'mse'; docs/metrics.md"),
        ("motor_position_mae_per_joint <= 1", "no single figure"),
        ("val_mse <= 1%", "no share"),
    ],
)
def test_lines_that_cannot_be_understood(line, says):
    with pytest.raises(ForearmError, match=re.escape(says)):
        parse_targets(f"ssim is what counts\ntarget: {line}")


@given(TARGETS, NUMBERS, NUMBERS, NUMBERS)
def test_a_verdict_is_sure_only_if_the_whole_interval_is(target, one, two, three):
    low, value, high = sorted((one, two, three))
    verdict = target.verdict(value, (low, high), 6)
    kept = {RELATIONS[target.relation](figure, target.value) for figure in (low, value, high)}
    assert verdict == {(True,): "reached", (False,): "missed"}.get(tuple(kept), "too close to call")
    assert target.verdict(value, None, 6) == target.verdict(value, (low, high), 5) == "too few to tell"
    assert target.verdict(None, None, 6) == "not measured"


def test_who_sets_no_targets_is_to_be_reached():
    targets = key_targets({"val_mse": 0.01, "ssim": 0.8, "val_mse_dynamic": None, "psnr": 20.0})
    assert [str(target) for target in targets] == ["val_mse <= 0.01", "ssim >= 0.8"]
    back = {"ssim_fed_back": 0.7, "rollouts": {"fed_back": {"steps": 10, "seconds": 2.0}}}
    assert [str(target) for target in key_targets(back)] == ["ssim_fed_back >= 0.7"]
    assert targets[0].verdict(0.01, (0.01, 0.01), 6) == "reached"
    assert targets[1].verdict(0.8, (0.8, 0.8), 6) == "reached"
