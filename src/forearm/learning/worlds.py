"""Where learning happens: an arm, scenes that are rearranged, and poses at which the arm may rest."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from forearm.arms import Manipulator
from forearm.canvas import plain
from forearm.learning.cells import Cell


class World(Protocol):
    """An arm and the scenes before it."""

    @property
    def arm(self) -> Manipulator:
        """In the present scene."""
        ...

    @property
    def scene_seed(self) -> int | None:
        """What tells the present scene from all others; None where nobody knows."""
        ...

    def enter(self, scene: int, wide: bool, told: bool) -> None:
        """Arrange a scene by its number, of the learner or of the wide set, unless it is the present one.

        ``told``: somebody has rearranged it already.
        """
        ...

    def allows(self, pose: np.ndarray, cell: Cell) -> bool:
        """Whether the arm may rest at a pose (J,) of the layout's joints and act from there."""
        ...

    def rest(self, pose: np.ndarray) -> None:
        """Bring the arm to rest at a pose (J,) of the layout's joints."""
        ...


class RobotWorld:
    """A real arm, whose scene a person rearranges.

    Args:
        arm: connected, of the run's layout.
        asked: asks a person to rearrange the scene, and returns when it is done; is given what is wanted.
    """

    scene_seed = None

    def __init__(self, arm: Manipulator, asked: Callable[[str], None]):
        self.arm, self._asked = arm, asked
        self._scene: tuple[int, bool] = (0, False)

    def enter(self, scene: int, wide: bool, told: bool) -> None:
        """Ask for another scene, unless it is the present one."""
        if (scene, wide) != self._scene and not told:
            self._asked("move the objects before the arm, bring others, or change the light")
        self._scene = (scene, wide)

    def allows(self, pose: np.ndarray, cell: Cell) -> bool:
        """Always: the arm refuses by itself what lies beyond its limits."""
        return True

    def rest(self, pose: np.ndarray) -> None:
        """Move the arm there slowly."""
        self.arm.move_to({plain(name): float(value) for name, value in zip(self._names, pose, strict=True)})

    @property
    def _names(self) -> tuple[str, ...]:
        return self.arm.layout.joint_names
