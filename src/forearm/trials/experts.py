"""The simulator's scripted experts as makers of plans. Imports MuJoCo."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from forearm.environment.simulated_worlds import SimulatedWorlds
from forearm.sim.names import CONTROL_HZ
from forearm.sim.operator import Operator
from forearm.sim.teleoperation import carry_out
from forearm.trials.policies import Expert


def simulated_worlds(recording: Path, count: int, cameras: Sequence[str]) -> SimulatedWorlds:
    """The worlds of a simulated recording's starts, seen by some of its cameras."""
    return SimulatedWorlds(recording, count, cameras)


def expert_of(recording: Path) -> Expert:
    """Makes plans in a simulator of its own, in which the start's true state is known."""
    worlds = SimulatedWorlds(recording, 1)
    every = CONTROL_HZ // worlds.settings.fps

    def plan(start: int, clumsiness: float, rng: np.random.Generator) -> np.ndarray:
        task = worlds.pose(0, start)
        sent: list[np.ndarray] = []
        carry_out(
            task, Operator(task.simulator, clumsiness, rng), sent=lambda targets: sent.append(targets), every=every
        )
        return np.array(sent[:-1], np.float32)

    return plan
