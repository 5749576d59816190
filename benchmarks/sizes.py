"""What every size of the families costs on this machine, in memory and time, and what feeding costs. One command:

    python benchmarks/sizes.py

takes about fifteen minutes on one idle core and writes docs/benchmarks/sizes.md. Canvases are those of the preset
so101, of noise, as no figure depends on what they show. Each measurement has a process of its own, so that peak memory
is that process's.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from measuring import ROOT, circumstances, command, cpu_seconds, in_own_process, peak_mb, write_table

from forearm.batch import Batch, RawBatch, make_batch
from forearm.canvas import PRESETS, ActionDimension, Camera, Joint, Layout, draw
from forearm.models import WorldModel, family_settings, make_model
from forearm.training.blocks import prepare_blocks
from forearm.training.run import plan_model

TABLE = ROOT / "docs" / "benchmarks" / "sizes.md"
FAMILIES = ("mae", "gpt", "diffusion", "unet", "flow", "warp")
SIZES = ("so101", "base", "large")
WAYS = ("plain", "checkpointed")
BATCHED = ("whole", "parts", "whole, anew")
STATE_BYTES, MUON_SPARES = 20, 4
"""Of a parameter in training: weight, gradient, two moments of AdamW and the moving average, 4 each; Muon keeps one
moment."""
COMPILED = ("mae", "gpt", "unet", "warp")
ACCUMULATED = ("mae", "warp")
"""Families of which ``--compile`` and ``--accumulate`` are measured."""
PARTS = 4
CANVASES = 32


def the_layout() -> Layout:
    """Two cameras of 224 × 224, six joints, an action dimension each."""
    size, names = PRESETS["so101"], ("pan", "lift", "elbow", "flex", "roll", "gripper")
    cameras = tuple(Camera(name, size.camera, size.camera) for name in ("base", "wrist"))
    actions = tuple(ActionDimension(name, name) for name in names)
    return Layout(cameras, tuple(map(Joint, names)), actions, patch=size.patch, separator=size.separator)


def recorded(count: int) -> tuple[np.ndarray, ...]:
    """Frames, positions and actions of transitions, as a dataset holds them."""
    layout, random = the_layout(), np.random.default_rng(0)
    shape = (count, 2, layout.frame_height, layout.frame_width, 3)
    joints, actions = (count, 2, len(layout.joints)), (count, 1, len(layout.actions))
    positions = random.uniform(-180, 180, joints).astype(np.float32)
    return random.integers(0, 256, shape, np.uint8), positions, random.uniform(-1, 1, actions).astype(np.float32)


def some_batch(count: int) -> Batch:
    """A batch of drawn canvases."""
    frames, positions, actions = recorded(count)
    canvases = draw(the_layout(), frames, positions, actions)
    return make_batch(the_layout(), canvases, positions, actions, np.zeros(count), np.arange(count))


def gradient(model: WorldModel, batch: Batch, parts: int = 1) -> float:
    """One forward and backward pass in so many parts; the mean loss."""
    model.zero_grad(set_to_none=True)
    torch.manual_seed(0)
    total, count = 0.0, len(batch) // parts
    for part in range(parts):
        loss = model(batch[part * count : (part + 1) * count])["loss"] / parts
        loss.backward()
        total += float(loss.detach())
    return total


# What is measured. Each function runs in a process of its own.


def step(family: str, size: str, how: str) -> dict:
    """A gradient at batch 1, or at ``PARTS`` whole or in parts: its time, the most memory, the loss."""
    count = PARTS if how in BATCHED else 1
    batch = some_batch(count)
    torch.manual_seed(0)
    model = make_model(family, the_layout(), family_settings(family, size, {})).train()
    prepare_blocks(model, compiled=how == "compiled", checkpointed=how in ("checkpointed", "whole, anew"))
    parts = PARTS if how == "parts" else 1
    losses: list[float] = []
    repeats = 4 if size == "so101" else 1
    start, *taken = (cpu_seconds(lambda: losses.append(gradient(model, batch, parts))) for _ in range(repeats))
    return {"seconds": min([*taken, start]), "start": start, "peak_mb": peak_mb(), "loss": losses[0]}


def feeding() -> dict:
    """Milliseconds a canvas: drawn by NumPy, by torch on this CPU, and handed on as bytes."""
    layout, (frames, positions, actions) = the_layout(), recorded(CANVASES)
    raw = RawBatch(layout, *map(torch.from_numpy, (frames, positions, actions)), *torch.zeros(2, CANVASES).long())
    ways = {
        "numpy": lambda: draw(layout, frames, positions, actions),
        "torch": raw.draw,
        "bytes": lambda: raw.frames.clone(),
    }
    return {name: 1e3 * min(cpu_seconds(way) for _ in range(15)) / CANVASES for name, way in ways.items()} | {
        "drawn_mb": 12 * layout.height * layout.width / 1e6,
        "raw_mb": frames[0].nbytes / 1e6,
        "same": bool(np.abs(raw.draw().canvas.numpy() - draw(layout, frames, positions, actions)).max() <= 1e-6),
    }


def state_of(family: str, size: str) -> tuple[int, int]:
    """How many parameters there are to learn, and the bytes of their state."""
    model = plan_model(family, the_layout(), family_settings(family, size, {}))
    count, muon = (sum(p.numel() for p in some) for some in (model.parameters(), model.hidden_matrices()))
    return count, STATE_BYTES * count - MUON_SPARES * muon


def measured(kept: Path | None) -> dict[str, dict]:
    """All figures by what was asked, the small sizes first; those that are kept are not measured again."""
    wanted = [
        ("feeding",),
        *(("step", f, "so101", how) for f in ACCUMULATED for how in BATCHED),
        *(("step", f, "so101", "compiled") for f in COMPILED),
        *(("step", f, size, how) for size in SIZES for how in WAYS for f in FAMILIES),
    ]
    found = json.loads(kept.read_text()) if kept and kept.exists() else {}
    for words in wanted:
        if " ".join(words) not in found:
            print(" ".join(words), file=sys.stderr)
            found[" ".join(words)] = in_own_process(__file__, "--only", *words)
            if kept:
                kept.write_text(json.dumps(found))
    return found


def cells(figures: dict | None) -> str:
    """Seconds and memory of a gradient; nothing of what was not measured."""
    return f"{figures['seconds']:.2f} | {figures['peak_mb']:.0f}" if figures else "– | –"


def page(found: dict[str, dict]) -> str:
    """The page of the docs."""
    feed = found["feeding"]
    lines = [
        "# Sizes of the families",
        "",
        circumstances() + ".",
        f"Made by `{command()}`. Canvases of the preset `so101` (464×480). **All on one CPU core, as there was no GPU: "
        "figures of GPUs are missing**, but for those of `so101` on [one large GPU](gpu.md).",
        "",
        "State: weight, gradient, two moments and the moving average, 20 bytes a parameter, before any activation; 16 "
        "where Muon moves it, which keeps one moment. Gradient: one forward and backward pass at batch 1 in fp32, in "
        "seconds of one core's time; of `base` and `large` the first one. Memory: the most that its process held, "
        "without moments and average. Anew: with `--checkpoint-activations`.",
        "",
        "| family | size | parameters | state, GB | gradient, s | memory, MB | anew, s | anew, MB |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    apart = 0.0
    for family, size in ((f, size) for f in FAMILIES for size in SIZES):
        (count, state), (plain, anew) = (
            state_of(family, size),
            (found.get(f"step {family} {size} {how}") for how in WAYS),
        )
        apart = max(apart, abs(plain["loss"] / anew["loss"] - 1) if plain and anew else 0)
        lines.append(
            f"| {family} | `{size}` | {count / 1e6:.1f}M | {state / 1e9:.2f} | {cells(plain)} | {cells(anew)} |"
        )
    lines += [
        "",
        "A dash was not measured.",
        "",
        "The loss with and without `--checkpoint-activations` "
        + (f"differs by at most {apart:.0e} of it." if apart else "is the same to the last bit."),
        "",
        "## `--compile`",
        "",
        "The start is without the compiler's own processes.",
        "",
        "| family | size | gradient, s | compiled, s | start, s | loss differs by |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for family in COMPILED:
        plain, done = (found.get(f"step {family} so101 {how}") for how in ("plain", "compiled"))
        if plain and done:
            lines.append(
                f"| {family} | `so101` | {plain['seconds']:.2f} | {done['seconds']:.2f} | {done['start']:.0f} | "
                f"{abs(done['loss'] / plain['loss'] - 1):.0e} |"
            )
    lines += [
        "",
        f"## `--accumulate` and `--checkpoint-activations` at a batch of {PARTS}",
        "",
        f"Whole, in {PARTS} parts, and whole with `--checkpoint-activations`.",
        "",
        "| family | whole, s | whole, MB | in parts, s | in parts, MB | anew, s | anew, MB |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for family in ACCUMULATED:
        ways = (found.get(f"step {family} so101 {how}") for how in BATCHED)
        lines.append(f"| {family} | {' | '.join(map(cells, ways))} |")
    step_ms = 1e3 * found["step warp so101 plain"]["seconds"]
    lines += [
        "",
        "## Feeding",
        "",
        "| a canvas of `so101`, on one core | ms | MB |",
        "|---|---:|---:|",
        f"| drawn by NumPy (what a CPU training does) | {feed['numpy']:.2f} | {feed['drawn_mb']:.2f} |",
        f"| drawn by torch on the CPU, equal to 1e-6: {feed['same']} | {feed['torch']:.2f} | {feed['drawn_mb']:.2f} |",
        f"| handed on as bytes (what a worker does for a GPU) | {feed['bytes']:.2f} | {feed['raw_mb']:.2f} |",
        "",
        f"Of a training step of `warp` at `so101` on one core, feeding is "
        f"{100 * feed['numpy'] / (step_ms + feed['numpy']):.2f} %; every training logs its own as `feeding_share`.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure everything and write the page, or one thing in this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", help="one measurement, in this process")
    parser.add_argument("--figures", type=Path, help="JSON file to keep them in and to go on from")
    parser.add_argument("--page", action="store_true", help="write the page of the figures that the file holds")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.only:
        what, *words = arguments.only
        print(json.dumps({"step": step, "feeding": feeding}[what](*words)))
        return
    found = json.loads(arguments.figures.read_text()) if arguments.page else measured(arguments.figures)
    write_table(TABLE, page(found))


if __name__ == "__main__":
    main()
