"""What all worlds have in common: they are reset, act, show, and go back."""

from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

from forearm.canvas import Action, Layout, Observation

State = TypeVar("State")


class Environment(ABC, Generic[State]):
    """A world to act in, and its past.

    `reset` and `step` are Gymnasium's, without reward or end. States never change, so that several environments can
    share a simulator or a dataset.
    """

    layout: Layout
    """In which it is seen and acted in: its cameras, joints and actions."""
    history: list[State]
    """Every state since the last reset; the last one is the present."""

    @property
    def state(self) -> State:
        """The present."""
        return self.history[-1]

    def reset(self, start: Any) -> Observation:
        """Begin anew at a start, which is what `begin` takes; returns what is seen there."""
        self.history = [self.begin(start)]
        observation = self.observe()
        assert observation is not None
        return observation

    def step(self, action: Action) -> Observation | None:
        """Act; returns what is seen then, None where nobody knows.

        Raises:
            ForearmError: the world fails; it then stays as it was.
        """
        self.history.append(self.after(self.state, action))
        return self.observe()

    def undo(self, steps: int = 1) -> None:
        """Take the last steps back; at the start there is nothing to take back."""
        del self.history[max(1, len(self.history) - steps) :]

    def recorded(self) -> Action | None:
        """The action that was taken here when this was recorded; None where nothing was."""
        return None

    @abstractmethod
    def observe(self) -> Observation | None:
        """What is seen at present; None where nobody knows."""

    @abstractmethod
    def begin(self, start: Any) -> State:
        """The state at a start."""

    @abstractmethod
    def after(self, state: State, action: Action) -> State:
        """The state that an action leads to."""
