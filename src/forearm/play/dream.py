"""A dream: the path of what a world model shows, action after action, each prediction fed back."""

import itertools
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from forearm.batch import Batch, Prediction, Predictor
from forearm.canvas import CODES, Layout, as_float, counterfactual
from forearm.errors import ForearmError
from forearm.play.truth import Action, Start, Truth, picture_of

RECORDED = 3
"""After the three codes, the number of the action that was recorded here, where it is none of theirs."""
USUAL_AMOUNT = 0.5
"""How much of a continuous action a move is until somebody says otherwise, as `canvas.counterfactual` has it."""

_numbers = itertools.count(secrets.randbelow(2**40))  # a page that outlives the app shall find none of its moments


@dataclass(frozen=True)
class Preview:
    """What the model expects of an action.

    prediction: of one, on the CPU. picture: its cameras, (h, w, 3) uint8. joints: (J,) in their units.
    """

    action: Action
    prediction: Prediction
    picture: np.ndarray
    joints: np.ndarray

    @property
    def doubt(self) -> np.ndarray | None:
        """The squared error that the model expects of this one step, (h, w) float32; None where it cannot say."""
        error = self.prediction.expected_error
        return None if error is None else error[0].numpy()

    @cached_property
    def expected(self) -> float | None:
        """The mean squared error that the model expects."""
        return None if self.doubt is None else float(self.doubt.mean())


@dataclass(frozen=True)
class Moment:
    """A place on the path. Nothing about it ever changes.

    number: its own among all moments of all dreams. context: of one, to which only an action is missing. picture:
    (h, w, 3) uint8; joints: (J,) in their units. truth: what is truly there, where that is known. taken: the
    prediction that led here; None where the path begins.
    """

    number: int
    context: Batch
    picture: np.ndarray
    joints: np.ndarray
    truth: Truth | None
    taken: Preview | None

    @cached_property
    def error(self) -> np.ndarray | None:
        """The squared error of each pixel, mean over the channels, (h, w) float32; None where the truth is unknown."""
        if self.truth is None:
            return None
        return ((as_float(self.picture) - as_float(self.truth.picture)) ** 2).mean(axis=-1)

    @cached_property
    def mse(self) -> float | None:
        """The mean squared error; None where the truth is unknown."""
        return None if self.error is None else float(self.error.mean())


