"""Recordings out, as LeRobot v3.0.

Episodes are staged one by one, each whole in a folder of its own, in any order and by any number of processes;
an interrupted recording goes on where it stopped. `assemble` then joins them into a data set.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from forearm.errors import ForearmError
from forearm.files import read_json, write_json, writing_folder
from forearm.recordings.encoding import PIXEL_FORMAT, decoder_setup, encode, join
from forearm.recordings.logs import DiscreteActionLog, log_path, write_log
from forearm.recordings.statistics import (
    Statistics,
    merged_statistics,
    pictures_statistics,
    rows_statistics,
)

VERSION = "v3.0"
CHUNK_FILES, DATA_FILE_MB, VIDEO_FILE_MB = 1000, 100, 200
# LeRobot compares times in float32, whose steps pass its tolerance of 1e-4 s beyond 1024 s.
VIDEO_FILE_SECONDS = 1000
ROWS_AT_ONCE = 8192
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
STATE, ACTION = "observation.state", "action"
COUNTERS = {
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
}


@dataclass(frozen=True)
class RecordingSpec:
    """What is the same in every episode of a recording.

    Attributes:
        fps: pictures and rows per second.
        joints: the names of the state's entries, such as ``shoulder_pan.pos``.
        action_names: the names of the action's entries.
        cameras: feature key, such as ``observation.images.base``, to (height, width).
        robot_type: LeRobot's name of the robot.
        units: the unit of each joint, for display; noted where LeRobot does not mind it.
    """

    fps: int
    joints: tuple[str, ...]
    action_names: tuple[str, ...]
    cameras: Mapping[str, tuple[int, int]]
    robot_type: str = "so101_follower"
    units: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Staged:
    """One staged episode as `assemble` needs it; ``index`` is its number in the finished recording."""

    folder: Path
    index: int
    start: int  # rows of the recording before it
    length: int
    task: str
    log: DiscreteActionLog | None
    statistics: dict[str, Statistics]


def stage_episode(
    folder: Path,
    episode_index: int,
    *,
    fps: int,
    states: np.ndarray,
    actions: np.ndarray,
    pictures: Mapping[str, np.ndarray],
    task: str,
    log: DiscreteActionLog | None = None,
) -> None:
    """Encode one episode and lay it in ``folder``, whole or not at all; safe to call from many processes.

    Args:
        folder: where the staged episodes of one recording gather; made when it is missing.
        episode_index: its place among them; see `staged_episodes` for those that are there already.
        fps: pictures and rows per second.
        states: (n, J) float32, in the robot's own units.
        actions: (n, A) float32.
        pictures: camera's feature key to (n, H, W, 3) uint8, H and W even.
        task: what the robot does, in words.
        log: its discrete-action log, where it has one.

    Raises:
        ForearmError: lengths or shapes do not agree, a value is not finite, the episode is staged already, or
            the folder cannot be written.
    """
    states, actions = np.asarray(states, np.float32), np.asarray(actions, np.float32)
    _require_sound(episode_index, states, actions, pictures, log)
    statistics = {STATE: rows_statistics(states), ACTION: rows_statistics(actions)}
    with writing_folder(_staged_folder(folder, episode_index)) as beside:
        for camera, frames in pictures.items():
            encode(beside / f"{camera}.mp4", frames, fps)
            statistics[camera] = pictures_statistics(frames)
        np.savez(beside / "table.npz", states=states, actions=actions)
        write_json(
            beside / "episode.json",
            {
                "length": len(states),
                "fps": fps,
                "sizes": {camera: frames.shape[1:3] for camera, frames in pictures.items()},
                "task": task,
                "log": None if log is None else vars(log),
                "statistics": {key: _plain(values) for key, values in statistics.items()},
            },
        )


def staged_episodes(folder: Path) -> list[int]:
    """The indices of the episodes that are already staged in ``folder``, in order."""
    return sorted(int(path.name.removeprefix("episode_")) for path in Path(folder).glob("episode_*"))


def assemble(staged: Path, out: Path, *, spec: RecordingSpec) -> None:
    """Join the staged episodes, in order and numbered from 0, into the LeRobot v3.0 recording ``out``.

    Videos are joined packet by packet, without re-encoding. Memory does not grow with the pictures.

    Raises:
        ForearmError: nothing is staged, an episode does not fit ``spec``, or ``out`` exists or cannot be
            written.
    """
    tasks: dict[str, int] = {}
    episodes = list(_staged(Path(staged), spec, tasks))
    if not episodes:
        raise ForearmError(f"{staged} holds no staged episode; record at least one")
    with writing_folder(Path(out)) as root:
        places: list[dict[str, Any]] = [{} for _ in episodes]
        for camera in spec.cameras:
            _write_videos(root, camera, episodes, spec, places)
        _write_data(root, episodes, spec, tasks, places)
        totals = _write_episodes(root, episodes, spec, tasks, places)
        write_json(root / "meta/stats.json", {key: _plain(values) for key, values in totals.items()})
        _write_tasks(root / "meta/tasks.parquet", tasks)
        write_json(root / "meta/info.json", _info(episodes, spec, tasks))
        for episode in episodes:
            if episode.log is not None:
                write_log(log_path(root, episode.index), episode.log, spec.fps)


def _require_sound(
    episode_index: int,
    states: np.ndarray,
    actions: np.ndarray,
    pictures: Mapping[str, np.ndarray],
    log: DiscreteActionLog | None,
) -> None:
    where = f"episode {episode_index}"
    if states.ndim != 2 or actions.ndim != 2 or not len(states) or len(states) != len(actions):
        raise ForearmError(f"{where}: states {states.shape} and actions {actions.shape} must be (n, J), (n, A)")
    if not (np.isfinite(states).all() and np.isfinite(actions).all()):
        raise ForearmError(f"{where}: a state or action is not a finite number")
    if not pictures:
        raise ForearmError(f"{where}: there is no camera")
    for camera, frames in pictures.items():
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[::3] != (len(states), 3):
            raise ForearmError(f"{where}: {camera} is {frames.dtype} {frames.shape}, not uint8 (n, H, W, 3)")
        if frames.shape[1] % 2 or frames.shape[2] % 2:
            raise ForearmError(f"{where}: {camera} is {frames.shape[1:3]}; H.264 needs even sides")
    if log is not None and any(not 0 <= frame < len(states) for frame, _ in log.decisions):
        raise ForearmError(f"{where}: a decision of its log lies outside its {len(states)} frames")


def _staged_folder(folder: Path, episode_index: int) -> Path:
    return Path(folder) / f"episode_{episode_index:06d}"


def _staged(staged: Path, spec: RecordingSpec, tasks: dict[str, int]) -> Iterator[_Staged]:
    """Read what was staged; numbers every new task in ``tasks``."""
    start = 0
    for index, name in enumerate(staged_episodes(staged)):
        folder = _staged_folder(staged, name)
        entry = read_json(folder / "episode.json")
        statistics = {
            key: {name: np.array(value) for name, value in values.items()}
            for key, values in entry["statistics"].items()
        }
        _require_fit(folder, entry, spec)
        tasks.setdefault(entry["task"], len(tasks))
        log = entry["log"] and DiscreteActionLog(
            **{**entry["log"], "decisions": tuple((f, c) for f, c in entry["log"]["decisions"])}
        )
        yield _Staged(folder, index, start, entry["length"], entry["task"], log, statistics)
        start += entry["length"]


def _require_fit(folder: Path, entry: Mapping[str, Any], spec: RecordingSpec) -> None:
    sizes, statistics = entry["sizes"], entry["statistics"]
    if set(sizes) != set(spec.cameras):
        raise ForearmError(f"{folder} has the cameras {sorted(sizes)}, not the cameras {sorted(spec.cameras)}")
    for camera, (height, width) in spec.cameras.items():
        if tuple(sizes[camera]) != (height, width):
            raise ForearmError(f"{folder}: {camera} is {sizes[camera]}, not {height}×{width}")
    for key, names in ((STATE, spec.joints), (ACTION, spec.action_names)):
        if len(statistics[key]["mean"]) != len(names):
            raise ForearmError(f"{folder}: {key} has {len(statistics[key]['mean'])} entries, not {len(names)}")
    if entry["fps"] != spec.fps:
        raise ForearmError(f"{folder} was staged at {entry['fps']} fps, not {spec.fps}")


def _write_videos(
    root: Path, camera: str, episodes: list[_Staged], spec: RecordingSpec, places: list[dict[str, Any]]
) -> None:
    """Join one camera's staged videos into files of bounded size; note in ``places`` where each episode is."""
    for number, group in enumerate(_video_groups(camera, episodes, spec.fps)):
        chunk, file = divmod(number, CHUNK_FILES)
        target = root / VIDEO_PATH.format(video_key=camera, chunk_index=chunk, file_index=file)
        target.parent.mkdir(parents=True, exist_ok=True)
        join([episode.folder / f"{camera}.mp4" for episode in group], target)
        for episode in group:
            before = episode.start - group[0].start
            places[episode.index] |= {
                f"videos/{camera}/chunk_index": chunk,
                f"videos/{camera}/file_index": file,
                f"videos/{camera}/from_timestamp": before / spec.fps,
                f"videos/{camera}/to_timestamp": (before + episode.length) / spec.fps,
            }


