"""One step of a training: from what was read of some transitions to weights that have moved."""

import contextlib
from collections.abc import Callable, Sequence

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from forearm.base.errors import ForearmError
from forearm.base.files import reason_of
from forearm.base.muon import MuonAdamW
from forearm.batch import Batch, RawBatch
from forearm.models import WorldModel
from forearm.training.config import TrainConfig
from forearm.training.imagining import imagined

Chain = Sequence[Batch | RawBatch]
"""What a step learns from last, after the transitions that lead there; see `imagined`."""
Outcome = tuple[dict[str, Tensor], Tensor]
"""The mean losses of a batch, and the norm of their gradient before it is shortened."""
EAGER = 3
"""Steps on each form of chain before one is recorded, in which libraries choose what they compute with."""


class Step:
    """Moves a model's weights by what a batch teaches.

    Where ``recorded``, all that a GPU computes in a step is recorded once for each form of chain and then replayed (a
    CUDA graph). It computes the same, without the processor's time for some thousand small pieces of work.
    """

    def __init__(
        self,
        model: WorldModel,
        wrapped: nn.Module,
        optimizer: MuonAdamW,
        config: TrainConfig,
        accelerator: Accelerator,
        recorded: bool,
    ):
        self.model, self.wrapped, self.optimizer = model, wrapped, optimizer
        self.config, self.accelerator = config, accelerator
        self.graphs = Graphs(self._compute) if recorded else None

    def __call__(self, chain: Chain) -> Outcome:
        """Take a step; what is returned holds until the next one."""
        return self.graphs(chain) if self.graphs else self._compute(chain)

    def _compute(self, chain: Chain) -> Outcome:
        *leading, batch = [each.draw() for each in chain]
        self.wrapped.train()
        with self.accelerator.autocast():
            batch = imagined(self.model, leading, batch)
        self.optimizer.zero_grad(set_to_none=True)
        losses = compute_gradients(self.wrapped, batch, self.config.accumulate, self.accelerator)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.optimizer.step()
        return losses, norm


def compute_gradients(model: nn.Module, batch: Batch, parts: int, accelerator: Accelerator) -> dict[str, Tensor]:
    """Add the gradient of a batch's mean loss to the parameters, part after part; return the mean losses."""
    count, means = len(batch) // parts, dict[str, Tensor]()
    for part in range(parts):
        last = part == parts - 1
        with contextlib.nullcontext() if last else accelerator.no_sync(model):
            with accelerator.autocast():
                losses = model(batch[part * count : (part + 1) * count] if parts > 1 else batch)
            accelerator.backward(losses["loss"] / parts)
        for name, value in losses.items():
            means[name] = means.get(name, 0) + value.detach() / parts
    return means


class Graphs:
    """What a function computes of chains on a GPU, recorded as CUDA graphs, one for each form of chain.

    Its first calls with a form are computed as they come. The function must compute alike whatever the numbers are, and
    ask for none of them.
    """

    def __init__(self, compute: Callable[[Chain], Outcome]):
        self.compute = compute
        self.calls: dict[object, int] = {}
        self.recorded: dict[object, tuple[torch.cuda.CUDAGraph, Chain, Outcome]] = {}
        self.pool = torch.cuda.graph_pool_handle()
        self.stream = torch.cuda.Stream()

    def __call__(self, chain: Chain) -> Outcome:
        form = tuple(tuple(values.shape) for each in chain for values in each.tensors())
        if form not in self.recorded:
            self.calls[form] = self.calls.get(form, 0) + 1
            if self.calls[form] <= EAGER:
                return self._eagerly(chain)
            self.recorded[form] = self._record(chain)
        graph, inputs, outcome = self.recorded[form]
        for mine, given in zip(inputs, chain, strict=True):
            for kept, values in zip(mine.tensors(), given.tensors(), strict=True):
                kept.copy_(values)
        graph.replay()
        return outcome

    def _eagerly(self, chain: Chain) -> Outcome:
        """Compute on the stream of the recording, so that nothing of another one is recorded."""
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            outcome = self.compute(chain)
        torch.cuda.current_stream().wait_stream(self.stream)
        return outcome

    def _record(self, chain: Chain) -> tuple[torch.cuda.CUDAGraph, Chain, Outcome]:
        """Record what is computed of such chains; nothing is computed yet.

        Raises:
            ForearmError: something asks for a number, or does what cannot be recorded.
        """
        graph, inputs = torch.cuda.CUDAGraph(), [each.cloned() for each in chain]
        try:
            # Threads that bring batches may go on meanwhile.
            with torch.cuda.graph(graph, self.pool, self.stream, capture_error_mode="thread_local"):
                outcome = self.compute(inputs)
        except RuntimeError as error:
            raise ForearmError(
                f"a step of this model cannot be recorded as a CUDA graph ({reason_of(error)}); give --no-cuda-graphs"
            ) from error
        return graph, inputs, outcome
