"""Recordings in: LeRobot v2.0, v2.1 and v3.0, episode by episode, pictures streamed.

recording = open_recording("lerobot/svla_so101_pickplace")
for episode in recording.read():
    wanted = range(0, len(episode.states), 15)
    for row, pictures in episode.pictures(wanted, size=(64, 64)):
        ...
"""

import glob
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from functools import cached_property
from pathlib import Path

import numpy as np

from forearm.base.errors import ForearmError
from forearm.base.hub import local_folder
from forearm.recordings.episode import Episode, OnSkip, chosen, lines_of
from forearm.recordings.episodes import EpisodeInfo, EpisodeSource, files_of, image_folders, list_episodes
from forearm.recordings.errors import EpisodeUnreadable
from forearm.recordings.folder import Folder
from forearm.recordings.images import ImageColumn, ImageFolder, is_depth_image
from forearm.recordings.metadata import ACTION_KEYS, STATE_KEYS, Metadata, is_depth_format
from forearm.recordings.objects import OBJECTS_KEY, ObjectNames
from forearm.recordings.pictures import OpenPictures, Size
from forearm.recordings.reader import EpisodeReader
from forearm.recordings.tables import TableFile, first_of
from forearm.recordings.units import declared_units, guess_units
from forearm.recordings.video import header

META = "meta/**"
"""Pattern of what says where everything else is."""


