"""Model-predictive control: look, plan, take the first action, look again."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch

from forearm.batch import Batch, Prediction, Predictor, present
from forearm.canvas import Action, Layout, Observation, as_float
from forearm.canvas.actions import DEAD_BAND
from forearm.control.goals import Goal
from forearm.control.planners import Plan, Planner
from forearm.environment import ImaginedEnvironment
from forearm.media.words import action_words

REACHED, STAYING, SPENT = "the goal is reached", "staying is best", "all steps are taken"
TOO_LONG = "the plan takes more steps than are left"


class Arm(Protocol):
    """Something that can be looked at and moved: a simulated arm, a real one, or any environment."""

    @property
    def layout(self) -> Layout:
        """In which it is seen and moved: its cameras, joints and actions."""
        ...

    def observe(self) -> Observation:
        """Look, at rest."""
        ...

    def step(self, action: Action) -> object:
        """Carry out an action, and come to rest."""
        ...


@dataclass(frozen=True)
class Step:
    """A state of a controlled arm: what was seen, and what was planned from it."""

    seen: Observation
    plan: Plan


@dataclass
class EpisodeLog:
    """What control did. The last step took no action; ``outcome`` says why."""

    layout: Layout
    steps: list[Step] = field(default_factory=list)
    outcome: str = ""
    imagined: bool = False
    """Whether what was seen is itself a prediction, so that no error can be observed."""

    @property
    def actions(self) -> int:
        """How many were taken."""
        return len(self.steps) - 1

    @property
    def expected_errors(self) -> list[float | None]:
        """The mean squared error that the model expected of the picture after each action taken; None where it
        estimates none."""
        return [expected_errors(step.plan.predicted)[0] for step in self.steps[: self.actions]]

    @property
    def true_errors(self) -> list[float]:
        """The mean squared error of the picture predicted for each action taken, against what was then observed; none
        where all is imagined."""
        if self.imagined:
            return []
        pairs = zip(self.steps, self.steps[1:], strict=False)
        return [_squared_error(step.plan.predicted.observation(self.layout), after.seen) for step, after in pairs]

    def next_action(self, number: int) -> str:
        """The action that followed a step, in words; after the last one the outcome."""
        if self.outcome and number in (-1, self.actions):
            return self.outcome
        return action_words(self.layout, self.steps[number].plan.values[0])


@dataclass
class _Counted:
    """A predictor that says how many contexts it has predicted."""

    predictor: Predictor
    watch: Callable[[int], None]
    done: int = 0

    def predict(self, batch: Batch) -> Prediction:
        prediction = self.predictor.predict(batch)
        self.done += len(batch)
        self.watch(self.done)
        return prediction


def control(
    arm: Arm,
    predictor: Predictor,
    goal: Goal,
    planner: Planner,
    *,
    farther: Planner | None = None,
    steps: int = 12,
    device: torch.device | str = "cpu",
    on_step: Callable[[EpisodeLog], None] = lambda episode: None,
    watch: Callable[[int], None] = lambda predictions: None,
) -> EpisodeLog:
    """Drive an arm towards a goal, planning anew after every action.

    It ends when the goal is reached, when no plan is better than staying, after ``steps`` actions, or where so few are
    left that a plan that has to be taken whole cannot be.

    Args:
        arm: at rest, of the predictor's layout.
        predictor: foresees, on ``device``.
        goal: what is wanted.
        planner: what looks for actions.
        farther: asked again where the planner would stay or take back the action before: a costlier look, that sees
            out of a hollow between here and a goal far away.
        on_step: called after each look, with everything until then.
        watch: called with how many predictions were made since the last look.

    Raises:
        ForearmError: what the arm shows does not fit the layout, or the arm cannot act.
    """
    episode = EpisodeLog(arm.layout, imagined=isinstance(arm, ImaginedEnvironment))
    while True:
        seen = arm.observe()
        context = present(arm.layout, seen).to(device)
        counted = _Counted(predictor, watch)
        previous = episode.steps[-1].plan if episode.steps else None
        plan = planner.plan(counted, context, goal, previous)
        if farther and plan.staying > goal.enough and (not len(plan) or _takes_back(plan, episode)):
            plan = farther.plan(counted, context, goal)
        step = Step(seen, plan)
        episode.steps.append(step)
        if step.plan.staying <= goal.enough:
            episode.outcome = REACHED
        elif not len(step.plan):
            episode.outcome = STAYING
        elif episode.actions == steps:
            episode.outcome = SPENT
        elif step.plan.whole and len(step.plan) > steps - episode.actions:
            episode.outcome = TOO_LONG
        on_step(episode)
        if episode.outcome:
            return episode
        arm.step(Action(step.plan.values[0], int(step.plan.dimensions[0])))


def _takes_back(plan: Plan, episode: EpisodeLog) -> bool:
    """Whether a plan begins by undoing the last action."""
    return bool(episode.steps) and np.abs(plan.values[0] + episode.steps[-1].plan.values[0]).max() < DEAD_BAND


def expected_errors(predicted: Prediction) -> list[float | None]:
    """The mean squared error that a model expects of each of B pictures; None where it estimates none."""
    expected = predicted.expected_error
    return [None] * len(predicted.frame) if expected is None else expected.float().mean((1, 2)).tolist()


def _squared_error(predicted: Observation, seen: Observation) -> float:
    return float(((as_float(predicted.picture) - as_float(seen.picture)) ** 2).mean())
