"""Goals, planners over any world model, and closed-loop control of an imagined, a simulated or a real arm.

``simulated`` needs MuJoCo and ``robot`` LeRobot; they are imported by whoever uses them.
"""

from forearm.control.goals import Goal, JointGoal, PictureGoal, RegionGoal
from forearm.control.loop import Arm, EpisodeLog, Step, control
from forearm.control.planners import CEM, Plan, Planner, TreeSearch, planner_for

__all__ = [
    "CEM",
    "Arm",
    "EpisodeLog",
    "Goal",
    "JointGoal",
    "PictureGoal",
    "Plan",
    "Planner",
    "RegionGoal",
    "Step",
    "TreeSearch",
    "control",
    "planner_for",
]
