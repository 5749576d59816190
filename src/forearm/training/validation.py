"""Validation within its share of a training's time: which rows, how often, and their mean losses."""

from typing import TypedDict

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

from forearm.base.errors import ForearmError
from forearm.base.files import Count, checked, read_json, write_json
from forearm.models import WorldModel
from forearm.models.world_model import require_losses
from forearm.training.config import LOWER_RATES, TrainConfig
from forearm.training.processes import seed_of
from forearm.training.run import Run
from forearm.training.schedule import Progress
from forearm.transitions.loader import batch_on
from forearm.transitions.split import drawn_equally
from forearm.transitions.store import TransitionSet

SHARE = 0.05
"""Of a training's time that evaluations may take, and as much again for checkpoints between them."""
SPARED = 30.0
"""Seconds of either that no training saves: small ones are evaluated as often as they say."""
LEAST_VALIDATED, MOST_VALIDATED = 200, 2_000
"""Transitions that are validated on while training goes on, as far as there are so many."""
TRAINED_FOR_EACH = 10
"""Between: one for so many transitions trained on since the last evaluation. A training step costs about three times a
prediction, so that validation takes a thirtieth of the time."""
FAR_BEYOND = 100
"""A joint that is so many times its range from the middle of its bounds is a fault of its sensor."""


class ValidationRows(TypedDict):
    """What ``validation.json`` says: the rows that are validated on while training goes on, and of how many."""

    rows: list[Count]
    of: Count


def validation_rows(run: Run, data: TransitionSet, config: TrainConfig, keep: bool) -> np.ndarray:
    """The rows that a training is validated on, (n,) int64: those that the run keeps, else drawn equally from episodes.

    Args:
        keep: write them into the run's folder where it has none.
    """
    all_rows = data.rows("picking")
    if run.validation_file.is_file():
        kept = checked(ValidationRows, read_json(run.validation_file), str(run.validation_file))
        rows = np.array(kept["rows"], np.int64)
        if kept["of"] == len(all_rows) and len(rows) and np.isin(rows, all_rows).all():
            return rows  # of the same dataset
    most = max(LEAST_VALIDATED, min(MOST_VALIDATED, config.batch_size * config.evaluate_every // TRAINED_FOR_EACH))
    rows = drawn_equally(all_rows, data.groups, most)
    if keep:
        write_json(run.validation_file, {"rows": rows.tolist(), "of": len(all_rows)})
    return rows


def final_rows(data: TransitionSet, rows: np.ndarray, trained: int) -> np.ndarray:
    """The rows to validate the best weights on in the end: all, or as many as ``SHARE`` of the ``trained`` samples."""
    return drawn_equally(data.rows("picking"), data.groups, max(len(rows), int(SHARE * trained)))


def affordable(count: int, seconds: float, progress: Progress) -> bool:
    """Whether what was done ``count`` times, in so many seconds each, may be done again."""
    return (count + 1) * seconds <= SHARE * progress.seconds + SPARED


@torch.no_grad()
def validate(
    model: WorldModel, data: TransitionSet, rows: np.ndarray, batch_size: int, accelerator: Accelerator
) -> dict[str, float]:
    """Mean losses over validation rows, each process taking its part."""
    mine = rows[accelerator.process_index :: accelerator.num_processes]
    sums: dict[str, float] = {}
    for number, start in enumerate(range(0, len(mine), batch_size)):
        batch = batch_on(accelerator.device, data, mine[start : start + batch_size])
        torch.manual_seed(seed_of(0, number, accelerator.process_index))
        with accelerator.autocast():
            losses = require_losses(model, model.validation_loss(batch))
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + float(value) * len(batch)
    parts = gather_object([sums])  # a process without rows has no losses to name
    means = {name: sum(part.get(name, 0.0) for part in parts) / len(rows) for name in parts[0]}
    if not np.isfinite(list(means.values())).all():
        raise ForearmError(f"the validation loss is no number; {_likely_cause(data, rows)}")
    return means


def _likely_cause(data: TransitionSet, rows: np.ndarray) -> str:
    """Why a loss is no number: the joint that is farthest beyond its bounds, or the training itself."""
    layout, positions = data.layout, data.positions(rows)
    middles, ranges = (layout.highs + layout.lows) / 2, layout.highs - layout.lows
    beyond = np.abs(positions - middles) / ranges
    row, frame, joint = np.unravel_index(beyond.argmax(), beyond.shape)
    if beyond[row, frame, joint] < FAR_BEYOND:
        return LOWER_RATES
    episode = data.episodes[data.columns.episodes[rows[row]]]
    return (
        f"{layout.joint_names[joint]} reads {positions[row, frame, joint]:g} in transition {rows[row]}, of episode "
        f"{episode['index']} of {episode['recording']}, where training has {layout.lows[joint]:g} to "
        f"{layout.highs[joint]:g}; build the dataset without that episode"
    )
