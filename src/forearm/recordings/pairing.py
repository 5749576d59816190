"""Which picture of a file belongs to which row of an episode: decided from what the files say, before any decoding.

`pair` looks at one episode and the video of one camera. docs/formats.md holds the table of its cases.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

ALIGNED = 0.1
"""Share of a picture's duration within which two times count as the same."""
BEYOND = "the file goes on behind the last episode that the metadata lists in it"
CUT = (
    "the metadata counts more rows than there are; if others than the last ones were cut and the others numbered anew, "
    "rows stand beside too early a picture"
)


@dataclass(frozen=True)
class VideoFacts:
    """What the files say about the n rows of one episode and the m pictures of the video that shows it."""

    times: np.ndarray
    """(m,) float64 seconds, increasing: when each picture of the file is shown."""
    fps: float
    """Rows a second, as meta/info.json has it."""
    rows: int
    """n."""
    length: int
    """Rows that the episode has by the metadata."""
    frames: np.ndarray | None = None
    """(n,) int64, increasing: the column frame_index; None where the table has none."""
    timestamps: np.ndarray | None = None
    """(n,) float64 seconds: the column timestamp; None where the table has none."""
    begin: float | None = None
    """from_timestamp: the second of the file at which the episode begins."""
    end: float | None = None
    """to_timestamp: the second of the file at which it ends."""
    before: int = 0
    """Rows of the episodes that lie before this one in the file, by the metadata."""
    total: int | None = None
    """Rows of all episodes in the file, by the metadata; None where this is the only one."""
    episodes: int = 1
    """How many episodes share the file."""
    claimed: float | None = None
    """The greatest to_timestamp of the episodes in the file."""
    truncated: bool = False
    """Whether the end of the file is missing."""
    base: int = 0
    """The number that frame_index has for the first picture, 0 or 1."""
    contradiction: str = ""
    """What the metadata says against itself about this file; it forbids any pairing."""


@dataclass(frozen=True)
class Pairing:
    """The decision about one episode and camera."""

    numbers: np.ndarray
    """(n,) int64, not decreasing: the picture of each row, counted from 0 in the file; empty where refused."""
    rule: Literal["count", "time", "none"]
    """By which facts: one picture a row in order, or the picture whose time is nearest to the row's."""
    note: str = ""
    """What does not fit although it is paired; worded alike for all episodes with the same trouble."""
    refusal: str = ""
    """Which facts disagree so that nothing can be paired; empty where it is."""


def pair(facts: VideoFacts) -> Pairing:
    """Decide which picture belongs to which row, or that nobody can tell."""
    if facts.contradiction:
        return _refused(facts.contradiction)
    stretch = _stretch(facts)
    if isinstance(stretch, str):
        return _refused(stretch + (": the file is truncated" if facts.truncated else ""))
    first, stop, origins = stretch
    paired = _by_count(facts, first) if stop - first == facts.rows else _by_time(facts, first, stop, origins)
    if paired.refusal:
        return _refused(paired.refusal + ": the file is truncated") if facts.truncated else paired
    behind = len(facts.times) > (facts.total or facts.rows) and facts.times[-1] >= (facts.claimed or np.inf)
    cut = facts.length > facts.rows and facts.frames is not None and facts.frames[0] == facts.base
    notes = (paired.note, BEYOND if behind else "", CUT if cut and paired.rule == "time" else "")
    return replace(paired, note="; ".join(filter(None, notes)))


def pair_images(file_numbers: Sequence[int | None], frames: np.ndarray | None, rows: int) -> Pairing:
    """Decide which image file of a folder belongs to which row.

    Args:
        file_numbers: the number in each file's name, files in order; None where the name has none.
        frames: (n,) int64, the column frame_index, or None.
        rows: n.
    """
    place = {number: at for at, number in enumerate(file_numbers) if number is not None}
    wanted = range(rows) if frames is None else frames.tolist()
    counts_from_zero = 0 in place or set(place) == set(wanted)
    if len(place) == len(file_numbers) and counts_from_zero and (frames is not None or len(place) == rows):
        missing = [number for number in wanted if number not in place]
        if not missing:
            return Pairing(np.array([place[number] for number in wanted], np.int64), "time")
        if len(file_numbers) != rows:
            return _refused(f"there is no image of frame_index {missing[0]}")
    if len(file_numbers) == rows:
        return Pairing(np.arange(rows), "count")
    return _refused(f"there are {rows} rows but {len(file_numbers)} images, and their names do not say which is which")


