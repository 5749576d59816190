"""Several datasets become one, their strips drawn anew with common bounds."""

import dataclasses
import datetime
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from forearm.base.errors import ForearmError
from forearm.base.files import writing_folder
from forearm.canvas import ActionDimension
from forearm.canvas.layout import with_weakest_origins
from forearm.transitions.bounds import Bounds, bounded
from forearm.transitions.fingerprint import known_among
from forearm.transitions.frames import JpegFrames, chosen_storage
from forearm.transitions.settings import StorageChoice
from forearm.transitions.store import LEAST_WEIGHT, MOST_WEIGHT, Columns, TransitionSet, TransitionWriter

SAME = ("cameras", "joint_names", "action_is", "discrete", "history", "stacking", "patch", "separator", "palette")
"""What layouts must share; joints' bounds and the actions recorded may differ."""


def combine(
    sets: Sequence[TransitionSet],
    out: Path,
    bounds: Bounds | None = None,
    storage: StorageChoice = "auto",
    weights: Sequence[float] = (),
) -> TransitionSet:
    """Write one dataset that holds all transitions of several.

    Every episode stays on the side, training or validation, where it was. Action dimensions that only some sets have
    (one recorded shoulder_pan, another elbow_flex) stand side by side; bounds are those given, else
    those of all training parts. Frames that are compressed already are not coded again, unless ``storage`` is raw.
    Trainings draw the transitions of a set as often as its number in ``weights`` says, beside the others'; alike by
    default.

    Raises:
        ForearmError: fewer than two sets, sets whose canvases differ in more than bounds and actions, or an episode
            that trains in one and validates in another, or bounds of a joint that there is not; weights that are not
            one positive number a set.
    """
    if len(sets) < 2:
        raise ForearmError("combine takes at least two datasets")
    if weights and (len(weights) != len(sets) or not all(LEAST_WEIGHT <= weight <= MOST_WEIGHT for weight in weights)):
        given = " ".join(f"{weight:g}" for weight in weights)
        raise ForearmError(
            f"weights are {given}; give {len(sets)} numbers from {LEAST_WEIGHT:g} to {MOST_WEIGHT:g}, one a dataset"
        )
    first = sets[0].layout
    for other in sets[1:]:
        traits = [(name, getattr(other.layout, name), getattr(first, name)) for name in SAME]
        traits.append(("units", [j.unit for j in other.layout.joints], [j.unit for j in first.joints]))
        here, there = other.layout.action_duration, first.action_duration
        if here is not None and there is not None:
            traits.append(("seconds of an action", here, there))
        traits.append(("kind of actions", other.facts["actions"], sets[0].facts["actions"]))
        for name, here, there in traits:
            if here != there:
                raise ForearmError(
                    f"{other.path} and {sets[0].path} differ in {name} ({here} and {there}); build them alike"
                )
    _require_one_side(sets)
    dimensions = _common_dimensions(sets)
    frame_shape = (first.frame_height, first.frame_width, 3)
    frames, lossy = sum(len(data.frames) for data in sets), [data for data in sets if data.storage == "jpeg"]
    kept, why = chosen_storage(storage, frames, frame_shape, lossy=bool(lossy))
    parts: list[Columns] = []
    episodes: list[dict] = []
    choices = list(why)
    with writing_folder(out) as folder, TransitionWriter(folder, frame_shape, kept) as writer:
        for data, weight in zip(sets, weights or itertools.repeat(1.0), strict=False):
            parts.append(_moved(data, dimensions, len(writer), len(episodes)))
            counted = _counted_on(data.episodes, episodes)
            if weights:
                counted = [episode | {"weight": weight * (episode.get("weight") or 1.0)} for episode in counted]
                choices.append(f"trainings draw the transitions of {data.path} with weight {weight:g}")
            episodes += counted
            for row, state in enumerate(data.states):
                objects = data.objects.of_frame(row) if data.objects else None
                if isinstance(data.frames, JpegFrames) and kept == "jpeg":
                    writer.append_coded(data.frames.picture(row), state, objects)
                else:
                    writer.append(data.frames[row], state, objects)
        columns = Columns(
            *(np.concatenate([getattr(p, field.name) for p in parts]) for field in dataclasses.fields(Columns))
        )
        training = ~columns.validation if not columns.validation.all() else np.ones(len(columns), bool)
        joints = with_weakest_origins([data.layout.joints for data in sets])
        layout = dataclasses.replace(first, joints=joints, actions=dimensions)
        layout, beyond = bounded(layout, writer.states()[columns.frames[training]], bounds)
        facts = {
            "built": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "recordings": [recording for data in sets for recording in _recordings(data, dimensions)],
            "actions": sets[0].facts["actions"],
            "settings": {"combined": [str(data.path) for data in sets]},
            "skipped": [skipped for data in sets for skipped in data.facts["skipped"]],
            "notes": [note for data in sets for note in data.facts.get("notes", [])],
            "choices": list(dict.fromkeys([*(c for data in sets for c in data.facts.get("choices", [])), *choices])),
            "warnings": [*(warning for data in sets for warning in data.facts.get("warnings", [])), *beyond],
        }
        if told := list(dict.fromkeys(data.facts["commands"] for data in sets if "commands" in data.facts)):
            facts["commands"] = "; ".join(told)
        known = [data.facts["storage"]["psnr"] for data in lossy if "psnr" in data.facts["storage"]]
        writer.finish(layout, columns, episodes, facts, psnr=min(known, default=None))
    return TransitionSet(out)


