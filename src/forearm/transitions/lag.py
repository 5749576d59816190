"""How late the pictures of a dataset are; see `forearm.recordings.lag`."""

from collections.abc import Iterator

import numpy as np

from forearm.recordings.lag import LEAST_PICTURES, Lag, estimate
from forearm.transitions.store import TransitionSet

PICTURES = 4000
"""At most so many are looked at."""
SPAN = 2
"""Frames over which motions are measured."""


def even_spacing(data: TransitionSet) -> float | None:
    """Seconds between the frames of an episode in order, or None where they do not follow one another evenly."""
    settings = data.facts["settings"]
    if data.facts["actions"] == "log" or "stride" not in settings:  # frames far apart; or several datasets in one
        return None
    rates = {recording.get("fps") for recording in data.facts["recordings"]}
    fps = rates.pop() if len(rates) == 1 else None
    if fps is None or "step" not in settings:
        return None
    step, stride = (max(1, round(settings[name] * fps)) for name in ("step", "stride"))
    return None if step % stride else stride / fps


def estimate_lag(data: TransitionSet) -> Lag | None:
    """The lag of a dataset's pictures, or None where its frames do not follow one another closely and evenly enough."""
    spacing = even_spacing(data)
    return None if spacing is None or spacing > 0.25 else estimate(_motions(data), spacing, SPAN)


def _motions(data: TransitionSet) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    seen = 0
    for frames in data.columns.frames_by_episode().values():
        if len(frames) >= LEAST_PICTURES and seen < PICTURES:
            seen += len(frames)
            pictures = data.frames[frames].astype(np.float32)
            changes = np.abs(pictures[SPAN:] - pictures[:-SPAN]).mean(axis=(1, 2, 3))
            yield changes, data.states[frames] / data.layout.max_velocities
