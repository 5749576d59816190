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

from forearm.models import family_settings, make_model
from forearm.training.config import TrainConfig
from forearm.training.optimizer import make_optimizer
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
    """Latency and memory of a prediction in float32 and bfloat16, and of a training step in bfloat16, by batch size."""
    model = make_model(family, data.layout, family_settings(family, size, {})).to(device)
    optimizer = make_optimizer(model, TrainConfig())
    figures: dict = {"family": family, "parameters": sum(p.numel() for p in model.parameters())}
    figures |= {"predict": {}, "predict_bf16": {}, "train": {}}
    bf16 = torch.autocast(device.type, torch.bfloat16)
    peak_mb(device)
    for count in sizes:
        batch = TrainingSteps(data, data.rows("train"), count, 0)[0].to(device)
        context = batch.context()
        model.eval()
        for name, precision in (("predict", contextlib.nullcontext()), ("predict_bf16", bf16)):
            with torch.inference_mode(), precision:
                ms = median_ms(lambda context=context: model.predict(context), device, budget)
            figures[name][count] = {"ms": ms, "peak_mb": peak_mb(device)}

        def step(batch=batch) -> None:
            with bf16:
                loss = model(batch)["loss"]
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()

        model.train()
        ms = median_ms(step, device, budget)
        figures["train"][count] = {"ms": ms, "samples_per_s": 1000 * count / ms, "peak_mb": peak_mb(device)}
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
