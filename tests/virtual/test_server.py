"""A virtual arm as a process sees it: a serial port, cameras, and a person who breaks things."""

import contextlib
import os
import socket
import struct
import subprocess
import sys
import termios
import time

import numpy as np
import pytest
from support.commands import forearm
from support.sdk_robot import SdkBus, bench
from support.waiting import wait_until

from forearm.arms.driver import RobotDriver
from forearm.arms.settings import RobotSettings
from forearm.base.errors import ForearmError
from forearm.sim import JOINTS
from forearm.sim.poses import NOMINAL
from forearm.virtual.cameras import video_library
from forearm.virtual.scene import Scene
from forearm.virtual.server import VirtualRobot


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with bench(tmp_path_factory.mktemp("arm")) as found:
        yield found


@pytest.fixture
def stand(shared):
    """A virtual arm that is limp, held by a hand at home, and without a fault."""
    arm = shared.robot.arm
    for command in ("power off", "mend", "hand home"):
        shared.tell(command)
    wait_until(lambda: np.abs(arm.simulator.joints() - NOMINAL).max() < 0.1)
    return shared


@pytest.fixture
def driver(stand):
    robot = stand.driver()
    robot.connect()
    yield robot
    with contextlib.suppress(OSError, termios.error):  # where a test has pulled the cable
        robot.disconnect()


def goal(robot, **changes: float) -> dict[str, float]:
    return {f"{name}.pos": at + changes.get(name, 0.0) for name, at in robot.bus.sync_read("Present_Position").items()}


def test_it_is_read_and_moved(driver, stand):
    seen = driver.get_observation()
    assert [seen[f"{name}.pos"] for name in JOINTS] == pytest.approx(NOMINAL, abs=4)
    assert seen["base"].shape == seen["wrist"].shape == (48, 64, 3)
    driver.send_action(goal(driver, shoulder_pan=20))
    wait_until(lambda: abs(driver.bus.read("Present_Position", "shoulder_pan") - 20) < 1)
    moved = driver.cameras["base"]
    wait_until(lambda: np.abs(moved.read_latest(5000).astype(int) - seen["base"]).mean() > 1)
    assert stand.robot.arm.simulator.joints()[0] == pytest.approx(20, abs=3)


def test_pictures_are_the_simulators_in_any_size(stand):
    stand.tell("hand home")
    simulator = stand.robot.scene.build()
    simulator.place(NOMINAL)
    for size, drawn_size in (((40, 40), (40, 40)), ((480, 16), (240, 8))):
        camera = stand.driver(size=size).cameras["wrist"]
        camera.connect()
        drawn = simulator.render("wrist", drawn_size)
        enlarged = drawn.repeat(size[0] // drawn.shape[0], 0).repeat(size[1] // drawn.shape[1], 1)
        wait_until(lambda: np.abs(camera.latest[1].astype(int) - enlarged).mean() < 1)  # noqa: B023
        camera.disconnect()
    simulator.close()


def test_a_client_that_asks_for_nonsense_is_hung_up_on(stand):
    for words in (b"", struct.pack("<II", 0, 48), struct.pack("<II", 100_000, 100_000)):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(stand.folder / "base"))
            client.sendall(words)
            client.shutdown(socket.SHUT_WR)
            assert not client.recv(1)


@pytest.mark.parametrize(
    ("command", "told", "patience"),
    [("silent elbow_flex", "There is no status packet", 100), ("garbled elbow_flex", "Incorrect status packet", None)],
)
def test_a_servo_that_does_not_answer_rightly(driver, stand, command, told, patience):
    stand.tell(command)
    driver.bus.patience = patience or driver.bus.patience
    with pytest.raises(ConnectionError, match=told):
        driver.get_observation()
    assert stand.robot.arm.torque.all()  # it holds
    stand.tell("mend")
    driver.bus.patience = SdkBus.patience
    driver.get_observation()


