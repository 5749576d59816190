"""``forearm combine``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from forearm.commands.console import show
from forearm.commands.options import Datasets
from forearm.transitions.settings import StorageChoice


@dataclass(frozen=True)
class CombineOptions:
    datasets: Datasets
    """Two or more datasets that forearm build wrote."""
    out: Path
    """The folder to write; it must not exist."""
    bounds: Path | None = None
    """Joints' bounds: a run, a dataset, or a JSON file such as {"shoulder_pan": [-90, 90]}. By default those of all
    training parts."""
    storage: Annotated[StorageChoice, tyro.conf.arg(metavar="KIND")] = "auto"
    """auto, raw or jpeg: raw keeps frames exactly, jpeg takes a sixth to a twelfth of the room. auto takes jpeg where
    some frames are, or beyond 2 GB."""
    weights: tuple[float, ...] = ()
    """How often trainings draw the transitions of each dataset beside the others', such as 1 4; alike by default."""


def combine(options: CombineOptions) -> None:
    """Put datasets of transitions together.

    Every episode stays in training or in validation, as it was.

    Strips are drawn anew with common bounds.

    Example: forearm combine data_a data_b --out data
    """
    from forearm.report.inspection import facts_of
    from forearm.transitions.bounds import read_bounds
    from forearm.transitions.combine import combine as combine_into
    from forearm.transitions.store import TransitionSet

    bounds = read_bounds(options.bounds) if options.bounds else None
    sets = [TransitionSet(path) for path in options.datasets]
    combine_into(sets, options.out, bounds, options.storage, options.weights)
    show(facts_of(options.out))
    print(options.out)
