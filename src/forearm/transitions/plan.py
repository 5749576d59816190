"""Which rows of an episode make transitions, and what the action of each was."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forearm.canvas import CODES, MOVE_MINUS, MOVE_PLUS, STAY, Joint, plain
from forearm.canvas.layout import UnitOrigin
from forearm.recordings import Episode, Recording
from forearm.recordings.audit import runs
from forearm.recordings.units import given_units

SLACK = 2
"""Frames by which a recorder's clock may make a decision early or late."""

LIKE = 1.25
"""A step may last so many times as long or short in rows as was asked for: what rounding does at usual rates."""

LEAST_STEP = 0.05
"""A full step of a joint is at least this share of the range in which it was seen."""

ADDS_UP = 1.4
"""By so much a joint's change over a transition exceeds that between neighbouring frames if it is motion, not noise."""

SWITCH, NONSENSE, LONGEST_STUCK = 4, 3e4, 0.25
"""A joint of so few values is a switch; a value so large is none of a switch; sensors are stuck for such a share of an
episode."""

SIGN_OF_CODE = np.array([{STAY: 0, MOVE_PLUS: 1, MOVE_MINUS: -1}[code] for code in CODES], np.float32)


@dataclass(frozen=True)
class EpisodePlan:
    """The n transitions of an episode."""

    frames: np.ndarray
    """(n, T) int64 rows of the episode."""
    actions: np.ndarray
    """(n, T − 1, A) float32 in the units of the action's dimensions."""
    dimensions: np.ndarray
    """(n,) int64: the action dimension that each last decision was about (−1: the largest)."""


NO_PLAN = EpisodePlan(np.zeros((0, 2), np.int64), np.zeros((0, 1, 1), np.float32), np.zeros(0, np.int64))
"""Of an episode that has nothing to give."""


def joints_of(recording: Recording, given: Sequence[str] = ()) -> tuple[Joint, ...]:
    """The joints of a recording, their units given, declared or guessed; bounds are still the usual ones.

    Raises:
        ForearmError: ``given``, as of `BuildConfig.units`, cannot be understood.
    """
    units = given_units(given, recording.joints)
    known: UnitOrigin = "declared" if recording.declares_units else "guessed"
    return tuple(
        Joint(plain(name), units.get(i, recording.units[i]), unit_origin="given" if i in units else known)
        for i, name in enumerate(recording.joints)
    )


def as_pictured(states: np.ndarray, lag: float) -> np.ndarray:
    """Where the joints were when the pictures were taken, (n, J) float32: ``lag`` rows before those they came with."""
    if lag == 0:
        return states
    rows = np.arange(len(states))
    return np.stack([np.interp(rows - lag, rows, joint) for joint in states.T], axis=1).astype(np.float32)


def faulty_readings(states: np.ndarray) -> np.ndarray:
    """Readings (n, J) bool that no joint can have made. A sensor that reads 65535 would stretch the strip's bounds.

    One or two rows are faulty if they are ten times as far off the rows around them as the episode's widest joint range
    (at least 1). So are longer stretches that are a hundred times as far off the episode's middle as the widest
    interquartile range and begin and end by a jump, as of a sensor that is stuck. A joint with few other values may be
    a switch, of which only far larger numbers are faulty.
    """
    if len(states) < 5:
        return np.zeros(states.shape, bool)
    middle = np.median(states, axis=0)
    low, high = np.quantile(states, [LONGEST_STUCK, 1 - LONGEST_STUCK], axis=0)
    far = np.abs(states - middle) > 100 * max((high - low).max(), 1.0)
    stuck = np.zeros(states.shape, bool)
    for joint in np.flatnonzero(far.any(axis=0)):
        x = states[:, joint].astype(np.float64)
        switch = len(np.unique(x[~far[:, joint]])) <= SWITCH
        for first, stop in runs(far[:, joint]):
            off = np.abs(np.median(x[first:stop]) - middle[joint])
            jumps = all(abs(x[a] - x[a - 1]) > 0.9 * off for a in (first, stop) if 0 < a < len(x))
            short = stop - first <= LONGEST_STUCK * len(x)
            stuck[first:stop, joint] = short and jumps and not (switch and off < NONSENSE)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(states, ((2, 2), (0, 0)), mode="reflect"), 5, axis=0)
    usual = np.median(around, axis=2)
    sound = usual[~stuck.any(axis=1)]
    return stuck | (np.abs(states - usual) > 10 * max(np.ptp(sound, axis=0).max() if len(sound) else 1.0, 1.0))


def without_rows(plan: EpisodePlan, rows: np.ndarray) -> EpisodePlan:
    """The transitions of a plan that use none of the ``rows`` (n,) bool of the episode."""
    kept = ~rows[plan.frames].any(axis=1)
    return EpisodePlan(plan.frames[kept], plan.actions[kept], plan.dimensions[kept])


def seconds_in_rows(step: float, fps: float) -> float:
    """How long a step of so many seconds lasts in rows, of which it takes at least one."""
    return max(1, round(step * fps)) / fps


def like(lasts: float, step: float) -> bool:
    """Whether what lasts so many seconds in rows may pass for a step of so many."""
    return step / LIKE <= lasts <= step * LIKE


