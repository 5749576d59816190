"""Training: settings, the loop, runs and their checkpoints."""

from typing import TYPE_CHECKING

from forearm.base.lazy import attach

if TYPE_CHECKING:
    from forearm.training.config import TrainConfig
    from forearm.training.loop import start_run, train
    from forearm.training.run import Run

__all__ = ["Run", "TrainConfig", "start_run", "train"]

__getattr__, __dir__ = attach(
    __name__,
    {
        "Run": "forearm.training.run:Run",
        "TrainConfig": "forearm.training.config:TrainConfig",
        "start_run": "forearm.training.loop:start_run",
        "train": "forearm.training.loop:train",
    },
)
