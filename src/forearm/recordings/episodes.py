"""The list of a recording's episodes, and where the metadata says that their files are."""

import dataclasses
import glob
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from forearm.base.errors import ForearmError
from forearm.recordings.folder import whole
from forearm.recordings.metadata import Metadata
from forearm.recordings.tables import TableFile
from forearm.recordings.templates import fill

FACTS = ("session", "session_seed")
"""Columns of the simulator's in the list of episodes: which scene an episode is of, where no log says it."""
VIDEO_SUFFIXES = {".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v"}
DATA_PATH = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
VIDEO_PATH = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
SHARED_DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
SHARED_VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"


@dataclass(frozen=True)
class EpisodeInfo:
    """An episode as the metadata has it."""

    index: int
    """Its number in the recording."""
    length: int
    """How many rows it has."""
    task: str
    """What the robot does, in words; may be empty."""
    facts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """Those of ``FACTS`` that the metadata has."""


@dataclass(frozen=True)
class VideoSource:
    """Where an episode's pictures from one camera are, as the metadata has it."""

    path: Path
    """The file; where a missing one should be."""
    begin: float | None = None
    """from_timestamp, seconds."""
    end: float | None = None
    """to_timestamp, seconds."""
    before: int = 0
    """Rows of the episodes before it in the same file."""
    total: int = 0
    """Rows of all episodes in the file."""
    episodes: int = 1
    """How many episodes share the file."""
    claimed: float | None = None
    """The greatest to_timestamp in the file."""
    overlaps: int | None = None
    """Another episode to which the metadata gives some of the same pictures."""
    in_order: bool = True
    """Whether as many of the camera's episodes lie before it in the files as in the tables, as recorders write them."""


@dataclass(frozen=True)
class EpisodeSource:
    """Where an episode's files are, as the metadata has it."""

    info: EpisodeInfo
    """Which episode."""
    table: Path
    """Its parquet file."""
    shared: bool
    """Whether several episodes share tables; else the whole table is the episode's."""
    start: int | None
    """dataset_from_index; None where it is not known."""
    videos: Mapping[str, VideoSource]
    """Feature key of each video camera to where its pictures are."""


def list_episodes(meta: Metadata) -> tuple[EpisodeSource, ...]:
    """Every episode that the metadata lists, by index.

    Raises:
        ForearmError: the list makes no sense, or names an episode twice.
    """
    files = _Files(meta)
    try:
        found = list(_shared_sources(meta, files) if meta.version == "v3.0" else _single_sources(meta, files))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ForearmError(f"{meta.root}/meta: the list of episodes makes no sense ({reason})") from error
    found.sort(key=lambda source: source.info.index)
    for source, after in itertools.pairwise(found):
        if source.info.index == after.info.index:
            raise ForearmError(f"{meta.root}/meta lists episode {source.info.index} twice; keep one of them")
    for camera in filter(meta.is_video, meta.cameras):
        found = _with_neighbours(found, camera, meta.fps)
    return tuple(found)


