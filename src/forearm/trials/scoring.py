"""Who says whether a trial succeeded: a score from 0 to 1 of what it showed, in the dream and in truth alike."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from forearm.base.errors import ForearmError, foreign
from forearm.base.files import require_place
from forearm.batch import Prediction
from forearm.canvas import Layout
from forearm.control.goals import PictureGoal
from forearm.evaluation.object_reader import ObjectReader, object_reader_of
from forearm.transitions import TransitionSet
from forearm.trials.classifier import SuccessClassifier, classifier_of, stacked
from forearm.trials.object_scorers import WITHIN, ObjectScorer, RegionScorer, WayScorer
from forearm.trials.policies import attribute
from forearm.trials.scorer import Scorer, last_looks
from forearm.trials.sheets import judged_by_program, read_scores, require_program, write_sheets
from forearm.trials.starts import Start
from forearm.trials.trying import Film


@dataclass(frozen=True)
class PictureScorer:
    """By a goal picture, the last frame of the episode: 1 − the error beside it / that of the start's picture.

    So .5 is half of the way. The error is that of `PictureGoal`.
    """

    layout: Layout

    def scores(self, films: Sequence[Film]) -> np.ndarray:
        return np.array([self._score(film) for film in films])

    def _score(self, film: Film) -> float:
        cameras = [camera.name for camera in self.layout.cameras]
        goal = PictureGoal.of(self.layout, [film.start.last[name] for name in cameras])
        shown = [{name: film.pictures[name][i] for name in cameras} for i in (0, *last_looks(film))]
        frames = torch.from_numpy(stacked(shown, self.layout)).permute(0, 3, 1, 2) / 255
        costs = goal.cost(Prediction(frames)).double().numpy()
        return float(np.clip(1 - costs[1:].mean() / max(costs[0], 1e-9), 0, 1))


@dataclass(frozen=True)
class LearnedScorer:
    """By a classifier that has learned success from true pictures; the mean of the last pictures."""

    classifier: SuccessClassifier

    def scores(self, films: Sequence[Film]) -> np.ndarray:
        found = []
        for film in films:
            looks, start = last_looks(film), film.start
            boxes = np.full((1, len(film.pictures), 4), np.nan)
            if self.classifier.of_objects:
                if start.object is None or not start.object.lifts:
                    raise ForearmError(
                        f"the episode {start.episode} raises no object, and success was learned from objects that are "
                        "raised; judge by --success object"
                    )
                boxes = start.object.box[None]
            shown = stacked(
                [{name: of[i] for name, of in film.pictures.items()} for i in (0, *looks)], self.classifier.layout
            )
            first = np.repeat(shown[:1], len(looks), axis=0)
            found.append(self.classifier.probability(first, shown[1:], np.repeat(boxes, len(looks), axis=0)).mean())
        return np.array(found)


@dataclass(frozen=True)
class AutoScorer:
    """Objects that are raised are judged by the learned classifier, others by where they are read to be; where none is
    known to move, by the goal picture."""

    raised: Scorer | None
    moved: Scorer | None
    seen: Scorer

    def scores(self, films: Sequence[Film]) -> np.ndarray:
        found = np.full(len(films), np.nan)
        of = [film.start.object for film in films]
        judges = [self.seen if each is None else self.raised if each.lifts else self.moved for each in of]
        for scorer in (self.raised, self.moved, self.seen):
            if rows := [i for i, judge in enumerate(judges) if judge is scorer]:
                assert scorer is not None
                found[rows] = scorer.scores([films[i] for i in rows])
        return found


@dataclass(frozen=True)
class FunctionScorer:
    """By a function ``score(pictures, task)`` of one's own: camera to (T, h, w, 3) uint8, and a text."""

    function: Callable[[Mapping[str, np.ndarray], str], Any]
    name: str

    def scores(self, films: Sequence[Film]) -> np.ndarray:
        return np.array([self._score(film) for film in films])

    def _score(self, film: Film) -> float:
        with foreign(f"the scorer {self.name} failed"):
            value = float(self.function(film.pictures, film.start.task))
        if not 0 <= value <= 1:
            raise ForearmError(f"the scorer {self.name} says {value:g}; a score is a number from 0 to 1")
        return value


