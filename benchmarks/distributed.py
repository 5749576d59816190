"""Whether several processes learn what one learns, and what a killed process costs. One command:

    python benchmarks/distributed.py --data DATA

trains `mae` on DATA, a small dataset, with 1, 2 and 4 processes of torchrun and the same batch over all together, with
and without what each process draws by lot; then it kills a process in mid-training with SIGKILL and waits for the end.
It writes docs/benchmarks/distributed.md.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from measuring import ROOT, circumstances, command, write_table
from safetensors.numpy import load_file

TABLE = ROOT / "docs" / "benchmarks" / "distributed.md"
STEPS, EVERY, BATCH = 20, 5, 16
FIXED = ("--model.synthetic-stay", "0", "--model.brightness-jitter", "0")
"""Nothing is drawn by lot."""


def start(data: Path, out: Path, processes: int, *options: str) -> subprocess.Popen:
    """A training by torchrun."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    words = ["--max-restarts", "3", "-m", "forearm", "train", "mae", "--data", data, "--out", out, "--device", "cpu"]
    numbers = {"--steps": STEPS, "--evaluate-every": EVERY, "--batch-size": BATCH, "--warmup": 4, "--ema": 0.8}
    settings = [str(part) for pair in numbers.items() for part in pair]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with out.with_suffix(".txt").open("w") as said:
        return subprocess.Popen(
            [*torchrun, *map(str, words), *settings, *options], env=environment, stdout=said, stderr=said
        )


def log(run: Path) -> list[dict]:
    """What a training has logged so far."""
    path = run / "log.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")] if path.exists() else []


def losses(run: Path) -> dict[tuple[int, str], float]:
    """Training and validation losses by step."""
    return {(entry["step"], name): entry[name] for entry in log(run) for name in ("loss", "val_loss") if name in entry}


def apart(one: Path, other: Path) -> float:
    """The largest difference of any loss of two trainings, as a share."""
    mine, theirs = losses(one), losses(other)
    assert mine.keys() == theirs.keys()
    return max(abs(theirs[key] - value) / max(value, 1e-6) for key, value in mine.items())


def killed(data: Path, out: Path) -> dict:
    """A training of two processes, one of which is killed between two checkpoints; what it cost."""
    training = start(data, out, 2, *FIXED)
    while not any(step > EVERY and name == "loss" for step, name in losses(out)):
        assert training.poll() is None, out.with_suffix(".txt").read_text()
        time.sleep(0.05)
    victim = next(p for p in psutil.Process(training.pid).children() if "forearm" in p.cmdline())
    victim.send_signal(signal.SIGKILL)
    before = log(out)[-1]["step"]
    code = training.wait()
    text = out.with_suffix(".txt").read_text()
    return {
        "killed_after": before,
        "exit": code,
        "said": [row.split(" of binary")[0] for row in text.splitlines() if "exitcode" in row][:1],
    }


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        wanted = {f"{how}-{n}": (n, how) for how in ("fixed", "drawn") for n in (1, 2, 4)}
        trainings = {
            name: start(data, work / name, n, *(FIXED if how == "fixed" else ())) for name, (n, how) in wanted.items()
        }
        for name, training in trainings.items():
            assert training.wait() == 0, (work / name).with_suffix(".txt").read_text()
            print(name, log(work / name)[-1], file=sys.stderr)
        cost = killed(data, work / "killed")  # alone: processes that start anew find each other badly on a busy machine
        ends = {path: log(work / path)[-1]["val_loss"] for path in ("fixed-1", "drawn-1", "drawn-2", "drawn-4")}
        same = all(
            (value == load_file(work / "fixed-2" / "last.safetensors")[name]).all()
            for name, value in load_file(work / "killed" / "last.safetensors").items()
        )
        lines = [
            "# Several processes",
            "",
            circumstances() + ".",
            f"Made by `{command()}`: `mae` at `tiny`, {STEPS} steps of {BATCH} samples over all processes together, "
            f"an evaluation and a checkpoint each {EVERY} steps.",
            "",
            "| processes | nothing drawn by lot: largest difference of any loss | tints and stills: last validation |",
            "|---:|---:|---:|",
            f"| 1 | – | {ends['drawn-1']:.3e} |",
            *(
                f"| {n} | {apart(work / 'fixed-1', work / f'fixed-{n}'):.1e} of it | {ends[f'drawn-{n}']:.3e} |"
                for n in (2, 4)
            ),
            "",
            "## A killed process",
            "",
            f"Of two processes under `torchrun --max-restarts 3` one was killed (SIGKILL) after step "
            f"{cost['killed_after']}. Exit code of the whole: {cost['exit']}; steps reached: "
            f"{log(work / 'killed')[-1]['step']} of {STEPS}. Largest difference of any loss from the unbroken training "
            "of two processes: "
            f"{apart(work / 'fixed-2', work / 'killed'):.1e}; the last weights are the same to the last bit: {same}.",
            "",
            f"    {cost['said'][0] if cost['said'] else ''}",
            "",
        ]
        write_table(TABLE, "\n".join(lines))


if __name__ == "__main__":
    main()
