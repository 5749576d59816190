"""From a recording, a dataset or a run to one page on which its canvases can be browsed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from forearm.base.devices import device_named
from forearm.base.errors import ForearmError
from forearm.base.files import require_replaceable, writing
from forearm.batch import Batch, Prediction, make_batch
from forearm.canvas import (
    CODES,
    ActionDimension,
    Camera,
    Layout,
    action_codes,
    as_uint8,
    decode_strip,
    dominant_dimensions,
    draw,
)
from forearm.evaluation import MODEL
from forearm.evaluation.metrics import acting_joints, picture_error
from forearm.evaluation.saved import digest_of
from forearm.recordings import Episode, EpisodeUnreadable, Recording, open_recording
from forearm.report.comparison import saved_on
from forearm.report.gallery_page import GENERATOR, Card, CardPrediction, Subject, TransitionTable, render, spread
from forearm.report.inspection import facts_of, is_run
from forearm.training.run import Run
from forearm.transitions.plan import NO_PLAN, EpisodePlan, changes, joints_of, plan_every, plan_from_log, typical_steps
from forearm.transitions.split import fit_bounds_to
from forearm.transitions.store import TransitionSet

Watch = Callable[[int, int], None]

BATCH = 16
WORST = 0.1
"""Share of a run's cards that goes to its highest errors."""
PICTURE_WIDTH, PATCH, SEPARATOR = 160, 8, 16
"""Pixels of the canvases on which a recording is shown."""
STEP = 0.5
"""Seconds between the two frames of such a canvas where no log says when something was decided."""


@dataclass(frozen=True)
class Selection:
    """The transitions that a page shows, and how to draw them."""

    subject: Subject
    table: TransitionTable
    """All transitions."""
    chosen: np.ndarray
    """(n,) int64, indices in the table of those that are shown."""
    batch: Callable[[np.ndarray], Batch]
    """Draws the transitions of some indices."""
    predict: Callable[[Batch], Prediction] | None = None
    """What a run predicts for a batch, on the CPU."""


def save_gallery(
    path: Path | str,
    target: Path,
    *,
    samples: int = 200,
    data: Path | None = None,
    device: str = "auto",
    follow_links: bool = False,
    watch: Watch = lambda done, total: None,
) -> Path:
    """Write a page of canvases to browse and return its path; only an earlier such page is replaced.

    A recording shows what its cameras saw at each decision and at its outcome, a dataset its canvases, a run those of
    its validation beside what it predicts.

    Args:
        path: a folder, or the Hub id of a recording.
        samples: how many canvases at most; all actions, joints and episodes are among them as far as they go.
        data: what a run is shown on; its own validation part by default.
        follow_links: whether links may lead out of a recording's folder.
        watch: called with the number of canvases drawn, and that of all.
    """
    target = Path(target)
    require_replaceable(target, GENERATOR, "--html")
    if samples < 1:
        raise ForearmError(f"samples is {samples}; it has to be at least 1")
    if is_run(path):
        selection = _of_run(Run.open(path), samples, data, device_named(device))
    elif data is not None or device != "auto":
        raise ForearmError(f"{path} is no run, so --data and --device have no effect; leave them out")
    elif (Path(path) / "dataset.json").is_file():
        selection = _of_dataset(TransitionSet(path), samples)
    else:
        selection = _of_recording(path, samples, follow_links)
    page = render(selection.subject, selection.table, list(_cards(selection, watch)))
    with writing(target) as beside:
        beside.write_text(page, encoding="utf-8")
    return target


def _cards(selection: Selection, watch: Watch) -> Iterator[Card]:
    """The drawn transitions, each with what a model predicts if there is one."""
    layout, indices = selection.table.layout, selection.chosen
    last, previous = layout.frame_columns(-1), layout.frame_columns(-2)
    for start in range(0, len(indices), BATCH):
        watch(start, len(indices))
        some = indices[start : start + BATCH]
        batch = selection.batch(some)
        canvases, positions = batch.canvas.numpy(), batch.positions.numpy()
        regions = selection.predict(batch).frame.numpy() if selection.predict else [None] * len(batch)
        for i, (index, region) in enumerate(zip(some.tolist(), regions, strict=True)):
            truth = canvases[i][..., last]
            yield Card(
                index=index,
                row=int(batch.rows[i]),
                canvas=as_uint8(canvases[i]),
                before=positions[i, -2],
                after=positions[i, -1],
                copying=picture_error(layout, canvases[i][..., previous], truth),
                prediction=None if region is None else _prediction(layout, region, truth),
            )
    watch(len(indices), len(indices))


