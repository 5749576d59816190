"""A dataset as a world: what is recorded is known for as long as one does what was done then."""

from dataclasses import dataclass

import numpy as np

from forearm.canvas import Action, Observation
from forearm.environment.environment import Environment
from forearm.transitions import TransitionSet


@dataclass(frozen=True)
class Recorded(Observation):
    """A recorded frame."""

    row: int = -1
    """The transition that goes on from it; −1: none does."""


class RecordedEnvironment(Environment[Recorded | None]):
    """The recorded frames of a dataset; a start is the row of a transition."""

    def __init__(self, data: TransitionSet):
        self.data, self.layout = data, data.layout

    def observe(self) -> Observation | None:
        return self.state

    def recorded(self) -> Action | None:
        return None if self.state is None or self.state.row < 0 else self._action(self.state.row)

    def begin(self, start: int) -> Recorded:
        return self._frame(int(self.data.columns.frames[start, -2]), start)

    def after(self, state: Recorded | None, action: Action) -> Recorded | None:
        if state is None or state.row < 0:
            return None
        for row in self.data.outcome_rows[state.row].tolist():
            if row >= 0 and self._action(row).equals(action):
                return self._frame(int(self.data.columns.frames[row, -1]), int(self.data.followers[row]))
        return None

    def _frame(self, frame: int, row: int) -> Recorded:
        return Recorded(np.asarray(self.data.frames[frame]), np.asarray(self.data.states[frame]), row=row)

    def _action(self, row: int) -> Action:
        return Action(self.data.action_values(np.array([row]))[0, -1], int(self.data.columns.dimensions[row]))
