"""The tasks that can be recorded, by name."""

from forearm.sim.names import TaskName
from forearm.sim.tasks.push import Push
from forearm.sim.tasks.task import Task, Unsuitable

TASKS: dict[TaskName, type[Task]] = {"push": Push}

__all__ = ["TASKS", "Task", "Unsuitable"]
