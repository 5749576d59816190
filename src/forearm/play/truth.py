"""Where dreams begin, and what truly comes of actions there: recorded moments, or the simulator standing beside."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from forearm.batch import Batch, present
from forearm.canvas import CODE_NAMES, Layout, action_codes, as_uint8
from forearm.errors import ForearmError
from forearm.media.words import action_words
from forearm.transitions import TransitionSet

if TYPE_CHECKING:
    from forearm.sim import Snapshot

SAME = 1e-3
"""Up to which difference of any amount two actions are the same."""
DURATION = 0.5
"""Seconds that an action of the simulated arm takes, as in its recordings."""


@dataclass(frozen=True)
class Action:
    """What can be done: amounts (A,) float32 in [−1, 1], and the action entry that the decision is about."""

    amounts: np.ndarray
    entry: int

    @cached_property
    def code(self) -> int:
        """STAY, MOVE_PLUS or MOVE_MINUS."""
        return int(action_codes(self.amounts[None])[0])

    def equals(self, other: "Action") -> bool:
        """Whether both do the same, whatever they are about."""
        return bool(np.abs(self.amounts - other.amounts).max() <= SAME)

    def in_words(self, layout: Layout) -> str:
        """The action as one says it, such as "MOVE+ shoulder_pan +10°"."""
        words, code = action_words(layout, self.amounts), CODE_NAMES[self.code]
        return words if words == code else f"{code} {words}"


class Truth(Protocol):
    """What truly is at one place of a path. Nothing about it ever changes, so whoever goes back finds it again."""

    @property
    def picture(self) -> np.ndarray:
        """The cameras, (h, w, 3) uint8."""

    @property
    def joints(self) -> np.ndarray:
        """Positions, (J,) in the joints' units."""

    def recorded(self) -> Action | None:
        """What was done here when it was recorded."""

    def after(self, action: Action) -> "Truth | None":
        """What truly comes of an action; None where nobody knows."""


@dataclass(frozen=True)
class Start:
    """A moment from which to dream.

    context: of one, as the model is given it. truth: what is there. note: a few words on where this is from.
    """

    source: str
    number: int
    context: Batch
    truth: Truth
    note: str


class Source(Protocol):
    """Starts by number, from 0 on; ``usual`` is the one to show first."""

    name: str
    count: int
    usual: int

    def begin(self, number: int) -> Start:
        """The start of a number.

        Raises:
            ForearmError: there is none.
        """


class Recording:
    """The recorded moments of a dataset; the truth is known for as long as one does what was done then.

    Raises:
        ForearmError: the dataset is empty, or does not fit the layout.
    """

    name = "recording"

    def __init__(self, data: TransitionSet, layout: Layout, whose: str):
        data = data.with_layout(layout, whose)
        if not len(data):
            raise ForearmError(f"{data.path} has no moments to begin from; build it from recordings that have")
        self.data, self.layout = data, layout
        self.count = len(data)
        unseen = data.rows("val")
        self.usual = int(unseen[0]) if len(unseen) else 0
        self.following = np.full(self.count, -1)  # by row, the transition that goes on from it
        row, follower = data.paths(2).T
        self.following[row] = follower

    def begin(self, number: int) -> Start:
        _require_number(number, self.count)
        data, rows = self.data, np.array([number])
        told = data.episodes[data.columns.episodes[number]]
        part = "validation" if data.columns.validation[number] else "training"
        return Start(
            self.name,
            number,
            data.batch(rows).context(),
            RecordedTruth(self, int(data.columns.frames[number, -2]), number),
            f"episode {told['index']} of {told['recording']}, {part}",
        )


@dataclass(frozen=True)
class RecordedTruth:
    """A recorded frame, and the row of the transition that goes on from it; −1: none does."""

    source: Recording
    frame: int
    row: int

    @property
    def picture(self) -> np.ndarray:
        return np.asarray(self.source.data.frames[self.frame])

    @property
    def joints(self) -> np.ndarray:
        return np.asarray(self.source.data.states[self.frame])

    def recorded(self) -> Action | None:
        return None if self.row < 0 else self._action(self.row)

    def after(self, action: Action) -> "RecordedTruth | None":
        if self.row < 0:
            return None
        data = self.source.data
        for row in data.outcome_rows[self.row].tolist():
            if row >= 0 and self._action(row).equals(action):
                follower = int(self.source.following[row])
                return RecordedTruth(self.source, int(data.columns.frames[row, -1]), follower)
        return None

    def _action(self, row: int) -> Action:
        data, rows = self.source.data, np.array([row])
        return Action(data.amounts(rows)[0, -1], int(data.columns.entries[row]))


