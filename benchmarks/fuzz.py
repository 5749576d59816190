"""Damage valid files at random and give them to the commands that read them.

    python benchmarks/fuzz.py --inputs 5000

Every input is one tiny workspace (recordings, a dataset, runs, evaluations, logs, notes, pictures, a half recorded
recording) in which one or two files are damaged, and one command that reads them, in a process forked from this one.
A command has to end by itself, in time and in little memory, with exit code 0, or with 2 and one line that says what
is wrong; refused, it leaves every file as it was. `--seed` and the number of an input repeat it: `--only 17` shows
what its command said. Exit code 1 if anything went wrong.
"""

import argparse
import collections
import copy
import importlib
import io
import json
import os
import pkgutil
import random
import re
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from support.recordings import make_recording

SECONDS = 20
"""Processor time that a command may take; a tiny workspace needs a second."""
WAIT = 6
"""Seconds on the clock after which a command that waits for something, and computes nothing, is stopped."""
MEMORY = 10**9
"""Bytes that a command may take beyond what the warm process holds."""
LARGEST = 2**26
"""Bytes of a file that is damaged."""
CEILING = 3 * 10**9
"""Address space beyond the warm process's at which the system stops a command, to protect the machine."""

SMALL = {"width": 32, "depth": 1, "heads": 2, "decoder_width": 16, "decoder_depth": 1, "decoder_heads": 2}
START = ("--start", 0, "--depth", 1, "--steps", 1)
TASKS: dict[str, tuple[tuple[object, ...], ...]] = {
    "v21": (
        ("inspect", "v21"),
        ("inspect", "v21", "--audit"),
        ("build", "v21", "--preset", "tiny", "--out", "out"),
    ),
    "v30": (
        ("inspect", "v30"),
        ("inspect", "v30", "--audit", "--html", "out.html", "--json", "out.json"),
        ("build", "v30", "--preset", "tiny", "--actions", "log", "--out", "out"),
    ),
    "images": (
        ("inspect", "images", "--pictures", "out.png"),
        ("inspect", "images", "--audit"),
        ("build", "images", "--preset", "tiny", "--out", "out"),
        ("build", "images", "v21", "--preset", "tiny", "--actions", "column", "--out", "out"),
    ),
    "data": (
        ("inspect", "data"),
        ("inspect", "data", "--html", "out.html", "--pictures", "out.png"),
        ("inspect", "data", "--audit", "--html", "out.html"),
        ("combine", "data", "other", "--out", "out"),
        ("evaluate", "run", "--data", "data", "--rollouts", 2, "--samples", 2),
        ("train", "mae", "--data", "data", "--steps", 1, "--evaluate-every", 1, "--out", "out"),
        ("compare", "run", "child", "--data", "data", "--out", "out.html"),
        ("plan", "run", "--data", "data", "--like", 2, *START),
        ("play", "run", "--data", "data", "--port", 0, "--no-open"),
    ),
    "other": (  # its frames are compressed
        ("inspect", "other", "--html", "out.html", "--pictures", "out.png"),
        ("inspect", "other", "--audit"),
        ("combine", "data", "other", "--out", "out"),
        ("combine", "data", "other", "--storage", "raw", "--out", "out"),
        ("train", "mae", "--data", "other", "--steps", 1, "--evaluate-every", 1, "--out", "out"),
    ),
    "run": (
        ("inspect", "run"),
        ("inspect", "run", "--html", "out.html", "--samples", 4),
        ("inspect", "run", "--pictures", "out.png"),
        ("inspect", "run", "--audit"),
        ("evaluate", "run", "--rollouts", 2, "--samples", 2),
        ("train", "--out", "run", "--resume", "--steps", 3),
        ("train", "--data", "data", "--fine-tune", "run", "--steps", 1, "--out", "out"),
        ("plan", "run", "--like", 2, *START, "--out", "out"),
        ("play", "run", "--port", 0, "--no-open"),
        ("compare", "run", "child", "--out", "out.html"),
        ("evaluate", "child", "--rollouts", 0, "--samples", 1),
        ("evaluate", "child", "--against", "run", "--rollouts", 0, "--samples", 1),
    ),
    "run/evaluation": (
        ("inspect", "run"),
        ("compare", "run", "child", "--out", "out.html"),
        ("evaluate", "child", "--rollouts", 0, "--samples", 1),
        ("evaluate", "child", "--against", "run", "--rollouts", 0, "--samples", 1),
    ),
    "notes": (
        ("evaluate", "run", "--notes", "notes/notes.txt", "--rollouts", 0, "--samples", 1),
        ("train", "mae", "--data", "data", "--notes", "notes/notes.txt", "--steps", 1, "--out", "out"),
    ),
    "pictures": (
        ("plan", "run", "--picture", "pictures/goal.png", "--mask", "pictures/mask.png", *START),
        ("plan", "run", "--region", "base", 0, 0, 32, 32, "pictures/crop.png", *START),
    ),
    "demo": (("demo", "--out", "demo", "--episodes", 3, "--no-open"),),
    "out.partial": (("record", "--out", "out", "--episodes", 2, "--processes", 1),),
}
"""By the folder that is damaged, the commands that read it. They write to ``out`` and ``out.…``."""
WEIGHTS = {
    "v21": 4,
    "v30": 5,
    "images": 3,
    "data": 5,
    "other": 3,
    "run": 6,
    "run/evaluation": 4,
    "notes": 1,
    "pictures": 2,
}
OFTEN = {"inspect": 5, "build": 4, "combine": 3, "compare": 3, "play": 3}
"""How often commands are chosen: the quick ones, which read the same files, more often."""


