"""What is wrong with recorded data: arrays in, findings out. Nothing is decoded here."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from forearm.recordings.episode import NAMED, in_words
from forearm.recordings.idle import WINDOW, moving, widest_ranges
from forearm.recordings.lag import MOTION_SPAN, estimate

Span = tuple[int, int, int]
"""An episode's index, its first row, and the row after its last one."""

IDLE_ENDS = 0.25
"""An episode of which a larger share is idle at its ends is named."""
SPIKE, JUMP = 0.05, 0.25
"""Shares of a joint's widest range: a row so far from its neighbours is a spike, such a change between rows a jump."""
FAR = 12.0
"""Standard deviations beyond which a value belongs to another distribution."""
SHAKY, JERK = 2.0, 0.05
"""A joint shakes if its jerk is so many times its speed (both by row), and such a share of its widest range."""
DARK, FLAT = 8.0, 2.0
"""Grey levels: a picture is black below such a mean, and shows one colour below such a standard deviation."""
SAME = 0.05
"""A picture repeats the one before if it changes by less than this share of the usual change while the arm moves."""
FREEZE = 0.5
"""Seconds for which pictures have to stand still."""
REPEATS = 0.1
"""Share of single repeated pictures from which a camera is slower than the table."""
DRIFT = 0.03
"""Share by which a clock may run fast or slow."""
ALIKE, ALIKE_LOOKS = 0.01, 3.0
"""Episodes are near-duplicates if joints differ by such a share of their ranges and pictures by such grey levels."""
SHIFT = 0.15
"""Share of a joint's range by which a start pose and both ends of a motion shift under another calibration."""
FOLLOWS = 0.9
"""Share of a joint's variance that its command explains if it is a target in whatever unit."""
UNITS_APART = {57.3: "degrees against radians", 0.01745: "radians against degrees", 100.0: "percent against shares"}
"""How many times as large a state is as its command, and what that means."""
SURPRISE = 4.0
"""Robust standard deviations by which the model's error in an episode stands out."""


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, or worth knowing, about recorded data."""

    kind: str
    """A short key, such as frozen_pictures."""
    matters: bool
    """Whether it can spoil what is learned; otherwise it is only worth knowing."""
    says: str
    """What is wrong, in one sentence."""
    todo: str
    """What to do about it."""
    spans: tuple[Span, ...] = ()
    """Where it is seen, the worst place first."""
    camera: str = ""
    """The camera that shows it."""
    joints: tuple[str, ...] = ()
    """The joints that show it."""


@dataclass(frozen=True)
class PictureFigures:
    """One camera's n pictures of an episode in numbers."""

    brightness: np.ndarray
    """(n,) mean grey level."""
    contrast: np.ndarray
    """(n,) standard deviation of the grey levels."""
    change: np.ndarray
    """(n,) mean absolute change in grey levels from the row before; 0 for the first."""
    motion: np.ndarray
    """(n,) the same from `MOTION_SPAN` seconds before; 0 where there is no such row."""
    looks: np.ndarray
    """(5, 8, 8) grey levels of five pictures from the first to the last, shrunk."""

    @classmethod
    def of(cls, pictures: np.ndarray, fps: float | None) -> "PictureFigures":
        """The figures of n grey pictures (n, h, w) uint8 that come in order, ``fps`` a second."""
        grey, looks = pictures.astype(np.float32), pictures[np.linspace(0, len(pictures) - 1, 5).astype(int)]
        return cls(
            brightness=grey.mean(axis=(1, 2)),
            contrast=grey.std(axis=(1, 2)),
            change=_changes(grey, 1),
            motion=_changes(grey, motion_rows(fps)),
            looks=np.stack([shrunk(look) for look in looks]),
        )


def _changes(grey: np.ndarray, span: int) -> np.ndarray:
    """Mean absolute change (n,) of pictures (n, h, w) over ``span`` rows; 0 for the first."""
    changes = np.abs(grey[span:] - grey[:-span]).mean(axis=(1, 2))
    return np.concatenate([np.zeros(len(grey) - len(changes)), changes])


