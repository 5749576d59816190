"""``forearm record``."""

from dataclasses import dataclass, field
from pathlib import Path

from tyro.conf import OmitArgPrefixes

from forearm.arms.settings import FilmingSettings, RobotSettings
from forearm.commands.console import console, counting
from forearm.commands.options import ROBOT, not_with, only_with
from forearm.sim.settings import RecordingSettings


@dataclass(frozen=True)
class RecordOptions:
    out: Path
    """The folder to write; it must not exist."""
    processes: int | None = None
    """How many processes work at it in the simulator; one per core by default."""
    recording: OmitArgPrefixes[RecordingSettings] = field(default_factory=RecordingSettings)
    """What to record."""
    filming: OmitArgPrefixes[FilmingSettings] = field(default_factory=FilmingSettings)
    """How single actions are recorded with --robot."""
    arm: OmitArgPrefixes[RobotSettings] = field(default_factory=RobotSettings)
    """Which real arm, and how it may be moved."""


SINGLE = "task=None|single_actions|every_action"
"""While single actions are recorded."""
RULES = (
    only_with("robot", *ROBOT),
    only_with(
        *("robot", "units", "camera_size", "ranges", "settling", "back_to_back", "free_play", "drift_check"),
    ),
    not_with(
        "robot",
        *(
            "task",
            "single_actions",
            "clumsiness",
            "objects",
            "free_objects",
            "every_action",
            "scene_seed",
            "size",
            "processes",
        ),
    ),
    not_with("free_play", "actions"),
    not_with("every_action", "single_actions", "STAY", "MOVE+", "MOVE_"),
    only_with("task", "clumsiness", "objects", "free_objects", "single_actions"),
    not_with("single_actions|every_action", "clumsiness"),
    only_with(SINGLE, "joints", "STAY", "MOVE+", "MOVE_", "decisions", "action_duration", "position_delta"),
    not_with("task", "vary"),
)


def record(options: RecordOptions) -> None:
    """Record a simulated or a real SO-101 as a LeRobot v3.0 dataset.

    It shows single actions, with --robot also free play.

    In the simulator it also shows an expert's tasks with free objects.

    Interrupted, the same command goes on where it stopped.

    Example: forearm record --task push --episodes 300 --out pushes
    """
    with counting("recording") as watch:
        if options.arm.robot is None:
            from forearm.sim.dataset import record as record_into

            record_into(options.out, options.recording, options.processes, watch)
        else:
            from forearm.arms.recording import record_robot

            if not record_robot(
                options.out, options.recording, options.filming, options.arm, console=console, watch=watch
            ):
                return
    print(options.out)
