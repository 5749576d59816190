"""Which arm a session is with. Imports no torch: the settings are shown without it."""

from dataclasses import dataclass, field

from forearm.arms.settings import RobotSettings
from forearm.sim.names import TaskName


@dataclass(frozen=True)
class LiveSettings:
    """Which arm, and how it may be moved."""

    simulator: int | None = None
    """Use a simulated SO-101 in the scene of this number."""
    task: TaskName | None = None
    """With --simulator: the free objects of that task lie on the table."""
    action_duration: float | None = None
    """Seconds of an action, for runs that do not say it themselves; by default as in the run's data."""
    arm: RobotSettings = field(default_factory=RobotSettings)
    """Which real arm, and how it may be moved."""
