"""``forearm evaluate``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from forearm.commands.console import counting, show_page
from forearm.commands.options import DatasetFolder, Device, OtherRun, RunFolder, not_with
from forearm.transitions.split import MOST_REPORTED


@dataclass(frozen=True)
class EvaluateOptions:
    run: RunFolder
    """The run to score."""
    data: DatasetFolder = None
    """The dataset to score on; that of its training by default."""
    split: Literal["auto", "val", "all"] = "auto"
    """auto: the episodes that neither trained the run nor chose its best weights, also of a copied or combined dataset;
    val: all validation episodes of the dataset; all: all of it."""
    rows: int = MOST_REPORTED
    """How many transitions to score at most, drawn equally from the episodes and always the same; 0 for all."""
    checkpoint: Literal["best", "last"] = "best"
    """Which weights."""
    notes: Path | None = None
    """A text file with the experimenter's notes, shown in the report; those of the training by default."""
    against: OtherRun = None
    """Another run, evaluated before, to show beside this one; its parent by default."""
    samples: int = 8
    """How many samples to draw with what is predicted under each action."""
    rollouts: int = 24
    """On how many recorded paths to feed predictions back; 0 for none."""
    horizon: int = 60
    """How many steps at most, as far as the dataset holds paths that long."""
    batch_size: int = 16
    """How many canvases at a time."""
    device: Device = "auto"
    """Where to predict."""


RULES = (not_with("rollouts=0", "horizon"), not_with("horizon=0", "rollouts"))


def evaluate(options: EvaluateOptions) -> None:
    """Score a run and write metrics.json, report.html and grids into its folder.

    Example: forearm evaluate run
    """
    from forearm.report.assessment import assess

    with counting("evaluating") as watch:
        settings = {"most" if name == "rows" else name: value for name, value in vars(options).items()}
        report = assess(**settings, watch=watch)
    show_page(report)
