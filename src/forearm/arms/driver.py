"""The one gate through which a real arm is moved: limits, a tiny first move, a key that stops, servos that are watched.

Nothing passes it that is not a number, that is faster or farther than allowed, or that a person did not agree to. On
Ctrl-C, another key, or any error the arm is told to hold the position that it has.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console

from forearm.arms.arm import Health, Look, recording_spec
from forearm.arms.filming import move_to
from forearm.arms.keyboard import Keyboard
from forearm.arms.lerobot import RATE, RETRIES, Robot, answering, forget_late_answers, is_calibrated, reopen
from forearm.arms.settings import RobotSettings, top_speed
from forearm.base.errors import ForearmError
from forearm.canvas import plain
from forearm.recordings.features import CAMERA_PREFIX, RecordingSpec

CONNECTING = "Connecting to the arm. Its motors go slack for a moment, then become stiff: support it and keep clear."
DRY = "Dry run: the arm is looked at, and its motors are sent nothing."
BEYOND = 0.1
"""How far beyond its bounds a joint may stand before the first action, as a share of their distance."""
SAG = 5.0
"""Units beyond its bounds that a joint may stand in any case: an arm drops a little when it is connected to."""
TINY = 2.0
"""Units of a joint's first move, forth and back; actions that are no larger do without."""
TINY_SECONDS = 0.5
"""How long it takes, either way."""
FOLLOWED = 0.25
"""Share of the tiny move that a joint has to go."""
BLOCKED = 3.0
"""A joint that lags by more units, and has gone less than half its way, is blocked."""
PATIENCE = 1.5
"""Seconds that joints get to follow their last target before one that has not is held back by something."""
WATCH_EVERY = 0.25
"""Seconds from one look at the servos' load and temperature to the next."""
MOMENTS = 3
"""So many looks in a row at a load that is too high end the motion."""
ROUNDING = 1e-3
"""Units by which a target may pass a limit."""
LATE = 0.1
"""Seconds by which targets may be late before their clock starts anew."""


@dataclass(frozen=True)
class Limit:
    """How far a joint may be moved."""

    low: float
    """In the joint's unit."""
    high: float
    """In the joint's unit."""
    unit: str = ""
    """For messages."""


def pose_faults(limits: Mapping[str, Limit], there: Mapping[str, float], source: str) -> Iterator[str]:
    """A line for each joint that stands where the data never were, as one does that counts in another unit."""
    for joint, limit in limits.items():
        margin, at = max(BEYOND * (limit.high - limit.low), SAG), there[joint]
        if not limit.low - margin <= at <= limit.high + margin:
            yield (
                f"{joint} stands at {at:.1f}, but in {source} it goes from {limit.low:.1f} to "
                f"{limit.high:.1f} {limit.unit}; bring the arm there, or see whether its calibration and its units "
                "are those of the recordings"
            )


