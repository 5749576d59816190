"""What an evaluation costs by the number of transitions that it scores, in time and memory. One command:

    python benchmarks/evaluating.py

writes docs/benchmarks/evaluating.md: `warp` at the size `tiny` on transitions of noise, asked under all actions beside
all baselines. Time and memory of few transitions are extrapolated to many by their slope.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from measuring import ROOT, circumstances, command, in_own_process, peak_mb, write_table

from forearm.canvas import PRESETS, ActionDimension, Camera, Joint, Layout
from forearm.models import family_settings
from forearm.report.assessment import assess
from forearm.training.config import TrainConfig
from forearm.training.loop import start_run
from forearm.training.run import Run, save_weights
from forearm.transitions.split import MOST_REPORTED
from forearm.transitions.store import Columns, TransitionSet, TransitionWriter

TABLE = ROOT / "docs" / "benchmarks" / "evaluating.md"
EPISODES, LENGTH = 40, 32
SCORED = (128, 256, 512)
MANY = (MOST_REPORTED, 120_000)


def make_run(work: Path) -> None:
    """A dataset of noise, half of it to validate on, and an untrained run."""
    size, names, random = PRESETS["tiny"], ("pan", "lift", "elbow", "flex", "roll", "gripper"), np.random.default_rng(0)
    cameras = tuple(Camera(name, size.camera, size.camera) for name in ("base", "wrist"))
    actions = tuple(ActionDimension(name, name) for name in names)
    layout = Layout(cameras, tuple(map(Joint, names)), actions, patch=size.patch, separator=size.separator)
    rows = EPISODES * LENGTH
    with TransitionWriter(work / "data", (layout.frame_height, layout.frame_width, 3)) as writer:
        for _ in range(rows + EPISODES):
            frame = random.integers(0, 256, (layout.frame_height, layout.frame_width, 3), np.uint8)
            writer.append(frame, random.uniform(-90, 90, len(names)).astype(np.float32))
        episodes = np.repeat(np.arange(EPISODES), LENGTH)
        firsts = np.arange(rows) + episodes
        values = random.integers(-1, 2, (rows, 1, len(names))).astype(np.float32)
        validates = episodes >= EPISODES // 2
        dimensions = np.zeros(rows, np.int64)
        columns = Columns(np.stack([firsts, firsts + 1], 1), values, dimensions, episodes, validates)
        told = [{"recording": "noise", "index": i, "task": "", "session": None} for i in range(EPISODES)]
        facts = {"recordings": [{"name": "noise"}], "actions": "log", "settings": {}, "skipped": []}
        writer.finish(layout, columns, told, facts)
    data = TransitionSet(work / "data")
    run = start_run(work / "run", "warp", family_settings("warp", "tiny", {}), TrainConfig(steps=1), data)
    torch.manual_seed(0)
    save_weights(run.weights_file("best"), run.make_model(None))


def evaluation(work: str, most: str) -> dict:
    """The processor's time and the most memory of one evaluation, in this process."""
    begin = time.process_time()
    page = assess(Run(Path(work) / "run"), split="val", most=int(most), device="cpu")
    scored = json.loads(page.with_name("metrics.json").read_text())["samples"]
    return {"scored": scored, "cpu_s": time.process_time() - begin, "peak_mb": peak_mb()}


def main() -> None:
    """Measure and write the page, or one evaluation in this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs=2, help="the folder, and how many transitions to score in this process")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.only:
        print(json.dumps(evaluation(*arguments.only)))
        return
    with tempfile.TemporaryDirectory() as work:
        (Path(work) / "data").mkdir()
        make_run(Path(work))
        in_own_process(__file__, "--only", work, "16")  # the reader of joints is learned once
        found = [in_own_process(__file__, "--only", work, str(most)) for most in SCORED]
    print(found, file=sys.stderr)
    scored, seconds, memory = (np.array([figures[key] for figures in found]) for key in ("scored", "cpu_s", "peak_mb"))
    lines = [
        "# Evaluating many transitions",
        "",
        circumstances() + ".",
        f"Made by `{command()}`: `forearm evaluate --rows N` of `warp` at `tiny` (two cameras of 64×64), all actions, "
        "all baselines, rollouts, the report. Seconds are those of one core. *Extrapolated* by the slope.",
        "",
        "| transitions scored | core, s | memory, MB |",
        "|---:|---:|---:|",
        *(f"| {n} | {s:.0f} | {mb:.0f} |" for n, s, mb in zip(scored, seconds, memory, strict=True)),
    ]
    for many in MANY:
        s, mb = (np.polyval(np.polyfit(scored, values, 1), many) for values in (seconds, memory))
        lines.append(f"| *{many}* | *{s:.0f}* | *{mb:.0f}* |")
    lines += [
        "",
        f"By default at most {MOST_REPORTED} are scored, drawn equally from the episodes, however many there are.",
        "",
    ]
    write_table(TABLE, "\n".join(lines))


if __name__ == "__main__":
    main()
