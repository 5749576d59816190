"""Learning rate, moving average, and when to stop: small states that a resumed training takes up again."""

import copy
import math
from dataclasses import dataclass
from typing import Annotated

import torch

from forearm.base.files import Between, Count
from forearm.models import WorldModel
from forearm.training.config import TrainConfig

MOST_STEPS = 10**9
"""No training is longer."""


@dataclass
class Progress:
    """What training has to remember between steps beside weights and optimiser."""

    step: Annotated[int, Between(0, MOST_STEPS)] = 0
    done: Annotated[float, Between(0)] = 0.0
    """Share of the training that is behind, from 0 to 1."""
    best_loss: float = math.inf
    best_step: int = -1
    stale: Count = 0
    """Evaluations since the best one."""
    halvings: Count = 0
    stale_at_halving: Count = 0
    seconds: Annotated[float, Between(0)] = 0.0
    """Time spent by the configured clock, evaluations included."""
    evaluations: Count = 0
    evaluation_seconds: Annotated[float, Between(0)] = 0.0
    """Of the fastest evaluation, as whatever else a machine does now and then is not its cost."""
    checkpoints: Count = 0
    """Between evaluations."""
    checkpoint_seconds: Annotated[float, Between(0)] = 0.0
    """Of the fastest checkpoint."""

    @property
    def end(self) -> int:
        """The step at which training ends at the pace so far; 0 before the first step."""
        return round(self.step / min(1.0, self.done)) if self.done else 0

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
        """Whether all is done, or validation has stood still for too long."""
        return self.done >= 1 or bool(config.patience and self.stale >= config.patience)


def share_done(config: TrainConfig, progress: Progress) -> float:
    """How much of the training is behind: of its steps, or of its minutes."""
    if config.minutes:
        return progress.seconds / (60 * config.minutes)
    return progress.step / config.steps


def learning_rate(config: TrainConfig, progress: Progress) -> float:
    """The learning rate of the step that comes."""
    rate = config.learning_rate * min(1.0, (progress.step + 1) / max(1, config.warmup))
    if config.schedule == "plateau":
        return rate * 0.5**progress.halvings
    return rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress.done))))


class MovingAverage:
    """An exponential moving average of a model's weights; young averages forget faster. Buffers are those of now."""

    def __init__(self, model: WorldModel, decay: float):
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: WorldModel, step: int) -> None:
        """Move towards ``model`` after ``step`` steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.model.parameters()), list(model.parameters()), 1 - decay)
        for mine, theirs in zip(self.model.buffers(), model.buffers(), strict=True):
            mine.copy_(theirs)
