"""Episodes known again by how the joints moved and roughly what the cameras showed.

A digest of the content tells only equal copies. A dataset that is built again with another stride, from pictures coded
anew or with one of them changed, shows the same episodes all the same.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SKETCH = 16
"""So many hashes of an episode's positions are kept."""
ALIKE = 0.5
"""Motions are the same if they share such a part of their positions; short ones have to share all."""
LOOK_CELLS, SAME_LOOK = 8, 8.0
"""A look has so many cells a side, each of which may differ by so many grey levels."""
WRITTEN = re.compile(rf"((?:[0-9a-f]{{8}}){{0,{SKETCH}}}) ([0-9a-f]{{{4 * LOOK_CELLS**2}}})")
"""A fingerprint: the hashes, and both looks."""


def picture_digest(frame: np.ndarray) -> bytes:
    """What tells a frame (h, w, 3) uint8 from others, 16 bytes."""
    return hashlib.blake2b(np.ascontiguousarray(frame, np.uint8).tobytes(), digest_size=16).digest()


def fingerprint(states: np.ndarray, first: np.ndarray, last: np.ndarray, scene: int | None = None) -> str:
    """What an episode is known by: hashes of its distinct joint positions, the smallest ones (a bottom-k sketch, Broder
    1997), and the looks of two frames.

    Args:
        states: (n, J) float32 joint positions of all rows, as recorded.
        first: (h, w, 3) uint8, a frame near its beginning.
        last: (h, w, 3) uint8, one near its end.
        scene: the scene, where it is known; in different ones joints may move alike.
    """
    looks = np.stack([look(first), look(last)]).tobytes().hex()
    if scene is None and not np.ptp(states, axis=0).any():  # joints that stand still are alike in many episodes
        return f" {looks}"
    of_scene = b"" if scene is None else str(scene).encode()
    rows = {np.ascontiguousarray(row, np.float32).tobytes() for row in states}
    hashes = sorted(hashlib.blake2b(row + of_scene, digest_size=4).hexdigest() for row in rows)
    return f"{''.join(hashes[:SKETCH])} {looks}"


def look(frame: np.ndarray) -> np.ndarray:
    """The mean grey levels (8, 8) uint8 of the parts of a frame (h, w, 3)."""
    edges = [np.linspace(0, side, LOOK_CELLS, endpoint=False).astype(int) for side in frame.shape[:2]]
    sizes = [np.diff(edge, append=side).clip(1) for edge, side in zip(edges, frame.shape[:2], strict=True)]
    grey = frame.astype(np.float32).mean(axis=2)
    sums = np.add.reduceat(np.add.reduceat(grey, edges[0], axis=0), edges[1], axis=1)
    return np.round(sums / np.outer(*sizes)).astype(np.uint8)


@dataclass(frozen=True)
class Known:
    """Which of E episodes are known from among others."""

    copies: np.ndarray
    """(E,) bool: the joints moved alike, and pictures look alike."""
    same_joints: np.ndarray
    """(E,) bool: the joints moved alike before other pictures, as in no third episode."""


def known_among(episodes: Sequence[str], others: Sequence[str]) -> Known:
    """Which episodes are known from among others, all given by their fingerprints.

    Where several episodes share their motion but not their looks, as on a grid of positions in a simulation, motions
    tell nothing.
    """
    theirs, own = _Index(others), _Index(episodes)
    copies, same = np.zeros(len(episodes), bool), np.zeros(len(episodes), bool)
    for number, episode in enumerate(episodes):
        alike = theirs.with_motion_of(episode)
        copies[number] = any(_look_alike(episode, other) for other in alike)
        rare = all(_look_alike(alike[0], other) for other in alike[1:]) and len(own.with_motion_of(episode)) == 1
        same[number] = bool(alike) and not copies[number] and rare and len(_hashes(episode)) == SKETCH
    return Known(copies, same)


class _Index:
    """Finds fingerprints by their motion."""

    def __init__(self, fingerprints: Sequence[str]) -> None:
        self._holding: dict[str, set[str]] = defaultdict(set)
        for each in fingerprints:
            for value in _hashes(each):
                self._holding[value].add(each)

    def with_motion_of(self, episode: str) -> list[str]:
        near = {other for value in _hashes(episode) for other in self._holding.get(value, ())}
        return [other for other in sorted(near) if _same_motion(episode, other)]


def _hashes(episode: str) -> list[str]:
    """The hashes of a fingerprint; none of what is no fingerprint."""
    written = WRITTEN.fullmatch(episode)
    return re.findall("." * 8, written[1]) if written else []


def _same_motion(one: str, other: str) -> bool:
    mine, theirs = set(_hashes(one)), set(_hashes(other))
    least = sorted(mine | theirs)[:SKETCH]
    shared = sum(value in mine and value in theirs for value in least) / len(least)
    return shared >= (ALIKE if max(len(mine), len(theirs)) >= SKETCH else 1)


def _look_alike(one: str, other: str) -> bool:
    """Whether the first or the last frames look alike; one of them may have been changed."""
    looks = [bytes.fromhex(each.partition(" ")[2]) for each in (one, other)]
    mine, theirs = (np.frombuffer(each, np.uint8).astype(np.float32).reshape(2, -1) for each in looks)
    return bool((np.abs(mine - theirs).max(axis=1) < SAME_LOOK).any())
