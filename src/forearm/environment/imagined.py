"""A predictor as a world: every prediction is fed back as what is known next."""

import itertools
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from forearm.batch import Batch, Prediction, Predictor
from forearm.canvas import Action, Observation, as_float
from forearm.environment.environment import Environment

OWN = np.zeros(1, np.int64)
"""Copies a single path out of those that were predicted in one batch, so that the others are not kept in memory."""

_numbers = itertools.count(secrets.randbelow(2**40))  # a page that outlives the process finds none of its states


@dataclass(frozen=True)
class Imagined:
    """What a predictor imagines of B paths at one time. It never changes."""

    context: Batch
    """What was predicted from, the action included; at the start, what is known there."""
    prediction: Prediction
    """What came of it; at the start, what is seen there."""
    is_start: bool = False
    """Whether nothing was predicted yet."""
    action: Action | None = None
    """What led here, of a single path; None at the start."""
    truth: Observation | None = None
    """What is truly seen, of a single path; None where nobody knows."""
    number: int = field(default_factory=_numbers.__next__)
    """Its own among all."""

    @classmethod
    def start(cls, context: Batch) -> "Imagined":
        """Begin where the last known frames of a context are; its last action is not looked at."""
        return cls(context, context.known(), is_start=True)

    def under(self, values: Tensor, dimensions: Tensor) -> Batch:
        """The context in which an action is taken: values (B, A) in [−1, 1] about action dimensions (B,)."""
        if self.is_start:
            return self.context.with_action(values, dimensions)
        return self.context.then(self.prediction, values, dimensions)

    @cached_property
    def observation(self) -> Observation:
        """What a single path shows."""
        return self.prediction.observation(self.context.layout)

    @cached_property
    def error(self) -> np.ndarray | None:
        """The squared error of each pixel of a single path, mean over the channels, (h, w) float32; None without
        truth."""
        if self.truth is None:
            return None
        return squared_error(self.observation, self.truth)


def squared_error(one: Observation, other: Observation) -> np.ndarray:
    """The squared difference of two pictures' pixels, mean over the channels, (h, w) float32."""
    return ((as_float(one.picture) - as_float(other.picture)) ** 2).mean(axis=-1)


class ImaginedEnvironment(Environment[Imagined]):
    """A single path through what a predictor imagines.

    Args:
        predictor: on ``device``.
        truth: a world that is acted in alike, to compare; reset to the same start.
    """

    def __init__(self, predictor: Predictor, device: torch.device | str = "cpu", truth: Environment | None = None):
        self.predictor, self.device, self.truth = predictor, device, truth

    def observe(self) -> Observation:
        return self.state.observation

    def begin(self, start: Batch) -> Imagined:
        """The state at a context of one."""
        self.layout = start.layout
        return replace(Imagined.start(start), truth=self.truth.observe() if self.truth else None)

    def after(self, state: Imagined, action: Action) -> Imagined:
        return self._imagined(state, [action])[0]

    def preview(self, actions: Sequence[Action]) -> list[Imagined]:
        """What each of some actions would lead to, predicted in one batch; `enter` takes one of them as the step."""
        return self._imagined(self.state, actions)

    def step(self, action: Action) -> Observation:
        return self.enter(self.after(self.state, action))

    def enter(self, state: Imagined) -> Observation:
        """Step into a state that was previewed from the present one."""
        assert state.action is not None
        truth = self.truth.step(state.action) if self.truth else None
        context, prediction = state.context[OWN], state.prediction[OWN]
        self.history.append(replace(state, context=context, prediction=prediction, truth=truth))
        return self.observe()

    def undo(self, steps: int = 1) -> None:
        super().undo(steps)
        if self.truth:
            self.truth.undo(steps)

    @torch.inference_mode()
    def _imagined(self, state: Imagined, actions: Sequence[Action]) -> list[Imagined]:
        values = torch.from_numpy(np.stack([action.values for action in actions]))
        dimensions = torch.tensor([action.dimension for action in actions])
        batch = state.under(values[:1], dimensions[:1]).repeated(len(actions)).with_action(values, dimensions)
        prediction = self.predictor.predict(batch.to(self.device)).to(batch.canvas.device)
        rows = (slice(i, i + 1) for i in range(len(actions)))
        return [Imagined(batch[row], prediction[row], action=a) for row, a in zip(rows, actions, strict=True)]


def rollout(predictor: Predictor, start: Batch, values: Tensor, dimensions: Tensor) -> list[Prediction]:
    """Imagine B paths of K steps at once.

    Args:
        predictor: on the device of ``start``.
        start: B contexts; neither their last frames nor their last actions are looked at.
        values: (B, K, A) signed action values in [−1, 1], K ≥ 1.
        dimensions: (B, K) the action dimension that each decision is about.

    Returns:
        the prediction of each of the K steps, on the device of the predictor.
    """
    return list(rollout_steps(predictor, start, values, dimensions))


@torch.inference_mode()
def rollout_steps(predictor: Predictor, start: Batch, values: Tensor, dimensions: Tensor) -> Iterator[Prediction]:
    """As ``rollout``, step by step, so that no more than one prediction is held in memory."""
    state = Imagined.start(start)
    for step in range(values.shape[1]):
        context = state.under(values[:, step], dimensions[:, step])
        state = Imagined(context, predictor.predict(context))
        yield state.prediction
