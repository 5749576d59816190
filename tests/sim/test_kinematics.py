"""Inverse kinematics: the gripper gets where it is to be, points there, and opens across what it is to grasp."""

from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

if find_spec("mujoco") is None:  # not imported here: forearm.sim must be the first to do so
    pytest.skip("needs the extra `sim`", allow_module_level=True)

from forearm.sim import Simulator
from forearm.sim.kinematics import Grip, Kinematics
from forearm.sim.poses import NOMINAL

SIMULATOR = Simulator()
KINEMATICS = Kinematics(SIMULATOR)


@given(
    distance=st.floats(0.16, 0.27),
    angle=st.floats(-50, 50),
    height=st.floats(0.02, 0.06),
    pitch=st.floats(65, 85),
    across=st.floats(0, 180),
    opening=st.floats(0, 60),
)
def test_a_grip_is_reached(
    distance: float, angle: float, height: float, pitch: float, across: float, opening: float
) -> None:
    turn = np.radians(angle)
    at = np.array([0.0388 + distance * np.cos(turn), distance * np.sin(turn), height])
    joints, missed = KINEMATICS.solve(Grip(at, pitch, across, opening), NOMINAL)
    assert missed < 0.003
    low, high = SIMULATOR.limits
    assert ((low <= joints) & (joints <= high)).all()
    SIMULATOR.place(joints)  # by the simulator itself, not by what solved it
    gripper = SIMULATOR.data.body("gripper")
    axes = gripper.xmat.reshape(3, 3)
    np.testing.assert_allclose(gripper.xpos + axes @ [*Grip.tip, 0], at, atol=0.003)
    assert np.degrees(np.arcsin(-axes[2, 0])) == pytest.approx(pitch, abs=1.5)
    line = np.array([np.cos(np.radians(across)), np.sin(np.radians(across))])
    opens = axes[:2, 1] / np.linalg.norm(axes[:2, 1])
    assert abs(opens @ line) > np.cos(np.radians(20))  # exact where the gripper points straight down
    assert joints[-1] == pytest.approx(opening, abs=0.1)


def test_what_is_out_of_reach_is_missed() -> None:
    assert KINEMATICS.solve(Grip(np.array([0.6, 0.0, 0.05])), NOMINAL)[1] > 0.1


def test_targets_that_hold_are_those_of_placing() -> None:
    SIMULATOR.place(NOMINAL)
    np.testing.assert_allclose(KINEMATICS.holding(NOMINAL), SIMULATOR.targets(), atol=1e-3)


def test_the_wrist_does_not_turn_over_on_the_way() -> None:
    """Of two ways to open across a line the nearer one is taken, where that is asked for."""
    grip = Grip(np.array([0.24, 0.0, 0.03]), 80.0, across=5.0)
    smaller, _ = KINEMATICS.solve(grip, NOMINAL)
    turned = smaller.copy()
    turned[4] += 160
    nearer, _ = KINEMATICS.solve(grip, turned, near=True)
    assert abs(nearer[4] - smaller[4]) == pytest.approx(180, abs=1)
