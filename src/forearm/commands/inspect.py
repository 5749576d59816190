"""``forearm inspect``."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from forearm.commands.console import drawing, show
from forearm.commands.options import Anything, Device, only_with


@dataclass(frozen=True)
class InspectOptions:
    path: Anything
    """A folder, or the Hub id of a recording."""
    pictures: Path | None = None
    """A PNG file to write some of its canvases or pictures to."""
    html: Path | None = None
    """A page to write, on which its canvases can be browsed by action, joint, episode and error; only an earlier such
    page there is replaced."""
    samples: int = 200
    """How many canvases the page shows at most; all actions, joints and episodes are among them."""
    data: Path | None = None
    """The dataset that the page shows a run on; the validation part of its own data by default."""
    device: Device = "auto"
    """Where a run predicts what the page shows."""


RULES = (only_with("html", "samples", "data", "device"),)


def inspect(options: InspectOptions) -> None:
    """Say what a recording, a dataset of transitions or a run is and holds.

    Example: forearm inspect data --html data.html
    """
    from forearm.report.browse import save_gallery
    from forearm.report.inspection import facts_of, save_pictures

    show(facts_of(options.path), Console(highlight=False))
    if options.pictures is not None:
        save_pictures(options.path, options.pictures)
        print(options.pictures)
    if options.html is not None:
        with drawing() as watch:
            save_gallery(
                options.path,
                options.html,
                samples=options.samples,
                data=options.data,
                device=options.device,
                watch=watch,
            )
        print(options.html)
