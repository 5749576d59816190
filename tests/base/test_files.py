"""Nothing is ever half written, and what cannot be written is said in one line."""

import errno
import json

import pytest

from forearm.base.errors import ForearmError
from forearm.base.files import append_line, read_json, require_absent, write_json, writing, writing_folder


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
    (tmp_path / "file").touch()
    for taken in (tmp_path, tmp_path / "file"):
        with pytest.raises(ForearmError, match="already exists"):
            require_absent(taken)


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
