"""``forearm virtual-arm``."""

import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from forearm.base.errors import ForearmError
from forearm.sim.names import TaskName


@dataclass(frozen=True)
class VirtualArmOptions:
    folder: Positional[Annotated[Path, tyro.conf.arg(metavar="FOLDER")]]
    """Where its port, its cameras and the memory of its servos are."""
    scene: int = 0
    """What stands on the table, by number."""
    task: TaskName | None = None
    """Free objects stand on the table, as for this task; without one, all objects are fixed."""
    fps: float = 30
    """Pictures a second that the cameras send, at most."""
    uncalibrated: bool = False
    """The servos come from the factory, until they are calibrated."""
    at: tuple[str, ...] = ()
    """Commands, each with the seconds after which it is obeyed, such as "20 blocked elbow_flex"."""


def virtual_arm(options: VirtualArmOptions) -> None:
    """Be an SO-101: a serial port with six servos, and two cameras.

    The simulator is behind them. LeRobot's own tools find, calibrate and move it.

    Commands that are typed, or written to FOLDER/control, break and mend it.

    They also move it by hand; help lists them. Ctrl-C ends it.

    Example: forearm virtual-arm arm --scene 7
    """
    from forearm.sim import CAMERAS
    from forearm.virtual.cameras import video_library
    from forearm.virtual.scene import Scene
    from forearm.virtual.server import MEMORY, PORT, VirtualRobot

    later = [_timed(command) for command in options.at]
    if not 0 < options.fps <= 100:
        raise ForearmError(f"--fps is {options.fps:g}; choose one above 0 and up to 100")
    if options.uncalibrated:
        (options.folder / MEMORY).unlink(missing_ok=True)
    with VirtualRobot.opened(options.folder, Scene(options.scene, options.task), options.fps, _say) as robot:
        if options.uncalibrated:
            robot.arm.reset()
        library = video_library(options.folder)
        for name in CAMERAS:
            print(f"camera {name} {options.folder / name}")
        if library:
            print(f"OpenCV opens these cameras in programs started with LD_PRELOAD={library.resolve()}")
        print(f"port {options.folder / PORT}", flush=True)
        robot.run(sys.stdin.fileno() if sys.stdin else None, later)


def _timed(command: str) -> tuple[float, str]:
    from forearm.virtual.server import require_command

    seconds, _, words = command.partition(" ")
    try:
        after = float(seconds)
    except ValueError:
        after = math.nan
    if not 0 <= after < math.inf:
        raise ForearmError(f"--at {command!r} has no seconds; write such as '20 blocked elbow_flex'")
    try:
        require_command(words)
    except ForearmError as error:
        raise ForearmError(f"--at {command!r}: {error}") from None
    return after, words


def _say(line: str) -> None:
    print(line, flush=True)
