"""What an action column commands: target positions, changes or velocities, and of which joints.

LeRobot does not store it. Each meaning is an equation between commands and the states that follow, which is tried for
each pair of a command and a joint, at several lags: the state becomes the target, or changes by the delta, or by the
velocity times the time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forearm.base.errors import ForearmError
from forearm.canvas.layout import ACTION_MEANINGS, ActionMeaning
from forearm.recordings import Recording
from forearm.recordings.audit import UNITS_APART

COMPARED = 0.5
"""Seconds over which changes are compared, and by which joints may follow late."""
CLEAR, APART = 0.5, 0.2
"""A meaning is clear if it explains so much of the median joint's variance, and so much more than the next one."""
FAR = 4.0
"""A command that varies so many times as much as its joint, or so many times less, is in another unit."""
ROUNDING = 1e-6
"""Shares of variance that differ by less are equal."""
MOVES = 0.05
"""A joint moves if its range is such a share of the widest one; of one that does not, little can be explained."""
SURE = 0.8
"""So much has to be explained for a command without a name to be taken for a joint's."""
AFFIXES = (
    "main_",
    "target_",
    "cmd_",
    ".pos",
    ".vel",
    "_pos",
    "_vel",
    "_velocity",
    "_position",
    "_target",
    "_cmd",
    "_delta",
)
"""What recorders add to a joint's name."""
SWITCH = 3
"""A command that takes so few values, such as that of a gripper, is a switch."""
BESIDE, EVEN = 0.05, 0.5
"""Targets lie beside the states if their median distance is more than such a share of the joint's range, and at 98 % of
the rows the distance differs from it by less than such a share of it."""


@dataclass(frozen=True)
class Commands:
    """What the A columns of an action are."""

    meaning: ActionMeaning
    """Of the commands that are a joint's."""
    joints: tuple[int, ...]
    """The joint that each column commands, −1 for a command that no measured joint answers."""
    found: str
    """How this is known, in words."""
    offsets: tuple[float, ...] = ()
    """How far each column's targets lie beside the states that they lead to, in the joint's unit; empty: not at all."""
    late: int = 0
    """Rows by which joints follow."""
    uncommanded: tuple[int, ...] = ()
    """Joints that move, though no column commands them."""


def find_meaning(recording: Recording, asked: ActionMeaning | None = None) -> Commands:
    """Find out what a recording's actions are by comparing them with the states.

    Args:
        recording: with an action column.
        asked: the meaning, where a person has said it; only the joints are then looked for.

    Raises:
        ForearmError: there is no action column, or its meaning is not clear.
    """
    step = max(1, round(COMPARED * recording.fps))
    rows = [(e.states, e.actions) for e in recording.read(recording.cameras, on_skip=lambda index, reason: None)]
    pairs = [(states, actions) for states, actions in rows if actions is not None and len(states) > step]
    if not pairs:
        short = any(actions is not None for _, actions in rows)
        what = f"no episode longer than {COMPARED:g} s" if short else "no action column"
        raise ForearmError(f"{recording.name} has {what}; build with --actions change")
    names = matched_names(recording.action_names, recording.joints)
    values = np.concatenate([actions for _, actions in pairs])
    by_lag = {meaning: explained_shares(pairs, step, recording.fps, meaning) for meaning in ACTION_MEANINGS}
    explained = {meaning: shares.max(axis=0) for meaning, shares in by_lag.items()}
    joints = {meaning: _assigned(explained[meaning], names, values) for meaning in ACTION_MEANINGS}
    shares = {meaning: _median(explained[meaning], joints[meaning], values) for meaning in ACTION_MEANINGS}
    best, second, _ = sorted(ACTION_MEANINGS, key=shares.__getitem__, reverse=True)
    figures = ", ".join(f"{meaning} {max(shares[meaning], 0):.0%}" for meaning in ACTION_MEANINGS)
    if asked:
        chosen = joints[asked]
        if (chosen < 0).all() and len(chosen) == len(recording.joints):
            chosen = np.arange(len(chosen))  # nothing tells them apart but their order
        _require_scale(
            recording, asked, _responses(explained[asked], chosen, pairs, step, recording.fps, asked), chosen
        )
        best, how = asked, f"{asked}, as said (explained by the states: {figures})"
        return _commands_as(recording, best, how, by_lag[best], chosen, pairs, step)
    unclear = shares[best] < CLEAR or shares[best] - shares[second] < APART
    own = np.flatnonzero(joints[best] < 0)
    if unclear and (any(not _is_plain(recording.action_names[a], values[:, a]) for a in own) or len(own) < len(names)):
        raise ForearmError(
            f"what the actions of {recording.name} mean is not clear from its states (explained share: {figures}); say "
            "it with --action-is target, delta or velocity, or build with --actions change"
        )
    if unclear:  # nothing but velocities of a base and switches
        nobody = np.full(len(names), -1)
        words = "velocities and switches that no joint answers"
        return Commands("velocity", tuple(nobody.tolist()), words, uncommanded=_uncommanded(pairs, nobody))
    how = "by name" if (names >= 0).any() else "by what they do"
    deaf = _unanswered(*_responses(explained[best], joints[best], pairs, step, recording.fps, best))
    chosen = np.where(deaf, -1, joints[best])
    if len(own := np.flatnonzero(chosen < 0)):
        how += f"; no joint answers {', '.join(recording.action_names[a] for a in own)}: an action of its own"
    how = f"{best} (explained by the states: {figures}), matched {how}"
    return _commands_as(recording, best, how, by_lag[best], chosen, pairs, step)


