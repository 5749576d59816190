"""Files: written so that nobody meets half of one, and read so that nobody's file takes memory or time.

What is written gathers in ``.NAME.partial`` beside its target, whose writer holds the lock ``.NAME.lock``. A command
that is killed leaves both; the next one that writes the same target removes them.
"""

import contextlib
import ctypes
import dataclasses
import errno
import functools
import json
import math
import os
import shlex
import shutil
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired, Required, Union

from forearm.base.errors import ForearmError

if sys.platform != "win32":
    import fcntl
if TYPE_CHECKING:
    import numpy as np

MOST_BYTES = 2**28
"""More is read of no file that is read whole."""

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


def require_absent(path: Path, option: str = "--out") -> None:
    """Refuse a target that would overwrite something, or that cannot be written.

    Raises:
        ForearmError: ``path`` is a file, a link, a folder with something in it, or no name, such as ``.``; or nothing
            can be written where it is.
    """
    path = Path(path)
    if not path.name:
        raise ForearmError(f"{path} names no new folder or file; choose another {option}")
    if path.is_symlink() or path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise ForearmError(f"{path} already exists; choose another {option} or remove it first")
    require_place(path)


def require_place(path: Path) -> None:
    """Refuse a target where nothing can be written, before hours are spent on what is to be written there.

    Raises:
        ForearmError: ``path`` or what it is to be made in is no folder, or is one without the right to write.
    """
    there = next(each for each in (Path(path), *Path(path).absolute().parents) if each.exists())
    if not there.is_dir():
        reason = os.strerror(errno.ENOTDIR)
    elif os.access(there, os.W_OK | os.X_OK):
        return
    else:
        read_only = hasattr(os, "statvfs") and os.statvfs(there).f_flag & os.ST_RDONLY
        reason = os.strerror(errno.EROFS if read_only else errno.EACCES)
    raise ForearmError(f"{path} cannot be written: {there}: {reason}; choose another place")


def require_folder(path: Path) -> None:
    """Refuse to replace anything but a folder; behind a link it might be somebody else's.

    Raises:
        ForearmError: ``path`` is a file or a link.
    """
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        what = "a link" if path.is_symlink() else "a file"
        raise ForearmError(f"{path} is {what}, so nothing is written there; remove or rename it first")


def require_kind(path: Path, beginning: bytes, option: str) -> None:
    """Refuse to overwrite any file but one of the kind that is to be written.

    Args:
        path: the file to write.
        beginning: the bytes with which files of that kind begin.
        option: which names the file.

    Raises:
        ForearmError: ``path`` is a folder or a file of another kind, or nothing can be written where it is.
    """
    path = Path(path)
    if path.is_dir():
        raise ForearmError(f"{path} is a folder; give {option} the name of a file")
    if path.is_file():
        with path.open("rb") as file:
            if (begins := file.read(len(beginning))) and begins != beginning:
                raise ForearmError(f"{path} already exists and is of another kind; choose another {option}")
    require_place(path.absolute().parent)


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