class Recording:
    """A LeRobot recording, opened for reading; see `open_recording`.

    Attributes:
        name: the folder's name or the Hub id.
        root: its folder.
        version: ``v2.0``, ``v2.1`` or ``v3.0``.
        fps: pictures and rows per second.
        cameras: the feature keys of its cameras; depth maps are left out.
        depth_maps: the feature keys of those.
    """

    _fetched: Collection[int] | None = None

    def __init__(
        self, root: Path, name: str, follow_links: bool = False, fetched: Collection[int] | None = None
    ) -> None:
        self._meta = Metadata(Folder(root, follow_links))
        self.name, self.root, self._fetched = name, root, fetched
        self.version, self.fps = self._meta.version, self._meta.fps
        if not self._meta.pictures:
            raise ForearmError(f"{root} has no camera: no feature in meta/info.json is a video or an image")
        if not self.episodes:
            raise ForearmError(f"{root} lists no episode")
        if self._state_key is None:
            raise ForearmError(f"{root} has no state column; looked for {', '.join(STATE_KEYS)}")
        self.cameras = tuple(camera for camera in self._meta.cameras if not self._shows_depth(camera))
        self.depth_maps = tuple(picture for picture in self._meta.pictures if picture not in self.cameras)
        if not self.cameras:
            raise ForearmError(f"{root} has no camera but depth maps: {', '.join(self.depth_maps)}")

    @cached_property
    def episodes(self) -> tuple[EpisodeInfo, ...]:
        """The episodes that the metadata lists, by index; of a recording that is fetched in part, those of this part.
        Some may turn out to be unreadable.
        """
        return tuple(source.info for source in self._sources)

    @cached_property
    def listed(self) -> tuple[EpisodeInfo, ...]:
        """Every episode that the metadata lists, by index."""
        return self.episodes if self._fetched is None else tuple(source.info for source in self._listed)

    @cached_property
    def joints(self) -> tuple[str, ...]:
        """The names of the state's dimensions, as they were recorded (``shoulder_pan.pos``)."""
        return self._meta.names(self._state_key or "", self._width(STATE_KEYS), "joint")

    @cached_property
    def action_names(self) -> tuple[str, ...]:
        """The names of the action's dimensions; empty where no action was recorded."""
        key = first_of(ACTION_KEYS, list(self._meta.features))
        return self._meta.names(key or "", self._width(ACTION_KEYS), "action")

    @cached_property
    def units(self) -> tuple[str, ...]:
        """Each joint's unit: deg, rad, %, ticks or nothing. Declared, or else a guess from the range of its values."""
        return self._declared_units or self.guessed_units

    @cached_property
    def guessed_units(self) -> tuple[str, ...]:
        """Each joint's unit as the range of its values looks."""
        return guess_units(self.joints, *self._state_range(self._state_key or ""))

    @property
    def declares_units(self) -> bool:
        """Whether ``meta/info.json`` says the joints' units, under ``units`` of the state."""
        return self._declared_units is not None

    @cached_property
    def _declared_units(self) -> tuple[str, ...] | None:
        return declared_units(self._meta.features.get(self._state_key or "", {}).get("units"), self.joints)

    @cached_property
    def objects(self) -> ObjectNames:
        """The objects whose truth the recording holds, for evaluations alone; none in a real one."""
        width = int(np.prod(self._meta.shape(OBJECTS_KEY)))
        return ObjectNames.of(self._meta.names(OBJECTS_KEY, width, "value"))

    @property
    def has_logs(self) -> bool:
        """Whether any episode has a discrete-action log with decisions in it."""
        return bool(self._reader.logs)

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
        """Which dimension of the state a joint is, called with or without ``.pos`` or ``main_``.

        Raises:
            ForearmError: there is no such joint.
        """
        for index, joint in enumerate(self.joints):
            if joint == name or _bare(joint) == _bare(name):
                return index
        raise ForearmError(f"{self.name} has no joint {name!r}, only {', '.join(self.joints)}")

    def missing_files(self) -> list[str]:
        """A line for all episodes whose files are missing, and for each other trouble that shows before opening."""
        reasons = ((source.info.index, self._reader.missing(source, self.cameras)) for source in self._sources)
        lines = lines_of((index, reason) for index, reason in reasons if reason)
        trouble = self._meta.statistics_trouble
        return [*lines, f"the statistics are not used: {trouble}"] if trouble else lines

    def read(
        self,
        cameras: Sequence[str] | None = None,
        on_skip: OnSkip | None = None,
        episodes: Collection[int] | None = None,
    ) -> Iterator[Episode]:
        """Read the episodes in order, decoding every video file once and forward.

        An episode that cannot be read, or whose rows and pictures cannot be paired, is skipped:
        ``on_skip(index, reason)`` is called once, and reading goes on. By default that becomes a warning in the end.

        Args:
            cameras: the feature keys of the cameras to read; all by default.
            on_skip: called for each skipped episode.
            episodes: the indices of those to read; all by default.

        Raises:
            ForearmError: a camera does not exist, episodes have unequal cameras, or no episode at all can be
                read.
        """
        chosen = self._chosen(self.cameras if cameras is None else cameras)
        wanted = [source for source in self._sources if episodes is None or source.info.index in episodes]
        self._require_equal_cameras(chosen, wanted)
        skipped: dict[int, str] = {}

        def skip(index: int, reason: str) -> None:
            if index not in skipped:
                skipped[index] = reason
                if on_skip:
                    on_skip(index, reason)

        try:
            yield from self._reader.read(chosen, skip, wanted)
        finally:
            if on_skip is None and len(skipped) < len(wanted):
                for line in lines_of(skipped.items()):
                    warnings.warn(f"{self.name}: skipped {line}", stacklevel=2)
        if skipped and len(skipped) == len(wanted):
            index, reason = next(iter(skipped.items()))
            raise ForearmError(f"{self.root}: no episode can be read; episode {index}: {reason}")

    @cached_property
    def _listed(self) -> tuple[EpisodeSource, ...]:
        return list_episodes(self._meta)

    @cached_property
    def _sources(self) -> tuple[EpisodeSource, ...]:
        return tuple(s for s in self._listed if self._fetched is None or s.info.index in self._fetched)

    @cached_property
    def _reader(self) -> EpisodeReader:
        return EpisodeReader(self._meta, self._listed, (len(self.joints), len(self.action_names)), self.objects)

    def _tables(self) -> Iterator[TableFile]:
        """Every table that can be opened, each closed when the next is taken."""
        for path in dict.fromkeys(source.table for source in self._sources):
            try:
                with closing(TableFile(self._meta.folder.file(path))) as table:
                    yield table
            except EpisodeUnreadable:
                continue

    @cached_property
    def _state_key(self) -> str | None:
        """The state's column; the first table is only asked where info.json is silent."""
        declared = first_of(STATE_KEYS, list(self._meta.features))
        return declared or next((first_of(STATE_KEYS, table.columns) for table in self._tables()), None)

    def _width(self, keys: Sequence[str]) -> int:
        """Dimensions of the state or action: as declared, or else as the first readable table has it."""
        key = first_of(keys, list(self._meta.features))
        shape = self._meta.shape(key) if key else ()
        if shape:
            return int(np.prod(shape))
        for table in self._tables():
            key = first_of(keys, table.columns)
            try:
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
        for table in self._tables():
            try:
                states = table.vectors(first_of((key, *STATE_KEYS), table.columns) or key, 0, len(table))
            except EpisodeUnreadable:
                continue
            if len(states) and states.shape[1] == len(self.joints):
                return states.min(axis=0), states.max(axis=0)
        return np.zeros(len(self.joints)), np.zeros(len(self.joints))

    def _shows_depth(self, camera: str) -> bool:
        """Whether the first file that can be opened holds a depth map, whatever the metadata says of the camera."""
        for source in self._sources:
            try:
                if self._meta.is_video(camera):
                    return is_depth_format(header(self._meta.folder.file(source.videos[camera].path))[1], camera)
                with closing(OpenPictures()) as files:
                    file = self._reader.open_pictures(source, camera, files)
                    assert isinstance(file, ImageColumn | ImageFolder)
                    return is_depth_image(file.first_bytes(), camera)
            except (EpisodeUnreadable, KeyError):
                continue
        return False

    def _chosen(self, cameras: Sequence[str]) -> tuple[str, ...]:
        missing = [camera for camera in cameras if camera not in self.cameras]
        if missing or not cameras:
            raise ForearmError(f"{self.name} has no camera {', '.join(missing)!r}, only {', '.join(self.cameras)}")
        return tuple(cameras)

    def _require_equal_cameras(self, cameras: tuple[str, ...], sources: Sequence[EpisodeSource]) -> None:
        """Refuse a recording of which some episodes have only some of the cameras; none at all is a hole."""
        for source in sources:
            present = [camera for camera in cameras if self._reader.has_camera(source, camera)]
            if present and len(present) < len(cameras):
                missing = ", ".join(camera for camera in cameras if camera not in present)
                raise ForearmError(
                    f"{self.root}: cameras differ from episode to episode: episode {source.info.index} lacks "
                    f"{missing}; choose cameras that every episode has ({', '.join(present)})"
                )


