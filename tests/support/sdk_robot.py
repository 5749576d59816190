"""An SO-101 with the interface of LeRobot's SO101Follower, on Feetech's SDK: for tests without LeRobot."""

import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scservo_sdk as scs

from forearm.sim import JOINTS
from forearm.virtual.scene import Scene
from forearm.virtual.server import CONTROL, PORT, VirtualRobot
from support.waiting import PATIENCE, wait_until

REGISTERS = {
    "Min_Position_Limit": (9, 2, None),
    "Max_Position_Limit": (11, 2, None),
    "Homing_Offset": (31, 2, 11),
    "Torque_Enable": (40, 1, None),
    "Goal_Position": (42, 2, 15),
    "Torque_Limit": (48, 2, None),
    "Lock": (55, 1, None),
    "Present_Position": (56, 2, 15),
    "Present_Velocity": (58, 2, 15),
    "Present_Load": (60, 2, 10),
    "Present_Voltage": (62, 1, None),
    "Present_Temperature": (63, 1, None),
    "Status": (65, 1, None),
    "Moving": (66, 1, None),
    "Present_Current": (69, 2, 15),
}
"""Address, bytes and sign bit of what LeRobot calls by these names."""
POSITIONS = ("Goal_Position", "Present_Position")


class SdkBus:
    """What is used of LeRobot's FeetechMotorsBus."""

    patience = 30_000.0
    """Milliseconds that an answer may take, on a machine that is busy."""

    def __init__(self, port: str):
        self.port_handler, self.packets = scs.PortHandler(port), scs.PacketHandler(0)
        self.port_handler.setPacketTimeout = lambda size: self.port_handler.setPacketTimeoutMillis(self.patience)
        self.ids = {name: number for number, name in enumerate(JOINTS, start=1)}
        self.ranges: dict[str, tuple[int, int]] = {}

    @property
    def is_connected(self) -> bool:
        return self.port_handler.is_open

    @property
    def motors(self) -> dict[str, int]:
        return self.ids

    def ping(self, motor: str, num_retry: int = 0) -> int | None:
        model, result, _ = self.packets.ping(self.port_handler, self.ids[motor])
        return model if result == scs.COMM_SUCCESS else None

    def connect(self, handshake: bool = True) -> None:
        try:
            self.port_handler.openPort()
        except OSError as error:
            raise ConnectionError(f"Could not connect on port '{self.port_handler.port_name}'.") from error
        missing = [self.ids[name] for name in self.ids if handshake and self.ping(name) != 777]
        if missing:
            self.port_handler.closePort()
            raise RuntimeError(f"Missing motor IDs: {missing}")
        if handshake:
            self.ranges = {
                name: (self.read("Min_Position_Limit", name), self.read("Max_Position_Limit", name))
                for name in self.ids
            }

    def disconnect(self, disable_torque: bool = True) -> None:
        if disable_torque:
            self.disable_torque()
        self.port_handler.closePort()

    def enable_torque(self, motors: list[str] | None = None, num_retry: int = 0) -> None:
        for name in motors or self.ids:
            self.write("Torque_Enable", name, 1)
            self.write("Lock", name, 1)

    def disable_torque(self, motors: list[str] | None = None, num_retry: int = 0) -> None:
        for name in motors or self.ids:
            self.write("Torque_Enable", name, 0)
            self.write("Lock", name, 0)

    def read(self, data_name: str, motor: str, *, normalize: bool = True, num_retry: int = 0) -> Any:
        address, size, sign = REGISTERS[data_name]
        data, result, error = self.packets.readTxRx(self.port_handler, self.ids[motor], address, size)
        self._require(result, error, f"Failed to read '{data_name}' on id_={self.ids[motor]}")
        return self._given(data_name, motor, _signed(int.from_bytes(bytes(data), "little"), sign), normalize)

    def write(self, data_name: str, motor: str, value: float, *, normalize: bool = True, num_retry: int = 0) -> None:
        address, size, _ = REGISTERS[data_name]
        data = self._taken(data_name, motor, value, normalize).to_bytes(size, "little")
        result, error = self.packets.writeTxRx(self.port_handler, self.ids[motor], address, size, list(data))
        self._require(result, error, f"Failed to write '{data_name}' on id_={self.ids[motor]}")

    def sync_read(
        self, data_name: str, motors: Any = None, *, normalize: bool = True, num_retry: int = 0
    ) -> dict[str, float]:
        address, size, sign = REGISTERS[data_name]
        reader = scs.GroupSyncRead(self.port_handler, self.packets, address, size)
        asked = motors or list(self.ids)
        for name in asked:
            reader.addParam(self.ids[name])
        for _ in range(1 + num_retry):
            result = reader.txRxPacket()
            if result == scs.COMM_SUCCESS:
                break
        self._require(result, 0, f"Failed to sync read '{data_name}'")
        return {
            name: self._given(data_name, name, _signed(reader.getData(self.ids[name], address, size), sign), normalize)
            for name in asked
        }

    def sync_write(
        self, data_name: str, values: float | dict[str, float], *, normalize: bool = True, num_retry: int = 0
    ) -> None:
        address, size, _ = REGISTERS[data_name]
        writer = scs.GroupSyncWrite(self.port_handler, self.packets, address, size)
        each = values if isinstance(values, dict) else dict.fromkeys(self.ids, values)
        for name, value in each.items():
            writer.addParam(
                self.ids[name], list(self._taken(data_name, name, value, normalize).to_bytes(size, "little"))
            )
        self._require(writer.txPacket(), 0, f"Failed to sync write '{data_name}'")

    def _require(self, result: int, error: int, what: str) -> None:
        """Raise what LeRobot does."""
        if result != scs.COMM_SUCCESS:
            raise ConnectionError(f"{what}. {self.packets.getTxRxResult(result)}")
        if error:
            raise RuntimeError(f"{what}. {self.packets.getRxPacketError(error)}")

    def _given(self, data_name: str, motor: str, number: int, normalize: bool) -> float:
        if not (normalize and data_name in POSITIONS):
            return number
        low, high = self.ranges[motor]
        if motor == "gripper":
            return (min(max(number, low), high) - low) / (high - low) * 100
        return (number - (low + high) / 2) * 360 / 4095

    def _taken(self, data_name: str, motor: str, value: float, normalize: bool) -> int:
        if not (normalize and data_name in POSITIONS):
            return int(value)
        low, high = self.ranges[motor]
        if motor == "gripper":
            return int(min(max(value, 0.0), 100.0) / 100 * (high - low) + low)
        return int(value * 4095 / 360 + (low + high) / 2)