class Dream:
    """One visitor's path through what a model imagines.

    What each action would show is predicted when it is first asked for, all of them in one batch; a step takes what
    was previewed. Whatever fails, the path stays as it was.

    Args:
        predictor: on ``device``.
        layout: of its canvases.
        start: where the path begins.
        longest: so many steps it may have.
    """

    def __init__(
        self,
        predictor: Predictor,
        layout: Layout,
        start: Start,
        device: torch.device | str = "cpu",
        longest: int = 300,
    ):
        self.layout, self.longest = layout, longest
        self.entry, self.amount = 0, 1.0 if layout.discrete else USUAL_AMOUNT
        self._predictor, self._device = predictor, device
        self.reset(start)

    @property
    def now(self) -> Moment:
        """Where the path has come to."""
        return self.path[-1]

    @property
    def steps(self) -> list[Preview]:
        """The predictions that the path is made of."""
        return [moment.taken for moment in self.path if moment.taken is not None]

    def reset(self, start: Start) -> None:
        """Begin a new path. The action entry chosen is that of what was recorded there."""
        recorded = start.truth.recorded()
        self.start = start
        self.path: list[Moment] = [
            Moment(next(_numbers), start.context, start.truth.picture, start.truth.joints, start.truth, None)
        ]
        if recorded is not None:
            self.entry = recorded.entry
        self._previews: list[Preview] = []

    def choose(self, entry: int, amount: float | None = None) -> None:
        """Choose which action entry the moves are about, and how much of it they are where amounts are continuous.

        Raises:
            ForearmError: there is no such entry, or the amount is not in (0, 1].
        """
        if not 0 <= entry < len(self.layout.actions):
            raise ForearmError(f"there is no action {entry}; choose one from 0 to {len(self.layout.actions) - 1}")
        amount = self.amount if amount is None else amount
        if not 0 < amount <= 1 or (self.layout.discrete and amount != 1):
            raise ForearmError(f"the amount is {amount:g}; choose one above 0 and up to 1, of discrete actions 1")
        self.entry, self.amount, self._previews = entry, amount, []

    def actions(self) -> list[Action]:
        """What can be done now: STAY, MOVE+, MOVE−, and what was recorded if it is none of these."""
        actions = [self._action(code) for code in CODES]
        recorded = self.now.truth.recorded() if self.now.truth else None
        if recorded is not None and not any(recorded.equals(action) for action in actions):
            actions.append(recorded)
        return actions

    def recorded(self) -> int | None:
        """Which of ``actions()`` is the one that was recorded here."""
        recorded = self.now.truth.recorded() if self.now.truth else None
        if recorded is None:
            return None
        return next(which for which, action in enumerate(self.actions()) if recorded.equals(action))

    def previews(self) -> list[Preview]:
        """What each of ``actions()`` would show.

        Raises:
            ForearmError: the model's prediction is no number.
        """
        if not self._previews:
            self._previews = self._predict(self.now.context, self.actions())
        return self._previews

    def step(self, which: int) -> Moment:
        """Go on with one of the previews: it becomes the present.

        Raises:
            ForearmError: there is no such action here, the path is as long as it may be, or the model fails.
        """
        previews = self.previews()
        if not 0 <= which < len(previews):
            raise ForearmError(f"there is no action {which} here; choose one from 0 to {len(previews) - 1}")
        if len(self.path) > self.longest:
            raise ForearmError(f"this dream is {self.longest} steps long; undo some, or begin anew")
        taken = previews[which]
        amounts, entries = _tensors([taken.action])
        before = self.now.context.with_action(amounts, entries)
        context = before.then(taken.prediction, torch.zeros_like(amounts), entries)
        truth = self.now.truth.after(taken.action) if self.now.truth else None
        moment = Moment(next(_numbers), context, taken.picture, taken.joints, truth, taken)
        self.path.append(moment)
        self._previews = []
        return moment

    def undo(self) -> None:
        """Take the last step back; at the start there is nothing to take back."""
        if len(self.path) > 1:
            self.path.pop()
            self._previews = []

    def back_to(self, number: int) -> None:
        """Go back to an earlier moment of the path; what came after it is gone.

        Raises:
            ForearmError: the path has no moment of this number.
        """
        places = [place for place, moment in enumerate(self.path) if moment.number == number]
        if not places:
            raise ForearmError(f"this dream has no moment {number}; it may have been taken back")
        del self.path[places[0] + 1 :]
        self._previews = []

    def _action(self, code: int) -> Action:
        amounts = counterfactual(
            self.layout, np.zeros((1, len(self.layout.actions)), np.float32), code, np.array([self.entry])
        )[0]
        return Action(amounts if self.layout.discrete else amounts / USUAL_AMOUNT * self.amount, self.entry)

    @torch.inference_mode()
    def _predict(self, context: Batch, actions: Sequence[Action]) -> list[Preview]:
        batch = context.repeated(len(actions)).with_action(*_tensors(actions)).to(self._device)
        prediction = self._predictor.predict(batch).to("cpu")
        pictures, joints = prediction.frame.numpy(), prediction.joints(self.layout).numpy()
        return [
            Preview(action, prediction[i : i + 1], picture_of(self.layout, pictures[i]), joints[i])
            for i, action in enumerate(actions)
        ]


def _tensors(actions: Sequence[Action]) -> tuple[torch.Tensor, torch.Tensor]:
    """Amounts (B, A) and entries (B,)."""
    amounts = torch.from_numpy(np.stack([action.amounts for action in actions]))
    return amounts, torch.tensor([action.entry for action in actions])
