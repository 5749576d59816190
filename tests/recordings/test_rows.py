"""Where an episode's rows lie: two episodes never get the same ones."""

from pathlib import Path

import numpy as np

from forearm.recordings.rows import Counters, Listing, Rows, locate

TABLE = Path("file-000.parquet")


def test_rows_that_are_listed_twice_belong_to_the_first_episode():
    tables = {TABLE: Counters(5, np.array([3, 3, 4, 4, 4]) + 20)}
    listings = [Listing(0, 2, TABLE, 0), Listing(1, 3, TABLE, 2), Listing(7, 3, TABLE, 2)]
    found = locate(listings, tables)
    assert (found[0], found[1]) == (Rows(TABLE, 0, 2), Rows(TABLE, 2, 5))
    assert "are those of episode 1" in found[7].refusal
