"""Servos in front of the simulated arm: what they hold, measure and protect."""

import json

import numpy as np
import pytest

from forearm.base.errors import ForearmError
from forearm.sim import JOINTS
from forearm.sim.poses import NOMINAL
from forearm.virtual import bus
from forearm.virtual.arm import MIDDLE, TICK, VirtualArm
from forearm.virtual.scene import Scene

ELBOW = JOINTS.index("elbow_flex")


@pytest.fixture(scope="module")
def simulator():
    return Scene(7).build()


@pytest.fixture
def arm(simulator):
    return VirtualArm(simulator)


def let_pass(arm: VirtualArm, seconds: float) -> None:
    for _ in range(round(seconds / TICK)):
        arm.advance()


def switch(arm: VirtualArm, on: bool) -> None:
    for servo in arm.servos:
        servo.write(bus.TORQUE.address, bytes([on]))


def degrees(arm: VirtualArm) -> np.ndarray:
    """The joints as LeRobot reads them from the servos: degrees from the middle of the range, the gripper's in %."""
    read = []
    for name, servo in zip(JOINTS, arm.servos, strict=True):
        low, high, at = (each.read(servo.memory) for each in (bus.MIN_POSITION, bus.MAX_POSITION, bus.POSITION))
        read.append((at - low) / (high - low) * 100 if name == "gripper" else (at - (low + high) / 2) * 360 / 4095)
    return np.array(read)


def send(arm: VirtualArm, joint: int, by: int) -> None:
    """Move a joint's goal by some positions of a turn."""
    memory = arm.servos[joint].memory
    goal = bus.POSITION.read(memory) + by
    arm.servos[joint].write(bus.GOAL_POSITION.address, goal.to_bytes(2, "little"))


def test_it_is_limp_at_first_and_a_hand_holds_it(arm):
    let_pass(arm, 0.5)
    assert not arm.torque.any()
    assert degrees(arm) == pytest.approx(NOMINAL, abs=0.15)


def test_lerobot_reads_the_simulators_degrees_everywhere(arm):
    for pose in (*arm.simulator.limits, MIDDLE, NOMINAL):
        arm.hand.poses = [pose]
        let_pass(arm, 4)
        assert degrees(arm) == pytest.approx(arm.simulator.joints(), abs=0.15)
        assert degrees(arm) == pytest.approx(pose, abs=0.15)


def test_a_motor_that_becomes_stiff_stays_and_then_goes_where_it_is_sent(arm):
    let_pass(arm, 0.1)
    switch(arm, True)
    let_pass(arm, 1)
    assert degrees(arm) == pytest.approx(NOMINAL, abs=3)  # it sags, as the gears of a real one do
    before = degrees(arm)
    send(arm, ELBOW, 114)
    let_pass(arm, 1.5)
    moved = degrees(arm) - before
    assert moved[ELBOW] == pytest.approx(10, abs=1.5)
    assert np.abs(np.delete(moved, ELBOW)).max() < 1.5


def test_without_hand_and_torque_it_falls(arm):
    arm.hand = None
    let_pass(arm, 1)
    assert degrees(arm) == pytest.approx(NOMINAL, abs=0.5)  # a person supports it
    arm.supported = False
    let_pass(arm, 1)
    assert np.abs(degrees(arm) - NOMINAL).max() > 10


def test_a_hand_cannot_move_a_stiff_joint_and_is_pushed_off(arm):
    switch(arm, True)
    let_pass(arm, 0.1)
    with pytest.raises(ForearmError, match="elbow_flex cannot be moved by hand"):
        arm.lead([MIDDLE], ["elbow_flex"])
    send(arm, ELBOW, 114)
    let_pass(arm, 1)
    assert degrees(arm)[ELBOW] > NOMINAL[ELBOW] + 5


