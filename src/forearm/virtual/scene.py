"""What stands on the table."""

from dataclasses import dataclass

import numpy as np

from forearm.base.errors import ForearmError
from forearm.sim import Simulator
from forearm.sim.names import TaskName


@dataclass(frozen=True)
class Scene:
    """A table, as a seed decides it."""

    seed: int
    task: TaskName | None = None
    """Whose free objects there are; without one, all are fixed."""

    def require_sound(self) -> None:
        """Refuse a seed that is none.

        Raises:
            ForearmError: it is negative.
        """
        if self.seed < 0:
            raise ForearmError(f"the scene is {self.seed}; choose a number from 0 up")

    def build(self) -> Simulator:
        """A simulator of it, with the objects where the seed puts them.

        Raises:
            ForearmError: the seed is negative, or the objects cannot be arranged.
        """
        self.require_sound()
        if self.task is None:
            return Simulator(self.seed)
        from forearm.sim.tasks import TASKS, pose_task

        task = TASKS[self.task]
        simulator = Simulator(self.seed, task.world)
        pose_task(simulator, task, np.random.default_rng(self.seed))
        return simulator
