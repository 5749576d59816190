"""The simulator's tasks, as worlds in which policies act; they begin as the episodes of a recording do."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from forearm.base.errors import ForearmError
from forearm.environment.worlds import Seen
from forearm.recordings.features import CAMERA_PREFIX
from forearm.sim.filming import SimulatedDriver
from forearm.sim.names import CAMERAS, CONTROL_HZ, JOINTS
from forearm.sim.protocol import scene_of
from forearm.sim.settings import recorded_settings
from forearm.sim.simulator import Simulator
from forearm.sim.tasks import TASKS, Task
from forearm.sim.teleoperation import posed, world_of


class SimulatedWorlds:
    """Simulators, each with a task of its own.

    World and task of start i are those of the recorded episode i, made anew from the recording's seeds. A command is
    approached evenly in the time of a step, as it was when an expert was recorded.

    Args:
        recording: a folder of `forearm record --task`; without one the settings say what it would be.
        count: how many worlds.
        cameras: those that are looked with; all by default.
        settings: fields of `RecordingSettings`, such as ``task``, ``seed`` and ``fps``; those of the recording may be
            named for one that is older than its note of them.

    Raises:
        ForearmError: the recording is no task's, or a setting is unsound or contradicts it.
    """

    def __init__(
        self,
        recording: Path | str | None = None,
        count: int = 1,
        cameras: Sequence[str] | None = None,
        **settings: Any,
    ) -> None:
        self.settings = recorded_settings(recording, settings)
        if not self.settings.by_expert:
            raise ForearmError(f"{recording or 'the simulated world'} has no task; name one: {', '.join(TASKS)}")
        self.settings.require_sound()
        assert self.settings.task
        size = self.settings.size
        self.cameras = {name: (size, size) for name in CAMERAS if cameras is None or name in cameras}
        self.joints, self.seconds = JOINTS, 1 / self.settings.fps
        self.starts = range(self.settings.episodes)
        self.horizon = round(TASKS[self.settings.task].seconds * self.settings.fps)
        self._simulators: dict[int, tuple[int, Simulator]] = {}
        self._tasks: dict[int, Task] = {}
        low, high = self._simulator(0, 0).limits
        self.command_bounds = low, high

    def begin(self, worlds: np.ndarray, starts: Sequence[int]) -> Seen:
        for world, start in zip(worlds.tolist(), starts, strict=True):
            if start < 0:
                raise ForearmError(f"there is no start {start}; choose one from 0 up")
            self.pose(world, start)
        return self._seen(worlds)

    def step(self, worlds: np.ndarray, commands: np.ndarray) -> Seen:
        steps = CONTROL_HZ // self.settings.fps
        for world, command in zip(worlds.tolist(), commands, strict=True):
            simulator = self._tasks[world].simulator
            simulator.approach(simulator.targets(), command, steps)
        return self._seen(worlds)

    def pose(self, world: int, start: int) -> Task:
        """Pose the task of a start in a world, and return it."""
        self._tasks[world] = posed(self._simulator(world, start), self.settings, start)
        return self._tasks[world]

    def close(self) -> None:
        for _, simulator in self._simulators.values():
            simulator.close()
        self._simulators.clear()

    def _simulator(self, world: int, start: int) -> Simulator:
        """The simulator of a world, with the scene of a start."""
        scene = scene_of(self.settings, start)
        known, simulator = self._simulators.get(world, (None, None))
        if simulator is None or known != scene:
            if simulator is not None:
                simulator.close()
            simulator = Simulator(scene, world_of(self.settings))
            self._simulators[world] = scene, simulator
        return simulator

    def _seen(self, worlds: np.ndarray) -> Seen:
        tasks = [self._tasks[world] for world in worlds.tolist()]
        looks = [SimulatedDriver(task.simulator, self.cameras).look() for task in tasks]
        return Seen(
            {name: np.stack([look.pictures[CAMERA_PREFIX + name] for look in looks]) for name in self.cameras},
            np.stack([look.joints for look in looks]),
            np.zeros(len(tasks)),
            np.array([task.success() for task in tasks]),
            [task.text for task in tasks],
        )
