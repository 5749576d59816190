"""Training: settings, the loop, runs and their checkpoints."""

from forearm.training.config import TrainConfig
from forearm.training.loop import start_run, train
from forearm.training.run import Run

__all__ = ["Run", "TrainConfig", "start_run", "train"]
