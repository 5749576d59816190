"""Six servos that move the simulated arm: what they hold, how they push, what they measure, and their faults."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from forearm.base.errors import ForearmError
from forearm.base.files import write_json
from forearm.sim import JOINTS, Simulator
from forearm.sim.poses import NOMINAL
from forearm.sim.simulator import from_radians, to_radians
from forearm.virtual import bus
from forearm.virtual.bus import RESOLUTION, Servo, Status

TICK = 0.01
"""Seconds between two looks of a servo at its goal; a multiple of 1/300."""
MIDDLE = np.array([0, 0, 0, 0, 0, 50], np.float32)
"""The pose that a person puts the arm in before its ranges are recorded."""
FULL_TURN = "wrist_roll"
"""The joint whose range LeRobot does not record."""
_MOUNTED = np.array([137, -412, 268, -95, 330, -310])  # by how much a horn sits beside the encoder's middle
_FASTEST = 3400.0  # positions a second, without load
_HAND = 90.0  # degrees a second by which a person moves a joint
_DAMPING, _STALL = 0.9, 3.35  # newton metre seconds a radian, newton metres; as in so101.xml
_RIGID = 1e5  # damping of a joint that something holds
_ROOM, _HEATING, _COOLING = 32.0, 0.6, 0.02  # °C; °C a second at full load; share a second
_VOLTS = 74  # tenths
_AMPERES = 415.0  # at full load, in units of 6.5 mA


def angles(joints: np.ndarray) -> np.ndarray:
    """Joints (6,) of the simulator as degrees of the servos' axes."""
    return np.degrees(to_radians(joints))


def joints_of(degrees: np.ndarray) -> np.ndarray:
    """The reverse of `angles`, float32."""
    return from_radians(np.radians(degrees))


def encoder(joints: np.ndarray) -> np.ndarray:
    """Where the encoders (6,) stand, in positions of a turn, before homing."""
    return angles(joints) * RESOLUTION / 360 + RESOLUTION // 2 + _MOUNTED


@dataclass
class Hand:
    """A person who leads limp joints through poses, and holds them at the last."""

    poses: list[np.ndarray]
    """Joints (6,) each."""
    held: np.ndarray
    """Which joints, (6,) bool."""


@dataclass
class Faults:
    """What is wrong with the joints, (6,) each."""

    blocked: np.ndarray = field(default_factory=lambda: np.zeros(6, bool))
    """Which cannot move."""
    heat: np.ndarray = field(default_factory=lambda: np.full(6, np.nan))
    """°C that the motors have, whatever they do; NaN where they warm and cool by themselves."""