def _commands_as(
    recording: Recording,
    meaning: ActionMeaning,
    how: str,
    shares: np.ndarray,
    joints: np.ndarray,
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
    step: int,
) -> Commands:
    """Commands of a meaning, with how late joints follow them and how far beside the states they lie."""
    _require_in_time(recording, meaning, shares, joints, pairs, step)
    offsets, beside = _offsets(recording, meaning, shares, joints, pairs)
    late = _rows_late(shares, joints)
    delay = f"; joints follow their commands {late / recording.fps:.2g} s ({late} rows) late" if late > 1 else ""
    uncommanded = _uncommanded(pairs, joints)
    return Commands(meaning, tuple(joints.tolist()), how + delay + beside, offsets, late, uncommanded)


def taken(commands: Commands, states: np.ndarray, actions: np.ndarray, frames: np.ndarray, fps: float) -> np.ndarray:
    """What was commanded from frame to frame: of a joint the change in its unit, of others the mean command.

    Deltas and velocities of a step add up. Of its targets those count that joints answer by its end: a joint that
    follows at once answers the last one, and one that follows n rows late the mean of the last 2n − 1, which were given
    n rows before on average (docs/log/2026-11-26-commands.md).

    Args:
        commands: what the columns are.
        states: (n, J) of the episode.
        actions: (n, A) of the episode.
        frames: (m, T) its rows in each transition.
        fps: rows a second.

    Returns:
        (m, T − 1, A) float32.
    """
    sums = np.concatenate([np.zeros((1, actions.shape[1])), actions.cumsum(axis=0, dtype=np.float64)])
    first, last = frames[:, :-1], frames[:, 1:]
    total, rows = sums[last] - sums[first], last - first
    joints = np.array(commands.joints)
    if commands.meaning == "target":
        answered = np.minimum(rows, max(1, 2 * commands.late - 1))
        target = (sums[last] - sums[last - answered]) / answered[..., None]
        of_joints = target - np.array(commands.offsets or 0) - states[first][..., joints]
    else:
        of_joints = total / (fps if commands.meaning == "velocity" else 1)
    return np.where(joints >= 0, of_joints, total / rows[..., None]).astype(np.float32)


def matched_names(actions: Sequence[str], joints: Sequence[str]) -> np.ndarray:
    """For each command the joint of the same name but for what recorders add, (A,) int64, −1: none."""
    bare = [_bare(joint) for joint in joints]
    return np.array([bare.index(_bare(name)) if _bare(name) in bare else -1 for name in actions], np.int64)


