"""How fast and how lean every family of models is on this machine, and whether named targets are met. One command:

    python benchmarks/families.py

takes about eight minutes on two idle cores and writes docs/benchmarks/families.md, and the speed into docs/results.md.
Every family and size has a process of its own, so that peak memory is that process's. The named targets are measured in
one more: two ways of doing the same thing turn by turn, so that whatever else the machine does hits both.
"""

import argparse
import dataclasses
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from measuring import (
    ROOT,
    Spread,
    circumstances,
    in_own_process,
    insert,
    median_seconds,
    peak_mb,
    ratio,
    seconds,
    spread,
    write_table,
)

from forearm import BuildConfig, build
from forearm.batch import Batch
from forearm.models import WorldModel, family_names, family_settings, make_model
from forearm.models.blocks import patchify
from forearm.models.gpt.model import CausalTransformer
from forearm.sim import RecordingSettings, record
from forearm.training.config import TrainConfig
from forearm.training.loop import start_run, train
from forearm.training.optimizer import make_optimizer
from forearm.transitions.store import TransitionSet

TABLE = ROOT / "docs" / "benchmarks" / "families.md"
EPISODES = 150
SIZES = ("tiny", "so101")
BATCH = TrainConfig().batch_size
LATENCIES = {("mae", "tiny"): 25, ("warp", "tiny"): 15, ("warp", "so101"): 250}
"""Named targets: milliseconds that a prediction at batch 1 may take."""


@dataclasses.dataclass(frozen=True)
class Target:
    """What is promised of a ratio, and what was measured: median, least and greatest."""

    what: str
    wanted: float
    at_least: bool
    measured: Spread


# What is measured. Each function runs in a process of its own.


def family(data: TransitionSet, name: str, size: str) -> dict:
    """Prediction and training of a family at a size, without the drawing of canvases."""
    model = awake(make_model(name, data.layout, family_settings(name, size, {})))
    batches = {n: data.batch(np.arange(n)).context() for n in (1, 8)}
    repeats = {1: 20, 8: 10} if size == "tiny" else {1: 3, 8: 1}
    latency = {n: 1e3 * median_seconds(lambda n=n: model.predict(batches[n]), repeats[n]) for n in batches}
    predicting_mb = peak_mb()
    batch, optimizer = data.batch(np.arange(BATCH)), make_optimizer(model.train(), TrainConfig())

    def step() -> None:
        loss = model.training_loss(batch)["loss"]
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "samples_per_s": BATCH / median_seconds(step, 10 if size == "tiny" else 1),
        "latency_1": latency[1],
        "latency_8": latency[8],
        "predicting_mb": predicting_mb,
        "training_mb": peak_mb(),
    }


def awake(model: WorldModel) -> WorldModel:
    """A fresh model whose zero matrices are drawn at random, as no trained model has any.

    A family may paint faster if all it paints is a copy.
    """
    torch.manual_seed(0)
    for parameter in model.parameters():
        if parameter.ndim > 1 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.02)
    return model.eval()


def targets(work: Path) -> list[Target]:
    """The named targets that are ratios."""
    tiny, so101 = (TransitionSet(work / size) for size in SIZES)
    found = []
    if "diffusion" in family_names():
        batch = one(tiny, 0)
        models = [
            awake(make_model(name, tiny.layout, family_settings(name, "tiny", {}))) for name in ("diffusion", "mae")
        ]
        times = ratio(lambda: models[0].predict(batch), lambda: models[1].predict(batch), 20)
        found.append(Target("prediction at batch 1, diffusion's time by MAE's (`tiny`)", 8, False, times))
    run = start_run(
        work / "gpt",
        "gpt",
        family_settings("gpt", "tiny", {}),
        TrainConfig(steps=250, evaluate_every=250, learning_rate=1.5e-3),
        tiny,
    )
    train(run, tiny)
    found += generation(run.load(), [one(tiny, i) for i in range(9)], "`tiny`, trained for 250 steps", 15)
    fresh = awake(make_model("gpt", so101.layout, family_settings("gpt", "so101", {})))
    return found + generation(fresh, [one(so101, i) for i in range(3)], "`so101`, head drawn at random", 60)


def one(data: TransitionSet, number: int) -> Batch:
    """A validation sample as a batch, without its answer."""
    return data.batch(data.rows("val")[number : number + 1]).context()


