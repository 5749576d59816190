"""Pushing an object: strokes of the gripper over the table, of which the best foreseen is carried out.

A cost of pictures has no slope before the gripper touches the object, and hardly any sequence of joint motions that is
drawn at random touches it. So what is drawn are strokes that begin behind the object. Where the object is and where
it gets is read from pictures alone; aiming needs the arm's kinematics and where the camera stands, which `Reach` knows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from forearm.base.errors import ForearmError
from forearm.batch import Batch, Prediction, Predictor
from forearm.canvas import Layout, dominant_dimensions
from forearm.control.goals import Goal, ObjectGoal
from forearm.control.planners import Plan, known_position, leaves_bounds, require_positive, staying
from forearm.environment import Imagined

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
class StrokeSearch:
    """The cross-entropy method over strokes behind an object, each turned, moved aside and longer or shorter by what is
    drawn.

    The first candidate is what is left of the previous plan (warm start). As long as the object is seen where that
    plan foresaw it, it is gone on with and nothing is predicted.

    Attributes:
        reach: of the arm that pushes.
        depth: most actions of a plan.
        samples: strokes a round.
        elites: how many of them the next round is drawn from.
        rounds: how often.
        price: of an action, in widths of the picture.
        trust: how far from where it was foreseen the object may be seen, in widths of the picture.
        seed: of what is drawn.
    """

    reach: Reach
    depth: int = 24
    samples: int = 8
    elites: int = 3
    rounds: int = 2
    price: float = 0.001
    trust: float = 0.02
    seed: int = 0

    def __post_init__(self) -> None:
        require_positive(depth=self.depth, samples=self.samples, elites=self.elites, rounds=self.rounds)

    def most_predictions(self, layout: Layout) -> int:
        """How many contexts a plan predicts at most."""
        return (self.rounds * self.samples + 1) * self.depth

    @torch.inference_mode()
    def plan(self, predictor: Predictor, present: Batch, goal: Goal, previous: Plan | None = None) -> Plan:
        goal = _object_goal(goal)
        stay = staying(present, goal)
        if stay.cost <= goal.enough:
            return stay
        left = _left_of(previous, stay)
        if left is not None and left.cost < stay.cost and self._as_foreseen(present, goal, previous):
            return left
        random = np.random.default_rng(self.seed)
        mean, deviation = np.zeros(3), np.array(SPREAD)
        best, lowest = stay, stay.cost
        for number in range(self.rounds):
            drawn = mean + deviation * random.standard_normal((self.samples, 3))
            drawn[0] = mean
            found = [
                (actions, variation) for variation in drawn if len(actions := self.stroke(present, goal, variation))
            ]
            variations = [variation for _, variation in found]
            if number == 0 and left is not None:
                found.append((left.values, mean))
            if not found:
                break
            plans = self._foreseen(predictor, present, goal, [actions for actions, _ in found], stay)
            totals = np.array([plan.cost + self.price * len(plan) for plan in plans])
            first = int(totals.argmin())
            if totals[first] < lowest:
                best, lowest = plans[first], totals[first]
            if not variations:
                break
            elites = np.array(variations)[totals[: len(variations)].argsort()[: self.elites]]
            mean, deviation = elites.mean(axis=0), elites.std(axis=0) + 0.2 * np.array(SPREAD)
        return best

    def stroke(self, present: Batch, goal: ObjectGoal, variation: np.ndarray) -> np.ndarray:
        """The actions (K, A) of a stroke, none where it is out of reach.

        Args:
            present: a context of one.
            goal: which object is to be where.
            variation: (3,) radians by which the stroke is turned about the object, metres aside, metres longer.
        """
        layout, camera = present.layout, present.layout.cameras[goal.camera]
        seen, size = goal.places(present.known())[0].cpu().numpy(), np.array(goal.appearance.size)
        corners = [seen - size / 2 * [1, 0], seen + size / 2 * [1, 0]]
        points = np.array([seen, goal.target.numpy(), *corners]) / [camera.width, camera.height]
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

    def _as_foreseen(self, present: Batch, goal: ObjectGoal, previous: Plan | None) -> bool:
        assert previous is not None
        seen, foreseen = goal.places(present.known()), goal.places(previous.predicted[:1])
        return float((seen - foreseen).norm()) <= self.trust * present.layout.cameras[goal.camera].width

    def _foreseen(
        self, predictor: Predictor, present: Batch, goal: ObjectGoal, sequences: Sequence[np.ndarray], stay: Plan
    ) -> list[Plan]:
        """Each sequence as a plan, up to the step after which the object is foreseen nearest to its target."""
        order = sorted(range(len(sequences)), key=lambda i: -len(sequences[i]))
        ordered = [torch.from_numpy(sequences[i]) for i in order]
        steps: list[Prediction] = []
        state = Imagined.start(present.repeated(len(ordered)))
        for step in range(len(ordered[0])):
            rows = slice(0, sum(len(actions) > step for actions in ordered))
            values = torch.stack([actions[step] for actions in ordered[rows]])
            about = torch.from_numpy(dominant_dimensions(values.numpy()))
            known = Imagined(state.context[rows], state.prediction[rows], is_start=state.is_start)
            context = known.under(values, about)
            state = Imagined(context, predictor.predict(context))
            steps.append(state.prediction)
        costs = [goal.cost(step).cpu().numpy() for step in steps]
        plans: list[Plan] = [stay] * len(sequences)
        for row, number in enumerate(order):
            along = np.array([cost[row] + self.price * k for k, cost in enumerate(costs) if row < len(cost)])
            last = int(along.argmin())
            taken = sequences[number][: last + 1]
            shown = Prediction.concatenate([step[row : row + 1] for step in steps[: last + 1]])
            plans[number] = Plan(taken, dominant_dimensions(taken), shown, float(costs[last][row]), stay.cost)
        return plans


def actions_along(layout: Layout, joints: np.ndarray) -> np.ndarray:
    """Actions (K, A) that lead along joints (n, J), in their units, one joint position after the other; where an action
    cannot move that far, several."""
    scales = np.array([dimension.scale for dimension in layout.actions])
    changes = np.diff(joints[:, layout.joint_of_dimension()], axis=0) / scales
    counts = np.maximum(1, np.ceil(np.abs(changes).max(axis=1) - 1e-6)).astype(int)
    return np.repeat(changes / counts[:, None], counts, axis=0).astype(np.float32)


def _left_of(previous: Plan | None, stay: Plan) -> Plan | None:
    """What is left of a plan whose first action has been taken."""
    if previous is None or len(previous) < 2:
        return None
    return Plan(previous.values[1:], previous.dimensions[1:], previous.predicted[1:], previous.cost, stay.staying)


def _first(true: np.ndarray) -> int:
    """The index of the first true one, the length where there is none."""
    return int(true.argmax()) if true.any() else len(true)


def _object_goal(goal: Goal) -> ObjectGoal:
    if not isinstance(goal, ObjectGoal):
        raise ForearmError("strokes push an object; for another goal choose the planner tree or cem")
    return goal