# The workspace


def make_workspace(with_simulator: bool) -> None:
    """Fill the working directory with one valid specimen of everything that the commands read."""
    make_recording(Path("v21"), lengths=(14, 14), log_numbers=(0, 1))
    make_recording(Path("v30"), version="v3.0", lengths=(14, 14, 14), log_numbers=(0, 1, 2))
    make_recording(Path("images"), lengths=(12, 12), images="bytes")
    must("build", "v30", "--preset", "tiny", "--out", "data")
    must("build", "images", "--preset", "tiny", "--storage", "jpeg", "--out", "other")
    named = [word for name, value in SMALL.items() for word in (f"--model.{name.replace('_', '-')}", value)]
    listed = ["--model", *(f"{name}={value}" for name, value in SMALL.items())]  # before 2026-11-26
    new = "--model.width" in command("train", "mae", "--help")[1]
    training = ("--data", "data", "--steps", 2, "--evaluate-every", 1, "--batch-size", 2)
    Path("notes").mkdir()
    Path("notes/notes.txt").write_text("Small.\ntarget: val_mse <= 0.5, ssim > 0.1\n", encoding="utf-8")
    for run, parent in (("run", ()), ("child", ("--parent", "run"))):
        told = (*training, *parent, "--notes", "notes/notes.txt", "--out", run)
        must("train", "mae", *(named if new else listed), *told)
        must("evaluate", run, "--rollouts", 2, "--samples", 1)
    Path("pictures").mkdir()
    for name, side in (("goal", 64), ("mask", 64), ("crop", 8)):
        Image.fromarray(np.full((side, side, 3), 99, np.uint8)).save(f"pictures/{name}.png")
    Path("demo").mkdir()
    for name, part in (("v30", "recordings"), ("data", "data"), ("run", "run")):
        shutil.copytree(name, Path("demo") / part)
    if with_simulator:
        from forearm.recordings.recorder import Recorder

        with mock.patch.object(Recorder, "finish"):  # as if it had been interrupted
            must(*TASKS["out.partial"][0])


def must(*words: object) -> None:
    code, said, _, _ = command(*words)
    if code:
        raise SystemExit(f"the workspace cannot be made: {words}: {said}")


# Damage

NUMBERS = (
    0,
    -1,
    1,
    3,
    2**31,
    2**63,
    10**12,
    10**400,
    -(10**12),
    0.5,
    1e-320,
    1e308,
    -1e308,
    float("nan"),
    float("inf"),
)
TEXTS = (
    "",
    "x",
    "1",
    "../../../../etc/passwd",
    "/dev/zero",
    "/",
    "\0",
    "a\nb",
    "\x1b[31m",
    "é" * 5000,
    "{x:0999999999d}",
    "{0.__class__}",
)
OTHERS = (None, True, False, [], {}, [[]], [None], {"x": None}, ["a", 1], [10**12] * 3, "\ud800")


