"""A recording's parquet files: the rows of an episode as arrays."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from forearm.base.files import reason_of
from forearm.recordings.errors import EpisodeUnreadable
from forearm.recordings.rows import Counters

MOST_VALUES = 2**26
"""A column that announces more numbers for the rows around an episode is refused before it takes memory."""


class TableFile:
    """A parquet file whose rows are read a few row groups at a time; the last ones are kept.

    Raises:
        EpisodeUnreadable: the file is missing, truncated or no parquet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise EpisodeUnreadable(f"{path} is missing, or no regular file")
        try:
            self._parquet = pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False)
            noted = [self._parquet.metadata.row_group(group) for group in range(self._parquet.num_row_groups)]
            chunks = [[group.column(i) for i in range(group.num_columns)] for group in noted]
            self._held = [[(c.path_in_schema.split(".")[0], c.num_values) for c in group] for group in chunks]
            self.columns: list[str] = self._parquet.schema_arrow.names
        except (OSError, ValueError, pa.ArrowException) as error:  # a ValueError where names are no text
            raise EpisodeUnreadable(f"{path} cannot be read: {reason_of(error)}") from error
        sizes = [group.num_rows for group in noted]
        if min(sizes, default=0) < 0:
            raise EpisodeUnreadable(f"{path} cannot be read: it announces fewer rows than none")
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
        self._kept: dict[str, tuple[int, int, pa.Table]] = {}

    def __len__(self) -> int:
        return int(self._starts[-1])

    def close(self) -> None:
        """Close the file."""
        self._parquet.close()

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The whole table, or some of its columns.

        Raises:
            EpisodeUnreadable: a column is missing, it announces more values than can be read, or is damaged.
        """
        columns = self.columns if columns is None else columns
        self._require(*columns)
        roots = {name.split(".")[0] for name in columns}
        held = sum(values for group in self._held for name, values in group if name in roots)
        if held > MOST_VALUES:
            raise EpisodeUnreadable(f"{self.path} holds {held} values, more than {MOST_VALUES}")
        try:
            return self._parquet.read(list(columns))
        except (OSError, ValueError, pa.ArrowException) as error:
            raise EpisodeUnreadable(f"{self.path} cannot be read: {reason_of(error)}") from error

    def counters(self) -> Counters:
        """What the whole table says about which rows it holds."""
        return Counters(len(self), *(self.integers(name, 0, len(self)) for name in ("episode_index", "index")))

    def integers(self, column: str, start: int, stop: int) -> np.ndarray | None:
        """The rows from ``start`` to ``stop`` of a column, (n,) int64; None where it is missing or no whole numbers."""
        values = self.numbers(column, start, stop)
        if values is None or (values % 1).any() or (np.abs(values) > 2**53).any():
            return None
        return values.astype(np.int64)

    def numbers(self, column: str, start: int, stop: int) -> np.ndarray | None:
        """The rows from ``start`` to ``stop`` of a column, (n,) float64; None where it is missing or not all finite."""
        if column not in self.columns:
            return None
        try:
            values = self._values(column, start, stop, pa.float64())
        except EpisodeUnreadable:
            return None
        return values[:, 0] if values.shape[1:] == (1,) and np.isfinite(values).all() else None

    def indices(self, column: str, count: int) -> np.ndarray:
        """A whole column of numbers or lists of them, all from 0 to ``count`` − 1, as (n, d) int64.

        Raises:
            EpisodeUnreadable: the column is missing, or holds anything else.
        """
        self._require(column)
        values = self._values(column, 0, len(self), pa.float64())
        if not ((values >= 0) & (values < count) & (values % 1 == 0)).all():
            raise EpisodeUnreadable(f"{self.path}: {column!r} holds something else than whole numbers below {count}")
        return values.astype(np.int64)

    def vectors(self, column: str, start: int, stop: int) -> np.ndarray:
        """The rows from ``start`` to ``stop`` of a number or list column, as (n, d) float32.

        Raises:
            EpisodeUnreadable: the column is missing, or its lists have no common length.
        """
        self._require(column)
        return self._values(column, start, stop, pa.float32())

    def _require(self, *columns: str) -> None:
        for column in columns:
            if column not in self.columns:
                raise EpisodeUnreadable(f"{self.path} has no column {column!r}, only {', '.join(self.columns)}")

    def _values(self, column: str, start: int, stop: int, kind: pa.DataType) -> np.ndarray:
        array = self._read(start, stop, column).combine_chunks()
        while _is_list(array.type):
            if array.null_count or len(pc.unique(pc.list_value_length(array))) > 1:
                raise EpisodeUnreadable(f"{self.path}: the lists of {column!r} differ in length")
            array = array.flatten()
        try:
            flat = array.cast(kind, safe=False).to_numpy(zero_copy_only=False)
        except (ValueError, pa.ArrowException) as error:
            raise EpisodeUnreadable(f"{self.path}: {column!r} holds no numbers") from error
        return flat.reshape(stop - start, -1) if stop > start else flat.reshape(0, 0)

    def _read(self, start: int, stop: int, column: str) -> pa.ChunkedArray:
        """Rows of one column, out of the row groups around them."""
        first = int(np.searchsorted(self._starts, start, side="right")) - 1
        last = int(np.searchsorted(self._starts, stop, side="left"))
        if self._kept.get(column, ())[:2] != (first, last):
            held = sum(self._values_held(group, column) for group in range(first, last))
            if held > MOST_VALUES:
                raise EpisodeUnreadable(f"{self.path}: {column!r} holds {held} values, more than {MOST_VALUES}")
            try:
                table = self._parquet.read_row_groups(list(range(first, last)), columns=[column])
            except (OSError, ValueError, pa.ArrowException) as error:
                raise EpisodeUnreadable(f"{self.path} cannot be read: {reason_of(error)}") from error
            if len(table) != self._starts[last] - self._starts[first]:
                raise EpisodeUnreadable(f"{self.path} holds fewer rows than it announces")
            self._kept[column] = (first, last, table)
        return self._kept[column][2].column(column).slice(start - int(self._starts[first]), stop - start)

    def _values_held(self, group: int, column: str) -> int:
        """How many numbers a row group announces for a column and what is nested in it."""
        return sum(values for name, values in self._held[group] if name == column.split(".")[0])


def frame_order(table: TableFile, start: int, stop: int) -> tuple[np.ndarray, np.ndarray | None]:
    """The order (n,) of an episode's rows in time, and the column frame_index (n,) int64 in it, or None.

    It is that of frame_index; without it that of index or timestamp, whichever counts evenly.

    Raises:
        EpisodeUnreadable: frames are missing between others, or repeated: the time from row to row is not known; or
            timestamp has another order.
    """
    frames, clock = table.integers("frame_index", start, stop), table.numbers("timestamp", start, stop)
    if frames is None:
        even = (c for c in (table.integers("index", start, stop), clock) if c is not None and _is_even(c))
        return np.argsort(next(even, np.arange(stop - start)), kind="stable"), None
    order = np.argsort(frames, kind="stable")
    frames = frames[order]
    steps = np.diff(frames)
    if (steps != 1).any():
        at = int(np.argmax(steps != 1))
        raise EpisodeUnreadable(
            f"{table.path}: frame_index skips or repeats frames: {frames[at]} is followed by {frames[at + 1]}"
        )
    if clock is not None and _is_even(clock) and (np.diff(clock[order]) < 0).any():
        at = int(np.argmax(np.diff(clock[order]) < 0))
        raise EpisodeUnreadable(
            f"{table.path}: timestamp and frame_index order the rows otherwise: after frame {frames[at]} the time goes "
            f"from {clock[order[at]]:.3f} s to {clock[order[at + 1]]:.3f} s"
        )
    return order, frames


def _is_even(counter: np.ndarray) -> bool:
    """Whether values (n,), in whatever order, are about equally far apart; those of a clock that was set are not."""
    steps = np.diff(np.sort(counter))
    usual = np.median(steps) if len(steps) else 0
    return bool(usual > 0 and (np.abs(steps - usual) < 0.5 * usual).all())


def first_of(names: Sequence[str], present: Sequence[str]) -> str | None:
    """The first of ``names`` that is among ``present``."""
    return next((name for name in names if name in present), None)


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
