"""``forearm export``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from forearm.base.errors import ForearmError
from forearm.commands.console import console, show_page
from forearm.commands.options import DatasetFolder, RunFolder, only_with


@dataclass(frozen=True)
class ExportOptions:
    run: RunFolder
    """The run to export."""
    onnx: Path | None = None
    """The ONNX file to write."""
    feed_back: bool = False
    """Give the file also what a prediction carries to the next one, for rollouts."""
    page: Path | None = None
    """The folder to write with a page that plays the run in a browser; it must not exist."""
    data: DatasetFolder = None
    """The dataset whose moments the page begins from; that of its training by default."""
    starts: int = 8
    """How many moments."""
    runtime: Path | None = None
    """A folder with the files of onnxruntime-web; by default npm fetches them once."""
    checkpoint: Literal["best", "last"] = "best"
    """Which weights."""


RULES = (only_with("onnx", "feed_back"), only_with("page", "data", "starts", "runtime"))


def export(options: ExportOptions) -> None:
    """Write a run for elsewhere: as ONNX, or as a page that plays it.

    What is written answers as PyTorch does, to 1e-4, or nothing is written.

    The page needs no server and no network.

    Example: forearm export run --onnx run.onnx --page run-page
    """
    from forearm.base.files import require_absent
    from forearm.export.onnx_file import export_onnx
    from forearm.play.offline import export_page
    from forearm.training.run import Run

    if options.onnx is None and options.page is None:
        raise ForearmError("nothing is to be written; give --onnx FILE or --page FOLDER")
    if options.page is not None:
        require_absent(options.page, "--page")  # before the other one is written
    run = Run.open(options.run)
    if options.onnx is not None:
        difference = export_onnx(run, options.onnx, options.checkpoint, options.feed_back)
        console.print(f"differs from PyTorch by {difference:.1e} at most", soft_wrap=True)
        print(options.onnx)
    if options.page is not None:
        page = export_page(
            run,
            options.page,
            data=options.data,
            starts=options.starts,
            checkpoint=options.checkpoint,
            runtime_folder=options.runtime,
        )
        console.print(
            f"{page.starts} moments, {page.bytes / 1e6:.1f} MB; differs from PyTorch by {page.difference:.1e} at most",
            soft_wrap=True,
        )
        show_page(page.index)
