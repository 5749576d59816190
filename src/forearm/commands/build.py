"""``forearm build``."""

from dataclasses import dataclass, field
from pathlib import Path

from tyro.conf import OmitArgPrefixes

from forearm.base.errors import ForearmError
from forearm.commands.console import building, show
from forearm.commands.options import Recordings, not_with, only_with
from forearm.transitions.settings import BuildConfig


@dataclass(frozen=True)
class BuildOptions:
    recordings: Recordings
    """Folders or Hub ids of LeRobot v2.0, v2.1 or v3.0 recordings."""
    out: Path
    """The folder to write; it must not exist."""
    processes: int | None = None
    """How many processes read episodes; by default one per core where there is much to read."""
    dataset: OmitArgPrefixes[BuildConfig] = field(default_factory=BuildConfig)
    """How recordings become transitions."""


RULES = (
    only_with("actions=dominant", "dead_band"),
    only_with("actions=command|actions=column", "action_is"),
    not_with("actions=log", "trim_idle"),
    not_with("actions=log", "step", "stride"),
    not_with("val=0.0", "seed"),
    not_with("val=1.0", "seed"),
)


def build(options: BuildOptions) -> None:
    """Read LeRobot recordings and write a dataset of transitions.

    Interrupted, the same command goes on where it stopped.

    Example: forearm build ./my_recording --out data
    """
    from forearm.report.inspection import facts_of
    from forearm.transitions.build import build as build_into

    if not options.recordings:
        raise ForearmError("build needs at least one recording: a folder or a Hub id")
    with building() as report:
        build_into(options.recordings, options.out, options.dataset, report, options.processes)
    show(facts_of(options.out))
    print(options.out)
