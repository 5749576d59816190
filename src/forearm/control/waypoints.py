"""Going to joint positions around what may not be moved: by way of joint positions that are searched for."""

from dataclasses import dataclass

import numpy as np

from forearm.base.errors import ForearmError
from forearm.batch import Batch
from forearm.control.goals import Goal, JointGoal, inner
from forearm.control.planners import Plan, actions_along, known_position, leaves_bounds
from forearm.control.variations import VariationSearch


@dataclass(frozen=True)
class WaypointSearch(VariationSearch):
    """The cross-entropy method over one waypoint in the middle of the straight way of the joints to a joint goal.

    Attributes:
        spread: standard deviation of each joint of the waypoint in the first round, in full moves.
        trust: by how much the goal's cost may differ from what was foreseen, in moves.
    """

    depth: int = 30
    samples: int = 24
    elites: int = 5
    rounds: int = 3
    price: float = 0.05
    spread: float = 1.0
    trust: float = 0.1

    def deviation(self, present: Batch) -> np.ndarray:
        return np.full(len(present.layout.joints), self.spread)

    def actions(self, present: Batch, goal: Goal, variation: np.ndarray) -> np.ndarray:
        """The actions (K, A) by way of the middle plus a variation (J,) in full moves; none where it leaves bounds."""
        layout, wanted = present.layout, inner(goal)
        if not isinstance(wanted, JointGoal):
            raise ForearmError("waypoints lead to joints; for another goal choose the planner tree or cem")
        position = known_position(present)
        end = np.where(np.isnan(wanted.targets), position, wanted.targets)
        ways = [position, end]
        if variation.any():
            middle = (position + end) / 2 + variation * self._moves(present)
            ways.insert(1, np.clip(middle, np.minimum(layout.lows, position), np.maximum(layout.highs, position)))
        actions = actions_along(layout, np.array(ways, np.float32))[: self.depth]
        left = leaves_bounds(layout, position, actions.cumsum(axis=0))
        return actions[: int(left.argmax()) if left.any() else len(actions)]

    def comes_as_foreseen(self, present: Batch, goal: Goal, previous: Plan) -> bool:
        seen, expected = goal.cost(present.known()), goal.cost(previous.predicted[:1])
        return float((seen - expected).abs()) <= self.trust

    @staticmethod
    def _moves(present: Batch) -> np.ndarray:
        """A full move of each joint, (J,) in its unit; 0 where no action moves it."""
        moves = np.zeros(len(present.layout.joints))
        for dimension, joint in zip(present.layout.actions, present.layout.joint_of_dimension(), strict=True):
            moves[joint] = dimension.scale
        return moves
