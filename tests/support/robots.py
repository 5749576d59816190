"""A robot that has LeRobot's interface and no motors, and a keyboard without keys."""

import numpy as np

from forearm.arms.keyboard import Keyboard


class FakeClock:
    """Time that passes only where somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class FakeBus:
    """What LeRobot reaches the motors of a robot with, past its cameras."""

    def __init__(self, robot: "FakeRobot"):
        self.robot, self.is_connected, self.torque = robot, False, True
        self.motors = {joint.removesuffix(".pos"): None for joint in robot.joints}
        self.registers = {"Present_Load": 40, "Present_Temperature": 31, "Present_Voltage": 74, "Torque_Enable": 1}
        self.silent: set[str] = set()
        self.write_fails = False

    def connect(self, handshake: bool = True) -> None:
        self.is_connected = True

    def ping(self, motor: str, num_retry: int = 0) -> int | None:
        return None if motor in self.silent else 777

    def sync_read(self, name: str, motors: list[str] | None = None, *, num_retry: int = 0) -> dict[str, float]:
        assert self.is_connected
        asked = list(self.motors if motors is None else motors)
        if self.silent & set(asked):
            raise ConnectionError(f"Failed to sync read '{name}': There is no status packet!")
        if name == "Present_Position":
            return {joint: self.robot.joints[f"{joint}.pos"] for joint in asked}
        value = self.registers[name]
        return {joint: value[joint] if isinstance(value, dict) else value for joint in asked}

    def sync_write(self, name: str, values: dict[str, float], *, num_retry: int = 0) -> None:
        assert name == "Goal_Position"
        if self.write_fails:
            raise ConnectionError("the port is gone")
        self.robot.move({f"{joint}.pos": at for joint, at in values.items()})

    def enable_torque(self, motors: list[str] | None = None, num_retry: int = 0) -> None:
        self.torque = True

    def disable_torque(self, motors: list[str] | None = None, num_retry: int = 0) -> None:
        self.torque = False

    def disconnect(self, disable_torque: bool = True) -> None:
        assert not disable_torque  # it would fall
        self.is_connected = False


class FakeCamera:
    """A camera of `FakeRobot`."""

    is_connected = False

    def __init__(self) -> None:
        self.picture = np.full((48, 64, 3), 100, np.uint8)
        self.missing: Exception | None = None

    def connect(self) -> None:
        if self.missing:
            raise self.missing
        self.is_connected = True

    def read_latest(self) -> np.ndarray:
        assert self.is_connected
        return self.picture

    def disconnect(self) -> None:
        self.is_connected = False


class FakeRobot:
    """Motors that are where they are sent at once (or stay, if stuck), and cameras that show how bright the pan is.

    As LeRobot's, it is connected where motors and cameras are, and does nothing that it is told where it is not.
    """

    def __init__(self, **joints: float):
        self.joints = {f"{name}.pos": value for name, value in joints.items()}
        self.stuck = False
        self.held_back = np.inf
        self.fails_after = 0
        self.is_calibrated = True
        self.sent: list[dict[str, float]] = []
        self.broken: Exception | None = None
        self.no_camera: Exception | None = None
        self.bus = FakeBus(self)
        self.cameras = {"base": FakeCamera(), "wrist": FakeCamera()}

    @property
    def observation_features(self):
        return {**self.action_features, "base": (48, 64, 3), "wrist": (48, 64, 3)}

    @property
    def action_features(self):
        return dict.fromkeys(self.joints, float)

    def connect(self, calibrate: bool = True) -> None:
        assert not calibrate  # nobody is there to calibrate it
        self.bus.is_connected = True
        if self.no_camera:
            raise self.no_camera

    def get_observation(self):
        assert self.bus.is_connected
        if self.broken:
            raise self.broken
        grey = np.uint8(100 + next(iter(self.joints.values())))
        return {**self.joints, "base": np.full((48, 64, 3), grey), "wrist": np.full((48, 64, 3), grey)}

    def send_action(self, action):
        self.require_connected()
        self.bus.sync_read("Present_Position")
        self.move(action)
        self.fails_after -= 1
        if not self.fails_after:
            self.broken = TimeoutError("Timed out waiting for frame from camera after 200 ms")
        return action

    def disconnect(self) -> None:
        self.require_connected()
        self.bus.is_connected = False

    @property
    def is_connected(self) -> bool:
        return self.bus.is_connected and not self.broken

    def require_connected(self) -> None:
        if not self.is_connected:
            raise ConnectionError("fake robot is not connected")

    def move(self, action):
        assert self.bus.is_connected
        self.sent.append(action)
        if not self.stuck:
            self.joints.update({joint: min(at, self.held_back) for joint, at in action.items()})


class Keys(Keyboard):
    """A keyboard on which a person presses what a test says."""

    def __init__(self, pressed=lambda: False, answer: str = "y"):
        self.is_terminal, self._settings = True, None
        self.pressed, self.answer, self.asked = pressed, self.be_asked, 0
        self.says = answer

    def __enter__(self):
        return self

    def be_asked(self) -> str:
        self.asked += 1
        return self.says