def _refused(reason: str) -> Pairing:
    return Pairing(np.zeros(0, np.int64), "none", refusal=reason)


def _spacing(facts: VideoFacts) -> float:
    """Seconds from picture to picture."""
    return max(1e-6, float(np.median(np.diff(facts.times)))) if len(facts.times) > 1 else 1 / facts.fps


def _stretch(facts: VideoFacts) -> tuple[int, int, list[float]] | str:
    """The episode's pictures in the file, first and one past the last, and the seconds of the file that its clock may
    count from; or why they cannot be found.
    """
    held, total = len(facts.times), facts.total
    begin = facts.begin
    stamps = ((begin, facts.before), (facts.end, facts.before + facts.length))
    counted = all(stamp is None or abs(stamp * facts.fps - pictures) < ALIGNED for stamp, pictures in stamps)
    if held == total and counted:  # the metadata counts pictures, whatever the file's clock says
        return facts.before, facts.before + facts.length, [float(facts.times[facts.before])]
    if begin is None:
        if facts.episodes == 1:
            return 0, held, sorted({0.0, *facts.times[:1].tolist()})
        return (
            f"its from_timestamp is missing, and the file's {held} pictures are not one for each of the {total} rows "
            f"of its {facts.episodes} episodes"
        )
    spacing = _spacing(facts)
    ends = facts.times[-1] + spacing if held else 0.0
    surplus = (ends - facts.claimed) / spacing if facts.claimed is not None else 0.0
    if facts.episodes > 1 and surplus < -0.5 and not facts.truncated:
        return (
            f"the episodes of the file reach to {facts.claimed:.3f} s by to_timestamp, but its {held} pictures end at "
            f"{ends:.3f} s, and nothing says where pictures are missing"
        )
    if held and facts.times[0] > max(begin if facts.before == 0 else 0.0, 0.5 * spacing) and surplus > 0.5:
        return (
            f"the file's first picture is shown at {facts.times[0]:.3f} s, and nothing says whether from_timestamp "
            "counts from there or from 0"
        )
    if facts.before and 0.5 < surplus < facts.episodes + 0.5:
        return (
            f"the {held} pictures of the file end at {ends:.3f} s, its episodes at {facts.claimed:.3f} s by "
            "to_timestamp, and nothing says where the pictures too many are"
        )
    stop = held if facts.end is None else int(np.searchsorted(facts.times, facts.end - spacing / 2))
    return int(np.searchsorted(facts.times, begin - spacing / 2)), stop, [begin]


def _by_count(facts: VideoFacts, first: int) -> Pairing:
    """As many pictures as rows: one a row, unless the pictures' times have a gap that the rows do not have."""
    spacing, times = _spacing(facts), facts.times[first : first + facts.rows]
    frames = np.arange(facts.rows) if facts.frames is None else facts.frames
    grid = (frames - frames[0]) / facts.fps
    clocks = {"frame_index": grid}
    if facts.timestamps is not None:
        clocks["timestamp"] = facts.timestamps - facts.timestamps[0]
    near = 0.5 * max(spacing, 1 / facts.fps)
    gaps = np.flatnonzero(np.diff(times) > 1.5 * spacing)
    if len(gaps) and not any(np.abs(times - times[0] - clock).max() < near for clock in clocks.values()):
        return _refused(
            f"there are {facts.rows} pictures for {facts.rows} rows, but {times[gaps[0] + 1] - times[gaps[0]]:.3f} s "
            f"pass after picture {first + gaps[0]}, which neither {' nor '.join(clocks)} shows"
        )
    notes = []
    if "timestamp" in clocks and np.abs(clocks["timestamp"] - grid).max() > near:
        notes.append("timestamp drifts from frame_index / fps by more than half a frame")
    if abs(spacing * facts.fps - 1) > 5e-4:
        notes.append(f"the video runs at {1 / spacing:.4g} pictures a second, the table at {facts.fps:.4g} rows")
    numbers = np.arange(first, first + facts.rows)
    return Pairing(numbers, "count", "; ".join(notes) and f"paired by count: {'; '.join(notes)}")


