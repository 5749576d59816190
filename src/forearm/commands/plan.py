"""``forearm plan``."""

from dataclasses import dataclass, field
from pathlib import Path

from tyro.conf import OmitArgPrefixes

from forearm.commands.console import console, searching
from forearm.commands.options import ROBOT, Device, RunFolder, not_with, only_with
from forearm.control.settings import PlanSettings


@dataclass(frozen=True)
class PlanOptions:
    run: RunFolder
    """The run that foresees."""
    out: Path | None = None
    """A folder to write the episode to, as JSON and as a film; it must not exist."""
    device: Device = "auto"
    """Where to predict."""
    planning: OmitArgPrefixes[PlanSettings] = field(default_factory=PlanSettings)
    """Goal, start, and how to look for actions."""


RULES = (
    only_with("picture", "mask"),
    only_with("robot", *ROBOT),
    only_with("start|like", "data"),
    only_with("object", "to"),
    only_with("simulator", "task"),
    only_with("simulator|robot", "action_duration"),
    not_with("planner=cem|planner=strokes|planner=carries|planner=waypoints", "width"),
)


def plan(options: PlanOptions) -> None:
    """Look for actions that a run foresees to lead to a goal, and take them.

    The goal is one of --joints, --picture, --like, --region and --object.

    The start is one of --start, --simulator and --robot.

    Objects that --keep names may not be moved on the way.

    It plans anew after every action, until the goal is reached or staying is best.

    Example: forearm plan run --start 12 --like 42 --out plan
    """
    from forearm.control.episode_log import uncertainty_words
    from forearm.control.planning import plan as plan_run

    with searching() as search:
        episode = plan_run(
            *(options.run, options.planning),
            out=options.out,
            device=options.device,
            console=console,
            on_step=search.step,
            watch=search.predicted,
        )
    console.print(uncertainty_words(episode), soft_wrap=True)
    if options.out is not None:
        print(options.out)