def test_a_hot_servo_answers_that_it_is_and_is_limp(driver, stand):
    stand.tell("hot gripper 80")
    wait_until(lambda: not stand.robot.arm.torque[-1])
    with pytest.raises(RuntimeError, match="Overheat"):
        driver.bus.read("Present_Temperature", "gripper")
    assert driver.bus.sync_read("Present_Temperature")["gripper"] == 80


def test_a_cable_that_is_pulled_in_mid_motion(driver, stand):
    driver.send_action(goal(driver, shoulder_pan=30))
    stand.tell("unplug")
    with pytest.raises((OSError, termios.error)):
        driver.bus.sync_read("Present_Position")
    assert not (stand.folder / "port").exists()
    with pytest.raises(ConnectionError):
        stand.driver().connect()
    wait_until(lambda: stand.robot.arm.simulator.joints()[0] > 25)  # the motors know where to
    assert stand.robot.arm.torque.all()
    stand.tell("mend")
    again = stand.driver()
    again.connect()
    assert again.bus.read("Present_Position", "shoulder_pan") > 25
    again.disconnect()


def test_a_power_cut_leaves_it_limp_and_silent(driver, stand):
    stand.tell("power off")
    driver.bus.patience = 100
    with pytest.raises(ConnectionError):
        driver.bus.sync_read("Present_Position")
    assert not stand.robot.arm.torque.any()


def test_a_camera_that_times_out(stand):
    stand.tell("camera wrist off")
    camera = stand.driver().cameras["base"]
    camera.connect()
    stand.tell("camera base off")
    wait_until(lambda: time.monotonic() - camera.latest[0] > 0.4)
    with pytest.raises(TimeoutError, match="too old"):
        camera.read_latest(300)
    off = camera.latest[0]
    stand.tell("mend")
    wait_until(lambda: camera.latest[0] > off)
    camera.disconnect()


@pytest.mark.parametrize(
    "line",
    ["jump", "blocked tail", "hot gripper warm", "scene -1", "scene x", "camera base on", "camera nose off", "hand"],
)
def test_what_cannot_be_obeyed_is_said_in_one_line(stand, line):
    told = stand.tell(line)
    assert told.startswith(f"{line}: ")
    assert "\n" not in told


def test_another_scene_leaves_the_arm_as_it_is(stand):
    before = stand.robot.arm.simulator.joints()
    assert stand.tell("scene 8") == "the table is that of scene 8"
    assert stand.robot.arm.simulator.joints() == pytest.approx(before, abs=0.2)
    assert stand.tell("status").count("limp") == 6


def test_commands_are_obeyed_at_their_time_and_until_quit(tmp_path):
    said: list[str] = []
    policy = os.sched_getscheduler(0)
    with VirtualRobot.opened(tmp_path, Scene(0), say=said.append) as robot:
        robot.run(later=[(0.2, "quit"), (0.1, "blocked gripper")])
    assert os.sched_getscheduler(0) == policy, "the process is as urgent as before"
    assert said == ["gripper is blocked"]
    assert {file.name for file in tmp_path.iterdir()} == {"eeprom.bin", "calibration.json"}


def test_servos_remember_their_calibration(tmp_path):
    with VirtualRobot.opened(tmp_path, Scene(0)) as robot:
        robot.arm.servos[2].write(31, b"\x07\x00")
        robot.run(later=[(0.05, "quit")])
    with VirtualRobot.opened(tmp_path, Scene(1)) as robot:
        assert robot.arm.servos[2].memory[31] == 7
    (tmp_path / "eeprom.bin").write_bytes(b"short")
    with pytest.raises(ForearmError, match=r"eeprom\.bin holds 5 bytes instead of 240; delete it"):
        VirtualRobot(tmp_path, Scene(0))