def value_like(random: random.Random, value: Any) -> Any:
    """Something else in a value's place; now and then of its kind."""
    if isinstance(value, int | float) and random.random() < 0.6:
        return random.choice(NUMBERS)
    if isinstance(value, list) and value and random.random() < 0.6:
        return random.choice([value[:-1], value * 2, [*value, random.choice(NUMBERS)], value[::-1], value * 20000])
    if isinstance(value, str) and random.random() < 0.5:
        return random.choice(TEXTS)
    return random.choice(NUMBERS + TEXTS + OTHERS)


def damage_value(random: random.Random, value: Any) -> Any:
    """A JSON value with something else at one place of it."""
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key, inner in node.items() if isinstance(node, dict) else enumerate(node):
            places.append((node, key))
            if isinstance(inner, dict | list):
                walk(inner)

    value = copy.deepcopy(value)
    if not isinstance(value, dict | list) or random.random() < 0.03:
        return random.choice(NUMBERS + TEXTS + OTHERS)
    walk(value)
    if not places:
        return random.choice(OTHERS)
    node, key = random.choice(places)
    if random.random() < 0.2:
        del node[key]
    elif random.random() < 0.1 and isinstance(node, dict):
        node[random.choice(TEXTS[:4])] = node.pop(key)
    else:
        node[key] = value_like(random, node[key])
    return value


