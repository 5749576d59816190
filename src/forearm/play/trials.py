"""Trials on an arm: an action is predicted, then executed, and both are compared and kept.

A folder of trials holds ``session.json`` (the run and the arm), ``trials.jsonl`` (a line a trial) and a LeRobot v3.0
recording for each time that the session ran: ``recording``, ``recording-2``, … A trial is an episode of it. While the
session runs its episodes are staged in ``recording.partial``, each whole before the next begins, so that whatever ends
the process takes at most the trial under way.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from forearm.base.errors import ForearmError
from forearm.base.files import append_line, checked, read_json, read_json_lines, write_json
from forearm.canvas import Action, Layout, plain
from forearm.evaluation.intervals import estimate
from forearm.media.words import action_words
from forearm.recordings import DiscreteActionLog, EpisodeData, Recorder, RecordingSpec

SESSION_FILE, TRIALS_FILE = "session.json", "trials.jsonl"
RECORDING = "recording"


@dataclass(frozen=True)
class Trial:
    """A trial as a line of ``trials.jsonl``; errors are mean squared errors over pixels and channels in [0, 1]."""

    recording: str
    """The recording whose episode it is."""
    episode: int
    """Its number there."""
    time: str
    """When it ended, UTC."""
    action: str
    """In words."""
    dimension: str
    """The action dimension that it was about."""
    values: list[float]
    """(A,) signed action values in [−1, 1]."""
    expected_mse: float | None
    """The error that the model expected; None where it estimates none."""
    mse: float
    """Of the predicted picture, against the one observed."""
    unchanged_mse: float
    """Of the picture before the action, against the one observed."""
    joints_before: list[float]
    """(J,) in their units."""
    joints_predicted: list[float]
    """(J,)."""
    joints: list[float]
    """(J,) observed after the action."""
    prediction_seconds: float
    """That the predictions of all actions on offer took, in one batch."""
    action_seconds: float
    """From the first command to the picture after it."""


@dataclass(frozen=True)
class Summary:
    """What some trials say together."""

    count: int
    mse: float | None
    """The mean; None without a trial."""
    interval: tuple[float, float] | None
    """95% interval of the mean over trials; None of fewer than two."""
    expected_mse: float | None
    """The mean of what the model expected; None where it expects nothing."""
    unchanged_mse: float | None
    """The mean error of predicting that nothing changes."""

    @classmethod
    def of(cls, trials: Sequence[Trial]) -> "Summary":
        """Of any number of trials."""

        def mean(name: str) -> float | None:
            known = [getattr(trial, name) for trial in trials if getattr(trial, name) is not None]
            return float(np.mean(known)) if known else None

        return cls(
            *(len(trials), mean("mse"), mean_interval([trial.mse for trial in trials])),
            *(mean("expected_mse"), mean("unchanged_mse")),
        )


def mean_interval(errors: Sequence[float]) -> tuple[float, float] | None:
    """95% interval of the mean of errors ≥ 0, each counted as independent; None of fewer than two."""
    values, count = np.asarray(errors, float), len(errors)
    if count < 2:
        return None
    without = (values.sum() - values) / (count - 1)
    found = estimate(np.array([values.mean(), *without]), np.ones(count))
    assert found is not None
    low, high = found.interval()
    return max(0.0, low), high


class TrialFolder:
    """The trials of a session, on disk.

    Args:
        path: is made where it does not exist; one of the same ``settings`` is gone on with.
        spec: of the recording.
        settings: run and arm, ready for JSON.

    Raises:
        ForearmError: the folder holds something else, or trials of another run or arm.
    """

    def __init__(self, path: Path, spec: RecordingSpec, settings: Mapping[str, Any]):
        self.path, self.trials = path, list[Trial]()
        session = path / SESSION_FILE
        if session.exists():
            begun = checked(dict[str, Any], read_json(session), str(session))
            differing = [name for name, value in settings.items() if begun.get(name) != value]
            if differing:
                raise ForearmError(
                    f"{path} holds trials with another {' and '.join(differing)}; choose another folder with --out"
                )
        elif path.exists() and any(entry.name[0] != "." for entry in path.iterdir()):  # a killed writer leaves its lock
            raise ForearmError(f"{path} exists and holds no trials; choose another folder with --out")
        else:
            write_json(session, settings)
        self.session = len(list(self._recordings()))
        """The number of this session among those that were kept here."""
        self._recorder = Recorder(path / _recording_name(self.session), spec, settings)
        self._read()

    @contextmanager
    def recording(self) -> Iterator["TrialFolder"]:
        """Keep trials for the length of a block; it ends, however it does, with a whole recording of them.

        Raises:
            ForearmError: another process keeps trials there.
        """
        with self._recorder.recording():
            try:
                yield self
            except KeyboardInterrupt as stopped:
                count = len(self.trials)
                kept = f"{count} trial{'s are' if count != 1 else ' is'} kept in {self.path}; the same command goes on"
                raise KeyboardInterrupt(f"{str(stopped) or 'stopped'}; {kept}") from None
            finally:
                if self._recorder.staged():
                    self._recorder.finish()
                else:
                    shutil.rmtree(self._recorder.partial)

    @property
    def recording_path(self) -> Path:
        """Where the recording of this session is once it has ended."""
        return self._recorder.out

    def keep(self, film: EpisodeData, **facts: Any) -> Trial:
        """Keep a trial that ends now, and the film of it: once this returns it outlives the process.

        Args:
            film: the episode.
            facts: the fields of `Trial` but where and when.
        """
        episode = max(self._recorder.staged(), default=-1) + 1
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        trial = Trial(self._recorder.out.name, episode, now, **facts)
        append_line(self.path / TRIALS_FILE, json.dumps(asdict(trial)))  # first: a line without its episode is not read
        self._recorder.stage(episode, film)
        self.trials.append(trial)
        return trial

    def _recordings(self) -> Iterator[Path]:
        """The recordings of sessions that have ended."""
        number = 0
        while (path := self.path / _recording_name(number)).exists():
            yield path
            number += 1

    def _read(self) -> None:
        """Read the trials that are whole; a line is written before its episode, so the last may have none."""
        file = self.path / TRIALS_FILE
        if not file.exists():
            return
        text = file.read_text(encoding="utf-8", errors="replace")
        if text and not text.endswith("\n"):  # the process ended within the line
            file.write_text(text[: text.rfind("\n") + 1], encoding="utf-8")
        staged, current = set(self._recorder.staged()), self._recorder.out.name
        whole: dict[tuple[str, int], Trial] = {}
        for number, read in enumerate(read_json_lines(file), 1):
            trial: Trial = checked(Trial, read, f"{file}, line {number}")
            if trial.recording != current or trial.episode in staged:
                whole[trial.recording, trial.episode] = trial
        self.trials = list(whole.values())


def _recording_name(number: int) -> str:
    return RECORDING if number == 0 else f"{RECORDING}-{number + 1}"


def as_episode(
    film: EpisodeData, layout: Layout, action: Action, duration: float, facts: Mapping[str, int]
) -> EpisodeData:
    """The film of an action as an episode: its task are its words, and it has a log where the run's actions are
    discrete.

    Args:
        film: of the action.
        layout: of the run.
        action: that was filmed.
        duration: of the action, seconds.
        facts: session, and seed of the scene where it has one.
    """
    dimension = layout.actions[action.dimension]
    log = DiscreteActionLog(
        joint_name=f"{plain(dimension.joint or dimension.name)}.pos",
        action_duration=duration,
        position_delta=dimension.scale,
        decisions=((0, action.code),),
        extra=dict(facts),
    )
    return replace(film, task=action_words(layout, action.values), log=log if layout.discrete else None, facts=facts)
