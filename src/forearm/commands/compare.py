"""``forearm compare``."""

from dataclasses import dataclass
from pathlib import Path

from forearm.commands.console import counting, show_page
from forearm.commands.options import DatasetFolder, Device, Runs


@dataclass(frozen=True)
class CompareOptions:
    runs: Runs
    """The runs."""
    out: Path = Path("comparison.html")
    """The page to write; only an earlier comparison there is replaced."""
    data: DatasetFolder = None
    """The dataset to compare on: all episodes that neither trained one of the runs nor chose its best weights. By
    default those of each run's own validation data, which have to be the same samples for all."""
    device: Device = "auto"
    """Where to predict."""


def compare(options: CompareOptions) -> None:
    """Compare runs and baselines on the same samples.

    Runs that have not been evaluated on them are evaluated first.

    Example: forearm compare run_a run_b --out comparison.html
    """
    from forearm.report.comparison import compare as compare_runs

    page = compare_runs(
        *(options.runs, options.out),
        data=options.data,
        device=options.device,
        watching=lambda name: counting(f"evaluating {name}"),
    )
    show_page(page)