def damage_json(random: random.Random, path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    kind = random.random()
    if kind < 0.8:
        path.write_text(json.dumps(damage_value(random, json.loads(text))), encoding="utf-8")
    elif kind < 0.85:
        deep = random.choice(["[" * 100_000, '{"a":' * 50_000, "[" * 900 + "]" * 900, "9" * 100_000])
        path.write_text(random.choice([deep, re.sub(r"\d+", deep, text, count=1)]), encoding="utf-8")
    else:
        damage_bytes(random, path)


def damage_lines(random: random.Random, path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    kind = random.random()
    if not lines or kind < 0.15:
        return damage_bytes(random, path)
    at = random.randrange(len(lines))
    if kind < 0.75:
        lines[at] = json.dumps(damage_value(random, json.loads(lines[at])))
    elif kind < 0.9:
        lines = random.choice([lines[:at], lines[at:], lines + lines[at:], lines[::-1], [lines[at]] * 3])
    else:
        lines[at] = random.choice(["[" * 100_000, "null", "3", "[]", '"x"', "{", "\x1b[2J", "{}"])
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return None


def damage_bytes(random: random.Random, path: Path) -> None:
    content = bytearray(path.read_bytes())
    kind = random.randrange(4)
    if kind == 0 or not content:
        content = content[: random.randrange(len(content) + 1)]
    elif kind == 1:
        for _ in range(random.choice([1, 3, 20])):
            content[random.randrange(len(content))] = random.randrange(256)
    elif kind == 2:  # where formats keep their headers
        at = random.choice([random.randrange(min(64, len(content))), -1 - random.randrange(min(300, len(content)))])
        content[at] = random.choice([0, 1, 127, 128, 255])
    else:
        at = random.randrange(len(content))
        content[at:at] = random.choice([b"\0" * 9, b"\xff" * 9, b"[[[[", random.randbytes(50)])
    path.write_bytes(bytes(content))


def damaged_array(random: random.Random, array: np.ndarray) -> np.ndarray:
    array = array.copy()
    kind = random.randrange(8)
    if kind == 0 and array.size:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            array.flat[random.randrange(array.size)] = (
                random.choice([np.nan, np.inf, 1e300, -1]) if array.dtype.kind == "f" else 2**7
            )
    elif kind == 1:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            array = array.astype(random.choice(["U5", "f8", "i1", "u8", "c16", "b1", "m8[s]", "f2", ">i4"]))
    elif kind == 2:
        array = array[: random.randrange(len(array) + 1)] if array.ndim else array.reshape(1)
    elif kind == 3:
        array = array.reshape(-1)
    elif kind == 4:
        array = array[None]
    elif kind == 5 and array.ndim > 1:
        array = array[..., : random.randrange(array.shape[-1] + 1)]
    elif kind == 6:
        array = np.zeros(random.choice([(), (0,), (0, 3), (1, 1, 1, 1, 1)]), array.dtype)
    elif array.dtype.kind in "iu" and array.size:
        array.flat[random.randrange(array.size)] = (
            random.choice([-1, 100, np.iinfo(array.dtype).max, np.iinfo(array.dtype).min]) & 127
        )
    return array


def npy(random: random.Random, array: np.ndarray) -> bytes:
    """A ``.npy`` file, damaged in its values, its type or its header."""
    file = io.BytesIO()
    if random.random() < 0.5:
        np.save(file, damaged_array(random, array))
        return file.getvalue()
    header = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
    header |= random.choice(
        [
            {"shape": (10**10, *array.shape[1:])}, {"shape": (2**62, 2)}, {"shape": (-1,)}, {"shape": (10**12,)},
            {"descr": "|O"}, {"descr": "<f4,<f4"}, {"descr": "|S1000000000"}, {"descr": "?"},
            {"fortran_order": True}, {"shape": ()},
        ]
    )  # fmt: skip
    text = (repr(header) + "\n").encode()
    text = text if random.random() < 0.8 else random.choice([b"(" * 9000, b"{}", text[:-5]])
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + array.tobytes()


def damage_npy(random: random.Random, path: Path) -> None:
    if random.random() < 0.2:
        return damage_bytes(random, path)
    path.write_bytes(npy(random, np.load(path)))
    return None


def damage_npz(random: random.Random, path: Path) -> None:
    import zipfile

    if random.random() < 0.2:
        return damage_bytes(random, path)
    with np.load(path) as found:
        arrays = dict(found)
    victim = random.choice(list(arrays))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            if name != victim:
                file = io.BytesIO()
                np.save(file, array)
                archive.writestr(f"{name}.npy", file.getvalue())
            elif random.random() < 0.85:
                content = npy(random, array)
                if random.random() < 0.1:  # a bomb: two gigabytes of nothing
                    header = repr({"descr": "|u1", "fortran_order": False, "shape": (2 * 10**9,)}).encode() + b"\n"
                    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                        member.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
                        for _ in range(200):
                            member.write(bytes(10**6))
                else:
                    archive.writestr(f"{name}.npy", content)
    return None


def damage_parquet(random: random.Random, path: Path) -> None:
    if random.random() < 0.25:
        return damage_bytes(random, path)
    table = pq.read_table(path, use_threads=False)
    name = random.choice(table.column_names)
    at, cells = table.column_names.index(name), table[name].to_pylist()
    kind = random.randrange(9)
    if kind == 0:
        table = table.drop_columns([name])
    elif kind == 1:
        table = table.rename_columns(
            [random.choice(["x", "\x1b[31m", ""]) if n == name else n for n in table.column_names]
        )
    elif kind == 2:
        table = random.choice([table.slice(0, 0), table.slice(1), pa.concat_tables([table, table]), table.slice(0, 3)])
    elif kind == 3:
        table = table.take(list(range(len(table)))[::-1])
    else:
        if kind == 4:
            cells = [random.choice([None, "x", "9" * 40])] * len(cells)
        elif kind == 5:
            cells = [[cell] for cell in cells]
        elif kind == 6 and cells:
            row = random.randrange(len(cells))
            cells[row] = None
        elif cells:
            row, cell = (
                random.randrange(len(cells)),
                random.choice([-1, 0, 10**12, 2**62, 1e300, float("nan"), float("inf")]),
            )
            inner = cells[row]
            cells[row] = (
                [cell, *inner[1:]] if isinstance(inner, list) else cell if isinstance(inner, int | float) else None
            )
            if kind == 8:
                cells = [cells[row]] * len(cells)
        try:
            column: Any = pa.array(cells)
        except (pa.ArrowException, OverflowError):
            column = pa.array([float("nan")] * len(cells))
        table = table.set_column(at, name, column)
    pq.write_table(table, path)
    return None


def damage_tensors(random: random.Random, path: Path) -> None:
    content = path.read_bytes()
    if random.random() < 0.2:
        return damage_bytes(random, path)
    (size,) = struct.unpack("<Q", content[:8])
    header, rest = json.loads(content[8 : 8 + size]), content[8 + size :]
    kind = random.random()
    if kind < 0.3 and "__metadata__" in header:
        meta = header["__metadata__"]
        key = random.choice(list(meta))
        try:
            meta[key] = json.dumps(damage_value(random, json.loads(meta[key])))
        except ValueError:
            meta[key] = random.choice(TEXTS)
    elif kind < 0.8:
        name = random.choice([name for name in header if name != "__metadata__"])
        entry = header[name]
        change = random.randrange(6)
        if change == 0:
            entry["shape"] = random.choice(
                [[10**10], [2**62, 4], [-1], [], [0], entry["shape"][::-1], [1, *entry["shape"]]]
            )
        elif change == 1:
            entry["dtype"] = random.choice(["F64", "I32", "BOOL", "U8", "F16", "X"])
        elif change == 2:
            entry["data_offsets"] = random.choice([[0, 10**12], [-1, 4], [4, 0]])
        elif change == 3:
            header[random.choice(["x", "optimizer.x", "optimizer.a.b", "model", "."])] = header.pop(name)
        else:  # a value that is no number
            begin, end = entry["data_offsets"]
            rest = rest[:begin] + b"\xff" * (end - begin) + rest[end:]
    else:
        header = damage_value(random, header)
    text = json.dumps(header).encode("utf-8", "replace")
    size = len(text) if random.random() < 0.95 else random.choice([0, 2**63, 10**10, 5])
    path.write_bytes(struct.pack("<Q", size) + text + rest)
    return None


def damage_picture(random: random.Random, path: Path) -> None:
    kind = random.randrange(6)
    if kind == 0:
        size = random.choice([(10**5, 10**5), (2**31 - 1, 1), (30000, 30000), (0, 0)])

        def chunk(name: bytes, content: bytes) -> bytes:
            return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

        head = struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0)
        path.write_bytes(
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", head)
            + chunk(b"IDAT", zlib.compress(bytes(10**6)))
            + chunk(b"IEND", b"")
        )
    elif kind == 1:
        mode, form = random.choice(
            [("RGB", "EPS"), ("RGB", "GIF"), ("I;16", "PNG"), ("F", "TIFF"), ("P", "PNG"), ("L", "BMP"), ("RGB", "PDF")]
        )
        Image.new(mode, random.choice([(64, 64), (1, 1), (9000, 9000)])).save(path, form)
    elif kind == 2:
        Image.new("RGB", random.choice([(1, 1), (64, 63), (5000, 5000), (8, 8)])).save(path, "PNG")
    else:
        damage_bytes(random, path)


def damage_text(random: random.Random, path: Path) -> None:
    if random.random() < 0.3:
        return damage_bytes(random, path)
    numbers = ["nan", "1e999", "-", "1e", ".", "9" * 5000, "0", "1%%"]
    name, sign = random.choice(["val_mse", "x", "", "ssim"]), random.choice(["<=", ">", "=", ""])
    line = f"target: {name} {sign} {random.choice(numbers)}"
    path.write_text(
        random.choice([line, "target:", line * 2000, "a" * 10**6, "\x1b[2J <script>", "target: " + "a" * 10**5]),
        encoding="utf-8",
    )
    return None


def damage_entry(random: random.Random, path: Path) -> None:
    """Put something else in the place of a file."""
    content = path.read_bytes()
    path.unlink()
    kind = random.randrange(8)
    if kind == 0:
        path.mkdir()
    elif kind == 1:
        os.mkfifo(path)
    elif kind == 2:
        path.symlink_to(path.name)
    elif kind == 3:
        path.symlink_to("/dev/zero")
    elif kind == 4:
        path.symlink_to("/etc/hostname")
    elif kind == 5:
        path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    elif kind == 6:
        path.write_bytes(b"")
    elif random.random() < 0.3:
        with path.open("wb") as file:  # sparse: announces much, holds nothing
            file.write(content)
            file.truncate(20 * 10**9)


DAMAGE: dict[str, Callable[[random.Random, Path], None]] = {
    ".json": damage_json,
    ".jsonl": damage_lines,
    ".npy": damage_npy,
    ".npz": damage_npz,
    ".parquet": damage_parquet,
    ".safetensors": damage_tensors,
    ".png": damage_picture,
    ".txt": damage_text,
}


def damage(random: random.Random, folder: Path) -> str:
    """Damage a file or two below a folder; say what was done."""
    done = []
    for _ in range(random.choice([1, 1, 1, 2])):
        files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
        if folder.name == "run":
            files = [path for path in files if "evaluation" not in path.parts and path.suffix != ".html"]
        if not files:
            break  # the only one has gone
        kinds = sorted({path.suffix for path in files})
        kind = random.choice(kinds)
        path = random.choice([path for path in files if path.suffix == kind])
        how = DAMAGE.get(kind, damage_bytes) if random.random() < 0.92 else damage_entry
        if path.stat().st_size > LARGEST:
            continue  # it was made so just now, with holes; to read it would fill the memory
        try:
            how(random, path)
        except Exception:
            damage_bytes(random, path)  # it was damaged before, or cannot be written so
        done.append(f"{path} by {how.__name__.removeprefix('damage_')}")
    return ", ".join(done)


# Commands


def command(*words: object) -> tuple[int, str, float, int]:
    """Run a command in a fork; return its exit code (−n: stopped by signal n), what it said, seconds and bytes."""
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    with tempfile.TemporaryFile("w+") as said:
        child = os.fork()
        if child == 0:
            _in_child(said.fileno(), held + CEILING, [str(word) for word in words])
        progress, since = "", time.monotonic()
        while True:
            ended, status, used = os.wait4(child, os.WNOHANG)
            if ended:
                break
            state, *_, user, system = Path(f"/proc/{child}/stat").read_text().rpartition(") ")[2].split()[:13]
            if state == "R" or f"{user} {system}" != progress:
                progress, since = f"{user} {system}", time.monotonic()
            elif time.monotonic() - since > WAIT:
                os.kill(child, signal.SIGKILL)
            time.sleep(0.02)
        said.seek(0)
        return os.waitstatus_to_exitcode(status), said.read(), used.ru_utime + used.ru_stime, used.ru_maxrss * 1024


def _in_child(said: int, ceiling: int, words: list[str]) -> None:
    code = 99
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(said, 1)
        os.dup2(said, 2)
        resource.setrlimit(resource.RLIMIT_AS, (ceiling, ceiling))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 5))
        resource.setrlimit(resource.RLIMIT_FSIZE, (10**9, 10**9))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        sys.argv = ["forearm", *words]
        if words[0] == "play":
            importlib.import_module("forearm.play.server").serve = visit
        try:
            importlib.import_module("forearm.__main__").main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
        code = 99
    finally:
        sys.stderr.flush()
        os._exit(code)


