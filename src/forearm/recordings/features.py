"""What a LeRobot v3.0 recording declares about itself: its features, the columns of its tables, ``info.json``."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from forearm.recordings.encoding import PIXEL_FORMAT
from forearm.recordings.objects import OBJECTS_KEY

VERSION = "v3.0"
CHUNK_FILES, DATA_FILE_MB, VIDEO_FILE_MB = 1000, 100, 200
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
STATE, ACTION = "observation.state", "action"
CAMERA_PREFIX = "observation.images."
"""What LeRobot's feature keys of cameras begin with."""
COUNTERS = {
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
}


@dataclass(frozen=True)
class RecordingSpec:
    """What is the same in every episode of a recording."""

    fps: int
    """Pictures and rows per second."""
    joints: tuple[str, ...]
    """Names of the state's dimensions, such as ``shoulder_pan.pos``."""
    action_names: tuple[str, ...]
    """Names of the action's dimensions."""
    cameras: Mapping[str, tuple[int, int]]
    """Feature key, such as ``observation.images.base``, to (height, width)."""
    robot_type: str = "so101_follower"
    """LeRobot's name of the robot."""
    units: tuple[str, ...] = ()
    """The unit of each joint, for display; LeRobot ignores it."""
    environment: tuple[str, ...] = ()
    """Names of the dimensions of ``observation.environment_state``; without any there is no such feature."""

    @property
    def vectors(self) -> dict[str, tuple[str, ...]]:
        """The features that are a vector a row, with the names of their dimensions."""
        of_all = {STATE: self.joints, ACTION: self.action_names, OBJECTS_KEY: self.environment}
        return {name: dimensions for name, dimensions in of_all.items() if dimensions}


def data_schema(spec: RecordingSpec) -> pa.Schema:
    """The data files' columns, with the note from which `datasets` knows its own types."""
    fields, notes = [], {}
    for name, dimensions in spec.vectors.items():
        width = len(dimensions)
        value = {"dtype": "float32", "_type": "Value"}
        fields.append(pa.field(name, pa.float32() if width == 1 else pa.list_(pa.float32(), width)))
        notes[name] = value if width == 1 else {"feature": value, "length": width, "_type": "Sequence"}
    for name, dtype in COUNTERS.items():
        fields.append(pa.field(name, pa.float32() if dtype == "float32" else pa.int64()))
        notes[name] = {"dtype": dtype, "_type": "Value"}
    return pa.schema(fields, {"huggingface": json.dumps({"info": {"features": notes}})})


def write_tasks(path: Path, tasks: Mapping[str, int]) -> None:
    """Write task to number as pandas would, the task being the index of its table: LeRobot looks it up there."""

    def column(name: str | None, field: str | None, kind: str, dtype: str, metadata: Any = None) -> dict[str, Any]:
        about = {"name": name, "field_name": field, "pandas_type": kind}
        return {**about, "numpy_type": dtype, "metadata": metadata}

    index = "__index_level_0__"
    note = {
        "index_columns": [index],
        "column_indexes": [column(None, None, "unicode", "object", {"encoding": "UTF-8"})],
        "columns": [column("task_index", "task_index", "int64", "int64"), column(None, index, "unicode", "object")],
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "2.2.0",
    }
    table = pa.table({"task_index": pa.array(tasks.values(), pa.int64()), index: pa.array(tasks, pa.string())})
    pq.write_table(table.replace_schema_metadata({"pandas": json.dumps(note)}), path, compression="snappy")


def info(spec: RecordingSpec, episodes: int, frames: int, tasks: int) -> dict[str, Any]:
    """``meta/info.json`` of a recording of so many episodes, frames and tasks."""
    features: dict[str, Any] = {
        name: {"dtype": "float32", "shape": [len(dimensions)], "names": list(dimensions)}
        for name, dimensions in spec.vectors.items()
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
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": tasks,
        "chunks_size": CHUNK_FILES,
        "data_files_size_in_mb": DATA_FILE_MB,
        "video_files_size_in_mb": VIDEO_FILE_MB,
        "fps": spec.fps,
        "splits": {"train": f"0:{episodes}"},
        "data_path": DATA_PATH,
        "video_path": VIDEO_PATH,
        "features": features,
    }