def explained_shares(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
    step: int,
    fps: float,
    meaning: ActionMeaning,
    lags: Sequence[int] | None = None,
) -> np.ndarray:
    """The share of each joint's variance that each command explains under a meaning at each lag, (L, A, J).

    Args:
        pairs: states (n, J) and actions (n, A) of each episode, n > ``step``.
        step: rows over which changes are compared.
        fps: rows a second.
        meaning: target (of the position, but for an offset), delta or velocity (of the change over ``step`` rows).
        lags: rows by which joints follow; below 0 they are ahead of their commands. From 0 to ``step`` by default.
    """
    shares = []
    for lag in range(step + 1) if lags is None else lags:
        wanted, came = [], []
        for states, actions in pairs:
            x, y = _compared(states, actions, step, fps, meaning)
            wanted.append(x[max(0, -lag) : max(0, len(x) - max(0, lag))])
            came.append(y[max(0, lag) : max(0, len(y) - max(0, -lag))])
        x, y = np.concatenate(wanted).astype(np.float64), np.concatenate(came).astype(np.float64)
        if not len(x):
            break
        if meaning == "target":
            x, y = x - x.mean(axis=0), y - y.mean(axis=0)
        variance = np.square(y).mean(axis=0)
        errors = np.square(x).mean(axis=0)[:, None] + variance - 2 * x.T @ y / len(x)
        shares.append(np.where(variance > 0, 1 - errors / np.where(variance > 0, variance, 1), -np.inf))
    return np.stack(shares)


def _compared(
    states: np.ndarray, actions: np.ndarray, step: int, fps: float, meaning: ActionMeaning
) -> tuple[np.ndarray, np.ndarray]:
    """What was wanted, (m, A), and what came of it, (m, J): positions, or changes over ``step`` rows."""
    if meaning == "target":
        return actions, states
    sums = np.concatenate([np.zeros((1, actions.shape[1])), actions.cumsum(axis=0, dtype=np.float64)])
    wanted = sums[step:-1] - sums[: -1 - step]
    return wanted / fps if meaning == "velocity" else wanted, states[step:] - states[:-step]


