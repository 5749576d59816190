"""The loop of learning, to be read from top to bottom: verify, explore, retrain, judge, and again."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from forearm.base.devices import device_named
from forearm.base.errors import ForearmError
from forearm.base.files import locked
from forearm.batch import Predictor
from forearm.canvas import MOVE_MINUS, MOVE_PLUS, STAY
from forearm.evaluation.samples import Samples
from forearm.learning.cells import Grid, listed, past_errors, visits_of
from forearm.learning.folder import LOCKED, WIDE, Begun, Cycle, LearnFolder, cycle_name
from forearm.learning.judging import (
    METRIC,
    Judged,
    errors_on,
    expected_by_cell,
    gain,
    judged,
    surely_better,
    surely_worse,
)
from forearm.learning.newness import newness
from forearm.learning.recording import Explorer, Stopped, Wish
from forearm.learning.retraining import built, retrained, together
from forearm.learning.settings import LearnSettings
from forearm.learning.trials import Shown, Trial
from forearm.learning.worlds import World
from forearm.training.loop import Report
from forearm.training.run import Run
from forearm.transitions.store import TransitionSet

VALIDATION = 0.12
"""Share of a cycle's episodes by which a training chooses its best weights."""
USUAL_FPS = 30

TARGET = "the target is reached"
PLATEAU = "a plateau: no sure gain in {} cycles"
SPENT = "all actions are recorded"
STOPPED = "there is a stop file"


