"""The process: one loop in real time that passes bytes between the cable and the servos, and obeys commands."""

import contextlib
import math
import os
import select
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from forearm.base.errors import ForearmError
from forearm.base.files import locked, require_absent, writing
from forearm.sim import CAMERAS, JOINTS
from forearm.sim.poses import NOMINAL
from forearm.virtual.arm import MIDDLE, TICK, VirtualArm
from forearm.virtual.bus import EEPROM
from forearm.virtual.cameras import Cameras, Moment
from forearm.virtual.scene import Scene
from forearm.virtual.terminal import Cable, Lines

PORT, CONTROL, MEMORY, CALIBRATION = "port", "control", "eeprom.bin", "calibration.json"
"""What is in the folder of a virtual arm: a link to its serial port, a pipe for commands, what its servos hold, and the
same as LeRobot's calibration file."""
QUIET = 0.2
"""Seconds without a packet after which the memory is written to disk, which may take longer than an answer may."""
LATE = 0.1
"""Seconds by which the simulator may lag behind; on a machine that is slower, its time goes slower."""
HELP = """\
silent JOINT          the servo does not answer
garbled JOINT         the servo's answers have a wrong checksum
late SECONDS          all answers come so much later
blocked JOINT         something is in the joint's way
hot JOINT CELSIUS     the motor is as hot as that; above 70 it goes limp
unplug                the USB cable is pulled: the port is gone, the motors hold
power off             the motors' power is cut: they are limp, and no servo answers
camera NAME off       the camera sends no pictures
mend                  all of that is over; after a power cut the motors stay limp
hand JOINT DEGREES    a hand moves a limp joint there and holds it
hand middle           ... all joints to the middle of their ranges
hand sweep            ... all joints through their whole ranges and back to the middle
hand home             ... all joints to a pose over the table
hand away             nobody holds what is limp
hand support          a person keeps what is limp from falling, as at first
scene NUMBER          the table is rearranged
status                how the joints are
help                  this
quit                  end"""
_FORMS = [line.split("  ")[0].split() for line in HELP.splitlines()]


def require_command(line: str) -> list[str]:
    """The words of a command.

    Raises:
        ForearmError: `HELP` has no such command, or it names a joint, camera, number or scene that is not there.
    """
    words = line.split()
    for form in _FORMS:
        pairs = list(zip(form, words, strict=False))
        if len(form) == len(words) and all(part in (word, part.upper()) for part, word in pairs):
            for part, word in pairs:
                _PLACES.get(part, str)(word)
            return words
    raise ForearmError("there is no such command; type help")


