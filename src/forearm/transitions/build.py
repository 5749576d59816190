"""From recordings to a dataset of transitions."""

import contextlib
import dataclasses
import datetime
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from forearm.base.errors import ForearmError
from forearm.base.files import require_absent, writing_folder
from forearm.base.hub import at_revision
from forearm.base.processes import cores
from forearm.canvas import (
    PRESETS,
    ActionDimension,
    Camera,
    Layout,
    action_codes,
    dominant_dimensions,
    plain,
)
from forearm.canvas.layout import with_weakest_origins
from forearm.recordings import Recording, lines_by_recording, open_recording
from forearm.recordings.episode import chosen
from forearm.recordings.units import doubtful_units
from forearm.transitions.bounds import Bounds, bounded, read_bounds
from forearm.transitions.frames import RAW_BYTES, chosen_storage
from forearm.transitions.meaning import Commands, find_meaning
from forearm.transitions.pace import choose_step
from forearm.transitions.parts import Job, Part, gathering, plan_of
from forearm.transitions.plan import (
    discretised,
    joints_of,
    like,
    only_jitter,
    resting_values,
    seconds_in_rows,
    typical_steps,
)
from forearm.transitions.settings import Actions, BuildConfig
from forearm.transitions.split import split_episodes
from forearm.transitions.store import Columns, TransitionSet, TransitionWriter, groups_of

SAME_LOOK = 2.0
"""The looks of two copies of an episode may differ by so many grey levels."""
MUCH = 5_000
"""So many rows and more are read by one process a core, unless something else is asked for."""
PLANNED = 4
"""Episodes of a recording by which the number of its frames is estimated."""
NAMED = 3
"""Reasons for skipped episodes that a refusal tells."""


@dataclass
class BuildProgress:
    """How far a build has come."""

    recording: str = ""
    """The recording that is being read."""
    episode: int = 0
    """Episodes that are done, read or skipped."""
    episodes: int = 0
    """Episodes of all recordings."""
    frames: int = 0
    """Frames that are stored."""
    transitions: int = 0
    """Transitions that are found."""
    skipped: list[tuple[str, int, str]] = field(default_factory=list)
    """(recording, episode, reason) of each skipped episode."""
    notes: list[tuple[str, int, str]] = field(default_factory=list)
    """(recording, episode, note) of what does not fit in episodes that are used, such as a clock that drifts."""

    def note_lines(self) -> list[str]:
        """A line for each note, with the episodes that it is about."""
        return lines_by_recording(self.notes)

    def skipped_lines(self) -> list[str]:
        """A line for each reason for which episodes of a recording were skipped."""
        return lines_by_recording(self.skipped)


@dataclass
class _Gathered:
    """What the recordings have given so far."""

    frames: list[np.ndarray] = field(default_factory=list)
    actions: list[np.ndarray] = field(default_factory=list)
    dimensions: list[np.ndarray] = field(default_factory=list)
    numbers: list[np.ndarray] = field(default_factory=list)
    episodes: list[dict[str, Any]] = field(default_factory=list)
    deltas: dict[int, float] = field(default_factory=dict)
    moments: dict[tuple[Path, int], int] = field(default_factory=dict)
    commands: Commands | None = None
    """What the actions of the recording that is being read are, where these are used."""
    duration: float | None = None
    """Seconds of an action, where logs say it."""
    seen: dict[str, list[tuple[str, np.ndarray]]] = field(default_factory=dict)


