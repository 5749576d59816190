"""An action in words says what moves, how far and which way; a figure says what it is and no more."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tiny import make_layout

from forearm.canvas import ActionDimension, Joint
from forearm.media.words import DECIMALS, SMALLEST, action_words, figure, reading

ACTIONS = (
    ActionDimension("pan", "pan", "deg", 10.0),
    ActionDimension("grip", None, "", 2.0),
    ActionDimension("reach", None, "mm", 4.0),
    ActionDimension("jaw", None, "%", 50.0),
)


@pytest.mark.parametrize("discrete", [True, False])
@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1, 0, 0, 0], "pan +10°"),
        ([0, -1, 0, 0], "grip −2"),
        ([0.25, 0, -0.5, 0], "pan +2.5°, reach −2 mm"),
        ([0.25, 0.01, 0, 0], "pan +2.5°"),
        ([0.1, -0.2, 0, 0.5], "jaw +25% …"),
        ([0, 0, 0, 0], "STAY"),
        ([0.02, 0, -0.01, 0], "STAY"),
    ],
)
def test_actions_in_words(discrete, values, words):
    layout = make_layout(actions=ACTIONS, discrete=discrete)
    assert action_words(layout, np.array(values, np.float32)) == words


SIZES = st.floats(1e-12, 1e12) | st.just(0.0)
VALUES = st.builds(lambda size, sign: size * sign, SIZES, st.sampled_from((1, -1)))


def read(text):
    """The number that a reader takes from a figure."""
    text = text.replace("−", "-").translate(str.maketrans("", "", ",<>+"))
    mantissa, _, power = text.partition(" × 10")
    return float(mantissa) * 10.0 ** int((power or "⁰").translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")))


@given(VALUES, st.sampled_from(["", "dB", "deg", "rad"]))
def test_a_figure_says_three_digits_of_what_it_is(value, unit):
    text = figure(value, unit)
    number = text.removesuffix("°").removesuffix(f" {unit}")
    assert figure(value, measured=bool(unit)) == number
    if unit and 0 < abs(value) < SMALLEST:  # no power of ten stands before a unit
        assert number == ("<0.0001" if value > 0 else "−<0.0001")
        return
    assert read(number) == pytest.approx(value, rel=0.0051)
    assert not re.search("[e-]", number)
    assert len(number) <= len("−1.00 × 10⁻¹²")
    assert (read(number) == 0) == (value == 0)
    assert read(figure(value, signed=True)) == read(number)


@given(st.lists(VALUES, min_size=2, max_size=2), st.sampled_from(["", "share"]))
def test_figures_keep_their_order(pair, unit):
    one, other = (read(figure(value, unit).removesuffix("%")) for value in sorted(pair))
    assert one <= other


@given(st.floats(0, 1))
def test_a_share_is_whole_or_none_only_if_it_is(share):
    text = figure(share, "share")
    assert (text == "100%") == (share == 1)
    assert (text == "0%") == (share == 0)
    assert re.fullmatch(r"<?\d{1,3}(\.\d)?%", text)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0102, "", "0.0102"),
        (0.00000049, "", "4.90 × 10⁻⁷"),
        (195567003.71, "", "1.96 × 10⁸"),
        (1670, "", "1,670"),
        (8.88e-16, "dB", "0 dB"),
        (-8.88e-16, "", "0"),
        (5.92e-5, "deg", "<0.0001°"),
        (-27.71, "dB", "−27.7 dB"),
        (0.0352, "deg", "0.0352°"),
        (0.9996, "share", "<100%"),
        (-0.0004, "share", "−<0.1%"),
        (None, "deg", "–"),
        (float("nan"), "", "–"),
        (float("inf"), "", "–"),
    ],
)
def test_figures_in_words(value, unit, text):
    assert figure(value, unit) == text


@pytest.mark.parametrize(
    ("share", "text"), [(0.0004, "+<0.1%"), (-0.0004, "−<0.1%"), (0.9999, "+<100%"), (0.5, "+50.0%")]
)
def test_the_sign_of_a_share_stands_before_its_bound(share, text):
    assert figure(share, "share", signed=True) == text


@given(st.floats(-1e4, 1e4), st.sampled_from(["deg", "%", "rad", "ticks", "m", ""]))
def test_a_reading_has_the_decimals_of_its_unit(value, unit):
    joint = Joint("pan", unit, -1, 1)
    text = reading(value, joint, unit=True)
    number = text.removesuffix("°").removesuffix("%").removesuffix(f" {unit}").replace("−", "-")
    assert float(number) == pytest.approx(value, abs=0.51 * 10 ** -DECIMALS.get(unit, 4))
    assert number.lstrip("-").strip("0.") or not number.startswith("-")


def test_a_change_that_cannot_be_seen_has_no_sign():
    joint = Joint("pan", "deg")
    assert [reading(value, joint, signed=True) for value in (0.001, 1, -1)] == ["0.00", "+1.00", "−1.00"]
