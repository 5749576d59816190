"""How much time passes in a step, chosen by how fast the pictures of recordings change."""

import contextlib
from collections.abc import Sequence

import numpy as np

from forearm.base.errors import ForearmError
from forearm.recordings import Episode, EpisodeUnreadable, Recording

SHORTEST, LONGEST = 0.1, 0.2
"""Seconds of a step, about video rate."""
SHARE = 1 / 3
"""A step is too long in which copying has a larger share of the mean frame's squared error."""
EPISODES, MOMENTS, SIDE = 4, 40, 32
"""Looked at: so many episodes of each recording, moments of each, and pixels a side of each camera."""


def choose_step(recordings: Sequence[Recording], cameras: Sequence[str], stride: float) -> tuple[float, str]:
    """The longest step of about video rate in which a picture changes little.

    A step is a multiple of the stride, so that transitions follow one another. A change is little if copying the frame
    before has less than `SHARE` of the mean frame's squared error. The noise of cameras, which does not grow with time,
    is taken off both.

    Args:
        recordings: with the same cameras.
        cameras: their feature keys.
        stride: seconds from the start of a transition to the start of the next.

    Returns:
        The step in seconds, and why, in words.
    """
    steps = possible_steps(recordings[0].fps, stride)
    seconds = [rows / recordings[0].fps for rows in steps]
    if len(steps) == 1:
        return seconds[0], f"{seconds[0]:.2g} s, the shortest at this rate and stride"
    clips = [clip for recording in recordings for clip in _clips(recording, cameras, (1, 2, *steps))]
    if not clips:
        return seconds[-1], f"{seconds[-1]:.2g} s; no picture could be looked at"
    shares = dict(zip(seconds, copying_shares(clips), strict=True))
    fit = [step for step, share in shares.items() if share < SHARE]
    step = max(fit) if fit else min(seconds)
    figures = ", ".join(f"{share:.2f} in {step:.2g} s" for step, share in shares.items())
    why = (
        "the longest in which copying has less than a third" if fit else "the shortest, though copying has over a third"
    )
    return step, f"{step:.2g} s, {why} of the mean frame's squared error ({figures})"


def possible_steps(fps: float, stride: float) -> list[int]:
    """Steps in rows, multiples of the stride, between `SHORTEST` and `LONGEST` to half a row; the first above where
    there is none.
    """
    rows = max(1, round(stride * fps))
    least = int(np.ceil((SHORTEST * fps - 0.5) / rows))
    most = int((LONGEST * fps + 0.5) // rows)
    return [rows * times for times in range(max(1, least), max(1, least, most) + 1)]


def copying_shares(clips: Sequence[np.ndarray]) -> np.ndarray:
    """The squared error of copying over each step as a share of the mean frame's, (S,), without noise.

    Args:
        clips: of each episode float frames (n, 1 + 2 + S, …): at a moment, one and two rows later, and each step later.
    """
    frames = np.concatenate(clips)
    errors = np.square(frames[:, 1:] - frames[:, :1]).mean(axis=(0, *range(2, frames.ndim)))
    one, two, *each = errors
    noise = max(2 * one - two, 0.0)  # motion at least doubles the error of twice the time, noise leaves it as it is
    spread = frames[:, 0].var(axis=0).mean() - noise / 2
    return np.maximum(np.array(each) - noise, 0) / max(spread, 1e-9)


def _clips(recording: Recording, cameras: Sequence[str], later: Sequence[int]) -> list[np.ndarray]:
    """Frames of some moments of some episodes, (n, 1 + len(later), …) float32 in [0, 1] each. All episodes
    count, also those that are left out, so that a test set has the step of its training set.
    """
    indices = [episode.index for episode in recording.episodes]
    some = {indices[i] for i in np.linspace(0, len(indices) - 1, EPISODES).astype(int)}
    clips = []
    with contextlib.suppress(ForearmError):  # episodes that cannot be read are told of when all are read
        for episode in recording.read(cameras, on_skip=lambda index, reason: None, episodes=some):
            if len(episode) > max(later):
                clips += _clip(episode, cameras, later)
    return clips


def _clip(episode: Episode, cameras: Sequence[str], later: Sequence[int]) -> list[np.ndarray]:
    moments = np.unique(np.linspace(0, len(episode) - 1 - max(later), MOMENTS).astype(int))
    rows = moments[:, None] + (0, *later)
    with contextlib.suppress(EpisodeUnreadable):
        seen = episode.pictures(np.unique(rows).tolist(), dict.fromkeys(cameras, (SIDE, SIDE)))
        frames = {row: np.stack([pictures[camera] for camera in cameras]) for row, pictures in seen}
        return [np.stack([[frames[row] for row in each] for each in rows]).astype(np.float32) / 255]
    return []