def build(
    sources: str | Path | Sequence[str | Path],
    out: Path | str,
    config: BuildConfig = BuildConfig(),  # noqa: B008 (frozen)
    report: Callable[[BuildProgress], None] = lambda progress: None,
    processes: int | None = 1,
) -> TransitionSet:
    """Read recordings (folders or Hub ids) and write a dataset of transitions to ``out``.

    Memory stays bounded however long the recordings are: a frame is written as soon as it is decoded. Parts of the
    dataset gather in ``.NAME.parts`` beside ``out`` until all are there; after an interruption the same call goes on.

    Args:
        sources: one recording or several.
        out: the folder to write; it must not exist.
        config: how recordings become transitions.
        report: is called with the progress after every episode, read or skipped.
        processes: how many read episodes, which changes nothing but the time; more than one start this program anew
            and need a main module that may be imported. None: one a core where there is much to do.

    Raises:
        ForearmError: nothing usable, recordings that do not fit together, or a target that cannot be written.
    """
    out = Path(out)
    require_absent(out)  # before anything is downloaded or decoded
    given = [sources] if isinstance(sources, str | Path) else sources
    sources = [at_revision(source, config.revision) for source in given]
    if len(sources) > 1 and (config.episodes or config.exclude):
        raise ForearmError("--episodes and --exclude need a single recording; build each, then combine them")
    recordings = [
        open_recording(source, follow_links=config.follow_links, episodes=config.episodes, exclude=config.exclude)
        for source in sources
    ]
    first = recordings[0]
    cameras = _cameras(first, config)
    mode, commands, why = _mode(recordings, config)
    _require_effect(config, recordings, cameras, mode)
    for number, recording in enumerate(recordings[1:], 1):
        _require_alike(recording, first, cameras)
        _require_equal_units(recording, first, config)
        if any(recording.root.samefile(other.root) for other in recordings[:number]):
            raise ForearmError(f"{recording.name} is given twice; its frames would train and validate")
    config, paced = _completed(config, recordings, cameras, mode)
    if mode != "log" and config.step is not None:
        _require_step(recordings, config.step)
    bounds = read_bounds(config.bounds) if config.bounds else None
    geometry = _geometry(recordings, cameras, config)
    used = [
        chosen([each.index for each in recording.listed], config.episodes, config.exclude, recording.name)
        for recording in recordings
    ]
    progress = BuildProgress(episodes=sum(map(len, used)))
    gathered = _Gathered()

    frame_shape = (geometry.frame_height, geometry.frame_width, 3)
    estimate = _frames_about(recordings, used, commands, cameras, mode, config, RAW_BYTES / np.prod(frame_shape))
    storage, kept = chosen_storage(config.storage, estimate, frame_shape)
    workers, parts = _workers(processes, recordings, used), out.with_name(f".{out.name}.parts")
    roots = tuple((str(recording.root), recording.name) for recording in recordings)
    job = Job(roots, tuple(commands), cameras, mode, config, geometry, storage, parts)
    with (
        _refusing(parts, progress),
        writing_folder(out) as folder,
        TransitionWriter(folder, frame_shape, storage) as writer,
        gathering(job, recordings, used, workers) as gathered_parts,
    ):
        unreadable: dict[int, str] = {}
        for number, index, part in gathered_parts:
            recording, gathered.commands = recordings[number], commands[number]
            progress.recording = recording.name
            if "skipped" in part.told:
                unreadable[index] = part.told["skipped"]
            reason = unreadable.get(index) or _add(recording, index, part, writer, gathered)
            if reason:
                progress.skipped.append((recording.name, index, reason))
            else:
                progress.notes += [(recording.name, index, note) for note in part.told["notes"]]
            progress.episode += 1
            progress.frames, progress.transitions = len(writer), sum(map(len, gathered.frames))
            report(progress)
            if index == used[number][-1]:
                _require_any(recording, unreadable, used[number])
                unreadable = {}
        try:
            if not gathered.frames:
                raise ForearmError(_nothing(recordings, mode, config))
            layout, table, beyond = _tabulate(first, geometry, mode, config, gathered, writer.states(), bounds)
        except ForearmError as error:
            raise ForearmError(f"{error}{_of_skipped(progress)}") from error
        facts = _facts(recordings, config, mode, progress, commands, why + paced + kept + _fetched(recordings), beyond)
        writer.finish(layout, table, gathered.episodes, facts)
    return TransitionSet(out)


def _fetched(recordings: Sequence[Recording]) -> list[str]:
    """What may be chosen otherwise by a whole recording, of which only a part was fetched from the Hub."""
    return [
        f"{len(each.episodes)} of {len(each.listed)} episodes of {each.name} were fetched; choices rest on them alone: "
        "give --step and --action-is to choose alike for others"
        for each in recordings
        if len(each.episodes) < len(each.listed)
    ]


def _frames_about(
    recordings: Sequence[Recording],
    used: Sequence[Sequence[int]],
    commands: Sequence[Commands | None],
    cameras: Sequence[str],
    mode: Actions,
    config: BuildConfig,
    enough: float,
) -> float:
    """About how many frames recordings give: no more than they have rows or, if that is more than ``enough``, by the
    plans of some episodes of each.
    """
    rows = [sum(e.length for e in r.episodes if e.index in set(own)) for r, own in zip(recordings, used, strict=True)]
    if sum(rows) <= enough or config.storage != "auto":
        return sum(rows)
    frames = 0.0
    for recording, indices, meant, length in zip(recordings, used, commands, rows, strict=True):
        some = {indices[place] for place in np.linspace(0, len(indices) - 1, PLANNED).astype(int)}
        read = planned = 0
        with contextlib.suppress(ForearmError):  # what cannot be read is told of when all are
            for episode in recording.read(cameras, on_skip=lambda index, reason: None, episodes=some):
                plan = plan_of(recording, episode, mode, config, meant)
                read, planned = read + len(episode), planned + len(np.unique(plan.frames))
        frames += length * (planned / read if read else 1)
    return frames


