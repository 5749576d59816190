"""How many pictures an MP4 announces: FFmpeg makes room for all of them on opening, whether or not they are there.

An MP4 is made of boxes, some of which hold others (ISO/IEC 14496-12, 4.2).
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

HOLDERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf")
COUNTS = {b"stsz": 8, b"stz2": 8, b"trun": 4}
"""The boxes that count pictures or sounds, and where in their content they do."""


def announced(path: Path) -> int:
    """The most pictures that a track of a file announces, those of all its fragments together; 0 if it is no MP4.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        found = list(_counts(file, path.stat().st_size))
    tracks = [count for name, count in found if name != b"trun"]
    return max([sum(count for name, count in found if name == b"trun"), *tracks])


def _counts(file: BinaryIO, end: int) -> Iterator[tuple[bytes, int]]:
    """The boxes up to ``end`` that count, with what they say."""
    while file.tell() + 8 <= end:
        begin = file.tell()
        length, name = struct.unpack(">I4s", file.read(8))
        if length == 1:
            length = int.from_bytes(file.read(8), "big")
        stop = end if length == 0 else min(end, begin + length)
        if stop < begin + 8:
            return
        if name in HOLDERS:
            yield from _counts(file, stop)
        elif name in COUNTS:
            file.seek(COUNTS[name], 1)
            yield name, int.from_bytes(file.read(4), "big")
        file.seek(stop)
