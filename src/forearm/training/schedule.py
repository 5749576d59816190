"""Learning rate, moving average, and when to stop: small states that a resumed training takes up again."""

import copy
import math
from dataclasses import dataclass

import torch

from forearm.models import WorldModel
from forearm.training.config import TrainConfig


@dataclass
class Progress:
    """What training has to remember between steps beside weights and optimiser."""

    step: int = 0
    steps: int = 0
    best_loss: float = math.inf
    best_step: int = -1
    stale: int = 0
    """Evaluations since the best one."""
    halvings: int = 0
    stale_at_halving: int = 0
    seconds: float = 0.0

    def evaluated(self, loss: float, config: TrainConfig) -> bool:
        """Take in a validation loss; return whether it is the best so far."""
        if loss < self.best_loss:
            self.best_loss, self.best_step, self.stale, self.stale_at_halving = loss, self.step, 0, 0
            return True
        self.stale += 1
        if self.stale - self.stale_at_halving >= config.plateau_patience:
            self.halvings += 1
            self.stale_at_halving = self.stale
        return False

    def finished(self, config: TrainConfig) -> bool:
        """Whether all steps are done, or validation has stood still for too long."""
        return self.step >= self.steps or bool(config.patience and self.stale >= config.patience)


def learning_rate(config: TrainConfig, progress: Progress) -> float:
    """The learning rate of the step that comes."""
    if progress.step < config.warmup:
        return config.learning_rate * (progress.step + 1) / config.warmup
    if config.schedule == "plateau":
        return config.learning_rate * 0.5**progress.halvings
    done = (progress.step - config.warmup) / max(1, progress.steps - config.warmup)
    return config.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


class MovingAverage:
    """An exponential moving average of a model's weights; young averages forget faster."""

    def __init__(self, model: WorldModel, decay: float):
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: WorldModel, step: int) -> None:
        """Move towards ``model`` after ``step`` steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.model.parameters()), list(model.parameters()), 1 - decay)
