"""A visitor's path through what a world model imagines: actions to choose from, previews, steps."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from forearm.base.errors import ForearmError
from forearm.batch import Batch, Predictor, present
from forearm.canvas import CODES, Action, Observation, counterfactual
from forearm.environment import Environment, Imagined, ImaginedEnvironment, squared_error

USUAL_VALUE = 0.5
"""The value of a continuous move until somebody chooses another, as in `canvas.counterfactual`."""


@dataclass(frozen=True)
class Start:
    """Where a path begins."""

    source: str
    """Name of the source."""
    number: int
    """Its number there."""
    context: Batch
    """Of one, as the model is given it."""
    truth: Environment
    """What is truly there, at that start."""
    note: str
    """A few words on where this is from."""


class PlaySession:
    """One visitor's path through what a model imagines.

    What each action would show is predicted when it is first asked for, all of them in one batch; a step takes what
    was previewed. Whatever fails, the path stays as it was.

    Args:
        predictor: on ``device``.
        start: where the path begins.
        longest: how many steps it may have.
    """

    def __init__(self, predictor: Predictor, start: Start, device: torch.device | str = "cpu", longest: int = 300):
        self.layout, self.longest = start.context.layout, longest
        self.dimension, self.value = 0, 1.0 if self.layout.discrete else USUAL_VALUE
        self._predictor, self._device = predictor, device
        self.reset(start)

    @property
    def now(self) -> Imagined:
        """Where the path has come to."""
        return self._environment.state

    @property
    def path(self) -> list[Imagined]:
        """Every state since the start, which is the first."""
        return self._environment.history

    def reset(self, start: Start) -> None:
        """Begin a new path. The action dimension chosen is that of what was recorded there."""
        environment = ImaginedEnvironment(self._predictor, self._device, start.truth)
        environment.reset(start.context)  # before anything changes: another thread may look at the present
        self.start, self._previews = start, list[Imagined]()
        self.step_errors = dict[int, float]()
        """The mean squared error of single steps, by the number of the state that they lead to: the prediction from the
        true pictures before it, against the truth. Steps whose truth is unknown have none."""
        self._environment = environment
        recorded = start.truth.recorded()
        if recorded is not None:
            self.dimension = recorded.dimension

    def choose(self, dimension: int, value: float | None = None) -> None:
        """Choose which action dimension the moves are about, and their value where actions are continuous."""
        if not 0 <= dimension < len(self.layout.actions):
            raise ForearmError(f"there is no action {dimension}; choose one from 0 to {len(self.layout.actions) - 1}")
        value = self.value if value is None else value
        if not 0 < value <= 1 or (self.layout.discrete and value != 1):
            raise ForearmError(f"the value is {value:g}; choose one above 0 and up to 1, of discrete actions 1")
        self.dimension, self.value, self._previews = dimension, value, []

    def actions(self) -> list[Action]:
        """What can be done now: STAY, MOVE+, MOVE−, and what was recorded if it is none of these."""
        actions, recorded = [self._action(code) for code in CODES], self.start.truth.recorded()
        if recorded is not None and not any(recorded.equals(action) for action in actions):
            actions.append(recorded)
        return actions

    def recorded(self) -> int | None:
        """Which of ``actions()`` is the one that was recorded here."""
        recorded = self.start.truth.recorded()
        return next((i for i, action in enumerate(self.actions()) if recorded and recorded.equals(action)), None)

    def previews(self) -> list[Imagined]:
        """What each of ``actions()`` would lead to."""
        if not self._previews:
            self._previews = self._environment.preview(self.actions())
        return self._previews

    def step(self, which: int) -> Imagined:
        """Go on with one of the previews: it becomes the present."""
        previews = self.previews()
        if not 0 <= which < len(previews):
            raise ForearmError(f"there is no action {which} here; choose one from 0 to {len(previews) - 1}")
        if len(self.path) > self.longest:
            raise ForearmError(f"this session is {self.longest} steps long; undo some, or begin anew")
        alone = self._alone(previews[which])  # before the path goes on: it may fail
        self._environment.enter(previews[which])
        self._previews = []
        if alone and self.now.truth:
            self.step_errors[self.now.number] = float(squared_error(alone, self.now.truth).mean())
        return self.now

    def undo(self, steps: int = 1) -> None:
        """Take the last steps back; at the start there is nothing to take back."""
        if steps and len(self.path) > 1:
            self._environment.undo(steps)
            self._previews = []

    def back_to(self, number: int) -> None:
        """Go back to an earlier state of the path; what came after it is gone."""
        numbers = [state.number for state in self.path]
        if number not in numbers:
            raise ForearmError(f"this session has no state {number}; it may have been taken back")
        self.undo(len(numbers) - 1 - numbers.index(number))

    @torch.inference_mode()
    def _alone(self, step: Imagined) -> Observation | None:
        """What a step shows if every picture before it is the truth; None where that is unknown.

        The first step begins at the truth, so that it costs no further prediction.
        """
        if self.now.truth is None:
            return None
        if self.now.is_start:
            return step.observation
        recent = [*self.path[1:], step][-self.layout.history :]  # all that a context holds
        context = recent[0].context
        for before, after in pairwise(recent):
            assert before.truth is not None
            assert after.action is not None
            values, dimension = torch.from_numpy(after.action.values)[None], torch.tensor([after.action.dimension])
            context = context.then(present(self.layout, before.truth).known(), values, dimension)
        return self._predictor.predict(context.to(self._device)).observation(self.layout)

    def _action(self, code: int) -> Action:
        nothing = np.zeros((1, len(self.layout.actions)), np.float32)
        values = counterfactual(self.layout, nothing, code, np.array([self.dimension]))[0]
        return Action(values if self.layout.discrete else values / USUAL_VALUE * self.value, self.dimension)
