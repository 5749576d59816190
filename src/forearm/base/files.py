"""Writing files and folders so that a reader, a crash, a full disk or a second writer never meets half of one.

What is written gathers in ``.NAME.partial`` beside its target, whose writer holds the lock ``.NAME.lock``. A command
that is killed leaves both; the next one that writes the same target removes them.
"""

import contextlib
import ctypes
import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from forearm.base.errors import ForearmError

if sys.platform != "win32":
    import fcntl

_HELD: set[int] = set()
"""File descriptors of the locks that this process holds."""


def _let_go_after_fork() -> None:
    """A forked process holds no lock of its parent's, which would outlive the parent."""
    for descriptor in _HELD:
        os.close(descriptor)
    _HELD.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_after_fork)


@contextlib.contextmanager
def locked(path: Path, wait: bool = False) -> Iterator[None]:
    """Let one process at a time write a file or folder; a process that ends, even by kill −9, lets go.

    Args:
        path: what is written. The lock is the file ``.NAME.lock`` beside it, which says who holds it.
        wait: wait for the other writer instead of refusing.

    Raises:
        ForearmError: another process is writing it, or there is no writing here.
    """
    lock = Path(path).with_name(f".{Path(path).name}.lock")
    try:
        with contextlib.suppress(FileExistsError):  # a file in the way is what opening complains of
            lock.parent.mkdir(parents=True)
        descriptor = _claim(lock, wait)
    except BlockingIOError:
        holder = _holder(lock)
        raise ForearmError(f"{path} is being written by {holder}; wait until that has ended, or stop it") from None
    except OSError as error:
        raise _cannot_write(path, error) from error
    _HELD.add(descriptor)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            lock.unlink()
        _HELD.discard(descriptor)
        os.close(descriptor)


def _holder(lock: Path) -> str:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return lock.read_text(encoding="utf-8") or "another process"
    return "another process"


def _claim(lock: Path, wait: bool) -> int:
    """Open and lock a file; return its descriptor."""
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if sys.platform != "win32":
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(descriptor)
            raise
        except OSError:
            pass  # a file system without locks
        with contextlib.suppress(FileNotFoundError):  # whoever held it before removes it on letting go
            if os.path.samestat(os.fstat(descriptor), os.stat(lock)):
                break
        os.close(descriptor)
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    with contextlib.suppress(OSError):  # on a full disk the lock does not say whose it is
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} ({command[:200]})".encode())
    return descriptor


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Give a name beside ``path`` to write to; rename it to ``path`` when the block succeeds.

    Of two writers at once the second waits for the first.

    Raises:
        ForearmError: the target cannot be written (read-only, full disk); nothing is left behind.
    """
    path = Path(path)
    with locked(path, wait=True), _beside(path) as beside:
        yield beside
        os.replace(beside, path)


@contextlib.contextmanager
def writing_folder(path: Path, replace: bool = False) -> Iterator[Path]:
    """Give an empty folder beside ``path`` to fill; it becomes ``path`` when the block succeeds.

    Args:
        path: what to write.
        replace: whether a folder may be there, which the new one then takes the place of in one step; a second writer
            waits for the first. Without it only an empty folder may be there, and a second writer is refused.

    Raises:
        ForearmError: ``path`` is taken, is a link, is being written by another process, or cannot be written; nothing
            is left behind.
    """
    path = Path(path)
    require_folder(path) if replace else require_absent(path)
    with locked(path, wait=replace), _beside(path) as beside:
        beside.mkdir()
        yield beside
        require_folder(path) if replace else require_absent(path)
        if not path.is_dir():
            os.replace(beside, path)
        elif not _exchanged(beside, path):  # then ``beside`` is what was there
            before = beside.with_suffix(".before")
            shutil.rmtree(before, ignore_errors=True)
            os.replace(path, before)
            os.replace(beside, path)
            shutil.rmtree(before, ignore_errors=True)


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """The name to write a target under until it is whole; what is there before or after is removed."""
    beside = path.with_name(f".{path.name}.partial")
    _remove(beside)
    try:
        yield beside
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        _remove(beside)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):  # never made, or renamed
            path.unlink()


def _exchanged(one: Path, other: Path) -> bool:
    """Whether two names could be exchanged in one step, as Linux and macOS can on most file systems."""
    if sys.platform == "win32":
        return False
    names, system = (os.fsencode(one), os.fsencode(other)), ctypes.CDLL(None)
    if hasattr(system, "renameat2"):
        here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
        return system.renameat2(here, names[0], here, names[1], exchange) == 0
    return hasattr(system, "renamex_np") and system.renamex_np(*names, 2) == 0  # RENAME_SWAP


def require_absent(path: Path) -> None:
    """Refuse a target that would overwrite something.

    Raises:
        ForearmError: ``path`` is a file, a link, or a folder with something in it.
    """
    path = Path(path)
    if path.is_symlink() or path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise ForearmError(f"{path} already exists; choose another --out or remove it first")


def require_folder(path: Path) -> None:
    """Refuse to replace anything but a folder; behind a link it might be somebody else's.

    Raises:
        ForearmError: ``path`` is a file or a link.
    """
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        what = "a link" if path.is_symlink() else "a file"
        raise ForearmError(f"{path} is {what}, so nothing is written there; remove or rename it first")


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