def test_objects_of_a_task_stand_on_the_table():
    simulator = Scene(3, "push").build()
    assert len(simulator.objects) == 3
    assert (simulator.poses()[:, 2] > 0).all()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--at", "soon mend"], "has no seconds"),
        (["--at", "1 mend", "2 blocked nose"], "--at '2 blocked nose': there is no joint nose; there are shoulder_pan"),
        (["--at", "2 blocked"], "--at '2 blocked': there is no such command"),
        (["--fps", "0"], "--fps is 0"),
        (["--scene", "-1"], "scene is -1"),
        (["--at", "nan mend"], "has no seconds"),
        (["--at=-1 mend"], "has no seconds"),
        (["--at", "2 scene -1"], "the scene is -1; choose a number from 0 up"),
    ],
)
def test_options_that_cannot_be(tmp_path, options, told):
    outcome = forearm("virtual-arm", tmp_path / "arm", *options)
    assert outcome.code == 2
    assert told in outcome.err
    assert not (tmp_path / "arm").exists()


def test_a_folder_of_other_things_is_left_as_it_is(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ForearmError, match="already exists"), VirtualRobot.opened(tmp_path, Scene(0)):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_a_folder_holds_one_arm(stand):
    with pytest.raises(ForearmError, match="port is being written by"), VirtualRobot.opened(stand.folder, Scene(0)):
        pass


GRAB = """
import ctypes, fcntl, mmap, os, select, sys
def ask(request, size, **words):
    data = bytearray(size)
    for place, word in words.items():
        data[int(place[1:]):int(place[1:]) + 4] = word.to_bytes(4, "little")
    fcntl.ioctl(device, request, data)
    return lambda place: int.from_bytes(data[place:place + 4], "little")
device = os.open(sys.argv[1], os.O_RDWR | os.O_NONBLOCK)
width, height = 64, 48
shape = ask(0xC0D05605, 208, _0=1, _8=width, _12=height)  # VIDIOC_S_FMT of a capture
assert (shape(8), shape(12), shape(28)) == (width, height, width * height * 3)
assert ask(0xC0145608, 20, _0=2, _4=1, _8=1)(0) == 2  # VIDIOC_REQBUFS, to be mapped
for repeat in range(2):
    maps = []
    for number in range(2):
        found = ask(0xC0585609, 88, _0=number, _4=1)  # VIDIOC_QUERYBUF
        maps.append(mmap.mmap(device, found(72), offset=0)) if found(64) == 0 else None
        if number == 0:
            ask(0xC058560F, 88, _0=number, _4=1)  # VIDIOC_QBUF
    fcntl.ioctl(device, 0x40045612, (1).to_bytes(4, "little"))  # VIDIOC_STREAMON
    assert select.select([device], [], [], 240)[0]
    assert ask(0xC0585611, 88, _4=1)(0) == 0  # VIDIOC_DQBUF
    picture = bytes(maps[0])
    fcntl.ioctl(device, 0x40045613, (1).to_bytes(4, "little"))  # VIDIOC_STREAMOFF
sys.stdout.buffer.write(picture)
"""


def test_a_camera_opens_as_a_video_device(stand):
    library = video_library(stand.folder)
    if library is None:
        pytest.skip("there is no C compiler")
    words = [sys.executable, "-c", GRAB, str(stand.folder / "base")]
    done = subprocess.run(words, capture_output=True, env=os.environ | {"LD_PRELOAD": str(library)}, check=False)
    assert not done.stderr.decode()
    camera = stand.driver().cameras["base"]
    camera.connect()
    seen = np.frombuffer(done.stdout, np.uint8).reshape(48, 64, 3)[..., ::-1]
    assert np.abs(seen.astype(int) - camera.latest[1]).mean() < 2
    camera.disconnect()


@pytest.mark.parametrize("forgotten", [False, True])
def test_an_answer_that_comes_late_is_not_taken_for_the_next(driver, stand, forgotten):
    """Feetech's SDK, and with it LeRobot, does so: its users have to empty the port."""
    if forgotten:
        RobotDriver(driver, RobotSettings(yes=True))
    stand.tell("late 1000")
    driver.bus.patience = 50
    with pytest.raises(ConnectionError):
        driver.bus.read("Present_Voltage", "gripper")
    stand.tell("mend")  # which lets the answer through
    wait_until(lambda: driver.bus.port_handler.ser.in_waiting)
    driver.bus.patience = SdkBus.patience
    assert driver.bus.read("Present_Temperature", "gripper") == (32 if forgotten else 74)  # 7.4 V