def _signed(number: int, bit: int | None) -> int:
    return -(number & ~(1 << bit)) if bit is not None and number >> bit & 1 else number


class SocketCamera:
    """What is used of LeRobot's OpenCVCamera, on the socket of a virtual camera."""

    def __init__(self, path: Path, size: tuple[int, int]):
        self.path, self.size = path, size
        self.connection: socket.socket | None = None
        self.latest: tuple[float, np.ndarray] | None = None

    def connect(self) -> None:
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.settimeout(PATIENCE)
        try:
            self.connection.connect(str(self.path))
            self.connection.sendall(struct.pack("<II", self.size[1], self.size[0]))
            self._receive(self.connection)
        except OSError as error:
            raise ConnectionError(f"Failed to open OpenCVCamera({self.path}).") from error
        self.connection.settimeout(None)
        threading.Thread(target=self._read, args=(self.connection,), daemon=True).start()

    @property
    def is_connected(self) -> bool:
        return self.connection is not None

    def read_latest(self, max_age_ms: float = 500) -> np.ndarray:
        assert self.latest
        age = 1000 * (time.monotonic() - self.latest[0])
        if age > max_age_ms:
            raise TimeoutError(f"OpenCVCamera({self.path}) latest frame is too old: {age:.1f} ms")
        return self.latest[1]

    def disconnect(self) -> None:
        if self.connection:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.connection = None

    def _read(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, ValueError):
            while True:
                self._receive(connection)

    def _receive(self, connection: socket.socket) -> None:
        data = bytearray()
        while len(data) < 3 * self.size[0] * self.size[1]:
            part = connection.recv(3 * self.size[0] * self.size[1] - len(data))
            if not part:
                raise OSError("the camera hung up")
            data += part
        self.latest = time.monotonic(), np.frombuffer(data, np.uint8).reshape(*self.size, 3)[..., ::-1]