def _responses(
    explained: np.ndarray,
    joints: np.ndarray,
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
    step: int,
    fps: float,
    meaning: ActionMeaning,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How the joints answer their commands: the share of the variance that is explained, the correlation, and how many
    times as far as its command each joint goes, each (A,). Of joints that hardly move nothing is said: 1, 1, 1.
    """
    compared = [_compared(states, actions, step, fps, meaning) for states, actions in pairs]
    parts = [np.concatenate(part).astype(np.float64) for part in zip(*compared, strict=True)]
    if meaning == "target":
        parts = [part - part.mean(axis=0) for part in parts]
    wanted, came = (np.sqrt(np.square(part).mean(axis=0)) for part in parts)
    moves = (joints >= 0) & _moves(pairs)[joints]
    ratio = np.maximum(np.where(moves, wanted, 1) / np.where(moves, came[joints], 1), 1e-9)
    share = np.where(moves, explained[np.arange(len(joints)), joints], 1)
    return share, (share + ratio**2) / (2 * ratio), 1 / ratio


def _moves(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Which joints move, (J,) bool."""
    ranges = np.ptp(np.concatenate([states for states, _ in pairs]), axis=0)
    return ranges >= MOVES * ranges.max()


def _uncommanded(pairs: Sequence[tuple[np.ndarray, np.ndarray]], joints: np.ndarray) -> tuple[int, ...]:
    return tuple(np.setdiff1d(np.flatnonzero(_moves(pairs)), joints).tolist())


def _unanswered(share: np.ndarray, correlation: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Commands (A,) bool that bear the name of a joint which moves, but otherwise or in another unit: a gripper's
    switch beside its opening, another sign, no change at all. (A joint that is held up follows too, but less far.)
    """
    return (share < CLEAR) & ((correlation < CLEAR) | (times > FAR) | (times < 1 / FAR))


def _best(shares: np.ndarray) -> int:
    """The first of the lags (L,) that explain most, or as much but for rounding, which is another on each processor."""
    return int((shares >= shares.max() - ROUNDING).argmax())


def _rows_late(shares: np.ndarray, joints: np.ndarray) -> int:
    """By how many rows joints follow their commands.

    Args:
        shares: (L, A, J) as of `explained_shares`.
        joints: (A,) the joint of each command, −1: none.
    """
    lags = [_best(shares[:, a, j]) for a, j in enumerate(joints) if j >= 0 and shares[:, a, j].max() > CLEAR]
    return round(float(np.median(lags))) if lags else 0


def _require_in_time(
    recording: Recording,
    meaning: ActionMeaning,
    shares: np.ndarray,
    joints: np.ndarray,
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
    step: int,
) -> None:
    """Refuse commands that are written down rows after the joints had followed them: from frame to frame they would say
    where the joints came from; arguments are those of `_rows_late` and `explained_shares`.
    """
    ahead = explained_shares(pairs, step, recording.fps, meaning, range(-1, -step - 1, -1))
    rows = []
    for a, j in enumerate(joints):
        if len(ahead) and j >= 0 and max(shares[:, a, j].max(), ahead[:, a, j].max()) > CLEAR:
            better = 1 - ahead[:, a, j].max() < 0.5 * (1 - shares[:, a, j].max()) - ROUNDING
            rows.append(1 + _best(ahead[:, a, j]) if better else 0)
    late = round(float(np.median(rows))) if rows else 0
    if late > 1:
        raise ForearmError(
            f"the actions of {recording.name}, as {meaning} commands, are written down {late / recording.fps:.2g} s "
            f"({late} rows) after the joints followed them; move the action column up by as many rows, or build with "
            "--actions change"
        )


def _offsets(
    recording: Recording,
    meaning: ActionMeaning,
    shares: np.ndarray,
    joints: np.ndarray,
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
) -> tuple[tuple[float, ...], str]:
    """How far each column's targets lie beside the states, as of a leader that counts from another zero, and the words
    for it; arguments are those of `_rows_late`. A joint that is held up at times lies beside its targets, but not
    evenly.
    """
    offsets = np.zeros(len(joints))
    for a, j in enumerate(joints if meaning == "target" else ()):
        if j < 0 or not shares[:, a, j].max() > CLEAR:
            continue
        lag = _best(shares[:, a, j])
        off = np.concatenate([actions[: len(actions) - lag, a] - states[lag:, j] for states, actions in pairs])
        middle, reach = np.median(off), np.ptp(np.concatenate([states[:, j] for states, _ in pairs]))
        if abs(middle) > BESIDE * reach and np.quantile(np.abs(off - middle), 0.98) < EVEN * abs(middle):
            offsets[a] = middle
    by = [f"{recording.joints[j]} by {by:.3g}" for j, by in zip(joints, offsets, strict=True) if by]
    if not by:
        return (), ""
    return tuple(offsets.tolist()), f"; targets lie beside the states, which is taken off: {', '.join(by)}"


def _require_scale(
    recording: Recording, asked: str, responses: tuple[np.ndarray, np.ndarray, np.ndarray], joints: np.ndarray
) -> None:
    """Refuse commands that joints follow, but in another unit or direction than what they are said to be would mean."""
    _, correlation, times = responses
    far = (times > FAR) | (times < 1 / FAR)
    for a in np.flatnonzero(((np.abs(correlation) > CLEAR) & far) | (correlation < -CLEAR)):
        near = next((what for by, what in UNITS_APART.items() if 0.8 < times[a] / by < 1.25), "")
        how = f"{times[a]:.3g} times as far as" if far[a] else "the other way than"
        raise ForearmError(
            f"{recording.joints[joints[a]]} of {recording.name} moves {how} its command says as a {asked}"
            f"{f' ({near})' if near else ''}; give another --action-is, mend the recorder's sign or unit, or build "
            "with --actions change"
        )


def _assigned(explained: np.ndarray, names: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The joint of each command: by name where any name matches, else the one that it explains best."""
    if (names >= 0).any():
        return names
    joints, left = np.full(len(explained), -1), explained + 0.01 * np.eye(*explained.shape)  # the order decides ties
    left[np.ptp(values, axis=0) == 0] = -np.inf
    while left.size and left.max() >= SURE:
        command, joint = np.unravel_index(left.argmax(), left.shape)
        joints[command] = joint
        left[command], left[:, joint] = -np.inf, -np.inf
    return joints


def _median(explained: np.ndarray, joints: np.ndarray, values: np.ndarray) -> float:
    """The share that the median of the commands of joints explains; those that never change say nothing."""
    shares = [explained[a, j] for a, j in enumerate(joints) if j >= 0 and np.ptp(values[:, a]) > 0]
    shares = [share for share in shares if np.isfinite(share)]
    return float(np.median(shares)) if shares else 0.0


def _is_plain(name: str, values: np.ndarray) -> bool:
    """Whether a command says itself what it is: a velocity, a switch or nothing at all."""
    return "vel" in name.lower() or len(np.unique(values)) <= SWITCH


def _bare(name: str) -> str:
    name = name.lower()
    for affix in AFFIXES:
        name = name.removeprefix(affix) if affix.endswith("_") else name.removesuffix(affix)
    return name