class VirtualRobot:
    """An arm with its cable and cameras, in a scene. Everything but drawing happens in `run`.

    Args:
        folder: where its port, cameras and memory are; see `opened`.
        scene: what stands on the table.
        fps: pictures a second of the cameras, at most.
        say: is told what happens, in one line.
    """

    def __init__(self, folder: Path, scene: Scene, fps: float = 30, say: Callable[[str], None] = print):
        self.folder, self.scene, self.say = folder, scene, say
        self.arm = VirtualArm(scene.build(), _memory(folder / MEMORY))
        self.ended = False
        self._remembered, self._heard = b"", 0.0
        self._delay, self._answers = 0.0, list[tuple[float, bytes]]()  # answers with the time at which they are due
        self._cable = Cable(folder / PORT)
        self._cameras = Cameras(folder, self._moment(), fps)

    @classmethod
    @contextlib.contextmanager
    def opened(
        cls, folder: Path, scene: Scene, fps: float = 30, say: Callable[[str], None] = print
    ) -> Iterator["VirtualRobot"]:
        """A robot in a folder, which is made; its servos remember what they were told there before.

        Raises:
            ForearmError: another arm is in the folder, or other things are, its memory is damaged, or there is no such
                scene.
        """
        scene.require_sound()  # before a folder is made
        if not (folder.is_dir() and any((folder / name).exists() for name in (MEMORY, CALIBRATION, CONTROL))):
            require_absent(folder, "FOLDER")
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / PORT):
            robot = cls(folder, scene, fps, say)
            control = folder / CONTROL
            control.unlink(missing_ok=True)
            os.mkfifo(control)
            robot._cable.plug()
            robot._remember()
            try:
                yield robot
            finally:
                robot._remember()
                robot._cable.unplug()
                robot._cameras.close()
                for name in (CONTROL, *CAMERAS):
                    (folder / name).unlink(missing_ok=True)

    def run(self, typed: int | None = None, later: Sequence[tuple[float, str]] = ()) -> None:
        """Let time pass, until interrupted or told to quit.

        Args:
            typed: a descriptor on which further commands arrive, a line each.
            later: commands with the seconds after which they are obeyed.
        """
        with _urgent():
            self._run(typed, later)

    def _run(self, typed: int | None, later: Sequence[tuple[float, str]]) -> None:
        begin = due = time.monotonic()
        waiting = sorted(later)
        control = os.open(self.folder / CONTROL, os.O_RDWR | os.O_NONBLOCK)
        sources = [Lines(control)] + ([] if typed is None else [Lines(typed)])
        try:
            while not self.ended:
                readable = self._wait(sources, due - time.monotonic())
                lines = [line for source in sources if source.descriptor in readable for line in source.read()]
                self._converse()  # what was sent before a command was given
                for line in lines:
                    self.obey(line)
                sources = [source for source in sources if not source.ended]
                now = time.monotonic()
                while waiting and waiting[0][0] <= now - begin:
                    self.obey(waiting.pop(0)[1])
                if now >= due:
                    self._tick()
                    due = max(due + TICK, now - LATE)
        finally:
            os.close(control)

    def obey(self, line: str) -> None:
        """Carry out a command, and say what happened."""
        if not line.strip():
            return
        try:
            told = self._obey(require_command(line))
        except ForearmError as error:
            told = f"{line.strip()}: {error}"
        if told:
            self.say(told)

    def _wait(self, sources: Sequence[Lines], seconds: float) -> list[int]:
        """The descriptors on which something has arrived, at the latest after some seconds."""
        cable = [self._cable.ours] if self._cable.ours >= 0 else []
        return select.select([*cable, *(source.descriptor for source in sources)], [], [], max(0.0, seconds))[0]

    def _converse(self) -> None:
        received = self._cable.read()
        now = time.monotonic()
        if received and self.arm.powered:
            self._answers.append((now + self._delay, self.arm.bus.exchange(received)))
        if received:
            self._heard = now
        while self._answers and self._answers[0][0] <= now:
            self._cable.write(self._answers.pop(0)[1])

    def _tick(self) -> None:
        self.arm.advance()
        self._cameras.moment = self._moment()
        if self.arm.eeprom != self._remembered and time.monotonic() - self._heard > QUIET:
            self._remember()

    def _moment(self) -> Moment:
        return Moment(self.scene, self.arm.simulator.snapshot())

    def _remember(self) -> None:
        self._remembered = self.arm.eeprom
        with writing(self.folder / MEMORY) as beside:
            beside.write_bytes(self._remembered)
        self.arm.write_calibration(self.folder / CALIBRATION)

    def _obey(self, words: Sequence[str]) -> str:
        arm = self.arm
        match words:
            case ["silent", name]:
                arm.servos[_joint(name)].silent = True
                return f"{name} does not answer"
            case ["garbled", name]:
                arm.servos[_joint(name)].garbled = True
                return f"{name} answers with a wrong checksum"
            case ["late", seconds]:
                self._delay = float(seconds)
                return f"answers come {float(seconds):g} s late"
            case ["blocked", name]:
                arm.faults.blocked[_joint(name)] = True
                return f"{name} is blocked"
            case ["hot", name, celsius]:
                arm.faults.heat[_joint(name)] = float(celsius)
                return f"{name} has {float(celsius):g} °C"
            case ["unplug"]:
                self._cable.unplug()
                return "the USB cable is pulled"
            case ["power", "off"]:
                arm.power(False)
                return "the motors have no power"
            case ["camera", name, "off"]:
                self._cameras.off.add(name)
                return f"camera {name} sends nothing"
            case ["mend"]:
                arm.mend()
                self._delay, self._answers = 0.0, [(0.0, answer) for _, answer in self._answers]
                self._cameras.off.clear()
                self._cable.plug()
                return "everything is mended"
            case ["hand", *how]:
                return self._hand(how)
            case ["scene", number]:
                self._rearrange(int(number))
                return f"the table is that of scene {number}"
            case ["status"]:
                return self._status()
            case ["help"]:
                return HELP
        self.ended = True
        return ""

    def _hand(self, how: Sequence[str]) -> str:
        arm = self.arm
        match how:
            case ["away"]:
                arm.hand, arm.supported = None, False
                return "nobody holds the arm"
            case ["support"]:
                arm.supported = True
                return "a person supports the arm"
            case ["middle"]:
                arm.lead([MIDDLE])
            case ["home"]:
                arm.lead([NOMINAL])
            case ["sweep"]:
                arm.sweep()
            case [name, degrees]:
                pose = arm.simulator.joints() if arm.hand is None else arm.hand.poses[-1].copy()
                pose[_joint(name)] = float(degrees)
                arm.lead([pose], [name])
        return f"a hand moves the arm: {' '.join(how)}"

    def _rearrange(self, number: int) -> None:
        """Another scene, in which the arm goes on as it was."""
        scene = Scene(number, self.scene.task)
        self.arm.move_to(scene.build())
        self.scene = scene

    def _status(self) -> str:
        arm = self.arm
        return "; ".join(
            f"{name} {at:.1f} {'stiff' if stiff else 'limp'} {celsius:.0f} °C"
            for name, at, stiff, celsius in zip(JOINTS, arm.simulator.joints(), arm.torque, arm.celsius, strict=True)
        )


