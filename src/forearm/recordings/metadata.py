"""What a LeRobot recording says about itself, and where its files really are."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from forearm.errors import ForearmError
from forearm.files import read_json

VERSIONS = ("v2.0", "v2.1", "v3.0")
STATE_KEYS = ("observation.state", "state", "observation.states", "states", "observation.qpos", "qpos")
ACTION_KEYS = ("action", "actions")
VIDEO_SUFFIXES = {".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v"}
DATA_PATH = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
VIDEO_PATH = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"


@dataclass(frozen=True)
class EpisodeInfo:
    """An episode as the metadata has it: its index, its number of rows, and what the robot does in words."""

    index: int
    length: int
    task: str


@dataclass(frozen=True)
class VideoPlace:
    """Where an episode's pictures from one camera are; ``path`` is where a missing file should be."""

    path: Path
    first_frame: int


@dataclass(frozen=True)
class EpisodePlace:
    """Where an episode lies.

    Attributes:
        info: which episode.
        table: its parquet file.
        first_row: its first row in that file, where several episodes share one; else None.
        videos: video camera to place.
    """

    info: EpisodeInfo
    table: Path
    first_row: int | None
    videos: Mapping[str, VideoPlace]


class Metadata:
    """The ``meta`` folder of the recording at ``root``, any of the three versions.

    Raises:
        ForearmError: there is no meta/info.json, it is of an unknown version, or an entry makes no sense.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        path = root / "meta/info.json"
        if not path.is_file():
            raise ForearmError(f"{root} is not a LeRobot data set: it has no meta/info.json")
        self.info = read_json(path)
        features = self.info.get("features") if isinstance(self.info, dict) else None
        if not isinstance(features, dict) or not all(isinstance(f, dict) for f in features.values()):
            raise ForearmError(f"{path} describes no features")
        self.features: dict[str, dict[str, Any]] = features
        self.version = self._version()
        self.fps = self._fps()

    @cached_property
    def cameras(self) -> tuple[str, ...]:
        """The feature keys of the cameras, depth maps left out."""
        return tuple(key for key, f in self.features.items() if _is_picture(f) and not _is_depth(f))

    def is_video(self, camera: str) -> bool:
        """Whether a camera's pictures are videos; else they are images in the tables or beside them."""
        return self.features[camera].get("dtype") == "video"

    def camera_size(self, camera: str) -> tuple[int, int] | None:
        """(height, width) as the metadata has it; None where it does not say."""
        feature = self.features[camera]
        details = feature.get("info") or feature.get("video_info") or {}
        if "video.height" in details and "video.width" in details:
            return int(details["video.height"]), int(details["video.width"])
        shape: list[int] = feature.get("shape") or []
        if len(shape) == 3:
            channels_first = shape[0] in (1, 3, 4) and shape[2] not in (1, 3, 4)
            height, width = shape[1:] if channels_first else shape[:2]
            return height, width
        return None

    def names(self, key: str, width: int, prefix: str) -> tuple[str, ...]:
        """The names of a feature's ``width`` entries, however nested; numbered ones where they do not fit."""
        found = tuple(_flat_names(self.features.get(key, {}).get("names")))
        fits = len(found) == width and len(set(found)) == width
        return found if fits else tuple(f"{prefix}_{i}" for i in range(width))

    @cached_property
    def places(self) -> tuple[EpisodePlace, ...]:
        """Where every episode lies, by index."""
        found = self._shared_places() if self.version == "v3.0" else self._single_places()
        try:
            return tuple(sorted(found, key=lambda place: place.info.index))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise ForearmError(f"{self.root}/meta: the list of episodes makes no sense ({reason})") from error

    @cached_property
    def statistics(self) -> dict[str, Any]:
        """The recording's statistics by feature, as far as they are written down."""
        path = self.root / "meta/stats.json"
        if path.is_file():
            return read_json(path)
        path = self.root / "meta/episodes_stats.jsonl"
        merged: dict[str, Any] = {}
        for line in _json_lines(path) if path.is_file() else ():
            for key, values in line.get("stats", {}).items():
                merged.setdefault(key, []).append(values)
        return merged

    def _version(self) -> str:
        declared = str(self.info.get("codebase_version", "missing"))
        version = declared if declared.startswith("v") else f"v{declared}"
        if version not in VERSIONS:
            raise ForearmError(
                f"{self.root}: codebase_version is {declared}; {', '.join(VERSIONS)} can be read: "
                "convert it with LeRobot first"
            )
        return version

    def _fps(self) -> float:
        fps = self.info.get("fps")
        if not isinstance(fps, int | float) or not fps > 0:
            raise ForearmError(f"{self.root}/meta/info.json: fps is {fps}, not a positive number")
        return fps

    def _single_places(self) -> Iterator[EpisodePlace]:
        """v2.x: every episode has a parquet file, and a video per camera, of its own."""
        size = int(self.info.get("chunks_size") or 1000)
        data_path, video_path = self.info.get("data_path") or DATA_PATH, self.info.get("video_path") or VIDEO_PATH
        for info in self._single_infos():
            fields = {"episode_index": info.index, "episode_chunk": info.index // size}
            table = self.root / data_path.format(**fields)
            if not table.is_file():
                table = self._by_number.get(info.index, table)
            videos = {}
            for camera in filter(self.is_video, self.cameras):
                path = self.root / video_path.format(video_key=camera, **fields)
                videos[camera] = VideoPlace(self._found(path, camera, f"{info.index:06d}", info.index), 0)
            yield EpisodePlace(info, table, None, videos)

    def _single_infos(self) -> Iterator[EpisodeInfo]:
        path = self.root / "meta/episodes.jsonl"
        if path.is_file():
            for line in _json_lines(path):
                tasks = line.get("tasks") or [""]
                task = tasks if isinstance(tasks, str) else tasks[0]
                yield EpisodeInfo(int(line["episode_index"]), int(line["length"]), str(task))
            return
        for index, table in sorted(self._by_number.items()):
            yield EpisodeInfo(index, pq.read_metadata(table).num_rows, "")

    @cached_property
    def _by_number(self) -> dict[int, Path]:
        """The parquet files that are named like episodes, wherever they lie."""
        files = sorted(self.root.rglob("episode_*.parquet"))
        return {int(m[1]): file for file in files if (m := re.fullmatch(r"episode_(\d+)", file.stem))}

    def _shared_places(self) -> Iterator[EpisodePlace]:
        """v3.0: episodes share files, and the metadata says where each begins."""
        rows = list(self._shared_rows())
        data_path, video_path = self.info["data_path"], self.info.get("video_path")
        first_in_file: dict[Path, int] = {}
        tables = []
        for row in rows:
            fields = {"chunk_index": row["data/chunk_index"], "file_index": row["data/file_index"]}
            tables.append(self.root / data_path.format(**fields))
            start = row.get("dataset_from_index", 0)
            first_in_file[tables[-1]] = min(start, first_in_file.get(tables[-1], start))
        for row, table in zip(rows, tables, strict=True):
            tasks = row.get("tasks")
            task = tasks[0] if isinstance(tasks, list) and tasks else tasks or ""
            info = EpisodeInfo(row["episode_index"], row["length"], str(task))
            videos = {}
            for camera in filter(self.is_video, self.cameras):
                chunk, file = row.get(f"videos/{camera}/chunk_index"), row.get(f"videos/{camera}/file_index")
                if chunk is None or file is None:
                    continue
                path = self.root / video_path.format(video_key=camera, chunk_index=chunk, file_index=file)
                first = round((row.get(f"videos/{camera}/from_timestamp") or 0.0) * self.fps)
                found = self._found(path, camera, f"chunk-{chunk:03d}/file-{file:03d}", None)
                videos[camera] = VideoPlace(found, first)
            yield EpisodePlace(info, table, row.get("dataset_from_index", 0) - first_in_file[table], videos)

    def _shared_rows(self) -> Iterator[dict[str, Any]]:
        files = sorted((self.root / "meta/episodes").glob("chunk-*/file-*.parquet"))
        if not files:
            raise ForearmError(f"{self.root}/meta/episodes holds no chunk-*/file-*.parquet")
        for file in files:
            try:
                names = [n for n in pq.read_schema(file).names if not n.startswith("stats/")]
                yield from pq.read_table(file, columns=names).to_pylist()
            except (OSError, pa.ArrowException) as error:
                raise ForearmError(f"{file} cannot be read: {str(error).splitlines()[0]}") from error

    def _found(self, path: Path, camera: str, tail: str, number: int | None) -> Path:
        """``path`` if it exists; else the one video that is named like it and like its camera; else ``path``."""
        if path.is_file():
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
        return [path for path in self.root.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES]


def _ends_so(video: Path, tail: str, number: int | None) -> bool:
    if number is None:
        return video.with_suffix("").as_posix().endswith(tail)
    numbers = re.findall(r"\d+", video.stem)
    return bool(numbers) and int(numbers[-1]) == number


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.strip():
                yield json.loads(line)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ForearmError(f"{path} cannot be read as JSON lines: {error}") from error


def _flat_names(names: Any) -> Iterator[str]:
    """Names out of a list, a list in a list, or lists under keys such as ``motors``."""
    if isinstance(names, str):
        yield names
    elif isinstance(names, dict):
        if names and all(isinstance(place, int) for place in names.values()):
            yield from sorted(names, key=names.__getitem__)
        else:
            yield from _flat_names(list(names.values()))
    elif isinstance(names, list | tuple):
        for name in names:
            yield from _flat_names(name)


def _is_picture(feature: Mapping[str, Any]) -> bool:
    return feature.get("dtype") in ("video", "image")


def _is_depth(feature: Mapping[str, Any]) -> bool:
    details = feature.get("info") or feature.get("video_info") or {}
    return bool(details.get("video.is_depth_map") or feature.get("is_depth_map"))
