"""Trains in a process of its own: train_a_run.py RUN DATA [--resume] [--signal NAME STEP] [--seeds FILE]."""

import argparse
import json
import os
import signal
from pathlib import Path

import torch

from forearm.training.loop import train
from forearm.training.run import Run
from forearm.transitions import TransitionSet

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--signal", nargs=2, default=("", "-1"))
    parser.add_argument("--seeds", type=Path, help="where to keep the seeds that PyTorch is given")
    args = parser.parse_args()
    name, step = args.signal

    def report(entry):
        if entry["step"] == int(step) and "loss" in entry:
            os.killpg(0, getattr(signal, name))  # as Ctrl-C does: every process of the group, workers too

    seeds, give = [], torch.manual_seed

    def note(seed):
        seeds.append(seed)
        return give(seed)

    torch.manual_seed = note
    torch.set_num_threads(1)
    train(Run.open(args.run), TransitionSet(args.data), device="cpu", resume=args.resume, report=report)
    if args.seeds:
        args.seeds.write_text(json.dumps(seeds))