def _video_groups(camera: str, episodes: list[_Staged], fps: int) -> Iterator[list[_Staged]]:
    """Consecutive episodes that share a video file."""
    group: list[_Staged] = []
    size, setup = 0, b""
    for episode in episodes:
        path = episode.folder / f"{camera}.mp4"
        more, its_setup = path.stat().st_size, decoder_setup(path)
        too_large = size + more > VIDEO_FILE_MB * 2**20
        too_long = group and episode.start + episode.length - group[0].start > VIDEO_FILE_SECONDS * fps
        if group and (too_large or too_long or its_setup != setup):
            yield group
            group, size = [], 0
        group.append(episode)
        size, setup = size + more, its_setup
    yield group


def _write_data(
    root: Path,
    episodes: list[_Staged],
    spec: RecordingSpec,
    tasks: dict[str, int],
    places: list[dict[str, Any]],
) -> None:
    """Write the rows of all episodes into files of bounded size; note in ``places`` where each episode is."""
    schema = _data_schema(spec)
    writer: pq.ParquetWriter | None = None
    number, size = -1, math.inf
    waiting: list[pa.Table] = []

    def flush() -> None:
        if writer is not None and waiting:
            writer.write_table(pa.concat_tables(waiting).combine_chunks())
            waiting.clear()

    try:
        for episode in episodes:
            rows = _rows(episode, tasks[episode.task], spec, schema)
            if size + rows.nbytes > DATA_FILE_MB * 2**20:
                flush()
                if writer is not None:
                    writer.close()
                number, size = number + 1, 0
                chunk, file = divmod(number, CHUNK_FILES)
                path = root / DATA_PATH.format(chunk_index=chunk, file_index=file)
                path.parent.mkdir(parents=True, exist_ok=True)
                writer = pq.ParquetWriter(path, schema, compression="snappy")
            size += rows.nbytes
            waiting.append(rows)
            if sum(len(part) for part in waiting) >= ROWS_AT_ONCE:
                flush()
            places[episode.index] |= {
                "data/chunk_index": number // CHUNK_FILES,
                "data/file_index": number % CHUNK_FILES,
                "dataset_from_index": episode.start,
                "dataset_to_index": episode.start + episode.length,
            }
        flush()
    finally:
        if writer is not None:
            writer.close()