class SdkRobot:
    """A calibrated SO-101 on a serial port.

    Args:
        port: serial port.
        cameras: name to socket.
        size: height and width of pictures.
        max_age_ms: of a picture that counts as present; more than LeRobot's 500, as a test's machine may be busy.
    """

    def __init__(
        self,
        port: Path | str,
        cameras: Mapping[str, Path | str],
        size: tuple[int, int] = (48, 64),
        max_age_ms: float = 30_000,
    ):
        self.bus, self.size, self.max_age_ms = SdkBus(str(port)), size, max_age_ms
        self.cameras = {name: SocketCamera(Path(path), size) for name, path in cameras.items()}
        self.is_calibrated = True

    @property
    def observation_features(self) -> dict[str, Any]:
        return {**self.action_features, **dict.fromkeys(self.cameras, (*self.size, 3))}

    @property
    def action_features(self) -> dict[str, Any]:
        return {f"{name}.pos": float for name in JOINTS}

    @property
    def is_connected(self) -> bool:
        return self.bus.is_connected and all(camera.connection for camera in self.cameras.values())

    def connect(self, calibrate: bool = True) -> None:
        self.bus.connect()
        for camera in self.cameras.values():
            camera.connect()
        self.bus.disable_torque()
        self.bus.enable_torque()

    def get_observation(self) -> dict[str, Any]:
        seen: dict[str, Any] = {
            f"{name}.pos": at for name, at in self.bus.sync_read("Present_Position", num_retry=2).items()
        }
        return seen | {name: camera.read_latest(self.max_age_ms) for name, camera in self.cameras.items()}

    def send_action(self, action: dict[str, float]) -> dict[str, float]:
        self.bus.sync_write("Goal_Position", {key.removesuffix(".pos"): value for key, value in action.items()})
        return action

    def disconnect(self) -> None:
        self.bus.disconnect(disable_torque=False)
        for camera in self.cameras.values():
            camera.disconnect()


class ArmClock:
    """The time of a virtual arm: it stands still while a busy machine does not let the arm move."""

    def __init__(self, robot: VirtualRobot):
        self.robot = robot

    def monotonic(self) -> float:
        return self.robot.arm.simulator.data.time

    def sleep(self, seconds: float) -> None:
        end = self.monotonic() + seconds
        wait_until(lambda: self.monotonic() >= end)


class Bench:
    """A virtual arm that runs in this process, and its operator.

    Attributes:
        robot: the virtual arm.
        clock: its time.
        folder: where its port and cameras are.
        said: what it has told.
    """

    def __init__(self, robot: VirtualRobot, said: list[str]):
        self.robot, self.clock, self.folder, self.said = robot, ArmClock(robot), robot.folder, said

    def driver(self, **options: Any) -> SdkRobot:
        """What drives it, not yet connected."""
        return SdkRobot(self.folder / PORT, {name: self.folder / name for name in ("base", "wrist")}, **options)

    def tell(self, line: str) -> str:
        """Type a command, and wait for its answer."""
        before = len(self.said)
        with open(os.open(self.folder / CONTROL, os.O_WRONLY | os.O_NONBLOCK), "w") as control:
            control.write(line + "\n")
        wait_until(lambda: len(self.said) > before)
        return self.said[-1]


@contextlib.contextmanager
def bench(folder: Path, scene: int = 7, **options: Any) -> Iterator[Bench]:
    """A virtual arm for the length of a block; options as of `VirtualRobot.opened`."""
    said: list[str] = []
    with VirtualRobot.opened(folder, Scene(scene), say=said.append, **options) as robot:
        thread = threading.Thread(target=robot.run)
        thread.start()
        try:
            yield Bench(robot, said)
        finally:
            robot.ended = True
            thread.join()
