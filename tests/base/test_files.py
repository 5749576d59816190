"""Nothing is ever half written, and what cannot be written is said in one line."""

import errno
import json
import multiprocessing
import subprocess
import sys
import threading

import pytest
from support.waiting import PATIENCE

from forearm.base import files
from forearm.base.errors import ForearmError
from forearm.base.files import (
    append_line,
    locked,
    read_json,
    require_absent,
    require_kind,
    require_place,
    write_json,
    writing,
    writing_folder,
)


def one_line(failure) -> str:
    """The message of a caught error, which has to be a single line."""
    message = str(failure.value)
    assert message
    assert "\n" not in message
    return message


FULL_DISK = OSError(errno.ENOSPC, "No space left on device")


def fail_half_way(write, target, failure):
    with write(target) as beside:
        (beside / "half" if beside.is_dir() else beside).write_text("half")
        raise failure


def test_writing_renames_when_done(tmp_path):
    target = tmp_path / "deep" / "file.txt"
    with writing(target) as beside:
        beside.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert [p.name for p in target.parent.iterdir()] == ["file.txt"]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_writing_leaves_the_old_file_after_a_failure(tmp_path, failure):
    target = tmp_path / "file.txt"
    target.write_text("old")
    with pytest.raises(failure):
        fail_half_way(writing, target, failure)
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


@pytest.mark.parametrize("write", [writing, writing_folder])
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, write):
    with pytest.raises(ForearmError, match="No space left on device") as failure:
        fail_half_way(write, tmp_path / "out", FULL_DISK)
    assert str(tmp_path / "out") in one_line(failure)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("write", [writing, writing_folder])
def test_a_file_in_the_way_is_one_line(tmp_path, write):
    (tmp_path / "file").write_text("here")
    with pytest.raises(ForearmError, match="cannot be written") as failure, write(tmp_path / "file" / "out"):
        pytest.fail("there is nowhere to write")
    one_line(failure)
    assert (tmp_path / "file").read_text() == "here"


def test_writing_folder_takes_an_empty_folder_but_no_full_one(tmp_path):
    (tmp_path / "out").mkdir()
    with writing_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("1")
    assert (tmp_path / "out" / "a").read_text() == "1"
    with pytest.raises(ForearmError, match="already exists") as failure, writing_folder(tmp_path / "out"):
        pytest.fail("the folder is taken")
    one_line(failure)
    assert [p.name for p in tmp_path.rglob("*")] == ["out", "a"]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_writing_folder_leaves_nothing_after_a_failure(tmp_path, failure):
    with pytest.raises(failure):
        fail_half_way(writing_folder, tmp_path / "out", failure)
    assert list(tmp_path.iterdir()) == []


def test_require_absent(tmp_path):
    require_absent(tmp_path / "nothing")
    require_absent(tmp_path)
    with pytest.raises(ForearmError, match="names no new folder or file; choose another --page"):
        require_absent(files.Path("."), "--page")
    (tmp_path / "file").touch()
    for taken in (tmp_path, tmp_path / "file"):
        with pytest.raises(ForearmError, match="already exists; choose another --page"):
            require_absent(taken, "--page")
    with pytest.raises(ForearmError, match=r"file/a/b cannot be written: .*/file: Not a directory; choose another"):
        require_absent(tmp_path / "file/a/b")


def test_a_folder_without_the_right_to_write_is_refused_before_anything_is_done(tmp_path, monkeypatch):
    require_place(tmp_path / "a/b")
    monkeypatch.setattr(files.os, "access", lambda path, mode: False)  # which does not hold for root
    with pytest.raises(ForearmError, match=r"cannot be written: .*: Permission denied; choose another place"):
        require_place(tmp_path / "a/b")


def test_a_file_of_another_kind_is_not_replaced(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "old.png").write_bytes(b"\x89PNG, an older one")
    (tmp_path / "empty.png").touch()
    for name in ("old.png", "empty.png", "new.png"):
        require_kind(tmp_path / name, b"\x89PNG", "--pictures")
    for name, says in (
        ("notes.txt", "is of another kind; choose another --pictures"),
        (".", "is a folder; give --pictures the name of a file"),
        ("notes.txt/new.png", "Not a directory"),
    ):
        with pytest.raises(ForearmError, match=says):
            require_kind(tmp_path / name, b"\x89PNG", "--pictures")