def _cameras(recording: Recording, config: BuildConfig) -> tuple[str, ...]:
    """Feature keys of the cameras asked for, by key or by its last part."""
    if not config.cameras:
        return recording.cameras
    keys = {_short(key): key for key in recording.cameras} | {key: key for key in recording.cameras}
    for name in config.cameras:
        if name not in keys:
            raise ForearmError(
                f"{recording.name} has no camera {name!r}; it has {', '.join(map(_short, recording.cameras))}"
            )
    chosen = tuple(keys[name] for name in config.cameras)
    if len(set(chosen)) < len(chosen):
        raise ForearmError(f"cameras are {', '.join(config.cameras)}; name each once")
    return chosen


def _short(camera: str) -> str:
    return camera.removeprefix("observation.images.").removeprefix("observation.")


def _require_alike(recording: Recording, first: Recording, cameras: tuple[str, ...]) -> None:
    for what, here, there in (
        ("joints", recording.joints, first.joints),
        ("cameras", sorted(set(cameras) & set(recording.cameras)), sorted(cameras)),
    ):
        _require_equal(recording, first, what, here, there)


def _require_equal(
    recording: Recording, first: Recording, what: str, here: Sequence[str], there: Sequence[str]
) -> None:
    if list(here) != list(there):
        raise ForearmError(
            f"{recording.name} has {what} {', '.join(here) or 'none of these'}, but {first.name} has "
            f"{', '.join(there)}; build them apart"
        )


def _require_equal_units(recording: Recording, first: Recording, config: BuildConfig) -> None:
    for here, there in zip(joints_of(recording, config.units), joints_of(first, config.units), strict=True):
        if here.unit != there.unit:
            raise ForearmError(
                f"{here.name} is in {here.unit or 'no unit'} ({here.unit_origin}) in {recording.name}, but in "
                f"{there.unit or 'no unit'} ({there.unit_origin}) in {first.name}; build them apart, or say with "
                "--units what both are in"
            )


def _unit_warnings(recordings: Sequence[Recording], config: BuildConfig) -> list[str]:
    """A line for each recording whose values do not look like the unit that they are said to be in."""
    ranges = {
        "rad": "never leave ±2π, so they look like radians",
        "deg": "go far beyond ±2π, so they look like degrees",
    }
    return [
        f"joints of {recording.name} are said to be in {unit}, but {ranges.get(other, 'look like ticks')}: check "
        "--units, since actions and motions of a robot are in this unit"
        for recording in recordings
        for unit, other in doubtful_units(
            [joint.unit for joint in joints_of(recording, config.units)], recording.guessed_units
        ).items()
    ]


def _mode(recordings: Sequence[Recording], config: BuildConfig) -> tuple[Actions, Sequence[Commands | None], list[str]]:
    """What the actions are, what the commands of each recording are, and what was chosen, with the reason."""
    none = [None] * len(recordings)
    if config.actions in ("command", "column"):
        return "command", _commands(recordings, config), []
    if config.actions != "auto":
        return config.actions, none, []
    logged = [recording.has_logs for recording in recordings]
    if any(logged) and not all(logged):
        unlogged = recordings[logged.index(False)].name
        raise ForearmError(
            f"{unlogged} has no discrete-action log but others have; build them apart, or with --actions change"
        )
    if all(logged):
        return "log", none, []
    if not any(recording.action_names for recording in recordings):
        return "change", none, []
    try:
        commands = _commands(recordings, config)
    except ForearmError as error:
        return "change", none, [f"actions are how the joints changed, as their commands are not understood: {error}"]
    for recording, found in zip(recordings, commands, strict=True):
        without = [plain(recording.joints[joint]) for joint in found.uncommanded]
        if len(without) > len(set(found.joints) - {-1}):
            why = f"in {recording.name} most joints that move have no command: {', '.join(without)}"
            return "change", none, [f"actions are how the joints changed; {why}"]
    return "command", commands, []


