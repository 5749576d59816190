"""Writing files so that a reader, a crash or a full disk never meets half of one."""

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from forearm.base.errors import ForearmError


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Give a name beside ``path`` to write to; rename it to ``path`` when the block succeeds.

    Raises:
        ForearmError: the target cannot be written (read-only, full disk); nothing is left behind.
    """
    path = Path(path)
    beside = _partial(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        os.replace(beside, path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        with contextlib.suppress(OSError):  # never made, or renamed
            beside.unlink()


@contextlib.contextmanager
def writing_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder beside ``path`` to fill; rename it to ``path`` when the block succeeds.

    Raises:
        ForearmError: ``path`` exists and is not an empty folder, or cannot be written; nothing is left behind.
    """
    path = Path(path)
    require_absent(path)
    beside = _partial(path)
    try:
        try:
            beside.mkdir(parents=True)
            yield beside
            if path.is_dir():
                path.rmdir()  # empty, as checked above
            os.replace(beside, path)
        except OSError as error:
            raise _cannot_write(path, error) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def require_absent(path: Path) -> None:
    """Refuse a target that would overwrite something.

    Raises:
        ForearmError: ``path`` is a file, or a folder with something in it.
    """
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise ForearmError(f"{path} already exists; choose another --out or remove it first")


def require_replaceable(path: Path, mark: str, option: str = "--out") -> None:
    """Refuse to overwrite any file but one of our own pages, which bears ``mark`` near its beginning.

    Raises:
        ForearmError: ``path`` is a folder, or a file without the mark.
    """
    if path.is_dir():
        raise ForearmError(f"{path} is a folder; give {option} the name of a file, such as {path / 'page.html'}")
    try:
        ours = path.is_file() and mark in path.read_text(encoding="utf-8")[:1000]
    except (OSError, UnicodeDecodeError):
        ours = False
    if path.exists() and not ours:
        raise ForearmError(f"{path} already exists; choose another {option} or remove it first")


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, whole or not at all."""
    with writing(path) as beside:
        beside.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def append_line(path: Path, line: str) -> None:
    """Add a line to a text file.

    Raises:
        ForearmError: the file cannot be written (read-only, full disk).
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as error:
        raise _cannot_write(path, error) from error


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        ForearmError: the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ForearmError(f"{path} is missing") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ForearmError(f"{path} cannot be read as JSON: {error}") from error


def _cannot_write(path: Path, error: OSError) -> ForearmError:
    reason = error.strerror or str(error)
    return ForearmError(f"{path} cannot be written: {reason}; free some space or choose another place")
