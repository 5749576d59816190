"""Recording a task as teleoperation does: an expert sends targets 30 times a second, and everything is written down.

``action`` holds the targets that were sent last before the next frame, which the joints reach later or, where something
is in their way, not at all. ``observation.environment_state`` holds the objects' poses.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from forearm.arms import Footage
from forearm.arms.protocol import session_of
from forearm.recordings import EpisodeData
from forearm.sim.filming import SimulatedDriver
from forearm.sim.names import CAMERAS, CONTROL_HZ
from forearm.sim.objects import World
from forearm.sim.operator import Operator
from forearm.sim.protocol import session_seed
from forearm.sim.settings import RecordingSettings
from forearm.sim.simulator import Simulator
from forearm.sim.tasks import TASKS, Task, pose_task

_REST = 0.4  # seconds after the expert has ended


def world_of(settings: RecordingSettings) -> World | None:
    """The free objects that a recording needs."""
    if settings.task is None:
        return None
    world = TASKS[settings.task].world
    return replace(world, which=settings.objects or "training", objects=settings.free_objects or world.objects)


def record_task(simulator: Simulator, settings: RecordingSettings, index: int) -> EpisodeData:
    """Record episode ``index`` of the settings' task; the same whenever it is asked for.

    Args:
        simulator: of the episode's session.
        settings: of the recording; they have a task.
        index: of the episode.

    Raises:
        ForearmError: the task cannot be posed in this scene.
    """
    task = posed(simulator, settings, index)
    footage = Footage(SimulatedDriver(simulator, dict.fromkeys(CAMERAS, (settings.size, settings.size))))
    carry_out(
        task,
        Operator(simulator, settings.clumsy, np.random.default_rng([settings.seed, 4, index])),
        footage.look,
        footage.sent,
        CONTROL_HZ // settings.fps,
    )
    session = session_of(settings, index)
    facts = {"session": session, "session_seed": session_seed(settings, session)}
    return replace(footage.episode(settings.fps), task=task.text, facts=facts)


def posed(simulator: Simulator, settings: RecordingSettings, index: int) -> Task:
    """The task of episode ``index`` in the state in which the episode begins; arguments as of `record_task`."""
    assert settings.task
    return pose_task(simulator, TASKS[settings.task], np.random.default_rng([settings.seed, 3, index]))


def carry_out(
    task: Task,
    operator: Operator,
    look: Callable[[], None] = lambda: None,
    sent: Callable[[np.ndarray], None] = lambda targets: None,
    every: int = 1,
) -> bool:
    """Let an expert do a task.

    Args:
        task: in its simulator, whose state is its start.
        operator: who carries it out.
        look: is called before every ``every``-th control step, and at the end.
        sent: is called with the last targets (6,) after each ``look``.
        every: control steps from look to look.

    Returns:
        whether it is done in the end.
    """
    simulator, targets, steps = task.simulator, task.simulator.targets(), round(task.seconds * CONTROL_HZ)
    moves, resting = task.expert(operator), round(_REST * CONTROL_HZ)
    step = 0
    while step % every or (step < steps and resting > 0):
        if step % every == 0:
            look()
        following = next(moves, None)
        resting -= following is None
        targets = targets if following is None else following
        simulator.step(targets, 1 / CONTROL_HZ)
        step += 1
        if step % every == 0:
            sent(targets)
    look()
    sent(targets)
    return task.success()
