"""From recordings to (before, action, after): storage, splits, combining, batches."""

from typing import TYPE_CHECKING

from forearm.base.lazy import attach

if TYPE_CHECKING:
    from forearm.transitions.loader import TrainingSteps, batches
    from forearm.transitions.store import Outcomes, TransitionSet

__all__ = ["Outcomes", "TrainingSteps", "TransitionSet", "batches"]

__getattr__, __dir__ = attach(
    __name__,
    {
        "Outcomes": "forearm.transitions.store:Outcomes",
        "TrainingSteps": "forearm.transitions.loader:TrainingSteps",
        "TransitionSet": "forearm.transitions.store:TransitionSet",
        "batches": "forearm.transitions.loader:batches",
    },
)
