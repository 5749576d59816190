"""How time and memory grow with the number of transitions. One command:

    python benchmarks/scale.py [--sizes 10000 100000 1000000] [--only open …] [--figures FILE]

takes about 25 minutes on one core and writes docs/benchmarks/scale.md. The transitions are synthetic: three frames of
two 64×64 cameras, six joints, episodes of 100 frames, every eighth of which validates. 10,000 distinct frames are
drawn; a larger dataset has hard links to their shard, so that it is as long as it says but takes little of the disk.
Each figure comes from a process of its own. FILE keeps the figures, and what it holds is not measured again.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from measuring import ROOT, circumstances, command, cpu_seconds, in_own_process, peak_mb, seconds, write_table

TABLE = ROOT / "docs/benchmarks/scale.md"
DISTINCT, LENGTH = 10_000, 100
STEPS = 500
"""Of the training, with the usual evaluations every 250."""


def make(path: Path, transitions: int) -> None:
    """Write a dataset of so many transitions."""
    from forearm.canvas import ActionDimension, Camera, Joint, Layout
    from forearm.transitions.frames import FOLDER, OFFSETS, ShardWriter, compressed
    from forearm.transitions.store import Columns

    shard, random = path.parent / "distinct", np.random.default_rng(0)
    joints = tuple(Joint(name, "deg", -60, 60, 20, unit_origin="given") for name in "abcdef")
    layout = Layout(
        cameras=(Camera("base", 64, 64), Camera("wrist", 64, 64)),
        joints=joints,
        actions=tuple(ActionDimension(joint.name, joint.name, "deg", 10.0) for joint in joints),
        patch=8,
        separator=8,
        history=3,
    )
    backgrounds = random.integers(60, 180, (50, 16, 8, 3)).repeat(8, 1).repeat(8, 2).astype(np.uint8)
    if not shard.exists():
        writer = ShardWriter(shard)
        for number in range(DISTINCT):
            frame = backgrounds[number // 200].copy()
            frame[:, number % 60 : number % 60 + 4] = 240
            writer.append(compressed(frame))
        writer.close()
    episodes = -(-transitions // (LENGTH - 2))
    count = -(-episodes * LENGTH // DISTINCT) * DISTINCT
    (path / FOLDER).mkdir(parents=True)
    for number in range(count // DISTINCT):
        os.link(shard / "00000.bin", path / FOLDER / f"{number:05d}.bin")
    ends = np.load(shard / OFFSETS)
    starts = ends[-1] * np.arange(count // DISTINCT)[:, None]
    np.save(path / FOLDER / OFFSETS, np.append((starts + ends[:-1]).ravel(), ends[-1] * (count // DISTINCT)))
    moves = random.normal(0, 3, (count, 6)).astype(np.float32)
    states = (np.cumsum(moves, axis=0) % 100 - 50).astype(np.float32)
    np.save(path / "states.npy", states)
    begins = LENGTH * np.arange(episodes)[:, None] + np.arange(LENGTH - 2)
    rows = begins.ravel()[:transitions]
    numbers = rows // LENGTH
    table = Columns(
        frames=rows[:, None] + np.arange(3),
        actions=np.stack([moves[rows + 1], moves[rows + 2]], axis=1),
        dimensions=np.abs(moves[rows + 2]).argmax(axis=1),
        episodes=numbers,
        validation=numbers % 8 == 0,
    )
    table.write(path / "transitions.parquet")
    digests = [f"{number:016x}" for number in range(episodes)]
    prints = [f"{random.bytes(64).hex()} {random.bytes(128).hex()}" for _ in digests]
    known = {"recording": ["synthetic"] * episodes, "index": list(range(episodes)), "task": [""] * episodes}
    pq.write_table(pa.table({**known, "digest": digests, "fingerprint": prints}), path / "episodes.parquet")
    (path / "layout.json").write_text(json.dumps(layout.to_json()))
    facts = {"format": 1, "recordings": [{"name": "synthetic", "fps": 10.0}], "actions": "change", "skipped": []}
    facts |= {"settings": {"step": 0.1, "stride": 0.1}, "storage": {"format": "jpeg", "psnr": 40.0}}
    (path / "dataset.json").write_text(json.dumps(facts))


# What is measured. Each function runs in a process of its own and returns seconds by what took them: of the processor,
# but for opening, which also waits for the disk.


def opening(data: Path) -> dict[str, float]:
    from forearm.transitions import TransitionSet

    core: list[float] = []
    wall = seconds(lambda: core.append(cpu_seconds(lambda: TransitionSet(data))))
    return {"open": wall, "core": core[0], "mb": peak_mb()}


def tables(data: Path) -> dict[str, float]:
    """What commands ask of the table: who follows whom, paths, groups, outcomes, episodes."""
    from forearm.transitions import TransitionSet

    found = TransitionSet(data)
    asked: dict[str, Callable[[], object]] = {
        "followers": lambda: found.followers,
        "paths of 8": lambda: found.paths(8, found.rows("val")),
        "groups": lambda: found.independent_groups(found.rows("val")),
        "outcome rows": lambda: found.outcome_rows,
        "picking rows": lambda: found.rows("picking"),
        "rows by episode": lambda: found.columns.frames_by_episode(),
    }
    return {name: cpu_seconds(work) for name, work in asked.items()} | {"mb": peak_mb()}


def stepping(data: Path) -> dict[str, float]:
    from forearm.models import family_settings, make_model
    from forearm.transitions import TransitionSet
    from forearm.transitions.loader import TrainingSteps

    found = TransitionSet(data)
    model = make_model("warp", found.layout, family_settings("warp", "tiny", {}))
    steps = TrainingSteps(found, found.rows("train"), 8, seed=0)
    first = cpu_seconds(lambda: steps.rows_of(0))  # draws the order of the first epoch
    reading = [cpu_seconds(lambda n=n: found.frames[found.columns.frames[steps.rows_of(n)]]) for n in range(20)]
    batch = found.batch(steps.rows_of(0))
    step = [cpu_seconds(lambda: model.training_loss(batch)["loss"].backward()) for _ in range(6)]
    return {"order": first, "reading": statistics.median(reading), "step": statistics.median(step[1:])}


def training(data: Path) -> dict[str, float]:
    """A training, and its share of the time that is spent on validation and on whole evaluations."""
    from forearm.training import loop
    from forearm.training.config import TrainConfig
    from forearm.training.launch import train_run

    spent, validate = {"validation": 0.0, "rows": 0.0}, loop.validate

    def watched(model: Any, data: Any, rows: np.ndarray, *rest: Any) -> dict[str, float]:
        losses: list[dict[str, float]] = []
        spent["validation"] += cpu_seconds(lambda: losses.append(validate(model, data, rows, *rest)))
        spent["rows"] += len(rows)
        return losses[0]

    loop.validate = watched
    whole = cpu_seconds(lambda: train_run(data, f"{data}-run", config=TrainConfig(steps=STEPS), device="cpu"))
    return {"s": whole, "share": spent["validation"] / whole, "rows": spent["rows"], "mb": peak_mb()}


def commanded(*words: str) -> dict[str, float]:
    """A command of forearm, for its processor time and its peak memory."""
    subprocess.run([sys.executable, "-m", "forearm", *words], check=True, stdout=sys.stderr)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"s": used.ru_utime + used.ru_stime, "mb": used.ru_maxrss / 1e3}


MEASUREMENTS: dict[str, Callable[[Path], dict[str, float]]] = {
    "open": opening,
    "tables": tables,
    "step": stepping,
    "inspect": lambda data: commanded("inspect", str(data)),
    "train": training,
    "evaluate": lambda data: commanded("evaluate", f"{data}-run", "--device", "cpu"),
}


def measured(sizes: list[int], names: list[str], kept: Path | None) -> dict[str, dict[str, float]]:
    """All figures by name and size; those that are kept are not measured again."""
    figures = json.loads(kept.read_text()) if kept and kept.exists() else {}
    with tempfile.TemporaryDirectory() as work:
        for size in sizes:
            data = Path(work) / str(size)
            make(data, size)
            for name in names:
                if f"{name} {size}" not in figures:
                    figures[f"{name} {size}"] = in_own_process(__file__, "--measure", name, "--data", str(data))
                    if kept:
                        kept.write_text(json.dumps(figures))
    return figures


def page(figures: dict[str, dict[str, float]], sizes: list[int], names: list[str]) -> str:
    def cell(name: str, size: int, key: str, unit: str) -> str:
        found = figures.get(f"{name} {size}")
        scale, digits = {"s": (1, 3), "ms": (1e3, 1), "%": (100, 1), "MB": (1, 0), "": (1, 0)}[unit]
        return "–" if not found else f"{found[key] * scale:,.{digits}f} {unit}".rstrip()

    rows = [("opening, on the wall's clock", "open", "open", "s"), ("opening", "open", "core", "s")]
    rows += [("opening, memory of the process", "open", "mb", "MB")]
    asked = next((found for name, found in figures.items() if name.startswith("tables")), {})
    rows += [(f"table: {key}", "tables", key, "s") for key in asked if key != "mb"]
    rows += [("tables, memory", "tables", "mb", "MB")] if asked else []
    if "step" in names:
        rows += [
            ("training: order of an epoch", "step", "order", "s"),
            ("training: reading the frames of a batch of 8", "step", "reading", "ms"),
            ("training: a step of `warp`, batch 8", "step", "step", "ms"),
        ]
    if "train" in names:
        rows += [
            (f"training `warp` for {STEPS} steps", "train", "s", "s"),
            ("of it validation", "train", "share", "%"),
            ("transitions validated on, all evaluations together", "train", "rows", ""),
            ("training, memory", "train", "mb", "MB"),
        ]
    for name, what in (("inspect", "`forearm inspect`"), ("evaluate", "`forearm evaluate`, with its report")):
        if name in names:
            rows += [(what, name, "s", "s"), (f"{what}, memory", name, "mb", "MB")]
    lines = [
        f"| {what} | {' | '.join(cell(name, size, key, unit) for size in sizes)} |" for what, name, key, unit in rows
    ]
    return "\n".join(
        [
            "# Scale",
            "",
            f"{circumstances()}. Made by `{command()}`, while the machine's load was {os.getloadavg()[0]:.0f}. Seconds "
            "are those of one core, unless the wall is named.",
            "",
            "Synthetic transitions: three frames of two 64×64 cameras as JPEG, six joints, episodes of 100 frames, "
            f"every eighth of which validates. {DISTINCT:,} distinct frames are drawn; larger datasets have hard links "
            "to their shard, so that a cache of the disk holds more of them than it would. Each row comes from a "
            "process of its own, PyTorch included where it is needed; – was not measured.",
            "",
            f"| what | {' | '.join(f'{size:,}' for size in sizes)} |",
            "|---|" + "---:|" * len(sizes),
            *lines,
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--only", choices=MEASUREMENTS, nargs="+", default=list(MEASUREMENTS))
    parser.add_argument("--figures", type=Path, help="JSON file to keep them in and to go on from")
    parser.add_argument("--measure", choices=MEASUREMENTS, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(MEASUREMENTS[arguments.measure](arguments.data)))
        return
    figures = measured(arguments.sizes, arguments.only, arguments.figures)
    write_table(TABLE, page(figures, arguments.sizes, arguments.only))


if __name__ == "__main__":
    main()
