"""One episode of a recording, and lines for those that cannot be read."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from forearm.base.errors import ForearmError, shown
from forearm.recordings.logs import DiscreteActionLog
from forearm.recordings.objects import ObjectTruth
from forearm.recordings.pairing import Pairing
from forearm.recordings.pictures import Size

OnSkip = Callable[[int, str], None]
Pictures = dict[str, np.ndarray]
"""Camera's feature key to picture (h, w, 3) uint8."""
NAMED = 3
"""So many missing files are named in one line."""


@dataclass(frozen=True)
class Episode:
    """One episode: its rows, and a way to its pictures, which are decoded only as they are consumed."""

    index: int
    """Its number in the recording."""
    task: str
    """What the robot does, in words; may be empty."""
    states: np.ndarray
    """(n, J) float32, in the robot's own units, in the order of time."""
    actions: np.ndarray | None
    """(n, A) float32, or None where the recording has no action column."""
    log: DiscreteActionLog | None
    """Its discrete-action log, where it has one."""
    pairings: Mapping[str, Pairing]
    """Camera's feature key to which of its pictures belongs to which row, and what does not fit."""
    _stream: Callable[[Sequence[int], Mapping[str, Size | None]], Iterator[tuple[int, Pictures]]] = field(repr=False)
    timestamps: np.ndarray | None = None
    """(n,) float64 seconds: the column timestamp, where the table has one."""
    objects: ObjectTruth | None = None
    """Where objects truly are, where the recording knows."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What is known of the scene, from the header of the log or from the list of episodes."""

    def __len__(self) -> int:
        return len(self.states)

    def pictures(
        self, wanted: Iterable[int] | None = None, size: Size | Mapping[str, Size] | None = None
    ) -> Iterator[tuple[int, Pictures]]:
        """Stream the pictures that belong to some rows; consume them before the next episode is taken.

        Args:
            wanted: row numbers; served in increasing order, each once. All rows by default.
            size: (height, width) to shrink every picture to while decoding, or camera to such a size. Each
                camera's own size by default.

        Yields:
            (row, camera → picture (h, w, 3) uint8).

        Raises:
            EpisodeUnreadable: a file turns out to be truncated or undecodable. The episode has then been
                reported as skipped; drop what came of it so far and go on with the next one.
            ForearmError: a row or a camera is asked for that is not there.
        """
        rows = sorted(set(range(len(self)) if wanted is None else wanted))
        if rows and not 0 <= rows[0] <= rows[-1] < len(self):
            raise ForearmError(f"episode {self.index} has rows 0 to {len(self) - 1}, not {rows[0]}…{rows[-1]}")
        sizes: dict[str, Size | None]
        if isinstance(size, Mapping):
            sizes = {camera: size.get(camera) for camera in self.pairings}
        else:
            sizes = dict.fromkeys(self.pairings, size)
        return self._stream(rows, sizes)


def selected(text: str, indices: Iterable[int]) -> set[int]:
    """Those of ``indices`` that a list such as ``0:50,60`` names; a span ends before its second number.

    Raises:
        ForearmError: it is no such list, or, where there are any indices, it names one that is not among them.
    """
    there, chosen = set(indices), set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        span = re.fullmatch(r"(\d{0,9}):(\d{0,9})|(\d{1,9})", part)
        if span is None:
            raise ForearmError(f"{part!r} selects no episodes; write numbers and spans, such as 0:50,60")
        if span[3] and there and int(span[3]) not in there:
            raise ForearmError(f"there is no episode {span[3]}; there are {in_words(there)}")
        first, stop = (int(span[3]), int(span[3]) + 1) if span[3] else (int(span[1] or 0), int(span[2] or 10**9))
        chosen |= {index for index in there if first <= index < stop}
    return chosen


def chosen(there: Sequence[int], episodes: str, exclude: str, recording: str) -> list[int]:
    """Those of the episodes that are there which are named, all by default, and not excluded; see `selected`.

    Raises:
        ForearmError: none is left.
    """
    left = (selected(episodes, there) if episodes else set(there)) - selected(exclude, there)
    if not left:
        raise ForearmError(f"--episodes and --exclude leave none of the {len(there)} episodes of {recording}")
    return sorted(left)


def lines_of(skipped: Iterable[tuple[int, str]], recording: str = "") -> list[str]:
    """A line for each reason for which episodes, given as (index, reason), are skipped; missing files share one."""
    missing: dict[str, None] = {}
    lacking: list[int] = []
    others: dict[str, list[int]] = {}
    for index, reason in skipped:
        files = reason.removesuffix(" is missing").removesuffix(" are missing")
        if files != reason:
            lacking.append(index)
            missing |= dict.fromkeys(files.split(" and "))
        else:
            others.setdefault(reason, []).append(index)
    lines, of = [], f" of {recording}" if recording else ""
    if lacking:
        names = ", ".join([*list(missing)[:NAMED], *([f"and {len(missing) - NAMED} more"] * (len(missing) > NAMED))])
        what = f"{names} is missing" if len(missing) == 1 else f"{len(missing)} files are missing: {names}"
        lines.append(f"{in_words(lacking)}{of}: {what}")
    return [shown(line) for line in lines + [f"{in_words(on)}{of}: {reason}" for reason, on in others.items()]]


def lines_by_recording(skipped: Iterable[tuple[str, int, str]]) -> list[str]:
    """The lines of `lines_of` for each recording; (recording, index, reason) come in."""
    entries = list(skipped)
    return [
        line
        for name in dict.fromkeys(name for name, _, _ in entries)
        for line in lines_of(((index, reason) for other, index, reason in entries if other == name), name)
    ]


def in_words(indices: Iterable[int]) -> str:
    """Episode numbers in words: ``episode 3``, ``12 episodes (0 to 9, 12, 15)``."""
    ordered = sorted(set(indices))
    if len(ordered) == 1:
        return f"episode {ordered[0]}"
    starts = [n for n in ordered if n - 1 not in set(ordered)]
    ends = [n for n in ordered if n + 1 not in set(ordered)]
    spans = [str(a) if a == b else f"{a} to {b}" for a, b in zip(starts, ends, strict=True)]
    return f"{len(ordered)} episodes ({', '.join(spans)})"
