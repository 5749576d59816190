"""Recording single actions, walks and free play with a real arm, as the simulator's are."""

import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from rich.console import Console

from forearm.arms.driver import Limit, RobotDriver
from forearm.arms.filming import film
from forearm.arms.keyboard import Keyboard
from forearm.arms.lerobot import CameraSettings, Robot, so101
from forearm.arms.pictures import SURE, camera_shift
from forearm.arms.protocol import (
    DIRECTIONS,
    ProtocolSettings,
    decision,
    missing_words,
    require_whole_frames,
    session_of,
    walk,
    with_log,
)
from forearm.arms.settings import FilmingSettings, RobotSettings
from forearm.base.errors import ForearmError
from forearm.base.files import checked, read_json, write_json
from forearm.recordings import EpisodeData, Recorder

HOME_FILE = "home.json"
TRIES = 3
"""How often an episode is filmed whose frames came late."""
LATE_FRAMES = 1.0
"""By so many frames a frame may come late."""
DRIFT = 3.0
"""Units by which a joint may stand elsewhere at home than at the beginning."""
SHIFT = 0.02
"""Share of a picture's width by which a camera may show home elsewhere than at the beginning."""
OVERHEAD = 1.5
"""Seconds of an episode beside its actions and its rest, for the time that is announced."""

Watch = Callable[[int, int, str], None]


class Home(TypedDict):
    """What an interrupted recording keeps of its beginning."""

    pose: dict[str, float]
    scenes: int


def record_robot(
    out: Path,
    protocol: ProtocolSettings,
    filming: FilmingSettings,
    settings: RobotSettings,
    *,
    console: Console | None = None,
    watch: Watch = lambda done, total, now: None,
) -> bool:
    """Record a LeRobot v3.0 data set of a real SO-101 into ``out``.

    Episodes gather in ``out`` + ".partial" until they are complete; after an interruption the same call goes on.

    Args:
        out: a folder that does not exist yet.
        protocol: which actions.
        filming: how they are recorded.
        settings: which arm, and how it may be moved.
        console: where a person is told and asked.
        watch: is called with how many episodes are recorded, of how many, and what is missing.

    Returns:
        whether it was recorded; with a dry run nothing is.

    Raises:
        ForearmError: settings are unsound or differ from those of the interrupted recording, ``out`` exists, or the
            arm cannot be used.
        KeyboardInterrupt: passed on, saying how to go on.
    """
    filming.require_sound()
    require_whole_frames(protocol.action_duration, protocol.fps)
    if not settings.camera:
        raise ForearmError("a recording needs a camera; name it with --camera NAME INDEX")
    assert settings.robot is not None
    height, width = filming.camera_size
    robot = so101(
        *(settings.robot, settings.robot_id),
        {name: CameraSettings(path, height, width, protocol.fps) for name, path in settings.camera.items()},
        degrees=filming.units == "deg",
        max_step=settings.max_step,
        release=settings.release,
    )
    recording = RobotRecording(robot, Path(out), protocol, filming, settings, console=console)
    return recording.run(watch)


@dataclass(frozen=True)
class _Reference:
    """What is seen at home, to compare with later."""

    joints: np.ndarray
    pictures: Mapping[str, np.ndarray]


