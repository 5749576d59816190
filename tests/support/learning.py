"""An arm of two joints that draws itself in a moment, a run that knows it a little, and learning with both."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from forearm.arms.arm import recording_spec
from forearm.canvas import ActionDimension, Camera, Joint, Layout
from forearm.learning.cells import Cell
from forearm.learning.folder import LearnFolder
from forearm.learning.loop import Learner
from forearm.learning.settings import LearnSettings
from forearm.models import family_settings
from forearm.recordings import EpisodeData
from forearm.training.config import TrainConfig
from forearm.training.loop import start_run, train
from forearm.training.run import Run
from support.tiny import DELTA, make_layout, picture, write_data

SMALL = {"width": 8, "levels": 2, "layers": 1}
SHORT = {"verify": 1, "explore": 2, "locked": 3, "wide": 2, "wide_scenes": 2, "steps": 1, "bins": 3, "patience": 0}
FPS = 2


def bar_layout(**changes) -> Layout:
    """Two cameras of 16×16 and two joints that single actions move."""
    cameras = tuple(Camera(name, 16, 16, (16, 16), FPS) for name in ("base", "wrist"))
    actions = tuple(ActionDimension(name, name, "deg", DELTA) for name in ("pan", "lift"))
    joints = tuple(Joint(name, "deg", -45, 45, 15, unit_origin="declared") for name in ("pan", "lift"))
    usual = {"cameras": cameras, "joints": joints, "actions": actions, "patch": 8, "separator": 8}
    usual["action_duration"] = 0.5
    return make_layout(**usual | changes)


class BarArm:
    """A `forearm.arms.Manipulator` whose bar stands where pan says, before a background that the scene decides."""

    duration = 0.5

    def __init__(self, layout: Layout, on_film: Callable[[], None] = lambda: None):
        self.layout, self.on_film, self.scene = layout, on_film, (0, False)
        self.joints = np.zeros(2, np.float32)

    def connected(self):
        return contextlib.nullcontext(self)

    def spec(self, fps):
        return recording_spec(("pan", "lift"), ("deg", "deg"), {"base": (16, 16), "wrist": (16, 16)}, fps)

    def move_to(self, pose):
        self.joints = np.array([pose["pan"], pose["lift"]], np.float32)

    def film(self, action, fps):
        self.on_film()
        background = np.random.default_rng([*map(int, self.scene)]).integers(0, 120, (32, 16, 3)).astype(np.uint8)
        states = np.stack([self.joints, self.joints + DELTA * action.values])
        frames = np.stack([picture(self.layout, pan, background) for pan in states[:, 0]])
        pictures = {"observation.images.base": frames[:, :16], "observation.images.wrist": frames[:, 16:]}
        return EpisodeData(fps, states, states, pictures)


class BarWorld:
    """A `forearm.learning.worlds.World` of a `BarArm`, which remembers the scenes that it was brought to."""

    def __init__(self, layout: Layout, on_film: Callable[[], None] = lambda: None):
        self.arm, self.scenes = BarArm(layout, on_film), []

    @property
    def scene_seed(self) -> int:
        return 100 * self.arm.scene[1] + self.arm.scene[0]

    def enter(self, scene: int, wide: bool, told: bool) -> None:
        self.arm.scene = (scene, wide)
        self.scenes.append((scene, wide, told))

    def allows(self, pose: np.ndarray, cell: Cell) -> bool:
        return True

    def rest(self, pose: np.ndarray) -> None:
        self.arm.move_to(dict(zip(("pan", "lift"), pose.tolist(), strict=True)))


def bar_run(folder: Path, family: str = "warp", **changes) -> Run:
    """A run that was trained for two steps on episodes in which pan moves, and its dataset beside it."""
    data = write_data(folder / "data", bar_layout(**changes), episodes=6, length=2)
    settings = family_settings(family, "tiny", SMALL if family == "warp" else {})
    run = start_run(folder / "run", family, settings, TrainConfig(steps=2, batch_size=4, warmup=1), data)
    train(run, data, device="cpu")
    return run


def learner(run: Run, out: Path, world: BarWorld | None = None, watch=lambda learner: None, **changes) -> Learner:
    """A learner of a bar."""
    settings = LearnSettings(**SHORT | {"actions": 6, "rearrange_every": 2} | changes)
    return Learner(run, run.data(), settings, world or BarWorld(run.layout()), LearnFolder(out), "cpu", watch)