def motion_rows(fps: float | None) -> int:
    """Rows over which motions are measured."""
    return max(1, round(MOTION_SPAN * fps)) if fps else 1


def shrunk(grey: np.ndarray, cells: int = 8) -> np.ndarray:
    """Mean grey levels (cells, cells) of parts of a picture (h, w)."""
    height, width = (side // cells * cells for side in grey.shape)
    parts = grey[:height, :width].reshape(cells, height // cells, cells, width // cells)
    return parts.mean(axis=(1, 3))


@dataclass(frozen=True)
class EpisodeFigures:
    """What an audit looks at in an episode of n rows."""

    index: int
    """Its number."""
    states: np.ndarray
    """(n, J) joint positions."""
    cameras: Mapping[str, PictureFigures]
    """By camera."""
    timestamps: np.ndarray | None = None
    """(n,) seconds of the table's clock."""
    actions: np.ndarray | None = None
    """(n, A) what was commanded."""
    error: float | None = None
    """A model's error in it, as a share of that of copying the last frame."""

    def __len__(self) -> int:
        return len(self.states)


@dataclass(frozen=True)
class Subject:
    """What is audited."""

    name: str
    """Of the recording or dataset."""
    fps: float | None
    """Rows a second; None where rows are not evenly spaced."""
    joints: tuple[str, ...]
    """Their names."""
    units: tuple[str, ...]
    """The joints' units."""
    episodes: Sequence[EpisodeFigures]
    """Those that can be read."""
    unreadable: Sequence[str] = ()
    """A line for each reason for which others cannot be read."""
    notes: Sequence[str] = ()
    """A line for each trouble with the pairing of rows and pictures."""
    actions: str = ""
    """What the actions are, or why that is not clear, in words; empty where there are none."""
    clear: bool = True
    """Whether that is clear."""
    commanded: Mapping[int, int] = field(default_factory=dict)
    """Column of the action to the joint that it should command."""
    logged: bool = False
    """Whether a log says when something is decided, so that pauses are meant."""
    answered: Mapping[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    """Of a dataset for each commanded joint the changes (N,) that were commanded, and those that came of them."""

    @cached_property
    def widest(self) -> np.ndarray:
        """(J,) the widest range of a joint in the same unit, over all episodes."""
        return widest_ranges(np.concatenate([episode.states for episode in self.episodes]), self.units)

    @cached_property
    def moves(self) -> list[np.ndarray]:
        """Where each joint moves, (n, J) bool for each episode."""
        return [moving(each.states, self.units, self.fps or 1.0, self.widest) for each in self.episodes]

    @property
    def cameras(self) -> list[str]:
        """The names of the cameras."""
        return list(self.episodes[0].cameras)


def findings(subject: Subject) -> list[Finding]:
    """All findings, those that matter first."""
    found = [finding for check in CHECKS for finding in check(subject)]
    return sorted(found, key=lambda finding: not finding.matters)


def runs(mask: np.ndarray, least: int = 1) -> list[tuple[int, int]]:
    """(first, stop) of each run of at least ``least`` True in (n,) bool."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2) if b - a >= least]


def check_files(subject: Subject) -> Iterator[Finding]:
    """Episodes that cannot be read, and rows that do not fit their pictures."""
    for line in subject.unreadable:
        yield Finding("unreadable", True, f"{line}.", "Mend or fetch the files, or leave the episodes out (--exclude).")
    for line in subject.notes:
        yield Finding("pairing", False, f"{line}.", "Nothing, if the pictures fit their rows on this page.")


def check_idle(subject: Subject) -> Iterator[Finding]:
    """Episodes in which nothing moves, for long or at all."""
    if subject.fps is None or subject.logged:
        return
    still, trimmed = [], {}
    for episode, moves in zip(subject.episodes, subject.moves, strict=True):
        rows = np.flatnonzero(moves.any(axis=1))
        if not len(rows):
            still.append((episode.index, 0, len(episode)))
            continue
        ends = [(episode.index, 0, int(rows[0])), (episode.index, int(rows[-1]) + 1, len(episode))]
        if (share := sum(stop - first for _, first, stop in ends) / len(episode)) > IDLE_ENDS:
            trimmed[max(ends, key=lambda span: span[2] - span[1])] = share
    if still:
        says = f"In {in_words(s[0] for s in still)} no joint moves."
        todo = f"Leave them out: forearm build --exclude {','.join(str(s[0]) for s in still)}."
        yield Finding("still_episode", True, says, todo, tuple(still))
    if trimmed:
        worst = sorted(trimmed, key=lambda span: -trimmed[span])
        says = (
            f"The arm stands still at the beginning or end of {in_words(s[0] for s in trimmed)}, for up to "
            f"{max(trimmed.values()):.0%} of the rows."
        )
        yield Finding("idle_ends", True, says, "Cut the pauses off: forearm build --trim-idle.", tuple(worst))


def check_motion(subject: Subject) -> Iterator[Finding]:
    """Spikes, jumps and episodes that shake, by joint."""
    if subject.fps is None:
        return
    changes = np.concatenate([np.abs(np.diff(e.states, axis=0)) for e in subject.episodes])
    usual = np.percentile(changes, 99, axis=0) if len(changes) else subject.widest
    for j, joint in enumerate(subject.joints):
        if len(np.unique(np.concatenate([e.states[:, j] for e in subject.episodes]))) <= 4:
            continue  # a switch
        spikes: dict[Span, float] = {}
        jumps: dict[Span, float] = {}
        least = subject.widest[j]
        for episode in subject.episodes:
            x = episode.states[:, j].astype(np.float64)
            if len(x) < 5:
                continue
            middle = x[1:-1] - (x[:-2] + x[2:]) / 2
            scale = 1.4826 * np.median(np.abs(middle))
            lone = np.abs(x[2:] - x[:-2]) < 0.5 * np.abs(middle)
            rows = np.flatnonzero(lone & (np.abs(middle) > max(SPIKE * least, FAR * scale))) + 1
            spikes |= {(episode.index, int(r), int(r) + 1): abs(middle[r - 1]) for r in rows}
            steps = np.abs(np.diff(x))
            far = np.flatnonzero(steps > max(JUMP * least, 5 * usual[j]))
            jumps |= {
                (episode.index, int(r) + 1, int(r) + 2): steps[r]
                for r in far
                if not {int(r), int(r) + 1} & set(rows.tolist())
            }
        for kind, at, what in (
            ("spike", spikes, "leaves its neighbours by up to {} for a single row"),
            ("jump", jumps, "jumps by up to {} from one row to the next"),
        ):
            if at:
                far_by = _quantity(max(at.values()), subject.units[j])
                says = f"{joint} {what.format(far_by)}: {len(at)} time{'s' * (len(at) > 1)}, in {_of(at)}."
                todo = "Look at the encoder and its cable; leave the episodes out (--exclude) or mend the rows."
                yield Finding(kind, True, says, todo, _worst(at), joints=(joint,))
    yield from _shaking(subject)


def _shaking(subject: Subject) -> Iterator[Finding]:
    """Joints whose jerk, the third difference, is large beside their speed: √10 times for noise, less for motions."""
    for j, joint in enumerate(subject.joints):
        at: dict[Span, float] = {}
        for episode in subject.episodes:
            speed, jerk = (_middling(np.diff(episode.states[:, j], order)) for order in (1, 3))
            if jerk > SHAKY * speed and jerk > JERK * subject.widest[j]:
                at[episode.index, 0, len(episode)] = speed
        if at:
            by = _quantity(max(at.values()), subject.units[j])
            says = f"{joint} shakes in {_of(at)}, by up to {by} from row to row."
            todo = "Look for a loose joint or a badly tuned controller; leave the episodes out (--exclude)."
            yield Finding("shaky", True, says, todo, _worst(at), joints=(joint,))


def _middling(values: np.ndarray) -> float:
    """The root of the mean square of values, but for the largest tenth."""
    kept = np.sort(np.abs(values))[: max(1, round(0.9 * len(values)))]
    return float(np.sqrt(np.mean(kept.astype(np.float64) ** 2))) if len(values) else 0.0


def check_cameras(subject: Subject) -> Iterator[Finding]:
    """Black, empty, constant and frozen pictures, and cameras slower than the table."""
    for camera in subject.cameras:
        seen = [episode.cameras[camera] for episode in subject.episodes]
        dark = [(f.brightness < DARK) & (f.contrast < DARK) for f in seen]
        flat = [(f.contrast < FLAT) & ~d for f, d in zip(seen, dark, strict=True)]
        empty = False
        for kind, masks, word in (("black_pictures", dark, "black"), ("empty_pictures", flat, "of one colour")):
            share = np.concatenate(masks).mean()
            at = {(e.index, a, b): b - a for e, m in zip(subject.episodes, masks, strict=True) for a, b in runs(m)}
            if share:
                empty = empty or share > 0.99
                what = (
                    f"All pictures of {camera} are" if share > 0.999 else f"{share:.1%} of the pictures of {camera} are"
                )
                todo = "Choose other cameras (--cameras)." if empty else "Leave the episodes out (--exclude)."
                yield Finding(kind, True, f"{what} {word}, in {_of(at)}.", todo, _worst(at), camera)
        if not empty:
            yield from _standing_still(subject, camera, seen)


def _standing_still(subject: Subject, camera: str, seen: Sequence[PictureFigures]) -> Iterator[Finding]:
    active: list[np.ndarray] = [np.any(moves, axis=1) for moves in subject.moves]
    moved = np.concatenate([f.change[1:][a[1:]] for f, a in zip(seen, active, strict=True)])
    if not len(moved):
        return
    looks = np.concatenate([figures.looks for figures in seen])
    if np.percentile(moved, 99) < FLAT and np.ptp(looks, axis=0).max() < FLAT:  # a codec changes pictures a little
        says = f"{camera} shows the same picture throughout, though the arm moves."
        yield Finding("constant_camera", True, says, "Choose other cameras (--cameras).", camera=camera)
        return
    limit = SAME * float(np.median(moved[moved > 0.02])) if (moved > 0.02).any() else 0.0
    frozen: dict[Span, float] = {}
    repeated: list[Span] = []
    counted = 0
    for episode, figures, moves in zip(subject.episodes, seen, active, strict=True):
        same = (figures.change <= limit) & (figures.contrast >= FLAT) & (figures.brightness >= DARK)
        same[0] = False
        least = max(4, round(FREEZE * (subject.fps or 4)))
        for first, stop in runs(same, least):
            travel = np.ptp(episode.states[first - 1 : stop], axis=0) / np.maximum(subject.widest, 1e-12)
            if travel.max() > SPIKE and moves[first:stop].mean() > 0.8:
                frozen[(episode.index, first, stop)] = stop - first
        around = np.pad(figures.change, 1, mode="edge")
        lone = same & moves & (around[:-2] > 4 * limit) & (around[2:] > 4 * limit)
        counted += int(moves.sum())
        repeated += [(episode.index, int(r), int(r) + 1) for r in np.flatnonzero(lone)]
    if frozen:
        says = f"{camera} freezes while the arm moves, for up to {max(frozen.values())} rows, in {_of(frozen)}."
        todo = "Leave the episodes out (--exclude), and look at the camera's cable and rate."
        yield Finding("frozen_pictures", True, says, todo, _worst(frozen), camera)
    if len(repeated) > REPEATS * counted:
        says = f"{camera} repeats a picture in {len(repeated) / counted:.0%} of the rows in which the arm moves."
        todo = "Record at the camera's own rate, or build with a --step of several pictures."
        yield Finding("repeated_pictures", True, says, todo, tuple(repeated), camera)


def check_clock(subject: Subject) -> Iterator[Finding]:
    """Dropped rows, and a clock that drifts or runs backwards."""
    if subject.fps is None:
        return
    dropped, drift, backwards = {}, {}, {}
    for episode in subject.episodes:
        if episode.timestamps is None or len(episode) < 10:
            continue
        seconds = episode.timestamps - episode.timestamps[0]
        for row in np.flatnonzero(np.diff(seconds) <= 0):
            backwards[(episode.index, int(row), int(row) + 2)] = 1
        gaps = np.diff(seconds) * subject.fps
        usual = float(np.median(gaps))
        late = np.cumsum(np.concatenate([[0], gaps - usual]))
        for row in np.flatnonzero(gaps > max(1.5, 1.5 * usual)):
            before, after = late[max(0, row - 4) : row + 1], late[row + 1 : row + 6]
            if np.median(after) - np.median(before) > 0.75 * usual:  # a late row is made up for by the next ones
                dropped[(episode.index, int(row), int(row) + 2)] = gaps[row] - 1
        if abs(usual - 1) > DRIFT:
            drift[(episode.index, 0, len(episode))] = usual - 1
    if backwards:
        says = f"The clock stands still or runs backwards in {_of(backwards)}."
        yield Finding("backward_clock", True, says, "Leave the episodes out (--exclude).", tuple(backwards))
    if dropped:
        total = sum(max(1, round(gap)) for gap in dropped.values())
        says = f"About {total} row{'s are' if total > 1 else ' is'} missing by the clock, in {_of(dropped)}."
        todo = "Motions across a gap look too fast; record with less load, or leave the worst episodes out (--exclude)."
        yield Finding("dropped_rows", True, says, todo, _worst(dropped))
    if drift:
        slow = 1 + float(np.median(list(drift.values())))
        rate = f"{subject.fps:g} rows a second"
        says = f"By the clock a row lasts {slow:.3f} times as long as at {rate}, in {_of(drift)}."
        todo = f"The true rate is about {subject.fps / slow:.3g}, not {rate}; durations in seconds are off by as much."
        yield Finding("clock_drift", True, says, todo, _worst({span: abs(by) for span, by in drift.items()}))


def check_lag(subject: Subject) -> Iterator[Finding]:
    """Pictures that are late, or early, compared with the joints."""
    if subject.fps is None:
        return
    span = motion_rows(subject.fps)
    lag = estimate(
        (
            (np.sum([f.motion for f in e.cameras.values()], axis=0)[span:], e.states / np.maximum(subject.widest, 1e-9))
            for e in subject.episodes
        ),
        1 / subject.fps,
        span,
    )
    if lag is None:
        return
    between = f"{lag.seconds:.2f} s ({lag.low:.2f} to {lag.high:.2f})"
    if lag.unclear:
        says = f"How late the pictures are cannot be told: the best guess is {between}."
        yield Finding("unclear_lag", False, says, "Record a few episodes with brisk single motions.")
    elif lag.late:
        says = f"Pictures show the joints of {between} before."
        yield Finding("late_pictures", True, says, f"Build with --camera-lag {lag.seconds:.2f}.")
    elif lag.early:
        says = f"Pictures come before the joints beside them, by {between}."
        yield Finding("early_pictures", True, says, "See how the recorder pairs pictures and joints.")


def check_joints(subject: Subject) -> Iterator[Finding]:
    """Joints that never move."""
    moved = np.any([moves.any(axis=0) for moves in subject.moves], axis=0)
    still = tuple(joint for joint, moves in zip(subject.joints, moved, strict=True) if not moves)
    if still:
        says = f"{len(still)} of {len(subject.joints)} joints never move: {', '.join(still)}."
        todo = "Nothing, if they are not used; otherwise look at their motors. A model learns nothing about them."
        yield Finding("still_joints", False, says, todo, joints=still)


def check_duplicates(subject: Subject) -> Iterator[Finding]:
    """Episodes that are near-copies of earlier ones."""
    places = np.linspace(0, 1, 50)
    paths = [
        np.stack([np.interp(places, np.linspace(0, 1, len(e)), joint) for joint in e.states.T], axis=1)
        / np.maximum(subject.widest, 1e-12)
        for e in subject.episodes
    ]
    pairs = []
    for i, episode in enumerate(subject.episodes):
        if np.ptp(paths[i], axis=0).max() < SPIKE:
            continue
        for j in range(i):
            other = subject.episodes[j]
            near = abs(len(episode) - len(other)) <= 0.02 * len(other) and np.abs(paths[i] - paths[j]).max() < ALIKE
            if near and all(
                np.abs(episode.cameras[c].looks - other.cameras[c].looks).mean() < ALIKE_LOOKS for c in subject.cameras
            ):
                pairs.append((other, episode))
                break
    if pairs:
        named = ", ".join(f"{b.index} repeats {a.index}" for a, b in pairs[:NAMED])
        named += f" and {len(pairs) - NAMED} more" if len(pairs) > NAMED else ""
        says = f"{len(pairs)} episode{'s are' if len(pairs) > 1 else ' is'} nearly a copy of an earlier one: {named}."
        todo = f"Leave the copies out: forearm build --exclude {','.join(str(b.index) for _, b in pairs)}."
        spans = tuple((e.index, 0, len(e)) for pair in pairs for e in pair)
        yield Finding("near_duplicates", True, says, todo, spans)


def check_calibration(subject: Subject) -> Iterator[Finding]:
    """Episodes in which a joint's start and both ends of its range are shifted by one amount."""
    if len(subject.episodes) < 5:
        return
    ends = np.stack([[e.states[0], e.states.min(axis=0), e.states.max(axis=0)] for e in subject.episodes])
    middle = np.median(ends, axis=0)
    shifts = ends - middle
    spread = 1.4826 * np.median(np.abs(shifts), axis=0).max(axis=0)
    shift = np.median(shifts, axis=1)
    alike = np.ptp(shifts, axis=1) < 0.3 * np.abs(shift)
    span = middle[2] - middle[1]
    odd = alike & (np.abs(shift) > SHIFT * np.maximum(span, SPIKE * subject.widest)) & (np.abs(shift) > 5 * spread)
    odd &= np.abs(shift) > SPIKE * subject.widest
    for j in np.flatnonzero(odd.any(axis=0)):
        at = {
            (episode.index, 0, len(episode)): float(abs(by))
            for episode, by, here in zip(subject.episodes, shift[:, j], odd[:, j], strict=True)
            if here
        }
        where = f"{_quantity(max(at.values()), subject.units[j])} away from where it is elsewhere, in {_of(at)}"
        joint, left = subject.joints[j], ",".join(map(str, sorted(index for index, _, _ in at)))
        if span[j] > 4 * SPIKE * subject.widest[j]:
            says = f"{joint} moves {where}: its calibration seems to be another."
            yield Finding(
                "other_calibration",
                True,
                says,
                f"Leave them out: forearm build --exclude {left}.",
                _worst(at),
                "",
                (joint,),
            )
        else:
            says = f"{joint}, which hardly moves, stands {where}."
            todo = f"See whether the mount or the calibration was another; if so, --exclude {left}."
            yield Finding("other_pose", False, says, todo, _worst(at), "", (joint,))


def check_actions(subject: Subject) -> Iterator[Finding]:
    """Targets that lie beside the states, in another unit or with another sign; actions that mean nothing clear."""
    responses = {j: _response(subject, column, j) for column, j in subject.commanded.items()}
    responses |= {j: _line(wanted, came)[1:] for j, (wanted, came) in subject.answered.items()}
    explained, offset = True, {}
    for j, (slope, by) in responses.items():
        if slope is None:
            explained = False
        elif 0.5 < slope < 2:  # a weak joint stays behind
            if abs(by) > SPIKE * subject.widest[j]:
                offset[subject.joints[j]] = _quantity(by, subject.units[j])
        else:
            near = next((what for times, what in UNITS_APART.items() if 0.8 < abs(slope) / times < 1.25), "")
            what = "the other way than" if slope < 0 else f"{slope:.3g} times as far as"
            says = f"{subject.joints[j]} moves {what} it is commanded{f': {near}' if near else ''}."
            todo = "Mend the recorder's sign or unit, or build with --actions change, which needs no commands."
            yield Finding("action_sign_or_unit", True, says, todo, joints=(subject.joints[j],))
    if offset:
        says = f"States lie beside their commands: {', '.join(f'{name} by {by}' for name, by in offset.items())}."
        todo = "Compare the calibrations of leader and follower; build with --actions change, which needs no commands."
        yield Finding("action_offset", True, says, todo, joints=tuple(offset))
    if not subject.clear and not explained:
        yield Finding("unclear_actions", True, f"{subject.actions}.", "Ask whoever recorded what the actions are.")


def _response(subject: Subject, column: int, j: int) -> tuple[float | None, float]:
    """How many times as far as its target a joint moves, and how far beside it it is; None: it follows no target."""
    best: tuple[float, float | None, float] = (FOLLOWS, None, 0.0)
    for lag in range(max(1, round(WINDOW * (subject.fps or 2.0))) + 1):
        pairs = [
            (e.actions[: len(e) - lag, column], e.states[lag:, j])
            for e in subject.episodes
            if e.actions is not None and len(e) > lag
        ]
        if not pairs:
            break
        found = _line(*(np.concatenate(part) for part in zip(*pairs, strict=True)))
        best = max(best, found, key=lambda line: line[0])
    return best[1], best[2]


def _line(x: np.ndarray, y: np.ndarray) -> tuple[float, float | None, float]:
    """The share of the variance of y (n,) that x (n,) explains, the slope, and by how much y is greater; 0, None and 0
    where x explains too little.
    """
    x, y = x.astype(np.float64), y.astype(np.float64)
    if min(x.std(), y.std()) == 0 or (share := np.corrcoef(x, y)[0, 1] ** 2) <= FOLLOWS:
        return 0.0, None, 0.0
    return share, float(np.cov(x, y, bias=True)[0, 1] / x.var()), float(np.median(y - x))


def check_surprise(subject: Subject) -> Iterator[Finding]:
    """Episodes in which a model errs far more than in others."""
    known = [(e, float(np.log(max(e.error, 1e-9)))) for e in subject.episodes if e.error is not None]
    if len(known) < 5:
        return
    logs = np.array([log for _, log in known])
    middle = float(np.median(logs))
    scale = max(1.4826 * float(np.median(np.abs(logs - middle))), 0.05)
    at = {(e.index, 0, len(e)): np.exp(log - middle) for e, log in known if log - middle > SURPRISE * scale}
    if at:
        says = f"The model errs up to {max(at.values()):.1f} times as much as usual in {_of(at)}."
        todo = (
            "Look what is different there: the scene, the light, a failure. Leave them out, or record more of the kind."
        )
        yield Finding("surprising_episodes", True, says, todo, _worst(at))


CHECKS: tuple[Callable[[Subject], Iterator[Finding]], ...] = (
    check_files,
    check_cameras,
    check_calibration,
    check_duplicates,
    check_motion,
    check_clock,
    check_lag,
    check_actions,
    check_idle,
    check_surprise,
    check_joints,
)
"""Every check, in the order in which findings are told."""


def _of(at: Iterable[Span]) -> str:
    return in_words(index for index, _, _ in at)


def _quantity(value: float, unit: str) -> str:
    return f"{value:.3g} {unit}".strip()


def _worst(at: Mapping[Span, float]) -> tuple[Span, ...]:
    return tuple(sorted(at, key=lambda span: -at[span]))