def read_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises:
        ForearmError: it is missing, no regular file (a pipe), larger than any that forearm writes, or cannot be read.
    """
    path = Path(path)
    try:
        if not path.exists():
            raise ForearmError(f"{path} is missing")
        if not path.is_file():
            raise ForearmError(f"{path} is no regular file")
        if path.stat().st_size > MOST_BYTES:
            raise ForearmError(f"{path} is larger than {MOST_BYTES >> 20} MiB, the most that is read of such a file")
        return path.read_bytes()
    except OSError as error:
        raise ForearmError(f"{path} cannot be read: {error.strerror}") from error


def read_text(path: Path) -> str:
    """The content of a text file in UTF-8, without the mark (BOM) that some editors put before it.

    Raises:
        ForearmError: as `read_bytes`, or it is no text.
    """
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ForearmError(f"{path} cannot be read: it is no text in UTF-8") from error


def parse_json(text: str, where: object) -> Any:
    """The value of a JSON text. What is no finite number (NaN, Infinity, 1e999) is None, as browsers write it.

    Raises:
        ForearmError: it is no JSON, is nested too deep, or has numbers or characters that nothing can hold.
    """
    try:
        value = json.loads(text, parse_constant=lambda name: None, parse_float=_finite)
        if "\\ud" in text.lower():
            json.dumps(value, ensure_ascii=False).encode()  # half a character cannot be printed
        return value
    except (ValueError, RecursionError) as error:
        raise ForearmError(f"{where} cannot be read as JSON: {error}") from error


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def read_json(path: Path) -> Any:
    """Read a JSON file; see `parse_json`.

    Raises:
        ForearmError: the file is missing or is not JSON.
    """
    return parse_json(read_text(path), path)


def read_json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects in a file with one JSON object a line; other separators (U+2028) may stand inside texts.

    Raises:
        ForearmError: the file is missing, or a line is no JSON object.
    """
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if line.strip():
            value = parse_json(line, f"{path}, line {number},")
            if not isinstance(value, dict):
                raise ForearmError(f"{path}: line {number} is no JSON object")
            yield value


def map_array(path: Path, dtype: str) -> "np.ndarray":
    """An array of a ``.npy`` file, of one type, left on the disk.

    Raises:
        ForearmError: the file is missing, damaged, shorter than it announces, or of another type.
    """
    import numpy as np

    if not path.is_file():
        raise ForearmError(f"{path} is missing, or no regular file")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray) or array.dtype != dtype:
            raise ValueError(f"it holds no {np.dtype(dtype)}")
    except Exception as error:  # numpy evaluates the header as Python, which fails in many ways
        raise ForearmError(f"{path} is damaged: {reason_of(error)}") from error
    return array


def read_arrays(path: Path) -> "dict[str, np.ndarray]":
    """The arrays of a ``.npz`` file.

    Raises:
        ForearmError: the file is missing or damaged, unpacks to too much, or an array is not as large as it announces.
    """
    import io
    import zipfile

    import numpy as np

    found = {}
    try:
        with zipfile.ZipFile(io.BytesIO(read_bytes(path))) as archive:
            if sum(member.file_size for member in archive.infolist()) > MOST_BYTES:
                raise ValueError(f"it unpacks to more than {MOST_BYTES >> 20} MiB")
            for member in archive.infolist():
                content = io.BytesIO(archive.read(member))
                version = np.lib.format.read_magic(content)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, fortran, dtype = read(content)
                if fortran or dtype.hasobject:
                    raise ValueError(f"{member.filename} is no plain array")
                found[member.filename.removesuffix(".npy")] = np.frombuffer(content.read(), dtype).reshape(shape)
    except ForearmError:
        raise
    except Exception as error:  # as above
        raise ForearmError(f"{path} is damaged: {reason_of(error)}") from error
    return found


