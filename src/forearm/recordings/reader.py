"""Recordings in: LeRobot v2.0, v2.1 and v3.0, episode by episode, pictures streamed.

recording = open_recording("lerobot/svla_so101_pickplace")
for episode in recording.read():
    wanted = range(0, len(episode.states), 15)
    for row, pictures in episode.pictures(wanted, size=(64, 64)):
        ...
"""

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from forearm.errors import ForearmError
from forearm.recordings.decoding import ImageColumn, ImageFolder, PictureFile, Size, VideoFile
from forearm.recordings.errors import EpisodeUnreadable
from forearm.recordings.hub import local_folder
from forearm.recordings.logs import LOG_FOLDER, DiscreteActionLog, has_decisions, read_log
from forearm.recordings.metadata import ACTION_KEYS, STATE_KEYS, EpisodeInfo, EpisodePlace, Metadata
from forearm.recordings.tables import TableFile, first_of, order_of_frames
from forearm.recordings.units import guess_units

OnSkip = Callable[[int, str], None]
Pictures = dict[str, np.ndarray]
"""Camera's feature key to picture (h, w, 3) uint8."""


@dataclass(frozen=True)
class Episode:
    """One episode: its rows, and a way to its pictures, which are decoded only as they are consumed.

    Attributes:
        index: its number in the recording.
        task: what the robot does, in words; may be empty.
        states: (n, J) float32, in the robot's own units.
        actions: (n, A) float32, or None where the recording has no action column.
        log: its discrete-action log, where it has one.
    """

    index: int
    task: str
    states: np.ndarray
    actions: np.ndarray | None
    log: DiscreteActionLog | None
    _stream: Callable[[Sequence[int], Mapping[str, Size | None]], Iterator[tuple[int, Pictures]]] = field(repr=False)
    _cameras: tuple[str, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.states)

    def pictures(
        self, wanted: Iterable[int] | None = None, size: Size | Mapping[str, Size] | None = None
    ) -> Iterator[tuple[int, Pictures]]:
        """Stream the pictures that belong to some rows; consume them before the next episode is taken.

        Args:
            wanted: row numbers; served in increasing order, each once. All rows by default.
            size: (height, width) to shrink every picture to while decoding, or camera to such a size. Each
                camera's own size by default.

        Yields:
            (row, camera → picture (h, w, 3) uint8).

        Raises:
            EpisodeUnreadable: a file turns out to be truncated or undecodable. The episode has then been
                reported as skipped; drop what came of it so far and go on with the next one.
            ForearmError: a row or a camera is asked for that is not there.
        """
        rows = sorted(set(range(len(self)) if wanted is None else wanted))
        if rows and not 0 <= rows[0] <= rows[-1] < len(self):
            raise ForearmError(f"episode {self.index} has rows 0 to {len(self) - 1}, not {rows[0]}…{rows[-1]}")
        sizes: dict[str, Size | None]
        if isinstance(size, Mapping):
            sizes = {camera: size.get(camera) for camera in self._cameras}
        else:
            sizes = dict.fromkeys(self._cameras, size)
        return self._stream(rows, sizes)


