"""What the tests of pages share."""

from collections.abc import Iterator

import pytest
from support.charts import drawn_once


@pytest.fixture(autouse=True, scope="package")
def charts() -> Iterator[None]:
    with drawn_once():
        yield
