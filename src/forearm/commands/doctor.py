"""``forearm doctor``."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table
from tyro.conf import OmitArgPrefixes

from forearm.arms.settings import RobotSettings
from forearm.base.errors import ForearmError
from forearm.commands.console import console
from forearm.commands.options import ROBOT, DatasetFolder, OtherRun, not_with, only_with

if TYPE_CHECKING:
    from forearm.arms.doctor import Examination, Expected

VERDICTS = {"good": "[green]good[/]", "look": "[yellow]look[/]", "fault": "[red]fault[/]"}


@dataclass(frozen=True)
class DoctorOptions:
    run: OtherRun = None
    """A run that the arm is to be used with: its bounds, its cameras and the first frame of its data count."""
    data: DatasetFolder = None
    """A dataset that the arm is to be used with, in place of a run."""
    picture: Path | None = None
    """A PNG file to write: the first frame of the data beside what each camera shows now."""
    arm: OmitArgPrefixes[RobotSettings] = field(default_factory=RobotSettings)
    """Which real arm, and how it may be moved."""


RULES = (only_with("robot", *ROBOT), not_with("run", "data"))


def doctor(options: DoctorOptions) -> None:
    """Examine a real SO-101: port, servos, calibration, units, cameras, pose.

    Last come small moves, and the time that they take.

    A fault forbids motion: then nothing is moved, and the exit code is 2.

    Example: forearm doctor --robot /dev/ttyACM0 --camera base 0 --run run
    """
    if options.arm.robot is None:
        raise ForearmError("name the arm to examine with --robot PORT, such as /dev/ttyACM0; see lerobot-find-port")
    from PIL import Image

    from forearm.arms.doctor import examine_robot, sheet
    from forearm.base.files import require_absent, writing

    if options.picture is not None:
        require_absent(options.picture, "--picture")
    examination = examine_robot(options.arm, _expected(options), console)
    _show(examination)
    if options.picture is not None and examination.pictures:
        with writing(options.picture) as beside:
            Image.fromarray(sheet(examination.pictures)).save(beside, format="PNG")
        print(options.picture)
    if examination.faults:
        first, more = examination.faults[0], len(examination.faults) - 1
        others = f" (and {more} more)" if more else ""
        raise ForearmError(f"the arm must not move: {first.what} {first.found}{others}; {first.todo}")


def _expected(options: DoctorOptions) -> "Expected | None":
    if options.run is None and options.data is None:
        return None
    from forearm.arms.doctor import Expected
    from forearm.training.run import Run
    from forearm.transitions import TransitionSet

    data = Run.open(options.run).data() if options.run is not None else TransitionSet(options.data or "")
    return Expected(data.layout, data.frames[int(data.columns.frames[0, -2])])


def _show(examination: "Examination") -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("what", style="bold")
    for title in ("", "found", "to do"):
        table.add_column(title, overflow="fold")
    for finding in examination.findings:
        table.add_row(finding.what, VERDICTS[finding.verdict], escape(finding.found), escape(finding.todo))
    console.print(table)
