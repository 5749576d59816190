"""How recordings become transitions. Imports nothing slow: the settings are shown at once."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from forearm.base.errors import ForearmError
from forearm.canvas import PRESETS, Fit
from forearm.canvas.layout import ActionMeaning
from forearm.recordings.episode import selected

Storage = Literal["raw", "jpeg"]
StorageChoice = Literal["auto", "raw", "jpeg"]
Actions = Literal["auto", "log", "change", "command", "column", "dominant"]


@dataclass(frozen=True)
class BuildConfig:
    """How recordings become transitions."""

    preset: str = "tiny"
    """Pixel sizes: tiny (64×64 cameras, patch 8) or so101 (224×224, patch 16)."""
    size: int | None = None
    """Side of each camera's square picture, if not the preset's."""
    cameras: tuple[str, ...] = ()
    """Cameras to use, in this order; all by default."""
    fit: Fit = "squeeze"
    """How pictures that are not square become square: squeeze them, crop to the middle, or letterbox with black."""
    stacking: Literal["vertical", "horizontal"] = "vertical"
    """How the cameras of a frame stand: below each other or side by side."""
    history: int | None = None
    """Frames per canvas; by default 2 with a log, with dominant and in short episodes, else 3, of which the first two
    tell how fast joints move."""
    actions: Actions = "auto"
    """log: the decisions of a discrete-action log. change: how the joints changed. command: the recorded action; column
    is its older name. dominant: the joint that changed most, up or down. auto: log where there is a log, command where
    joints answer the recorded action, else change."""
    action_is: ActionMeaning | None = None
    """For command: target, where joints are to go; delta, by how much; velocity, how fast. By default it is found out
    from the states."""
    step: float | None = None
    """Seconds from frame to frame (a log brings its own); by default 0.1 to 0.2, by how fast the picture changes."""
    stride: float = 0.1
    """Seconds from the start of a transition to the start of the next (a log brings its own)."""
    units: tuple[str, ...] = ()
    """Units of the joints: one for all, or by joint or group, such as deg gripper=% or left_*=rad; deg, rad, %, ticks,
    m, mm or none. By default those that the recording declares, else guesses, which never move a robot."""
    camera_lag: float = 0.0
    """Seconds by which pictures are late: each is put beside the joints of so long before."""
    dead_band: float = 0.15
    """For dominant: share of a typical step below which the action is STAY."""
    val: float = 0.12
    """Share of the episodes to validate on; 1 makes a pure test set."""
    seed: int = 0
    """Of the draw of validation episodes."""
    bounds: Path | None = None
    """Joints' bounds, so that strips keep their meaning as data grow: a run, a dataset, or a JSON file such as
    {"shoulder_pan": [-90, 90]}. Joints without any get those of the training part, as all do by default."""
    episodes: str = ""
    """Indices of the episodes to use, such as 0:50,60 (0 to 49, and 60); all by default."""
    exclude: str = ""
    """Indices of episodes to leave out, such as 3,7."""
    trim_idle: bool = False
    """Leave out the rows before the first joint moves and after the last one stops."""
    revision: str | None = None
    """Branch, tag or commit of a recording on the Hub; user/name@revision says it for one of several."""
    follow_links: bool = False
    """Follow links that lead out of a recording's folder."""
    storage: StorageChoice = "auto"
    """raw keeps frames exactly, jpeg takes a sixth to a twelfth of the room. auto: raw up to 2 GB of frames."""

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ForearmError(f"no preset {self.preset!r}; there are {', '.join(PRESETS)}")
        for name in ("step", "stride"):
            if getattr(self, name) is not None and not 0 < getattr(self, name) < math.inf:
                raise ForearmError(f"{name} is {getattr(self, name)} seconds; it has to be positive")
        if not 0 <= self.camera_lag <= 1:
            raise ForearmError(f"camera_lag is {self.camera_lag} seconds; it has to lie between 0 and 1")
        if self.seed < 0:
            raise ForearmError(f"seed is {self.seed}; choose a number from 0 up")
        for name in ("val", "dead_band"):
            if not 0 <= getattr(self, name) <= 1:
                raise ForearmError(f"{name} is {getattr(self, name)}; it has to lie between 0 and 1")
        for name in ("episodes", "exclude"):
            selected(getattr(self, name), ())
