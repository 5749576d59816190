"""Everything that an interrupted training needs to go on as if nothing had happened, in one file."""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from forearm.errors import ForearmError
from forearm.models import WorldModel
from forearm.training.run import read_tensors, save_tensors
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
    tensors, metadata = read_tensors(path)
    try:
        progress = Progress(**json.loads(metadata["progress"]))
        for part, target in (("model", model), ("average", average.model)):
            target.load_state_dict({n: tensors[f"{part}.{n}"] for n in target.state_dict()})
        for name, parameter in model.named_parameters():
            optimizer.state[parameter] = {
                key.split(".", 2)[1]: value.to(parameter.device if not key.startswith("optimizer.step") else "cpu")
                for key, value in tensors.items()
                if key.startswith("optimizer.") and key.split(".", 2)[2] == name
            }
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ForearmError(f"{path} is of another training: {error}; train anew into another folder") from error
    return progress
