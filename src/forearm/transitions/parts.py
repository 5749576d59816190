"""The part of a dataset that one episode gives: gathered by one of several processes, kept until the dataset is whole.

Parts lie in ``.NAME.parts`` beside the dataset: for each episode its coded frames and a ``.npz`` file, which is there
once the part is whole. So a build that was interrupted goes on where it stopped.
"""

import dataclasses
import functools
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from forearm.base.errors import ForearmError
from forearm.base.processes import working
from forearm.canvas import Layout, cut_or_padded, scaled_size
from forearm.recordings import Episode, EpisodeUnreadable, Recording, video
from forearm.recordings.audit import runs
from forearm.recordings.idle import active_rows
from forearm.transitions.fingerprint import fingerprint, look, picture_digest
from forearm.transitions.frames import CHECKED, coded, squared_error
from forearm.transitions.meaning import Commands, taken
from forearm.transitions.objects import object_rows
from forearm.transitions.plan import (
    NO_PLAN,
    EpisodePlan,
    as_pictured,
    changes,
    faulty_readings,
    like,
    plan_every,
    plan_from_log,
    seconds_in_rows,
    without_rows,
)
from forearm.transitions.settings import Actions, BuildConfig, Storage

LOOK_EVERY = 16
"""Copies of episodes are recognised by every so many frames."""
CHUNKS = 16
"""A process is given its episodes of a recording in so many stretches, in each of which videos are decoded forward."""


@dataclass(frozen=True)
class Job:
    """What a process has to know to gather any episode."""

    sources: tuple[tuple[str, str], ...]
    """Folder and name of each recording."""
    commands: tuple[Commands | None, ...]
    """What the actions of each recording are, where these are used."""
    cameras: tuple[str, ...]
    """Their feature keys."""
    mode: Actions
    config: BuildConfig
    """With all that was chosen by the data."""
    geometry: Layout
    storage: Storage
    folder: Path
    """Of the parts."""

    def file(self, number: int, index: int) -> Path:
        """Where the part of an episode of a recording is, once it is whole."""
        return self.folder / f"{number}_{index}.npz"

    def identity(self, recordings: Sequence[Recording]) -> str:
        """What tells this job, on the files as they are, from any other."""
        told = {**dataclasses.asdict(self), "folder": None, "geometry": self.geometry.to_json()}
        found = [
            (str(path), path.stat().st_size, path.stat().st_mtime_ns)
            for recording in recordings
            for path in sorted(recording.root.rglob("*"))
            if path.is_file()
        ]
        return hashlib.sha256(json.dumps([told, found], default=str).encode()).hexdigest()


@dataclass(frozen=True)
class Part:
    """What one episode gives: its n frames, coded, and m transitions."""

    told: dict[str, Any]
    """``skipped``, why it cannot be read; or ``notes``, ``task`` and what it is known by."""
    arrays: dict[str, np.ndarray]
    path: Path

    def pictures(self) -> Iterator[bytes]:
        """The coded frames in order."""
        with self.path.with_suffix(".bin").open("rb") as file:
            for size in self.arrays["sizes"].tolist():
                yield file.read(size)


