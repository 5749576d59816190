"""Path templates of meta/info.json, such as ``data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet``."""

import re
import string
from collections.abc import Collection, Mapping
from pathlib import PurePosixPath

SPELLINGS = {
    "chunk": ("chunk_index", "episode_chunk", "chunk", "chunk_id"),
    "file": ("file_index", "file", "file_id"),
    "episode": ("episode_index", "episode", "episode_id"),
    "camera": ("video_key", "camera_key", "key"),
}
"""Fields, and what recorders call them."""
NUMBER = re.compile(r"0?\d?d?")
"""A format of a number, such as 03d; wider ones would only fill memory."""


def fill(template: str, fields: Mapping[str, int | str], needed: Collection[str] = ()) -> str | None:
    """The relative path that a template gives for some of the fields ``chunk``, ``file``, ``episode``, ``camera``.

    Returns:
        None where the template lacks a field that is ``needed`` to tell files apart, has another field, a format that
        is none of a number, or leads out of the folder.
    """
    meant = {spelling: value for name, value in fields.items() for spelling in SPELLINGS[name]}
    lacking = set(needed)
    parts = []
    try:
        for text, name, form, conversion in string.Formatter().parse(template):
            parts.append(text)
            if name is None:
                continue
            if name not in meant or conversion or not NUMBER.fullmatch(form or ""):
                return None
            parts.append(format(meant[name], form or ""))
            lacking -= {field for field in lacking if name in SPELLINGS[field]}
    except ValueError:  # a lone brace, or a number's format for a name
        return None
    path = "".join(parts)
    leaves = PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or "\0" in path
    return None if leaves or lacking or not path else path
