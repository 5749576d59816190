"""What an evaluation costs by the number of transitions that it scores, in time and memory. One command:

    python benchmarks/evaluating.py

writes docs/benchmarks/evaluating.md: `warp` at the size `tiny` on transitions of noise, asked under all actions beside
all baselines. Time is measured on few transitions and extrapolated: so much for each that is scored, and so much for
each of which the untrained model is asked, too. Memory is measured on many, which are few that are scored again and
again, as nobody waits for hours; extrapolated likewise.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from measuring import ROOT, circumstances, command, in_own_process, peak_mb, write_table

from forearm.batch import Batch
from forearm.canvas import PRESETS, ActionDimension, Camera, Joint, Layout
from forearm.evaluation.evaluate import Judge, Scored
from forearm.models import family_settings
from forearm.report import assessment
from forearm.training.config import TrainConfig
from forearm.training.loop import start_run
from forearm.training.run import Run, save_weights
from forearm.transitions.split import MOST_REPORTED
from forearm.transitions.store import Columns, TransitionSet, TransitionWriter

TABLE = ROOT / "docs" / "benchmarks" / "evaluating.md"
EPISODES, LENGTH = 40, 32
SCORED = ((128, 128), (256, 256), (512, 512), (512, 64))
"""How many transitions are scored, and of how many of them the untrained model is asked."""
REPEATED = (4_000, 24_000)
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


def evaluation(work: str, most: str, asked: str) -> dict:
    """The processor's time and the most memory of one evaluation, in this process."""
    assessment.MOST_REPORTED = int(asked)
    begin = time.process_time()
    page = assessment.assess(Run(Path(work) / "run"), split="val", most=int(most), device="cpu")
    scored = json.loads(page.with_name("metrics.json").read_text())["samples"]
    return {"scored": scored, "asked": min(int(asked), scored), "cpu_s": time.process_time() - begin}


def repeated(work: str, most: str) -> dict:
    """The most memory of an evaluation in which some scored batches come again and again, in this process."""
    score = Judge.all

    def again(judge: Judge, batches: Iterable[Batch], threads: int) -> Iterator[Scored]:
        scored = list(score(judge, batches, threads))
        size = sum(len(one.ours) for one in scored)
        for _ in range(int(most) // size):
            yield from scored

    with mock.patch.object(Judge, "all", again):
        page = assessment.assess(Run(Path(work) / "run"), split="val", most=80, rollouts=0, device="cpu")
    return {"scored": json.loads(page.with_name("metrics.json").read_text())["samples"], "peak_mb": peak_mb()}


def slope_of(found: list[dict], value: str, *counts: str) -> Callable[..., float]:
    """A figure of evaluations, as a line in some counts."""
    known = [[1, *(figures[count] for count in counts)] for figures in found]
    line, *_ = np.linalg.lstsq(np.array(known, float), np.array([figures[value] for figures in found]), rcond=None)
    return lambda *asked: float(line @ [1, *asked])


def main() -> None:
    """Measure and write the page, or one evaluation in this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs=3, help="the folder, how many transitions to score, how many untrained")
    parser.add_argument("--repeated", nargs=2, help="the folder, and how many transitions to pretend")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.only or arguments.repeated:
        print(json.dumps(evaluation(*arguments.only) if arguments.only else repeated(*arguments.repeated)))
        return
    with tempfile.TemporaryDirectory() as work:
        (Path(work) / "data").mkdir()
        make_run(Path(work))
        in_own_process(__file__, "--only", work, "16", "16")  # the reader of joints is learned once
        timed = [in_own_process(__file__, "--only", work, *map(str, counts)) for counts in SCORED]
        held = [in_own_process(__file__, "--repeated", work, str(most)) for most in REPEATED]
    print(timed, held, file=sys.stderr)
    seconds, memory = slope_of(timed, "cpu_s", "scored", "asked"), slope_of(held, "peak_mb", "scored")
    lines = [
        "# Evaluating many transitions",
        "",
        circumstances() + ".",
        f"Made by `{command()}`: `forearm evaluate --rows N` of `warp` at `tiny` (two cameras of 64×64), all actions, "
        "all baselines, rollouts, the report. Seconds are those of one core. *Extrapolated*: time by what each "
        "transition takes that is scored, and each of which the untrained model is asked, too; memory by its slope, in "
        "evaluations without rollouts in which 80 scored transitions are counted again and again.",
        "",
        "| transitions scored | untrained model asked of | core, s | memory, MB |",
        "|---:|---:|---:|---:|",
        *(f"| {each['scored']} | {each['asked']} | {each['cpu_s']:.0f} | |" for each in timed),
        *(f"| {each['scored']} (repeated) | 80 | | {each['peak_mb']:.0f} |" for each in held),
        *(
            f"| *{many}* | *{min(many, MOST_REPORTED)}* | *{seconds(many, min(many, MOST_REPORTED)):.0f}* "
            f"| *{memory(many):.0f}* |"
            for many in MANY
        ),
        "",
        f"By default at most {MOST_REPORTED} are scored, drawn equally from the episodes, however many there are. The "
        f"untrained model is asked of at most as many. On several cores as many batches are scored at a time.",
        "",
    ]
    write_table(TABLE, "\n".join(lines))


if __name__ == "__main__":
    main()