def _prediction(layout: Layout, region: np.ndarray, truth: np.ndarray) -> CardPrediction:
    """What a card says of a predicted last frame (3, H, w)."""
    positions, _ = decode_strip(layout, region[None])
    return CardPrediction(as_uint8(region), positions[0], picture_error(layout, region, truth))


def _table_of(
    layout: Layout,
    positions: np.ndarray,
    codes: np.ndarray,
    dimensions: np.ndarray,
    episodes: np.ndarray,
    splits: np.ndarray | None = None,
) -> TransitionTable:
    """What is known of N transitions from their joints, (N, T, J), codes and dimensions, (N,)."""
    before, after = positions[:, -2], positions[:, -1]
    acting = acting_joints(layout, dimensions, before, after)
    moved = np.take_along_axis(after - before, acting[:, None], axis=1)[:, 0]
    return TransitionTable(layout, codes, acting, episodes, moved, splits)


# Datasets and runs


def _of_dataset(data: TransitionSet, samples: int) -> Selection:
    rows = data.rows()
    if not len(rows):
        raise ForearmError(f"{data.path} has no transitions to show")
    table = _held(data, rows)
    subject = Subject("dataset", data.path.resolve().name, facts_of(data.path))
    return Selection(subject, table, spread(table.kinds, table.episodes, samples), data.batch)


def _of_run(run: Run, samples: int, path: Path | None, device: torch.device) -> Selection:
    """A run on the episodes of a dataset that it is reported on; its highest errors are shown if they are known."""
    data = run.data(path)
    rows = run.reported_on(data)
    if not len(rows):
        raise ForearmError(f"{data.path} has no episode that the run was not trained on; name others with --data")
    table = _held(data, rows)
    saved = saved_on(run, digest_of(data, rows))
    worst, notes = np.empty(0, np.int64), [f"On {'the held-out part of ' if len(rows) < len(data) else ''}{data.path}."]
    count = int(WORST * samples) if len(rows) > samples else 0
    if saved is not None and saved.figures["checkpoint"] == "best" and count:
        worst = np.argsort(-saved.samples[MODEL].sums["val_mse"], kind="stable")[:count]
        notes.append("One in ten of those shown has one of the highest errors of all.")
    model = run.load("best", device)

    def predict(batch: Batch) -> Prediction:
        with torch.inference_mode():
            return model.predict(batch.context().to(device)).to("cpu")

    seen = run.actions_seen()
    return Selection(
        subject=Subject(
            what="run",
            name=run.name,
            facts=facts_of(run.path),
            notes=tuple(notes),
            guesses=tuple(code for code in CODES if not seen.get(code)),
        ),
        table=table,
        chosen=spread(table.kinds, table.episodes, samples, worst),
        batch=lambda indices: data.batch(rows[indices]),
        predict=predict,
    )


def _held(data: TransitionSet, rows: np.ndarray) -> TransitionTable:
    table = data.columns
    splits = np.where(table.validation[rows], "val", "train")
    return _table_of(
        data.layout, data.positions(rows), data.codes[rows], table.dimensions[rows], table.episodes[rows], splits
    )


# Recordings


@dataclass(frozen=True)
class _FramePair:
    """Two frames of a recording, and what was done between them."""

    episode: int
    rows: np.ndarray
    """(2,) rows of the episode."""
    states: np.ndarray
    """(2, J) joint positions in their units."""
    action: np.ndarray
    dimension: int
    """Which value of the action the decision was about."""