class VirtualArm:
    """The simulated arm as its servos move it. In the beginning it is limp, a hand holds it above the
    table, and a person supports it.

    Args:
        simulator: its arm is placed.
        eeprom: what the servos hold, (6 × 40) bytes; by default that of a calibrated arm.
    """

    def __init__(self, simulator: Simulator, eeprom: bytes | None = None):
        self.simulator = simulator
        self.servos = [Servo.new(number) for number in range(1, 7)]
        self.bus = bus.Bus(self.servos)
        self.faults, self.powered = Faults(), True
        self._setpoint = angles(NOMINAL)  # where each servo is on its way to its goal, degrees of its axis
        self.celsius = np.full(6, _ROOM)
        """How warm the motors are, (6,)."""
        self._overloaded = np.zeros(6)  # for how many seconds
        simulator.place(NOMINAL)
        self.hand: Hand | None = Hand([NOMINAL], np.ones(6, bool))
        self.supported = True
        """Whether a person stands by who keeps limp joints from falling."""
        if eeprom is None:
            self.calibrate()
        else:
            for servo, part in zip(self.servos, np.frombuffer(eeprom, np.uint8).reshape(6, -1), strict=True):
                servo.memory[: bus.EEPROM] = part.tobytes()
        self._feel(np.zeros(6))

    @property
    def eeprom(self) -> bytes:
        """What outlasts a power cut."""
        return b"".join(bytes(servo.memory[: bus.EEPROM]) for servo in self.servos)

    def move_to(self, simulator: Simulator) -> None:
        """Go on in another simulator, as the arm is."""
        arm, there = self.simulator.data, simulator.data
        there.qpos[:6], there.qvel[:6], there.ctrl[:] = arm.qpos[:6], arm.qvel[:6], arm.ctrl
        self.simulator = simulator

    def calibrate(self) -> None:
        """Write the calibration to the servos that LeRobot would."""
        homing = np.round(encoder(MIDDLE)).astype(int) - (RESOLUTION // 2 - 1)
        ends = np.round(np.stack([encoder(limit) for limit in self.simulator.limits])).astype(int) - homing
        ends[:, JOINTS.index(FULL_TURN)] = 0, RESOLUTION - 1
        for servo, offset, low, high in zip(self.servos, homing.tolist(), *ends.tolist(), strict=True):
            bus.HOMING_OFFSET.write(servo.memory, offset)
            bus.MIN_POSITION.write(servo.memory, low)
            bus.MAX_POSITION.write(servo.memory, high)

    def reset(self) -> None:
        """Factory settings: no calibration."""
        for number, servo in enumerate(self.servos, start=1):
            servo.memory[:] = Servo.new(number).memory

    def write_calibration(self, file: Path) -> None:
        """Write what the servos hold as LeRobot's calibration file."""
        entries = {
            name: {
                "id": bus.ID.read(servo.memory),
                "drive_mode": 0,
                "homing_offset": bus.HOMING_OFFSET.read(servo.memory),
                "range_min": bus.MIN_POSITION.read(servo.memory),
                "range_max": bus.MAX_POSITION.read(servo.memory),
            }
            for name, servo in zip(JOINTS, self.servos, strict=True)
        }
        write_json(file, entries)

    def advance(self) -> None:
        """Let a `TICK` pass."""
        torque = self.torque
        if self.hand and (torque & self.hand.held).any():  # motors are stronger
            self.hand.held = self.hand.held & ~torque
        before = angles(self.simulator.joints())
        self._setpoint = np.where(torque, self._towards_goals(), before)
        model, data = self.simulator.model, self.simulator.data
        model.actuator_forcerange[:, 1] = _STALL * self._strength()
        model.actuator_forcerange[:, 0] = -model.actuator_forcerange[:, 1]
        held = self.hand.held if self.hand else False
        rigid = self.faults.blocked | held | (self.supported & ~torque)
        model.dof_damping[:6] = np.where(rigid, _RIGID, _DAMPING)
        self._lead()
        self.simulator.step(joints_of(self._setpoint), TICK)
        load = np.where(torque, data.actuator_force / _STALL, 0.0)
        self._protect(load)
        self._feel(load, (angles(self.simulator.joints()) - before) / TICK)

    @property
    def torque(self) -> np.ndarray:
        """Which motors are stiff, (6,) bool."""
        return np.array([self.powered and bus.TORQUE.read(servo.memory) == 1 for servo in self.servos])

    def power(self, on: bool) -> None:
        """Cut the motors' power, or give it back: they are limp until they are told otherwise."""
        self.powered = on
        for servo in self.servos:
            servo.power_on()

    def mend(self) -> None:
        """End all faults; after a power cut the motors stay limp."""
        self.celsius = np.where(np.isnan(self.faults.heat), self.celsius, _ROOM)
        self.faults = Faults()
        for servo in self.servos:
            servo.silent = servo.garbled = False
        if not self.powered:
            self.power(True)

    def lead(self, poses: Iterable[np.ndarray], joints: Iterable[str] = JOINTS) -> None:
        """Have a hand take limp joints through poses (6,), and hold them at the last.

        Raises:
            ForearmError: a motor is stiff.
        """
        held = np.array([name in tuple(joints) for name in JOINTS])
        stiff = [name for name, is_stiff in zip(JOINTS, self.torque & held, strict=True) if is_stiff]
        if stiff:
            raise ForearmError(f"{', '.join(stiff)} cannot be moved by hand; switch the torque off first")
        previous = self.hand.held if self.hand else np.zeros(6, bool)
        self.hand = Hand([np.clip(pose, *self.simulator.limits) for pose in poses], held | previous)

    def sweep(self) -> None:
        """Have a hand take all joints through their whole ranges and back to the middle."""
        self.lead([*self.simulator.limits, MIDDLE])

    def _lead(self) -> None:
        """What a hand holds is where the hand is."""
        if not self.hand:
            return
        data, held = self.simulator.data, np.flatnonzero(self.hand.held)
        now, there = angles(self.simulator.joints()), angles(self.hand.poses[0])
        step = np.clip(there - now, -_HAND * TICK, _HAND * TICK)
        data.qpos[held], data.qvel[held] = np.radians(now + step)[held], 0.0
        if len(self.hand.poses) > 1 and np.abs((there - now)[held]).max(initial=0) < _HAND * TICK:
            self.hand.poses.pop(0)

    def _towards_goals(self) -> np.ndarray:
        """The set points (6,) a tick later."""
        goals = np.empty(6)
        speeds = np.empty(6)
        for number, servo in enumerate(self.servos):
            memory = servo.memory
            low, high = bus.MIN_POSITION.read(memory), bus.MAX_POSITION.read(memory)
            goals[number] = min(max(bus.GOAL_POSITION.read(memory), low), high) + bus.HOMING_OFFSET.read(memory)
            speeds[number] = abs(bus.GOAL_VELOCITY.read(memory)) or _FASTEST
        turned = (goals - _MOUNTED) % RESOLUTION - RESOLUTION // 2
        most = speeds * 360 / RESOLUTION * TICK
        return self._setpoint + np.clip(turned * 360 / RESOLUTION - self._setpoint, -most, most)

    def _strength(self) -> np.ndarray:
        """The share (6,) of their force that the motors may use."""
        shares = [
            min(bus.TORQUE_LIMIT.read(servo.memory), bus.MAX_TORQUE.read(servo.memory))
            / 1000
            * (bus.PROTECTIVE_TORQUE.read(servo.memory) / 100 if _is_overloaded(servo) else 1.0)
            for servo in self.servos
        ]
        return np.where(self.torque, shares, 0.0)

    def _protect(self, load: np.ndarray) -> None:
        """Warm up; motors that are too hot go limp, and those overloaded for too long push less."""
        self.celsius += TICK * (_HEATING * np.abs(load) - _COOLING * (self.celsius - _ROOM))
        self.celsius = np.where(np.isnan(self.faults.heat), self.celsius, self.faults.heat)
        for number, servo in enumerate(self.servos):
            memory = servo.memory
            status = bus.STATUS.read(memory)
            hot = self.celsius[number] > bus.MAX_TEMPERATURE.read(memory)
            heavy = abs(load[number]) * 100 >= bus.OVERLOAD_TORQUE.read(memory)
            self._overloaded[number] = self._overloaded[number] + TICK if heavy else 0.0
            if self._overloaded[number] * 100 > bus.PROTECTION_TIME.read(memory):
                status |= Status.OVERLOAD
            if hot:
                bus.TORQUE.write(memory, 0)
            if not bus.TORQUE.read(memory):
                status &= ~Status.OVERLOAD
            bus.STATUS.write(memory, status | Status.OVERHEAT if hot else status & ~Status.OVERHEAT)

    def _feel(self, load: np.ndarray, speed: np.ndarray | None = None) -> None:
        """Write to the servos' memory what they measure: degrees a second, shares of the full load."""
        turning = np.zeros(6) if speed is None else speed * RESOLUTION / 360
        there = np.round(encoder(self.simulator.joints())).astype(int)
        for number, servo in enumerate(self.servos):
            memory = servo.memory
            position = (int(there[number]) - bus.HOMING_OFFSET.read(memory)) % RESOLUTION
            for register, value in (
                (bus.POSITION, position),
                (bus.VELOCITY, round(turning[number])),
                (bus.LOAD, round(1000 * load[number])),
                (bus.VOLTAGE, _VOLTS),
                (bus.TEMPERATURE, round(self.celsius[number])),
                (bus.MOVING, int(abs(turning[number]) > 15)),
                (bus.CURRENT, round(_AMPERES * load[number])),
            ):
                register.write(memory, value)


def _is_overloaded(servo: Servo) -> bool:
    return bool(bus.STATUS.read(servo.memory) & Status.OVERLOAD)
