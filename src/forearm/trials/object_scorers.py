"""Success by objects: where they are read to be in the last pictures of a trial."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forearm.base.errors import ForearmError
from forearm.evaluation.object_reader import ObjectReader
from forearm.evaluation.projection import on_table
from forearm.transitions.objects import Motions
from forearm.trials.classifier import stacked
from forearm.trials.scorer import last_looks
from forearm.trials.trying import Film

WITHIN = 15.0
"""Millimetres from its place at which an object counts as there; as in the simulator's tasks."""
SOFT = 3.0
"""Millimetres over which the score of a place falls from .73 to .27, about as far as reading errs."""
MIDDLE = 0.02
"""Height of objects' middles above the table, metres."""


@dataclass(frozen=True)
class ObjectScorer:
    """By where the object is read to be: near the place where it was in the end of the episode.

    One picture does not show how high an object is, so an object that is raised cannot be judged by it.
    """

    reader: ObjectReader
    within: float = WITHIN

    def scores(self, films: Sequence[Film]) -> np.ndarray:
        distances = object_distances(self.reader, films)
        return 1 / (1 + np.exp(np.clip((distances - self.within) / SOFT, -50, 50)))


@dataclass(frozen=True)
class WayScorer:
    """By how far the object is read to have come: the share of the way to where it was in the end of the episode.

    So .5 is half of the way. In a dream that moves objects too little it still tells better policies from worse ones.
    """

    reader: ObjectReader

    def scores(self, films: Sequence[Film]) -> np.ndarray:
        left, whole = object_distances(self.reader, films), start_distances(self.reader, films)
        return np.clip(1 - left / np.maximum(whole, 1e-9), 0, 1)


@dataclass(frozen=True)
class RegionScorer:
    """By how many of the last pictures show the object in a box of a camera's picture, as it is read."""

    reader: ObjectReader
    camera: int
    box: tuple[float, float, float, float]
    """Left, top, right and bottom, in shares of the picture."""

    def scores(self, films: Sequence[Film]) -> np.ndarray:
        left, top, right, bottom = self.box
        at = object_places(self.reader, films)[:, :, self.camera]
        inside = (at >= [left, top]).all(-1) & (at <= [right, bottom]).all(-1)
        return inside.mean(axis=1).astype(np.float64)


def object_places(reader: ObjectReader, films: Sequence[Film]) -> np.ndarray:
    """Where the object of each film is read to be in its last pictures, (n, looks, C, 2) in shares of the pictures.

    Raises:
        ForearmError: nothing is known of an object at a start, or no camera sees it there.
    """
    found = []
    for film in films:
        task = film.start.object
        if task is None:
            raise ForearmError(
                f"the episode {film.start.episode} moves no object that is known, so none can be read; judge by "
                "--success picture, learned or a scorer of your own"
            )
        looks = last_looks(film)
        shown = stacked([{name: of[i] for name, of in film.pictures.items()} for i in (0, *looks)], reader.layout)
        pictures = shown.transpose(0, 3, 1, 2)
        n = len(looks)
        boxes = np.repeat(np.stack([task.box, task.box])[None, :, None], n, axis=0).astype(np.float64)
        still = Motions(np.zeros((n, 1, 3)), boxes, np.zeros((n, 1), bool), np.full((n, 2, 1), MIDDLE))
        before = np.repeat(pictures[:1], n, axis=0)
        found.append(reader.places(before, pictures[1:], still, reader.offsets(before, still))[:, 0])
    return np.stack(found)


def object_distances(reader: ObjectReader, films: Sequence[Film]) -> np.ndarray:
    """How far the object of each film is from where it was in the end of the episode, (n,) millimetres on the table.

    Raises:
        ForearmError: an object is to be raised, or cannot be read.
    """
    places = object_places(reader, films).mean(axis=1)
    return np.array([_distance(reader, film, at) for film, at in zip(films, places, strict=True)])


def start_distances(reader: ObjectReader, films: Sequence[Film]) -> np.ndarray:
    """The same at the starts, where the objects' boxes are known, (n,) millimetres."""
    found = []
    for film in films:
        assert film.start.object is not None
        boxes = film.start.object.box
        found.append(_distance(reader, film, (boxes[:, :2] + boxes[:, 2:]) / 2))
    return np.array(found)


def _distance(reader: ObjectReader, film: Film, at: np.ndarray) -> float:
    """From where fixed cameras see the object of a film, (C, 2) in shares of the pictures, to where it is to be."""
    task = film.start.object
    assert task is not None
    if task.lifts:
        raise ForearmError(
            f"the episode {film.start.episode} raises its object, and one picture does not show how high it is; "
            "judge by --success learned or auto"
        )
    apart = []
    for camera in reader.cameras:
        a, height = reader.network.projection[camera].numpy(), np.array(MIDDLE)
        apart.append(on_table(a, at[camera], height) - on_table(a, task.place[camera], height))
    mean = np.nanmean(apart, axis=0)
    if not np.isfinite(mean).all():
        raise ForearmError(f"no fixed camera sees the object of episode {film.start.episode}; leave the episode out")
    return 1000 * float(np.linalg.norm(mean))
