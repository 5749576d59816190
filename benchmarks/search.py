"""Which learning rate and which loss suit each family, as many tries and as much time for each. One command:

    python benchmarks/search.py

records six joints in scenes of its own, trains every family with every try for the same time of one processor core,
compares the squared errors of the pictures of its own held-out episodes, writes docs/benchmarks/search.md, and prints
what is to stand in ``CHOSEN`` of `benchmarks/quality.py`, which that trains with. No recording, scene or seed of this
search occurs in what that reports. What is done already is not done again, so an interrupted search goes on where it
stopped.
"""

import argparse
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from measuring import ROOT, circumstances, write_table
from quality import ARM, BLEND, SQUARES, Choice, Recorded, Setting, forearm, model_options, prepared, say

from forearm.models import OURS
from forearm.training.run import Run

TABLE = ROOT / "docs" / "benchmarks" / "search.md"
TRAINING = Recorded((*ARM, "--episodes", "900", "--size", "64", "--fps", "2", "--sessions", "16", "--seed", "7"), ())
"""The tests of the reported tables have the seeds 0 to 4."""
RATES = (1.4e-3, 2.8e-3, 0.7e-3)
LOSSES = {
    "diffusion": (SQUARES, BLEND),
    "flow": (BLEND | {"transform": "stp"}, BLEND | {"transform": "cdna"}),
    "gpt": (SQUARES, BLEND),
    "mae": (SQUARES, BLEND),
    "unet": (BLEND | {"copy": True}, BLEND | {"copy": False}),
    "warp": (BLEND | {"mse_weight": 30.0}, BLEND),
}
"""Two choices a family: of the loss for those that paint patches, and for warp of its weight; of flow the paper's two
kinds of transformation; of unet whether it predicts the change or the picture."""


WARMUP = 30
"""Steps; the usual hundred would be half of so short a training."""
NEVER = 10**6
"""Steps between evaluations: there is one at the end alone, which costs every family the same."""


@dataclass(frozen=True, eq=False)
class Try:
    """One training of a family."""

    family: str
    rate: float
    settings: dict[str, Setting]

    @property
    def words(self) -> str:
        """Its settings."""
        return ", ".join(f"`{name}` {value}" for name, value in self.settings.items())

    @property
    def name(self) -> str:
        """Of its folder."""
        return "-".join([self.family, f"{self.rate:g}", *(str(value) for value in self.settings.values())])


def rounds() -> list[list[Try]]:
    """All tries, one of each family a round, so that a search cut short has tried all families equally often."""
    return [[Try(family, rate, LOSSES[family][i]) for family in OURS] for rate in RATES for i in range(2)]


@dataclass(frozen=True)
class Outcome:
    """What a try came to."""

    error: float
    """Mean squared error of the pictures in validation; infinite where training diverged."""
    steps: int
    """How many fitted in the time."""


def outcome(work: Path, data: Path, attempt: Try, minutes: float) -> Outcome:
    """Train, or let a training go on that was interrupted, and read what came out."""
    run = work / "runs" / attempt.name
    validated = [entry for entry in Run.open(run).log() if "best" in entry] if run.exists() else []
    if not any(entry["step"] for entry in validated):
        say(f"training {run}")
        budget = ("--minutes", minutes, "--clock", "cpu", "--evaluate-every", NEVER, "--warmup", WARMUP)
        new = ("--data", data, *budget, "--learning-rate", attempt.rate, *model_options(attempt.settings))
        try:
            forearm("train", attempt.family, "--out", run, "--device", "cpu", *(("--resume",) if validated else new))
        except SystemExit as failure:
            say(str(failure))
            return Outcome(math.inf, 0)
        validated = [entry for entry in Run.open(run).log() if "best" in entry]
    best = min(entry["val_visual"] for entry in validated)
    return Outcome(best, validated[-1]["step"])


def best_of(found: dict[Try, Outcome], family: str) -> Try:
    """The try of a family that erred least."""
    return min((attempt for attempt in found if attempt.family == family), key=lambda attempt: found[attempt].error)


def page(found: dict[Try, Outcome], minutes: float) -> str:
    """All tries, the best of each family in bold."""
    tried = {family: [attempt for attempt in found if attempt.family == family] for family in OURS}
    rows = []
    for attempts in tried.values():
        best = best_of(found, attempts[0].family)
        for attempt in sorted(attempts, key=lambda attempt: found[attempt].error):
            text, steps = f"{found[attempt].error:.5f}", found[attempt].steps
            text = f"**{text}**" if attempt == best else text
            rows.append(f"| {attempt.family} | {attempt.rate:g} | {attempt.words} | {steps} | {text} |")
    (count,) = {len(attempts) for attempts in tried.values()}
    return "\n".join(
        [
            "# Search for learning rates and losses",
            "",
            f"{circumstances()}. `tiny` sizes, 64 × 64 pixels a camera, {count} tries of each family, {minutes:g} "
            "minutes of one core a try, one seed.",
            "",
            f"Made by `python benchmarks/search.py --rounds {count}`. Six joints, 900 simulated actions in 16 scenes, "
            "which no reported table contains. The error is the mean squared error of the pictures of 108 held-out "
            "actions, a third of them STAY; the best of a family is bold and is what [quality](quality.md) trains "
            "with. Tries so short find no fine differences and favour what learns soon; a squared error favours "
            "losses of squares.",
            "",
            "| family | learning rate | settings | steps | error |",
            "|---|---:|---|---:|---:|",
            *rows,
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=0.5, help="of one processor core, for each try")
    parser.add_argument("--rounds", type=int, default=len(rounds()), help="tries of each family")
    parser.add_argument("--work", type=Path, default=ROOT / "search")
    parser.add_argument("--out", type=Path, default=TABLE)
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time")
    arguments = parser.parse_args()
    data = prepared(arguments.work, "train", TRAINING, preset="tiny")
    attempts = [attempt for each in rounds()[: arguments.rounds] for attempt in each]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        outcomes = pool.map(lambda attempt: outcome(arguments.work, data, attempt, arguments.minutes), attempts)
        found = dict(zip(attempts, outcomes, strict=True))
    write_table(arguments.out, page(found, arguments.minutes))
    print("CHOSEN =", {family: Choice((best := best_of(found, family)).rate, best.settings) for family in OURS})


if __name__ == "__main__":
    main()
