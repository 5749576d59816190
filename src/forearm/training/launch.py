"""From a dataset to a trained run, and from an interrupted run to its end; in every process of a training."""

import contextlib
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from accelerate import PartialState

from forearm.models import DEFAULT, family_settings
from forearm.training.blocks import require_compiler
from forearm.training.config import TrainConfig
from forearm.training.loop import Report, start_run, train
from forearm.training.processes import require_divisible, restarted, start_processes
from forearm.training.resume import extend
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
    weights: Path | None = None,
    device: str = "auto",
    trackers: tuple[str, ...] = (),
    watching: Watching = unwatched,
    given: Collection[str] = (),
) -> Run:
    """Train a model on a dataset and leave a run's folder.

    Where torchrun starts the processes anew, as one of them has ended, the training goes on from its last checkpoint.

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
        weights: a file that says how often to draw each transition or episode; see ``read_weights``.
        device: where to train.
        trackers: where to log besides ``log.jsonl``.
        watching: who is given every log entry.
        given: names of the settings in ``config`` that somebody asked for; one without effect is refused.

    Raises:
        ForearmError: data, settings or runs are missing or do not fit, the folder is taken, or the loss diverges.
        KeyboardInterrupt: after an interruption, once the checkpoint is written.
    """
    processes = start_processes(device)
    transitions = data if isinstance(data, TransitionSet) else TransitionSet(Path(data))
    if restarted() and Run(Path(out)).config_file.is_file():
        return resume_run(out, transitions.path, device=device, trackers=trackers, watching=watching)
    if processes.is_main_process:
        require_divisible(config, processes.num_processes)
        if config.compile:
            require_compiler(processes.device)
        named = size or ("so101" if transitions.layout.patch >= 16 else "tiny")
        settings = {} if fine_tune else family_settings(family, named, dict(model or {}))
        basis, follows = (Run.open(path) if path else None for path in (fine_tune, parent))
        if basis is not None:
            basis.load("best")  # refuses weights that cannot be started from before anything is written
        start_run(Path(out), family, settings, config, transitions, basis, follows, notes, weights, given)
    return _go(processes, Run(Path(out)), transitions, False, device, trackers, watching)


def resume_run(
    out: Path | str,
    data: Path | None = None,
    *,
    steps: int | None = None,
    minutes: float | None = None,
    device: str = "auto",
    trackers: tuple[str, ...] = (),
    watching: Watching = unwatched,
) -> Run:
    """Go on with an interrupted training, or past the end of a finished one.

    Args:
        out: the run's folder.
        data: the dataset to train on; the run's own by default.
        steps: a new end, in steps from the beginning; see ``extend``.
        minutes: a new end, in minutes from the beginning.
        device: where to train.
        trackers: where to log besides ``log.jsonl``.
        watching: who is given every log entry.

    Raises:
        ForearmError: there is nothing to resume from, the new end has passed, or the data does not fit.
        KeyboardInterrupt: after an interruption, once the checkpoint is written.
    """
    processes = start_processes(device)
    run = Run.open(out)
    if run.training().compile:
        require_compiler(processes.device)
    transitions = run.data(data)
    # Interrupted before its first checkpoint, a training begins anew.
    began = any(entry["step"] for entry in run.log()) or run.resume_file.is_file()  # a damaged log is refused first
    if (steps, minutes) != (None, None) and processes.is_main_process:
        extend(run, steps, minutes)
    return _go(processes, run, transitions, began, device, trackers, watching)


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
    with watching(run.name) if processes.is_main_process else unwatched(run.name) as report:
        train(run, data, device=device, resume=resume, trackers=trackers, report=report)
    return run
