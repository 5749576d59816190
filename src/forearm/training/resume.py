"""Everything that an interrupted training needs to go on as if nothing had happened, in one file."""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from forearm.errors import ForearmError
from forearm.models import WorldModel
from forearm.training.run import fill, read_tensors, save_tensors
from forearm.training.schedule import MovingAverage, Progress


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
    if not path.is_file():
        raise ForearmError(f"{path} is missing, so there is nothing to resume from; train anew into another folder")
    tensors, metadata = read_tensors(path)
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "optimizer": {}}
    try:
        progress = Progress(**json.loads(metadata["progress"]))
        for name, value in tensors.items():
            part, rest = name.split(".", 1)
            parts[part][rest] = value
    except (KeyError, TypeError, ValueError) as error:
        raise ForearmError(f"{path} is no checkpoint of a training: {error!r}; train anew elsewhere") from error
    fill(model, parts["model"], path)
    fill(average.model, parts["average"], path)
    parameters = dict(model.named_parameters())
    for key, value in parts["optimizer"].items():
        moment, name = key.split(".", 1)
        optimizer.state[parameters[name]][moment] = value.to(parameters[name].device)
    return progress
