"""Pushing an object: strokes of the gripper over the table, of which the best foreseen is carried out.

A cost of pictures has no slope before the gripper touches the object, and hardly any sequence of joint motions that is
drawn at random touches it. So what is drawn are strokes that begin behind the object. Where the object is and where
it gets is read from pictures alone; aiming needs the arm's kinematics and where the camera stands, which `Reach` knows.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import numpy as np

from forearm.base.errors import ForearmError
from forearm.batch import Batch
from forearm.control.goals import Goal, ObjectGoal, inner
from forearm.control.planners import Plan, actions_along, known_position, leaves_bounds
from forearm.control.variations import VariationSearch

SPREAD = (0.25, 0.006, 0.012)
"""Standard deviation of the first round: radians by which a stroke is turned, metres aside, metres longer."""
FINGER, BEHIND = 0.012, 0.022
"""Half of the closed gripper's thickness, and the way from the object to where it comes down, metres."""


class Reach(Protocol):
    """What is known of an arm and the cameras around it."""

    def on_table(self, camera: str, places: np.ndarray) -> np.ndarray:
        """Points of the table (n, 2) in metres, at the height of objects' middles, that a camera shows at places
        (n, 2), right and down in shares of its picture."""
        ...

    def stroke(self, joints: np.ndarray, begin: np.ndarray, end: np.ndarray) -> np.ndarray | None:
        """Joints (n, J) on a stroke: up, to above ``begin`` (2,), down, in a straight line to ``end`` (2,), and up
        again, so that the object is in sight.

        Args:
            joints: (J,) at present, in their units, which are not among those that are returned.
            begin: metres on the table.
            end: metres on the table.

        Returns:
            None where it is out of reach.
        """
        ...


@dataclass(frozen=True)
class StrokeSearch(VariationSearch):
    """The cross-entropy method over strokes behind an object, each turned, moved aside and longer or shorter by what is
    drawn.

    Attributes:
        reach: of the arm that pushes.
        trust: how far from where it was foreseen the object may be seen, in widths of the picture.
    """

    leads: ClassVar[bool] = True
    prior: float = 0.02
    reach: Reach = field(kw_only=True)
    trust: float = 0.02

    def deviation(self, present: Batch) -> np.ndarray:
        return np.array(SPREAD)

    def actions(self, present: Batch, goal: Goal, variation: np.ndarray) -> np.ndarray:
        """The actions (K, A) of a stroke, none where it is out of reach.

        Args:
            present: a context of one.
            goal: which object is to be where.
            variation: (3,) radians by which the stroke is turned about the object, metres aside, metres longer.
        """
        wanted = _object_goal(goal)
        layout, camera = present.layout, present.layout.cameras[wanted.camera]
        seen, size = wanted.places(present.known())[0].cpu().numpy(), np.array(wanted.appearance.size)
        corners = [seen - size / 2 * [1, 0], seen + size / 2 * [1, 0]]
        points = np.array([seen, wanted.target.numpy(), *corners]) / [camera.width, camera.height]
        at, target, one, other = self.reach.on_table(camera.name, points)
        radius = float(np.linalg.norm(one - other)) / 2
        angle = np.arctan2(*(target - at)[::-1]) + variation[0]
        onwards, aside = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
        begin = at - (radius + FINGER + BEHIND) * onwards + variation[1] * aside
        way = float((target - at) @ onwards) + variation[2]
        end = at + (way - radius - FINGER) * onwards + variation[1] * aside
        position = known_position(present)
        joints = self.reach.stroke(position, begin, end)
        if way <= 0 or joints is None:
            return np.zeros((0, len(layout.actions)), np.float32)
        actions = actions_along(layout, np.vstack([position, joints]))[: self.depth]
        return actions[: _first(leaves_bounds(layout, position, actions.cumsum(axis=0)))]

    def comes_as_foreseen(self, present: Batch, goal: Goal, previous: Plan) -> bool:
        wanted = _object_goal(goal)
        seen, expected = wanted.places(present.known()), wanted.places(previous.predicted[:1])
        return float((seen - expected).norm()) <= self.trust * present.layout.cameras[wanted.camera].width


def _first(true: np.ndarray) -> int:
    """The index of the first true one, the length where there is none."""
    return int(true.argmax()) if true.any() else len(true)


def _object_goal(goal: Goal) -> ObjectGoal:
    goal = inner(goal)
    if not isinstance(goal, ObjectGoal):
        raise ForearmError("strokes push an object; for another goal choose the planner tree or cem")
    return goal
