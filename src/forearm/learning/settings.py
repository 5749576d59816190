"""How an arm goes on learning. Imports nothing slow: the settings are shown at once."""

from dataclasses import dataclass
from typing import Literal

from forearm.base.errors import ForearmError

Choice = Literal["expected-error", "past-error", "random"]
CHANGEABLE = ("actions", "target", "patience", "retrain", "steps", "learning_rate")
"""Settings that may change when learning goes on: they say when it ends, and how it is trained."""


@dataclass(frozen=True)
class LearnSettings:
    """How an arm goes on learning. A cell is a joint, a part of its range, and an action."""

    actions: int = 600
    """Most actions to record, besides those of the locked and the wide set."""
    target: float | None = None
    """End once the locked error is surely below this: the mean squared error of predicted pictures after moves."""
    patience: int = 4
    """End after so many cycles in a row that brought no sure gain on the locked set; 0 never."""
    choose: Choice = "expected-error"
    """Which cells are recorded more often: those in which the run expects more error, or erred more, or any. The first
    two begin with cells that were never visited."""
    verify: int = 18
    """Actions a cycle drawn at random, whatever the run is good at: they tell how good it is on fresh moments."""
    explore: int = 54
    """Actions a cycle that --choose chooses."""
    locked: int = 54
    """Actions of the locked set. They are recorded first and never trained on; they decide what is accepted."""
    wide: int = 54
    """Actions of the wide set, recorded first, in other scenes, and never trained on; 0 for none."""
    wide_scenes: int = 6
    """Scenes of the wide set."""
    rearrange_every: int = 72
    """Actions after which the scene is rearranged, by the simulator or, on an arm, by you; 0 never, unless you say on
    the page that you did."""
    push: bool = False
    """In the simulator, with free objects: the arm rearranges the scene itself, by pushing one, and no other scene is
    loaded."""
    bins: int = 6
    """Parts of a joint's range."""
    range_start: float = 0.5
    """Share of the joints' bounds, around where the arm usually stood, in which the arm moves at first."""
    range_growth: float = 0.25
    """By how much that share grows after a cycle in which every cell within it has been visited."""
    retrain: Literal["fine-tune", "cold"] = "fine-tune"
    """Train from the accepted run's weights on, or from fresh weights."""
    steps: int = 300
    """Steps of training a cycle."""
    learning_rate: float = 5e-4
    """The highest of a cycle."""
    seed: int = 0
    """Decides scenes, poses and actions; the same seed records the same in the simulator."""

    def require_sound(self) -> None:
        """Refuse settings that nothing can be learned with.

        Raises:
            ForearmError: says which setting, and what it may be.
        """
        for name, least in (
            *dict.fromkeys(("actions", "verify", "explore", "locked", "bins", "steps", "wide_scenes"), 1).items(),
            *dict.fromkeys(("patience", "wide", "rearrange_every", "seed"), 0).items(),
        ):
            if not least <= getattr(self, name) < 2**31:
                raise ForearmError(f"{name.replace('_', ' ')} is {getattr(self, name)}; choose at least {least}")
        for name in ("range_start", "range_growth"):
            if not 0 < getattr(self, name) <= 1:
                raise ForearmError(
                    f"{name.replace('_', ' ')} is {getattr(self, name):g}; choose one above 0 and up to 1"
                )
        if self.target is not None and not 0 < self.target < 1:
            raise ForearmError(f"target is {self.target:g}; choose a mean squared error between 0 and 1")
        if not 0 < self.learning_rate < 1:
            raise ForearmError(f"learning rate is {self.learning_rate:g}; choose one between 0 and 1")
