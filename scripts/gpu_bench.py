"""Speed and memory of the families on one device, one JSON line a family:

    python scripts/gpu_bench.py DATA --device cuda

Batches lie on the device already, so that this is the model's own speed; weights are as drawn, which times do not
depend on. Medians of synchronised repeats, after a warm-up.
"""

import argparse
import contextlib
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from accelerate import Accelerator

from forearm.models import family_settings, make_model
from forearm.training.config import TrainConfig
from forearm.training.optimizer import make_optimizer
from forearm.training.step import EAGER, Step
from forearm.transitions.loader import TrainingSteps
from forearm.transitions.store import TransitionSet


def median_ms(work: Callable[[], object], device: torch.device, budget: float, most: int = 50) -> float:
    """Median milliseconds of a call, of at most ``most`` and about ``budget`` seconds of them."""

    def once() -> float:
        begin = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - begin

    once(), once()
    times = [once()]
    while len(times) < most and sum(times) < budget:
        times.append(once())
    return 1000 * statistics.median(times)


def peak_mb(device: torch.device) -> float | None:
    """The most memory that PyTorch has held on a GPU since the last call."""
    if device.type != "cuda":
        return None
    most = torch.cuda.max_memory_allocated(device) / 2**20
    torch.cuda.reset_peak_memory_stats(device)
    return round(most)


def measure(family: str, size: str, data: TransitionSet, device: torch.device, sizes: list[int], budget: float) -> dict:
    """Times and memory by batch size.

    Of a prediction in float32 and bfloat16, and of a training step in bfloat16 with what the family is trained with by
    default, computed as it comes and recorded as a CUDA graph.
    """
    figures: dict = {"family": family, "predict": {}, "predict_bf16": {}, "train": {}, "train_recorded": {}}
    config, on_gpu = TrainConfig(), device.type == "cuda"
    accelerator = Accelerator(cpu=not on_gpu, mixed_precision="bf16")
    for count in sizes:
        chain = [each.to(device) for each in TrainingSteps(data, data.rows("train"), count, 0, drawn=False)[0]]
        model = make_model(family, data.layout, family_settings(family, size, {})).to(device).eval()
        figures["parameters"] = sum(p.numel() for p in model.parameters())
        context = chain[-1].draw().context()
        peak_mb(device)
        for name, precision in (("predict", contextlib.nullcontext()), ("predict_bf16", accelerator.autocast())):
            with torch.inference_mode(), precision:
                ms = median_ms(lambda context=context, model=model: model.predict(context), device, budget)
            figures[name][count] = {"ms": ms, "peak_mb": peak_mb(device)}
        for name, recorded in (("train", False), ("train_recorded", True))[: 1 + on_gpu]:
            step = Step(model, model, make_optimizer(model, config, recorded), config, accelerator, recorded)
            for _ in range(EAGER + 1):
                step(chain)
            ms = median_ms(lambda step=step, chain=chain: step(chain), device, budget)
            figures[name][count] = {"ms": ms, "samples_per_s": 1000 * count / ms, "peak_mb": peak_mb(device)}
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--families", nargs="+", default=["warp", "mae"])
    parser.add_argument("--size", default="so101")
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[1, 8, 32, 64])
    parser.add_argument("--budget", type=float, default=0.7, help="seconds for each figure")
    arguments = parser.parse_args()
    data = TransitionSet(arguments.data)
    for family in arguments.families:
        device = torch.device(arguments.device)
        print(json.dumps(measure(family, arguments.size, data, device, arguments.batch_sizes, arguments.budget)))


if __name__ == "__main__":
    main()
