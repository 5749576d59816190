"""A session with an arm: what a model predicts of an action is seen first, then the arm carries it out."""

import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import torch

from forearm.arms import Health, Manipulator
from forearm.base.errors import ForearmError
from forearm.batch import Predictor, present
from forearm.canvas import Action, Joint, Observation, plain
from forearm.environment import Environment, Imagined, squared_error
from forearm.media.words import action_words, reading
from forearm.play.session import PlaySession, Start
from forearm.play.trials import Trial, TrialFolder, as_episode
from forearm.recordings import EpisodeData

SHOWN = 60
"""So many of the last trials are kept with their pictures."""

STOPPED = "stopped; the arm holds its position"

T = TypeVar("T")


@dataclass(frozen=True)
class Executed(Observation):
    """What an arm shows after an action."""

    film: EpisodeData | None = None
    """Of the action; None at the start."""
    seconds: float = 0.0
    """From the first command to this observation."""


class ArmEnvironment(Environment[Executed]):
    """An arm as a world that cannot go back; actions are filmed at ``fps``. A start is None: where the arm stands."""

    def __init__(self, arm: Manipulator, fps: int):
        self.arm, self.layout, self.fps = arm, arm.layout, fps

    def observe(self) -> Observation:
        return self.state

    def begin(self, start: None = None) -> Executed:
        seen = self.arm.observe()
        return Executed(seen.picture, seen.joints)

    def after(self, state: Executed, action: Action) -> Executed:
        began = time.perf_counter()
        film = self.arm.film(action, self.fps)
        seen = self.arm.observe()
        return Executed(seen.picture, seen.joints, film=film, seconds=time.perf_counter() - began)

    def undo(self, steps: int = 1) -> None:
        """Refused: what an arm has done it has done."""
        raise ForearmError("an arm cannot take an action back")


