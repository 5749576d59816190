"""Looking for actions whose predicted outcome is what a goal wants.

Nothing here knows a family of models: a planner asks a `Predictor` what actions would show and the goal what that
costs. Doing nothing is the empty plan, whose outcome needs no prediction: it is what is seen now.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from forearm.base.errors import ForearmError
from forearm.batch import Batch, Prediction, Predictor
from forearm.canvas import STAY, Layout, action_codes, dominant_dimensions
from forearm.control.goals import Goal
from forearm.environment import Imagined, rollout

PRICE = 0.02
"""What an action costs, as a share of the cost of staying, so that the shortest of like ways is taken."""
AT_ONCE, PIXELS_AT_ONCE = 64, 2**21
"""Most contexts that are predicted at a time, and most pixels of their canvases, so that memory stays small."""


@dataclass(frozen=True)
class Plan:
    """K actions, none where staying is best, and what they are predicted to show."""

    values: np.ndarray
    """(K, A) float32 signed values in [−1, 1]."""
    dimensions: np.ndarray
    """(K,) int64, the dimension that each action is about."""
    predicted: Prediction
    """What the arm is to show after each action, K in all."""
    cost: float
    """The goal's cost after the last action."""
    staying: float
    """The goal's cost of what the arm shows now."""
    whole: bool = False
    """Whether it may only be begun where all its actions can be taken."""

    def __len__(self) -> int:
        return len(self.values)


class Planner(Protocol):
    """Looks for the actions to take in a state."""

    def plan(self, predictor: Predictor, present: Batch, goal: Goal, previous: Plan | None = None) -> Plan:
        """Plan from a context of one, as `batch.present` makes it; its last action is not looked at.

        Args:
            previous: the plan whose first action has just been taken; a planner may begin its search there.
        """
        ...


@dataclass(frozen=True)
class TreeSearch:
    """Try every sequence of full moves up to ``depth``, or only those that go on from the ``width`` best.

    Sequences share their beginnings: a level of the tree is predicted in one batch. Without a width this is
    exhaustive; with one it is beam search (Lowerre 1976), for arms whose many joints branch too much. Sequences that
    take back what they did are left out: an arm at rest is not elsewhere after them, but their predictions are the
    blurrier for every step, and a blurred picture is less wrong than a sharp one where both are wrong.

    Attributes:
        depth: most actions of a plan.
        width: how many sequences of each length are gone on from; None: all.
        dimensions: action dimensions to use, by index; all by default.
        price: of an action, as a share of the cost of staying.
        detours: try also sequences that take back what they did.
    """

    depth: int = 3
    width: int | None = None
    dimensions: tuple[int, ...] = ()
    price: float = PRICE
    detours: bool = False

    def __post_init__(self) -> None:
        require_positive(depth=self.depth, width=1 if self.width is None else self.width)

    def most_predictions(self, layout: Layout) -> int:
        """How many contexts a plan predicts at most."""
        moves = len(full_moves(layout, self.dimensions)[0])
        total = level = moves
        for _ in range(self.depth - 1):
            level = moves * min(level, self.width or level)
            total += level
        return total

    def farther(self) -> "TreeSearch":
        """Twice as deep, as a beam: too slow for every step."""
        return dataclasses.replace(self, depth=2 * self.depth, width=self.width or 8)

    @torch.inference_mode()
    def plan(self, predictor: Predictor, present: Batch, goal: Goal, previous: Plan | None = None) -> Plan:
        stay = staying(present, goal)
        if stay.cost <= goal.enough:
            return stay
        layout, position = present.layout, known_position(present)
        values, dimensions = full_moves(layout, self.dimensions)
        lowest, best = stay.cost, (0, 0)  # length and row of the best sequence
        levels: list[_Level] = []
        parents, taken, moved = torch.zeros(len(values), dtype=torch.long), torch.arange(len(values)), values
        context = present.repeated(len(values)).with_action(values, dimensions)
        while True:
            predicted = _predicted(predictor, context)
            costs = goal.cost(predicted)
            costs[torch.from_numpy(leaves_bounds(layout, position, moved.numpy())).to(costs.device)] = torch.inf
            levels.append(_Level(predicted, parents, taken))
            total, row = (costs + self.price * stay.cost * len(levels)).min(dim=0)
            if total < lowest:
                lowest, best, cost = float(total), (len(levels), int(row)), float(costs[row])
            if len(levels) == self.depth or costs.min() <= goal.enough:
                break
            kept = costs.argsort()[: self.width].cpu()
            parents, taken = kept.repeat_interleave(len(values)), torch.arange(len(values)).repeat(len(kept))
            if not self.detours:
                onward = (moved[parents] * values[taken]).sum(dim=1) >= 0
                parents, taken = parents[onward], taken[onward]
            moved = moved[parents] + values[taken]
            context = context[parents].then(predicted[parents], values[taken], dimensions[taken])
        if not best[0]:
            return stay
        rows = [best[1]]
        for level in reversed(levels[1 : best[0]]):
            rows.insert(0, int(level.parents[rows[0]]))
        path = list(zip(levels, rows, strict=False))
        actions = torch.stack([level.taken[row] for level, row in path])
        steps = Prediction.concatenate([level.predicted[row : row + 1] for level, row in path])
        return Plan(values[actions].numpy(), dimensions[actions].numpy(), steps, cost, stay.cost)


