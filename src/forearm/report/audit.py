"""What an audit looks at: the episodes of a recording, a dataset or a run in numbers, and their pictures again."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from forearm.base.devices import device_named
from forearm.base.errors import ForearmError
from forearm.evaluation.baselines import standard_baselines
from forearm.evaluation.metrics import picture_error
from forearm.recordings import EpisodeUnreadable, Recording, lines_of, open_recording
from forearm.recordings.audit import EpisodeFigures, Finding, PictureFigures, Subject, findings
from forearm.report.inspection import is_run
from forearm.training.run import Run
from forearm.transitions.lag import even_spacing
from forearm.transitions.loader import batches
from forearm.transitions.meaning import find_meaning, matched_names
from forearm.transitions.store import TransitionSet

SEEN = (48, 64)
"""The size, height and width, in which pictures are compared."""
SHOWN = (120, 160)
"""The size in which they are shown."""
ROWS_PER_EPISODE = 8
"""Transitions of each episode on which a model's error is measured."""

Place = tuple[str, int, int]
"""A camera, an episode and a row of it."""


@dataclass(frozen=True)
class Audit:
    """What was found in a recording, a dataset or a run."""

    what: str
    """recording, dataset or run."""
    subject: Subject
    findings: list[Finding]
    pictures: Callable[[Iterable[Place]], dict[Place, np.ndarray]] = field(repr=False)
    """Fetches the pictures (h, w, 3) uint8 of some places."""

    @property
    def matters(self) -> int:
        """How many findings matter."""
        return sum(finding.matters for finding in self.findings)

    @property
    def verdict(self) -> str:
        """The outcome in one sentence."""
        if not self.matters:
            return f"Nothing was found in {self.subject.name} that would spoil what is learned from it."
        things = "1 thing was" if self.matters == 1 else f"{self.matters} things were"
        return f"{things} found in {self.subject.name} that can spoil what is learned from it."

    def to_json(self) -> dict[str, Any]:
        """The findings and what is known of each joint and episode, ready for JSON."""
        subject, names = self.subject, ("kind", "matters", "says", "todo", "spans", "camera", "joints")
        return {
            "path": subject.name,
            "what": self.what,
            "matters": self.matters,
            "actions": subject.actions,
            "findings": [{name: getattr(finding, name) for name in names} for finding in self.findings],
            "joints": coverage(subject),
            "episodes": [
                {"index": e.index, "rows": len(e), "idle": float(1 - m.any(axis=1).mean()), "error": e.error}
                for e, m in zip(subject.episodes, subject.moves, strict=True)
            ],
        }


def coverage(subject: Subject, bins: int = 10) -> list[dict[str, Any]]:
    """For each joint its range, the share of rows in which it moves, and of those in each tenth of the range."""
    states, moves = (np.concatenate(parts) for parts in ([e.states for e in subject.episodes], subject.moves))
    return [
        {
            "joint": joint,
            "unit": unit,
            "low": float(states[:, j].min()),
            "high": float(states[:, j].max()),
            "moving": float(moves[:, j].mean()),
            "shares": (np.histogram(states[:, j], bins)[0] / len(states)).tolist(),
        }
        for j, (joint, unit) in enumerate(zip(subject.joints, subject.units, strict=True))
    ]


def audit(
    path: Path | str,
    device: str = "auto",
    watch: Callable[[int, int], None] = lambda done, all: None,
    follow_links: bool = False,
) -> Audit:
    """Look through a recording, a dataset, or a run and the dataset that it was trained on.

    Args:
        path: a folder, or the Hub id of a recording.
        device: where a run predicts.
        watch: is told how many episodes were looked at, and of how many.
        follow_links: whether links may lead out of a recording's folder.

    Raises:
        ForearmError: it is none of these, or nothing of it can be read.
    """
    if is_run(path):
        run = Run.open(path)
        data = run.data()
        return _of_dataset(data, "run", run.name, _errors(run, data, device_named(device)), watch)
    if (Path(path) / "dataset.json").is_file():
        data = TransitionSet(path)
        return _of_dataset(data, "dataset", data.path.resolve().name, {}, watch)
    return _of_recording(open_recording(path, follow_links=follow_links), watch)


