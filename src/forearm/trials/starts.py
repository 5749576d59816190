"""Where trials begin: the first frames of a dataset's episodes, and what each episode brought about."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from forearm.base.errors import ForearmError
from forearm.environment.commands import Commands
from forearm.transitions import TransitionSet

RAISED = 0.04
"""Metres by which an object was raised at the end of an episode that lifts it."""
MOVED = 0.02
"""Metres by which the object of an episode moves at least."""


@dataclass(frozen=True)
class ObjectTask:
    """What an episode did to the object that it moved most, as the truth about objects has it.

    Shares are of the width and height of each of the C cameras' pictures.
    """

    number: int
    """Which of the dataset's objects."""
    begin: np.ndarray
    """(3,) metres, where the object was at first."""
    end: np.ndarray
    """(3,) metres, where it was in the end."""
    box: np.ndarray
    """(C, 4) left, top, right and bottom of the object at the start, in shares; NaN where it is not seen."""
    place: np.ndarray
    """(C, 2) the middle of its box in the end, in shares; NaN where it is not seen."""

    @property
    def lifts(self) -> bool:
        """Whether the object is to be raised; else it is to be moved along the table."""
        return bool(self.end[2] - self.begin[2] > RAISED)


@dataclass(frozen=True)
class Start:
    """The first frame of an episode."""

    episode: int
    """Its number, as worlds begin with it."""
    task: str
    """What is to be done, in words."""
    first: dict[str, np.ndarray]
    """Camera to picture (h, w, 3) uint8."""
    last: dict[str, np.ndarray]
    """The same of the episode's last frame: what it looks like when it is done."""
    commands: np.ndarray
    """(n, A) float32, what the episode commanded, step by step."""
    object: ObjectTask | None = None
    """What it did to an object; None where the dataset knows of none or none moved."""


def read_starts(data: TransitionSet, commands: Commands, numbers: Mapping[int, int]) -> list[Start]:
    """The starts of some episodes.

    Args:
        data: built with ``--actions command``, from targets.
        commands: of the data.
        numbers: of the episodes, as worlds begin with them, to the episodes of the dataset.

    Raises:
        ForearmError: the dataset's actions are no targets of joints.
    """
    _require_targets(data)
    rows = data.columns.by_episode()
    return [_start(data, commands, number, episode, rows[episode]) for number, episode in numbers.items()]


def _require_targets(data: TransitionSet) -> None:
    if (meant := data.layout.action_is) != "target":
        what = f"{meant}s" if meant else "no commands"
        raise ForearmError(f"the actions of {data.path} are {what}; trials need targets: build with --actions command")


def _start(data: TransitionSet, commands: Commands, number: int, episode: int, rows: np.ndarray) -> Start:
    way, actions = way_of(data, rows)
    last = int(data.columns.frames[rows].max())
    return Start(
        number,
        str(data.episodes[episode].get("task") or ""),
        pictures_of(data, int(way[0])),
        pictures_of(data, last),
        commands.targets(actions, data.states[way[:-1]], episode).astype(np.float32),
        _object_task(data, int(way[0]), last),
    )


def way_of(data: TransitionSet, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The frames (n + 1,) of an episode's transitions from its first one on, step by step, and the actions (n, A).

    Where transitions overlap, frames lie between those.
    """
    frames, actions = data.columns.frames[rows], data.columns.actions[rows]
    taken = actions.reshape(-1, actions.shape[-1])
    follows = {
        here: (there, action)
        for here, there, action in zip(
            *(part.ravel().tolist() for part in (frames[:, :-1], frames[:, 1:])), taken, strict=True
        )
    }
    way, passed = [int(frames.min())], []
    while way[-1] in follows:
        there, action = follows[way[-1]]
        way.append(there)
        passed.append(action)
    return np.array(way), np.stack(passed)


@dataclass(frozen=True)
class Demonstration:
    """An episode to learn from: n frames, a step apart, and the n − 1 commands between them."""

    pictures: dict[str, np.ndarray]
    """Camera to (n, h, w, 3) uint8."""
    states: np.ndarray
    """(n, J) float32."""
    commands: np.ndarray
    """(n − 1, A) float32."""
    task: str
    box: np.ndarray
    """(C, 4) the object that it moves most, at the start, in shares of the pictures; NaN where nothing is known."""
    place: np.ndarray
    """(C, 2) where its middle is in the end."""


def demonstrations(path: Path | str) -> Iterator[Demonstration]:
    """The episodes of a dataset, as a policy learns from them.

    Raises:
        ForearmError: there is no such dataset, or its actions are no targets of joints.
    """
    data = TransitionSet(path)
    commands, cameras = Commands(data), len(data.layout.cameras)
    _require_targets(data)
    for episode, rows in data.columns.by_episode().items():
        start = _start(data, commands, episode, episode, rows)
        frames, _ = way_of(data, rows)
        shown = [pictures_of(data, frame) for frame in frames.tolist()]
        of = start.object
        yield Demonstration(
            {name: np.stack([each[name] for each in shown]) for name in shown[0]},
            *(data.states[frames], start.commands, start.task),
            np.full((cameras, 4), np.nan) if of is None else of.box,
            np.full((cameras, 2), np.nan) if of is None else of.place,
        )


def pictures_of(data: TransitionSet, frame: int) -> dict[str, np.ndarray]:
    """Camera to picture (h, w, 3) uint8 of a frame."""
    shown, layout = np.asarray(data.frames[frame]), data.layout
    return {c.name: shown[box] for c, box in zip(layout.cameras, layout.camera_boxes(), strict=True)}


def _object_task(data: TransitionSet, first: int, last: int) -> ObjectTask | None:
    if data.objects is None:
        return None
    positions, boxes = data.objects.at(np.array([first, last]))
    far = np.nan_to_num(np.linalg.norm(positions[1] - positions[0], axis=-1))
    number = int(far.argmax())
    if far[number] < MOVED:
        return None
    (begin, end), (box, after) = positions[:, number].astype(np.float64), boxes[:, number].astype(np.float64)
    return ObjectTask(number, begin, end, box, (after[:, :2] + after[:, 2:]) / 2)