class LiveSession(PlaySession):
    """Trials on an arm, each predicted from what the arm shows.

    It is called from one thread, that of the arm.

    Args:
        predictor: on ``device``.
        start: where the arm stands; its truth is an `ArmEnvironment`.
        folder: where trials are kept, open for recording.
        facts: what every episode is told beside its session, such as the seed of the scene.
    """

    def __init__(
        self,
        predictor: Predictor,
        start: Start,
        folder: TrialFolder,
        facts: Mapping[str, int],
        device: torch.device | str = "cpu",
    ):
        self.folder, self._facts = folder, {"session": folder.session, **facts}
        self.shown: deque[tuple[Trial, Imagined]] = deque(maxlen=SHOWN)
        """The last trials, each with what it showed."""
        self.trouble = ""
        """What went wrong last, in a line; empty once the arm does again what it is told."""
        self.is_stiff = self.is_seen = True
        self.health = Health()
        """What the servos said last."""
        self.predicting = 0.0
        """Seconds that the last predictions took."""
        super().__init__(predictor, start, device)

    @property
    def world(self) -> ArmEnvironment:
        """The arm as a world."""
        assert isinstance(self.start.truth, ArmEnvironment)
        return self.start.truth

    @property
    def arm(self) -> Manipulator:
        """The arm."""
        return self.world.arm

    def previews(self) -> list[Imagined]:
        if not self._previews:
            began = time.perf_counter()
            super().previews()
            self.predicting = time.perf_counter() - began
        return self._previews

    def step(self, which: int) -> Imagined:
        """Carry out one of the previewed actions, compare, and keep the trial.

        Raises:
            ForearmError: the arm is limp, the action leads out of the bounds, or the arm fails; it then holds its
                position.
            KeyboardInterrupt: somebody stopped it; it holds its position.
        """
        self._require_ready()
        if 0 <= which < len(self.previews()):
            self._require_allowed(self.actions()[which])
        trial = self._on_arm(lambda: super(LiveSession, self).step(which))
        seen, before = trial.truth, self._environment.history[0].truth
        assert isinstance(seen, Executed)
        assert seen.film is not None
        assert before is not None
        try:
            kept = self._kept(trial, before, seen, seen.film)
        finally:
            self._go_on_from(seen)
        self.shown.append((kept, replace(trial, truth=Observation(seen.picture, seen.joints))))
        return trial

    def _kept(self, trial: Imagined, before: Observation, seen: Executed, film: EpisodeData) -> Trial:
        layout, action, predicted = self.layout, trial.action, trial.observation
        assert action is not None
        return self.folder.keep(
            as_episode(film, layout, action, self.arm.duration, self._facts),
            action=action_words(layout, action.values),
            dimension=layout.actions[action.dimension].name,
            values=action.values.tolist(),
            expected_mse=None if predicted.expected_error is None else float(predicted.expected_error.mean()),
            mse=float(squared_error(predicted, seen).mean()),
            unchanged_mse=float(squared_error(before, seen).mean()),
            joints_before=before.joints.tolist(),
            joints_predicted=predicted.joints.tolist(),
            joints=seen.joints.tolist(),
            prediction_seconds=self.predicting,
            action_seconds=seen.seconds,
        )

    @property
    def version(self) -> str:
        """Another one whenever something else is to be seen."""
        return f"{self.now.number} {self.dimension} {self.value}"

    @property
    def last_number(self) -> int:
        """The number of the last trial's state, −1 before the first."""
        return self.shown[-1][1].number if self.shown else -1

    def forbidden(self, action: Action) -> str | None:
        """Why an action may not be carried out: it would take a joint out of the bounds of the run's data. Back into
        them it may."""
        try:
            self._require_allowed(action)
        except ForearmError as error:
            return str(error)
        return None

    def _require_allowed(self, action: Action) -> None:
        assert self.now.truth is not None
        joints = self.now.truth.joints
        for value, dimension, index in zip(
            action.values, self.layout.actions, self.layout.joint_of_dimension(), strict=True
        ):
            if index < 0:
                continue
            joint, by = self.layout.joints[index], float(value) * dimension.scale
            self._require_within(joint, joints[index] + by, by)

    def move_to(self, pose: Mapping[str, float]) -> None:
        """Move joints slowly, by name, to positions within the bounds; it is no trial.

        Raises:
            ForearmError: as of `step`.
        """
        self._require_ready()
        assert self.now.truth is not None
        names = self.layout.joint_names
        for name, target in pose.items():
            if name not in names:
                raise ForearmError(f"there is no joint {name!r}; choose among {', '.join(names)}")
            index = names.index(name)
            self._require_within(self.layout.joints[index], target, target - float(self.now.truth.joints[index]))
        self._moved(lambda: self.arm.move_to({plain(name): target for name, target in pose.items()}))

    def home(self) -> None:
        """Move slowly to the home pose."""
        self._require_ready()
        self._moved(self.arm.home)

    def hold(self) -> None:
        """Be stiff, where the arm is."""
        self._moved(self.arm.hold)
        self.is_stiff = True

    def relax(self) -> None:
        """Let the motors go slack."""
        self._moved(self.arm.relax)
        self.is_stiff = False

    def look(self) -> None:
        """Look anew, as after a trouble or when somebody has moved the arm or the scene."""
        self._moved(lambda: None)

    def begin(self, start: Callable[[], Start]) -> None:
        """Go on from another start of the same arm, to which ``start`` brings it."""
        self._require_ready()
        self.reset(self._on_arm(start))

    def halt(self) -> None:
        """Hold, after a stop, and look where the arm has come to."""
        self._hold_and_look(STOPPED)

    def _moved(self, move: Callable[[], None]) -> None:
        def work() -> Executed:
            move()
            return self.world.begin()

        self._go_on_from(self._on_arm(work))

    def _on_arm(self, work: Callable[[], T]) -> T:
        """Do something with the arm; where it fails the arm is told to hold, and the trouble is remembered."""
        try:
            done = work()
            self.health = self.arm.health()
        except (Exception, KeyboardInterrupt) as error:
            self._hold_and_look(str(error) or STOPPED)
            raise
        self.trouble, self.is_seen = "", True
        return done

    def _hold_and_look(self, trouble: str) -> None:
        self.trouble, self.is_seen = trouble, False
        if self.is_stiff:
            try:
                self.arm.hold()
            except ForearmError as error:
                self.trouble = f"{trouble}; and {error}"
        with contextlib.suppress(ForearmError):  # what came first is what a person has to know
            self._go_on_from(self.world.begin())
            self.is_seen = True

    def _go_on_from(self, seen: Observation) -> None:
        """Predict from what the arm shows at rest, and forget what it did before."""
        self.world.history = [Executed(seen.picture, seen.joints)]
        self.reset(replace(self.start, context=present(self.layout, seen)))

    def _require_ready(self) -> None:
        if not self.is_seen:
            raise ForearmError(f"the arm could not be seen since: {self.trouble}; press Look again once that is mended")
        if not self.is_stiff:
            raise ForearmError("the motors are slack; press Hold first, with the arm where it can stand")

    @staticmethod
    def _require_within(joint: Joint, target: float, by: float) -> None:
        if not math.isfinite(target):
            raise ForearmError(f"{joint.name} is to go to what is not a number")
        if (by > 0 and target > joint.high) or (by < 0 and target < joint.low):
            to, low, high = (reading(value, joint, unit=True) for value in (target, joint.low, joint.high))
            raise ForearmError(f"{joint.name} would go to {to}, beyond this run's data, {low} to {high}")
