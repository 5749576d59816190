"""Assembling a LeRobot v3.0 recording from staged episodes."""

from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from types import MappingProxyType
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from forearm.base.errors import ForearmError
from forearm.base.files import write_json, writing_folder
from forearm.recordings.encoding import decoder_setup, join
from forearm.recordings.features import (
    CHUNK_FILES,
    DATA_FILE_MB,
    DATA_PATH,
    VIDEO_FILE_MB,
    VIDEO_PATH,
    RecordingSpec,
    data_schema,
    info,
    write_tasks,
)
from forearm.recordings.logs import log_path, write_log
from forearm.recordings.staging import StagedEpisode, read_staged
from forearm.recordings.statistics import Statistics, merged_statistics, plain_statistics, rows_statistics

# LeRobot compares times in float32, whose steps pass its tolerance of 1e-4 s beyond 1024 s.
VIDEO_FILE_SECONDS = 1000
ROWS_AT_ONCE = 8192

FilePositions = list[dict[str, Any]]
"""For each episode, in which files and where in them its rows and videos are, as LeRobot names these columns."""


def assemble(staged: Path, out: Path, *, spec: RecordingSpec, notes: Mapping[str, Any] = MappingProxyType({})) -> None:
    """Join the staged episodes, in order and numbered from 0, into the LeRobot v3.0 recording ``out``.

    Videos are joined packet by packet, without re-encoding. Memory does not grow with the pictures. ``notes`` are
    further JSON files, by their path in the recording.

    Raises:
        ForearmError: nothing is staged, an episode does not fit ``spec``, or ``out`` exists or cannot be
            written.
    """
    episodes = list(read_staged(Path(staged), spec))
    if not episodes:
        raise ForearmError(f"{staged} holds no staged episode; record at least one")
    tasks = {task: number for number, task in enumerate(dict.fromkeys(episode.task for episode in episodes))}
    with writing_folder(Path(out)) as root:
        positions: FilePositions = [{} for _ in episodes]
        for camera in spec.cameras:
            _write_videos(root, camera, episodes, spec, positions)
        _write_data(root, episodes, spec, tasks, positions)
        totals = _write_episodes(root, episodes, spec, tasks, positions)
        write_json(root / "meta/stats.json", {key: plain_statistics(values) for key, values in totals.items()})
        write_tasks(root / "meta/tasks.parquet", tasks)
        frames = sum(episode.length for episode in episodes)
        write_json(root / "meta/info.json", info(spec, len(episodes), frames, len(tasks)))
        for path, value in notes.items():
            write_json(root / path, value)
        for episode in episodes:
            if episode.log is not None:
                write_log(log_path(root, episode.index), episode.log, spec.fps)


def _write_videos(
    root: Path, camera: str, episodes: list[StagedEpisode], spec: RecordingSpec, positions: FilePositions
) -> None:
    """Join one camera's staged videos into files of bounded size; note in ``positions`` where each episode is."""
    bytes_before = list(accumulate((episode.video(camera).stat().st_size for episode in episodes), initial=0))
    setups = [decoder_setup(episode.video(camera)) for episode in episodes]

    def fits(group: list[StagedEpisode], episode: StagedEpisode) -> bool:
        size = bytes_before[episode.index + 1] - bytes_before[group[0].index]
        seconds = (episode.end - group[0].start) / spec.fps
        same_setup = setups[episode.index] == setups[group[-1].index]
        return size <= VIDEO_FILE_MB * 2**20 and seconds <= VIDEO_FILE_SECONDS and same_setup

    for number, group in enumerate(_groups(episodes, fits)):
        chunk, file = divmod(number, CHUNK_FILES)
        target = root / VIDEO_PATH.format(video_key=camera, chunk_index=chunk, file_index=file)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            join([episode.video(camera) for episode in group], target)
        except av.FFmpegError as error:
            raise ForearmError(f"a video of {group[0].folder} or one after it is damaged; record it again") from error
        for episode in group:
            positions[episode.index] |= {
                f"videos/{camera}/chunk_index": chunk,
                f"videos/{camera}/file_index": file,
                f"videos/{camera}/from_timestamp": (episode.start - group[0].start) / spec.fps,
                f"videos/{camera}/to_timestamp": (episode.end - group[0].start) / spec.fps,
            }


