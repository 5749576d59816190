"""Which learning rate and which loss suit each family, as many tries and as much time for each. One command:

    python benchmarks/search.py

records six joints in scenes of its own, trains every family with every try for the same time of one processor core,
compares the squared errors of the pictures of its own held-out episodes, and writes docs/benchmarks/search.md. What is
chosen here stands in ``CHOSEN``, which `benchmarks/quality.py` trains with. No recording, scene or seed of this search
occurs in what that reports. What is done already is not done again, so an interrupted search goes on where it stopped.
"""

import math
from dataclasses import dataclass
from pathlib import Path

from measuring import ROOT
from quality import ARM, Recorded, forearm, say

from forearm.models import OURS
from forearm.training.run import Run

TABLE = ROOT / "docs" / "benchmarks" / "search.md"
TRAINING = Recorded((*ARM, "--episodes", "900", "--size", "64", "--fps", "2", "--sessions", "16", "--seed", "7"), ())
"""The tests of the reported tables have the seeds 0 to 4."""
RATES = (1.4e-3, 2.8e-3, 0.7e-3)
BLEND = {"mse_weight": 10.0, "charbonnier_weight": 1.0}
SQUARES = {"mse_weight": 1.0, "charbonnier_weight": 0.0}
LOSSES = {
    "diffusion": (SQUARES, BLEND),
    "flow": (BLEND | {"transform": "stp"}, BLEND | {"transform": "cdna"}),
    "gpt": (SQUARES, BLEND),
    "mae": (SQUARES, BLEND),
    "unet": (SQUARES, BLEND),
    "warp": (BLEND | {"mse_weight": 30.0}, BLEND),
}
"""Two losses a family; of flow, whose loss is the paper's question least of all, two kinds of transformation."""


@dataclass(frozen=True)
class Try:
    """One training of a family."""

    family: str
    rate: float
    settings: dict[str, float | str]

    @property
    def words(self) -> str:
        """Its settings, as they are typed."""
        return ", ".join(f"{name}={value}" for name, value in self.settings.items())

    @property
    def name(self) -> str:
        """Of its folder."""
        return "-".join([self.family, f"{self.rate:g}", *(str(value) for value in self.settings.values())])


def rounds() -> list[list[Try]]:
    """The tries, one of each family a round, so that a search cut short has tried all families equally often."""
    return [[Try(family, rate, LOSSES[family][i]) for family in OURS] for rate in RATES for i in range(2)]


def error(work: Path, data: Path, attempt: Try, minutes: float) -> float:
    """Train, and return the mean squared error of the pictures in validation; infinite where training diverges."""
    run = work / "runs" / attempt.name
    finished = run.exists() and Run.open(run).finished()
    if not finished:
        say(f"training {run}")
        changes = [f"{name}={value}" for name, value in attempt.settings.items()]
        new = ("--data", data, "--minutes", minutes, "--clock", "cpu", "--learning-rate", attempt.rate)
        options = ("--resume",) if run.exists() else (*new, "--model", *changes)
        forearm("train", attempt.family, "--out", run, "--device", "cpu", *options)
    best = [entry for entry in Run.open(run).log() if entry.get("best")]
    return best[-1]["val_visual"] if best else math.inf
