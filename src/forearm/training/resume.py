"""Everything that an interrupted training needs to go on as if nothing had happened, in one file."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import Parameter

from forearm.base.errors import ForearmError
from forearm.base.files import checked, locked, parse_json, write_json
from forearm.models import WorldModel
from forearm.models.renamed import current_weights
from forearm.training.run import Run, fill, read_tensors, require_marks, save_tensors
from forearm.training.schedule import MovingAverage, Progress, share_done

MOMENTS = {"step", "exp_avg", "exp_avg_sq"}, {"momentum"}
"""What AdamW, or else Muon, keeps of each parameter."""


def save_state(
    path: Path,
    marks: dict[str, str],
    model: WorldModel,
    average: MovingAverage,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
) -> None:
    """Write weights, their average, the optimiser's moments, the progress and the run's marks, whole or not at all."""
    tensors: dict[str, Tensor] = {}
    tensors |= {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in average.model.state_dict().items()}
    for name, parameter in model.named_parameters():
        for moment, value in optimizer.state[parameter].items():
            tensors[f"optimizer.{moment}.{name}"] = value
    _save(path, marks, tensors, progress)


def load_state(
    path: Path, marks: dict[str, str], model: WorldModel, average: MovingAverage, optimizer: torch.optim.Optimizer
) -> Progress:
    """Fill model, average and optimiser with what ``save_state`` wrote; return the progress.

    Raises:
        ForearmError: the file is missing, damaged, or of a run with other marks.
    """
    progress, tensors = _read(path, marks)
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "optimizer": {}}
    try:
        for name, value in tensors.items():
            part, rest = name.split(".", 1)
            parts[part][rest] = value
    except (KeyError, ValueError) as error:
        raise _no_checkpoint(path, error) from error
    fill(model, parts["model"], path)
    fill(average.model, parts["average"], path)
    for parameter, moments in _moments(parts["optimizer"], model, progress, path).items():
        optimizer.state[parameter] = {moment: value.to(parameter.device) for moment, value in moments.items()}
    return progress


def extend(run: Run, steps: int | None, minutes: float | None) -> None:
    """Give a training another end, in steps or in minutes from its beginning, whether or not it has finished.

    It goes on from its last checkpoint with the learning rate of a training that was to end there from the start: a
    cosine of 1000 steps that is extended to 2000 rises from a hundredth of the rate to half of it and falls again; a
    plateau's halvings stay. Evaluations without progress are counted anew, or ``patience`` might end it at once.
    """
    config = run.training()
    if minutes is not None:
        config = replace(config, minutes=minutes)
    elif steps is not None:
        config = replace(config, steps=steps, minutes=None)
    with locked(run.path.resolve()):
        if run.resume_file.is_file():
            progress, tensors = _read(run.resume_file, run.marks())
            require_best(run, progress)
            done = f"{progress.seconds / 60:.3g} minutes" if config.minutes else f"{progress.step} steps"
            progress.done, progress.stale, progress.stale_at_halving = share_done(config, progress), 0, 0
            if progress.done >= 1:
                wanted = f"{config.minutes:g} minutes" if config.minutes else f"{config.steps} steps"
                raise ForearmError(f"run {run.name} has done {done}, so it cannot go on to {wanted}; choose more")
            _save(run.resume_file, run.marks(), tensors, progress)
        write_json(run.config_file, run.config() | {"training": asdict(config)})


def _save(path: Path, marks: dict[str, str], tensors: dict[str, Tensor], progress: Progress) -> None:
    save_tensors(path, tensors, {**marks, "progress": json.dumps(asdict(progress)), "tensors": str(len(tensors))})


def _moments(
    tensors: dict[str, Tensor], model: WorldModel, progress: Progress, path: Path
) -> dict[Parameter, dict[str, Tensor]]:
    """The optimiser's state of each parameter that has been trained."""
    parameters = dict(model.named_parameters())
    found: dict[Parameter, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        moment, _, old = key.partition(".")
        (name,) = current_weights({old: value}, parameters)
        fits = name in parameters and value.shape in ((), parameters[name].shape)
        if not fits or not any(moment in known for known in MOMENTS):
            raise _no_checkpoint(path, f"the optimiser's {key} fits no parameter")
        found.setdefault(parameters[name], {})[moment] = value
    if progress.step and (not found or any(set(moments) not in MOMENTS for moments in found.values())):
        raise _no_checkpoint(path, "it lacks moments of the optimiser")
    return found


def require_state(path: Path) -> None:
    """Refuse to resume where nothing was saved.

    Raises:
        ForearmError: the file is missing.
    """
    if not path.is_file():
        raise ForearmError(f"{path} is missing, so there is nothing to resume from; train anew into another folder")


def require_best(run: Run, progress: Progress) -> None:
    """Refuse to go on beside best weights that are gone or damaged: nothing would bring them back.

    Raises:
        ForearmError: the file is missing, damaged, or of another run.
    """
    best = run.weights_file("best")
    if progress.best_step >= 0:
        if not best.is_file():
            raise ForearmError(f"{best} is missing, which step {progress.best_step} left; restore it or train anew")
        run.load("best")


def _read(path: Path, marks: dict[str, str]) -> tuple[Progress, dict[str, Tensor]]:
    require_state(path)
    tensors, metadata = read_tensors(path)
    require_marks(path, metadata, marks)
    if metadata.get("tensors", str(len(tensors))) != str(len(tensors)):  # those of before 2026-11-26 do not say
        raise _no_checkpoint(path, f"it holds {len(tensors)} of {metadata['tensors']} tensors")
    told = parse_json(metadata.get("progress", "null"), path)
    if isinstance(told, dict):  # the best loss is infinite before the first evaluation, which JSON cannot say
        told = {name: value for name, value in told.items() if value is not None}
    return checked(Progress, told, f"the progress in {path}"), tensors


def _no_checkpoint(path: Path, error: Exception | str) -> ForearmError:
    why = error if isinstance(error, str) else repr(error)
    return ForearmError(f"{path} is no checkpoint of a training: {why}; train anew elsewhere")
