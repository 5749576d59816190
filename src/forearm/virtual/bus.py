"""The servo bus: packets in, packets out, over the memory of each servo.

Protocol 0 of Feetech's STS and SMS servos, half duplex: ``FF FF id length instruction parameters checksum`` is answered
by ``FF FF id length error data checksum``. Numbers are little-endian; the signed ones have a sign bit.
Sources: Feetech's memory table of the STS3215; the SDK ``scservo_sdk`` 1.0.0.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

HEADER = b"\xff\xff"
BROADCAST = 0xFE
SIZE = 128
"""Bytes of a servo's memory."""
EEPROM = 40
"""How many of them outlast a power cut, from address 0."""
RESOLUTION = 4096
"""Positions of a turn."""


class Instruction(IntEnum):
    """What a packet asks for."""

    PING = 0x01
    READ = 0x02
    WRITE = 0x03
    REG_WRITE = 0x04
    ACTION = 0x05
    SYNC_READ = 0x82
    SYNC_WRITE = 0x83


class Status(IntEnum):
    """Bits of the error byte."""

    VOLTAGE = 1
    ANGLE = 2
    OVERHEAT = 4
    CURRENT = 8
    OVERLOAD = 32


@dataclass(frozen=True)
class Register:
    """A number in a servo's memory."""

    address: int
    size: int = 1
    """In bytes."""
    sign: int | None = None
    """The bit that is set where the number is negative."""

    def read(self, memory: bytes | bytearray) -> int:
        """The number."""
        value = int.from_bytes(memory[self.address : self.address + self.size], "little")
        if self.sign is not None and value >> self.sign & 1:
            return -(value & ~(1 << self.sign))
        return value

    def write(self, memory: bytearray, value: int) -> None:
        """Store a number, the nearest that there is room for."""
        most = (1 << (8 * self.size if self.sign is None else self.sign)) - 1
        number = min(abs(value), most) if self.sign is not None else min(max(value, 0), most)
        if self.sign is not None and value < 0:
            number |= 1 << self.sign
        memory[self.address : self.address + self.size] = number.to_bytes(self.size, "little")


FIRMWARE_MAJOR, FIRMWARE_MINOR, MODEL = Register(0), Register(1), Register(3, 2)
ID, BAUD_RATE, RETURN_DELAY, RESPONSE_LEVEL = Register(5), Register(6), Register(7), Register(8)
MIN_POSITION, MAX_POSITION = Register(9, 2), Register(11, 2)
MAX_TEMPERATURE, MAX_VOLTAGE, MIN_VOLTAGE, MAX_TORQUE = Register(13), Register(14), Register(15), Register(16, 2)
PROPORTIONAL, DERIVATIVE, INTEGRAL = Register(21), Register(22), Register(23)
HOMING_OFFSET, MODE = Register(31, 2, sign=11), Register(33)
PROTECTIVE_TORQUE, PROTECTION_TIME, OVERLOAD_TORQUE = Register(34), Register(35), Register(36)
TORQUE, ACCELERATION, GOAL_POSITION = Register(40), Register(41), Register(42, 2, sign=15)
GOAL_VELOCITY, TORQUE_LIMIT, LOCK = Register(46, 2, sign=15), Register(48, 2), Register(55)
POSITION, VELOCITY, LOAD = Register(56, 2, sign=15), Register(58, 2, sign=15), Register(60, 2, sign=10)
VOLTAGE, TEMPERATURE, STATUS, MOVING, CURRENT = (
    Register(62),
    Register(63),
    Register(65),
    Register(66),
    Register(69, 2, sign=15),
)
FACTORY = {
    FIRMWARE_MAJOR: 3,
    FIRMWARE_MINOR: 10,
    MODEL: 777,
    RESPONSE_LEVEL: 1,
    MAX_POSITION: RESOLUTION - 1,
    MAX_TEMPERATURE: 70,
    MAX_VOLTAGE: 80,
    MIN_VOLTAGE: 40,
    MAX_TORQUE: 1000,
    PROPORTIONAL: 32,
    DERIVATIVE: 32,
    PROTECTIVE_TORQUE: 20,
    PROTECTION_TIME: 200,
    OVERLOAD_TORQUE: 80,
}
"""What a new STS3215 (7.4 V) holds, without its number."""
READ_ONLY = frozenset({*range(5), *range(56, 71)})


@dataclass
class Servo:
    """One servo on the bus."""

    memory: bytearray
    pending: tuple[int, bytes] | None = None
    """Address and data of a REG_WRITE that waits for ACTION."""
    silent: bool = False
    """Fault: it acts, but does not answer."""
    garbled: bool = False
    """Fault: its answers have a wrong checksum."""

    @classmethod
    def new(cls, number: int) -> "Servo":
        """As it comes from the factory, with an id."""
        memory = bytearray(SIZE)
        for register, value in {**FACTORY, ID: number}.items():
            register.write(memory, value)
        servo = cls(memory)
        servo.power_on()
        return servo

    def power_on(self) -> None:
        """Begin with limp motors; what is not in the EEPROM is forgotten."""
        self.memory[EEPROM:] = bytes(SIZE - EEPROM)
        self.pending = None
        TORQUE_LIMIT.write(self.memory, MAX_TORQUE.read(self.memory))
        LOCK.write(self.memory, 1)

    def write(self, address: int, data: bytes) -> None:
        """Write to the memory; a torque that is switched on holds the present position."""
        was_on = TORQUE.read(self.memory)
        for place, byte in enumerate(data, start=address):
            if place < SIZE and place not in READ_ONLY:
                self.memory[place] = byte
        if TORQUE.read(self.memory) and not was_on:
            GOAL_POSITION.write(self.memory, POSITION.read(self.memory))


