"""Whatever stands in a file: no traceback, no hang, little memory, and nothing half written."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.tiny import write_data

from forearm.base.errors import ForearmError
from forearm.base.files import Between, checked, map_array, parse_json, read_arrays, read_json
from forearm.recordings.tables import TableFile
from forearm.transitions import TransitionSet

ROOT = Path(__file__).resolve().parents[1]


def test_damaged_files_are_refused_in_a_line_or_read():
    """The short form of ``python benchmarks/fuzz.py``."""
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks/fuzz.py", "--inputs", "40", "--seed", "1"],
        capture_output=True,
        text=True,
        timeout=550,
    )
    assert done.returncode == 0, done.stdout + done.stderr


class Told(TypedDict):
    name: str
    count: NotRequired[Annotated[int, Between(0, 9)]]


@pytest.mark.parametrize(
    ("kind", "value", "says"),
    [
        (int, 3.0, "x is 3.0, not a whole number"),
        (int, True, "x is True, not a whole number"),
        (int, 10**400, "not a whole number"),
        (float, float("nan"), "x is nan, not a finite number"),
        (float, 10**400, "not a finite number"),
        (str, "a\0b", "not a text"),
        (Literal["a", "b"], "c", "x is 'c', not one of a, b"),
        (int | None, "3", "x is '3', not a whole number or null"),
        (tuple[int, int], [1], "x is [1], not a list of the right length"),
        (list[int], {"a": 1}, "not a list"),
        (dict[Literal["0"], int], {"1": 2}, "x is '1', not one of 0"),
        (Told, {}, "x lacks 'name'"),
        (Told, [], "x is [], not an object with names"),
        (Told, {"name": "a", "count": 10}, "x: count is 10; it has to lie between 0 and 9"),
        (Between, {"low": 1, "height": 2}, "x: 'height' is not known here"),
    ],
)
def test_what_is_of_another_type_is_refused_in_one_line(kind, value, says):
    with pytest.raises(ForearmError) as failure:
        checked(kind, value, "x")
    assert says in str(failure.value)


@pytest.mark.parametrize(
    ("kind", "value", "comes"),
    [
        (float, 3, 3),
        (Any, {"a": None}, {"a": None}),
        (tuple[float, ...], [1, 2.5], (1, 2.5)),
        (float | None | list[float | None], [1, None], [1, None]),
        (Told, {"name": "a", "more": 3}, {"name": "a", "more": 3}),
        (Between, {"low": 1, "high": 2}, Between(1, 2)),
    ],
)
def test_what_is_of_its_type_comes_as_it_is(kind, value, comes):
    assert checked(kind, value, "x") == comes


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 100_000, '{"a": "\\ud800"}', "{", ""])
def test_json_that_nothing_can_hold_is_refused(text):
    with pytest.raises(ForearmError, match="x cannot be read as JSON"):
        parse_json(text, "x")


def test_json_has_no_infinite_numbers():
    assert parse_json("[NaN, -Infinity, 1]", "x") == [None, None, 1]


def test_pipes_and_endless_files_are_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(20 * 10**9)
    for name, says in (("pipe", "no regular file"), ("zero", "no regular file"), ("sparse", "larger than")):
        with pytest.raises(ForearmError, match=says):
            read_json(tmp_path / name)


def test_a_table_is_no_pipe_and_its_names_are_texts(tmp_path):
    pq.write_table(pa.table({"frames": [1, 2]}), tmp_path / "a.parquet")
    content = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "b.parquet").write_bytes(content.replace(b"frames", b"\xdcrames"))
    os.mkfifo(tmp_path / "pipe")
    for name in ("b.parquet", "pipe"):
        with pytest.raises(ForearmError, match=r"cannot be read|no regular file"):
            TableFile(tmp_path / name)


def npy(shape: str, descr: str = "<f4") -> bytes:
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(16)


@pytest.mark.parametrize(
    "content", [npy("(10000000000,)"), npy("(-1,)"), npy("(2,)", "|O"), npy("(4,)", "<f8"), npy("(("), b""]
)
def test_arrays_that_are_not_what_they_announce_are_refused(tmp_path, content):
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(ForearmError, match="is damaged"):
        map_array(tmp_path / "a.npy", "float32")


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(300 * 2**20, np.uint8))
    with pytest.raises(ForearmError, match="unpacks to more than"):
        read_arrays(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"patch": 0}, "the patch is 0"),
        ({"history": 10**12}, "too large"),
        ({"cameras": [{"name": "a", "height": 10**12, "width": 8}]}, "too large|not divisible"),
        ({"palette": [[0, 0, 999]] * 3}, "no colour"),
        ({"joints": [{"name": "pan"}, {"name": "pan"}]}, "two joints have one name"),
    ],
)
def test_a_layout_beyond_all_bounds_is_refused_before_anything_is_made(tmp_path, change, says):
    write_data(tmp_path / "data")
    path = tmp_path / "data/layout.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ForearmError, match=says):
        TransitionSet(tmp_path / "data")
