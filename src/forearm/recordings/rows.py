"""Where an episode's rows lie in tables that several episodes share: decided from what the tables say."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Listing:
    """Where the metadata says that the rows of an episode lie."""

    episode: int
    """Its index."""
    length: int
    """How many rows it has."""
    table: Path
    """The file."""
    start: int | None
    """dataset_from_index: its first row, counted through the whole recording; None where that is not known."""


@dataclass(frozen=True)
class Counters:
    """What a table of N rows says of itself."""

    rows: int
    """N."""
    episodes: np.ndarray | None = None
    """(N,) int64: the column episode_index; None where there is none."""
    index: np.ndarray | None = None
    """(N,) int64: the column index; None where there is none."""


@dataclass(frozen=True)
class Rows:
    """Where the rows of an episode are: ``start`` to ``stop`` of a table, or why that is unknown."""

    table: Path
    """The file."""
    start: int = 0
    """Its first row."""
    stop: int = 0
    """One past its last row."""
    refusal: str = ""
    """Which facts disagree; empty where the rows are known."""


def locate(listings: Sequence[Listing], tables: Mapping[Path, Counters]) -> dict[int, Rows]:
    """Find the rows of every episode whose table is among ``tables``.

    Three facts can tell: the column episode_index, the column index beside dataset_from_index, and
    dataset_from_index as a position. A fact counts where it fits all episodes: subsets are often numbered anew in one
    place and not in the other. Facts that count must agree.
    """
    present = [listing for listing in listings if listing.table in tables]
    numbered = _by_number(tables)
    listed = {listing.episode for listing in listings}
    if not (set(numbered) <= listed or {listing.episode for listing in present} <= set(numbered)):
        numbered = {}
    indexed, placed = _by_index(present, tables), _by_position(present, tables)
    taken: dict[tuple[Path, int], int] = {}
    result = {}
    for listing in present:
        found = {
            name: rows[listing.episode]
            for name, rows in (
                ("episode_index", numbered),
                ("index", indexed),
                ("dataset_from_index", placed),
            )
            if listing.episode in rows
        }
        rows = _agreed(listing, tables[listing.table], found)
        if not rows.refusal:
            owner = taken.setdefault((rows.table, rows.start), listing.episode)
            if owner != listing.episode:
                rows = Rows(rows.table, refusal=f"its rows of {rows.table} are those of episode {owner}")
        result[listing.episode] = rows
    return result


def _agreed(listing: Listing, table: Counters, found: Mapping[str, Rows]) -> Rows:
    if not found:
        return Rows(
            listing.table,
            refusal=f"{listing.table} has {table.rows} rows, but none that episode_index or dataset_from_index "
            f"({listing.start}, with {listing.length} rows) would give it",
        )
    first = next(iter(found.values()))
    if first.refusal:
        return first
    for name, rows in found.items():
        if (rows.table, rows.start) != (first.table, first.start):
            return Rows(
                listing.table,
                refusal=f"{next(iter(found))} finds its rows in {first.table} from row {first.start}, {name} in "
                f"{rows.table} from row {rows.start}",
            )
    return first


def _by_number(tables: Mapping[Path, Counters]) -> dict[int, Rows]:
    """Rows by the column episode_index; a number in two places, or in several pieces, is none."""
    found: dict[int, Rows] = {}
    broken = set()
    for path, table in tables.items():
        if table.episodes is None or not len(table.episodes):
            continue
        starts = np.flatnonzero(np.diff(table.episodes, prepend=table.episodes[0] - 1))
        for start, stop in zip(starts.tolist(), [*starts[1:].tolist(), table.rows], strict=True):
            number = int(table.episodes[start])
            if number in found:
                broken.add(number)
            found[number] = Rows(path, start, stop)
    reason = "the rows of its episode_index stand in several places; sort the table by episode_index and frame_index"
    return {
        number: Rows(rows.table, refusal=f"{rows.table}: {reason}") if number in broken else rows
        for number, rows in found.items()
    }


def _by_index(listings: Sequence[Listing], tables: Mapping[Path, Counters]) -> dict[int, Rows]:
    """Rows by the column index, in tables where it fits every listed episode."""
    found: dict[int, Rows] = {}
    for path, table in tables.items():
        here: dict[int, Rows] = {}
        mine = [listing for listing in listings if listing.table == path]
        for listing in mine:
            if table.index is None or listing.start is None:
                break
            inside = np.flatnonzero((table.index >= listing.start) & (table.index < listing.start + listing.length))
            if len(inside) != listing.length or not len(inside):
                continue
            start, stop = int(inside[0]), int(inside[-1]) + 1
            if stop - start == listing.length and _uniform(table, start, stop):
                here[listing.episode] = Rows(path, start, stop)
        if len(here) == len(mine):
            found |= here
    return found


def _by_position(listings: Sequence[Listing], tables: Mapping[Path, Counters]) -> dict[int, Rows]:
    """Rows by dataset_from_index, counted from the first episode that the metadata lists in the same table; where that
    is not known, by the lengths of the episodes before it if these fill the table.
    """
    found: dict[int, Rows] = {}
    for path, table in tables.items():
        mine = [listing for listing in listings if listing.table == path]
        starts = [listing.start for listing in mine if listing.start is not None]
        whole = sum(listing.length for listing in mine) == table.rows
        if not whole and table.episodes is None and table.index is None:
            continue  # rows are missing, and nothing says where
        if len(starts) == len(mine):
            starts = [start - min(starts) for start in starts]
        elif whole:
            starts = list(itertools.accumulate((listing.length for listing in mine), initial=0))[:-1]
        else:
            continue
        here = {
            listing.episode: Rows(path, start, start + listing.length)
            for listing, start in zip(mine, starts, strict=True)
            if start + listing.length <= table.rows
        }
        if all(_uniform(table, rows.start, rows.stop) for rows in here.values()):
            found |= here
    return found


def _uniform(table: Counters, start: int, stop: int) -> bool:
    """Whether rows bear one episode number."""
    return table.episodes is None or len(np.unique(table.episodes[start:stop])) <= 1
