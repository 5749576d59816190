"""How a training goes."""

from dataclasses import dataclass
from typing import Literal

from forearm.errors import ForearmError


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a training; they travel in the run's ``config.json``.

    The seed fixes the first weights and the order of the data. Losses and learning rate are per step; a step sees
    ``batch_size`` transitions over all processes together.
    """

    steps: int = 3000
    """Optimiser steps."""
    minutes: float | None = None
    """Instead of ``steps``: as many steps as fit in this time, evaluations included."""
    batch_size: int = 8
    """Small batches learned more from the same number of samples (docs/results.md)."""
    learning_rate: float = 1e-3
    schedule: Literal["cosine", "plateau"] = "cosine"
    """After the warm-up: a cosine down to 1 % of the rate, or a halving whenever validation stands still."""
    warmup: int = 100
    """Steps over which the learning rate rises from zero."""
    plateau_patience: int = 3
    """Evaluations without progress before the plateau schedule halves the rate."""
    weight_decay: float = 0.05
    beta2: float = 0.95
    clip: float = 1.0
    """Largest norm of the gradient; longer ones are shortened to it."""
    ema: float = 0.999
    """Decay of the moving average of the weights, which is what is evaluated and kept."""
    evaluate_every: int = 250
    """Steps between evaluations; each also writes a checkpoint to resume from and sample pictures."""
    patience: int = 0
    """Evaluations without progress before training stops early; 0 never stops."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 on GPUs that have it, fp32 elsewhere (on CPUs bf16 gained nothing at the tiny size)."""
    seed: int = 0
    workers: int = 0
    """Processes that draw canvases ahead; 0 draws in the training process."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "evaluate_every", "plateau_patience"):
            if getattr(self, name) < 1:
                raise ForearmError(f"{name} is {getattr(self, name)}; it has to be at least 1")
        for name in ("learning_rate", "clip"):
            if not getattr(self, name) > 0:
                raise ForearmError(f"{name} is {getattr(self, name)}; it has to be positive")
        if self.minutes is not None and not self.minutes > 0:
            raise ForearmError(f"minutes is {self.minutes}; it has to be positive")
        if not 0 <= self.ema < 1:
            raise ForearmError(f"ema is {self.ema}; it has to lie in [0, 1)")
