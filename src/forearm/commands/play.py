"""``forearm play``."""

from dataclasses import dataclass, field
from typing import Literal

from tyro.conf import OmitArgPrefixes

from forearm.commands.console import has_screen
from forearm.commands.options import DatasetFolder, Device, RunFolder, ServingOptions


@dataclass(frozen=True)
class PlayOptions:
    run: RunFolder
    """The run to play with."""
    data: DatasetFolder = None
    """The dataset whose frames to begin from; that of its training by default."""
    simulator: int | None = None
    """A scene of the simulated SO-101 by number: it begins there and does everything that you do."""
    checkpoint: Literal["best", "last"] = "best"
    """Which weights."""
    device: Device = "auto"
    """Where to predict."""
    serving: OmitArgPrefixes[ServingOptions] = field(default_factory=ServingOptions)
    """Where its page is served."""


def play(options: PlayOptions) -> None:
    """Steer what a run imagines, on a page in the browser.

    The page previews every action. Ctrl-C ends it.

    Example: forearm play run --simulator 7
    """
    from forearm.play.access import Access
    from forearm.play.app import make_app
    from forearm.play.server import address, listen, serve
    from forearm.play.stage import open_stage

    with listen(options.serving.host, options.serving.port) as listening:
        stage = open_stage(
            options.run,
            data=options.data,
            simulator=options.simulator,
            checkpoint=options.checkpoint,
            device=options.device,
        )
        access = Access.of(options.serving.host, options.serving.allow_host)
        app, page = make_app(stage, access), address(listening, options.serving.host, access.token)
        print(page, flush=True)
        serve(app, listening, show=page if options.serving.open and has_screen() else None)