def _by_time(facts: VideoFacts, first: int, stop: int, origins: Sequence[float]) -> Pairing:
    """More or fewer pictures than rows: the nearest in time, by those clocks of the table that the video can follow."""
    spacing, times = _spacing(facts), facts.times[first:stop]
    where = f"there are {facts.rows} rows but {len(times)} pictures"
    if not len(times):
        return _refused(where)
    # Half a row, or where pictures stand longer than rows, as long as the last one stands for rows behind it.
    near = 0.5 / facts.fps + max(0.0, spacing - 1 / facts.fps) + 1e-4
    fitting: dict[bytes, tuple[str, np.ndarray, bool]] = {}
    misses: list[tuple[int, str]] = []
    for name, seconds in _clocks(facts, len(times), origins):
        numbers = _nearest(times, seconds)
        ends = abs(seconds[-1] + 1 / facts.fps - times[-1] - spacing) < 1.1 * max(spacing, 1 / facts.fps)
        apart = np.abs(times[numbers] - seconds)
        if apart.max() > near:
            row = int(np.argmax(apart > near))
            misses.append((row, f"row {row} (by {name} at {seconds[row]:.3f} s) has none within {near:.3f} s"))
        elif name != "row number" or ends:
            fitting.setdefault(numbers.tobytes(), (name, numbers, ends))
        else:
            misses.append((facts.rows, "no column frame_index or timestamp says which belong together"))
    agreed = list(fitting.values())
    if len(agreed) > 1:
        # Where pictures and rows have one rate, they were taken together, and only frame_index can be right.
        one_rate = abs(spacing * facts.fps - 1) < 0.01
        agreed = [(name, numbers, ends) for name, numbers, ends in agreed if ends]
        agreed = [] if one_rate and any(name == "timestamp" for name, _, _ in agreed) else agreed
    if len(agreed) == 1:
        return Pairing(first + agreed[0][1], "time", "paired by time: there are not as many pictures as rows")
    if fitting:
        return _refused(f"{where}, and frame_index / fps, timestamp and the video's start disagree on which is which")
    return _refused(f"{where}; {max(misses)[1]}")


def _clocks(facts: VideoFacts, pictures: int, origins: Sequence[float]) -> Iterator[tuple[str, np.ndarray]]:
    """Every reading of the table's clocks as seconds (n,) of the file."""
    clocks = {}
    if facts.frames is not None:
        clocks["frame_index"] = (facts.frames - facts.base) / facts.fps
    # Where the metadata knows a row for each picture, timestamp matters only if frame_index may be numbered anew.
    waits = (
        np.diff(facts.timestamps, prepend=-1 / facts.fps) * facts.fps if facts.timestamps is not None else np.zeros(1)
    )
    if facts.timestamps is not None and (
        facts.frames is None or pictures != facts.length or (facts.frames[0] == facts.base and waits.max() > 1.5)
    ):
        clocks["timestamp"] = facts.timestamps
    clocks = clocks or {"row number": np.arange(facts.rows) / facts.fps}
    for origin in origins:
        for name, seconds in clocks.items():
            yield name, seconds + origin


def _nearest(times: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Index of the nearest of increasing ``times`` for each of ``seconds``; the earlier of two that are as near."""
    right = np.searchsorted(times, seconds).clip(1, max(1, len(times) - 1))
    left = right - 1
    right = right.clip(max=len(times) - 1)
    return np.where(seconds - times[left] <= times[right] - seconds + 1e-6, left, right)
