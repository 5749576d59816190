"""A dataset in which squares lie on a table and one of them is pushed."""

from pathlib import Path

import numpy as np

from forearm.canvas import Camera
from forearm.transitions import TransitionSet
from forearm.transitions.store import TransitionWriter
from support.tiny import finish, make_layout

SIDE, HALF = 32, 3
METRES = 0.4
"""The camera looks down on a square of the table of so many metres."""
COLOURS = ((230, 30, 30), (30, 60, 230))


def write_pushes(path: Path, episodes: int = 60, length: int = 4, val: int = 12, seed: int = 0) -> TransitionSet:
    """Write episodes in which the square ``pushed`` goes on in one direction and the square ``still`` stays.

    The last ``val`` validate. The camera ``base`` looks down; the boxes in ``wrist`` wander as if it moved.
    """
    layout = make_layout(cameras=(Camera("base", SIDE, SIDE), Camera("wrist", SIDE, SIDE)))
    random = np.random.default_rng(seed)
    frames, actions, numbers = [], [], []
    path.mkdir(parents=True)
    with TransitionWriter(path, (layout.frame_height, layout.frame_width, 3)) as writer:
        for episode in range(episodes):
            background = random.integers(90, 140, (SIDE, SIDE, 3)).astype(np.uint8)
            start, heading, pans = len(writer), random.uniform(0, 2 * np.pi), np.zeros(length + 1, np.float32)
            lift = random.uniform(-20, 20)  # else episodes whose joints move alike count as copies
            places = np.array([[16, 16], [16, 16]]) + random.uniform(-4, 4, (2, 2)) + np.array([[-5, 0], [6, 0]])
            moves = random.integers(1, 3, length).astype(np.float32)
            pans[1:] = np.cumsum(moves)
            for step in range(length + 1):
                now = places + np.array([[np.cos(heading), np.sin(heading)], [0, 0]]) * pans[step]
                picture = background.copy()
                for (x, y), colour in zip(now, COLOURS, strict=True):
                    _paint(picture, x, y, colour)
                frame = np.concatenate([picture, background])
                touches = (step > 0, 0)
                known = {
                    name: _truth(*place, touched * step, random.uniform(-0.3, 0.3))
                    for name, place, touched in zip(("pushed", "still"), now, touches, strict=True)
                }
                writer.append(frame, np.array([pans[step], lift], np.float32), known)
            for i in range(length):
                frames.append([start + i, start + i + 1])
                actions.append(moves[i].reshape(1, 1))
                numbers.append(episode)
        finish(writer, path.name, layout, frames, actions, numbers, val)
    return TransitionSet(path)


def _paint(picture: np.ndarray, x: float, y: float, colour: tuple[int, int, int]) -> None:
    """A square whose edges cover pixels by parts."""
    inside = [np.clip(HALF + 0.5 - np.abs(np.arange(SIDE) + 0.5 - middle), 0, 1) for middle in (y, x)]
    cover = np.outer(*inside)[..., None]
    picture[:] = (picture * (1 - cover) + np.array(colour) * cover).astype(np.uint8)


def _truth(x: float, y: float, touches: int, wandering: float) -> np.ndarray:
    """x, y, z, touches so far, its box below the first camera, and one that the second, which moves, shows."""
    box = np.array([x - HALF, y - HALF, x + HALF, y + HALF]) / SIDE
    position = [x / SIDE * METRES, y / SIDE * METRES, 0.02]
    return np.array([*position, touches, *box, *(box + wandering).clip(0.05, 0.95)], np.float32)
