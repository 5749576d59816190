"""From recordings to (before, action, after): storage, splits, combining, batches."""

from forearm.transitions.build import BuildConfig, build
from forearm.transitions.combine import combine
from forearm.transitions.loader import TrainingSteps, batches
from forearm.transitions.store import Outcomes, TransitionSet

__all__ = [
    "BuildConfig",
    "Outcomes",
    "TrainingSteps",
    "TransitionSet",
    "batches",
    "build",
    "combine",
]