@dataclass
class SheetScorer:
    """By contact sheets in a folder, which a program, a person or any model judges; see `forearm.trials.sheets`.

    Each call has a folder of its own below, numbered.
    """

    folder: Path
    program: Path | None = None
    """Is called with the folder; without one, scores are waited for."""
    _calls: int = 0

    def scores(self, films: Sequence[Film]) -> np.ndarray:
        folder = self.folder / f"{self._calls:02d}"
        self._calls += 1
        pictures, tasks = [film.pictures for film in films], [film.start.task for film in films]
        names = write_sheets(folder, pictures, tasks, replace=self.program is not None)
        return read_scores(folder, names) if self.program is None else judged_by_program(self.program, folder, names)


def judge_named(text: str, data: TransitionSet, starts: Sequence[Start], films: Path, within: float = WITHIN) -> Scorer:
    """The scorer that a text names, for trials from some starts.

    Args:
        text: ``auto``, which is an `AutoScorer` of what the starts need, or as of `scorer_named`.
        data: the run's own, from whose true pictures is learned.
        starts: of the trials.
        films: a folder for the sheets of a program.
        within: millimetres, for objects that are moved.

    Raises:
        ForearmError: there is no such scorer, or the data do not allow it.
    """
    if text != "auto":
        return scorer_named(text, data, films, within)
    lifts = [start.object.lifts for start in starts if start.object is not None]
    raised = LearnedScorer(classifier_of(data)) if any(lifts) else None
    moved = ObjectScorer(_reader(data), within) if not all(lifts) else None
    return AutoScorer(raised, moved, PictureScorer(data.layout))


def scorer_named(text: str, data: TransitionSet, films: Path, within: float = WITHIN) -> Scorer:
    """The scorer that a text names.

    Args:
        text: ``picture``, ``object``, ``way``, ``region:CAMERA:LEFT,TOP,RIGHT,BOTTOM``, ``learned``,
            ``FILE.py:FUNCTION``, ``sheets:FOLDER``, or a program's path.
        data: the run's own, from whose true pictures is learned.
        films: a folder for the sheets of a program.
        within: millimetres, for ``object``.

    Raises:
        ForearmError: there is no such scorer, or the data do not allow it.
    """
    name, _, rest = text.partition(":")
    match name:
        case "picture":
            return PictureScorer(data.layout)
        case "object":
            return ObjectScorer(_reader(data), within)
        case "way":
            return WayScorer(_reader(data))
        case "learned":
            return LearnedScorer(classifier_of(data))
        case "region":
            return _region(text, rest, data)
        case "sheets" if rest:
            require_place(Path(rest))
            return SheetScorer(Path(rest))
    if text.partition(".py:")[1]:
        return FunctionScorer(attribute(name, rest, "the scorer"), text)
    if "/" in text or Path(text).is_file():
        require_program(Path(text))
        return SheetScorer(films, Path(text))
    raise ForearmError(
        f"no way to judge is called {text!r}; there are auto, picture, object, way, learned, "
        "region:CAMERA:LEFT,TOP,RIGHT,BOTTOM, FILE.py:FUNCTION, sheets:FOLDER, and the path of a program"
    )


def _reader(data: TransitionSet) -> ObjectReader:
    if data.objects is None:
        raise ForearmError(
            f"{data.path} does not know where objects are; judge by --success picture, learned or a scorer of your own"
        )
    return object_reader_of(data)


def _region(text: str, rest: str, data: TransitionSet) -> RegionScorer:
    camera, _, numbers = rest.rpartition(":")
    names = [each.name for each in data.layout.cameras]
    plain = [name.rpartition(".")[2] for name in names]
    try:
        box = tuple(float(part) for part in numbers.split(","))
        left, top, right, bottom = box
    except ValueError:
        left = right = top = bottom = 0.0
    if camera not in (*names, *plain) or not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise ForearmError(
            f"{text!r} is no region; write region:CAMERA:LEFT,TOP,RIGHT,BOTTOM with a camera of {', '.join(plain)} and "
            "shares of its picture from 0 to 1, such as region:base:0.4,0.4,0.6,0.6"
        )
    number = (names if camera in names else plain).index(camera)
    reader = _reader(data)
    if number not in reader.cameras:
        raise ForearmError(f"the camera {camera} moves, so no region of its picture is a place; name another camera")
    return RegionScorer(reader, number, (left, top, right, bottom))