def _require_one_side(sets: Sequence[TransitionSet]) -> None:
    """Refuse an episode, known by its content as in a renamed copy, that trains in one set and validates in another."""
    for data, other in itertools.permutations(sets, 2):
        held_out, trained_on = data.episodes_of("val"), other.episodes_of("train")
        equal = np.isin(data.episode_digests[held_out], other.episode_digests[trained_on])
        copies = known_among(data.fingerprints_of("val"), other.fingerprints_of("train")).copies
        for number in held_out[equal | copies]:
            episode = data.episodes[number]
            raise ForearmError(
                f"episode {episode['index']} of {episode['recording']} trains in one set and validates in another; "
                "build its recording into one set only"
            )


def _common_dimensions(sets: Sequence[TransitionSet]) -> tuple[ActionDimension, ...]:
    """Every action dimension of any set, in the order of the joints they drive (others behind)."""
    common: dict[str, ActionDimension] = {}
    for data in sets:
        for dimension in data.layout.actions:
            known = common.setdefault(dimension.name, dimension)
            if data.layout.discrete and known.scale != dimension.scale:
                raise ForearmError(
                    f"{data.path} moves {dimension.name} by {dimension.scale}, another set by {known.scale}; "
                    "one colour cannot mean both"
                )
            if known.zero != dimension.zero:
                raise ForearmError(
                    f"{data.path} counts {dimension.name} from {dimension.zero:g}, another set from {known.zero:g}; "
                    "build the recordings into one set"
                )
            if dimension.scale > known.scale:
                common[dimension.name] = dimension
    names = sets[0].layout.joint_names
    return tuple(sorted(common.values(), key=lambda e: names.index(e.joint) if e.joint in names else len(names)))


def _counted_on(more: list[dict], episodes: list[dict]) -> list[dict]:
    """Further episodes, with their moments counted on from those that are there."""
    taken = 1 + max((e["moment"] for e in episodes if e["moment"] is not None), default=-1)
    return [e if e["moment"] is None else {**e, "moment": e["moment"] + taken} for e in more]


def _recordings(data: TransitionSet, dimensions: tuple[ActionDimension, ...]) -> list[dict]:
    """The recordings of a set, with how far targets lie beside the states under the common dimensions."""
    indices, told = _indices(data, dimensions), []
    none_said = "taken off" not in data.facts.get("commands", "taken off")  # by older parts, for all their recordings
    for recording in data.facts["recordings"]:
        offsets = np.zeros(len(dimensions))
        if len(given := recording.get("offsets", ())) == len(indices):
            offsets[indices] = given
        has_none = none_said and "offsets" not in recording
        told.append(recording | {"offsets": offsets.tolist()} if given or has_none else recording)
    return told


def _indices(data: TransitionSet, dimensions: tuple[ActionDimension, ...]) -> np.ndarray:
    """Where the action dimensions of a set stand among the common ones, (A,) int64."""
    return np.array(
        [[dimension.name for dimension in dimensions].index(dimension.name) for dimension in data.layout.actions]
    )


def _moved(data: TransitionSet, dimensions: tuple[ActionDimension, ...], frames: int, episodes: int) -> Columns:
    """A set's table with its frames and episodes counted on, and its actions under the common dimensions."""
    indices, mine = _indices(data, dimensions), data.columns
    actions = np.zeros((*mine.actions.shape[:2], len(dimensions)), np.float32)
    actions[..., indices] = mine.actions
    return Columns(mine.frames + frames, actions, indices[mine.dimensions], mine.episodes + episodes, mine.validation)