@dataclass(frozen=True)
class Packet:
    """An instruction to a servo, or to all."""

    id: int
    instruction: int
    parameters: bytes = b""


def checksum(body: bytes) -> int:
    """Of a packet's bytes between header and checksum."""
    return ~sum(body) & 0xFF


def encode(number: int, kind: int, payload: bytes = b"") -> bytes:
    """A packet: of an instruction, or of an answer whose error byte is ``kind``."""
    body = bytes([number, len(payload) + 2, kind]) + payload
    return HEADER + body + bytes([checksum(body)])


def decode(stream: bytes) -> tuple[list[Packet], bytes]:
    """The whole packets in a stream, and what is left of it. What is no packet is skipped, as servos do."""
    packets: list[Packet] = []
    while (start := stream.find(HEADER)) >= 0:
        stream = stream[start:]
        if len(stream) < 4:
            return packets, stream
        number, length = stream[2], stream[3]
        if number == 0xFF or length < 2:
            stream = stream[1:]
            continue
        end = 4 + length
        if len(stream) < end:
            return packets, stream
        if checksum(stream[2 : end - 1]) == stream[end - 1]:
            packets.append(Packet(number, stream[4], stream[5 : end - 1]))
            stream = stream[end:]
        else:
            stream = stream[1:]
    return packets, stream[-1:] if stream.endswith(b"\xff") else b""


@dataclass
class Bus:
    """The servos on a cable."""

    servos: Sequence[Servo]
    rest: bytes = field(default=b"", repr=False)
    """Of a packet that has not yet arrived in full."""

    def exchange(self, received: bytes) -> bytes:
        """What the servos answer to the bytes that have arrived."""
        packets, self.rest = decode(self.rest + received)
        return b"".join(answer for packet in packets for answer in self._answers(packet))

    def _answers(self, packet: Packet) -> Iterator[bytes]:
        match packet.instruction:
            case Instruction.SYNC_WRITE:
                self._sync_write(packet.parameters)
            case Instruction.SYNC_READ if len(packet.parameters) > 2:
                address, size, *ids = packet.parameters
                for number in ids:
                    for servo in self._called(number):
                        yield from _answer(servo, _read(servo, address, size))
            case _:
                for servo in self._called(packet.id):
                    data = _obey(servo, packet)
                    asked = packet.instruction in (Instruction.PING, Instruction.READ)
                    told = packet.id != BROADCAST and RESPONSE_LEVEL.read(servo.memory) > 0
                    if data is not None and (told or asked):
                        yield from _answer(servo, data)

    def _called(self, number: int) -> list[Servo]:
        """The servos with an id; all, in the order of their ids, where everybody is meant."""
        found = [servo for servo in self.servos if number in (BROADCAST, ID.read(servo.memory))]
        return sorted(found, key=lambda servo: ID.read(servo.memory))

    def _sync_write(self, parameters: bytes) -> None:
        if len(parameters) < 2:
            return
        address, size, data = parameters[0], parameters[1], parameters[2:]
        for start in range(0, len(data) - size, size + 1):
            for servo in self._called(data[start]):
                servo.write(address, data[start + 1 : start + 1 + size])


def _obey(servo: Servo, packet: Packet) -> bytes | None:
    """Carry out an instruction, and say what is answered; None where it makes no sense, which is not answered."""
    parameters = packet.parameters
    match packet.instruction:
        case Instruction.PING:
            return b""
        case Instruction.READ if len(parameters) == 2 and packet.id != BROADCAST:
            return _read(servo, *parameters)
        case Instruction.WRITE if parameters:
            servo.write(parameters[0], parameters[1:])
            return b""
        case Instruction.REG_WRITE if parameters:
            servo.pending = (parameters[0], parameters[1:])
            return b""
        case Instruction.ACTION:
            if servo.pending:
                servo.write(*servo.pending)
            servo.pending = None
            return b""
    return None


def _read(servo: Servo, address: int, size: int) -> bytes:
    """Bytes of a servo's memory; beyond its end there are zeros."""
    return bytes(servo.memory[address : address + size]).ljust(min(size, 250), b"\0")


def _answer(servo: Servo, data: bytes) -> Iterator[bytes]:
    if servo.silent:
        return
    packet = encode(ID.read(servo.memory), STATUS.read(servo.memory), data)
    yield packet[:-1] + bytes([packet[-1] ^ 0x55]) if servo.garbled else packet
