"""Staged episodes: each encoded and whole in a folder of its own, before a recording is assembled from them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

import numpy as np

from forearm.base.errors import ForearmError
from forearm.base.files import Between, checked, read_arrays, read_json, write_json, writing_folder
from forearm.recordings.encoding import encode
from forearm.recordings.features import ACTION, STATE, RecordingSpec
from forearm.recordings.logs import DiscreteActionLog
from forearm.recordings.objects import OBJECTS_KEY
from forearm.recordings.statistics import QUANTILES, Statistics, pictures_statistics, plain_statistics, rows_statistics
from forearm.recordings.video import header

VECTORS = {STATE: "states", ACTION: "actions", OBJECTS_KEY: "environment"}
"""Features that are a vector a row, as a staged table calls them."""


@dataclass(frozen=True)
class EpisodeData:
    """One episode of n frames to be recorded."""

    fps: int
    """Pictures and rows per second."""
    states: np.ndarray
    """(n, J) float32, measured joints in the robot's own units."""
    actions: np.ndarray
    """(n, A) float32, what was sent from each frame to the next."""
    pictures: Mapping[str, np.ndarray]
    """Camera's feature key to (n, H, W, 3) uint8, H and W even."""
    task: str = ""
    """What the robot does, in words."""
    log: DiscreteActionLog | None = None
    """Its discrete-action log, where it has one."""
    environment: np.ndarray | None = None
    """(n, E) float32, ``observation.environment_state``, where the recording has it."""
    facts: Mapping[str, int] = field(default_factory=dict)
    """Session and seed of the scene, for the list of episodes; where there is a log, its header has them."""


@dataclass(frozen=True)
class StagedEpisode:
    """One staged episode as `assemble` needs it."""

    folder: Path
    """Where its videos and its table are."""
    index: int
    """Its number in the finished recording."""
    start: int
    """Rows of the recording before it."""
    length: int
    """Its rows."""
    task: str
    """What the robot does, in words."""
    log: DiscreteActionLog | None
    """Its discrete-action log, where it has one."""
    statistics: dict[str, Statistics]
    """By feature; those of the counters are still missing."""
    facts: dict[str, int]
    """Session and seed of the scene, where there is no log."""

    @property
    def end(self) -> int:
        """Rows of the recording up to its last one."""
        return self.start + self.length

    def rows(self) -> dict[str, np.ndarray]:
        """Each feature that is a vector a row, (n, d) float32."""
        table = read_arrays(self.folder / "table.npz")
        found = {}
        for key, name in VECTORS.items():
            if key not in self.statistics:
                continue
            values, shape = table.get(name, np.empty(0)), (self.length, len(self.statistics[key]["mean"]))
            if values.dtype != np.float32 or values.shape != shape or not np.isfinite(values).all():
                raise ForearmError(f"{self.folder}/table.npz has no {name} {shape}; remove {self.folder}, record again")
            found[key] = values
        return found

    def video(self, camera: str) -> Path:
        """The video file of a camera."""
        return self.folder / f"{camera}.mp4"


class StagedFacts(TypedDict):
    """What ``episode.json`` says of a staged episode."""

    length: Annotated[int, Between(1)]
    fps: float
    sizes: dict[str, tuple[int, int]]
    task: str
    log: DiscreteActionLog | None
    statistics: dict[str, dict[str, list[Any]]]
    facts: NotRequired[dict[str, int]]


def stage_episode(folder: Path, episode_index: int, episode: EpisodeData) -> None:
    """Encode one episode and write it into ``folder``, whole or not at all; safe to call from many processes.

    Args:
        folder: where the staged episodes of one recording gather; made when it is missing.
        episode_index: its number among them; see `staged_episodes` for those that are there already.
        episode: to be encoded.

    Raises:
        ForearmError: lengths or shapes do not agree, a value is not finite, the episode is staged already, or
            the folder cannot be written.
    """
    given = {STATE: episode.states, ACTION: episode.actions, OBJECTS_KEY: episode.environment}
    rows = {key: np.asarray(values, np.float32) for key, values in given.items() if values is not None}
    _require_sound(episode_index, rows, episode)
    statistics = {key: rows_statistics(values) for key, values in rows.items()}
    with writing_folder(_folder_of(folder, episode_index)) as beside:
        for camera, frames in episode.pictures.items():
            encode(beside / f"{camera}.mp4", frames, episode.fps)
            statistics[camera] = pictures_statistics(frames)
        np.savez(beside / "table.npz", allow_pickle=False, **{VECTORS[key]: values for key, values in rows.items()})
        write_json(
            beside / "episode.json",
            {
                "length": len(rows[STATE]),
                "fps": episode.fps,
                "sizes": {camera: frames.shape[1:3] for camera, frames in episode.pictures.items()},
                "task": episode.task,
                "log": None if episode.log is None else vars(episode.log),
                "facts": dict(episode.facts),
                "statistics": {key: plain_statistics(values) for key, values in statistics.items()},
            },
        )


