"""``forearm record``."""

from dataclasses import dataclass, field
from pathlib import Path

from tyro.conf import OmitArgPrefixes

from forearm.commands.console import counting
from forearm.commands.options import not_with, only_with
from forearm.sim.settings import RecordingSettings


@dataclass(frozen=True)
class RecordOptions:
    out: Path
    """The folder to write; it must not exist."""
    processes: int | None = None
    """How many processes work at it; one per core by default."""
    recording: OmitArgPrefixes[RecordingSettings] = field(default_factory=RecordingSettings)
    """What to record."""


SINGLE = "task=None|single_actions|every_action"
"""While single actions are recorded."""
RULES = (
    not_with("every_action", "single_actions", "STAY", "MOVE+", "MOVE_"),
    only_with("task", "clumsiness", "objects", "single_actions"),
    not_with("single_actions|every_action", "clumsiness"),
    only_with(SINGLE, "joints", "STAY", "MOVE+", "MOVE_", "decisions", "action_duration", "position_delta"),
    not_with("task", "vary"),
)


def record(options: RecordOptions) -> None:
    """Record a simulated SO-101 as a LeRobot v3.0 dataset.

    It shows single actions, or an expert's tasks with free objects.

    Interrupted, the same command goes on where it stopped.

    Example: forearm record --task push --episodes 300 --out pushes
    """
    from forearm.sim.dataset import record as record_into

    with counting("recording") as watch:
        record_into(options.out, options.recording, options.processes, watch)
    print(options.out)