class RobotRecording:
    """One recording of a real arm, from its beginning or from where it was interrupted; see `record_robot`."""

    def __init__(
        self,
        robot: Robot,
        out: Path,
        protocol: ProtocolSettings,
        filming: FilmingSettings,
        settings: RobotSettings,
        *,
        keyboard: Keyboard | None = None,
        console: Console | None = None,
    ):
        self.protocol, self.filming, self.settings = protocol, filming, settings
        self.driver = RobotDriver(robot, settings, source="this recording", keyboard=keyboard, console=console)
        self.console = self.driver.console
        protocol.require_decisions(self.driver.joints)
        for joint in filming.ranges:
            if joint not in self.driver.joints:
                raise ForearmError(f"the robot has no joint {joint!r}; it has {', '.join(self.driver.joints)}")
        if protocol.position_delta > settings.max_step:
            raise ForearmError(
                f"position delta is {protocol.position_delta:g}, more than a step of {settings.max_step:g}; "
                "allow it with --max-step, or choose a smaller one"
            )
        decides = {**asdict(protocol), **asdict(filming), "home": settings.home, "camera": sorted(settings.camera)}
        plain: Any = {name: list(value) if isinstance(value, tuple) else value for name, value in decides.items()}
        plain["ranges"] = {joint: list(ends) for joint, ends in filming.ranges.items()}
        self.recorder = Recorder(out, self.driver.spec(protocol.fps, filming.units == "deg"), plain)
        self.home = Home(pose={}, scenes=0)
        self._ranges: dict[str, tuple[float, float]] = {}
        self._reference: _Reference | None = None

    def run(self, watch: Watch) -> bool:
        """Record what is missing; returns whether everything is recorded."""
        begun = False
        try:
            with self.recorder.recording():
                begun = True
                missing = sorted(set(range(self.protocol.episodes)) - set(self.recorder.staged()))
                if missing:
                    with self.driver.connected():
                        if not self._prepare(missing):
                            return False
                        self._record(missing, watch)
                        self.driver.move_to(self.home["pose"])
                self.recorder.finish()
        except (ForearmError, KeyboardInterrupt) as error:
            if not begun or not (done := len(self.recorder.staged())):
                raise
            kept = f"{done} of {self.protocol.episodes} episodes are kept; run the same command again to go on"
            raise type(error)(f"{error or 'stopped'}; {kept}") from error
        finally:
            if begun and not self.recorder.staged():
                shutil.rmtree(self.recorder.partial, ignore_errors=True)
        return True

    def _prepare(self, missing: Sequence[int]) -> bool:
        """Learn where home is, and say what is going to happen; returns whether it is."""
        stands = dict(zip(self.driver.joints, self.driver.positions().tolist(), strict=True))
        path = self.recorder.partial / HOME_FILE
        if path.exists():
            self.home = checked(Home, read_json(path), str(path))
        else:
            self.home = Home(pose={**stands, **self.settings.home}, scenes=secrets.randbits(31))
        pose, reach = self.home["pose"], 2 * self.protocol.position_delta
        around = {joint: (pose[joint] - reach, pose[joint] + reach) for joint in self.protocol.joints}
        if "gripper" in around:  # it has no more than 0 to 100
            low = min(max(pose["gripper"] - reach, 0), 100 - 2 * reach)
            around["gripper"] = (low, low + 2 * reach)
        self._ranges = {**around, **self.filming.ranges}
        for joint, (low, high) in self._ranges.items():
            if high - low < 2 * self.protocol.position_delta and joint in self.protocol.joints:
                raise ForearmError(
                    f"the range of {joint} is {low:g} to {high:g}, where moves of {self.protocol.position_delta:g} to "
                    "either side have no room; widen it, or choose a smaller position delta"
                )
            ends = (low, high, pose[joint], stands[joint])
            self.driver.limits[joint] = Limit(min(ends), max(ends), "" if joint == "gripper" else self.filming.units)
        seconds = len(missing) * (
            self.protocol.decisions * self.protocol.action_duration + self.filming.settling + OVERHEAD
        )
        ranges = ", ".join(f"{joint} {low:.0f} to {high:.0f}" for joint, (low, high) in self._ranges.items())
        self.console.print(
            f"{len(missing)} episodes, about {max(1, round(seconds / 60))} min; joints move within {ranges}.",
            markup=False,
            soft_wrap=True,
        )
        if self.settings.dry_run:
            self.driver.look()
            self.driver.health()
            return False
        if not path.exists():
            write_json(path, self.home)
        return True

    def _record(self, missing: list[int], watch: Watch) -> None:
        left, session, since = list(missing), -1, 0
        watch(self.protocol.episodes - len(left), self.protocol.episodes, self._missing(left))
        while left:
            before, session = session, self._session(min(left, key=lambda index: self._session(index)))
            if self.filming.drift_check and since >= (self.filming.drift_check if session == before else 1):
                self._require_no_drift()
                since = 0
            if session != before:
                self._arrange(session)
            index = self._next([each for each in left if self._session(each) == session])
            self.recorder.stage(index, self._episode(index, session))
            left.remove(index)
            since += 1
            watch(self.protocol.episodes - len(left), self.protocol.episodes, self._missing(left))

    # The scene

    def _session(self, index: int) -> int:
        """Where nobody is asked nothing is rearranged, and everything is one session."""
        return 0 if self.settings.yes else session_of(self.protocol, index)

    def _arrange(self, session: int) -> None:
        """Let a person rearrange the scene, with the arm at home."""
        self.driver.move_to(self.home["pose"])
        if not self.settings.yes and self.protocol.sessions > 1:
            begun = any(self._session(index) == session for index in self.recorder.staged())
            what = "leave the objects as they lie" if begun else "rearrange the objects"
            self.console.print(
                f"Session {session + 1} of {self.protocol.sessions}: {what}, and press y; any other key stops.",
                soft_wrap=True,
            )
            if self.driver.keyboard.answer() != "y":
                raise KeyboardInterrupt("stopped; the arm holds its position")
        self.driver.wait(self.filming.settling)
        seen = self.driver.look()
        before = self._reference
        self._reference = _Reference(seen.joints if before is None else before.joints, seen.pictures)

    def _require_no_drift(self) -> None:
        """Go home and see whether joints and cameras are where they were."""
        assert self._reference is not None
        self.driver.move_to(self.home["pose"])
        self.driver.wait(self.filming.settling)
        seen = self.driver.look()
        for joint, at, was in zip(self.driver.joints, seen.joints, self._reference.joints, strict=True):
            if abs(at - was) > DRIFT:
                raise ForearmError(
                    f"at home {joint} stands at {at:.1f} and stood at {was:.1f} at the beginning; "
                    "see whether it slips, and whether something is in its way"
                )
        for camera, picture in seen.pictures.items():
            right, down, sure = camera_shift(self._reference.pictures[camera], picture)
            if max(abs(right), abs(down)) > SHIFT * picture.shape[1] and sure > SURE:
                raise ForearmError(
                    f"camera {camera.rpartition('.')[2]} shows home {right:+.0f} pixels to the right and {down:+.0f} "
                    "down of where it did; put it back where it was"
                )

    # An episode

    def _next(self, left: Sequence[int]) -> int:
        """Which episode comes next: the first one, or back to back the first one that has room where the arm is."""
        if self.filming.back_to_back and not self.filming.free_play:
            there = dict(zip(self.driver.joints, self.driver.targets().tolist(), strict=True))
            for index in left:
                if self._has_room(index, there):
                    return index
        return left[0]

    def _has_room(self, index: int, there: Mapping[str, float]) -> bool:
        joint, code = decision(self.protocol, index)
        below, above = self._room(joint, there[joint])
        if min(below, above) < 0:
            return False
        return self.protocol.decisions > 1 or -below <= DIRECTIONS[code] <= above

    def _room(self, joint: str, at: float) -> tuple[int, int]:
        """How many moves fit below and above a position; −1 where it is itself outside of the range."""
        low, high = self._ranges[joint]
        delta = self.protocol.position_delta
        return int(np.floor((at - low) / delta + 1e-6)), int(np.floor((high - at) / delta + 1e-6))

    def _episode(self, index: int, session: int) -> EpisodeData:
        rng = np.random.default_rng([self.protocol.seed, 2, index])
        joint, code = decision(self.protocol, index)
        there = dict(zip(self.driver.joints, self.driver.targets().tolist(), strict=True))
        stays = self.filming.back_to_back and (self.filming.free_play or self._has_room(index, there))
        pose = there if stays else self._start_pose(joint, rng)
        if self.filming.free_play:
            changes = self._free_changes(pose, rng)
        else:
            codes = (
                [code] if self.protocol.decisions == 1 else walk(self.protocol, *self._room(joint, pose[joint]), rng)
            )
            if len(codes) < self.protocol.decisions:
                raise ForearmError(f"{joint} has no room for {self.protocol.decisions} actions; widen its range")
            moves = [DIRECTIONS[code] * self.protocol.position_delta for code in codes]
            changes = [self._vector({joint: by}) for by in moves]
        episode = self._filmed(pose, changes)
        scene = int(np.random.SeedSequence([self.home["scenes"], session]).generate_state(1)[0])
        facts = {"session": session, "session_seed": scene}
        if self.filming.free_play:
            return replace(episode, task="free play", facts=facts)
        start = [pose[name] for name in self.driver.joints]
        extra = {**facts, "seed": self.protocol.seed, "start_pose": start}
        return with_log(episode, self.protocol, joint, codes, extra)

    def _filmed(self, pose: Mapping[str, float], changes: Sequence[np.ndarray]) -> EpisodeData:
        """Rest at a pose and carry out changes; once more where frames came too late."""
        for _ in range(TRIES):
            self.driver.move_to(pose)
            self.driver.wait(self.filming.settling)
            self.driver.late = 0.0
            episode = film(self.driver, changes, duration=self.protocol.action_duration, fps=self.protocol.fps)
            if self.driver.late < LATE_FRAMES / self.protocol.fps:
                return episode
        raise ForearmError(
            f"frames came up to {1000 * self.driver.late:.0f} ms late at {self.protocol.fps} fps; "
            "choose a smaller --fps or --camera-size, or end other programs"
        )

    def _start_pose(self, joint: str, rng: np.random.Generator) -> dict[str, float]:
        """Draw where an episode starts: the acting joint with room to either side, others anywhere or at home."""
        pose = dict(self.home["pose"])
        for name in self.driver.joints:
            if name not in self._ranges or not (name == joint or self.protocol.varied == "all"):
                continue
            margin = self.protocol.position_delta if name == joint and not self.filming.free_play else 0
            low, high = self._ranges[name]
            pose[name] = float(rng.uniform(low + margin, high - margin))
        return pose

    def _free_changes(self, pose: Mapping[str, float], rng: np.random.Generator) -> list[np.ndarray]:
        """Draw moves of all acting joints at once, one after another, within their ranges."""
        at, changes, most = dict(pose), [], self.protocol.position_delta
        for _ in range(self.protocol.decisions):
            by = {}
            for name in self.protocol.joints:
                low, high = self._ranges[name]
                by[name] = float(np.clip(at[name] + rng.uniform(-most, most), low, high)) - at[name]
                at[name] += by[name]
            changes.append(self._vector(by))
        return changes

    def _vector(self, by: Mapping[str, float]) -> np.ndarray:
        return np.array([by.get(name, 0.0) for name in self.driver.joints], np.float32)

    def _missing(self, left: Sequence[int]) -> str:
        words = "" if self.filming.free_play else missing_words(self.protocol, left)
        return f"missing: {words}" if words else ""