def staged_episodes(folder: Path) -> list[int]:
    """The indices of the episodes that are already staged in ``folder``, in order."""
    numbers = (path.name.removeprefix("episode_") for path in Path(folder).glob("episode_*"))
    return sorted(int(number) for number in numbers if number.isdecimal())


def read_staged(staged: Path, spec: RecordingSpec) -> Iterator[StagedEpisode]:
    """Read the staged episodes in order, numbered from 0.

    Raises:
        ForearmError: one does not fit ``spec``.
    """
    start = 0
    for index, number in enumerate(staged_episodes(staged)):
        folder = _folder_of(staged, number)
        facts = checked(StagedFacts, read_json(folder / "episode.json"), str(folder / "episode.json"))
        _require_fit(folder, facts, spec)
        try:
            statistics = {k: {n: np.array(v) for n, v in values.items()} for k, values in facts["statistics"].items()}
        except ValueError as error:
            raise ForearmError(f"{folder}: a statistic is no array; remove it to record it again") from error
        _require_statistics(folder, statistics, spec)
        for video in (folder / f"{camera}.mp4" for camera in spec.cameras):
            if not video.is_file() or header(video)[0] != facts["length"]:
                raise ForearmError(
                    f"{video} lacks some of its {facts['length']} pictures; remove {folder}, record again"
                )
        yield StagedEpisode(
            folder, index, start, facts["length"], facts["task"], facts["log"], statistics, facts.get("facts", {})
        )
        start += facts["length"]


def _folder_of(folder: Path, episode_index: int) -> Path:
    return Path(folder) / f"episode_{episode_index:06d}"


def _require_sound(episode_index: int, rows: Mapping[str, np.ndarray], episode: EpisodeData) -> None:
    where, count = f"episode {episode_index}", len(rows[STATE])
    for key, values in rows.items():
        if values.ndim != 2 or len(values) != count or not count:
            raise ForearmError(f"{where}: {key} is {values.shape}; each of {', '.join(rows)} must be (n, d)")
        if not np.isfinite(values).all():
            raise ForearmError(f"{where}: {key} is not a finite number somewhere")
    if not episode.pictures:
        raise ForearmError(f"{where}: there is no camera")
    for camera, frames in episode.pictures.items():
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[::3] != (count, 3):
            raise ForearmError(f"{where}: {camera} is {frames.dtype} {frames.shape}, not uint8 (n, H, W, 3)")
        if frames.shape[1] % 2 or frames.shape[2] % 2:
            raise ForearmError(f"{where}: {camera} is {frames.shape[1:3]}; H.264 needs even sides")
    if episode.log and any(not 0 <= frame < count for frame, _ in episode.log.decisions):
        raise ForearmError(f"{where}: a decision of its log lies outside its {count} frames")


def _require_fit(folder: Path, facts: Mapping[str, Any], spec: RecordingSpec) -> None:
    sizes = facts["sizes"]
    if set(sizes) != set(spec.cameras):
        raise ForearmError(f"{folder} has the cameras {sorted(sizes)}, not the cameras {sorted(spec.cameras)}")
    for camera, (height, width) in spec.cameras.items():
        if tuple(sizes[camera]) != (height, width):
            raise ForearmError(f"{folder}: {camera} is {sizes[camera]}, not {height}×{width}")
    if facts["fps"] != spec.fps:
        raise ForearmError(f"{folder} was staged at {facts['fps']} fps, not {spec.fps}")


def _require_statistics(folder: Path, statistics: Mapping[str, Statistics], spec: RecordingSpec) -> None:
    shapes: dict[str, tuple[int, ...]] = {key: (len(names),) for key, names in spec.vectors.items()}
    for key, shape in (shapes | dict.fromkeys(spec.cameras, (3, 1, 1))).items():
        for name in ("min", "max", "mean", "std", "count", *QUANTILES):
            wanted, found = (1,) if name == "count" else shape, statistics.get(key, {}).get(name)
            sound = found is not None and found.shape == wanted and found.dtype.kind in "if"
            if found is None or not sound or not (np.abs(found) < 1e100).all():
                given = None if found is None else found.shape
                raise ForearmError(f"{folder}: {name} of {key} is {given}, not {wanted}; remove it to record it again")