def plan_from_log(episode: Episode, joint: int, joints: int, fps: float, history: int) -> EpisodePlan:
    """One transition a decision: from its frame to the frame ``action_duration`` later.

    A longer history takes decisions that follow one another. A decision whose outcome lies beyond the end of the
    episode, or that the next decision cut short, is left out.
    """
    assert episode.log is not None
    span = max(1, round(episode.log.action_duration * fps))
    decisions = [(frame, code) for frame, code in sorted(episode.log.decisions) if 0 <= frame < len(episode)]
    starts = np.array([frame for frame, _ in decisions], np.int64)
    signs = SIGN_OF_CODE[[code for _, code in decisions]] if decisions else np.zeros(0, np.float32)
    ends = starts + span
    ends[:-1] = np.minimum(ends[:-1], starts[1:])  # the next decision may come a little early
    whole = (ends < len(episode)) & (ends - starts >= max(1, span - SLACK))
    steps = history - 1
    frames, values = [], []
    for i in range(len(decisions) - steps + 1):
        follows = np.all(starts[i + 1 : i + steps] - ends[i : i + steps - 1] <= SLACK)
        if follows and whole[i : i + steps].all():
            frames.append([*starts[i : i + steps], ends[i + steps - 1]])
            values.append(signs[i : i + steps])
    actions = np.zeros((len(frames), steps, joints), np.float32)
    if frames:
        actions[:, :, joint] = np.array(values) * episode.log.position_delta
    return EpisodePlan(_frames(frames, history), actions, np.full(len(frames), joint, np.int64))


def plan_every(first: int, stop: int, step: int, stride: int, history: int) -> np.ndarray:
    """Frames ``step`` rows apart, a new transition every ``stride`` rows, from row ``first`` to before ``stop``:
    (n, history) int64.
    """
    starts = np.arange(first, stop - step * (history - 1), stride)
    return _frames([start + step * np.arange(history) for start in starts], history)


def changes(episode: Episode, frames: np.ndarray) -> np.ndarray:
    """The joints' change from frame to frame, (n, T − 1, J) float32."""
    return np.diff(episode.states[frames], axis=1)


def discretised(changes: np.ndarray, scales: np.ndarray, dead_band: float) -> np.ndarray:
    """Only the dominant joint's change, by one full step up or down, or nothing where it is below the dead band.

    Args:
        changes: (n, T − 1, J) in the joints' units.
        scales: (J,) what counts as a full step of each joint.
        dead_band: share of a full step below which nothing happened.
    """
    values = changes / scales
    dominant = np.abs(values).argmax(-1)[..., None]
    largest = np.take_along_axis(values, dominant, -1)
    steps = np.where(np.abs(largest) > dead_band, np.sign(largest), 0)
    result = np.zeros_like(values)
    np.put_along_axis(result, dominant, steps, -1)
    return (result * scales).astype(np.float32)


def typical_steps(actions: np.ndarray, ranges: np.ndarray | None = None) -> np.ndarray:
    """What a value of 1 shall mean, (A,): the 99th percentile of each dimension's own magnitude.

    A joint that moves less than once in a hundred transitions has a step of ``LEAST_STEP`` of its range.

    Args:
        actions: (n, T − 1, A) in the dimensions' units.
        ranges: (A,) the distance between the lowest and highest position of the joint that each dimension is the change
            of; None where dimensions are commands.
    """
    each = np.percentile(np.abs(actions.reshape(-1, actions.shape[-1])), 99, axis=0)
    if ranges is None:
        return np.where(each > 0, each, 1.0)
    return np.maximum(each, np.maximum(LEAST_STEP * ranges, 1e-3))


def resting_values(actions: np.ndarray) -> np.ndarray:
    """The command nearest to 0 that each dimension ever has, (A,): what it is counted from where no joint answers it.

    Velocities and switches have 0. The absolute position of a gripper that is not measured, such as 1100 to 1900, would
    otherwise be one large motion all the time.
    """
    low, high = (extreme(actions, axis=(0, 1)) for extreme in (np.min, np.max))
    return np.clip(0, low, high)


def only_jitter(states: np.ndarray, frames: np.ndarray, episodes: np.ndarray) -> np.ndarray:
    """Which joints only jitter, (J,) bool: they change no more over a transition than between neighbouring frames.

    White noise does so, motion adds up. Where fewer than three frames are stored in the time of a transition it cannot
    be told, and no joint is said to jitter.

    Args:
        states: (F, J) positions of all frames, those of an episode in the order of time.
        frames: (n, T) their rows in each transition.
        episodes: (n,) episode of each transition.
    """
    if np.median(np.diff(frames)) < 3:
        return np.zeros(states.shape[1], bool)
    stored = np.unique(np.stack([np.repeat(episodes, frames.shape[1]), frames.ravel()], axis=1), axis=0)
    neighbours = np.diff(states[stored[:, 1]], axis=0)[np.diff(stored[:, 0]) == 0]
    moved = np.square(np.diff(states[frames], axis=1)).mean(axis=(0, 1))
    return moved < ADDS_UP**2 * np.square(neighbours).mean(axis=0)


def _frames(frames: Sequence[Sequence[int] | np.ndarray], history: int) -> np.ndarray:
    return np.array(frames, np.int64).reshape(-1, history)