def _completed(
    config: BuildConfig, recordings: Sequence[Recording], cameras: Sequence[str], mode: Actions
) -> tuple[BuildConfig, list[str]]:
    """The settings with those that are chosen by the data, and why they were chosen."""
    if mode == "log":
        return dataclasses.replace(config, history=config.history or 2), []
    chosen = []
    if config.step is None:
        step, why = choose_step(recordings, cameras, config.stride)
        config, chosen = dataclasses.replace(config, step=step), [f"a step is {why}"]
    assert config.step is not None
    lengths = [episode.length / recording.fps for recording in recordings for episode in recording.episodes]
    enough = mode != "dominant" and np.median(lengths) > 2 * config.step
    return dataclasses.replace(config, history=config.history or (3 if enough else 2)), chosen


def _require_effect(
    config: BuildConfig, recordings: Sequence[Recording], cameras: tuple[str, ...], mode: Actions
) -> None:
    """Refuse settings that change nothing about these recordings."""
    timed = (config.step, config.stride) != (BuildConfig.step, BuildConfig.stride)
    if timed and mode == "log" and any(recording.has_logs for recording in recordings):
        raise ForearmError("--step and --stride have no effect with a discrete-action log, which brings its own")
    if config.trim_idle and mode == "log":
        raise ForearmError("--trim-idle has no effect with a discrete-action log, which says when something happens")
    if len(cameras) == 1 and config.stacking != BuildConfig.stacking:
        raise ForearmError(f"--stacking has no effect with one camera, {_short(cameras[0])}; leave it out")


def _commands(recordings: Sequence[Recording], config: BuildConfig) -> list[Commands]:
    """What the actions of each recording are, alike in all but their offsets and delays."""
    for recording in recordings[1:]:
        _require_equal(recording, recordings[0], "actions", recording.action_names, recordings[0].action_names)
    found = [find_meaning(each, config.action_is) for each in recordings]
    first = found[0]
    for recording, commands in zip(recordings, found, strict=True):
        if commands.meaning != first.meaning:
            raise ForearmError(
                f"the actions of {recording.name} are {commands.found}, those of {recordings[0].name} {first.found}; "
                "build them apart, or say what they are with --action-is"
            )
        if commands.joints != first.joints:
            apart = [a for a, b, c in zip(recording.action_names, commands.joints, first.joints, strict=True) if b != c]
            raise ForearmError(
                f"joints answer {', '.join(apart)} otherwise in {recording.name} than in {recordings[0].name}; build "
                f"them apart, with --actions change, or with --action-is {first.meaning} if it means the same in both"
            )
    return found


def _geometry(recordings: Sequence[Recording], cameras: tuple[str, ...], config: BuildConfig) -> Layout:
    """The layout but for bounds and actions, which only the data can tell."""
    preset = PRESETS[config.preset]
    side = preset.camera if config.size is None else config.size
    return Layout(
        cameras=tuple(
            Camera(_short(key), side, side, recordings[0].camera_size(key), recordings[0].fps, config.fit)
            for key in cameras
        ),
        joints=with_weakest_origins([joints_of(recording, config.units) for recording in recordings]),
        actions=(ActionDimension("unknown"),),
        patch=preset.patch,
        separator=preset.separator,
        history=config.history or 2,
        stacking=config.stacking,
    )


def _add(recording: Recording, index: int, part: Part, writer: TransitionWriter, gathered: _Gathered) -> str:
    """Put an episode's part into the dataset; why it is left out, if it is."""
    told, arrays = part.told, part.arrays
    if "joint" in told:
        _require_one_log(recording, index, told, gathered)
    if not part.arrays:
        return ""
    if copied := _copied(f"episode {index} of {recording.name}", part, gathered):
        return f"it is a copy of {copied}"
    before, names = len(writer), told.get("objects", [])
    for place, picture in enumerate(part.pictures()):
        objects = dict(zip(names, arrays["objects"][place], strict=True)) if names else None
        writer.append_coded(picture, arrays["states"][place], objects, arrays["digests"][place].tobytes())
    writer.add_errors(told["errors"], told["measured"])
    gathered.frames.append(before + arrays["frames"])
    gathered.actions.append(arrays["actions"])
    gathered.dimensions.append(arrays["dimensions"])
    gathered.numbers.append(np.full(len(arrays["frames"]), len(gathered.episodes)))
    gathered.episodes.append(
        {
            "recording": recording.name,
            "index": index,
            **{name: told[name] for name in ("task", "session", "scene", "fingerprint")},
            "moment": _moment(recording, told["moment"], gathered),
        }
    )
    return ""