def _of_recording(recording: Recording, watch: Callable[[int, int], None]) -> Audit:
    skipped: dict[int, str] = {}
    notes: list[tuple[int, str]] = []
    episodes = []
    for episode in recording.read(on_skip=skipped.__setitem__):
        grey = {camera: np.empty((len(episode), *SEEN), np.uint8) for camera in recording.cameras}
        try:
            for row, pictures in episode.pictures(size=SEEN):
                for camera, picture in pictures.items():
                    grey[camera][row] = picture.mean(axis=2)
        except EpisodeUnreadable:
            continue
        figures = {camera: PictureFigures.of(pictures, recording.fps) for camera, pictures in grey.items()}
        episodes.append(EpisodeFigures(episode.index, episode.states, figures, episode.timestamps, episode.actions))
        notes += [(episode.index, pairing.note) for pairing in episode.pairings.values() if pairing.note]
        watch(len(episodes) + len(skipped), len(recording.episodes))
    if not episodes:
        raise ForearmError(f"{recording.root}: no episode can be read; {next(iter(skipped.values()))}")
    subject = Subject(
        recording.name,
        recording.fps,
        recording.joints,
        recording.units,
        episodes,
        lines_of(skipped.items()),
        lines_of(dict.fromkeys(notes)),
        *_commands(recording),
        recording.has_logs,
    )

    def fetch(places: Iterable[Place]) -> dict[Place, np.ndarray]:
        rows: dict[int, set[int]] = {}
        for _, index, row in places:
            rows.setdefault(index, set()).add(row)
        return {
            (camera, episode.index, row): picture
            for episode in recording.read(episodes=rows, on_skip=lambda index, reason: None)
            for row, pictures in episode.pictures(rows[episode.index], SHOWN)
            for camera, picture in pictures.items()
        }

    return Audit("recording", subject, findings(subject), fetch)


def _commands(recording: Recording) -> tuple[str, bool, dict[int, int]]:
    """What a recording's actions are in words, whether that is clear, and the joint that each should command."""
    names = recording.action_names
    if not names:
        return "", True, {}
    by_name = matched_names(names, recording.joints)
    if (by_name < 0).all() and len(names) == len(recording.joints):
        by_name = np.arange(len(names))
    try:
        found = find_meaning(recording)
    except ForearmError as error:
        return str(error), False, {a: int(j) for a, j in enumerate(by_name) if j >= 0}
    targets = {a: j for a, j in enumerate(found.joints) if j >= 0} if found.meaning == "target" else {}
    return found.found, True, targets


def _of_dataset(
    data: TransitionSet, what: str, name: str, errors: Mapping[int, float], watch: Callable[[int, int], None]
) -> Audit:
    """A dataset's frames; those of an episode are its rows, in order."""
    spacing = even_spacing(data)
    fps = 1 / spacing if spacing else None
    boxes = {camera.name: box for camera, box in zip(data.layout.cameras, data.layout.camera_boxes(), strict=True)}
    frames = data.columns.frames_by_episode()
    episodes = []
    for number, rows in frames.items():
        pictures = data.frames[rows]
        figures = {
            camera: PictureFigures.of(_thinned(pictures[:, box[0], box[1]].mean(axis=3).astype(np.uint8)), fps)
            for camera, box in boxes.items()
        }
        episodes.append(EpisodeFigures(number, data.states[rows], figures, error=errors.get(number)))
        watch(len(episodes), len(frames))
    subject = Subject(
        name,
        fps,
        data.layout.joint_names,
        tuple(joint.unit for joint in data.layout.joints),
        episodes,
        actions=data.facts.get("commands", ""),
        answered=_answered(data),
    )

    def fetch(places: Iterable[Place]) -> dict[Place, np.ndarray]:
        return {
            (camera, number, row): data.frames[frames[number][row]][boxes[camera]] for camera, number, row in places
        }

    return Audit(what, subject, findings(subject), fetch)


def _answered(data: TransitionSet) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Joint to the changes that a dataset's last actions commanded of it, and those that came of them."""
    if data.facts["actions"] not in ("log", "command"):
        return {}
    came = np.diff(data.positions(data.rows())[:, -2:], axis=1)[:, 0]
    names = data.layout.joint_names
    return {
        names.index(dimension.joint): (data.columns.actions[:, -1, a], came[:, names.index(dimension.joint)])
        for a, dimension in enumerate(data.layout.actions)
        if dimension.joint in names
    }


def _thinned(grey: np.ndarray) -> np.ndarray:
    """Pictures (n, h, w) with at most about as many pixels as `SEEN`."""
    return grey[:, :: max(1, grey.shape[1] // SEEN[0]), :: max(1, grey.shape[2] // SEEN[1])]


def _errors(run: Run, data: TransitionSet, device: torch.device) -> dict[int, float]:
    """A run's squared error in each episode of a dataset, as a share of that of copying the last frame."""
    model, copying = run.load("best", device), next(iter(standard_baselines().values()))
    sums: dict[int, np.ndarray] = {}
    for batch in batches(data, np.concatenate(list(_some_rows(data))), 32):
        with torch.inference_mode():
            predicted = model.predict(batch.context().to(device)).to("cpu").frame.numpy()
            copied = copying.predict(batch.context()).frame.numpy()
        truth = batch.canvas.numpy()[..., data.layout.frame_columns(-1)]
        for number, *pictures in zip(data.columns.episodes[batch.rows], predicted, copied, truth, strict=True):
            errors = [picture_error(data.layout, picture, pictures[-1]) for picture in pictures[:2]]
            sums[int(number)] = sums.get(int(number), np.zeros(2)) + errors
    return {number: float(own / max(copied, 1e-9)) for number, (own, copied) in sums.items()}


def _some_rows(data: TransitionSet) -> Iterator[np.ndarray]:
    for rows in data.columns.by_episode().values():
        yield rows[np.unique(np.linspace(0, len(rows) - 1, ROWS_PER_EPISODE).astype(int))]
