"""Units: what a recording declares, what a person gives, and what is only guessed."""

import numpy as np
import pytest

from forearm.base.errors import ForearmError
from forearm.recordings.units import declared_units, given_units, guess_units

JOINTS = ("left_pan.pos", "left_gripper.pos", "right_pan.pos")


@pytest.mark.parametrize(
    ("words", "units"),
    [
        (("deg",), ("deg", "deg", "deg")),
        (("degrees", "left_gripper=%"), ("deg", "%", "deg")),
        (("*gripper", "%", "left_pan", "rad"), ("rad", "%", None)),
        (("left_*=rad", "left_gripper.pos=none"), ("rad", "", None)),
        (("left_gripper=%", "degrees"), ("deg", "%", "deg")),
        (("left_gripper.pos=none", "left_*=rad", "deg"), ("rad", "", "deg")),
        (("deg", "left_*", "rad", "*pan=rad"), ("rad", "rad", "rad")),
        ((), (None, None, None)),
    ],
)
def test_units_are_given_for_all_by_joint_and_by_group(words, units):
    assert tuple(given_units(words, JOINTS).get(i) for i in range(3)) == units


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("furlong",), "gives 'furlong' no unit; give one of deg, rad"),
        (("left_pan=furlong",), "has 'furlong', which is no unit"),
        (("elbow=deg",), "has joint 'elbow', but there are only left_pan.pos"),
        (("left_pan",), "gives 'left_pan' no unit"),
        (("=deg",), "no unit"),
        (("deg", "rad"), "gives left_pan.pos both deg and rad"),
        (("left_*=rad", "*pan=deg"), "gives left_pan.pos both rad and deg"),
    ],
)
def test_what_is_no_unit_or_no_joint_is_refused(words, says):
    with pytest.raises(ForearmError, match=says) as failure:
        given_units(words, JOINTS)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    ("declared", "units"),
    [
        (["degrees", "percent", "deg"], ("deg", "%", "deg")),
        ({"left_pan.pos": "rad", "left_gripper.pos": "", "right_pan.pos": "rad"}, ("rad", "", "rad")),
        ("radians", ("rad", "rad", "rad")),
        (["deg"], None),
        ({"left_pan.pos": "rad"}, None),
        (None, None),
        (7, None),
    ],
)
def test_units_are_declared_in_a_list_by_name_or_for_all(declared, units):
    assert declared_units(declared, JOINTS) == units


@pytest.mark.parametrize(("high", "unit"), [(1.0, ""), (1.5, "rad"), (98.0, "%"), (255.0, "")])
def test_a_gripper_beside_an_arm_in_radians(high, unit):
    assert guess_units(("pan", "gripper"), np.array([-1.5, 0.0]), np.array([1.5, high])) == ("rad", unit)


@pytest.mark.parametrize(
    ("low", "high", "unit"),
    [(0, 1, ""), (0.2, 0.6, "%"), (3, 60, "%"), (0, 110, "deg"), (-40, 70, "deg"), (0, 255, ""), (0, 1000, "")],
)
@pytest.mark.parametrize(("reach", "arm"), [(90.0, "deg"), (100.0, "%")])
def test_a_hand_beside_an_arm_in_degrees_or_percent(low, high, unit, reach, arm):
    found = guess_units(("pan", "hand_thumb"), np.array([-reach, low]), np.array([reach, high]))
    assert found == (arm, arm if unit == "deg" else unit)


def test_velocities_are_no_angles():
    low, high = np.array([-1.5, -0.3, -40.0]), np.array([1.5, 0.3, 40.0])
    assert guess_units(("pan.pos", "x.vel", "theta_vel"), low, high) == ("rad", "", "")
