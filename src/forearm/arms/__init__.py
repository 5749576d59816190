"""Arms of any kind: what they can do, how their actions are filmed, and a real SO-101 moved safely."""

from forearm.arms.arm import Driver, Health, Look, Manipulator
from forearm.arms.filming import Footage, film

__all__ = ["Driver", "Footage", "Health", "Look", "Manipulator", "film"]
