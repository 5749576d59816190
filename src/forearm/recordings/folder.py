"""A recording's folder: which files in it may be opened, and one line for those that cannot."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from forearm.base.errors import ForearmError
from forearm.base.files import MOST, read_json, read_json_lines
from forearm.recordings.errors import EpisodeUnreadable

LFS_POINTER = b"version https://git-lfs.github.com/spec/"


class Folder:
    """The files below ``root``.

    Nothing outside is opened, whatever paths and links say, unless ``follow_links``. (The Hub's download cache keeps
    its files beside the snapshot's folder of links; that counts as inside.)
    """

    def __init__(self, root: Path, follow_links: bool = False) -> None:
        self.root = root
        cached = root.parent.name == "snapshots" and (root.parent.parent / "blobs").is_dir()
        self._inside = None if follow_links else (root.parent.parent if cached else root).resolve()

    def file(self, path: Path) -> Path:
        """``path``, which may be opened.

        Raises:
            EpisodeUnreadable: it is missing, outside, no regular file (a pipe), or not downloaded by Git LFS.
        """
        if not path.exists():
            raise EpisodeUnreadable(f"{path} is missing")
        if self._inside is not None and not path.resolve().is_relative_to(self._inside):
            raise EpisodeUnreadable(f"{path} leads out of the recording's folder; copy the file in, or follow links")
        if not path.is_file():
            raise EpisodeUnreadable(f"{path} is no regular file")
        with path.open("rb") as file:
            if file.read(len(LFS_POINTER)) == LFS_POINTER:
                raise EpisodeUnreadable(f"{path} is a Git LFS pointer, not the file itself; run git lfs pull")
        return path

    def has(self, path: Path) -> bool:
        """Whether a path is a file or a link to one; what is wrong with it `file` says."""
        return path.is_file()

    def json(self, path: Path) -> Any:
        """The value in a JSON file.

        Raises:
            ForearmError: it cannot be opened, or is no JSON.
        """
        return read_json(self.file(path))

    def json_lines(self, path: Path) -> Iterator[dict[str, Any]]:
        """The objects in a file with one JSON object a line.

        Raises:
            ForearmError: it cannot be opened, or a line is no JSON object.
        """
        return read_json_lines(self.file(path))


def whole(value: Any, what: str) -> int:
    """An integer, also where a table made a float of it (3.0).

    Raises:
        ForearmError: it is no whole number.
    """
    number = not isinstance(value, bool) and isinstance(value, int | float)
    if not number or value != value or not -MOST < value < MOST or value % 1:
        raise ForearmError(f"{what} is {value!r}, not a whole number")
    return int(value)