@dataclass(frozen=True)
class _Level:
    """All sequences of one length: what they show last, the row that each goes on from, and its last move."""

    predicted: Prediction
    parents: Tensor
    taken: Tensor


@dataclass(frozen=True)
class CEM:
    """The cross-entropy method (De Boer et al. 2005, A Tutorial): draw sequences, fit a Gaussian to the best, again.

    For values of any size and many joints at once. The first round is drawn around what is left of the previous plan
    (warm start), around staying where there is none. Where a layout knows only full moves of one dimension, what is
    drawn is rounded to such.

    Attributes:
        depth: most actions of a plan.
        samples: sequences a round.
        elites: how many of them the next round is drawn from.
        rounds: how often.
        spread: standard deviation of the first round's values.
        price: of an action, as a share of the cost of staying.
        seed: of what is drawn; the same context always gets the same plan.
    """

    depth: int = 3
    samples: int = 64
    elites: int = 8
    rounds: int = 4
    spread: float = 0.5
    price: float = PRICE
    seed: int = 0

    def __post_init__(self) -> None:
        require_positive(depth=self.depth, samples=self.samples, elites=self.elites, rounds=self.rounds)
        if self.elites > self.samples:
            raise ForearmError(f"elites is {self.elites}; choose no more than the {self.samples} samples")

    def most_predictions(self, layout: Layout) -> int:
        """How many contexts a plan predicts at most."""
        return self.rounds * self.samples * self.depth

    @torch.inference_mode()
    def plan(self, predictor: Predictor, present: Batch, goal: Goal, previous: Plan | None = None) -> Plan:
        random = np.random.default_rng(self.seed)
        layout = present.layout
        shape = (self.samples, self.depth, len(layout.actions))
        mean, deviation = np.zeros(shape[1:], np.float32), np.full(shape[1:], self.spread, np.float32)
        if previous is not None:  # warm start: what is left of it
            left = previous.values[1:][: self.depth]
            mean[: len(left)] = left
        best = stay = staying(present, goal)
        if stay.cost <= goal.enough:
            return stay
        lowest, position, at_once = stay.cost, known_position(present), contexts_at_once(layout)
        for _ in range(self.rounds):
            drawn = np.clip(mean + deviation * random.standard_normal(shape, dtype=np.float32), -1, 1)
            drawn[0] = mean
            drawn = waits_last(single_moves(drawn) if layout.discrete else drawn)
            dimensions = dominant_dimensions(drawn.reshape(-1, shape[2])).reshape(shape[:2])
            price = self.price * stay.cost * np.arange(1, self.depth + 1)
            outside = leaves_bounds(layout, position, drawn.cumsum(axis=1))
            price = np.where(np.logical_or.accumulate(outside, axis=1) | ~drawn.any(axis=2), np.inf, price)
            total = np.empty_like(price)
            for start in range(0, self.samples, at_once):
                part = slice(start, start + at_once)
                actions = drawn[part], dimensions[part]
                steps = rollout(predictor, present.repeated(len(actions[0])), *map(torch.from_numpy, actions))
                costs = torch.stack([goal.cost(step) for step in steps], dim=1).cpu().numpy()
                total[part] = costs + price[part]
                row, last = np.unravel_index(total[part].argmin(), costs.shape)
                if total[part][row, last] < lowest:
                    lowest, taken = total[part][row, last], slice(0, last + 1)
                    shown = Prediction.concatenate([step[np.array([row])] for step in steps[taken]])
                    values, about = (each[row, taken] for each in actions)
                    best = Plan(values, about, shown, float(costs[row, last]), stay.cost)
            elites = drawn[total.min(axis=1).argsort()[: self.elites]]
            mean, deviation = elites.mean(axis=0), elites.std(axis=0) + 0.05
        return best


def foreseen(
    predictor: Predictor,
    present: Batch,
    goal: Goal,
    sequences: Sequence[np.ndarray],
    stay: Plan,
    price: float,
    whole: bool = False,
) -> list[Plan]:
    """Sequences of actions as plans, each up to the step after which it costs least.

    Args:
        predictor: foresees them, all that are as long in one batch.
        present: a context of one.
        goal: what is wanted.
        sequences: of at least one action each, (K, A) of any lengths.
        stay: the plan to stay, as `staying` makes it.
        price: what an action costs.
        whole: each to its end instead, and it costs what it costs there.
    """
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
        along = np.array([cost[row] + price * k for k, cost in enumerate(costs) if row < len(cost)])
        last = len(along) - 1 if whole else int(along.argmin())
        taken = sequences[number][: last + 1]
        shown = Prediction.concatenate([step[row : row + 1] for step in steps[: last + 1]])
        plans[number] = Plan(taken, dominant_dimensions(taken), shown, float(costs[last][row]), stay.cost)
    return plans