@contextlib.contextmanager
def _urgent() -> Iterator[None]:
    """Go before other programs for a while, where that is allowed: LeRobot waits 50 ms for an answer, and once."""
    before = None
    with contextlib.suppress(OSError, AttributeError):  # not allowed, or not on this system
        policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
        before = policy, parameters
    try:
        yield
    finally:
        if before:
            with contextlib.suppress(OSError):
                os.sched_setscheduler(0, *before)


def _joint(name: str) -> int:
    if name not in JOINTS:
        raise ForearmError(f"there is no joint {name}; there are {', '.join(JOINTS)}")
    return JOINTS.index(name)


def _camera(name: str) -> None:
    if name not in CAMERAS:
        raise ForearmError(f"there is no camera {name}; there are {', '.join(CAMERAS)}")


def _number(word: str) -> None:
    try:
        known = math.isfinite(float(word))
    except ValueError:
        known = False
    if not known:
        raise ForearmError(f"{word} is no number")


def _scene(word: str) -> None:
    if not word.removeprefix("-").isdecimal():
        raise ForearmError(f"{word} is no whole number")
    Scene(int(word)).require_sound()


_PLACES: dict[str, Callable[[str], object]] = {
    "JOINT": _joint,
    "NAME": _camera,
    **dict.fromkeys(("SECONDS", "CELSIUS", "DEGREES"), _number),
    "NUMBER": _scene,
}


def _memory(file: Path) -> bytes | None:
    """What servos were told before; None where there is nothing."""
    if not file.exists():
        return None
    memory = file.read_bytes()
    if len(memory) != len(JOINTS) * EEPROM:
        raise ForearmError(f"{file} holds {len(memory)} bytes instead of {len(JOINTS) * EEPROM}; delete it")
    return memory
