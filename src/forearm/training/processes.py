"""The processes of a training: which there are, on which device and in which precision, and what they agree on."""

import dataclasses
import os
from pathlib import Path

import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import broadcast

from forearm.base.devices import device_named
from forearm.base.errors import ForearmError
from forearm.models import WorldModel
from forearm.training.config import TrainConfig


def start_processes(device: str) -> PartialState:
    """The processes of this training as Accelerate knows them, on the device that a name means."""
    target = device_named(device)
    if target.type == "cuda" and target.index is not None:
        torch.cuda.set_device(target)
    processes = PartialState(cpu=target.type == "cpu")
    here = processes.device
    if processes.num_processes == 1 and (here.type != target.type or target.index not in (None, here.index)):
        AcceleratorState._reset_state(reset_partial_state=True)  # an earlier training in this process was elsewhere
        processes = PartialState(cpu=target.type == "cpu")
    return processes


def make_accelerator(config: TrainConfig, device: str, trackers: tuple[str, ...], folder: Path) -> Accelerator:
    """The processes, device and precision to train with."""
    on_cpu, on_gpu = (start_processes(device).device.type == kind for kind in ("cpu", "cuda"))
    bf16 = config.precision == "bf16" or (config.precision == "auto" and on_gpu and torch.cuda.is_bf16_supported())
    AcceleratorState._reset_state()  # an earlier training in this process may have had another precision
    accelerator = Accelerator(
        cpu=on_cpu,
        mixed_precision="bf16" if bf16 else "no",
        log_with=list(trackers) or None,
        project_dir=str(folder) if trackers else None,
    )
    if trackers:
        accelerator.init_trackers(
            "forearm", config={k: v for k, v in dataclasses.asdict(config).items() if v is not None}
        )
    return accelerator


def require_divisible(config: TrainConfig, processes: int) -> None:
    """Refuse a batch of which processes and parts cannot have equal shares.

    Raises:
        ForearmError: the batch size is no multiple of their product.
    """
    if config.batch_size % (processes * config.accumulate):
        parts = f"{processes} processes" + (f" × {config.accumulate}" if config.accumulate > 1 else "")
        raise ForearmError(f"batch_size {config.batch_size} is not divisible by {parts}")


def restarted() -> bool:
    """Whether torchrun has started this process anew, after one of the training's processes had ended."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def agreed(value: float, accelerator: Accelerator) -> float:
    """The main process's value: clocks differ, but all processes have to do the same at the same step."""
    if accelerator.num_processes == 1:
        return value
    return float(broadcast(torch.tensor(value, dtype=torch.float64, device=accelerator.device)))


@torch.no_grad()
def share_statistics(model: WorldModel, accelerator: Accelerator) -> None:
    """Give every process the mean of the running means that a model keeps of its batches: that of the whole batch."""
    if accelerator.num_processes > 1:
        kept = model.state_dict()
        for name, buffer in model.named_buffers():
            if name in kept and buffer.is_floating_point():
                buffer.copy_(accelerator.reduce(buffer, "mean"))


def seed_of(seed: int, number: int, process: int) -> int:
    """A seed for whatever a model draws in one batch (noise, masks, augmentation): repeatable, another in each process.

    They differ in the lowest 32 bits, which are all that PyTorch's generator on the CPU takes.
    """
    return seed * 1_000_003 + number + process * 1_000_000_007
