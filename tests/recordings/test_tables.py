"""Parquet files that announce more than can be read, or other rows than they hold."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forearm.recordings import EpisodeUnreadable, tables
from forearm.recordings.tables import TableFile


def written(path, rows=8, group=4):
    pq.write_table(pa.table({"state": [[1.0, 2.0, 3.0]] * rows, "task": ["pick"] * rows}), path, row_group_size=group)
    return TableFile(path)


def test_more_values_than_fit_into_memory_are_refused_before_they_are_read(tmp_path, monkeypatch):
    table = written(tmp_path / "file.parquet")
    monkeypatch.setattr(tables, "MOST_VALUES", 12)
    assert table.vectors("state", 0, 4).shape == (4, 3)  # a row group at a time
    with pytest.raises(EpisodeUnreadable, match="'state' holds 24 values, more than 12"):
        table.vectors("state", 2, 6)
    assert len(table.table(["task"])) == 8
    with pytest.raises(EpisodeUnreadable, match="holds 24 values, more than 12"):
        table.table(["state"])
    with pytest.raises(EpisodeUnreadable, match="holds 32 values, more than 12"):
        table.table()


def test_fewer_rows_than_announced_are_refused(tmp_path):
    table = written(tmp_path / "file.parquet", group=8)
    short = pa.table({"state": [[1.0, 2.0, 3.0]] * 5})
    table._parquet = type("Short", (), {"read_row_groups": lambda self, groups, columns: short})()
    with pytest.raises(EpisodeUnreadable, match=r"file\.parquet holds fewer rows than it announces"):
        table.vectors("state", 0, 8)


def test_the_last_columns_that_were_read_are_kept(tmp_path):
    table = written(tmp_path / "file.parquet")
    first = table.vectors("state", 0, 4)
    table.close()
    assert np.array_equal(table.vectors("state", 1, 3), first[1:3])
