"""The servo bus: packets in, packets out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forearm.virtual import bus
from forearm.virtual.bus import BROADCAST, Bus, Instruction, Packet, Register, Servo, decode, encode

IDS = st.integers(0, BROADCAST)
PAYLOADS = st.binary(max_size=60)
PACKETS = st.builds(Packet, IDS, st.integers(0, 0xFF), PAYLOADS)


def new_bus(count: int = 3) -> Bus:
    return Bus([Servo.new(number) for number in range(1, count + 1)])


def ask(line: Bus, number: int, instruction: Instruction, *parameters: int) -> list[tuple[int, int, bytes]]:
    """Who answers an instruction, with which error and data."""
    packets, rest = decode(line.exchange(encode(number, instruction, bytes(parameters))))
    assert not rest
    return [(packet.id, packet.instruction, packet.parameters) for packet in packets]


@given(st.lists(PACKETS, max_size=5), st.data())
def test_packets_are_decoded_whatever_the_pieces_in_which_they_arrive(packets, data):
    stream = b"".join(encode(packet.id, packet.instruction, packet.parameters) for packet in packets)
    found, rest = [], b""
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        more, rest = decode(rest + stream[:size])
        found += more
        stream = stream[size:]
    assert (found, rest) == (packets, b"")


@given(PACKETS, st.binary(max_size=20).filter(lambda noise: b"\xff" not in noise))
def test_noise_before_a_packet_is_skipped(packet, noise):
    assert decode(noise + encode(packet.id, packet.instruction, packet.parameters)) == ([packet], b"")


@given(PACKETS, st.data())
def test_a_damaged_packet_is_not_taken_for_itself(packet, data):
    stream = bytearray(encode(packet.id, packet.instruction, packet.parameters))
    place = data.draw(st.integers(0, len(stream) - 1))
    stream[place] ^= data.draw(st.integers(1, 255))
    assert packet not in decode(bytes(stream))[0]


@given(st.binary(max_size=300))
def test_nothing_that_arrives_stops_the_bus(stream):
    line = new_bus()
    line.exchange(stream)
    line.rest = b""
    numbers = {bus.ID.read(servo.memory) for servo in line.servos}
    assert {number for number, _, _ in ask(line, BROADCAST, Instruction.PING)} == numbers


REGISTERS = [bus.GOAL_POSITION, bus.HOMING_OFFSET, bus.LOAD, bus.MODEL, bus.TORQUE]


@given(st.sampled_from(REGISTERS), st.integers(-70000, 70000))
def test_a_register_holds_the_nearest_number_that_it_has_room_for(register: Register, value):
    memory = bytearray(bus.SIZE)
    register.write(memory, value)
    bits = 8 * register.size if register.sign is None else register.sign
    low = 0 if register.sign is None else 1 - 2**bits
    assert register.read(memory) == min(max(value, low), 2**bits - 1)
    assert not any(memory[: register.address] + memory[register.address + register.size :])


@given(st.integers(40, 55), st.binary(min_size=1, max_size=10))
def test_what_is_written_is_read_and_what_only_the_servo_knows_stays(address, data):
    line = new_bus()
    before = bytes(line.servos[1].memory)
    assert ask(line, 2, Instruction.WRITE, address, *data) == [(2, 0, b"")]
    [(_, _, memory)] = ask(line, 2, Instruction.READ, 0, bus.SIZE)
    written = set(range(address, address + len(data))) - bus.READ_ONLY
    goal = {42, 43} if memory[40] and not before[40] else set()  # it holds where it stands
    for place in set(range(bus.SIZE)) - goal:
        assert memory[place] == (data[place - address] if place in written else before[place])
    assert ask(line, 1, Instruction.READ, 0, bus.SIZE)[0][2][6:] == before[6:]


def test_everybody_answers_a_broadcast_ping_in_the_order_of_ids():
    line = Bus([Servo.new(number) for number in (3, 1, 2)])
    assert ask(line, BROADCAST, Instruction.PING) == [(1, 0, b""), (2, 0, b""), (3, 0, b"")]


def test_sync_write_and_sync_read_reach_those_that_are_named():
    line = new_bus()
    assert not ask(line, BROADCAST, Instruction.SYNC_WRITE, 42, 2, 1, 0x10, 0x02, 3, 0x20, 0x03)
    assert ask(line, BROADCAST, Instruction.SYNC_READ, 42, 2, 3, 2, 1) == [
        (3, 0, b"\x20\x03"),
        (2, 0, b"\x00\x00"),
        (1, 0, b"\x10\x02"),
    ]


def test_reg_write_waits_for_action():
    line = new_bus()
    assert ask(line, 1, Instruction.REG_WRITE, 42, 5, 0) == [(1, 0, b"")]
    assert ask(line, 1, Instruction.READ, 42, 1) == [(1, 0, b"\x00")]
    assert not ask(line, BROADCAST, Instruction.ACTION)
    assert ask(line, 1, Instruction.READ, 42, 1) == [(1, 0, b"\x05")]


def test_a_servo_that_is_given_another_id_answers_to_it():
    line = Bus([Servo.new(1)])
    ask(line, 1, Instruction.WRITE, 5, 6)
    assert not ask(line, 1, Instruction.PING)
    assert ask(line, 6, Instruction.PING) == [(6, 0, b"")]


def test_a_silent_servo_and_a_garbled_one_act_and_are_not_understood():
    line = new_bus()
    line.servos[0].silent = line.servos[1].garbled = True
    for number in (1, 2):
        assert not ask(line, number, Instruction.WRITE, 42, 7, 0)
        assert bus.GOAL_POSITION.read(line.servos[number - 1].memory) == 7
    assert [number for number, _, _ in ask(line, BROADCAST, Instruction.PING)] == [3]


@pytest.mark.parametrize(
    "packet",
    [(1, Instruction.READ), (1, Instruction.WRITE), (BROADCAST, Instruction.SYNC_READ, 56, 2), (1, 0x77), (9, 1)],
)
def test_what_makes_no_sense_is_not_answered(packet):
    assert not ask(new_bus(), *packet)