def _counters(episode: _Staged, task_index: int, fps: int) -> dict[str, np.ndarray]:
    """The columns that follow from an episode's place and length, each (n,)."""
    frames = np.arange(episode.length)
    return {
        "timestamp": (frames / fps).astype(np.float32),
        "frame_index": frames,
        "episode_index": np.full(episode.length, episode.index),
        "index": frames + episode.start,
        "task_index": np.full(episode.length, task_index),
    }


def _rows(episode: _Staged, task_index: int, spec: RecordingSpec, schema: pa.Schema) -> pa.Table:
    with np.load(episode.folder / "table.npz") as table:
        states, actions = table["states"], table["actions"]
    columns = {STATE: _vectors(states), ACTION: _vectors(actions)}
    columns |= {name: pa.array(values) for name, values in _counters(episode, task_index, spec.fps).items()}
    return pa.table(columns, schema=schema)


def _vectors(values: np.ndarray) -> pa.Array:
    """(n, d) as an Arrow column; LeRobot keeps a single entry as a plain number."""
    flat = pa.array(values.ravel())
    return flat if values.shape[1] == 1 else pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _data_schema(spec: RecordingSpec) -> pa.Schema:
    """The data files' columns, with the note from which `datasets` knows its own types."""
    fields, notes = [], {}
    for name, width in ((STATE, len(spec.joints)), (ACTION, len(spec.action_names))):
        value = {"dtype": "float32", "_type": "Value"}
        fields.append(pa.field(name, pa.float32() if width == 1 else pa.list_(pa.float32(), width)))
        notes[name] = value if width == 1 else {"feature": value, "length": width, "_type": "Sequence"}
    for name, dtype in COUNTERS.items():
        fields.append(pa.field(name, pa.float32() if dtype == "float32" else pa.int64()))
        notes[name] = {"dtype": dtype, "_type": "Value"}
    return pa.schema(fields, {"huggingface": json.dumps({"info": {"features": notes}})})


