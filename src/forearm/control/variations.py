"""The cross-entropy method over variations of a way that is known to lead to the goal.

Of the motions of six joints that are drawn at random hardly any does what is wanted. So a planner here knows one way,
such as a stroke behind an object, and draws how to vary it, in few numbers.
"""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from forearm.batch import Batch, Predictor
from forearm.control.goals import Goal
from forearm.control.planners import Plan, foreseen, left_of, require_positive, staying


@dataclass(frozen=True)
class VariationSearch:
    """Draws variations of a way, foresees each, and draws the next ones around the best.

    The first candidate is the way as it is; what is left of the previous plan is another (warm start). As long as that
    plan comes as it was foreseen, it is gone on with and nothing is predicted.

    Attributes:
        depth: most actions of a plan.
        samples: variations a round.
        elites: how many of them the next round is drawn from.
        rounds: how often.
        price: of an action, in the unit of the goal's cost.
        prior: what a variation costs whose numbers are a standard deviation each from the known way, for each of them;
            twice as far costs four times as much. So a prediction that is little better does not lead away from it.
        seed: of what is drawn.
    """

    leads: ClassVar[bool] = False
    """Whether the known way leads to the goal wherever it can be gone. A plan is then a whole way, judged by what is
    foreseen at its end, and staying is none of the choices: a prediction that shows no progress may well be wrong."""

    depth: int = 24
    samples: int = 8
    elites: int = 3
    rounds: int = 2
    price: float = 0.001
    prior: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        require_positive(depth=self.depth, samples=self.samples, elites=self.elites, rounds=self.rounds)

    def most_predictions(self, layout: object) -> int:
        """How many contexts a plan predicts at most."""
        return (self.rounds * self.samples + 1) * self.depth

    @abstractmethod
    def deviation(self, present: Batch) -> np.ndarray:
        """Standard deviation of the first round's variations, (V,)."""

    @abstractmethod
    def actions(self, present: Batch, goal: Goal, variation: np.ndarray) -> np.ndarray:
        """The actions (K, A) of the way with a variation (V,), none where it cannot be gone."""

    @abstractmethod
    def comes_as_foreseen(self, present: Batch, goal: Goal, previous: Plan) -> bool:
        """Whether the first action of the previous plan led to what it foresaw."""

    @torch.inference_mode()
    def plan(self, predictor: Predictor, present: Batch, goal: Goal, previous: Plan | None = None) -> Plan:
        stay = staying(present, goal)
        if stay.cost <= goal.enough:
            return stay
        left = left_of(previous, stay)
        goes_on = left is not None and (self.leads or left.cost < stay.cost)
        if left and previous and goes_on and self.comes_as_foreseen(present, goal, previous):
            return left
        random, spread = np.random.default_rng(self.seed), self.deviation(present)
        mean, deviation = np.zeros(len(spread)), spread
        best, lowest = stay, math.inf if self.leads else stay.cost
        for number in range(self.rounds):
            drawn = mean + deviation * random.standard_normal((self.samples, len(spread)))
            drawn[0] = mean
            found = [
                (actions, variation) for variation in drawn if len(actions := self.actions(present, goal, variation))
            ]
            variations = [variation for _, variation in found]
            if number == 0 and left is not None:
                found.append((left.values, np.zeros(len(spread))))
            if not found:
                break
            ways = [actions for actions, _ in found]
            plans = foreseen(predictor, present, goal, ways, stay, self.price, self.leads)
            far = np.array([np.square(variation / spread).sum() for _, variation in found])
            totals = np.array([plan.cost + self.price * len(plan) for plan in plans]) + self.prior * far
            first = int(totals.argmin())
            if totals[first] < lowest:
                best, lowest = plans[first], totals[first]
            if not variations:
                break
            elites = np.array(variations)[totals[: len(variations)].argsort()[: self.elites]]
            mean, deviation = elites.mean(axis=0), elites.std(axis=0) + 0.2 * spread
        return best