def test_json_round_trip(tmp_path):
    value = {"name": "×", "list": [1, 2.5, None]}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"nan": float("nan")})
    assert read_json(tmp_path / "a.json") == value
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    ("content", "says"), [(None, "is missing"), (b"{", "cannot be read as JSON"), (b"\xff\xfe", "cannot be read")]
)
def test_bad_json_is_one_line(tmp_path, content, says):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ForearmError, match=says) as failure:
        read_json(path)
    assert str(path) in one_line(failure)


def test_append_line(tmp_path):
    for number in range(2):
        append_line(tmp_path / "log.jsonl", json.dumps({"step": number}))
    assert (tmp_path / "log.jsonl").read_text() == '{"step": 0}\n{"step": 1}\n'
    with pytest.raises(ForearmError, match="cannot be written"):
        append_line(tmp_path, "a folder is no file")


def test_a_folder_takes_the_place_of_another_in_one_step(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("1")
    with writing_folder(tmp_path / "out", replace=True) as folder:
        (folder / "new").write_text("2")
        assert [p.name for p in (tmp_path / "out").iterdir()] == ["old"]
    assert [str(p.relative_to(tmp_path)) for p in sorted(tmp_path.rglob("*"))] == ["out", "out/new"]


def test_a_folder_is_replaced_where_names_cannot_be_exchanged(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_exchanged", lambda one, other: False)
    test_a_folder_takes_the_place_of_another_in_one_step(tmp_path)


@pytest.mark.parametrize("replace", [False, True])
def test_a_link_is_not_written_through(tmp_path, replace):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "kept").write_text("1")
    (tmp_path / "out").symlink_to(tmp_path / "theirs")
    with pytest.raises(ForearmError) as failure, writing_folder(tmp_path / "out", replace=replace):
        pytest.fail("it is a link")
    one_line(failure)
    assert (tmp_path / "theirs" / "kept").read_text() == "1"


WRITE = """
import sys
from pathlib import Path
from forearm.base.files import writing_folder
with writing_folder(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("half")
    print("begun", flush=True)
    sys.stdin.read()
"""


def writer(target) -> subprocess.Popen:
    """A process that has begun to write a folder."""
    command = [sys.executable, "-c", WRITE, str(target)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    return process


def test_a_second_writer_is_told_who_the_first_is(tmp_path):
    first = writer(tmp_path / "out")
    with pytest.raises(ForearmError, match=rf"is being written by process {first.pid} \(.*out\)") as failure:
        fail_half_way(writing_folder, tmp_path / "out", RuntimeError)
    one_line(failure)
    first.communicate("go on", timeout=PATIENCE)
    assert [str(p.relative_to(tmp_path)) for p in sorted(tmp_path.rglob("*"))] == ["out", "out/half"]


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path):
    first = writer(tmp_path / "out")
    first.kill()
    first.communicate(timeout=PATIENCE)
    assert {p.name for p in tmp_path.iterdir()} == {".out.lock", ".out.partial"}
    with writing_folder(tmp_path / "out") as folder:
        (folder / "whole").write_text("whole")
    assert [str(p.relative_to(tmp_path)) for p in sorted(tmp_path.rglob("*"))] == ["out", "out/whole"]


def test_a_second_writer_of_a_file_waits_for_the_first(tmp_path):
    target = tmp_path / "file"

    def second():
        with writing(target) as beside:
            beside.write_text("second")

    with writing(target) as beside:
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.05)
        assert thread.is_alive()
        beside.write_text("first")
    thread.join(PATIENCE)
    assert target.read_text() == "second"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_forked_process_does_not_hold_the_lock(tmp_path):
    done = multiprocessing.get_context("fork").Event()
    with locked(tmp_path / "out"):
        child = multiprocessing.get_context("fork").Process(target=done.wait)
        child.start()
    try:
        with locked(tmp_path / "out"):
            assert child.is_alive()
    finally:
        done.set()
        child.join(60)