def test_a_goal_beyond_the_limits_is_taken_to_them(arm):
    let_pass(arm, 0.1)
    pan = arm.servos[0]
    bus.MAX_POSITION.write(pan.memory, bus.POSITION.read(pan.memory) + 100)
    switch(arm, True)
    send(arm, 0, 400)
    let_pass(arm, 1.5)
    assert arm.simulator.joints()[0] == pytest.approx(100 * 360 / 4096, abs=0.5)


def test_a_goal_velocity_is_kept(arm):
    let_pass(arm, 0.1)
    switch(arm, True)
    arm.servos[0].write(bus.GOAL_VELOCITY.address, (114).to_bytes(2, "little"))  # 10 degrees a second
    send(arm, 0, 342)
    let_pass(arm, 1)
    assert arm.simulator.joints()[0] == pytest.approx(10, abs=2)


def test_a_blocked_joint_pushes_and_is_then_protected(arm):
    let_pass(arm, 0.1)
    switch(arm, True)
    arm.faults.blocked[ELBOW] = True
    send(arm, ELBOW, 300)
    let_pass(arm, 1)
    memory = arm.servos[ELBOW].memory
    assert degrees(arm)[ELBOW] == pytest.approx(NOMINAL[ELBOW], abs=0.5)
    assert bus.LOAD.read(memory) > 800
    let_pass(arm, 2)
    assert bus.STATUS.read(memory) & bus.Status.OVERLOAD
    assert bus.LOAD.read(memory) == pytest.approx(200, abs=20)
    arm.servos[ELBOW].write(bus.TORQUE.address, b"\0")
    let_pass(arm, 0.1)
    assert not bus.STATUS.read(memory)


def test_a_motor_that_is_too_hot_goes_limp_and_says_so(arm):
    let_pass(arm, 0.1)
    switch(arm, True)
    arm.faults.heat[ELBOW] = 75
    let_pass(arm, 0.1)
    memory = arm.servos[ELBOW].memory
    assert bus.TEMPERATURE.read(memory) == 75
    assert bus.STATUS.read(memory) == bus.Status.OVERHEAT
    assert [name for name, stiff in zip(JOINTS, arm.torque, strict=True) if not stiff] == ["elbow_flex"]


def test_after_a_power_cut_it_is_limp_and_still_calibrated(arm):
    let_pass(arm, 0.1)
    switch(arm, True)
    before = arm.eeprom
    arm.power(False)
    assert not arm.torque.any()
    arm.power(True)
    let_pass(arm, 0.1)
    assert not arm.torque.any()
    assert arm.eeprom == before
    assert bus.TORQUE_LIMIT.read(arm.servos[0].memory) == 1000


def test_a_calibration_by_hand_gives_what_it_was_sold_with(arm, tmp_path):
    """LeRobot's: homing in the middle, then the ranges."""
    arm.write_calibration(tmp_path / "sold.json")
    arm.reset()
    assert bus.HOMING_OFFSET.read(arm.servos[0].memory) == 0
    arm.lead([MIDDLE])
    let_pass(arm, 2)
    for servo in arm.servos:
        bus.HOMING_OFFSET.write(servo.memory, bus.POSITION.read(servo.memory) - 2047)
    arm.sweep()
    seen = []
    for _ in range(round(9 / TICK)):
        arm.advance()
        seen.append([bus.POSITION.read(servo.memory) for servo in arm.servos])
    for servo, low, high, name in zip(arm.servos, np.min(seen, axis=0), np.max(seen, axis=0), JOINTS, strict=True):
        bus.MIN_POSITION.write(servo.memory, 0 if name == "wrist_roll" else int(low))
        bus.MAX_POSITION.write(servo.memory, 4095 if name == "wrist_roll" else int(high))
    arm.write_calibration(tmp_path / "found.json")
    sold, found = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("sold", "found"))
    assert sold.keys() == found.keys() == set(JOINTS)
    for name in JOINTS:
        assert np.abs(np.subtract(list(sold[name].values()), list(found[name].values()))).max() <= 2