class RobotDriver:
    """A robot of LeRobot as `forearm.arms.Driver`, moved within limits.

    Args:
        robot: of LeRobot, not yet connected.
        settings: how it may be moved.
        limits: how far, by plain joint name; what has none may be moved anywhere.
        source: where the limits come from, for messages.
        keyboard: any key of it stops the arm.
        console: where a person is told that the arm moves, and asked whether it may.
    """

    def __init__(
        self,
        robot: Robot,
        settings: RobotSettings | None = None,
        *,
        limits: Mapping[str, Limit] | None = None,
        source: str = "this run's data",
        keyboard: Keyboard | None = None,
        console: Console | None = None,
    ):
        self.robot, self.settings, self.limits = robot, settings or RobotSettings(), dict(limits or {})
        self.settings.require_sound()
        forget_late_answers(robot.bus)
        self.source, self.keyboard = source, keyboard or Keyboard()
        self.console = console or Console(stderr=True, highlight=False, emoji=False)
        self.joints = tuple(plain(key) for key in robot.action_features)
        self.start: np.ndarray | None = None
        """(J,) where the arm stood when it was first looked at."""
        self.late = 0.0
        """Most seconds by which a target was late since somebody set it to 0."""
        self._targets: np.ndarray | None = None
        self._unseen = False  # whether the last look failed
        self._slack, self._asked, self._tried = False, self.settings.yes or self.settings.dry_run, set[str]()
        self._before = np.zeros(len(self.joints), np.float32)
        self._due, self._watched, self._overloads = 0.0, 0.0, 0
        unknown = set(self.settings.home) - set(self.joints)
        if unknown:
            raise ForearmError(f"the robot has no joint {min(unknown)!r}; it has {', '.join(self.joints)}")

    @contextlib.contextmanager
    def connected(self) -> Iterator["RobotDriver"]:
        """Connect for the length of a block; whatever ends the block early, the robot then holds its position.

        Raises:
            ForearmError: nobody can be asked, the robot does not answer, is not calibrated, or a servo is too hot.
        """
        if not (self._asked or self.keyboard.is_terminal):
            raise ForearmError("nobody can be asked whether the arm may move; add --yes if it may")
        self.console.print(DRY if self.settings.dry_run else CONNECTING)
        with self.keyboard:
            try:
                try:
                    with answering("be connected to"):
                        self._connect()
                except ForearmError as error:
                    if self.settings.dry_run or not self.robot.bus.is_connected:
                        raise
                    raise ForearmError(f"{error}; some motors may be slack now: support the arm") from error
                if not is_calibrated(self.robot):
                    raise ForearmError("the robot is not calibrated; run lerobot-calibrate first, with the same id")
                yield self
            except BaseException as error:
                with contextlib.suppress(Exception):
                    self._stop()
                with contextlib.suppress(ForearmError):  # what came first is what a person has to know
                    self._disconnect()
                if isinstance(error, KeyboardInterrupt) and not error.args:
                    raise KeyboardInterrupt("stopped; the arm holds its position") from None
                raise
            self._disconnect()

    # What it measures

    def look(self) -> Look:
        if self._unseen:
            self._reopen()
        self._unseen = True
        with answering("be read from"):
            seen = self.robot.get_observation()
        joints = self._known([float(seen[key]) for key in self.robot.action_features])
        self._unseen = False
        return Look(joints, {CAMERA_PREFIX + name: np.asarray(seen[name]) for name in self.robot.cameras})

    def positions(self) -> np.ndarray:
        """(J,) float32 positions of all joints; it needs the motors alone."""
        with answering("be read from"):
            found = self.robot.bus.sync_read("Present_Position", num_retry=RETRIES)
        return self._known([float(found[joint]) for joint in self.joints])

    def targets(self) -> np.ndarray:
        if self._targets is None:
            self.positions()
        assert self._targets is not None
        return self._targets

    def health(self) -> Health:
        """Load, temperature and voltage of every servo."""
        with answering("be asked how its servos are"):
            load, heat, tension = (
                self.robot.bus.sync_read(name, num_retry=RETRIES)
                for name in ("Present_Load", "Present_Temperature", "Present_Voltage")
            )
        return Health(
            {joint: (abs(int(value)) & 1023) / 10 for joint, value in load.items()},  # bit 10 is the direction
            {joint: float(value) for joint, value in heat.items()},
            {joint: value / 10 for joint, value in tension.items()},
        )

    def spec(self, fps: int, degrees: bool) -> RecordingSpec:
        """Of recordings of this robot; ``degrees`` says how its joints count, the gripper in percent always."""
        features = self.robot.observation_features
        sizes = {name: tuple(features[name][:2]) for name in self.robot.cameras}
        units = tuple("deg" if degrees and joint != "gripper" else "%" for joint in self.joints)
        return recording_spec(self.joints, units, sizes, fps)

    # What it does

    def targets_per_frame(self, fps: float) -> int:
        return max(1, round(RATE / fps))

    def require_allowed(self, change: np.ndarray, seconds: float) -> None:
        """Ask, the first time; try each joint with a tiny move before its first; and refuse what a limit forbids."""
        start = self.targets()
        self._require_stiff()
        self._require_within_limits(start, change)
        fast = top_speed(change, seconds)
        joint = int(fast.argmax())
        if fast[joint] > self.settings.max_speed:
            raise ForearmError(
                f"the next action would move {self.joints[joint]} at {fast[joint]:.0f} a second, more than "
                f"{self.settings.max_speed:g}; allow it with --max-speed, or choose longer or smaller actions"
            )
        self._ask(change)
        self._try(change)
        self._watch(now=True)
        self._require_torque()
        self._before, self._due = self.positions(), time.monotonic()

    def follow(self, targets: np.ndarray, seconds: float) -> None:
        now, gap = time.monotonic(), seconds / len(targets)
        self.late = max(self.late, now - self._due)
        begin = self._due if now - self._due < LATE else now
        for number, target in enumerate(targets):
            self.require_no_key()
            self._watch()
            self.late = max(self.late, time.monotonic() - begin - number * gap)
            self._send(target)
            time.sleep(max(0.0, begin + (number + 1) * gap - time.monotonic()))
        self._due = begin + seconds

    def require_followed(self, change: np.ndarray) -> None:
        """Refuse to go on where a joint that was moved stays behind."""

        def faults() -> Iterator[str]:
            there, targets = self.positions(), self.targets()
            for joint, by, before, at, target in zip(self.joints, change, self._before, there, targets, strict=True):
                behind, stuck = abs(at - target), abs(by) > BLOCKED and (at - before) / by < 0.5 and joint != "gripper"
                if by and behind > (BLOCKED if stuck else self.settings.max_step):
                    yield f"{joint} is {behind:.1f} behind its target; see whether something is in its way"

        if not self.settings.dry_run:
            self.late = max(self.late, self._until_no(faults))

    def move_to(self, pose: Mapping[str, float]) -> None:
        """Move joints slowly, by plain name, to positions in their units; the others stay.

        Raises:
            ForearmError: there is no such joint, or a limit forbids the move.
        """
        move_to(self, pose)

    def home(self) -> None:
        """Move slowly to the home pose; where the arm stood a little out of its limits, to the nearest within them."""
        self.targets()
        assert self.start is not None
        stood = zip(self.joints, self.start.tolist(), strict=True)
        self.move_to({joint: self._within(joint, at) for joint, at in stood} | dict(self.settings.home))

    def hold(self) -> None:
        """Stay where it is, stiff. It needs the motors alone: a camera that has failed does not keep them moving."""
        if not self.settings.dry_run:
            with answering("be told to hold its position"):
                self._stop()

    def relax(self) -> None:
        """Let the motors go slack, until `hold`."""
        if not self.settings.dry_run:
            with answering("be relaxed"):
                self.robot.bus.disable_torque(num_retry=RETRIES)
        self._slack = True

    def require_no_key(self) -> None:
        """Stop where a key has been pressed.

        Raises:
            KeyboardInterrupt: it was.
        """
        if self.keyboard.pressed():
            raise KeyboardInterrupt("stopped by a key; the arm holds its position")

    def wait(self, seconds: float) -> None:
        """Rest; a key still stops, and servos are watched."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.require_no_key()
            self._watch()
            time.sleep(min(left, 0.05))

    # Inside

    def _connect(self) -> None:
        """LeRobot asks each motor once while it connects, and now and then a packet is lost; so it is tried again."""
        try:
            self._connect_once()
        except (ConnectionError, RuntimeError):
            with contextlib.suppress(ForearmError):
                self._disconnect()
            self._connect_once()

    def _connect_once(self) -> None:
        if not self.settings.dry_run:
            self.robot.connect(calibrate=False)
            return
        self.robot.bus.connect()
        for camera in self.robot.cameras.values():
            camera.connect()

    def _reopen(self) -> None:
        """Open the port anew, as after its cable was pulled; motors stay as they are, and stiff ones hold."""
        with answering("be connected to again"):
            reopen(self.robot.bus)
        self._targets = None
        self.positions()
        if not self._slack:
            self.hold()

    def _disconnect(self) -> None:
        try:
            with answering("be disconnected from"):
                if not self.settings.dry_run:
                    self.robot.disconnect()
        finally:
            if self.robot.bus.is_connected:  # LeRobot refuses to disconnect an arm whose camera has failed
                with answering("be disconnected from"):
                    self.robot.bus.disconnect(disable_torque=False)
            for camera in self.robot.cameras.values():
                if camera.is_connected:
                    with contextlib.suppress(Exception):
                        camera.disconnect()

    def _known(self, joints: Sequence[float]) -> np.ndarray:
        """The joints (J,), checked; at the first look their pose is."""
        there = np.array(joints, np.float32)
        if not np.isfinite(there).all():
            raise ForearmError("the robot says that a joint stands at what is no number; see to its motors")
        if self._targets is None:
            for fault in pose_faults(self.limits, dict(zip(self.joints, there.tolist(), strict=True)), self.source):
                raise ForearmError(fault)
            self._targets = there
            self.start = there if self.start is None else self.start
        return there

    def _send(self, target: np.ndarray) -> None:
        if not np.isfinite(target).all():
            raise ForearmError("the next action is not a number; the arm holds its position")
        if not self.settings.dry_run:
            asked = {f"{joint}.pos": value for joint, value in zip(self.joints, target.tolist(), strict=True)}
            with answering("be told to move"):
                sent = self.robot.send_action(dict(asked))
            cut = {key: abs(sent[key] - value) for key, value in asked.items()}
            key = max(cut, key=lambda each: cut[each])
            if cut[key] > 1e-3:  # LeRobot's own limit, how far a target may lie from where a joint is
                raise ForearmError(
                    f"{plain(key)} is more than {self.settings.max_step:g} behind its target; "
                    "see whether something is in its way"
                )
        self._targets = target

    def _stop(self) -> None:
        """Motors that do not answer stay where they were last sent, which is never far; the others are told to stay."""
        if self._targets is None or self.settings.dry_run:
            return
        bus = self.robot.bus
        try:
            there = bus.sync_read("Present_Position", num_retry=RETRIES)
            bus.sync_write("Goal_Position", there, num_retry=RETRIES)
        except Exception:
            for motor in self.joints:
                with contextlib.suppress(Exception):
                    bus.sync_write("Goal_Position", bus.sync_read("Present_Position", [motor], num_retry=RETRIES))
            raise
        if self._slack:
            bus.enable_torque(num_retry=RETRIES)
            self._slack = False
        self._targets = np.array([there[joint] for joint in self.joints], np.float32)

    def _require_torque(self) -> None:
        """Refuse to move an arm of which motors went limp by themselves."""
        with answering("be asked which motors are stiff"):
            torque = self.robot.bus.sync_read("Torque_Enable", num_retry=RETRIES)
        limp = [joint for joint, on in torque.items() if not on]
        if limp and not self.settings.dry_run:
            raise ForearmError(
                f"{', '.join(limp)} went limp: no power, or too hot; support the arm and start the command again"
            )

    def _require_stiff(self) -> None:
        if self._slack:
            raise ForearmError("the arm is slack, so it cannot act; let it hold its position first")

    def _require_within_limits(self, start: np.ndarray, change: np.ndarray) -> None:
        """Refuse to move a joint out of its limits; back into them it may."""
        if not np.isfinite(change).all():
            raise ForearmError("the next action is not a number; the arm holds its position")
        for joint, at, by in zip(self.joints, start.tolist(), change.tolist(), strict=True):
            limit = self.limits.get(joint)
            to = at + by
            if limit and ((by > 0 and to > limit.high + ROUNDING) or (by < 0 and to < limit.low - ROUNDING)):
                raise ForearmError(
                    f"the next action would take {joint} to {to:.1f} {limit.unit}, beyond {self.source}, "
                    f"{limit.low:.1f} to {limit.high:.1f}; the arm holds its position"
                )

    def _within(self, joint: str, at: float) -> float:
        limit = self.limits.get(joint)
        return min(max(at, limit.low), limit.high) if limit else at

    def _ask(self, change: np.ndarray) -> None:
        if self._asked or not change.any():
            return
        moves = ", ".join(f"{joint} {by:+.3g}" for joint, by in zip(self.joints, change.tolist(), strict=True) if by)
        words = f"The arm is about to move: {moves}. Any key stops it. Press y to go ahead."
        self.console.print(words, markup=False, soft_wrap=True)
        if self.keyboard.answer() != "y":
            raise KeyboardInterrupt("the arm was not moved")
        self._asked = True

    def _try(self, change: np.ndarray) -> None:
        """Move joints that have not been moved yet a little forth and back, and see whether they do."""
        new = [i for i, joint in enumerate(self.joints) if abs(change[i]) > TINY and joint not in self._tried]
        if not new or self.settings.dry_run:
            return
        tiny, before = np.zeros_like(change), self.positions()
        tiny[new] = TINY * np.sign(change[new])

        def faults() -> Iterator[str]:
            moved = self.positions() - before
            for i in new:
                if self.joints[i] != "gripper" and moved[i] / tiny[i] < FOLLOWED:
                    yield (
                        f"{self.joints[i]} was told to move by {tiny[i]:+g} and moved by {moved[i]:+.1f}; see whether "
                        "something is in its way, and whether the calibration is this arm's"
                    )

        self._glide(tiny)
        self._until_no(faults)
        self._glide(-tiny)
        self._tried.update(self.joints[i] for i in new)

    def _glide(self, change: np.ndarray) -> None:
        count = round(TINY_SECONDS * RATE)
        self._due = time.monotonic()
        self.follow(self.targets() + np.outer(np.arange(1, count + 1) / count, change).astype(np.float32), TINY_SECONDS)

    def _until_no(self, faults: Callable[[], Iterator[str]]) -> float:
        """Wait until there is no fault, and return how many seconds that took; after `PATIENCE` the fault is raised."""
        begin = time.monotonic()
        while fault := next(faults(), ""):
            if time.monotonic() - begin > PATIENCE:
                raise ForearmError(fault)
            self.wait(0.05)
        return time.monotonic() - begin

    def _watch(self, now: bool = False) -> None:
        """Refuse to go on with a servo that is too hot, or that has been overloaded for longer than a moment."""
        if not now and time.monotonic() - self._watched < WATCH_EVERY:
            return
        self._watched, health = time.monotonic(), self.health()
        for fault in self.settings.faults(health):
            raise ForearmError(fault)
        overloaded = self.settings.overloaded(health)
        self._overloads = self._overloads + 1 if overloaded else 0
        if self._overloads >= MOMENTS:
            joint, load = max(overloaded.items(), key=lambda each: each[1])
            raise ForearmError(
                f"{joint} is loaded with {load:.0f} % of its torque, and {self.settings.max_load:g} % are allowed; "
                "see whether something is in its way"
            )