def visit(app: Any, listening: Any, *, show: str | None = None) -> None:
    """What a visitor of ``forearm play`` asks for, in the place of a server that never ends."""
    from starlette.testclient import TestClient

    browser = TestClient(app, "http://localhost")
    for name in ("", "api/stage", "api/path", "api/path.json"):
        browser.get(f"/{name}").raise_for_status()
    for name, said in (
        ("step", {"number": 0, "which": 0}),
        ("choose", {"dimension": 1}),
        ("undo", None),
        ("begin", {"source": "recording", "number": 1}),
        ("step", {"number": 0, "which": 2}),
    ):
        browser.post(f"/api/path/{name}", json=said)
    browser.get("/api/path.gif").raise_for_status()


def warm_up() -> None:
    """Import everything that commands import, so that forks have it."""
    import forearm

    for module in pkgutil.walk_packages(forearm.__path__, "forearm."):
        if not module.name.endswith("__main__"):
            try:
                importlib.import_module(module.name)
            except ImportError:
                continue
    late = ("accelerate", "safetensors.torch", "rich.progress", "scipy.ndimage", "torch.utils.data", "torch._dynamo")
    for name in (*late, "typeguard", "tyro.constructors", "starlette.testclient", "matplotlib.backends.backend_svg"):
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    Image.init()
    if readout := sys.modules.get("forearm.evaluation.readout"):  # learn from the few pictures that there are
        readout.FEWEST, readout.RECIPE["steps"] = 8, 20  # type: ignore[attr-defined]