def left_of(previous: Plan | None, stay: Plan) -> Plan | None:
    """What is left of a plan whose first action has been taken."""
    if previous is None or len(previous) < 2:
        return None
    return Plan(previous.values[1:], previous.dimensions[1:], previous.predicted[1:], previous.cost, stay.staying)


def actions_along(layout: Layout, joints: np.ndarray) -> np.ndarray:
    """Actions (K, A) that lead along joints (n, J), in their units, one joint position after the other; where an action
    cannot move that far, several."""
    scales = np.array([dimension.scale for dimension in layout.actions])
    changes = np.diff(joints[:, layout.joint_of_dimension()], axis=0) / scales
    counts = np.maximum(1, np.ceil(np.abs(changes).max(axis=1) - 1e-6)).astype(int)
    return np.repeat(changes / counts[:, None], counts, axis=0).astype(np.float32)


def planner_for(layout: Layout, depth: int = 3, dimensions: tuple[int, ...] = ()) -> TreeSearch | CEM:
    """What suits a layout: all sequences of few full moves, the best of many, CEM for values of any size."""
    if not layout.discrete and not dimensions:
        return CEM(depth)
    branches = len(full_moves(layout, dimensions)[0])
    return TreeSearch(depth, None if branches**depth <= AT_ONCE else 4, dimensions)


def full_moves(layout: Layout, dimensions: Sequence[int] = ()) -> tuple[Tensor, Tensor]:
    """MOVE+ and MOVE− of each dimension (of all where none are named): values (2n, A) and the dimensions (2n,)."""
    chosen = torch.tensor(list(dimensions) or range(len(layout.actions)))
    one = torch.eye(len(layout.actions))[chosen]
    return torch.stack([one, -one], dim=1).flatten(0, 1), chosen.repeat_interleave(2)


def contexts_at_once(layout: Layout) -> int:
    """How many contexts of a layout are predicted at a time: fewer of large pictures."""
    return max(1, min(AT_ONCE, PIXELS_AT_ONCE // (layout.height * layout.width)))


def leaves_bounds(layout: Layout, position: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Whether actions take a joint out of the bounds within which training saw it; back into them it may.

    Args:
        layout: its joints' bounds are those of the training data.
        position: (J,) where the joints are, in their units.
        moved: (…, A) the sum of the actions' values.

    Returns:
        (…,) bool.
    """
    drives = layout.joint_of_dimension()[:, None] == np.arange(len(layout.joints))
    change = (moved * [dimension.scale for dimension in layout.actions]) @ drives.astype(float)
    target = position + change
    return (((change > 0) & (target > layout.highs)) | ((change < 0) & (target < layout.lows))).any(axis=-1)


def single_moves(values: np.ndarray) -> np.ndarray:
    """Only each action's largest dimension, as a full move or, below a third of one, as none.

    (N, K, A) to (N, K, A) float32.
    """
    largest = np.abs(values).argmax(axis=-1)[..., None]
    value = np.take_along_axis(values, largest, -1)
    rounded = np.zeros(values.shape, np.float32)
    np.put_along_axis(rounded, largest, np.where(np.abs(value) > 1 / 3, np.sign(value), 0).astype(np.float32), -1)
    return rounded


def waits_last(values: np.ndarray) -> np.ndarray:
    """Sequences (N, K, A) with every STAY, as nothing at all, behind the actions: nothing comes of waiting at rest."""
    waits = action_codes(values.reshape(-1, values.shape[2])).reshape(values.shape[:2]) == STAY
    order = np.argsort(waits, axis=1, kind="stable")
    return np.take_along_axis(np.where(waits[..., None], np.float32(0), values), order[..., None], axis=1)


def known_position(present: Batch) -> np.ndarray:
    return present.known().joints(present.layout)[0].cpu().numpy()


def staying(present: Batch, goal: Goal) -> Plan:
    seen = present.known()
    cost = float(goal.cost(seen))
    nothing = np.zeros((0, len(present.layout.actions)), np.float32)
    return Plan(nothing, np.zeros(0, np.int64), seen[:0], cost, cost)


def _predicted(predictor: Predictor, context: Batch) -> Prediction:
    at_once = contexts_at_once(context.layout)
    parts = (context[start : start + at_once] for start in range(0, len(context), at_once))
    return Prediction.concatenate([predictor.predict(part) for part in parts])


def require_positive(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise ForearmError(f"{name} is {number}; choose at least 1")
