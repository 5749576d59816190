"""What a session with an arm is made of: a run, an arm, real or simulated, and a folder for its trials."""

import contextlib
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from forearm.arms import Manipulator
from forearm.arms.keyboard import Keyboard
from forearm.base.devices import device_named
from forearm.base.errors import ForearmError
from forearm.batch import present
from forearm.canvas import Layout
from forearm.play.live import ArmEnvironment, LiveSession
from forearm.play.session import Start
from forearm.play.settings import LiveSettings
from forearm.play.stage import Stage
from forearm.play.starts import require_number
from forearm.play.trials import TrialFolder
from forearm.training.run import Checkpoint, Run

FPS = 30
"""Frames a second of recordings, where the run does not know those of its own."""


class StopSwitch(Keyboard):
    """Stops an arm: at the press of any key of the terminal, and of a button on the page."""

    def __init__(self) -> None:
        super().__init__()
        self._is_pressed, self.is_asking = threading.Event(), False

    def pressed(self) -> bool:
        return self._is_pressed.is_set() or super().pressed()

    def answer(self) -> str:
        self.forget()
        self.is_asking = True
        try:
            while not super().pressed():
                if self._is_pressed.wait(0.05):
                    return ""
            return self.read()
        finally:
            self.is_asking = False

    def press(self) -> None:
        """Stop the arm; from any thread."""
        self._is_pressed.set()

    def let_go(self) -> None:
        """Let the arm move again when it is told to; keys that were pressed are forgotten."""
        self._is_pressed.clear()
        self.forget()


class ArmSource:
    """Where an arm stands. A simulated one can be put at poses by their number; another one has one start, here.

    Args:
        arm: whose starts these are.
        title: to show.
        scene: the number of the scene that a simulated arm is in.
        place: puts a simulated arm at the pose of a number.
    """

    usual = 0

    def __init__(
        self,
        arm: Manipulator,
        title: str,
        scene: int | None = None,
        place: Callable[[int], None] | None = None,
    ):
        self.arm, self.title, self._place = arm, title, place
        self.fps = round(arm.layout.cameras[0].fps or FPS)
        """At which actions are filmed."""
        self.facts = {} if scene is None else {"session_seed": scene}
        """What every episode is told beside its session."""
        self.name, self.counts, self.count = ("simulator", "pose", 1_000_000) if place else ("robot", "pose", 1)
        self._world = ArmEnvironment(arm, self.fps)

    def begin(self, number: int) -> Start:
        """The start of a number; the arm is then there."""
        require_number(number, self.count)
        if self._place:
            self._place(number)
        note = f"{self.title}, pose {number}" if self._place else self.title
        context = present(self.arm.layout, self._world.reset(None))
        return Start(self.name, number, context, self._world, note)


@dataclass(frozen=True)
class LiveStage:
    """What a session with an arm is made of."""

    stage: Stage
    """The run; its only source is that of the arm."""
    source: ArmSource
    """The arm, and where it stands."""
    folder: TrialFolder
    """Open for recording."""
    switch: StopSwitch
    """Stops what the arm does."""

    def session(self) -> LiveSession:
        """The session, from where the arm stands; to be called on the arm's thread."""
        start = self.source.begin(self.source.usual)
        return LiveSession(self.stage.predictor, start, self.folder, self.source.facts, self.stage.device)

    def to_json(self) -> dict[str, Any]:
        """What the page has to know once."""
        return {**self.stage.to_json(), "kind": "live", "folder": str(self.folder.path)}


@contextlib.contextmanager
def open_live(
    run_path: Path,
    settings: LiveSettings,
    out: Path | None = None,
    *,
    checkpoint: Checkpoint = "best",
    device: str = "auto",
    console: Console | None = None,
) -> Iterator[LiveStage]:
    """Open a run and an arm for the length of a block, and a folder for the trials.

    Args:
        run_path: the run's folder.
        settings: which arm.
        out: where trials are kept; one that holds some of the same run and arm is gone on with. By default a folder
            named after the run, here.
        checkpoint: which weights.
        device: where to predict.
        console: where a person is told of the arm, and asked whether it may move.

    Raises:
        ForearmError: no arm is chosen or two are, the run does not fit it, it does not answer, or the folder holds
            something else.
    """
    port = settings.arm.robot
    if (settings.simulator is None) == (port is None):
        raise ForearmError("choose one arm: --simulator SCENE or --robot PORT")
    target, run = device_named(device), Run.open(run_path)
    layout, switch = run.layout(), StopSwitch()
    source = simulated_source(layout, settings) if port is None else _robot(layout, settings, switch, console)
    arm = source.arm
    chosen = {
        "run": str(run.path.resolve()),
        "simulator": settings.simulator,
        "task": settings.task,
        "robot": port and (settings.arm.robot_id or port),
    }
    stage = Stage.of(run, [source], checkpoint, target)
    with _folder(out or Path(f"{run.name}-live"), settings) as path:
        folder = TrialFolder(path, arm.spec(source.fps), chosen)
        with folder.recording(), arm.connected():
            yield LiveStage(stage, source, folder, switch)


@contextlib.contextmanager
def _folder(out: Path, settings: LiveSettings) -> Iterator[Path]:
    """Where trials are kept: nowhere for long in a dry run, whose actions were not carried out."""
    if not settings.arm.dry_run:
        yield out
        return
    with tempfile.TemporaryDirectory() as nowhere:
        yield Path(nowhere) / "dry-run"


def _robot(layout: Layout, settings: LiveSettings, switch: StopSwitch, console: Console | None) -> ArmSource:
    """A real arm."""
    from forearm.arms.robot import open_robot_arm

    duration = settings.action_duration
    arm = open_robot_arm(layout, settings.arm, duration=duration, keyboard=switch, console=console)
    return ArmSource(arm, f"SO-101 at {settings.arm.robot}")


def simulated_source(layout: Layout, settings: LiveSettings) -> ArmSource:
    """A simulated arm, at poses that are drawn with the free objects of the task, where there is one.

    Raises:
        ForearmError: the layout is not of simulated recordings, or there is no such scene.
    """
    from forearm.sim.arm import SimulatedArm
    from forearm.sim.tasks import TASKS, pose_task

    task, scene = TASKS[settings.task] if settings.task else None, settings.simulator
    assert scene is not None
    arm = SimulatedArm.in_scene(layout, scene, settings.action_duration, task.world if task else None)

    def place(number: int) -> None:
        random = np.random.default_rng([scene, number])
        if task:
            pose_task(arm.simulator, task, random)
        else:
            arm.settle(number % len(layout.actions), random)

    return ArmSource(arm, f"simulated SO-101, scene {scene}", scene, place)
