"""``forearm play``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from forearm.commands.console import has_screen
from forearm.commands.options import Device, RunFolder


@dataclass(frozen=True)
class PlayOptions:
    run: RunFolder
    """The run to play with."""
    data: Path | None = None
    """The dataset whose frames to begin from; that of its training by default."""
    simulator: int | None = None
    """A scene of the simulated SO-101 by number: it begins there and does everything that you do."""
    checkpoint: Literal["best", "last"] = "best"
    """Which weights."""
    host: str = "127.0.0.1"
    """Where to listen; by default for this machine alone. Anywhere else needs the token that is printed."""
    port: int = 8000
    """Where to listen; 0 for any port that is free."""
    allow_host: tuple[str, ...] = ()
    """Further names under which the page may be opened, such as that of a proxy before it."""
    open: bool = True
    """Show the page in a browser, where there is a screen."""
    device: Device = "auto"
    """Where to predict."""


def play(options: PlayOptions) -> None:
    """Steer what a run imagines, on a page in the browser.

    The page previews every action. Ctrl-C ends it.

    Example: forearm play run --simulator 7
    """
    from forearm.play.access import Access
    from forearm.play.app import make_app
    from forearm.play.server import address, listen, serve
    from forearm.play.stage import open_stage

    with listen(options.host, options.port) as listening:
        stage = open_stage(
            options.run,
            data=options.data,
            simulator=options.simulator,
            checkpoint=options.checkpoint,
            device=options.device,
        )
        access = Access.of(options.host, options.allow_host)
        app, page = make_app(stage, access), address(listening, options.host, access.token)
        print(page, flush=True)
        serve(app, listening, show=page if options.open and has_screen() else None)
