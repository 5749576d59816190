"""``forearm learn``."""

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

from tyro.conf import OmitArgPrefixes

from forearm.arms.settings import RobotSettings
from forearm.commands.console import console, counting, has_screen
from forearm.commands.options import ROBOT, DatasetFolder, Device, RunFolder, ServingOptions, only_with
from forearm.learning.settings import LearnSettings


@dataclass(frozen=True)
class LearnOptions:
    run: RunFolder
    """The run to start from: of single actions, two frames a canvas. Its bounds are kept."""
    out: Path
    """The folder of what is learned. It goes on with one that it began."""
    simulator: int | None = None
    """Learn in the simulator, first in the scene of this number; all other scenes follow from it."""
    data: DatasetFolder = None
    """What the run was trained on; its own dataset by default."""
    device: Device = "auto"
    """Where to predict and train."""
    page: bool = True
    """Show the state on a page in the browser."""
    serving: OmitArgPrefixes[ServingOptions] = field(default_factory=ServingOptions)
    """Where its page is served."""
    learning: OmitArgPrefixes[LearnSettings] = field(default_factory=LearnSettings)
    """How to learn."""
    arm: OmitArgPrefixes[RobotSettings] = field(default_factory=RobotSettings)
    """Which real arm, and how it may be moved."""


RULES = (
    only_with("robot", *ROBOT),
    only_with("simulator", "push"),
    only_with("page", "host", "port", "allow_host", "open"),
)


def learn(options: LearnOptions) -> None:
    """Let an arm learn on: it predicts, acts, compares, records and trains.

    It ends at a target, at a plateau, or after so many actions.

    It also ends when there is a file OUT/STOP.

    OUT/run is always the best run so far.

    Interrupted, the same command goes on.

    Example: forearm learn run --simulator 7 --out learned
    """
    from forearm.learning.board import Board
    from forearm.learning.loop import Learner
    from forearm.learning.start import learn_from, world_words
    from forearm.learning.words import Teller

    board = Board(world_words(options.simulator, options.arm.robot))
    with contextlib.ExitStack() as stack:
        listening = None
        if options.page and not options.arm.dry_run:  # before a folder is begun
            from forearm.play.server import listen

            listening = stack.enter_context(listen(options.serving.host, options.serving.port))
        tell = Teller(stack.enter_context(counting("learning")), console)
        page: str | None = None

        def watch(learner: Learner) -> None:
            nonlocal page
            board.show(learner)
            if listening is not None and page is None:  # not before all that was given has been found to be sound
                from forearm.play.learn_app import served

                there, screen = options.serving, options.serving.open and has_screen()
                page = stack.enter_context(served(board, listening, there.host, there.allow_host, screen))
                print(page, flush=True)
            tell(learner)

        outcome = learn_from(
            options.run,
            options.out,
            options.learning,
            options.arm,
            simulator=options.simulator,
            data=options.data,
            device=options.device,
            console=console,
            watch=watch,
            ask=board.ask if options.page else None,
        )
    console.print(f"ended: {outcome}", soft_wrap=True)
    if not options.arm.dry_run:
        print(options.out / "run")
