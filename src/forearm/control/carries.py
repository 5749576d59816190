"""Placing an object: carries of the gripper, of which the one that is foreseen to end best is carried out.

Hardly any sequence of joint motions that is drawn at random grasps anything. So what is drawn are carries that come
down around the object and let it go where it is to be. Where the object is and where it ends is read from pictures
alone; aiming needs the arm's kinematics and where the camera stands, which `CarryReach` knows.
"""

from dataclasses import dataclass, field, replace
from typing import ClassVar, Protocol

import numpy as np

from forearm.base.errors import ForearmError
from forearm.batch import Batch, Predictor
from forearm.control.goals import Goal, ObjectGoal, inner
from forearm.control.planners import Plan, actions_along, known_position, leaves_bounds, left_of
from forearm.control.variations import VariationSearch

SPREAD = (0.006, 0.006, 0.6, 0.008, 0.008)
"""Standard deviation of the first round: metres by which the grasp is moved (x and y), radians by which the wrist is
turned, metres by which the place is moved where it lets go (x and y)."""


class CarryReach(Protocol):
    """What is known of an arm with a gripper and the cameras around it."""

    def on_table(self, camera: str, places: np.ndarray) -> np.ndarray:
        """Points of the table (n, 2) in metres, at the height of objects' middles, that a camera shows at places
        (n, 2), right and down in shares of its picture."""
        ...

    def carry(self, joints: np.ndarray, at: np.ndarray, to: np.ndarray, turn: float) -> np.ndarray | None:
        """Joints (n, J) on a carry: open, above ``at`` (2,), down, closed, up, over ``to`` (2,), down, open, up, and
        away, so that the object is in sight.

        Args:
            joints: (J,) at present, in their units, which are not among those that are returned.
            at: metres on the table, the middle of the object.
            to: metres on the table, where its middle is to be.
            turn: radians by which the jaws are turned from opening sideways of the arm.

        Returns:
            None where it is out of reach.
        """
        ...


@dataclass(frozen=True)
class CarrySearch(VariationSearch):
    """The cross-entropy method over carries of an object, each varied in where it grasps, how the wrist is turned, and
    where it lets go.

    Carries are compared by where the object is seen when they have ended, never by what is seen on the way: what hangs
    in the gripper may be seen where it is to stand. One that has begun is carried out. Staying is no alternative to a
    carry as long as one is within reach.

    Attributes:
        reach: of the arm that carries.
    """

    leads: ClassVar[bool] = True
    samples: int = 6
    elites: int = 2
    prior: float = 0.02
    reach: CarryReach = field(kw_only=True)

    def deviation(self, present: Batch) -> np.ndarray:
        return np.array(SPREAD)

    def actions(self, present: Batch, goal: Goal, variation: np.ndarray) -> np.ndarray:
        """The actions (K, A) of a carry, none where it is out of reach, leaves what training saw, or takes more actions
        than are looked ahead.

        Args:
            present: a context of one.
            goal: which object is to be where.
            variation: (5,) as `SPREAD` says.

        Raises:
            ForearmError: the goal is not about an object.
        """
        actions = self._all_actions(present, goal, variation)
        return actions[:0] if len(actions) > self.depth else actions

    def _all_actions(self, present: Batch, goal: Goal, variation: np.ndarray) -> np.ndarray:
        """The same however many they are."""
        wanted, layout = _object_goal(goal), present.layout
        camera = layout.cameras[wanted.camera]
        seen = wanted.places(present.known())[0].cpu().numpy()
        places = np.array([seen, wanted.target.numpy()]) / [camera.width, camera.height]
        at, to = self.reach.on_table(camera.name, places)
        position = known_position(present)
        joints = self.reach.carry(position, at + variation[:2], to + variation[3:], float(variation[2]))
        if joints is None:
            return np.zeros((0, len(layout.actions)), np.float32)
        actions = actions_along(layout, np.vstack([position, joints]))
        return actions[:0] if leaves_bounds(layout, position, actions.cumsum(axis=0)).any() else actions

    def comes_as_foreseen(self, present: Batch, goal: Goal, previous: Plan) -> bool:
        """Always: an object is not left in the air."""
        return True

    def plan(self, predictor: Predictor, present: Batch, goal: Goal, previous: Plan | None = None) -> Plan:
        """As `Planner.plan`.

        Raises:
            ForearmError: the carry takes more actions than are looked ahead, and none has been carried out.
        """
        if previous is not None and (left := left_of(previous, previous)) is not None:
            return left
        found = super().plan(predictor, present, goal)
        if len(found):
            return replace(found, whole=True)
        if previous is None and found.cost > goal.enough:
            least = len(self._all_actions(present, goal, np.zeros(len(SPREAD))))
            if least > self.depth:
                raise ForearmError(f"this carry takes {least} actions; choose a depth of {least} or more")
        return found


def _object_goal(goal: Goal) -> ObjectGoal:
    goal = inner(goal)
    if not isinstance(goal, ObjectGoal):
        raise ForearmError("carries place an object; for another goal choose the planner tree or cem")
    return goal
