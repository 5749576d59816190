"""What to plan. Imports no torch: the settings are shown without it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from forearm.arms.settings import RobotSettings
from forearm.sim.names import TaskName


@dataclass(frozen=True)
class PlanSettings:
    """A goal (one of --joints, --picture, --like, --region, --object), a start (one of --start, --simulator, --robot),
    and how to look for actions."""

    joints: dict[str, float] = field(default_factory=dict)
    """Joint positions to reach, in the joints' units, such as shoulder_pan 30."""
    picture: tuple[Path, ...] = ()
    """Pictures to see, a PNG file for each camera, in the run's order and size."""
    mask: tuple[Path, ...] = ()
    """What of each --picture counts: a PNG file for each camera, black where it does not matter."""
    like: int | None = None
    """Row of the data whose first frame is to be seen."""
    region: tuple[str, int, int, int, int, Path] | None = None
    """CAMERA X Y WIDTH HEIGHT FILE: somewhere in that box of the camera's picture the crop in the file is to appear."""
    object: str | None = None
    """CAMERA:LEFT,TOP,RIGHT,BOTTOM: the box of an object in the camera's present picture, or CAMERA:X,Y for a point on
    it. Numbers up to 1 are shares of the picture's width and height, larger ones pixels of the run's size."""
    to: str | None = None
    """Where the middle of that --object is to be seen: CAMERA:X,Y, or a PNG file of that camera's picture, of the run's
    size, that shows it there."""
    keep: tuple[str, ...] = ()
    """CAMERA:LEFT,TOP,RIGHT,BOTTOM or CAMERA:X,Y, for each object that the arm may not move on its way."""
    start: int | None = None
    """Row of the data to start from, in the model's imagination alone."""
    simulator: int | None = None
    """Drive a simulated SO-101; the number decides its scene and its pose."""
    task: TaskName | None = None
    """With --simulator: the free objects of that task stand on the table. Without --object and --to it is said where
    the cameras see them."""
    data: Path | None = None
    """The dataset that --start and --like look in; that of the run's training by default."""
    planner: Literal["auto", "tree", "cem", "strokes", "carries", "waypoints"] = "auto"
    """tree: sequences of full moves; cem: the cross-entropy method, for values of any size; strokes: of the simulated
    gripper behind an --object, for runs whose actions move all joints by any amount; carries: an --object, or what
    --region shows, is grasped and put down, for such runs; waypoints: ways to --joints around what --keep names, for
    such runs; auto: what suits, which is never carries."""
    depth: int | None = None
    """Most actions that are looked ahead; by default 3, for strokes and carries 24, for waypoints 30."""
    width: int | None = None
    """For tree: go on from so many best sequences alone; by default from all if they are few, else from 4."""
    steps: int | None = None
    """Most actions that are taken; by default 12, for strokes, carries and waypoints 30."""
    action_duration: float | None = None
    """Seconds of an action, for runs that do not say it themselves; by default as in the run's data."""
    arm: RobotSettings = field(default_factory=RobotSettings)
    """Which real arm, and how it may be moved."""

    @property
    def robot(self) -> str | None:
        """The real arm's port, where one is driven."""
        return self.arm.robot