class Simulation:
    """Random poses of the simulated SO-101 in one scene; its truth is known whatever one does.

    Everything of it has to be called from one thread, as OpenGL wants it.

    Args:
        layout: of the model.
        seed: decides the scene and the poses.

    Raises:
        ForearmError: the seed is negative, or the layout has cameras, joints or actions that the simulator has not.
    """

    name = "simulator"
    count = 1_000_000
    usual = 0

    def __init__(self, layout: Layout, seed: int):
        from forearm.sim import CAMERAS, JOINTS, Simulator

        if seed < 0:
            raise ForearmError(f"the simulator's seed is {seed}; choose a number from 0 up")
        self.layout, self.seed = layout, seed
        self.cameras = [camera.name.removeprefix("observation.images.") for camera in layout.cameras]
        names = [joint.name.removesuffix(".pos") for joint in layout.joints]
        driven = layout.joint_of_entry()
        strange = set(self.cameras) - set(CAMERAS) | set(names) - set(JOINTS)
        strange |= {entry.name for entry, joint in zip(layout.actions, driven, strict=True) if joint < 0}
        if strange:
            raise ForearmError(
                f"the simulated SO-101 has no {', '.join(sorted(strange))}; "
                "leave --simulator out for a run that was not trained on its recordings"
            )
        self.places = [JOINTS.index(name) for name in names]
        self.driven = [self.places[joint] for joint in driven]
        self.simulator: Simulator = Simulator(seed)

    def begin(self, number: int) -> Start:
        from forearm.sim import settle
        from forearm.sim.poses import sample_pose

        _require_number(number, self.count)
        entry = number % len(self.driven)
        joint, delta = self.driven[entry], self.layout.actions[entry].scale
        rng = np.random.default_rng([self.seed, number])
        settle(
            self.simulator,
            sample_pose(self.simulator, joint, delta, "acting" if len(self.driven) == 1 else "all", rng),
        )
        truth = self._seen()
        pictures = [truth.picture[box] for box in self.layout.camera_boxes()]
        context = present(self.layout, pictures, truth.joints)
        return Start(self.name, number, context, truth, f"scene {self.seed}, pose {number}")

    def perform(self, before: "Snapshot", action: Action) -> "SimulatedTruth":
        """Carry out an action from a state; it moves the joint that the decision is about."""
        from forearm.sim import change_of, film

        self.simulator.restore(before)
        by = float(action.amounts[action.entry]) * self.layout.actions[action.entry].scale
        film(self.simulator, [change_of(self.driven[action.entry], by)], duration=DURATION, fps=2, cameras=())
        return self._seen()

    def _seen(self) -> "SimulatedTruth":
        layout = self.layout
        picture = np.empty((layout.frame_height, layout.frame_width, 3), np.uint8)
        for name, camera, box in zip(self.cameras, layout.cameras, layout.camera_boxes(), strict=True):
            picture[box] = self.simulator.render(name, (camera.height, camera.width))
        return SimulatedTruth(self, self.simulator.snapshot(), picture, self.simulator.joints()[self.places])


@dataclass(frozen=True)
class SimulatedTruth:
    """What the simulator shows, and the state in which it does."""

    source: Simulation
    snapshot: "Snapshot"
    picture: np.ndarray
    joints: np.ndarray

    def recorded(self) -> Action | None:
        return None

    def after(self, action: Action) -> "SimulatedTruth | None":
        return self.source.perform(self.snapshot, action)


def picture_of(layout: Layout, region: np.ndarray) -> np.ndarray:
    """The cameras of a frame region (3, H, w) float in [0, 1] as (h, w, 3) uint8."""
    return as_uint8(region[:, : layout.frame_height].transpose(1, 2, 0))


def _require_number(number: int, count: int) -> None:
    if not 0 <= number < count:
        raise ForearmError(f"there is no moment {number}; choose one from 0 to {count - 1}")