def _single_sources(meta: Metadata, files: "_Files") -> Iterator[EpisodeSource]:
    """v2.x: every episode has a parquet file, and a video per camera, of its own."""
    size = max(1, whole(meta.info.get("chunks_size") or 1000, f"{meta.path}: chunks_size"))
    data_path, video_path = meta.template("data_path") or DATA_PATH, meta.template("video_path") or VIDEO_PATH
    for info in _single_infos(meta, files):
        fields: dict[str, int | str] = {"episode": info.index, "chunk": info.index // size}
        table = files.path(data_path, DATA_PATH, fields)
        if not table.is_file():
            table = files.tables.get(info.index, table)
        videos = {}
        for camera in filter(meta.is_video, meta.cameras):
            path = files.path(video_path, VIDEO_PATH, fields | {"camera": camera})
            videos[camera] = VideoSource(files.video(path, camera, f"{info.index:06d}", info.index))
        yield EpisodeSource(info, table, False, None, videos)


def _single_infos(meta: Metadata, files: "_Files") -> Iterator[EpisodeInfo]:
    path = meta.root / "meta/episodes.jsonl"
    if meta.folder.has(path):
        for line in meta.folder.json_lines(path):
            index, length = (whole(line[name], f"{path}: {name}") for name in ("episode_index", "length"))
            yield EpisodeInfo(index, length, _task(line.get("tasks")))
        return
    for index, table in sorted(files.tables.items()):
        with closing(TableFile(meta.folder.file(table))) as opened:
            yield EpisodeInfo(index, len(opened), "")


def _shared_sources(meta: Metadata, files: "_Files") -> Iterator[EpisodeSource]:
    """v3.0: episodes share files, and the metadata says where each begins."""
    data_path = meta.template("data_path") or SHARED_DATA_PATH
    videos = [camera for camera in meta.cameras if meta.is_video(camera)]
    video_path = (meta.template("video_path") if videos else None) or SHARED_VIDEO_PATH
    for row in _shared_rows(meta):
        index = whole(row["episode_index"], f"{meta.root}/meta/episodes: episode_index")
        where = f"episode {index}: "
        facts = {name: row[name] for name in FACTS if isinstance(row.get(name), int)}
        info = EpisodeInfo(index, whole(row["length"], f"{where}length"), _task(row.get("tasks")), facts)
        fields: dict[str, int | str] = {
            name: whole(row[f"data/{name}_index"], f"{where}data/{name}_index") for name in ("chunk", "file")
        }
        table = files.path(data_path, SHARED_DATA_PATH, fields)
        sources = {}
        for camera in videos:
            here = f"videos/{camera}/"
            if row.get(f"{here}chunk_index") is None or row.get(f"{here}file_index") is None:
                continue
            chunk, file = (
                whole(row[f"{here}{name}_index"], f"{where}{here}{name}_index") for name in ("chunk", "file")
            )
            path = files.path(video_path, SHARED_VIDEO_PATH, {"camera": camera, "chunk": chunk, "file": file})
            sources[camera] = VideoSource(
                files.video(path, camera, f"chunk-{chunk:03d}/file-{file:03d}", None),
                _seconds(row.get(f"{here}from_timestamp")),
                _seconds(row.get(f"{here}to_timestamp")),
            )
        start = row.get("dataset_from_index")
        start = None if start is None or start != start else whole(start, f"{where}dataset_from_index")
        yield EpisodeSource(info, table, True, start, sources)


def _shared_rows(meta: Metadata) -> Iterator[dict[str, Any]]:
    files = sorted((meta.root / "meta/episodes").glob("chunk-*/file-*.parquet"))
    if not files:
        raise ForearmError(f"{meta.root}/meta/episodes holds no chunk-*/file-*.parquet")
    for file in files:
        with closing(TableFile(meta.folder.file(file))) as table:
            names = [name for name in table.columns if not name.startswith("stats/")]
            yield from table.table(names).to_pylist()


def files_of(sources: Sequence[EpisodeSource]) -> list[Path]:
    """Tables and videos of some episodes, where the metadata says that they are."""
    paths = ((source.table, *(video.path for video in source.videos.values())) for source in sources)
    return list(dict.fromkeys(itertools.chain.from_iterable(paths)))


def image_folders(meta: Metadata, sources: Sequence[EpisodeSource]) -> list[str]:
    """Patterns of the image files of some episodes below the recording's folder, where it has cameras without video."""
    images = [camera for camera in meta.pictures if not meta.is_video(camera)]
    return [f"images/{glob.escape(camera)}/episode?{s.info.index:06d}/*" for camera in images for s in sources]


def picture_means(meta: Metadata, camera: str) -> dict[int, np.ndarray]:
    """The mean colour (3,) in [0, 1] of each episode's pictures, as far as the statistics of v3.0's episodes say it."""
    column, means = f"stats/{camera}/mean", {}
    for file in sorted((meta.root / "meta/episodes").glob("chunk-*/file-*.parquet")):
        with closing(TableFile(meta.folder.file(file))) as table:
            if column in table.columns:
                for row in table.table(["episode_index", column]).to_pylist():
                    mean = np.array(row[column], object).ravel()
                    if len(mean) == 3 and all(isinstance(value, float) for value in mean):
                        means[int(row["episode_index"])] = mean.astype(float)
    return means


def _with_neighbours(sources: list[EpisodeSource], camera: str, fps: float) -> list[EpisodeSource]:
    """Tell each episode's video what else the metadata puts into the same file."""
    sharing: dict[Path, list[EpisodeSource]] = {}
    for source in sources:
        if camera in source.videos:
            sharing.setdefault(source.videos[camera].path, []).append(source)
    misplaced = _misplaced([source for source in sources if source.shared and camera in source.videos], camera)
    placed: dict[int, VideoSource] = {}
    for group in sharing.values():
        videos = [source.videos[camera] for source in group]
        if all(video.begin is not None for video in videos):
            group.sort(key=lambda source: (source.videos[camera].begin or 0.0, source.info.index))
        total = sum(source.info.length for source in group)
        ends = [video.end for video in videos if video.end is not None]
        before, reached = 0, float("-inf")
        last: int | None = None
        for place, source in enumerate(group):
            video = source.videos[camera]
            after = group[place + 1].videos[camera].begin if place + 1 < len(group) else None
            overlaps = last if video.begin is not None and video.begin < reached - 0.5 / fps else None
            placed[source.info.index] = dataclasses.replace(
                video,
                end=after if video.end is None else video.end,
                before=before,
                total=total,
                episodes=len(group),
                claimed=max(ends) if len(ends) == len(group) else None,
                overlaps=overlaps,
                in_order=source.info.index not in misplaced,
            )
            if overlaps is not None and placed[overlaps].overlaps is None:
                placed[overlaps] = dataclasses.replace(placed[overlaps], overlaps=source.info.index)
            if video.end is not None and video.end > reached:
                reached, last = video.end, source.info.index
            before += source.info.length
    return [
        dataclasses.replace(source, videos=source.videos | {camera: placed[source.info.index]})  # type: ignore[operator]
        if source.info.index in placed
        else source
        for source in sources
    ]


def _misplaced(sources: Sequence[EpisodeSource], camera: str) -> set[int]:
    """Episodes that have another place among a camera's pictures than among the rows."""
    starts = [source.start for source in sources]
    through = len(set(starts)) == len(starts)  # counted through all tables, and not in each
    rows = sources
    if None not in starts:
        rows = sorted(sources, key=lambda source: ([] if through else _numbers(source.table), source.start or 0))
    shown = sorted(rows, key=lambda source: (_numbers(source.videos[camera].path), source.videos[camera].begin or 0.0))
    return {a.info.index for a, b in zip(rows, shown, strict=True) if a is not b}


class _Files:
    """Where files really are: as a template says, or else by their names."""

    def __init__(self, meta: Metadata) -> None:
        self._root = meta.root
        self._several_cameras = len(list(filter(meta.is_video, meta.cameras))) > 1

    def path(self, template: str, usual: str, fields: Mapping[str, int | str]) -> Path:
        """The path by the recording's template, or by LeRobot's where that cannot be filled in or gives several
        cameras, or several episodes of v2.x, one file.
        """
        needed = {"episode"} & fields.keys() | ({"camera"} & fields.keys() if self._several_cameras else set())
        filled = fill(template, fields, needed) or fill(usual, fields)
        if filled is None:
            raise ForearmError(f"no path can be made of {', '.join(map(str, fields.values()))}")
        return self._root / filled

    @cached_property
    def tables(self) -> dict[int, Path]:
        """The parquet files that are named like episodes, wherever they lie."""
        files = sorted(path for path in self._root.rglob("episode_*.parquet") if path.is_file())
        return {int(m[1]): file for file in files if (m := re.fullmatch(r"episode_(\d{1,18})", file.stem))}

    def video(self, path: Path, camera: str, tail: str, number: int | None) -> Path:
        """``path`` if it exists; else the one video that is named like it and like its camera; else ``path``."""
        if path.exists():
            return path
        for name in (camera, camera.rsplit(".", 1)[-1]):
            fitting = [
                video
                for video in self._videos
                if (name in video.parts or name in video.stem) and _ends_so(video, tail, number)
            ]
            if len(fitting) == 1:
                return fitting[0]
        return path

    @cached_property
    def _videos(self) -> list[Path]:
        return [path for path in self._root.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()]


def _ends_so(video: Path, tail: str, number: int | None) -> bool:
    if number is None:
        return video.with_suffix("").as_posix().endswith(tail)
    numbers = _numbers(Path(video.stem))
    return bool(numbers) and numbers[-1] == number


def _numbers(path: Path) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", path.as_posix())]


def _task(tasks: Any) -> str:
    if isinstance(tasks, list):
        tasks = tasks[0] if tasks else ""
    return "" if tasks is None else str(tasks)


def _seconds(value: Any) -> float | None:
    """A time of the metadata; None where it is missing, null or NaN."""
    return None if value is None or value != value else float(value)