def generation(model: CausalTransformer, batches: list[Batch], weights: str, wanted: float) -> list[Target]:
    """How much faster the causal transformer paints than by running over the whole canvas once a patch.

    Every such run costs the same, so four of them are timed and multiplied.
    """
    ways: dict[str, Callable[[Batch], object]] = {
        "all patches at once": model.predict,
        "one token a patch": lambda batch: model.predict(batch, sweeps=0),
    }
    passes: list[int] = []
    ratios: dict[str, list[float]] = {way: [] for way in ways}
    for batch in batches:
        grey = patchify(batch.canvas, model.layout.patch) - 0.5
        with torch.inference_mode():
            plain = len(model.targets) * median_seconds(
                lambda batch=batch, grey=grey: model.predict_patches(batch, grey), 4
            )
        for way, paint in ways.items():
            ratios[way].append(plain / seconds(lambda paint=paint, batch=batch: paint(batch)))
        passes.append(passes_taken(model, batch))
    taken = f"{statistics.median(passes):.0f} passes, {min(passes)} to {max(passes)}"
    notes = {"all patches at once": taken, "one token a patch": f"{len(model.targets)} passes"}
    return [
        Target(f"GPT's generation, {way} ({notes[way]}), against plain ({weights})", wanted, True, spread(ratios[way]))
        for way in ways
    ]


def passes_taken(model: CausalTransformer, batch: Batch) -> int:
    """How often the network runs in one prediction."""
    passes = []
    hook = model.norm.register_forward_hook(lambda *_: passes.append(1))
    model.predict(batch)
    hook.remove()
    return len(passes)


HEAD = (
    "| family | size | parameters | training, samples/s | prediction, batch 1, ms | batch 8, ms "
    "| memory predicting, MB | training, MB |",
    "|---|---|---:|---:|---:|---:|---:|---:|",
)


def rows(families: list[tuple[str, str, dict]]) -> list[str]:
    """A family and size each."""
    return [
        f"| {name} | `{size}` | {f['parameters'] / 1e6:.1f}M | {f['samples_per_s']:.1f} | {f['latency_1']:.1f} "
        f"| {f['latency_8']:.1f} | {f['predicting_mb']:.0f} | {f['training_mb']:.0f} |"
        for name, size, f in families
    ]


def table(families: list[tuple[str, str, dict]], found: list[Target]) -> str:
    """The page."""
    promises = []
    for name, size, f in families:
        if (name, size) in LATENCIES:
            wanted, ms = LATENCIES[name, size], f["latency_1"]
            promises.append(
                f"| prediction at batch 1, {name} (`{size}`) | ≤ {wanted} ms | {ms:.1f} ms | {verdict(ms <= wanted)} |"
            )
    for t in found:
        median, least, greatest = t.measured
        kept = median >= t.wanted if t.at_least else median <= t.wanted
        promises.append(
            f"| {t.what} | {'≥' if t.at_least else '≤'} {t.wanted:.0f}× "
            f"| {median:.1f}× ({least:.1f} to {greatest:.1f}) | {verdict(kept)} |"
        )
    return "\n".join(
        [
            "# Speed and memory of the families",
            "",
            f"{circumstances()}. Made by `python benchmarks/families.py`, each row of the first table in a process of "
            f"its own. Medians; training at batch {BATCH}, the default; prediction without its drawing; memory is the "
            "peak of the whole process, PyTorch included.",
            "",
            *HEAD,
            *rows(families),
            "",
            "Weights do not matter to these times, but for gpt, which repaints its patches until they stand still. An "
            "untrained one begins as a copy and needs a single pass; so here its head is drawn at random.",
            "",
            "## Named targets",
            "",
            "Ratios are of times that were taken turn by turn in one process: median (least to greatest), for GPT's "
            "generation over validation samples under all actions. *Plain* is the same network run over the whole "
            "canvas once a patch; four such runs are timed and multiplied by the number of patches.",
            "",
            "| what | target | measured | |",
            "|---|---:|---:|---|",
            *promises,
            "",
        ]
    )


def verdict(kept: bool) -> str:
    return "reached" if kept else "missed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=TABLE, help="the page to write (default: %(default)s)")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--family", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--targets", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.family:
        name, size = arguments.family
        print(json.dumps(family(TransitionSet(arguments.work / size), name, size)))
    elif arguments.targets:
        print(json.dumps({"targets": [dataclasses.asdict(target) for target in targets(arguments.work)]}))
    else:
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            record(work / "recording", RecordingSettings(episodes=EPISODES, fps=2))
            for size in SIZES:
                build([work / "recording"], work / size, BuildConfig(preset=size))
            families = []
            for name in family_names():
                for size in SIZES:
                    print(f"measuring {name} {size}", file=sys.stderr)
                    figures = in_own_process(__file__, "--work", folder, "--family", name, size)
                    families.append((name, size, figures))
            print("measuring targets", file=sys.stderr)
            found = in_own_process(__file__, "--work", folder, "--targets")["targets"]
        write_table(arguments.out, table(families, [Target(**target) for target in found]))
        if arguments.out == TABLE:
            tiny = [row for row in rows(families) if "`tiny`" in row]
            insert(ROOT / "docs" / "results.md", "speed", [*HEAD, *tiny])


if __name__ == "__main__":
    main()
