"""From a run and data to its report: the evaluation's figures, the report's page."""

import datetime
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from forearm.base.devices import device_named
from forearm.base.errors import ForearmError
from forearm.base.files import require_folder
from forearm.base.hub import DATASET, at_hand
from forearm.batch import Batch, Predictor
from forearm.evaluation.asking import Remote
from forearm.evaluation.baselines import UNTRAINED, fitted_baselines, standard_baselines
from forearm.evaluation.evaluate import evaluate
from forearm.evaluation.object_reader import ObjectReader, object_reader_of
from forearm.evaluation.readout import Reader, reader_of
from forearm.evaluation.rollouts import draw_paths, roll_out
from forearm.evaluation.saved import digest_of, evaluations_of, scored_on
from forearm.evaluation.uncertainty import Kinds, count_kinds
from forearm.report import Facts, write_report
from forearm.report.targets import Target, key_targets, parse_targets
from forearm.training.run import Checkpoint, Run, read_notes
from forearm.transitions.loader import batches
from forearm.transitions.split import MOST_REPORTED, drawn_equally
from forearm.transitions.store import TransitionSet

Watch = Callable[[int, int], None]


def assess(
    run: Run | Path | str,
    *,
    data: Path | None = None,
    split: Literal["auto", "val", "all"] = "auto",
    rows: np.ndarray | None = None,
    most: int = MOST_REPORTED,
    checkpoint: Checkpoint = "best",
    notes: Path | None = None,
    against: Path | None = None,
    samples: int = 8,
    rollouts: int = 24,
    horizon: int = 60,
    batch_size: int = 16,
    device: str = "auto",
    watch: Watch = lambda done, total: None,
) -> Path:
    """Score a run on a dataset and write metrics.json, report.html and grids; return the report's path.

    They go to ``evaluation/`` in the run's folder, or to ``evaluation-NAME/`` for a dataset that is not the run's own.
    ``split`` is auto for the episodes that neither trained the run nor chose its best weights, wherever they lie, val
    for the validation episodes of the dataset, all for everything; ``rows`` names rows instead.
    Of more than ``most`` rows so many are drawn equally from the episodes, always the same; 0 scores all. Predictions
    are fed back on paths of all of them.
    Without ``notes`` the report shows those that the run was started with; without ``against`` it is compared with
    its parent, if that has been evaluated on the same samples.

    Raises:
        ForearmError: run, data, notes, device or the run to compare with are missing or do not fit.
    """
    for option, value, least in (
        ("samples", samples, 1),
        ("batch_size", batch_size, 1),
        ("rollouts", rollouts, 0),
        ("horizon", horizon, 0),
        ("rows", most, 0),
    ):
        if value < least:
            raise ForearmError(f"{option} is {value}; it has to be at least {least}")
    target, run = device_named(device), Run.open(run)
    config, transitions = run.config(), run.data(data)
    own = run.is_own(transitions)
    folder = run.path / ("evaluation" if own else f"evaluation-{transitions.path.resolve().name}")
    require_folder(folder)  # before minutes are spent
    held_out = run.held_out(transitions)
    auto = rows is None and split == "auto"
    every = len(transitions)
    if rows is None:
        rows = run.reported_on(transitions, every) if auto else transitions.rows("val" if split == "val" else None)
    held, rows = rows, drawn_equally(rows, transitions.groups, most or every)
    if not len(rows):
        lacks = "no validation transitions" if split == "val" else "no episode that the run was not trained on"
        raise ForearmError(f"{transitions.path} has {lacks}; evaluate it with --split all")
    digest = digest_of(transitions, rows)
    parent, cautions = _parent(run, digest)
    model = run.load(checkpoint, target)
    own_notes = checked_notes(notes) if notes else run.notes()
    targets, targets_from = _targets(own_notes, parent)
    facts = Facts(
        run_name=run.name,
        model_type=config["family"],
        checkpoint=str(run.weights_file(checkpoint)),
        dataset=str(transitions.path),
        date=datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        notes=own_notes,
        targets=targets,
        targets_from=targets_from,
        settings={"model": config["model"], "training": config["training"]},
        log=run.log(),
        transitions=config["data"]["train"],
        machine=run.machine(),
        against_name=Run.open(against).name if against else parent.name if parent else "",
        against=_compared(against, digest) if against else parent.figures if parent else None,
        origin=_origin(run, checkpoint, model, transitions, digest),
    )
    training = _training_data(run, transitions)
    baselines, more = _baselines(run, training)
    baselines[UNTRAINED] = Remote(run.untrained().to(target), target)
    cautions += more
    if len(trained := np.setdiff1d(rows, held_out)):
        share = "" if len(trained) == len(rows) else f"{len(trained)} of {len(rows)}: "
        cautions.append(
            f"The scored samples include those of training ({share}the nearest neighbour knows them by heart)."
        )
    cautions += _picked(run, transitions, rows)
    if len(rows) < len(held):
        cautions.append(
            f"{len(rows)} of {len(held)} samples were drawn, equally from the episodes; --rows 0 scores all of them."
        )
    if not own and auto and len(held_out) < len(transitions):
        cautions.append(
            f"{len(transitions) - len(held_out)} of the {len(transitions)} samples of {transitions.path.name} are left "
            "out: they are from episodes of the training."
        )
    if number := int(run.known_in(transitions).same_joints[transitions.columns.episodes[rows]].sum()):
        cautions.append(
            f"In the episodes of {number} of the {len(rows)} scored samples the joints moved exactly as in episodes of "
            "the training, before other pictures. If it is the same recording, the figures are too good."
        )
    if run.trained_on() is None:
        cautions.append(
            "Whether the run was trained on the scored samples is not known: the dataset of its training is gone, and "
            "the run does not name the episodes."
        )
    if run.practised_stay():
        cautions.append("STAY was practised on frames that stay what they are (synthetic_stay); no recording shows it.")
    asked = {UNTRAINED: drawn_equally(rows, transitions.groups, MOST_REPORTED)}
    if len(rows) > MOST_REPORTED:
        cautions.append(f"The untrained model was asked about {MOST_REPORTED} of the {len(rows)} samples.")
    groups, grouped_by = transitions.independent_groups(rows)
    paths = draw_paths(transitions, held[np.isin(groups[held], groups[rows])], horizon, rollouts)
    total = len(rows) + paths.size
    watch(0, total)
    reader, more = _reader(run, training, transitions, rows)
    cautions += more
    finder, more = _finder(run, training, transitions)
    cautions += more
    followed = roll_out(model, transitions, paths, baselines, target, lambda steps: watch(steps, total), reader, finder)
    evaluation = evaluate(
        model,
        _watched(batches(transitions, rows, batch_size), paths.size, total, watch),
        groups=groups,
        grouped_by=grouped_by,
        actions_seen=run.actions_seen(),
        baselines=baselines,
        outcomes=transitions.outcomes if transitions.has_outcomes else None,
        samples=samples,
        device=target,
        cautions=tuple(cautions),
        kinds_seen=_kinds_seen(training),
        reader=reader,
        motions=transitions.motions,
        finder=finder,
        object_names=transitions.objects.names if transitions.objects else (),
        asked=asked,
        threads=torch.get_num_threads(),
        rollouts=followed,
    )
    return write_report(evaluation, facts, folder)