class Recording:
    """A LeRobot recording, opened for reading; see `open_recording`.

    Attributes:
        name: the folder's name or the Hub id.
        root: its folder.
        version: ``v2.0``, ``v2.1`` or ``v3.0``.
        fps: pictures and rows per second.
        cameras: the feature keys of its cameras.
    """

    def __init__(self, root: Path, name: str) -> None:
        self._meta = Metadata(root)
        self.name, self.root = name, root
        self.version, self.fps, self.cameras = self._meta.version, self._meta.fps, self._meta.cameras
        if not self.cameras:
            raise ForearmError(f"{root} has no camera: no feature in meta/info.json is a video or an image")
        if not self.episodes:
            raise ForearmError(f"{root} lists no episode")
        if self._state_key is None:
            raise ForearmError(f"{root} has no state column; looked for {', '.join(STATE_KEYS)}")

    @cached_property
    def episodes(self) -> tuple[EpisodeInfo, ...]:
        """Every episode that the metadata lists, by index; some may turn out to be unreadable."""
        return tuple(place.info for place in self._meta.places)

    @cached_property
    def joints(self) -> tuple[str, ...]:
        """The names of the state's entries, as they were recorded (``shoulder_pan.pos``)."""
        return self._meta.names(self._state_key or "", self._width(STATE_KEYS), "joint")

    @cached_property
    def action_names(self) -> tuple[str, ...]:
        """The names of the action's entries; empty where no action was recorded."""
        key = first_of(ACTION_KEYS, list(self._meta.features))
        return self._meta.names(key or "", self._width(ACTION_KEYS), "action")

    @cached_property
    def units(self) -> tuple[str, ...]:
        """Each joint's unit for display: deg, rad, %, ticks or nothing. Declared, or else a guess."""
        key = self._state_key or ""
        declared = self._meta.features.get(key, {}).get("units")
        if isinstance(declared, list) and len(declared) == len(self.joints):
            return tuple(str(unit) for unit in declared)
        return guess_units(self.joints, *self._state_range(key))

    @property
    def has_logs(self) -> bool:
        """Whether any episode has a discrete-action log with decisions in it."""
        return bool(self._logs)

    def camera_size(self, camera: str) -> Size:
        """(height, width) of a camera's pictures, as the metadata has it or else as its first picture is.

        Raises:
            ForearmError: there is no such camera, or no picture of it can be read.
        """
        (camera,) = self._chosen((camera,))
        size = self._meta.camera_size(camera)
        if size is None:
            for episode in self.read((camera,), on_skip=lambda index, reason: None):
                for _, pictures in episode.pictures((0,)):
                    return pictures[camera].shape[:2]
        assert size is not None  # read() raises when no episode can be read
        return size

    def joint_index(self, name: str) -> int:
        """Which entry of the state a joint is, called with or without ``.pos`` or ``main_``.

        Raises:
            ForearmError: there is no such joint.
        """
        for index, joint in enumerate(self.joints):
            if joint == name or _bare(joint) == _bare(name):
                return index
        raise ForearmError(f"{self.name} has no joint {name!r}, only {', '.join(self.joints)}")

    def read(self, cameras: Sequence[str] | None = None, on_skip: OnSkip | None = None) -> Iterator[Episode]:
        """Read the episodes in order, decoding every video file once and forward.

        An episode that cannot be read is skipped: ``on_skip(index, reason)`` is told once, and reading goes
        on. By default that is a warning.

        Args:
            cameras: the feature keys of the cameras to read; all by default.
            on_skip: told of each skipped episode.

        Raises:
            ForearmError: a camera does not exist, episodes have unequal cameras, or no episode at all can be
                read.
        """
        chosen = self._chosen(self.cameras if cameras is None else cameras)
        self._require_equal_cameras(chosen)
        skipped: dict[int, str] = {}

        def skip(index: int, reason: str) -> None:
            if index not in skipped:
                skipped[index] = reason
                (on_skip or self._warn)(index, reason)

        with closing(_OpenFiles()) as files:
            for place in self._meta.places:
                try:
                    episode = self._episode(place, chosen, files, skip)
                except EpisodeUnreadable as error:
                    skip(place.info.index, str(error))
                    continue
                yield episode
        if len(skipped) == len(self.episodes):
            index, reason = next(iter(skipped.items()))
            raise ForearmError(f"{self.root}: no episode can be read; episode {index}: {reason}")

    def _warn(self, index: int, reason: str) -> None:
        warnings.warn(f"{self.name}: skipped episode {index}: {reason}", stacklevel=4)

    @cached_property
    def _state_key(self) -> str | None:
        return first_of(STATE_KEYS, [*self._meta.features, *self._some_columns])

    @cached_property
    def _some_columns(self) -> list[str]:
        """The columns of the first table that opens; only asked where info.json is silent."""
        for place in self._meta.places:
            try:
                with closing(TableFile(place.table)) as table:
                    return table.columns
            except EpisodeUnreadable:
                continue
        return []

    def _width(self, keys: Sequence[str]) -> int:
        """Entries of the state or action: as declared, or else as the first readable table has it."""
        key = first_of(keys, list(self._meta.features))
        shape = self._meta.features[key].get("shape") if key else None
        if shape:
            return int(np.prod(shape))
        for place in self._meta.places:
            try:
                with closing(TableFile(place.table)) as table:
                    key = first_of(keys, table.columns)
                    return table.vectors(key, 0, 1).shape[1] if key else 0
            except EpisodeUnreadable:
                continue
        return 0

    def _state_range(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        """The lowest and highest value (J,) of each joint, from the statistics or the first tables."""
        noted = self._meta.statistics.get(key)
        parts = noted if isinstance(noted, list) else [noted] if isinstance(noted, dict) else []
        try:
            low = np.array([part["min"] for part in parts], float).min(axis=0)
            high = np.array([part["max"] for part in parts], float).max(axis=0)
            if low.shape == high.shape == (len(self.joints),):
                return low, high
        except (KeyError, TypeError, ValueError):
            pass  # statistics of another shape: look at the rows themselves
        for place in self._meta.places:
            try:
                with closing(TableFile(place.table)) as table:
                    states = table.vectors(first_of((key, *STATE_KEYS), table.columns) or key, 0, len(table))
            except EpisodeUnreadable:
                continue
            return states.min(axis=0), states.max(axis=0)
        return np.zeros(len(self.joints)), np.zeros(len(self.joints))

    def _chosen(self, cameras: Sequence[str]) -> tuple[str, ...]:
        missing = [camera for camera in cameras if camera not in self.cameras]
        if missing or not cameras:
            raise ForearmError(f"{self.name} has no camera {', '.join(missing)!r}, only {', '.join(self.cameras)}")
        return tuple(cameras)

    def _require_equal_cameras(self, cameras: tuple[str, ...]) -> None:
        """Refuse a recording of which some episodes have only some of the cameras; none at all is a hole."""
        for place in self._meta.places:
            present = [camera for camera in cameras if self._has(place, camera)]
            if present and len(present) < len(cameras):
                missing = ", ".join(camera for camera in cameras if camera not in present)
                raise ForearmError(
                    f"{self.root}: cameras differ from episode to episode: episode {place.info.index} lacks "
                    f"{missing}; choose cameras that every episode has ({', '.join(present)})"
                )

    def _has(self, place: EpisodePlace, camera: str) -> bool:
        if self._meta.is_video(camera):
            return camera in place.videos and place.videos[camera].path.is_file()
        if self._image_folder(place, camera).is_dir():
            return True
        try:
            with closing(TableFile(place.table)) as table:
                return camera in table.columns
        except EpisodeUnreadable:
            return False

    def _episode(self, place: EpisodePlace, cameras: tuple[str, ...], files: "_OpenFiles", skip: OnSkip) -> Episode:
        index = place.info.index
        table = files.table(place.table)
        start, stop = (
            (0, len(table)) if place.first_row is None else table.rows_of(index, place.info.length, place.first_row)
        )
        if stop == start:
            raise EpisodeUnreadable(f"{table.path} has no rows of it")
        order = order_of_frames(table, start, stop)
        states = self._column(table, STATE_KEYS, len(self.joints), start, stop)[order]
        actions = None
        if self.action_names:
            actions = self._column(table, ACTION_KEYS, len(self.action_names), start, stop)[order]
        log = self._log(index)
        offsets = {camera: self._first_picture(files, place, camera, start, stop - start) for camera in cameras}

        def stream(rows: Sequence[int], sizes: Mapping[str, Size | None]) -> Iterator[tuple[int, Pictures]]:
            try:
                streams = [
                    self._pictures(files, place, camera, start).pictures(
                        [offsets[camera] + row for row in rows], sizes[camera]
                    )
                    for camera in cameras
                ]
                for row in rows:
                    yield row, {camera: next(s) for camera, s in zip(cameras, streams, strict=True)}
            except EpisodeUnreadable as error:
                skip(index, str(error))
                raise EpisodeUnreadable(f"{self.name}: episode {index}: {error}") from error

        return Episode(index, place.info.task, states, actions, log, stream, cameras)

    def _column(self, table: TableFile, keys: Sequence[str], width: int, start: int, stop: int) -> np.ndarray:
        """(n, width) float32 of the column that bears one of the usual names; every number finite."""
        key = first_of(keys, table.columns) or keys[0]
        values = table.vectors(key, start, stop)
        if values.shape[1] != width:
            raise EpisodeUnreadable(f"{table.path}: {key} has {values.shape[1]} entries, not {width}")
        if not np.isfinite(values).all():
            bad = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
            raise EpisodeUnreadable(f"{table.path}: {key} is not a finite number in row {bad}")
        return values

    def _first_picture(self, files: "_OpenFiles", place: EpisodePlace, camera: str, start: int, length: int) -> int:
        """The number that an episode's first picture has in its file, which must hold all of them."""
        file = self._pictures(files, place, camera, start)
        if isinstance(file, VideoFile):
            first = place.videos[camera].first_frame
        else:
            first = 0 if isinstance(file, ImageFolder) else start
        file.require(first + length)
        return first

    def _pictures(self, files: "_OpenFiles", place: EpisodePlace, camera: str, start: int) -> PictureFile:
        if self._meta.is_video(camera):
            if camera not in place.videos:
                raise EpisodeUnreadable(f"the metadata has no video of {camera} for it")
            path = place.videos[camera].path
            if not path.is_file():
                raise EpisodeUnreadable(f"{path} is missing")
            return files.pictures(camera, path, lambda: VideoFile(path))
        folder = self._image_folder(place, camera)
        if camera in files.table(place.table).columns:
            column = lambda: ImageColumn(place.table, camera, (self.root, folder))  # noqa: E731
            return files.pictures(camera, place.table, column)
        if not folder.is_dir():
            raise EpisodeUnreadable(f"{place.table} has no column {camera!r}, and {folder} is missing")
        return files.pictures(camera, folder, lambda: ImageFolder(folder))

    def _image_folder(self, place: EpisodePlace, camera: str) -> Path:
        """Where LeRobot keeps an episode's image files."""
        folders = [f"images/{camera}/episode{sep}{place.info.index:06d}" for sep in "_-"]
        return next((self.root / f for f in folders if (self.root / f).is_dir()), self.root / folders[0])

    def _log(self, index: int) -> DiscreteActionLog | None:
        path = self._logs.get(index)
        if path is None:
            return None
        try:
            return read_log(path)
        except ForearmError as error:
            raise EpisodeUnreadable(str(error)) from error

    @cached_property
    def _logs(self) -> dict[int, Path]:
        """Episode to its log, header-only files left out.

        A file's number is its episode's. Where recorders counted otherwise, but left as many logs with decisions
        as there are episodes, the two go together in order.
        """
        numbered = {}
        for path in sorted((self.root / LOG_FOLDER).glob("*.jsonl")):
            numbers = re.findall(r"\d+", path.stem)
            if numbers and has_decisions(path):
                numbered[int(numbers[-1])] = path
        indices = [info.index for info in self.episodes]
        if len(numbered) == len(indices) and set(numbered) != set(indices):
            return dict(zip(indices, (numbered[n] for n in sorted(numbered)), strict=True))
        return numbered


class _OpenFiles:
    """The files that reading has open: one table, and one file of pictures per camera."""

    def __init__(self) -> None:
        self._table: TableFile | None = None
        self._pictures: dict[str, PictureFile] = {}

    def table(self, path: Path) -> TableFile:
        if self._table is None or self._table.path != path:
            if not path.is_file():
                raise EpisodeUnreadable(f"{path} is missing")
            opened = TableFile(path)
            if self._table is not None:
                self._table.close()
            self._table = opened
        return self._table

    def pictures(self, camera: str, path: Path, opened: Callable[[], PictureFile]) -> PictureFile:
        held = self._pictures.get(camera)
        if held is None or held.path != path:
            if held is not None:
                self._pictures.pop(camera).close()
            held = self._pictures[camera] = opened()
        return held

    def close(self) -> None:
        with ExitStack() as stack:
            for file in (self._table, *self._pictures.values()):
                if file is not None:
                    stack.callback(file.close)
        self._table, self._pictures = None, {}


def open_recording(source: str | Path, *, revision: str | None = None) -> Recording:
    """Open a recording for reading.

    Args:
        source: the folder of a LeRobot data set (no network is needed), or the Hub id of one.
        revision: branch, tag or commit on the Hub.

    Raises:
        ForearmError: it is no LeRobot data set of a known version, or has no camera, state or episode.
    """
    root = local_folder(source, revision)
    return Recording(root, root.resolve().name if Path(source).expanduser().is_dir() else str(source))


def _bare(joint: str) -> str:
    return joint.removesuffix(".pos").removeprefix("main_")