@dataclass
class Fault:
    """One way in which a command failed."""

    kind: str
    """traceback, hang, memory, left or unclear."""
    where: str
    """What tells it from others."""


def faults_of(code: int, said: str, memory: int, before: dict[str, Any], after: dict[str, Any]) -> list[Fault]:
    """What is wrong with how a command ended."""
    found = []
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        found.append(Fault("hang", "ran out of time"))
    elif code not in (0, 2):
        frames = re.findall(r'File "[^"]*?/(forearm/[^"]+)", line \d+, in (\S+)', said)
        last = said.strip().splitlines()[-1][:90] if said.strip() else ""
        where = " ".join(frames[-1]) if frames else "elsewhere"
        found.append(Fault("traceback", f"exit {code} in {where}: {last}"))
    elif code == 2:
        lines = [line for line in said.splitlines() if line.startswith("forearm: ")]
        if len(lines) != 1 or "Traceback" in said or "\x1b" in said:
            found.append(Fault("unclear", said[-300:]))
    if memory > MEMORY:
        found.append(Fault("memory", f"{memory / 1e9:.1f} GB"))
    new = after.keys() - before.keys()
    half = sorted(name for name in new if ".partial" in name)
    if half:
        found.append(Fault("left", f"half written {half[0]}"))
    if code == 2:
        changed = sorted(name for name in before if after.get(name) != before[name]) + sorted(new)
        changed = [name for name in changed if not name.endswith((".lock", "readout.safetensors"))]  # learned anew
        if changed:
            found.append(Fault("left", f"refused, but {changed[0]} is changed"))
    return found


