"""A dataset of transitions on disk: every frame once, memory-mapped; canvases are drawn when asked for.

A folder with ``dataset.json`` (where it comes from), ``layout.json``, ``frames.npy`` (F, h, w, 3) uint8 or the folder
``frames``, ``states.npy`` (F, J) float32, ``transitions.parquet`` and ``episodes.parquet``; where the truth about
objects is known, ``objects.npy``. ``docs/formats.md`` says more.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from forearm.base.errors import ForearmError
from forearm.base.files import Between, Count, checked, map_array, read_json, write_json
from forearm.batch import Batch, make_batch
from forearm.canvas import CODES, Layout, action_codes, draw, draw_strips
from forearm.canvas.actions import DEAD_BAND
from forearm.recordings.tables import TableFile
from forearm.transitions.fingerprint import fingerprint, picture_digest
from forearm.transitions.frames import FrameWriter, JpegFrames, Storage, open_frames
from forearm.transitions.layout import read_layout
from forearm.transitions.objects import Motions, ObjectTable, write_objects

FORMAT = 1
LEAST_WEIGHT, MOST_WEIGHT = 1e-3, 1e3
"""Of an episode in training."""
Split = Literal["train", "val", "picking"]
"""``picking`` is the half of the validation episodes by which the best weights of a training are chosen."""


class RecordingFacts(TypedDict):
    """A recording that a dataset was built from."""

    name: str
    fps: NotRequired[Annotated[float, Between(1e-6, 1e6)]]
    offsets: NotRequired[list[float]]


class Settings(TypedDict, total=False):
    """Those of the settings of `forearm build` that are read again."""

    step: Annotated[float, Between(0, 1e6)]
    stride: Annotated[float, Between(0, 1e6)]
    camera_lag: Annotated[float, Between(-1e6, 1e6)]


class Skipped(TypedDict):
    """An episode that was left out."""

    recording: str
    episode: int
    reason: str


class Note(TypedDict):
    """What is to be said of an episode that was not left out."""

    recording: str
    episode: int
    note: str


class Stored(TypedDict):
    """How frames are stored."""

    format: Storage
    psnr: NotRequired[float]


class Facts(TypedDict):
    """What ``dataset.json`` says beside the format."""

    recordings: list[RecordingFacts]
    actions: str
    settings: Settings
    skipped: list[Skipped]
    notes: NotRequired[list[Note]]
    commands: NotRequired[str]
    choices: NotRequired[list[str]]
    warnings: NotRequired[list[str]]
    objects: NotRequired[list[str]]
    storage: NotRequired[Stored]


class EpisodeFacts(TypedDict):
    """A row of ``episodes.parquet``."""

    moment: NotRequired[Count | None]
    scene: NotRequired[int | None]
    digest: NotRequired[str | None]
    fingerprint: NotRequired[str | None]
    weight: NotRequired[Annotated[float, Between(LEAST_WEIGHT, MOST_WEIGHT)] | None]


@dataclass
class Columns:
    """The table of N transitions.

    frames: (N, T) int64 rows of the frames; actions: (N, T − 1, A) float32 in the dimensions' units; dimensions:
    (N,) int64, the dimension each last decision was about; episodes: (N,) int64; validation: (N,) bool.
    """

    frames: np.ndarray
    actions: np.ndarray
    dimensions: np.ndarray
    episodes: np.ndarray
    validation: np.ndarray

    def __len__(self) -> int:
        return len(self.frames)

    def by_episode(self) -> dict[int, np.ndarray]:
        """The transitions (n,) int64 of each episode that has any, in order, by one sort."""
        order = np.argsort(self.episodes, kind="stable")
        numbers, begins = np.unique(self.episodes[order], return_index=True)
        return dict(zip(numbers.tolist(), np.split(order, begins[1:]), strict=False))

    def frames_by_episode(self) -> dict[int, np.ndarray]:
        """The frames (n,) int64 that each episode with any transition uses, in order."""
        return {number: np.unique(self.frames[rows]) for number, rows in self.by_episode().items()}

    def write(self, path: Path) -> None:
        """Write as parquet."""
        n = len(self)
        table = pa.table(
            {
                "frames": _vectors(self.frames, np.int64),
                "action": _vectors(self.actions.reshape(n, int(np.prod(self.actions.shape[1:]))), np.float32),
                "dimension": pa.array(self.dimensions, pa.int64()),
                "episode": pa.array(self.episodes, pa.int64()),
                "split": pa.array(np.where(self.validation, "val", "train")),
            }
        )
        pq.write_table(table, path)

    @classmethod
    def read(cls, path: Path, layout: Layout, frames: int, episodes: int) -> "Columns":
        """Read what ``write`` wrote, of a dataset of so many frames and episodes.

        Raises:
            ForearmError: a column is missing, or names frames, dimensions or episodes that there are not.
        """
        with closing(TableFile(path)) as table:
            dimension = "dimension" if "dimension" in table.columns else "entry"  # its name before 2026-11-26
            actions, n = table.vectors("action", 0, len(table)), len(table)
            splits = table.table(["split"])["split"].to_numpy()
            found = cls(
                frames=table.indices("frames", frames),
                actions=actions.reshape(n, -1, len(layout.actions)),
                dimensions=table.indices(dimension, len(layout.actions))[:, 0],
                episodes=table.indices("episode", episodes)[:, 0],
                validation=splits == "val",
            )
        if not (found.validation | (splits == "train")).all():
            raise ValueError("transitions.parquet has rows that are neither of train nor of val")
        if found.frames.shape[1] != layout.history or found.actions.shape[1] != layout.history - 1:
            raise ValueError(f"transitions.parquet is of another history than {layout.history}")
        if not np.isfinite(actions).all():
            raise ValueError("an action is not a finite number")
        return found


def _vectors(values: np.ndarray, dtype: type) -> pa.Array:
    """A column of vectors of equal length, of values (N, k)."""
    return pa.FixedSizeListArray.from_arrays(pa.array(values.astype(dtype).ravel()), values.shape[1])


@dataclass(frozen=True)
class Outcomes:
    """What truly came of n moments under each action, as far as a dataset knows.

    last: (n, 3, 3, H, w) float32 in [0, 1], by code the last frame with its strip, black where unknown;
    known: (n, 3) bool.
    """

    last: np.ndarray
    known: np.ndarray


class TransitionWriter:
    """Writes a dataset folder frame by frame; ``finish`` adds the tables.

    Frames go to the disk at once; joint positions, a thousandth of their size, wait in memory. Digests are those of the
    frames before they are compressed.
    """

    def __init__(self, folder: Path, frame_shape: tuple[int, int, int], storage: Storage = "raw"):
        self.folder = folder
        self._shape = frame_shape
        self._frames = FrameWriter(folder, frame_shape, storage)
        self._states: list[np.ndarray] = []
        self._objects: list[Mapping[str, np.ndarray]] = []
        self._pictures: list[bytes] = []

    def __len__(self) -> int:
        return len(self._frames)

    def append(self, frame: np.ndarray, state: np.ndarray, objects: Mapping[str, np.ndarray] | None = None) -> int:
        """Store a frame (h, w, 3) uint8, its joint positions (J,), and what is known of objects; return its row."""
        self._note(state, objects, picture_digest(frame))
        return self._frames.append(frame)

    def append_coded(
        self,
        picture: bytes,
        state: np.ndarray,
        objects: Mapping[str, np.ndarray] | None = None,
        digest: bytes = b"",
    ) -> int:
        """Store a frame coded as this dataset stores it; without the digest its episode has to bring its own."""
        self._note(state, objects, digest)
        return self._frames.append_coded(picture)

    def add_errors(self, errors: int, measured: int) -> None:
        """Count the squared errors of so many values of frames that came coded."""
        self._frames.add_errors(errors, measured)

    def _note(self, state: np.ndarray, objects: Mapping[str, np.ndarray] | None, digest: bytes) -> None:
        self._states.append(np.asarray(state, np.float32))
        self._objects.append(objects or {})
        self._pictures.append(digest)

    def states(self) -> np.ndarray:
        """Joint positions of all frames so far, (F, J) float32."""
        return np.stack(self._states)

    def finish(
        self,
        layout: Layout,
        columns: Columns,
        episodes: list[dict[str, Any]],
        facts: dict[str, Any],
        psnr: float | None = None,
    ) -> None:
        """Write the tables.

        Args:
            layout: of the canvases.
            columns: the table of transitions.
            episodes: rows of recording, index, task and, if known, digest and fingerprint.
            facts: go to ``dataset.json``.
            psnr: of those frames, in dB, that were compressed before.
        """
        self._frames.close()
        np.save(self.folder / "states.npy", self.states())
        columns.write(self.folder / "transitions.parquet")
        digests = episode_digests(columns, self._pictures.__getitem__, self.states(), len(episodes))
        frames = open_frames(self.folder, self._frames.storage, self._shape)
        prints = fingerprints_of(columns, frames, self.states(), episodes)
        told = [
            {**episode, "digest": episode.get("digest") or digest, "fingerprint": known}
            for episode, digest, known in zip(episodes, digests, prints, strict=True)
        ]
        pq.write_table(pa.Table.from_pylist(told), self.folder / "episodes.parquet")
        write_json(self.folder / "layout.json", layout.to_json())
        objects = write_objects(self.folder, self._objects)
        known: dict[str, Any] = {"objects": objects} if objects else {}
        if self._frames.storage != "raw":
            measured = [db for db in (psnr, self._frames.psnr()) if db is not None]
            known["storage"] = {"format": self._frames.storage} | ({"psnr": min(measured)} if measured else {})
        write_json(self.folder / "dataset.json", {"format": FORMAT, **facts, **known})

    def __enter__(self) -> "TransitionWriter":
        return self

    def __exit__(self, *failure: object) -> None:
        self._frames.close()


def episode_digests(columns: Columns, picture: Callable[[int], bytes], states: np.ndarray, episodes: int) -> list[str]:
    """What tells each of so many episodes from others, wherever their dataset lies: 16 hexadecimal digits.

    They cover the pictures and joint positions of all frames that the episode's transitions use.

    Args:
        columns: the table.
        picture: the digest of a frame's picture, by its row.
        states: (F, J) float32 joint positions.
        episodes: how many.
    """
    digests = []
    for rows in frames_of(columns, episodes):
        digest = hashlib.sha256(np.ascontiguousarray(states[rows]).tobytes())
        for row in rows.tolist():
            digest.update(picture(row))
        digests.append(digest.hexdigest()[:16])
    return digests


def frames_of(columns: Columns, episodes: int) -> list[np.ndarray]:
    """The rows of the frames that each of so many episodes uses, in order."""
    used = columns.frames_by_episode()
    return [used.get(number, np.zeros(0, np.int64)) for number in range(episodes)]


def fingerprints_of(
    columns: Columns, frames: np.ndarray | JpegFrames, states: np.ndarray, episodes: Sequence[Mapping[str, Any]]
) -> list[str]:
    """The fingerprint of each episode: the one that it brings, or else that of its frames; see `fingerprint`."""
    return [
        episode.get("fingerprint")
        or (fingerprint(states[rows], frames[rows[0]], frames[rows[-1]], episode.get("scene")) if len(rows) else "")
        for episode, rows in zip(episodes, frames_of(columns, len(episodes)), strict=True)
    ]


def groups_of(episodes: list[dict[str, Any]]) -> np.ndarray:
    """A group's number for each episode, (E,) int64: its own, or of the first episode that began in the same moment.

    Episodes of one moment share their first frame, so they tell of one thing and belong on one side of a split.
    """
    firsts: dict[int, int] = {}
    numbers = (
        number if episode["moment"] is None else firsts.setdefault(episode["moment"], number)
        for number, episode in enumerate(episodes)
    )
    return np.fromiter(numbers, np.int64, len(episodes))


class TransitionSet:
    """An opened dataset. Frames stay on disk until a batch asks for them.

    Raises:
        ForearmError: the folder is not a dataset, or its files do not fit together.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)
        if not (self.path / "dataset.json").is_file():
            raise ForearmError(f"{path} is no dataset of transitions (no dataset.json); make one with: forearm build")
        facts = read_json(self.path / "dataset.json")
        version = facts.get("format") if isinstance(facts, dict) else None
        if version != FORMAT:
            raise ForearmError(f"{path} has format {version}, this forearm reads {FORMAT}; build it anew")
        try:
            self.facts: dict[str, Any] = checked(Facts, facts, "dataset.json")
            if self.facts["actions"] == "column":  # its name before 2026-11-26
                self.facts["actions"] = "command"
            self.layout = layout = read_layout(self.path / "layout.json")
            frame = (layout.frame_height, layout.frame_width, 3)
            self.storage: Storage = self.facts.get("storage", {"format": "raw"})["format"]
            self.frames = open_frames(self.path, self.storage, frame)
            self.states = np.array(map_array(self.path / "states.npy", "float32"))
            with closing(TableFile(self.path / "episodes.parquet")) as table:
                told = checked(list[EpisodeFacts], table.table().to_pylist(), "episodes.parquet")
            self.episodes = [{"moment": None, "scene": None, **episode} for episode in told]  # older datasets lack it
            count = len(self.frames) if self.frames.ndim else 0
            for what, shape, expected in (
                ("frames.npy", self.frames.shape, (count, *frame)),
                ("states.npy", self.states.shape, (count, len(layout.joints))),
            ):
                if shape != expected:
                    raise ValueError(f"{what} is {shape}, not {expected}")
            if not np.isfinite(self.states).all():
                raise ValueError("states.npy holds something else than finite numbers")
            objects = self.facts.get("objects")
            self.objects = ObjectTable(self.path, objects, count, len(layout.cameras)) if objects else None
            self.columns = Columns.read(self.path / "transitions.parquet", layout, count, len(self.episodes))
        except (ForearmError, ValueError, pa.ArrowException) as error:
            raise ForearmError(f"{path} is damaged: {error}; build it anew") from error

    def __reduce__(self) -> tuple[type["TransitionSet"], tuple[Path], dict[str, Layout]]:
        # Another process opens it anew instead of being sent its frames.
        return TransitionSet, (self.path,), {"layout": self.layout}

    def __len__(self) -> int:
        return len(self.columns)

    def require_row(self, row: int) -> None:
        """Refuse the number of a row that the dataset does not have.

        Raises:
            ForearmError: it is below 0, or not below the number of transitions.
        """
        if not 0 <= row < len(self):
            raise ForearmError(f"{self.path} has no row {row}; it has rows 0 to {len(self) - 1}")

    def rows(self, split: Split | None = None) -> np.ndarray:
        """Rows of a split, or of all, (N,) int64."""
        if split is None:
            return np.arange(len(self))
        if split == "picking":
            return self._picking_rows
        return np.flatnonzero(self.columns.validation == (split == "val"))

    @cached_property
    def _picking_rows(self) -> np.ndarray:
        """Every second independent group of validation rows, by its episodes' digests, so the same in every copy; the
        other groups are left for reports. All of them where there is one group.
        """
        validation = self.rows("val")
        groups, digests = self.independent_groups(validation)[0][validation], self.episode_digests
        order = np.argsort(digests[self.columns.episodes[validation]], kind="stable")
        in_order = dict.fromkeys(groups[order].tolist())  # a group stands where its first digest does
        chosen = list(in_order)[1::2]
        return validation[np.isin(groups, chosen)] if chosen else validation

    def weights(self, rows: np.ndarray) -> np.ndarray | None:
        """How often a training draws each of some transitions, beside the others, (n,) float64; None: alike."""
        of_episodes = np.array([episode.get("weight") or 1.0 for episode in self.episodes])
        weights = of_episodes[self.columns.episodes[rows]]
        return None if len(weights) and np.all(weights == weights[0]) else weights

    def positions(self, rows: np.ndarray) -> np.ndarray:
        """Joint positions of transitions, (n, T, J) float32 in the joints' units."""
        return self.states[self.columns.frames[rows]]

    def with_layout(self, layout: Layout, whose: str) -> "TransitionSet":
        """The same transitions, drawn with the bounds, scales and colours of another layout.

        Raises:
            ForearmError: the layout has other pictures, joints or actions; ``whose`` says in the message whose it is.
        """
        if layout == self.layout:
            return self
        self.require_fit(layout, whose)
        other = TransitionSet(self.path)
        other.layout = layout
        return other

    def action_values(self, rows: np.ndarray) -> np.ndarray:
        """Actions of transitions as signed values in [−1, 1], (n, T − 1, A) float32."""
        scales = np.array([dimension.scale for dimension in self.layout.actions], np.float32)
        return np.clip(self.columns.actions[rows] / scales, -1, 1)

    def batch(self, rows: np.ndarray) -> Batch:
        """Draw transitions."""
        frames, values, positions = (
            self.frames[self.columns.frames[rows]],
            self.action_values(rows),
            self.positions(rows),
        )
        canvases = draw(self.layout, frames, positions, values)
        return make_batch(self.layout, canvases, positions, values, self.columns.dimensions[rows], rows)

    def last_frames(self, rows: np.ndarray) -> np.ndarray:
        """Draw only the last frames of transitions, strips included: (n, 3, H, w) float32 in [0, 1]."""
        layout = self.layout
        regions = np.empty((len(rows), 3, layout.height, layout.frame_width), np.float32)
        pictures = self.frames[self.columns.frames[rows, -1]].transpose(0, 3, 1, 2)
        np.multiply(pictures, np.float32(1 / 255), out=regions[:, :, : layout.frame_height])  # as ``draw`` does
        regions[:, :, layout.frame_height :] = draw_strips(layout, self.positions(rows)[:, -2:])[:, -1, None]
        return regions

    def outcomes(self, rows: np.ndarray) -> Outcomes:
        """What came of transitions under their own action, and of the same moments under the others if recorded."""
        sources = self.outcome_rows[rows]
        known = sources >= 0
        last = np.zeros((*known.shape, 3, self.layout.height, self.layout.frame_width), np.float32)
        last[known] = self.last_frames(sources[known])
        return Outcomes(last, known)

    def motions(self, rows: np.ndarray, last: np.ndarray | None = None) -> Motions | None:
        """How objects truly moved in transitions (n,), or from these to the ends of others (n,) that follow them.

        None where nothing is known of objects.
        """
        frames, ends = self.columns.frames, rows if last is None else last
        return None if self.objects is None else self.objects.between(frames[rows, -2], frames[ends, -1])

    @property
    def has_outcomes(self) -> bool:
        """Whether of any transition the outcome of another action than its own is known."""
        return bool(((self.outcome_rows >= 0).sum(axis=1) > 1).any())

    @cached_property
    def outcome_rows(self) -> np.ndarray:
        """The row that ends as each transition would under each code, (N, 3) int64; −1: not recorded."""
        sources = np.full((len(self), len(CODES)), -1)
        # Only the first transition of an episode is sure to begin in the moment; later ones went their own ways.
        _, firsts = np.unique(self.columns.episodes, return_index=True)
        moments = np.array([-1 if e["moment"] is None else e["moment"] for e in self.episodes], np.int64)
        firsts = firsts[moments[self.columns.episodes[firsts]] >= 0]
        moment, dimension = moments[self.columns.episodes[firsts]], self.columns.dimensions[firsts]
        _, alike = np.unique(moment * len(self.layout.actions) + dimension, return_inverse=True)
        of_alike = np.full((len(firsts), len(CODES)), -1)
        of_alike[alike, self.codes[firsts]] = firsts
        sources[firsts] = of_alike[alike]
        sources[np.arange(len(self)), self.codes] = np.arange(len(self))
        return sources

    @cached_property
    def episode_digests(self) -> np.ndarray:
        """What tells each episode from others, (E,) str; see `episode_digests`. Older datasets are read for it."""
        if all(episode.get("digest") for episode in self.episodes):
            return np.array([episode["digest"] for episode in self.episodes])
        if self.storage != "raw":
            raise ForearmError(f"{self.path} lacks the digests of its episodes, which compressed frames do not tell")
        pictures = lambda row: picture_digest(self.frames[row])  # noqa: E731
        return np.array(episode_digests(self.columns, pictures, self.states, len(self.episodes)))

    @cached_property
    def fingerprints(self) -> list[str]:
        """What each episode is known by in datasets that were built anew; see `forearm.transitions.fingerprint`."""
        return fingerprints_of(self.columns, self.frames, self.states, self.episodes)

    def digests_of(self, split: Split) -> list[str]:
        """The digests of the episodes of a split."""
        return self.episode_digests[self.episodes_of(split)].tolist()

    def fingerprints_of(self, split: Split) -> list[str]:
        """The fingerprints of the episodes of a split."""
        return [self.fingerprints[number] for number in self.episodes_of(split)]

    def episodes_of(self, split: Split) -> np.ndarray:
        """The numbers of the episodes of a split, (n,) int64."""
        return np.unique(self.columns.episodes[self.rows(split)])

    @cached_property
    def groups(self) -> np.ndarray:
        """For each transition the group it belongs to, (N,) int64: see `groups_of`."""
        return groups_of(self.episodes)[self.columns.episodes]

    def independent_groups(self, rows: np.ndarray) -> tuple[np.ndarray, str]:
        """What may be taken for independent among some rows.

        Returns:
            The group of each of all transitions, (N,) int64, and what a group is: "scenes", which are a simulated
            session's seed or a recording's session, where the rows have several; else "episodes", as in ``groups``.
        """

        def scene(number: int, episode: dict[str, Any]) -> tuple[Any, ...]:
            if episode["scene"] is not None:
                return ("scene", episode["scene"])
            session = episode.get("session")
            return ("group", int(own[number])) if session is None else ("session", episode["recording"], session)

        own = groups_of(self.episodes)
        keys = [scene(number, episode) for number, episode in enumerate(self.episodes)]
        numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        scenes = np.array([numbers[key] for key in keys], np.int64)[self.columns.episodes]
        several = len(np.unique(scenes[rows])) > 1
        shared = len(np.unique(scenes[rows])) < len(np.unique(self.groups[rows]))
        return (scenes, "scenes") if several and shared else (self.groups, "episodes")

    def paths(self, horizon: int, rows: np.ndarray | None = None) -> np.ndarray:
        """Transitions that follow one another, each beginning with the frames in which the one before ended.

        Args:
            horizon: how many make a path, at least 1.
            rows: among which to look; all by default.

        Returns:
            (P, horizon) int64 rows, a path for each start that has one, in the order of ``rows``.
        """
        rows = self.rows() if rows is None else rows
        followers = self._followers(rows)
        paths = np.arange(len(rows))[:, None]
        for _ in range(horizon - 1):
            following = followers[paths[:, -1]]
            goes_on = following >= 0
            paths = np.concatenate([paths[goes_on], following[goes_on, None]], axis=1)
        return rows[paths]

    def longest_path(self, rows: np.ndarray | None = None) -> int:
        """The largest horizon for which ``paths`` finds any; 0 without rows."""
        return int(self.path_places(self.rows() if rows is None else rows).max(initial=0))

    def path_places(self, rows: np.ndarray) -> np.ndarray:
        """For each of ``rows`` how many of them, itself included, make the longest path that it ends, (n,) int64."""
        followers = self._followers(rows)
        places = np.zeros(len(rows), np.int64)
        present = np.setdiff1d(np.arange(len(followers)), followers)  # those that follow nothing
        place = 0
        while len(present):
            place += 1
            places[present] = place
            following = followers[present]
            present = following[following >= 0]
        return places

    @cached_property
    def followers(self) -> np.ndarray:
        """For each transition the row of the one that goes on from it, (N,) int64; −1: none does."""
        return self._followers(self.rows())

    @cached_property
    def leaders(self) -> np.ndarray:
        """For each transition the row of the one that it goes on from, (N,) int64; −1: of none."""
        leaders = np.full(len(self.followers), -1, np.int64)
        leading = np.flatnonzero(self.followers >= 0)
        leaders[self.followers[leading]] = leading
        return leaders

    def _followers(self, rows: np.ndarray) -> np.ndarray:
        """For each of ``rows`` the place among them of the transition that goes on from it, (n,) int64, −1: none."""
        frames, count = self.columns.frames[rows], len(self.frames)
        shared = np.stack([frames[:, :-1], frames[:, 1:]])
        numbers = shared[..., 0]  # equal where all frames that may be shared are equal
        for column in np.moveaxis(shared, -1, 0)[1:]:
            numbers = np.unique(numbers * count + column, return_inverse=True)[1].reshape(numbers.shape)
        begins, ends = numbers
        beginning = np.full(numbers.max(initial=0) + 1, -1)
        beginning[begins] = np.arange(len(rows))
        return beginning[ends]

    @cached_property
    def codes(self) -> np.ndarray:
        """Code of each transition's last action, (N,) int64."""
        return action_codes(self.action_values(self.rows())[:, -1])

    def actions_seen(self, split: Split | None = "train") -> dict[int, int]:
        """How often each action code occurs in a split."""
        codes = self.codes[self.rows(split)]
        return {code: int((codes == code).sum()) for code in CODES}

    def directions_seen(self, split: Split | None = "train") -> dict[str, tuple[int, int]]:
        """How often each action dimension moves up and down in a split, by its name."""
        values = self.action_values(self.rows(split))
        up, down = ((sign * values > DEAD_BAND).sum(axis=(0, 1)).tolist() for sign in (1, -1))
        return {dimension.name: (u, d) for dimension, u, d in zip(self.layout.actions, up, down, strict=True)}

    def require_fit(self, layout: Layout, whose: str) -> None:
        """Refuse to be drawn with a layout of other pictures, joints or actions.

        Raises:
            ForearmError: says what differs.
        """
        mine = self.layout
        names, others = ([camera.name for camera in known.cameras] for known in (mine, layout))
        misplaced = any(name in others and others.index(name) != place for place, name in enumerate(names))
        for what, here, there in (
            ("cameras in the order", *((names, others) if misplaced else ((), ()))),  # other names are other cameras
            ("cameras of", *([(c.height, c.width) for c in known.cameras] for known in (mine, layout))),
            ("pictures by --fit", *([c.fit for c in known.cameras] for known in (mine, layout))),
            ("joints", mine.joint_names, layout.joint_names),
            ("units", *_known_units(mine, layout)),
            ("actions", [e.name for e in mine.actions], [e.name for e in layout.actions]),
            ("actions that are", _kind(mine), _kind(layout)),
            ("actions at 0 for", [e.zero for e in mine.actions], [e.zero for e in layout.actions]),
            ("discrete actions:", mine.discrete, layout.discrete),
            ("history", mine.history, layout.history),
            ("stacking", mine.stacking, layout.stacking),
        ):
            if here != there:
                raise ForearmError(f"{self.path} has {what} {here}, but {whose} has {there}; build the data to match")


def _kind(layout: Layout) -> str:
    return f"{layout.action_is} commands" if layout.action_is else "changes of joints"


def _known_units(*layouts: Layout) -> list[list[str]]:
    """The units of each layout's joints, without those that one of the layouts only guesses."""
    joints = zip(*(layout.joints for layout in layouts), strict=False)
    known = [same for same in joints if all(joint.unit_origin != "guessed" for joint in same)]
    return [[joint.unit for joint in each] for each in zip(*known, strict=True)] or [[] for _ in layouts]
