"""Facts and pictures of whatever forearm reads or writes: a recording, a dataset of transitions, a run."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from forearm.base.errors import ForearmError, shown
from forearm.base.files import read_bytes, require_kind, writing
from forearm.canvas import CODE_NAMES, Layout, as_uint8
from forearm.media.pictures import tile
from forearm.media.words import figure, reading

if TYPE_CHECKING:
    from forearm.transitions.store import TransitionSet

Facts = dict[str, Any]
PICTURES = 12
PNG = b"\x89PNG"
"""With which files of that kind begin."""


def facts_of(path: Path | str, follow_links: bool = False) -> Facts:
    """What a folder (or the recording of a Hub id) is and holds, in words and numbers."""
    if (Path(path) / "dataset.json").is_file():
        return _facts_of_dataset(Path(path))
    if is_run(path):
        return _facts_of_run(Path(path))
    return _facts_of_recording(path, follow_links)


def is_run(path: Path | str) -> bool:
    """Whether a folder is one that a training left."""
    return (Path(path) / "config.json").is_file() and (Path(path) / "layout.json").is_file()


def _facts_of_recording(path: Path | str, follow_links: bool) -> Facts:
    from forearm.recordings import open_recording

    recording = open_recording(path, follow_links=follow_links)
    lengths = np.array([episode.length for episode in recording.episodes])
    tasks = sorted({episode.task for episode in recording.episodes if episode.task})
    facts: Facts = {
        "recording": str(path),
        "format": f"LeRobot {recording.version}",
        "episodes": len(recording.episodes),
        "frames": f"{lengths.sum()} at {recording.fps:g} fps, {lengths.min()} to {lengths.max()} an episode",
        "cameras": ", ".join("{} {}×{}".format(shown(key), *recording.camera_size(key)) for key in recording.cameras),
        "joints": ", ".join(
            f"{shown(joint)} ({shown(unit) or 'no unit'}{'' if recording.declares_units else ', guessed'})"
            for joint, unit in zip(recording.joints, recording.units, strict=True)
        ),
        "action": ", ".join(map(shown, recording.action_names)) or "none recorded",
        "discrete-action logs": "yes" if recording.has_logs else "no",
        "tasks": "; ".join(map(shown, tasks[:5])) + (" …" if len(tasks) > 5 else ""),
        "files": "\n".join(recording.missing_files()) or "all there",
    }
    if recording.depth_maps:
        facts["left out"] = f"depth maps: {', '.join(map(shown, recording.depth_maps))}"
    return facts


def _facts_of_dataset(path: Path) -> Facts:
    from forearm.transitions.advice import warnings_of
    from forearm.transitions.store import TransitionSet

    data = TransitionSet(path)
    facts: Facts = {
        "dataset": str(path),
        "from": ", ".join(r["name"] for r in data.facts["recordings"]),
        "transitions": f"{len(data)} of {len(data.episodes)} episodes, {len(data.frames)} frames stored once",
        "frames": _storage(data),
        "canvas": _canvas(data.layout),
        "actions": f"{data.facts['actions']}: " + ", ".join(e.name for e in data.layout.actions),
    }
    for split, what in (("train", "training"), ("val", "validation")):
        seen = data.actions_seen(split)  # type: ignore[arg-type]
        facts[what] = f"{len(data.rows(split))} transitions: " + _counts(seen)  # type: ignore[arg-type]
    if "commands" in data.facts:
        facts["commands"] = data.facts["commands"]
    if data.facts.get("choices"):
        facts["chosen"] = "\n".join(data.facts["choices"])
    facts["joints"] = _joints(data.layout)
    if warnings := warnings_of(data):
        facts["warnings"] = "\n".join(warnings)
    if data.facts["skipped"]:
        facts["skipped"] = "\n".join(_lines(data.facts["skipped"], "reason"))
    if data.facts.get("notes"):
        facts["notes"] = "\n".join(_lines(data.facts["notes"], "note"))
    return facts


def _storage(data: "TransitionSet") -> str:
    """How frames are stored, and what that takes and loses."""
    from forearm.transitions.frames import bytes_of

    size = f"{bytes_of(data.path, data.storage) / 1e6:,.1f} MB"
    if data.storage == "raw":
        return f"raw, {size}"
    psnr = data.facts["storage"].get("psnr")
    return f"JPEG, {size}" + ("" if psnr is None else f", PSNR {psnr:.1f} dB")


def _lines(entries: list[dict[str, Any]], key: str) -> list[str]:
    from forearm.recordings import lines_by_recording

    return lines_by_recording((entry["recording"], entry["episode"], entry[key]) for entry in entries)


def _facts_of_run(path: Path) -> Facts:
    from forearm.evaluation.saved import METRICS_FILE, read_figures
    from forearm.report.targets import key_targets
    from forearm.report.wording import count, duration, number
    from forearm.training.run import Run

    run = Run.open(path)
    config, log = run.config(), run.log()
    evaluations = [entry for entry in log if {"val_loss", "seconds"} <= entry.keys()]
    drawn = f", drawn by the weights of {config['data']['weights']}" if "weights" in config["data"] else ""
    facts: Facts = {
        "run": str(path),
        "family": config["family"],
        "model": ", ".join(f"{name} {value}" for name, value in config["model"].items()),
        "canvas": _canvas(run.layout()),
        "trained on": f"{config['data']['path']}: {config['data']['train']} transitions{drawn}",
        "actions seen": _counts(run.actions_seen()),
    }
    if evaluations:
        best = min(evaluations, key=lambda entry: entry["val_loss"])
        last = evaluations[-1]
        facts["training"] = f"{count(last['step'], 'step')}, {duration(last['seconds'])}"
        facts["best"] = f"validation loss {figure(best['val_loss'])} at step {best['step']:,}"
    if (path / "evaluation" / METRICS_FILE).is_file():
        metrics = read_figures(path / "evaluation")
        facts["evaluation"] = ", ".join(
            f"{key.name} {number(key.value, key.metric)}"
            for key in key_targets(metrics)  # what a child has to reach
        )
    return facts


def _canvas(layout: Layout) -> str:
    cameras = " + ".join(f"{c.name} {c.height}×{c.width}" for c in layout.cameras)
    return f"{layout.height}×{layout.width}, patch {layout.patch}, {layout.history} frames of {cameras}"


def _joints(layout: Layout) -> str:
    return "\n".join(
        f"{j.name}: {reading(j.low, j)} to {reading(j.high, j)} {j.unit or 'without unit'} ({j.unit_origin}), "
        f"±{reading(j.max_velocity, j)} a step"
        for j in layout.joints
    )


def _counts(seen: dict[int, int]) -> str:
    return ", ".join(f"{CODE_NAMES[code]} {n}" if n else f"{CODE_NAMES[code]} never" for code, n in seen.items())


def save_pictures(path: Path | str, target: Path, follow_links: bool = False) -> None:
    """Write a contact sheet as PNG: canvases of a dataset or of a run's validation, or a recording's cameras.

    Raises:
        ForearmError: ``target`` is a folder or a file that is no PNG, or there is nothing to be shown.
    """
    require_kind(target, PNG, "--pictures")
    if (Path(path) / "dataset.json").is_file():
        pictures = _canvases(Path(path))
    elif is_run(path):
        pictures = [_last_sample(Path(path))]
    else:
        pictures = _camera_pictures(path, follow_links)
    with writing(target) as beside:
        Image.fromarray(tile(pictures, columns=6, gap=8)).save(beside, format="PNG")


def _canvases(path: Path) -> list[np.ndarray]:
    from forearm.transitions.store import TransitionSet

    data = TransitionSet(path)
    rows = np.unique(np.linspace(0, len(data) - 1, PICTURES).astype(int))
    return list(as_uint8(data.batch(rows).canvas.numpy()).transpose(0, 2, 3, 1))


def _last_sample(path: Path) -> np.ndarray:
    from forearm.recordings.images import decoded_image

    samples = sorted((path / "samples").glob("*.png"))
    if not samples:
        raise ForearmError(f"{path} has no sample pictures yet; train it first")
    return decoded_image(read_bytes(samples[-1]), str(samples[-1]), None)


def _camera_pictures(path: Path | str, follow_links: bool) -> list[np.ndarray]:
    from forearm.recordings import EpisodeUnreadable, open_recording

    recording = open_recording(path, follow_links=follow_links)
    pictures: list[np.ndarray] = []
    every = max(1, len(recording.episodes) // PICTURES)
    chosen = [episode.index for episode in recording.episodes[::every]]  # numbers may have holes
    for episode in recording.read(episodes=chosen, on_skip=lambda index, reason: None):
        if len(pictures) == PICTURES:
            break
        with contextlib.suppress(EpisodeUnreadable):
            for _, seen in episode.pictures((len(episode) // 2,), (224, 224)):
                pictures.append(np.concatenate(list(seen.values()), axis=0))
    if not pictures:
        raise ForearmError(f"{path} has no picture that can be read")
    return pictures
