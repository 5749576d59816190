"""How a training goes."""

import math
from dataclasses import dataclass
from typing import Literal

from forearm.base.errors import ForearmError

LOWER_RATES = "lower --learning-rate, and --matrix-rate alike, and start again"
"""What to do about a model that diverges."""
MOST_IMAGINED = 100
"""Of transitions that are imagined before one that is learned from."""


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a training; they travel in the run's ``config.json``.

    The seed fixes the first weights and the order of the data. Losses and learning rate are per step; a step sees
    ``batch_size`` transitions over all processes together.
    """

    steps: int = 3000
    """Optimiser steps."""
    minutes: float | None = None
    """Instead of steps: as many steps as fit in this time, evaluations included."""
    clock: Literal["wall", "cpu"] = "wall"
    """What minutes are counted by: the clock on the wall, or the processor's time of all threads of this process, a
    budget that does not depend on what else the machine is doing."""
    batch_size: int = 8
    """Over all processes together; forearm train takes 32 on a GPU. Small batches learned more from the same number of
    samples (docs/log/2026-11-22-copy-path.md)."""
    learning_rate: float = 1e-3
    """The highest, after the warm-up."""
    matrix_rate: float = 0.02
    """The highest learning rate of Muon, which moves the matrices of hidden layers in warp, flow and unet; with 0
    AdamW moves them too. A lower learning_rate does not lower it (docs/log/2026-11-27-flagship.md)."""
    schedule: Literal["cosine", "plateau"] = "cosine"
    """After the warm-up: a cosine down to 1 % of the rate, or a halving whenever validation stands still."""
    warmup: int = 100
    """Steps over which the learning rate rises from zero."""
    plateau_patience: int = 3
    """Evaluations without progress before the plateau schedule halves the rate."""
    weight_decay: float = 0.05
    """Of AdamW, on matrices alone."""
    beta2: float = 0.95
    """Of AdamW: decay of the gradients' mean square."""
    clip: float = 1.0
    """Largest norm of the gradient; longer ones are shortened to it."""
    ema: float = 0.999
    """Decay of the moving average of the weights, which is what is evaluated and kept."""
    evaluate_every: int = 250
    """Steps between evaluations, each with a checkpoint to resume from and sample pictures. Some are left out where
    they would take more than 5 % of the time (and 30 s), and so are checkpoints between them."""
    patience: int = 0
    """Evaluations without progress before training stops early; 0 never stops."""
    imagined_share: float | None = None
    """Share of the transitions whose known pictures the model imagines itself, from where transitions before them
    begin, so that it learns to go on from its own pictures. By default 0.4 for models that look at the first frame of
    a rollout, which is warp where several frames are known, and 0 for others (docs/trials.md)."""
    imagined_steps: int = 3
    """Most transitions that are imagined before one; fewer are drawn as often."""
    accumulate: int = 1
    """Parts in which each process computes its share of a batch, one after the other: less memory, the same gradient
    (gradient accumulation)."""
    checkpoint_activations: bool = False
    """Compute what blocks have computed anew for the gradient instead of keeping it: less memory where batches are
    large, 12 % to 65 % more time (gradient checkpointing)."""
    compile: bool = False
    """Compile the model's blocks with torch.compile, which takes a minute at the start."""
    cuda_graphs: bool = True
    """On one GPU: record once what a step computes, and replay it (CUDA graphs), which saves the processor's time for
    thousands of small pieces of work. Without effect elsewhere, with compile and with checkpoint_activations."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 on GPUs that have it, fp32 elsewhere (on CPUs bf16 gained nothing at the tiny size)."""
    seed: int = 0
    """Of the first weights and the order of the data."""
    workers: int | None = None
    """Processes that prepare batches ahead; 0: the training process does. By default 0 on a CPU, and on a GPU as many
    as there are cores to spare, at most 8: there they read and decode pictures, which are drawn on the GPU."""

    def __post_init__(self) -> None:
        if self.batch_size > 2**16 or (self.workers or 0) > 2**10:
            raise ForearmError(f"batch_size {self.batch_size} or workers {self.workers} is more than any machine has")
        for name in ("steps", "batch_size", "evaluate_every", "plateau_patience", "accumulate"):
            if getattr(self, name) < 1:
                raise ForearmError(f"{name} is {getattr(self, name)}; it has to be at least 1")
        for name in ("warmup", "patience", "seed", "workers", "weight_decay"):
            if not 0 <= (getattr(self, name) or 0) < 2**32:
                raise ForearmError(f"{name} is {getattr(self, name)}; it has to be 0 or more")
        for name in ("learning_rate", "clip"):
            if not 0 < getattr(self, name) < math.inf:
                raise ForearmError(f"{name} is {getattr(self, name)}; it has to be positive")
        if self.minutes is not None and not 0 < self.minutes < math.inf:
            raise ForearmError(f"minutes is {self.minutes}; it has to be positive")
        if not 0 <= (self.imagined_share or 0) <= 1:
            raise ForearmError(f"imagined_share is {self.imagined_share}; it has to lie in [0, 1]")
        if not 1 <= self.imagined_steps <= MOST_IMAGINED:
            raise ForearmError(f"imagined_steps is {self.imagined_steps}; it has to lie between 1 and {MOST_IMAGINED}")
        if not 0 <= self.matrix_rate < math.inf:
            raise ForearmError(f"matrix_rate is {self.matrix_rate}; it has to be 0 or more")
        for name in ("ema", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ForearmError(f"{name} is {getattr(self, name)}; it has to lie in [0, 1)")


GPU_BATCH_SIZE = 32
"""With it and the same learning rate the runs of docs/benchmarks/gpu.md were trained."""