def read_part(path: Path) -> Part | None:
    """A part that was written; None where it is not whole."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        told = json.loads(arrays.pop("told").tobytes())
        frames = path.with_suffix(".bin")
        whole = frames.stat().st_size == arrays["sizes"].sum() if "sizes" in arrays else not frames.exists()
        return Part(told, arrays, path) if whole else None
    except (OSError, ValueError, KeyError, EOFError):
        return None


@contextmanager
def gathering(
    job: Job, recordings: Sequence[Recording], used: Sequence[Sequence[int]], processes: int
) -> Iterator[Iterator[tuple[int, int, Part]]]:
    """Give an iterator over (recording's number, episode's index, part) of all episodes to use, in order.

    Parts that an interrupted build of the same job left are not gathered again; once the block succeeds they are
    removed.
    """
    mark, identity = job.folder / "job", job.identity(recordings)
    if not (mark.is_file() and mark.read_text() == identity):
        shutil.rmtree(job.folder, ignore_errors=True)
        job.folder.mkdir()
        mark.write_text(identity)
    missing = [[i for i in own if read_part(job.file(n, i)) is None] for n, own in enumerate(used)]
    if processes > 1:
        with working(processes, _prepare) as pool:
            yield _by_processes(job, used, missing, pool, processes)
    else:
        yield _here(job, recordings, used, missing)
    shutil.rmtree(job.folder, ignore_errors=True)


def _here(
    job: Job, recordings: Sequence[Recording], used: Sequence[Sequence[int]], missing: Sequence[Sequence[int]]
) -> Iterator[tuple[int, int, Part]]:
    for number, own in enumerate(used):
        lacking = set(missing[number])
        gathered = _gather(job, recordings[number], number, missing[number])
        for index in own:
            while index in lacking:
                lacking.discard(next(gathered))
            yield number, index, _whole(job, number, index)


def _by_processes(
    job: Job,
    used: Sequence[Sequence[int]],
    missing: Sequence[Sequence[int]],
    pool: ProcessPoolExecutor,
    processes: int,
) -> Iterator[tuple[int, int, Part]]:
    pending: dict[tuple[int, int], Future[None]] = {}
    for number, lacking in enumerate(missing):
        size = max(1, -(-len(lacking) // (CHUNKS * processes)))
        for start in range(0, len(lacking), size):
            stretch = lacking[start : start + size]
            pending |= dict.fromkeys(((number, i) for i in stretch), pool.submit(_gather_stretch, job, number, stretch))
    for number, own in enumerate(used):
        for index in own:
            if (number, index) in pending:
                pending[number, index].result()
            yield number, index, _whole(job, number, index)


def _whole(job: Job, number: int, index: int) -> Part:
    part = read_part(job.file(number, index))
    assert part is not None
    return part


def _prepare() -> None:
    video.THREADS = 1  # the other cores have processes of their own


@functools.lru_cache(maxsize=2)
def _opened(root: str, name: str, follow_links: bool) -> Recording:
    return Recording(Path(root), name, follow_links)


def _gather_stretch(job: Job, number: int, indices: Sequence[int]) -> None:
    for _ in _gather(job, _opened(*job.sources[number], job.config.follow_links), number, indices):
        pass


def _gather(job: Job, recording: Recording, number: int, indices: Sequence[int]) -> Iterator[int]:
    """Write the parts of some episodes in order; give the index of each that is written."""
    skipped: dict[int, str] = {}
    left = list(indices)

    def skip(index: int, reason: str) -> None:
        skipped.setdefault(index, reason)

    def write_skipped(before: int | None) -> Iterator[int]:
        while left and left[0] != before:
            index = left.pop(0)
            _write(job.file(number, index), {"skipped": skipped[index]}, {})
            yield index

    def readable() -> Iterator[Episode]:
        try:
            yield from recording.read(job.cameras, on_skip=skip, episodes=indices)
        except ForearmError:
            if skipped.keys() < set(indices):  # else none of these can be read, which is told of as skipped
                raise

    for episode in readable():
        yield from write_skipped(episode.index)
        try:
            told, arrays = _stored(job, recording, number, episode)
        except EpisodeUnreadable as error:
            job.file(number, episode.index).with_suffix(".bin").unlink(missing_ok=True)
            skip(episode.index, str(error))
            continue
        left.pop(0)
        _write(job.file(number, episode.index), told, arrays)
        yield episode.index
    yield from write_skipped(None)


def _write(path: Path, told: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    beside = path.with_suffix(".new")
    text = np.frombuffer(json.dumps(told, default=str).encode(), np.uint8)
    with beside.open("wb") as file:
        np.savez(file, told=text, **arrays)  # type: ignore[arg-type]
    os.replace(beside, path)


def plan_of(
    recording: Recording, episode: Episode, mode: Actions, config: BuildConfig, commands: Commands | None
) -> EpisodePlan:
    """The transitions of an episode."""
    joints, history = len(recording.joints), config.history or 2
    if mode == "log":
        if episode.log is None:
            return NO_PLAN
        joint, lasts = recording.joint_index(episode.log.joint_name), episode.log.action_duration
        if not like(seconds_in_rows(lasts, recording.fps), lasts):
            raise ForearmError(
                f"{recording.name}: an action in the log of episode {episode.index} lasts {lasts:.3g} s, which rows at "
                f"{recording.fps:g} frames a second do not have; leave the episode out, or build with --actions change"
            )
        return plan_from_log(episode, joint, joints, recording.fps, history)
    step, stride = (max(1, round(seconds * recording.fps)) for seconds in (config.step or 0, config.stride))
    kept = active_rows(episode.states, recording.units, recording.fps) if config.trim_idle else slice(0, len(episode))
    frames = plan_every(kept.start, kept.stop, step, stride, history)
    if commands is None:
        return EpisodePlan(frames, changes(episode, frames), np.full(len(frames), -1))
    if episode.actions is None:
        return NO_PLAN
    return EpisodePlan(
        frames, taken(commands, episode.states, episode.actions, frames, recording.fps), np.full(len(frames), -1)
    )


def _stored(job: Job, recording: Recording, number: int, read: Episode) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Store the frames of an episode, and say the rest of its part.

    Raises:
        EpisodeUnreadable: it cannot be read to its end.
    """
    lag = job.config.camera_lag * recording.fps
    episode = dataclasses.replace(read, states=as_pictured(read.states, lag))
    faulty = as_pictured(faulty_readings(read.states).astype(np.float32), lag) > 0
    plan = plan_of(recording, episode, job.mode, job.config, job.commands[number])
    plan = without_rows(plan, np.any(faulty, axis=1))
    notes = dict.fromkeys(pairing.note for pairing in read.pairings.values() if pairing.note)
    notes |= dict.fromkeys(
        f"{name} reads {episode.states[first, joint]:g} in "
        + (f"row {first}" if stop == first + 1 else f"rows {first} to {stop - 1}")
        + ", which no joint can: its transitions are left out"
        for joint, name in enumerate(recording.joints)
        for first, stop in runs(faulty[:, joint])
    )
    told: dict[str, Any] = {"notes": list(notes)}
    if job.mode == "log" and episode.log is not None:
        told["joint"] = recording.joint_index(episode.log.joint_name)
        told["delta"], told["duration"] = episode.log.position_delta, episode.log.action_duration
    if not len(plan.frames):
        return told, {}
    rows, places = np.unique(plan.frames, return_inverse=True)
    arrays = _with_frames(job, recording, episode, rows, job.file(number, episode.index).with_suffix(".bin"), told)
    scene = episode.facts.get("session_seed")
    scene = scene if isinstance(scene, int) and abs(scene) < 2**63 else None
    actions = b"" if episode.actions is None else episode.actions.tobytes()
    ends = arrays.pop("ends")
    told |= {
        "task": episode.task,
        "session": episode.facts.get("session"),
        "scene": scene,
        "moment": episode.facts.get("moment"),
        "fingerprint": fingerprint(read.states, ends[0], ends[-1], scene),
        "motion": hashlib.sha256(episode.states.tobytes() + actions).hexdigest(),
        "still": not np.ptp(episode.states, axis=0).any(),
    }
    planned = {"frames": places.reshape(plan.frames.shape), "actions": plan.actions, "dimensions": plan.dimensions}
    return told, arrays | planned | {"states": episode.states[rows]}