def open_recording(
    source: str | Path, *, follow_links: bool = False, episodes: str = "", exclude: str = ""
) -> Recording:
    """Open a recording for reading.

    Of a Hub recording only the files of the episodes that are wanted are fetched, and only these are listed.

    Args:
        source: the folder of a LeRobot data set (no network is needed), or the Hub id of one: ``user/name``, or
            ``user/name@revision`` with a branch, tag or commit.
        follow_links: whether links may lead out of the folder.
        episodes: those that are wanted, such as ``0:50,60``; all by default.
        exclude: those that are not.

    Raises:
        ForearmError: it is no LeRobot data set of a known version, or has no camera, state or episode; or none of its
            episodes is wanted.
    """
    if Path(source).expanduser().exists():
        root = local_folder(source)
        return Recording(root, root.resolve().name, follow_links)
    root, fetched = _fetched(source, episodes, exclude)
    return Recording(root, str(source), follow_links, fetched)


def _fetched(source: str | Path, episodes: str, exclude: str) -> tuple[Path, list[int] | None]:
    """The folder of a Hub recording that holds the wanted episodes, and which they are; None: all of them.

    Where a file is not where the metadata says, as after renaming, the whole recording is fetched.
    """
    if episodes or exclude:
        meta = Metadata(Folder(local_folder(source, parts=[META])))
        if listed := list_episodes(meta):
            wanted = chosen([each.info.index for each in listed], episodes, exclude, str(source))
            sources = [each for each in listed if each.info.index in wanted]
            files = [path.relative_to(meta.root).as_posix() for path in files_of(sources)]
            root = local_folder(source, parts=[META, *map(glob.escape, files), *image_folders(meta, sources)])
            if all((root / file).is_file() for file in files):
                return root, wanted
    return local_folder(source), None


def _bare(joint: str) -> str:
    return joint.removesuffix(".pos").removeprefix("main_")
