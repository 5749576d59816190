"""Arms of any kind: what they can do, how their actions are filmed, and a real SO-101 moved safely."""

from typing import TYPE_CHECKING

from forearm.base.lazy import attach

if TYPE_CHECKING:
    from forearm.arms.arm import Driver, Health, Look, Manipulator
    from forearm.arms.filming import Footage, film
    from forearm.arms.settings import RobotSettings

__all__ = ["Driver", "Footage", "Health", "Look", "Manipulator", "RobotSettings", "film"]

__getattr__, __dir__ = attach(
    __name__,
    {
        "Driver": "forearm.arms.arm:Driver",
        "Footage": "forearm.arms.filming:Footage",
        "Health": "forearm.arms.arm:Health",
        "Look": "forearm.arms.arm:Look",
        "Manipulator": "forearm.arms.arm:Manipulator",
        "RobotSettings": "forearm.arms.settings:RobotSettings",
        "film": "forearm.arms.filming:film",
    },
)
