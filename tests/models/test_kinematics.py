"""Where the SO-101's joints put its gripper: as the simulator says, and only where the joints are known."""

import dataclasses

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tiny import make_layout

from forearm.canvas import Joint, Layout
from forearm.models.kinematics import CENTRE, JOINTS, UNIT, GripperPoints, arms
from forearm.sim import Simulator
from forearm.sim.names import JOINTS as SIMULATED


def layout_of(names, units) -> Layout:
    joints = tuple(Joint(name, unit, -1.0, 1.0, 1.0) for name, unit in zip(names, units, strict=True))
    return make_layout(joints=joints, actions=(dataclasses.replace(make_layout().actions[0], joint=joints[0].name),))


DEGREES = ["deg"] * 5 + ["%"]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0.05, 0.95), min_size=6, max_size=6))
def test_points_are_where_the_simulator_has_them(shares):
    simulator = Simulator(0)
    low, high = np.array([-110, -100, -96, -95, -157, 0.0]), np.array([110, 100, 96, 95, 162, 100.0])
    joints = (low + np.array(shares) * (high - low)).astype(np.float32)
    simulator.place(joints)
    points = GripperPoints()(torch.from_numpy(joints)) * UNIT + torch.tensor(CENTRE)
    for number, site in ((0, "fixed_tip"), (4, "moving_tip")):
        np.testing.assert_allclose(points[number], simulator.data.site(site).xpos, atol=1e-5)
    gripper = simulator.data.body("gripper")
    palm = gripper.xpos + gripper.xmat.reshape(3, 3) @ [0.011, 0, 0]
    np.testing.assert_allclose(points[2], palm, atol=1e-5)
    simulator.close()


def test_arms_are_known_by_names_and_units():
    assert JOINTS == SIMULATED
    assert arms(layout_of([f"{name}.pos" for name in JOINTS], DEGREES)) == [[0, 1, 2, 3, 4, 5]]
    both = [f"{side}_{name}.pos" for side in ("left", "right") for name in reversed(JOINTS)]
    assert arms(layout_of(both, 2 * DEGREES[::-1])) == [[5, 4, 3, 2, 1, 0], [11, 10, 9, 8, 7, 6]]
    assert arms(layout_of(JOINTS, ["%"] * 6)) == []  # scaled by a calibration, so no angles
    assert arms(layout_of(JOINTS, ["rad"] * 5 + ["%"])) == []
    assert arms(layout_of([f"joint_{n}" for n in range(6)], DEGREES)) == []
    assert arms(layout_of([*JOINTS[:5], "hand"], DEGREES)) == []
