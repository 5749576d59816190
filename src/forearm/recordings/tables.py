"""A recording's parquet files: the rows of an episode as arrays."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from forearm.recordings.errors import EpisodeUnreadable


class TableFile:
    """A parquet file whose rows are read a few row groups at a time; the last ones are kept.

    Raises:
        EpisodeUnreadable: the file is missing, truncated or no parquet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._parquet = pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False)
        except (OSError, pa.ArrowException) as error:
            raise EpisodeUnreadable(f"{path} cannot be read: {_one_line(error)}") from error
        sizes = [self._parquet.metadata.row_group(g).num_rows for g in range(self._parquet.num_row_groups)]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
        self._episode_of_row: np.ndarray | None = None
        self._kept: dict[str, tuple[int, int, pa.Table]] = {}

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return self._parquet.schema_arrow.names

    def __len__(self) -> int:
        return int(self._starts[-1])

    def close(self) -> None:
        """Close the file."""
        self._parquet.close()

    def rows_of(self, episode_index: int, length: int, start: int) -> tuple[int, int]:
        """Where in the file an episode's rows lie, first and one past the last.

        They are found by the episode_index column, or, where that column does not know the episode (subsets
        keep old numbers), by ``start``, their place as the metadata has it.
        """
        if "episode_index" in self.columns:
            if self._episode_of_row is None:
                column = self._read(0, len(self), "episode_index")
                self._episode_of_row = column.to_numpy()
            rows = np.flatnonzero(self._episode_of_row == episode_index)
            if len(rows) == length and length and rows[-1] - rows[0] + 1 == length:
                return int(rows[0]), int(rows[-1]) + 1
        if start < 0 or start + length > len(self):
            raise EpisodeUnreadable(f"{self.path} has {len(self)} rows, not the {start + length} it needs")
        return start, start + length

    def vectors(self, column: str, start: int, stop: int) -> np.ndarray:
        """The rows from ``start`` to ``stop`` of a number or list column, as (n, d) float32.

        Raises:
            EpisodeUnreadable: the column is missing, or its lists have no common length.
        """
        if column not in self.columns:
            raise EpisodeUnreadable(f"{self.path} has no column {column!r}, only {', '.join(self.columns)}")
        array = self._read(start, stop, column).combine_chunks()
        while _is_list(array.type):
            if array.null_count or len(pc.unique(pc.list_value_length(array))) > 1:
                raise EpisodeUnreadable(f"{self.path}: the lists of {column!r} differ in length")
            array = array.flatten()
        try:
            flat = array.cast(pa.float32(), safe=False).to_numpy(zero_copy_only=False)
        except pa.ArrowException as error:
            raise EpisodeUnreadable(f"{self.path}: {column!r} holds no numbers") from error
        return flat.reshape(stop - start, -1) if stop > start else flat.reshape(0, 0)

    def _read(self, start: int, stop: int, column: str) -> pa.ChunkedArray:
        """Rows of one column, out of the row groups around them."""
        first = int(np.searchsorted(self._starts, start, side="right")) - 1
        last = int(np.searchsorted(self._starts, stop, side="left"))
        if self._kept.get(column, ())[:2] != (first, last):
            try:
                table = self._parquet.read_row_groups(list(range(first, last)), columns=[column])
            except (OSError, pa.ArrowException) as error:
                raise EpisodeUnreadable(f"{self.path} cannot be read: {_one_line(error)}") from error
            self._kept[column] = (first, last, table)
        return self._kept[column][2].column(column).slice(start - int(self._starts[first]), stop - start)


def order_of_frames(table: TableFile, start: int, stop: int) -> np.ndarray:
    """The order (n,) that sorts an episode's rows by frame, so that row and picture have one number.

    Raises:
        EpisodeUnreadable: frames are missing or repeated among the rows.
    """
    if "frame_index" not in table.columns:
        return np.arange(stop - start)
    frames = table.vectors("frame_index", start, stop)[:, 0]
    order = np.argsort(frames, kind="stable")
    if not np.array_equal(frames[order] - frames[order][:1], np.arange(stop - start)):
        raise EpisodeUnreadable(f"{table.path}: frame_index skips or repeats frames")
    return order


def first_of(names: Sequence[str], present: Sequence[str]) -> str | None:
    """The first of ``names`` that is among ``present``."""
    return next((name for name in names if name in present), None)


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _one_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
