"""Recording what learning wants: cells are chosen, the arm is brought there, and each action is kept at once."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from forearm.base.errors import ForearmError
from forearm.batch import Predictor
from forearm.learning.cells import Cell, Grid, choose, visits_of
from forearm.learning.folder import LearnFolder
from forearm.learning.trials import Purpose, Shown, Trial, carry_out
from forearm.learning.worlds import World
from forearm.recordings import Recorder

TRIES, CELLS = 60, 20
"""Draws of a pose for a cell, and cells that are tried for an action."""
REACH_TRIES = 20
"""Draws of a pose that find out whether a cell can be reached."""


class Stopped(Exception):
    """Somebody wants learning to end."""


@dataclass(frozen=True)
class Wish:
    """An action to record."""

    purpose: Purpose
    """What for."""
    scene: int
    """In which it is to happen."""
    share: float
    """Of the joints' bounds, in which the arm moves."""
    allowed: np.ndarray
    """(A, bins, 3) bool: the cells to choose from."""
    scores: np.ndarray | None = None
    """(A, bins, 3): in proportion to what cells are chosen; None: any, visited or not."""
    told: bool = False
    """Whether somebody has rearranged the scene already."""


@dataclass
class Explorer:
    """What records with an arm.

    Everything that is drawn depends on the seed, the recording and the action's number alone, so that an interrupted
    recording goes on as an unbroken one does.
    """

    world: World
    """The arm and its scenes."""
    grid: Grid
    """The cells."""
    poses: np.ndarray
    """(n, J) joints that an arm has been in."""
    visited: np.ndarray
    """(A, bins, 3) how often each cell occurs in the data that learning starts from."""
    folder: LearnFolder
    """Where recordings are kept."""
    fps: int
    """Frames a second."""
    seed: int
    """Decides cells and poses."""
    device: str
    """Where to predict."""
    on_trial: Callable[[Trial, Shown], None]
    """Is called after each action."""

    def record(
        self,
        name: str,
        number: int,
        count: int,
        predictor: Predictor,
        wish_of: Callable[[int, list[Trial]], Wish],
        earlier: Sequence[Trial] = (),
    ) -> list[Trial]:
        """Record actions until there are so many, from where it was interrupted on; returns their trials.

        Args:
            name: of the recording.
            number: of the recording among those that the seed decides.
            count: how many actions.
            predictor: is asked before each what will be seen.
            wish_of: what to record, by the action's number and the trials of this recording so far.
            earlier: trials of earlier recordings, whose cells count as visited.

        Raises:
            Stopped: there is a stop file.
            ForearmError: the arm fails, or cannot act as is wished. Finished actions are kept.
        """
        recording = self.folder.recording(name)
        recording.parent.mkdir(exist_ok=True)
        recorder = Recorder(recording, self.world.arm.spec(self.fps), {"learning": name})
        if recording.is_dir():
            shutil.rmtree(recorder.partial, ignore_errors=True)  # left by an interruption in the last moment
            return self.folder.trials(name)
        with recorder.recording():
            done = self.folder.trials(name)
            for index in range(len(done), count):
                self.require_going_on()
                cells = [trial.cell for trial in (*earlier, *done)]
                rng = np.random.default_rng([self.seed, number, index])
                done.append(self._act(recorder, index, wish_of(index, done), cells, predictor, rng))
            recorder.finish()
        return done

    def require_going_on(self) -> None:
        """Stop where there is a stop file.

        Raises:
            Stopped: there is.
        """
        if self.folder.stop_file.exists():
            raise Stopped

    def reachable(self, share: float) -> np.ndarray:
        """The cells within a share of the bounds that the arm can act in, (A, bins, 3) bool."""
        found = np.zeros(self.grid.shape, bool)
        rng = np.random.default_rng([self.seed, round(1e6 * share)])
        for cell in np.ndindex(*self.grid.shape):
            found[cell] = self._pose(cell, share, rng, REACH_TRIES) is not None
        return found

    def _act(
        self,
        recorder: Recorder,
        index: int,
        wish: Wish,
        cells: list[Cell],
        predictor: Predictor,
        rng: np.random.Generator,
    ) -> Trial:
        self.world.enter(wish.scene, wide=wish.purpose == "wide", told=wish.told)
        allowed, visits = wish.allowed.copy(), self.visited + visits_of(self.grid.shape, cells)
        for _ in range(CELLS):
            if not allowed.any():
                break
            cell = choose(allowed, visits, wish.scores, rng)
            pose = self._pose(cell, wish.share, rng, TRIES)
            if pose is not None:
                self.world.rest(pose)
                arm, seed = self.world.arm, self.world.scene_seed
                asked = (cell, self.grid.action(cell), wish.purpose, wish.scene, seed, self.fps)
                episode, trial, shown = carry_out(arm, predictor, self.device, *asked)
                recorder.stage(index, episode)
                self.on_trial(trial, shown)
                return trial
            allowed[cell] = False
        raise ForearmError(
            "the arm found no pose to act from; give --range-start a larger share, or record more poses before"
        )

    def _pose(self, cell: Cell, share: float, rng: np.random.Generator, tries: int) -> np.ndarray | None:
        """A pose (J,) that the world allows for a cell; None where so many draws give none."""
        for _ in range(tries):
            pose = self.grid.pose(cell, share, self.poses, rng)
            if pose is None or self.world.allows(pose, cell):
                return pose
        return None