def _write_episodes(
    root: Path,
    episodes: list[_Staged],
    spec: RecordingSpec,
    tasks: dict[str, int],
    places: list[dict[str, Any]],
) -> dict[str, Statistics]:
    """Write one row per episode: where it lies and its statistics. Returns the statistics of all together."""
    totals: dict[str, Statistics] = {}
    rows = []
    for episode, place in zip(episodes, places, strict=True):
        counters = _counters(episode, tasks[episode.task], spec.fps)
        statistics = episode.statistics | {name: rows_statistics(values[:, None]) for name, values in counters.items()}
        totals = {
            key: merged_statistics(totals[key], values) if key in totals else values
            for key, values in statistics.items()
        }
        rows.append(
            {"episode_index": episode.index, "tasks": [episode.task], "length": episode.length}
            | place
            | {f"stats/{key}/{name}": v for key, s in statistics.items() for name, v in _plain(s).items()}
            | {"meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0}
        )
    path = root / "meta/episodes/chunk-000/file-000.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), path, compression="snappy")
    return totals


def _write_tasks(path: Path, tasks: dict[str, int]) -> None:
    """Write the tasks as pandas would, the words being the index of its table: LeRobot looks them up there."""
    index = "__index_level_0__"
    note = {
        "index_columns": [index],
        "column_indexes": [
            {
                "name": None,
                "field_name": None,
                "pandas_type": "unicode",
                "numpy_type": "object",
                "metadata": {"encoding": "UTF-8"},
            }
        ],
        "columns": [
            {
                "name": "task_index",
                "field_name": "task_index",
                "pandas_type": "int64",
                "numpy_type": "int64",
                "metadata": None,
            },
            {
                "name": None,
                "field_name": index,
                "pandas_type": "unicode",
                "numpy_type": "object",
                "metadata": None,
            },
        ],
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "2.2.0",
    }
    table = pa.table({"task_index": pa.array(tasks.values(), pa.int64()), index: pa.array(tasks, pa.string())})
    pq.write_table(table.replace_schema_metadata({"pandas": json.dumps(note)}), path, compression="snappy")


def _info(episodes: list[_Staged], spec: RecordingSpec, tasks: dict[str, int]) -> dict[str, Any]:
    features: dict[str, Any] = {
        STATE: {"dtype": "float32", "shape": [len(spec.joints)], "names": list(spec.joints)},
        ACTION: {"dtype": "float32", "shape": [len(spec.action_names)], "names": list(spec.action_names)},
    }
    if spec.units:
        features[STATE]["units"] = list(spec.units)
    for camera, (height, width) in spec.cameras.items():
        features[camera] = {
            "dtype": "video",
            "shape": [height, width, 3],
            "names": ["height", "width", "channels"],
            "info": {
                "video.height": height,
                "video.width": width,
                "video.codec": "h264",
                "video.pix_fmt": PIXEL_FORMAT,
                "video.is_depth_map": False,
                "video.fps": spec.fps,
                "video.channels": 3,
                "has_audio": False,
            },
        }
    features |= {name: {"dtype": dtype, "shape": [1], "names": None} for name, dtype in COUNTERS.items()}
    return {
        "codebase_version": VERSION,
        "robot_type": spec.robot_type,
        "total_episodes": len(episodes),
        "total_frames": sum(episode.length for episode in episodes),
        "total_tasks": len(tasks),
        "chunks_size": CHUNK_FILES,
        "data_files_size_in_mb": DATA_FILE_MB,
        "video_files_size_in_mb": VIDEO_FILE_MB,
        "fps": spec.fps,
        "splits": {"train": f"0:{len(episodes)}"},
        "data_path": DATA_PATH,
        "video_path": VIDEO_PATH,
        "features": features,
    }


def _plain(statistics: Statistics) -> dict[str, Any]:
    return {name: value.tolist() for name, value in statistics.items()}
