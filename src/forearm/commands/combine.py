"""``forearm combine``."""

from dataclasses import dataclass
from pathlib import Path

from forearm.commands.console import show
from forearm.commands.options import Datasets


@dataclass(frozen=True)
class CombineOptions:
    datasets: Datasets
    """Two or more datasets that forearm build wrote."""
    out: Path
    """The folder to write; it must not exist."""


def combine(options: CombineOptions) -> None:
    """Put datasets of transitions together.

    Every episode stays in training or in validation, as it was.

    Strips are drawn anew with common bounds.

    Example: forearm combine data_a data_b --out data
    """
    from forearm.report.inspection import facts_of
    from forearm.transitions.combine import combine as combine_into
    from forearm.transitions.store import TransitionSet

    combine_into([TransitionSet(path) for path in options.datasets], options.out)
    show(facts_of(options.out))
    print(options.out)