def state(folder: Path) -> dict[str, Any]:
    """What tells whether the files below a folder are as they were."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in folder.rglob("*")
        if not path.is_dir() or path.is_symlink()
    }


def try_one(
    number: int, seed: int, pristine: Path, work: Path, idle: int
) -> tuple[str, list[Fault], str, float, int, int]:
    """One input, made from its number."""
    picked = random.Random(f"{seed} {number}")
    kinds = [kind for kind in TASKS if (pristine / kind).exists()]
    kind = picked.choices(kinds, [WEIGHTS.get(kind, 1) for kind in kinds])[0]
    words = picked.choices(TASKS[kind], [OFTEN.get(words[0], 1) for words in TASKS[kind]])[0]
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(pristine, work)
    os.chdir(work)
    what = damage(picked, Path(kind))
    before = state(work)
    code, said, seconds, memory = command(*words)
    if code == 1 and "--audit" in words:
        code = 0  # it has found something
    memory = max(0, memory - idle)
    faults = faults_of(code, said, memory, before, state(work))
    return f"{' '.join(map(str, words))}  <- {what}", faults, said, seconds, memory, code


def main() -> int:
    """Run the inputs and print what failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--only", type=int)
    parser.add_argument("--simulator", action="store_true", help="also damage a half recorded recording")
    arguments = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "NO_COLOR": "1"}
    warm_up()
    import torch

    torch.set_num_threads(1)
    home = Path(tempfile.mkdtemp(prefix="fuzz"))
    work, pristine = home / "work", home / "pristine"
    try:
        work.mkdir()
        os.chdir(work)
        make_workspace(arguments.simulator)
        shutil.copytree(work, pristine)
        idle = command("--version")[3]
        stopped: list[int] = []
        signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
        numbers = (
            [arguments.only]
            if arguments.only is not None
            else range(arguments.first, arguments.first + arguments.inputs)
        )
        seen: dict[tuple[str, str], list[str]] = collections.defaultdict(list)
        codes: collections.Counter[int] = collections.Counter()
        slowest, largest, begin = 0.0, 0, time.monotonic()
        for number in numbers:
            what, faults, said, seconds, memory, code = try_one(number, arguments.seed, pristine, work, idle)
            codes[code] += 1
            if stopped:
                break
            slowest, largest = max(slowest, seconds), max(largest, memory)
            for fault in faults:
                if not seen[fault.kind, fault.where]:
                    print(f"{number}: {fault.kind}: {fault.where}\n    {what}", flush=True)
                seen[fault.kind, fault.where].append(what)
            if arguments.only is not None:
                print(f"{what}\nexit {code}, {seconds:.1f} s, {memory / 1e6:.0f} MB\n{said}")
        print(
            f"\n{sum(codes.values())} inputs in {time.monotonic() - begin:.0f} s: "
            f"{codes[0]} done, {codes[2]} refused in a line"
        )
        for kind in ("traceback", "hang", "memory", "left", "unclear"):
            of_kind = {where: whats for (k, where), whats in seen.items() if k == kind}
            print(f"  {kind}: {sum(map(len, of_kind.values()))}, {len(of_kind)} distinct")
        print(f"  most processor time {slowest:.1f} s, most memory {largest / 1e6:.0f} MB")
        return int(bool(seen))
    finally:
        os.chdir("/")
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