def _of_recording(path: Path | str, samples: int, follow_links: bool) -> Selection:
    """Decisions and their outcomes; without a log frames half a second apart, and what the joints did meanwhile."""
    recording = open_recording(path, follow_links=follow_links)
    skipped: dict[int, str] = {}
    pairs = [
        pair
        for episode in recording.read(on_skip=skipped.__setitem__)
        for pair in _frame_pairs(episode, _plan(recording, episode))
    ]
    if not pairs:
        what = "a logged decision whose outcome was recorded" if recording.has_logs else f"{STEP} seconds to show"
        raise ForearmError(f"{path} has no readable episode with {what}")
    positions = np.stack([pair.states for pair in pairs])
    actions, dimensions = np.stack([pair.action for pair in pairs]), np.array([pair.dimension for pair in pairs])
    if recording.has_logs:
        kept, dimensions = np.unique(dimensions, return_inverse=True)
        values = np.sign(actions[:, kept])
    else:
        kept = np.arange(len(recording.joints))
        values = np.clip(actions / typical_steps(actions, np.ptp(positions, axis=(0, 1))), -1, 1)
        dimensions = dominant_dimensions(values)
    layout = fit_bounds_to(_layout(recording, kept), positions)
    episodes = np.array([pair.episode for pair in pairs])
    table = _table_of(layout, positions, action_codes(values), dimensions, episodes)
    indices = spread(table.kinds, table.episodes, samples)
    frames = dict(_frames(recording, layout, {index: pairs[index] for index in indices.tolist()}, skipped))
    if not frames:
        index, reason = next(iter(skipped.items()))
        raise ForearmError(f"{path} has no picture that can be read; episode {index}: {reason}")

    def batch(indices: np.ndarray) -> Batch:
        pictures = np.stack([frames[index] for index in indices.tolist()])
        taken = values[indices, None].astype(np.float32)
        canvases = draw(layout, pictures, positions[indices], taken)
        rows = np.array([pairs[index].rows[0] for index in indices.tolist()])
        return make_batch(layout, canvases, positions[indices], taken, dimensions[indices], rows)

    notes = tuple(
        f"{len(skipped)} of {len(recording.episodes)} episodes cannot be read; episode {index}: {reason}."
        for index, reason in list(skipped.items())[:1]
    )
    subject = Subject("recording", recording.name, facts_of(path), "frame", notes)
    return Selection(subject, table, np.array(sorted(frames)), batch)


def _plan(recording: Recording, episode: Episode) -> EpisodePlan:
    joints = len(recording.joints)
    if not recording.has_logs:
        step = max(1, round(STEP * recording.fps))
        frames = plan_every(0, len(episode), step, step, 2)
        return EpisodePlan(frames, changes(episode, frames), np.full(len(frames), -1))
    if episode.log is None:
        return NO_PLAN
    return plan_from_log(episode, recording.joint_index(episode.log.joint_name), joints, recording.fps, 2)


def _frame_pairs(episode: Episode, plan: EpisodePlan) -> Iterator[_FramePair]:
    for rows, actions, dimension in zip(plan.frames, plan.actions, plan.dimensions.tolist(), strict=True):
        yield _FramePair(episode.index, rows, episode.states[rows], actions[-1], dimension)


def _layout(recording: Recording, acting: np.ndarray) -> Layout:
    """Cameras below each other in their own proportions, all joints, and an action for each joint that acts."""
    sizes = [recording.camera_size(camera) for camera in recording.cameras]
    width = max(PATCH, min(PICTURE_WIDTH, *(width for _, width in sizes)) // PATCH * PATCH)
    joints = joints_of(recording)
    return Layout(
        cameras=tuple(
            Camera(camera, max(PATCH, round(width * h / w / PATCH) * PATCH), width)
            for camera, (h, w) in zip(recording.cameras, sizes, strict=True)
        ),
        joints=joints,
        actions=tuple(ActionDimension(joints[j].name, joints[j].name, joints[j].unit) for j in acting),
        patch=PATCH,
        separator=SEPARATOR,
    )


def _frames(
    recording: Recording, layout: Layout, wanted: dict[int, _FramePair], skipped: dict[int, str]
) -> Iterator[tuple[int, np.ndarray]]:
    """The two frames (2, h, w, 3) uint8 of each index that is wanted and whose episode can be read to its end."""
    sizes = {camera.name: (camera.height, camera.width) for camera in layout.cameras}
    of_episode: dict[int, list[int]] = {}
    for index, pair in wanted.items():
        of_episode.setdefault(pair.episode, []).append(index)
    for episode in recording.read(on_skip=skipped.__setitem__):
        indices = of_episode.get(episode.index, [])
        rows = [row for index in indices for row in wanted[index].rows.tolist()]
        try:
            seen = {
                row: np.concatenate([pictures[camera] for camera in recording.cameras])
                for row, pictures in episode.pictures(rows, sizes)
            }
        except EpisodeUnreadable:
            continue
        for index in indices:
            yield index, np.stack([seen[row] for row in wanted[index].rows.tolist()])