def _with_frames(
    job: Job, recording: Recording, episode: Episode, rows: np.ndarray, path: Path, told: dict[str, Any]
) -> dict[str, np.ndarray]:
    """Decode the pictures of some rows, code them as frames and write these; what is known of them comes back."""
    layouts = dict(zip(job.cameras, job.geometry.cameras, strict=True))
    recorded = {camera: recording.camera_size(key) for key, camera in layouts.items()}
    sizes = {key: scaled_size(recorded[camera], camera) for key, camera in layouts.items()}
    axis = 0 if job.geometry.stacking == "vertical" else 1
    lengths: list[int] = []
    digests: list[np.ndarray] = []
    looks: list[np.ndarray] = []
    ends: list[np.ndarray] = []
    errors = measured = 0
    with path.open("wb") as file:
        for place, (_, pictures) in enumerate(episode.pictures(rows.tolist(), sizes)):
            frame = np.concatenate([cut_or_padded(pictures[key], layouts[key]) for key in job.cameras], axis=axis)
            picture = coded(frame, job.storage)
            lengths.append(file.write(picture))
            digests.append(np.frombuffer(picture_digest(frame), np.uint8))
            if place % LOOK_EVERY == 0:
                looks.append(look(frame).astype(np.float32))
            if place % CHECKED == 0 and job.storage != "raw":
                errors, measured = errors + squared_error(frame, picture), measured + frame.size
            ends = [*ends[:1], frame]
    told |= {"errors": errors, "measured": measured}
    arrays: dict[str, np.ndarray] = {
        "sizes": np.array(lengths, np.int64),
        "digests": np.stack(digests),
        "looks": np.stack(looks),
        "ends": np.stack(ends),
    }
    if episode.objects:
        values = object_rows(episode.objects, recording.objects, recorded, job.config.camera_lag * recording.fps)
        told["objects"] = list(values[0])
        arrays["objects"] = np.stack([[values[row][name] for name in told["objects"]] for row in rows.tolist()])
    return arrays