def reason_of(error: BaseException) -> str:
    """One line of an error of the system or a library, without the file's name, which stands before it already."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).strip().splitlines()[0]


def _cannot_write(path: Path, error: OSError) -> ForearmError:
    reason = error.strerror or str(error)
    return ForearmError(f"{path} cannot be written: {reason}; free some space or choose another place")


MOST = 2**63
"""Whole numbers beyond are refused: arrays do not hold them."""


@dataclass(frozen=True)
class Between:
    """A range of numbers, both ends included: ``Annotated[float, Between(0, 1)]``."""

    low: float
    high: float = MOST


Count = Annotated[int, Between(0)]
"""A whole number of things, or a place among them."""


SIMPLE = frozenset((bool, int, float, str, type(None)))


def checked(kind: Any, value: Any, where: str) -> Any:
    """A value checked against a type, and made of it where it is a dataclass or a tuple.

    Args:
        kind: bool, int, float (finite; whole numbers will do), str, Any, a Literal, T | None, list[T], dict[str, T],
            tuple[T, ...], tuple[T, U], numbers `Between` others, a TypedDict (which may hold more) or a dataclass.
        value: as ``json.loads`` gives it.
        where: what the value is and where it stands, for the message.

    Raises:
        ForearmError: the value is not of this type; says where.
    """
    if kind is Any or (kind in SIMPLE and _is(kind, value)):  # most values are: a table has tens of thousands
        return value
    origin, args = _parts(kind)
    if origin in (Required, NotRequired):
        return checked(args[0], value, where)
    if origin is Annotated:
        number = checked(args[0], value, where)
        for low, high in ((part.low, part.high) for part in args[1:] if isinstance(part, Between)):
            if not low <= number <= high:
                raise ForearmError(f"{where} is {_short(value)}; it has to lie between {low:g} and {high:g}")
        return number
    if origin in (Union, types.UnionType):
        for option in args:
            try:
                return checked(option, value, where)
            except ForearmError:
                continue
        raise ForearmError(f"{where} is {_short(value)}, not {' or '.join(map(_name, args))}")
    if dataclasses.is_dataclass(kind):
        names = {f.name for f in dataclasses.fields(kind)}
        needed = {f.name for f in dataclasses.fields(kind) if f.default is f.default_factory is dataclasses.MISSING}
        if unknown := sorted(_object(value, where).keys() - names):
            raise ForearmError(f"{where}: {unknown[0]!r} is not known here")
        return typing.cast(Any, kind)(**dict(_fields(kind, value, where, needed)))
    if typing.is_typeddict(kind):
        return value | dict(_fields(kind, _object(value, where), where, kind.__required_keys__))
    if origin in (dict, Mapping):
        items = _object(value, where).items()
        return {checked(args[0], key, where): checked(args[1], inner, f"{where}: {key}") for key, inner in items}
    if origin in (list, tuple) and isinstance(value, list | tuple):
        kinds = args if origin is tuple and args[-1] is not Ellipsis else args[:1] * len(value)
        if len(kinds) == len(value):
            return origin(checked(k, v, f"{where}: {i}") for i, (k, v) in enumerate(zip(kinds, value, strict=True)))
    elif _is(kind, value):
        return value
    raise ForearmError(f"{where} is {_short(value)}, not {_name(kind)}")


def _fields(kind: Any, value: dict[str, Any], where: str, needed: typing.Collection[str]) -> Iterator[tuple[str, Any]]:
    hints = _hints(kind)
    for name in hints:
        if name in needed and name not in value:
            raise ForearmError(f"{where} lacks {name!r}")
    yield from ((name, checked(hint, value[name], f"{where}: {name}")) for name, hint in hints.items() if name in value)


@functools.cache
def _parts(kind: Any) -> tuple[Any, tuple[Any, ...]]:
    return typing.get_origin(kind), typing.get_args(kind)


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind, include_extras=True)


def _is(kind: Any, value: Any) -> bool:
    """Whether a value is of a simple type."""
    if kind not in SIMPLE and typing.get_origin(kind) is Literal:
        return any(type(value) is type(known) and value == known for known in typing.get_args(kind))
    if kind is float:
        return type(value) in (int, float) and -1e300 < value < 1e300
    if kind is str:
        return type(value) is str and "\0" not in value
    return type(value) is kind and (kind is not int or abs(value) < MOST)


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ForearmError(f"{where} is {_short(value)}, not an object with names")
    return value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _name(kind: Any) -> str:
    names = {int: "a whole number", float: "a finite number", str: "a text", bool: "true or false", type(None): "null"}
    if typing.get_origin(kind) is Literal:
        return "one of " + ", ".join(map(str, typing.get_args(kind)))
    return names.get(kind, "a list of the right length" if typing.get_origin(kind) in (list, tuple) else str(kind))