class Learner:
    """One arm that learns on, in one folder.

    Args:
        run: where learning starts; its layout, with its bounds, is kept for good.
        data: what the run was trained on.
        settings: how to learn.
        world: the arm and its scenes.
        folder: where everything is kept.
        device: where to predict and train.
        watch: is called after every action and at every stage.

    Raises:
        ForearmError: settings are unsound, or the run is not of single actions.
    """

    def __init__(
        self,
        run: Run,
        data: TransitionSet,
        settings: LearnSettings,
        world: World,
        folder: LearnFolder,
        device: str = "auto",
        watch: Callable[["Learner"], None] = lambda learner: None,
    ):
        settings.require_sound()
        layout, rows = run.layout(), data.rows("train")
        if layout.history != 2:
            raise ForearmError(f"the run has {layout.history} frames a canvas; learn needs a run with --history 2")
        if not len(rows):
            raise ForearmError(
                f"{data.path} has no transitions to train on; name what the run was trained on with --data"
            )
        self.first, self.base, self.settings, self.folder = run, data, settings, folder
        self.device, self.watch = str(device_named(device)), watch
        poses = data.states[data.columns.frames[rows, -2]]
        self.grid = Grid(layout, settings.bins, np.median(poses, axis=0).astype(np.float64))
        starts = zip(data.columns.dimensions[rows].tolist(), poses, data.codes[rows].tolist(), strict=True)
        cells = [self.grid.cell_of(d, float(pose[self.grid.joint(d)]), code) for d, pose, code in starts]
        visited = visits_of(self.grid.shape, cells)
        fps = round(layout.cameras[0].fps or USUAL_FPS)
        self.explorer = Explorer(world, self.grid, poses, visited, folder, fps, settings.seed, self.device, self._tried)
        self.rearranged = False
        """Whether somebody has said that the scene was rearranged since the last action."""
        self.stage, self.outcome = "", ""
        self.cycles: list[Cycle] = []
        self.trials: list[Trial] = []
        """Of all cycles; those of the locked and the wide set are not among them."""
        self.begun: Begun | None = None
        """What the cycle under way decided."""
        self.latest: tuple[Trial, Shown] | None = None
        self.training: dict[str, Any] = {}
        """The latest figures of the training under way."""

    def learn(self) -> str:
        """Learn until the target, a plateau, the last action or a stop file; returns which.

        Raises:
            ForearmError: the folder is not ours, or the arm fails. What was recorded stays, and the same call goes on.
            KeyboardInterrupt: likewise.
        """
        self.folder.path.parent.mkdir(parents=True, exist_ok=True)
        with locked(self.folder.path.resolve()):
            self.folder.begin(self._facts())
            try:
                self._record_test_sets()
                self.cycles = self.folder.cycles() or [self._judge_start()]
                for cycle in self.cycles[1:]:
                    self.trials += self.folder.trials(cycle_name(cycle.number))
                self.folder.accept(self._accepted())
                while not (outcome := self._end()):
                    self._cycle(len(self.cycles))
            except Stopped:
                outcome = STOPPED
            self.outcome = outcome
            self._enter("ended")
        return outcome

    # A cycle

    def _cycle(self, number: int) -> None:
        """Verify, explore, retrain, judge, and take the run if it is not surely worse."""
        name, current = cycle_name(number), self._accepted()
        self._enter("plan")
        model = self._load(current)
        earlier = [TransitionSet(self.folder.data(cycle_name(cycle.number))) for cycle in self.cycles[1:]]
        known = together([self.base, *earlier], self.folder.data("all"), self.first)
        self.begun = self.folder.begun(number) or self._begin(number, model, known)
        before, visits = len(self.trials), self._visits()

        began = time.monotonic()
        fresh = self._record(name, number, model)
        recorded = time.monotonic()

        self._enter("build")
        part = built(self.folder.recording(name), self.folder.data(name), self.first, VALIDATION)
        unvisited = sum(visits[trial.cell] == 0 for trial in fresh)
        new = newness(known, part.frames[part.columns.frames[:, -2]], fresh, unvisited)
        data = together([self.base, *earlier, part], self.folder.data("all"), self.first)
        self._enter("retrain")
        candidate = retrained(data, self.folder.candidate(number), current, self.settings, self.device, self._watching)
        self._enter("judge")
        judgements = self._judge(candidate, model)
        locked_error, change = judgements.get(LOCKED, (None, None))
        accepted = bool(judgements) and not any(surely_worse(change) for _, change in judgements.values())
        self._keep(
            Cycle(
                number=number,
                actions=before + len(fresh),
                scene=fresh[-1].scene,
                share=self.begun.share,
                covered=not (np.array(self.begun.allowed) & (self._visits() == 0)).any(),
                verified=verified(fresh),
                newness=new,
                locked=locked_error,
                wide=judgements[WIDE][0] if WIDE in judgements else None,
                change=change,
                accepted=accepted,
                better=accepted and change is not None and surely_better(change),
                record_seconds=round(recorded - began, 2),
                train_seconds=round(time.monotonic() - recorded, 2),
            )
        )
        candidate.resume_file.unlink(missing_ok=True)

    def _begin(self, number: int, model: Predictor, known: TransitionSet) -> Begun:
        """Decide in which range and cells the arm acts in this cycle, and what error it expects where."""
        last, settings = self.cycles[-1], self.settings
        share = min(1.0, last.share + settings.range_growth) if last.covered else last.share
        scores = None
        if settings.choose == "expected-error":
            expected = expected_by_cell(model, known, self.grid, self.device)
            scores = listed(expected)
        begun = Begun(share, self.explorer.reachable(share).tolist(), scores)
        self.folder.write_begun(number, begun)
        return begun

    def _record(self, name: str, number: int, model: Predictor) -> list[Trial]:
        """Record the actions of a cycle: first those that verify, then those that explore."""
        settings, begun, earlier = self.settings, self.begun, list(self.trials)
        assert begun is not None
        allowed = np.array(begun.allowed)
        expected = None if begun.scores is None else np.array(begun.scores, float)

        def wish_of(index: int, done: list[Trial]) -> Wish:
            trials = [*earlier, *done]
            scene, told = self._scene(trials)
            if index < settings.verify:
                self._enter("verify")
                turn = np.zeros_like(allowed)
                turn[index % len(allowed)] = allowed[index % len(allowed)]
                return Wish("verify", scene, begun.share, turn if turn.any() else allowed, told=told)
            self._enter("explore")
            scores = expected
            if settings.choose == "past-error":
                errors = [trial.error for trial in trials]
                scores = past_errors(self.grid.shape, [trial.cell for trial in trials], errors)
            return Wish("explore", scene, begun.share, allowed, scores, told)

        count = min(settings.verify + settings.explore, max(settings.actions - len(earlier), 1))
        self.trials = earlier + self.folder.trials(name)
        fresh = self.explorer.record(name, number, count, model, wish_of, earlier)
        self.trials = earlier + fresh
        return fresh

    def _scene(self, trials: list[Trial]) -> tuple[int, bool]:
        """The scene of the next action, and whether somebody has rearranged it already."""
        scene, every = trials[-1].scene if trials else 0, self.settings.rearrange_every
        told, self.rearranged = self.rearranged, False
        here = sum(trial.scene == scene for trial in trials)
        return (scene + 1, told) if told or (every and here >= every) else (scene, False)

    def _end(self) -> str:
        """Why learning ends now; nothing while it goes on."""
        settings, best = self.settings, next(cycle for cycle in reversed(self.cycles) if cycle.accepted)
        assert best.locked is not None
        highest = best.locked.interval[1] if best.locked.interval else best.locked.value
        if settings.target is not None and highest < settings.target:
            return TARGET
        tried, patience = self.cycles[1:], settings.patience
        if patience and len(tried) >= patience and not any(cycle.better for cycle in tried[-patience:]):
            return PLATEAU.format(patience)
        return SPENT if len(self.trials) >= settings.actions else ""

    # Test sets

    def _record_test_sets(self) -> None:
        """Record the locked set in the first scene, and the wide set in other ones, anywhere within the bounds."""
        settings, model = self.settings, self._load(self.first)
        joints, turns = self.grid.shape[0], (MOVE_PLUS, MOVE_MINUS, STAY)

        def wish_of(index: int, done: list[Trial]) -> Wish:
            turn = np.zeros(self.grid.shape, bool)
            turn[index % joints, :, turns[(index // joints + index % joints) % len(turns)]] = True
            if self.stage == WIDE:
                return Wish("wide", 1 + index * settings.wide_scenes // settings.wide, 1.0, turn)
            return Wish("locked", 0, 1.0, turn)

        for name, number, count in ((LOCKED, 10**6, settings.locked), (WIDE, 10**6 + 1, settings.wide)):
            if count:
                self._enter(name)
                self.explorer.record(name, number, count, model, wish_of)
                built(self.folder.recording(name), self.folder.data(name), self.first, 1.0)

    def _judge(self, run: Run, theirs: Predictor) -> dict[str, tuple[Judged, Judged]]:
        """For each test set the error of a run, and by how much it is above another one's; none where the run's
        predictions are no numbers.
        """
        ours, found = self._load(run), {}
        for name in (LOCKED, WIDE) if self.settings.wide else (LOCKED,):
            data = TransitionSet(self.folder.data(name)).with_layout(self.grid.layout, "learning")
            groups = data.independent_groups(data.rows())[0]
            other = errors_on(theirs, data, self.device)
            try:
                mine = errors_on(ours, data, self.device)
            except ForearmError:  # a training that diverged; the run before it has just predicted the same data
                return {}
            found[name] = judged(mine, groups), gain(mine, other, groups)
        return found

    def _judge_start(self) -> Cycle:
        self._enter("judge")
        judgements = self._judge(self.first, self._load(self.first))
        if not judgements:
            raise ForearmError(f"predictions of {self.first.path} are no numbers; start from another run")
        cycle = Cycle(
            number=0,
            actions=0,
            scene=0,
            share=self.settings.range_start,
            covered=False,
            verified=None,
            newness=None,
            locked=judgements[LOCKED][0],
            wide=judgements[WIDE][0] if WIDE in judgements else None,
            change=None,
            accepted=True,
            better=False,
            record_seconds=0.0,
            train_seconds=0.0,
        )
        self.folder.write_cycle(cycle)
        return cycle

    # State

    def _keep(self, cycle: Cycle) -> None:
        self.folder.write_cycle(cycle)
        self.cycles.append(cycle)
        self.folder.accept(self._accepted())
        self.watch(self)

    def _accepted(self) -> Run:
        number = next(cycle.number for cycle in reversed(self.cycles) if cycle.accepted)
        return Run.open(self.folder.candidate(number)) if number else self.first

    def _load(self, run: Run) -> Predictor:
        return run.load("best", self.device)

    def _visits(self) -> np.ndarray:
        """How often each cell was recorded, (A, bins, 3), with the data that learning starts from."""
        return self.explorer.visited + visits_of(self.grid.shape, [trial.cell for trial in self.trials])

    def _tried(self, trial: Trial, shown: Shown) -> None:
        self.latest = trial, shown
        if trial.purpose in ("verify", "explore"):
            self.trials = [*self.trials, trial]
        self.watch(self)

    def _enter(self, stage: str) -> None:
        if stage != self.stage:
            self.stage, self.training = stage, {}
            self.watch(self)

    @contextmanager
    def _watching(self, name: str) -> Iterator[Report]:
        def report(entry: dict[str, Any]) -> None:
            self.explorer.require_going_on()
            self.training = self.training | entry
            self.watch(self)

        yield report

    def _facts(self) -> dict[str, Any]:
        return {"run": str(self.first.path.resolve()), "data": str(self.base.path.resolve()), **vars(self.settings)}


def verified(trials: list[Trial]) -> Judged | None:
    """The error on the moves that verify, with scenes as groups where there are several; None without moves."""
    moves = [trial for trial in trials if trial.purpose == "verify" and trial.cell[2]]
    if not moves:
        return None
    scenes = np.array([trial.scene for trial in moves])
    groups = scenes if len(np.unique(scenes)) > 1 else np.arange(len(moves))
    return judged(Samples.of({METRIC: np.array([trial.error for trial in moves])}), groups)