def _require_one_log(recording: Recording, index: int, told: Mapping[str, Any], gathered: _Gathered) -> None:
    """Refuse an episode whose log has actions of another duration, or moves a joint by something else, than others."""
    gathered.duration = told["duration"] if gathered.duration is None else gathered.duration
    if told["duration"] != gathered.duration:
        raise ForearmError(
            f"{recording.name} episode {index} has actions of {told['duration']:g} s, others of "
            f"{gathered.duration:g} s; build them apart"
        )
    known = gathered.deltas.setdefault(told["joint"], told["delta"])
    if known != told["delta"]:
        raise ForearmError(
            f"{recording.name} episode {index} moves {recording.joints[told['joint']]} by "
            f"{told['delta']}, others by {known}; build them apart"
        )


def _copied(name: str, part: Part, gathered: _Gathered) -> str:
    """The earlier episode, if any, whose joints moved exactly alike before the same pictures: a copy might validate
    what the other trains. (Joints that stand still are alike in many episodes.)
    """
    if part.told["still"]:
        return ""
    looks = part.arrays["looks"]
    others = gathered.seen.setdefault(part.told["motion"], [])
    for other, its_looks in others:
        if its_looks.shape == looks.shape and np.abs(its_looks - looks).mean() < SAME_LOOK:
            return other
    others.append((name, looks))
    return ""


def _require_any(recording: Recording, unreadable: Mapping[int, str], used: Sequence[int]) -> None:
    """Refuse a recording of which no episode can be read."""
    if len(unreadable) == len(used):
        index, reason = next(iter(unreadable.items()))
        raise ForearmError(f"{recording.root}: no episode can be read; episode {index}: {reason}")


def _workers(processes: int | None, recordings: Sequence[Recording], used: Sequence[Sequence[int]]) -> int:
    """How many processes work: as many as asked for, else one a core where there is much to do."""
    if processes is not None:
        if processes < 1:
            raise ForearmError(f"processes is {processes}; choose at least 1")
        return min(processes, sum(map(len, used)))
    rows = sum(e.length for r, own in zip(recordings, used, strict=True) for e in r.episodes if e.index in set(own))
    return min(cores(), sum(map(len, used))) if rows >= MUCH else 1


@contextlib.contextmanager
def _refusing(folder: Path, progress: BuildProgress) -> Iterator[None]:
    """Leave nothing of a build that was refused, and say of one that was interrupted how it goes on."""
    try:
        yield
    except ForearmError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"stopped after {progress.episode} of {progress.episodes} episodes; run the same command again to go on"
        ) from None


def _moment(recording: Recording, number: object, gathered: _Gathered) -> int | None:
    """The dataset's number for a moment that a recording numbers, if it does."""
    if not isinstance(number, int):
        return None
    return gathered.moments.setdefault((recording.root, number), len(gathered.moments))


