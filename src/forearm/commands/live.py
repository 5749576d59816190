"""``forearm live``."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import OmitArgPrefixes

from forearm.base.errors import ForearmError
from forearm.commands.console import console, has_screen
from forearm.commands.options import ROBOT, Device, RunFolder, ServingOptions, not_with, only_with
from forearm.play.settings import LiveSettings

if TYPE_CHECKING:
    from forearm.play.live_stage import LiveStage


@dataclass(frozen=True)
class LiveOptions:
    run: RunFolder
    """The run that predicts."""
    out: Path | None = None
    """The folder where trials are kept, as LeRobot v3.0 recordings and as a table; one that holds some of the same run
    and arm is gone on with. By default RUN-live, here."""
    trials: int | None = None
    """Carry out random actions until so many trials are kept, and print a table of them, without a page."""
    seed: int = 0
    """Decides the random actions."""
    checkpoint: Literal["best", "last"] = "best"
    """Which weights."""
    device: Device = "auto"
    """Where to predict."""
    serving: OmitArgPrefixes[ServingOptions] = field(default_factory=ServingOptions)
    """Where its page is served."""
    live: OmitArgPrefixes[LiveSettings] = field(default_factory=LiveSettings)
    """Which arm, and how it may be moved."""


RULES = (
    only_with("simulator", "task"),
    only_with("robot", *ROBOT),
    only_with("trials", "seed"),
    not_with("trials", "host", "port", "allow_host", "open"),
)


def live(options: LiveOptions) -> None:
    """Predict what an action will show, let an arm carry it out, and compare.

    All of that happens on a page in the browser.

    The arm is a simulated SO-101 or a real one. It moves when you press Execute.

    Every trial is kept. Ctrl-C ends the session.

    Example: forearm live run --simulator 7
    """
    if options.seed < 0:
        raise ForearmError(f"seed is {options.seed}; choose a number from 0 up")
    if options.trials is None:
        _serve(options)
    elif options.trials >= 1:
        _try(options, options.trials)
    else:
        raise ForearmError(f"trials is {options.trials}; choose at least 1")


def _opened(options: LiveOptions) -> AbstractContextManager["LiveStage"]:
    from forearm.play.live_stage import open_live

    return open_live(
        *(options.run, options.live, options.out),
        checkpoint=options.checkpoint,
        device=options.device,
        console=console,
    )


def _try(options: LiveOptions, trials: int) -> None:
    """Carry out random actions, and print a table of them."""
    from forearm.play.random_trials import random_trials, table

    with _opened(options) as stage:
        for row in table(stage.folder.trials, random_trials(stage.session(), trials, options.seed)):
            print(row, flush=True)
    if stage.folder.recording_path.exists():  # else a dry run, or as many trials were kept before
        print(stage.folder.recording_path)


def _serve(options: LiveOptions) -> None:
    """Show the page until Ctrl-C."""
    from forearm.play.access import Access
    from forearm.play.live_app import LiveApp, make_live_app
    from forearm.play.server import address, listen, serve

    with listen(options.serving.host, options.serving.port) as listening, _opened(options) as stage:
        worker = ThreadPoolExecutor(1, thread_name_prefix="arm")
        session = worker.submit(stage.session).result()
        app, access = LiveApp(stage, session, worker), Access.of(options.serving.host, options.serving.allow_host)
        page = address(listening, options.serving.host, access.token)
        print(page, flush=True)
        try:
            serve(
                make_live_app(app, access),
                listening,
                show=page if options.serving.open and has_screen() else None,
                at_once=False,
            )
        finally:
            app.stop()
            worker.shutdown()