def _picked(run: Run, data: TransitionSet, rows: np.ndarray) -> list[str]:
    """A caution where the scored rows include some by which the best weights were chosen."""
    picked = run.picked_on(data) if run.picks_apart() else data.rows("val") if run.is_own(data) else rows[:0]
    number = len(np.intersect1d(rows, picked))
    if not number:
        return []
    why = "" if run.picks_apart() else " (the run was trained before 2026-11-26, when they were chosen by all of them)"
    if run.picks_apart() and len(np.unique(data.groups[run.held_out(data)])) == 1:
        why = ", as no more than one group of episodes is held out"
    part = "the" if number == len(rows) else f"{number} of the {len(rows)}"
    return [f"The best weights were chosen by {part} scored samples themselves{why}: expect more error on others."]


def _training_data(run: Run, scored: TransitionSet) -> Path:
    """Where the dataset of a run's training lies: where it was, in the Hub's download, or where it is scored on now.

    It may be gone.
    """
    own = run.data_folder()
    if not own.is_dir() and run.trained_on() == set(scored.digests_of("train")):
        return scored.path
    try:
        return at_hand(own, DATASET)
    except ForearmError:
        return own


def _baselines(run: Run, training: Path) -> tuple[dict[str, Predictor], list[str]]:
    """All baselines, fitted on what the run was trained on; only persistence, and a caution, if that is gone."""
    try:
        return fitted_baselines(run.data(training)), []
    except ForearmError as error:
        caution = "Only persistence and the untrained model are shown, as other baselines need the training's dataset"
        return standard_baselines(), [f"{caution}: {error}."]