def _tabulate(
    recording: Recording,
    geometry: Layout,
    mode: Actions,
    config: BuildConfig,
    gathered: _Gathered,
    states: np.ndarray,
    bounds: Bounds | None,
) -> tuple[Layout, Columns, list[str]]:
    """Split the episodes, and from the training part learn what a value of 1 means and the joints' bounds.

    The last part of the result are warnings of joints that leave the bounds given.
    """
    frames, actions = np.concatenate(gathered.frames), np.concatenate(gathered.actions)
    dimensions, episodes = np.concatenate(gathered.dimensions), np.concatenate(gathered.numbers)
    groups = groups_of(gathered.episodes)[episodes]
    commands = gathered.commands
    names = geometry.joint_names if commands is None else tuple(map(plain, recording.action_names))
    driven = range(len(names)) if commands is None else commands.joints
    joints = [geometry.joints[joint] if joint >= 0 else None for joint in driven]
    if mode == "log":
        kept = np.unique(dimensions)
        actions, dimensions = actions[..., kept], np.searchsorted(kept, dimensions)
        scales, zeros = np.array([gathered.deltas[joint] for joint in kept]), np.zeros(len(kept), np.float32)
        names, joints = tuple(names[joint] for joint in kept), [joints[joint] for joint in kept]
        validation = split_episodes(groups, _kinds(actions / scales, dimensions), config.val, config.seed)
    else:
        ranges = np.ptp(states[frames], axis=(0, 1)) if mode != "command" else None
        if mode != "command":
            actions = np.where(only_jitter(states, frames, episodes), np.float32(0), actions)
        guess = actions / typical_steps(actions, ranges)
        dimensions = dominant_dimensions(guess[:, -1])
        validation = split_episodes(groups, _kinds(guess, dimensions), config.val, config.seed)
        training = _training(validation)
        zeros = np.where(np.array(driven) < 0, resting_values(actions[training]), np.float32(0))
        actions = actions - zeros
        ranges = None if ranges is None else np.ptp(states[frames[training]], axis=(0, 1))
        scales = typical_steps(actions[training], ranges)
        dimensions = dominant_dimensions(actions[:, -1] / scales)
        if mode == "dominant":
            actions = discretised(actions, scales, config.dead_band)
    driving = tuple(
        ActionDimension(
            plain(name), joint.name if joint else None, joint.unit if joint else "", float(scale), float(zero)
        )
        for name, joint, scale, zero in zip(names, joints, scales, zeros, strict=True)
    )
    rows = max(1, round((config.step or 0) * recording.fps))
    layout = dataclasses.replace(
        geometry,
        actions=driving,
        action_is=commands.meaning if commands else None,
        discrete=mode in ("log", "dominant"),
        action_duration=gathered.duration if mode == "log" else rows / recording.fps,
    )
    layout, beyond = bounded(layout, states[frames[_training(validation)]], bounds)
    table = Columns(frames, actions.astype(np.float32), dimensions.astype(np.int64), episodes, validation)
    return layout, table, beyond


def _require_step(recordings: Sequence[Recording], step: float) -> None:
    """Refuse a step that lasts otherwise in a recording's rows: a model would take it for one of that time."""
    for recording in recordings:
        lasts = seconds_in_rows(step, recording.fps)
        if not like(lasts, step):
            raise ForearmError(
                f"a step of {step:.3g} s lasts {lasts:.3g} s in {recording.name}, which has {recording.fps:g} frames a "
                f"second; give a --step that its rows have, such as {lasts:.3g}"
            )


def _training(validation: np.ndarray) -> np.ndarray:
    """Rows that bounds may be learned from: the training part, or everything in a pure test set."""
    return np.flatnonzero(~validation) if not validation.all() else np.arange(len(validation))


def _kinds(values: np.ndarray, dimensions: np.ndarray) -> np.ndarray:
    """A number for each (dimension, code) that a last action can be, (N,) int64."""
    return dimensions * 3 + action_codes(values[:, -1])


def _nothing(recordings: Sequence[Recording], mode: Actions, config: BuildConfig) -> str:
    names = ", ".join(recording.name for recording in recordings)
    if mode == "log":
        return f"no transition in {names}: no readable episode has a logged decision whose outcome was recorded"
    trimmed, other = (" without its pauses", ", or leave out --trim-idle") if config.trim_idle else ("", "")
    short = f"every readable episode{trimmed} is shorter than {config.step} seconds"
    return f"no transition in {names}: {short}; lower --step{other}"


def _of_skipped(progress: BuildProgress) -> str:
    """Why episodes were skipped, to end a refusal with: they may be what is missing."""
    lines = progress.skipped_lines()
    more = f"; and {len(lines) - NAMED} more reasons" if len(lines) > NAMED else ""
    return f". Skipped: {'; '.join(lines[:NAMED])}{more}" if lines else ""


def _facts(
    recordings: Sequence[Recording],
    config: BuildConfig,
    mode: Actions,
    progress: BuildProgress,
    commands: Sequence[Commands | None],
    choices: list[str],
    beyond: list[str],
) -> dict[str, Any]:
    settings = {name: value for name, value in dataclasses.asdict(config).items() if value is not None}
    return {
        "built": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "recordings": [
            {"name": r.name, "version": r.version, "fps": r.fps, **({"offsets": list(c.offsets)} if c else {})}
            for r, c in zip(recordings, commands, strict=True)
        ],
        "actions": mode,
        **({"commands": "; ".join(dict.fromkeys(each.found for each in commands if each))} if any(commands) else {}),
        "choices": choices,
        "warnings": [*_unit_warnings(recordings, config), *beyond],
        "settings": {name: str(value) if isinstance(value, Path) else value for name, value in settings.items()},
        "skipped": [{"recording": r, "episode": e, "reason": why} for r, e, why in progress.skipped],
        "notes": [{"recording": r, "episode": e, "note": what} for r, e, what in progress.notes],
    }
