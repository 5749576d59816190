"""From a dataset to a trained run, and from an interrupted run to its end; in every process of a training."""

import contextlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

from forearm.devices import device_named
from forearm.models import DEFAULT, family_settings
from forearm.training.config import TrainConfig
from forearm.training.loop import Report, start_run, train
from forearm.training.run import Run
from forearm.transitions.store import TransitionSet

Watching = Callable[[str], AbstractContextManager[Report]]
"""From a run's name to whoever is given its log entries."""


def unwatched(name: str) -> AbstractContextManager[Report]:
    """Log entries are shown to nobody."""
    return contextlib.nullcontext(lambda entry: None)


def train_run(
    data: Path | str | TransitionSet,
    out: Path | str,
    *,
    family: str = DEFAULT,
    size: str | None = None,
    model: Mapping[str, Any] | None = None,
    config: TrainConfig = TrainConfig(),  # noqa: B008 (frozen)
    fine_tune: Path | None = None,
    parent: Path | None = None,
    notes: str = "",
    device: str = "auto",
    trackers: tuple[str, ...] = (),
    watching: Watching = unwatched,
) -> Run:
    """Train a model on a dataset and leave a run's folder.

    Args:
        data: the dataset to train on.
        out: the folder to write; it must not exist.
        family: the family of models.
        size: the family's size by name; by default the one made for the dataset's patches.
        model: settings of the family that differ from the size's.
        config: how the training goes.
        fine_tune: a run whose family, settings, weights and bounds to start from.
        parent: the run that this one follows and whose targets it is measured by.
        notes: the experimenter's own text, kept in the folder.
        device: where to train.
        trackers: where to log besides ``log.jsonl``.
        watching: who is given every log entry.

    Raises:
        ForearmError: data, settings or runs are missing or do not fit, the folder is taken, or the loss diverges.
        KeyboardInterrupt: after an interruption, once the checkpoint is written.
    """
    processes = start_processes(device)
    transitions = data if isinstance(data, TransitionSet) else TransitionSet(Path(data))
    if processes.is_main_process:
        named = size or ("so101" if transitions.layout.patch >= 16 else "tiny")
        settings = family_settings(family, named, dict(model or {}))
        basis, follows = (Run.open(path) if path else None for path in (fine_tune, parent))
        start_run(Path(out), family, settings, config, transitions, basis, follows, notes)
    return _go(processes, Run(Path(out)), transitions, False, device, trackers, watching)


def resume_run(
    out: Path | str,
    data: Path | None = None,
    *,
    device: str = "auto",
    trackers: tuple[str, ...] = (),
    watching: Watching = unwatched,
) -> Run:
    """Go on with an interrupted training; the arguments are those of ``train_run``, the data the run's by default."""
    processes = start_processes(device)
    run = Run.open(out)
    # Interrupted before its first checkpoint, a training begins anew.
    began = run.resume_file.is_file() or any(entry["step"] for entry in run.log())
    return _go(processes, run, TransitionSet(data or run.data_path()), began, device, trackers, watching)


def start_processes(device: str) -> PartialState:
    """What Accelerate knows of the processes of this training, on the device that a name means."""
    place = device_named(device)
    if place.index is not None and place.type == "cuda":
        torch.cuda.set_device(place)
    return PartialState(cpu=place.type == "cpu")


def _go(
    processes: PartialState,
    run: Run,
    data: TransitionSet,
    resume: bool,
    device: str,
    trackers: tuple[str, ...],
    watching: Watching,
) -> Run:
    processes.wait_for_everyone()
    run = Run.open(run.path)
    data.require_fit(run.layout(), f"run {run.name}")
    with watching(run.name) if processes.is_main_process else unwatched(run.name) as report:
        train(run, data, device=device, resume=resume, trackers=trackers, report=report)
    return run