def _reader(run: Run, training: Path, scored: TransitionSet, rows: np.ndarray) -> tuple[Reader | None, list[str]]:
    """Who reads joints from pictures, learned from what the run was trained on; None, and why, if that cannot be."""
    try:
        return reader_of(run.data(training)).tested(scored, rows), []
    except ForearmError as error:
        return None, [f"No joints are read from the pictures: {error}."]


def _finder(run: Run, training: Path, scored: TransitionSet) -> tuple[ObjectReader | None, list[str]]:
    """Who finds objects in pictures, likewise; None without a word where nothing is known of objects."""
    if scored.objects is None:
        return None, []
    try:
        return object_reader_of(run.data(training)), []
    except ForearmError as error:
        return None, [f"No objects are found in the pictures: {error}."]


def _kinds_seen(training: Path) -> Kinds | None:
    """How often each kind of action occurs in what a run was trained on; None if that is gone."""
    try:
        data = TransitionSet(training)
    except ForearmError:
        return None
    rows = data.rows("train")
    return count_kinds(data.columns.dimensions[rows], data.codes[rows])


def checked_notes(path: Path) -> str:
    """An experimenter's notes, in which every line that sets targets can be understood."""
    notes = read_notes(path)
    parse_targets(notes)
    return notes


@dataclass(frozen=True)
class Parent:
    """The run that another one follows: the targets it set, and its figures on the same samples if it has any."""

    name: str
    targets: tuple[Target, ...]
    whose: str
    figures: dict[str, Any] | None
    has_set: bool = False
    """Whether its notes set the targets, and not its figures."""


def _parent(run: Run, digest: str) -> tuple[Parent | None, list[str]]:
    """The parent, and a caution where it has no targets to give."""
    path = run.parent()
    if path is None:
        return None, []
    try:
        parent = Run.open(path)
    except ForearmError:
        return None, [f"The parent {path} is no longer there, so nothing is known of the targets it set."]
    figures = next((figures for _, figures in evaluations_of(path) if scored_on(figures) == digest), None)
    notes = (figures or {}).get("notes") or parent.notes()
    if targets := parse_targets(notes):
        return Parent(parent.name, tuple(targets), f"the notes of its parent {parent.name}", figures, True), []
    if figures:
        whose = f"the figures of its parent {parent.name}, whose notes set none: to be at least as good"
        return Parent(parent.name, tuple(key_targets(figures)), whose, figures), []
    caution = f"The parent {parent.name} set no targets and has not been evaluated on these samples, so there are none."
    return Parent(parent.name, (), "", None), [caution]


def _targets(notes: str, parent: Parent | None) -> tuple[tuple[Target, ...], str]:
    """What a run is measured by, and who set it: its own notes, then its parent where its notes name no target for a
    figure. A parent that set no targets is a target itself only for a run without its own."""
    own = parse_targets(notes)
    if not own:
        return (parent.targets, parent.whose) if parent else ((), "")
    named = {target.name for target in own}
    theirs = [target for target in parent.targets if target.name not in named] if parent and parent.has_set else []
    whose = f"its own notes and {parent.whose}" if parent and theirs else "its own notes"
    return (*own, *theirs), whose


def _compared(run: Path, digest: str) -> dict[str, Any]:
    """The figures of a run to compare with: on the same samples if there are any, else on its own data."""
    found = [figures for _, figures in evaluations_of(Run.open(run).path)]
    if not found:
        raise ForearmError(f"{run} has not been evaluated; do so first: forearm evaluate {run}")
    return next((figures for figures in found if scored_on(figures) == digest), found[0])


def _origin(run: Run, checkpoint: Checkpoint, model: nn.Module, data: TransitionSet, digest: str) -> dict[str, Any]:
    """What tells an evaluation from others: the model, its training, the data and the date."""
    return {
        "run": run.name,
        "family": run.config()["family"],
        "checkpoint": checkpoint,
        "weights": run.weights_digest(checkpoint),
        "parameters": sum(weights.numel() for weights in model.parameters()),
        "training": run.trained(),
        "data": {"path": str(data.path.resolve()), "name": data.path.resolve().name, "digest": digest},
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def _watched(source: Iterator[Batch], done: int, total: int, watch: Watch) -> Iterator[Batch]:
    watch(done, total)
    for batch in source:
        yield batch
        done += len(batch)
        watch(done, total)