def _write_data(
    root: Path,
    episodes: list[StagedEpisode],
    spec: RecordingSpec,
    tasks: dict[str, int],
    positions: FilePositions,
) -> None:
    """Write the rows of all episodes into files of bounded size; note in ``positions`` where each episode is."""
    schema = data_schema(spec)
    row_bytes = _rows(episodes[0], 0, spec, schema).nbytes // episodes[0].length

    def fits(group: list[StagedEpisode], episode: StagedEpisode) -> bool:
        return (episode.end - group[0].start) * row_bytes <= DATA_FILE_MB * 2**20

    for number, group in enumerate(_groups(episodes, fits)):
        chunk, file = divmod(number, CHUNK_FILES)
        path = root / DATA_PATH.format(chunk_index=chunk, file_index=file)
        path.parent.mkdir(parents=True, exist_ok=True)
        with pq.ParquetWriter(path, schema, compression="snappy") as writer:
            waiting: list[pa.Table] = []
            for episode in group:
                waiting.append(_rows(episode, tasks[episode.task], spec, schema))
                if sum(map(len, waiting)) >= ROWS_AT_ONCE or episode is group[-1]:
                    writer.write_table(pa.concat_tables(waiting).combine_chunks())
                    waiting.clear()
                positions[episode.index] |= {
                    "data/chunk_index": chunk,
                    "data/file_index": file,
                    "dataset_from_index": episode.start,
                    "dataset_to_index": episode.end,
                }


def _groups(
    episodes: list[StagedEpisode], fits: Callable[[list[StagedEpisode], StagedEpisode], bool]
) -> Iterator[list[StagedEpisode]]:
    """Consecutive episodes that share a file, each group as large as fits."""
    group: list[StagedEpisode] = []
    for episode in episodes:
        if group and not fits(group, episode):
            yield group
            group = []
        group.append(episode)
    yield group


def _counters(episode: StagedEpisode, task_index: int, fps: int) -> dict[str, np.ndarray]:
    """The columns that follow from an episode's position and length, each (n,)."""
    frames = np.arange(episode.length)
    return {
        "timestamp": (frames / fps).astype(np.float32),
        "frame_index": frames,
        "episode_index": np.full(episode.length, episode.index),
        "index": frames + episode.start,
        "task_index": np.full(episode.length, task_index),
    }


def _rows(episode: StagedEpisode, task_index: int, spec: RecordingSpec, schema: pa.Schema) -> pa.Table:
    columns = {name: _vectors(values) for name, values in episode.rows().items()}
    columns |= {name: pa.array(values) for name, values in _counters(episode, task_index, spec.fps).items()}
    return pa.table(columns, schema=schema)


def _vectors(values: np.ndarray) -> pa.Array:
    """(n, d) as an Arrow column; LeRobot keeps a single dimension as a plain number."""
    flat = pa.array(values.ravel())
    return flat if values.shape[1] == 1 else pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _write_episodes(
    root: Path,
    episodes: list[StagedEpisode],
    spec: RecordingSpec,
    tasks: dict[str, int],
    positions: FilePositions,
) -> dict[str, Statistics]:
    """Write one row per episode: where it is and its statistics. Returns the statistics of all together."""
    totals: dict[str, Statistics] = {}
    rows = []
    for episode, position in zip(episodes, positions, strict=True):
        counters = _counters(episode, tasks[episode.task], spec.fps)
        statistics = episode.statistics | {name: rows_statistics(values[:, None]) for name, values in counters.items()}
        totals = {
            key: merged_statistics(totals[key], values) if key in totals else values
            for key, values in statistics.items()
        }
        rows.append(
            {"episode_index": episode.index, "tasks": [episode.task], "length": episode.length}
            | position
            | {f"stats/{key}/{name}": v for key, s in statistics.items() for name, v in plain_statistics(s).items()}
            | {"meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0}
            | episode.facts
        )
    path = root / "meta/episodes/chunk-000/file-000.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), path, compression="snappy")
    return totals
