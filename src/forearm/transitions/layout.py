"""The layout of a dataset or a run, read from its file."""

from pathlib import Path

from forearm.base.errors import ForearmError
from forearm.base.files import checked, read_json
from forearm.canvas import Layout


def read_layout(path: Path) -> Layout:
    """Read a layout that a dataset or a run was saved with.

    Raises:
        ForearmError: the file is missing or holds no layout.
    """
    value = read_json(path)
    try:
        return checked(Layout, value, "the layout")
    except ForearmError as error:
        raise ForearmError(f"{path}: {error}; it should have been written by forearm") from error
