"""Everything that an interrupted training needs to go on as if nothing had happened, in one file."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor

from forearm.base.errors import ForearmError
from forearm.base.files import write_json
from forearm.models import WorldModel
from forearm.models.renamed import current_weights
from forearm.training.run import Run, fill, read_tensors, save_tensors
from forearm.training.schedule import MovingAverage, Progress, share_done


def save_state(
    path: Path, model: WorldModel, average: MovingAverage, optimizer: torch.optim.Optimizer, progress: Progress
) -> None:
    """Write weights, their average, the optimiser's moments and the progress, whole or not at all."""
    tensors: dict[str, Tensor] = {}
    tensors |= {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in average.model.state_dict().items()}
    for name, parameter in model.named_parameters():
        for moment, value in optimizer.state[parameter].items():
            tensors[f"optimizer.{moment}.{name}"] = value
    save_tensors(path, tensors, {"progress": json.dumps(asdict(progress))})


def load_state(path: Path, model: WorldModel, average: MovingAverage, optimizer: torch.optim.Optimizer) -> Progress:
    """Fill model, average and optimiser with what ``save_state`` wrote; return the progress.

    Raises:
        ForearmError: the file is missing, damaged, or of another model.
    """
    progress, tensors = _read(path)
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "optimizer": {}}
    try:
        for name, value in tensors.items():
            part, rest = name.split(".", 1)
            parts[part][rest] = value
    except (KeyError, ValueError) as error:
        raise _no_checkpoint(path, error) from error
    fill(model, parts["model"], path)
    fill(average.model, parts["average"], path)
    parameters = dict(model.named_parameters())
    for key, value in parts["optimizer"].items():
        moment, old = key.split(".", 1)
        (name,) = current_weights({old: value}, parameters)
        optimizer.state[parameters[name]][moment] = value.to(parameters[name].device)
    return progress


def extend(run: Run, steps: int | None, minutes: float | None) -> None:
    """Give a training another end, in steps or in minutes from its beginning, whether or not it has finished.

    It goes on from its last checkpoint with the learning rate of a training that was to end there from the start: a
    cosine of 1000 steps that is extended to 2000 rises from a hundredth of the rate to half of it and falls again; a
    plateau's halvings stay. Evaluations without progress are counted anew, or ``patience`` might end it at once.

    Raises:
        ForearmError: the new end has passed, or there is no checkpoint to go on from.
    """
    config = run.training()
    if minutes is not None:
        config = replace(config, minutes=minutes)
    elif steps is not None:
        config = replace(config, steps=steps, minutes=None)
    if run.resume_file.is_file():
        progress, tensors = _read(run.resume_file)
        done = f"{progress.seconds / 60:.3g} minutes" if config.minutes else f"{progress.step} steps"
        progress.done, progress.stale, progress.stale_at_halving = share_done(config, progress), 0, 0
        if progress.done >= 1:
            wanted = f"{config.minutes:g} minutes" if config.minutes else f"{config.steps} steps"
            raise ForearmError(f"run {run.name} has done {done}, so it cannot go on to {wanted}; choose more")
        save_tensors(run.resume_file, tensors, {"progress": json.dumps(asdict(progress))})
    write_json(run.config_file, run.config() | {"training": asdict(config)})


def _read(path: Path) -> tuple[Progress, dict[str, Tensor]]:
    if not path.is_file():
        raise ForearmError(f"{path} is missing, so there is nothing to resume from; train anew into another folder")
    tensors, metadata = read_tensors(path)
    try:
        return Progress(**json.loads(metadata["progress"])), tensors
    except (KeyError, TypeError, ValueError) as error:
        raise _no_checkpoint(path, error) from error


def _no_checkpoint(path: Path, error: Exception) -> ForearmError:
    return ForearmError(f"{path} is no checkpoint of a training: {error!r}; train anew elsewhere")
