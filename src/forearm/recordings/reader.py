"""Reading the episodes of a recording: rows, log, the pairing with pictures, and a stream of these."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from functools import cached_property
from pathlib import Path

import numpy as np

from forearm.base.errors import ForearmError
from forearm.recordings.episode import Episode, OnSkip, Pictures
from forearm.recordings.episodes import EpisodeSource, picture_means
from forearm.recordings.errors import EpisodeUnreadable
from forearm.recordings.images import ImageColumn, ImageFolder
from forearm.recordings.logs import DiscreteActionLog, logs_of, read_log
from forearm.recordings.metadata import ACTION_KEYS, STATE_KEYS, Metadata
from forearm.recordings.objects import OBJECTS_KEY, ObjectNames
from forearm.recordings.pairing import BEYOND, Pairing, VideoFacts, pair, pair_images
from forearm.recordings.pictures import OpenPictures, PictureFile, Size
from forearm.recordings.rows import Counters, Listing, Rows, locate
from forearm.recordings.tables import TableFile, first_of, frame_order
from forearm.recordings.video import VideoFile, header

LOOKS, SAME_COLOUR = 8, 0.03
"""So many pictures of a doubtful episode are compared with the statistics of its colours, and may differ by so much."""


class EpisodeReader:
    """Reads the episodes that a recording's metadata lists.

    Args:
        meta: the recording's metadata.
        sources: where the metadata says that the files of each episode are.
        widths: (J, A), how many dimensions states and actions have; A is 0 where there are no actions.
        objects: those whose truth it holds.
    """

    def __init__(
        self, meta: Metadata, sources: Sequence[EpisodeSource], widths: tuple[int, int], objects: ObjectNames
    ) -> None:
        self._meta, self._folder, self._sources, self._widths = meta, meta.folder, sources, widths
        self._objects = objects
        self._mixed: dict[str, bool] = {}
        self._noted: dict[Path, list[str]] = {}
        self._means: dict[str, dict[int, np.ndarray]] = {}

    def read(self, cameras: tuple[str, ...], skip: OnSkip, sources: Sequence[EpisodeSource]) -> Iterator[Episode]:
        """The episodes of some sources in order; ``skip(index, reason)`` hears of those that cannot be read."""
        with closing(_OpenTable()) as tables, closing(OpenPictures()) as pictures:
            for source in sources:
                try:
                    yield self._episode(source, cameras, tables, pictures, skip)
                except EpisodeUnreadable as error:
                    skip(source.info.index, str(error))

    def missing(self, source: EpisodeSource, cameras: Sequence[str]) -> str:
        """What is wrong with the files of an episode before any is opened; empty where all are there."""
        paths = [source.table, *(source.videos[c].path for c in cameras if c in source.videos)]
        absent = [str(path) for path in paths if not path.exists()]
        if absent:
            return f"{' and '.join(absent)} {'is' if len(absent) == 1 else 'are'} missing"
        try:
            for path in paths:
                self._folder.file(path)
        except EpisodeUnreadable as error:
            return str(error)
        return ""

    def has_camera(self, source: EpisodeSource, camera: str) -> bool:
        """Whether an episode has pictures of a camera at all."""
        if self._meta.is_video(camera):
            return camera in source.videos and source.videos[camera].path.is_file()
        if self._image_folder(source, camera).is_dir():
            return True
        try:
            return camera in self._columns(source.table)
        except EpisodeUnreadable:
            return False

    def open_pictures(self, source: EpisodeSource, camera: str, open_files: OpenPictures) -> PictureFile:
        """The file or folder of an episode's pictures.

        Raises:
            EpisodeUnreadable: it is missing or cannot be opened.
        """
        if self._meta.is_video(camera):
            if camera not in source.videos:
                raise EpisodeUnreadable(f"the metadata has no video of {camera} for it")
            path = self._folder.file(source.videos[camera].path)
            return open_files.get(camera, path, lambda: VideoFile(path))
        folder = self._image_folder(source, camera)
        if camera in self._columns(source.table):
            column = lambda: ImageColumn(source.table, camera, self._folder, folder)  # noqa: E731
            return open_files.get(camera, source.table, column)
        if not folder.is_dir():
            raise EpisodeUnreadable(f"{source.table} has no column {camera!r}, and {folder} is missing")
        return open_files.get(camera, folder, lambda: ImageFolder(folder, self._folder))

    def _columns(self, table: Path) -> list[str]:
        if table not in self._noted:
            with closing(TableFile(self._folder.file(table))) as opened:
                self._noted[table] = opened.columns
        return self._noted[table]

    def _episode(
        self,
        source: EpisodeSource,
        cameras: tuple[str, ...],
        tables: "_OpenTable",
        open_files: OpenPictures,
        skip: OnSkip,
    ) -> Episode:
        if problem := self.missing(source, cameras):
            raise EpisodeUnreadable(problem)
        index = source.info.index
        rows = self._rows(source, tables)
        table = tables.get(rows.table)
        if rows.stop == rows.start:
            raise EpisodeUnreadable(f"{table.path} has no rows of it")
        order, frames = frame_order(table, rows.start, rows.stop)
        states = _column(table, STATE_KEYS, self._widths[0], rows)[order]
        actions = _column(table, ACTION_KEYS, self._widths[1], rows)[order] if self._widths[1] else None
        objects = None
        if self._objects.objects:
            values = table.vectors(OBJECTS_KEY, rows.start, rows.stop)[order]
            if values.shape[1] != len(self._objects.names()):
                raise EpisodeUnreadable(f"{table.path}: {OBJECTS_KEY} has {values.shape[1]} dimensions, not as named")
            objects = self._objects.truth(values)
        timestamps = table.numbers("timestamp", rows.start, rows.stop)
        timestamps = None if timestamps is None else timestamps[order]
        pairings = {}
        for camera in cameras:
            file = self.open_pictures(source, camera, open_files)
            if isinstance(file, VideoFile):
                pairing = self._video_pairing(source, camera, file, frames, timestamps, len(order))
            elif isinstance(file, ImageFolder):
                pairing = pair_images(file.numbers, frames, len(order))
            else:
                pairing = Pairing(rows.start + order, "count")  # every row has its picture beside it
            if pairing.refusal:
                raise EpisodeUnreadable(f"{file.path}: {pairing.refusal}")
            pairings[camera] = pairing

        def stream(wanted: Sequence[int], sizes: Mapping[str, Size | None]) -> Iterator[tuple[int, Pictures]]:
            try:
                streams = [
                    self.open_pictures(source, camera, open_files).pictures(
                        pairings[camera].numbers[wanted].tolist(), sizes[camera]
                    )
                    for camera in cameras
                ]
                for row in wanted:
                    yield row, {camera: next(s) for camera, s in zip(cameras, streams, strict=True)}
            except EpisodeUnreadable as error:
                skip(index, str(error))
                raise EpisodeUnreadable(f"{self._meta.root.name}: episode {index}: {error}") from error

        log = self._log(index)
        facts = {**source.info.facts, **(log.extra if log else {})}
        return Episode(index, source.info.task, states, actions, log, pairings, stream, timestamps, objects, facts)

    def _rows(self, source: EpisodeSource, tables: "_OpenTable") -> Rows:
        """Where an episode's rows are; a table of its own is all its rows.

        Raises:
            EpisodeUnreadable: the tables contradict the metadata.
        """
        index = source.info.index
        if not source.shared:
            table = tables.get(source.table)
            numbers = table.integers("episode_index", 0, len(table))
            if numbers is not None and len(numbers) and numbers[0] != index and self._tables_are_mixed:
                raise EpisodeUnreadable(f"{table.path} holds episode_index {numbers[0]}: tables are mixed up")
            return Rows(source.table, 0, len(table))
        rows = self._shared_rows.get(index)
        if rows is None:
            TableFile(self._folder.file(source.table))  # says why it could not be read before
            raise EpisodeUnreadable(f"{source.table} has no rows of it")
        if rows.refusal:
            raise EpisodeUnreadable(rows.refusal)
        return rows

    @cached_property
    def _shared_rows(self) -> dict[int, Rows]:
        """Where the rows of each episode are in tables that several share."""
        listings = [Listing(s.info.index, s.info.length, s.table, s.start) for s in self._sources]
        return locate(listings, self._counters)

    @cached_property
    def _tables_are_mixed(self) -> bool:
        """Whether the tables hold exactly the episodes that are listed, but under each other's names."""
        numbers = [int(c.episodes[0]) for c in self._counters.values() if c.episodes is not None and len(c.episodes)]
        return sorted(numbers) == sorted(source.info.index for source in self._sources)

    @cached_property
    def _counters(self) -> dict[Path, Counters]:
        """What every table that can be read says about which rows it holds."""
        found = {}
        for path in dict.fromkeys(source.table for source in self._sources):
            try:
                with closing(TableFile(self._folder.file(path))) as table:
                    found[path] = table.counters()
            except EpisodeUnreadable:
                continue
        return found

    def _video_pairing(
        self,
        source: EpisodeSource,
        camera: str,
        file: VideoFile,
        frames: np.ndarray | None,
        timestamps: np.ndarray | None,
        rows: int,
    ) -> Pairing:
        video = source.videos[camera]
        contradiction = ""
        if video.overlaps is not None:
            contradiction = f"the metadata gives pictures of it to episode {video.overlaps} as well"
        elif len(file.times) != video.total and not file.truncated and self._videos_are_mixed(camera):
            contradiction = (
                f"it holds {len(file.times)} pictures where the metadata expects {video.total}, and other files of "
                "the camera hold those: file indices are mixed up"
            )
        elif not video.in_order:
            contradiction = (
                "the episode has another place among the pictures of the camera's files than among the rows of the "
                "tables: file indices or timestamps are mixed up"
            )
        pairing = pair(
            VideoFacts(
                times=file.times,
                fps=self._meta.fps,
                rows=rows,
                length=source.info.length,
                frames=frames,
                timestamps=timestamps,
                begin=video.begin,
                end=video.end,
                before=video.before,
                total=video.total if video.episodes > 1 else None,
                episodes=video.episodes,
                claimed=video.claimed,
                truncated=file.truncated,
                contradiction=contradiction,
                base=self._first_number if frames is not None and frames[0] == 1 else 0,
            )
        )
        told = self._picture_means(camera).get(source.info.index) if BEYOND in pairing.note else None
        return pairing if told is None else self._checked(pairing, file, told)

    def _checked(self, pairing: Pairing, file: VideoFile, told: np.ndarray) -> Pairing:
        """A doubtful pairing, refused where its pictures have another mean colour (3,) than the statistics say."""
        some = pairing.numbers[np.linspace(0, len(pairing.numbers) - 1, LOOKS).astype(int)].tolist()
        seen = np.mean([picture.mean(axis=(0, 1)) for picture in file.pictures(some, None)], axis=0) / 255
        if np.abs(seen - told).max() < SAME_COLOUR:
            return pairing
        return Pairing(
            pairing.numbers[:0],
            "none",
            refusal=f"{BEYOND}, and the mean colour of what would be its pictures is {np.round(seen, 2).tolist()}, but "
            f"{np.round(told, 2).tolist()} by the metadata's statistics",
        )

    def _picture_means(self, camera: str) -> dict[int, np.ndarray]:
        if camera not in self._means:
            self._means[camera] = picture_means(self._meta, camera)
        return self._means[camera]

    @cached_property
    def _first_number(self) -> int:
        """1 where the column frame_index counts from 1 in all episodes, which shows where it reaches an episode's
        length; else 0.
        """
        reaches = False
        with closing(_OpenTable()) as tables:
            for source in self._sources:
                try:
                    rows = self._rows(source, tables)
                    frames = tables.get(rows.table).integers("frame_index", rows.start, rows.stop)
                    if frames is None or not len(frames) or frames.min() != 1:
                        return 0
                    reaches = reaches or bool(frames.max() == self._filmed(source))
                except EpisodeUnreadable:
                    continue
        return int(reaches)

    def _filmed(self, source: EpisodeSource) -> int:
        """How many pictures an episode has, as its files announce or the metadata says."""
        for video in source.videos.values():
            if not source.shared:
                return header(self._folder.file(video.path))[0]
            if video.begin is not None and video.end is not None:
                return round((video.end - video.begin) * self._meta.fps)
        return source.info.length

    def _videos_are_mixed(self, camera: str) -> bool:
        """Whether a camera's files hold just as many pictures as the metadata expects, but of one another."""
        if camera not in self._mixed:
            expected = {s.videos[camera].path: s.videos[camera].total for s in self._sources if camera in s.videos}
            try:
                held = {path: header(self._folder.file(path))[0] for path in expected}
            except EpisodeUnreadable:
                held = expected
            self._mixed[camera] = held != expected and sorted(held.values()) == sorted(expected.values())
        return self._mixed[camera]

    def _image_folder(self, source: EpisodeSource, camera: str) -> Path:
        """Where LeRobot keeps an episode's image files."""
        folders = [self._meta.root / f"images/{camera}/episode{sep}{source.info.index:06d}" for sep in "_-"]
        return next((folder for folder in folders if folder.is_dir()), folders[0])

    def _log(self, index: int) -> DiscreteActionLog | None:
        path = self.logs.get(index)
        try:
            return None if path is None else read_log(self._folder.file(path))
        except EpisodeUnreadable:
            raise
        except ForearmError as error:
            raise EpisodeUnreadable(str(error)) from error

    @cached_property
    def logs(self) -> dict[int, Path]:
        """Episode to its discrete-action log, logs without decisions left out."""
        return logs_of(self._folder, [source.info.index for source in self._sources])


class _OpenTable:
    """The table that reading has open."""

    def __init__(self) -> None:
        self._table: TableFile | None = None

    def get(self, path: Path) -> TableFile:
        if self._table is None or self._table.path != path:
            opened = TableFile(path)
            self.close()
            self._table = opened
        return self._table

    def close(self) -> None:
        if self._table is not None:
            self._table.close()
        self._table = None


def _column(table: TableFile, keys: Sequence[str], width: int, rows: Rows) -> np.ndarray:
    """(n, width) float32 of the column that bears one of the usual names; every number finite."""
    key = first_of(keys, table.columns) or keys[0]
    values = table.vectors(key, rows.start, rows.stop)
    if values.shape[1] != width:
        raise EpisodeUnreadable(f"{table.path}: {key} has {values.shape[1]} dimensions, not {width}")
    if not np.isfinite(values).all():
        bad = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise EpisodeUnreadable(f"{table.path}: {key} is not a finite number in row {bad}")
    return values
