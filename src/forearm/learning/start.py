"""From a run and a world's name to learning."""

import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from forearm.arms.robot import open_robot_arm
from forearm.arms.settings import RobotSettings
from forearm.base.errors import ForearmError
from forearm.learning.folder import LearnFolder
from forearm.learning.loop import Learner
from forearm.learning.settings import LearnSettings
from forearm.learning.worlds import RobotWorld
from forearm.training.run import Run

DRY = "a dry run: nothing was moved, recorded or trained"


def world_words(simulator: int | None, port: str | None) -> str:
    """Where learning happens, in words.

    Raises:
        ForearmError: nowhere, or in two worlds at once.
    """
    if (simulator is None) == (port is None):
        raise ForearmError("say where to learn: --simulator SCENE, or --robot PORT for a real arm")
    return f"in the simulator, from scene {simulator} on" if port is None else f"on the arm at {port}"


def learn_from(
    run: Path | str,
    out: Path | str,
    settings: LearnSettings = LearnSettings(),  # noqa: B008 (frozen)
    robot: RobotSettings = RobotSettings(),  # noqa: B008 (frozen)
    *,
    simulator: int | None = None,
    data: Path | None = None,
    device: str = "auto",
    console: Console | None = None,
    watch: Callable[[Learner], None] = lambda learner: None,
    ask: Callable[[str], None] | None = None,
) -> str:
    """Let an arm learn on; returns why it ended.

    Args:
        run: where learning starts.
        out: the folder of what is learned.
        settings: how to learn.
        robot: which real arm, if one is named.
        simulator: the first scene of the simulator, if it is to be learned there.
        data: what the run was trained on; its own dataset by default.
        device: where to predict and train.
        console: where a person is told what the arm does, and asked.
        watch: is called after every action and at every stage.
        ask: asks a person to rearrange the scene, and returns when it is done; on the console by default.

    Raises:
        ForearmError: a run, data or settings do not fit, nobody can be asked, or the arm fails; finished actions are
            kept.
        KeyboardInterrupt: likewise.
    """
    world_words(simulator, robot.robot)
    settings.require_sound()
    first = Run.open(run)
    base, folder = first.data(data), LearnFolder(Path(out))
    if simulator is not None:
        from forearm.learning.simulated import SimulatedWorld  # a real arm needs no MuJoCo

        world = SimulatedWorld(first.layout(), simulator, settings.push)
        return Learner(first, base, settings, world, folder, device, watch).learn()
    console = console or Console(stderr=True, emoji=False)
    if ask is None and (settings.rearrange_every or settings.wide) and not sys.stdin.isatty():
        raise ForearmError(
            "nobody can be asked to rearrange the scene; leave out --no-page, or give --rearrange-every 0 --wide 0"
        )

    def asked(wanted: str) -> None:
        console.print(f"Please {wanted}.", soft_wrap=True)
        if ask is not None:
            ask(wanted)
        else:
            console.input("Press Enter when it is done. ")

    arm = open_robot_arm(first.layout(), robot, console=console)
    with arm.connected():
        if robot.dry_run:
            arm.observe()
            console.print(f"It would record {settings.actions} actions, and train after each cycle.", soft_wrap=True)
            return DRY
        return Learner(first, base, settings, RobotWorld(arm, asked), folder, device, watch).learn()
