"""What meta/info.json and the statistics of a LeRobot recording say."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

from forearm.base.errors import ForearmError
from forearm.base.files import Between, checked
from forearm.recordings.errors import EpisodeUnreadable
from forearm.recordings.folder import Folder, whole

VERSIONS = ("v2.0", "v2.1", "v3.0")
STATE_KEYS = ("observation.state", "state", "observation.states", "states", "observation.qpos", "qpos")
ACTION_KEYS = ("action", "actions")
DEPTH_MARKS = ("is_depth_map", "video.is_depth_map", "is_depth", "video.is_depth")
PIXEL_FORMATS = ("pix_fmt", "video.pix_fmt")

Side = Annotated[float, Between(1, 100_000)]
"""A side of a feature's shape."""


class Info(TypedDict):
    """What ``meta/info.json`` has to hold, whatever else stands there; a feature is checked where it is used."""

    features: dict[str, dict[str, Any]]
    fps: Annotated[float, Between(1e-6, 1e6)]
    data_path: NotRequired[str | None]
    video_path: NotRequired[str | None]
    chunks_size: NotRequired[Annotated[float, Between(0)] | None]


class Metadata:
    """The ``meta`` folder of a recording, any of the three versions.

    Raises:
        ForearmError: there is no meta/info.json, it is of an unknown version, or an entry makes no sense.
    """

    def __init__(self, folder: Folder) -> None:
        self.folder, self.root = folder, folder.root
        self.path = self.root / "meta/info.json"
        if not self.path.exists():
            raise ForearmError(f"{self.root} is not a LeRobot data set: it has no meta/info.json")
        self.info = checked(Info, folder.json(self.path), str(self.path))
        self.features: dict[str, dict[str, Any]] = self.info["features"]
        self.fps: float = self.info["fps"]
        self.version = self._version()

    @cached_property
    def cameras(self) -> tuple[str, ...]:
        """The feature keys of the cameras; those that are marked as depth maps are left out."""
        return tuple(key for key in self.pictures if not self._depth(key))

    @cached_property
    def pictures(self) -> tuple[str, ...]:
        """The feature keys of everything that is stored as pictures."""
        return tuple(key for key, feature in self.features.items() if feature.get("dtype") in ("video", "image"))

    def is_video(self, camera: str) -> bool:
        """Whether a camera's pictures are videos; else they are images in the tables or beside them."""
        return self.features[camera].get("dtype") == "video"

    def template(self, entry: str) -> str | None:
        """``data_path`` or ``video_path``; None where a recording of v2.x does not have it.

        Raises:
            ForearmError: a recording of v3.0 does not have it.
        """
        template = self.info.get(entry)
        if template is None and self.version == "v3.0":
            raise ForearmError(f"{self.path}: {entry} is null, not a path")
        return template

    def camera_size(self, camera: str) -> tuple[int, int] | None:
        """(height, width) as the metadata has it; None where it does not say."""
        for details in _details(self.features[camera]):
            if "video.height" in details and "video.width" in details:
                height, width = self._sides([details["video.height"], details["video.width"]], camera)
                return height, width
        shape = self.shape(camera)
        if len(shape) == 3:
            channels_first = shape[0] in (1, 3, 4) and shape[2] not in (1, 3, 4)
            height, width = shape[1:] if channels_first else shape[:2]
            return height, width
        return None

    def shape(self, key: str) -> tuple[int, ...]:
        """The shape of a feature; empty where the metadata does not say."""
        return self._sides(self.features.get(key, {}).get("shape") or [], key)

    def names(self, key: str, width: int, prefix: str) -> tuple[str, ...]:
        """The names of a feature's ``width`` dimensions, however nested; numbered ones where they do not fit."""
        found = tuple(_flat_names(self.features.get(key, {}).get("names")))
        fits = len(found) == width and len(set(found)) == width
        return found if fits else tuple(f"{prefix}_{i}" for i in range(width))

    @cached_property
    def statistics(self) -> dict[str, Any]:
        """The recording's statistics by feature, as far as they are written down; see `statistics_trouble`."""
        path = self.statistics_file
        if self.statistics_trouble:
            return {}
        if path.suffix == ".json":
            found = self.folder.json(path)
            return found if isinstance(found, dict) else {}
        merged: dict[str, Any] = {}
        for line in self.folder.json_lines(path) if self.folder.has(path) else ():
            stats = line.get("stats")
            for key, values in stats.items() if isinstance(stats, dict) else ():
                merged.setdefault(key, []).append(values)
        return merged

    @property
    def statistics_file(self) -> Path:
        """Where the statistics are, if there are any."""
        whole = self.root / "meta/stats.json"
        return whole if self.folder.has(whole) else self.root / "meta/episodes_stats.jsonl"

    @property
    def statistics_trouble(self) -> str:
        """Why the file of statistics cannot be opened, as a Git LFS pointer; nothing needs it."""
        try:
            if self.folder.has(self.statistics_file):
                self.folder.file(self.statistics_file)
        except EpisodeUnreadable as error:
            return str(error)
        return ""

    def _depth(self, key: str) -> bool:
        """Whether a feature is marked as a depth map, or is grey and called so."""
        shape = self.shape(key)
        grey = len(shape) == 2 or (len(shape) == 3 and 1 in (shape[0], shape[2]))
        return (grey and named_depth(key)) or any(
            any(str(details.get(mark)).lower() in ("true", "1") for mark in DEPTH_MARKS)
            or any(is_depth_format(str(details.get(name, "")), key) for name in PIXEL_FORMATS)
            for details in _details(self.features[key])
        )

    def _sides(self, shape: Any, key: str) -> tuple[int, ...]:
        where = f"{self.path}: the shape of {key}"
        return tuple(whole(side, where) for side in checked(list[Side], shape, where))

    def _version(self) -> str:
        declared = str(self.info.get("codebase_version", "missing"))
        version = declared if declared.startswith("v") else f"v{declared}"
        if version not in VERSIONS:
            raise ForearmError(
                f"{self.root}: codebase_version is {declared}; {', '.join(VERSIONS)} can be read: "
                "convert it with LeRobot first"
            )
        return version


def is_depth_format(pixel_format: str, key: str) -> bool:
    """Whether a pixel format is that of a depth map: grey of more than 8 bits, whole or float, or any grey if the
    feature is called so.
    """
    grey = pixel_format.startswith(("gray", "ya"))
    return grey and (pixel_format not in ("gray", "gray8", "gray8a", "ya8") or named_depth(key))


def named_depth(key: str) -> bool:
    """Whether a feature's name says depth."""
    return "depth" in key.lower()


def _details(feature: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Where LeRobot's versions keep the details of a camera."""
    yield from (part for part in (feature.get("info"), feature.get("video_info"), feature) if isinstance(part, dict))


def _flat_names(names: Any) -> Iterator[str]:
    """Names out of a list, a list in a list, or lists under keys such as ``motors``."""
    if isinstance(names, str):
        yield names
    elif isinstance(names, dict):
        if names and all(isinstance(index, int) for index in names.values()):
            yield from sorted(names, key=names.__getitem__)
        else:
            yield from _flat_names(list(names.values()))
    elif isinstance(names, list | tuple):
        for name in names:
            yield from _flat_names(name)
