"""The tasks that can be recorded, by name."""

from forearm.sim.names import TaskName
from forearm.sim.tasks.clutter import Clutter
from forearm.sim.tasks.lift import Lift
from forearm.sim.tasks.obstacle import Obstacle
from forearm.sim.tasks.place import Place
from forearm.sim.tasks.play import Play
from forearm.sim.tasks.push import Push
from forearm.sim.tasks.task import Task, Unsuitable, pose_task

TASKS: dict[TaskName, type[Task]] = {
    "push": Push,
    "play": Play,
    "lift": Lift,
    "place": Place,
    "clutter": Clutter,
    "obstacle": Obstacle,
}

__all__ = ["TASKS", "Task", "Unsuitable", "pose_task"]
