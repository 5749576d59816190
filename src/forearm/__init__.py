"""Forearm gives a low-cost robot arm foresight: it learns what the cameras and joints show after an action.

The functions below are the way in from Python; each is imported when it is first used.
"""

from typing import TYPE_CHECKING

from forearm.base.lazy import attach

if TYPE_CHECKING:
    from forearm.base.errors import ForearmError
    from forearm.control.imagine import imagine
    from forearm.control.planning import plan
    from forearm.control.settings import PlanSettings
    from forearm.evaluation.metrics import score
    from forearm.recordings import open_recording
    from forearm.report.assessment import assess as evaluate
    from forearm.training.config import TrainConfig
    from forearm.training.launch import train_run as train
    from forearm.training.run import Run
    from forearm.transitions.build import build
    from forearm.transitions.settings import BuildConfig
    from forearm.transitions.store import TransitionSet as open_dataset

    open_run = Run.open

__all__ = [
    "BuildConfig",
    "ForearmError",
    "PlanSettings",
    "TrainConfig",
    "build",
    "evaluate",
    "imagine",
    "open_dataset",
    "open_recording",
    "open_run",
    "plan",
    "score",
    "train",
]

__version__ = "0.1.0"  # the one place; pyproject.toml reads it

__getattr__, __dir__ = attach(
    __name__,
    {
        "BuildConfig": "forearm.transitions.settings:BuildConfig",
        "ForearmError": "forearm.base.errors:ForearmError",
        "PlanSettings": "forearm.control.settings:PlanSettings",
        "TrainConfig": "forearm.training.config:TrainConfig",
        "build": "forearm.transitions.build:build",
        "evaluate": "forearm.report.assessment:assess",
        "imagine": "forearm.control.imagine:imagine",
        "open_dataset": "forearm.transitions.store:TransitionSet",
        "open_recording": "forearm.recordings:open_recording",
        "open_run": "forearm.training.run:Run.open",
        "plan": "forearm.control.planning:plan",
        "score": "forearm.evaluation.metrics:score",
        "train": "forearm.training.launch:train_run",
    },
)
