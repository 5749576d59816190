"""Training on what a model imagines itself: it goes on from its own pictures, as it does in a rollout."""

import dataclasses
from collections.abc import Sequence

import torch

from forearm.batch import Batch
from forearm.models import WorldModel
from forearm.training.config import TrainConfig

USUAL_SHARE = 0.4
"""Of imagined transitions, for models that look at the first frame of a rollout."""


def imagined_share(model: WorldModel, config: TrainConfig) -> float:
    """The share of transitions whose pictures a model is to imagine."""
    usual = USUAL_SHARE if model.looks_back else 0.0
    return usual if config.imagined_share is None else config.imagined_share


@torch.no_grad()
def imagined(model: WorldModel, leading: Sequence[Batch], batch: Batch) -> Batch:
    """A batch whose first transitions begin with pictures that the model imagines itself.

    A model that is fed back meets pictures that are a little blurred and out of place, which recordings never show
    (Bengio et al. 2015, Scheduled Sampling). Joints stay the true ones, so that actions mean what they meant.

    Args:
        model: imagines; it is left in training mode.
        leading: transitions (n, ...): those with which it all began, and then some of which each goes on from the one
            before it.
        batch: whose first n transitions go on from the last of them. Without any, it is returned as it is.
    """
    if not leading:
        return batch
    begun, first, *between = leading
    count, height = len(begun), batch.layout.frame_height
    context = dataclasses.replace(first.context(), carried=model.beginning(begun))
    model.eval()
    for following in (*between, batch[:count]):
        # From means: going on from modes gained nothing (docs/log/2026-11-27-flagship.md#what-is-fed-back).
        prediction = dataclasses.replace(model.predict(context), positions=following.positions[:, -2], mode=None)
        context = context.then(prediction, following.actions[:, -1], following.dimensions)
    model.train()
    canvas = batch.canvas.clone()
    for t in range(batch.layout.history - 1):
        columns = batch.layout.frame_columns(t)
        canvas[:count, :, :height, columns] = context.canvas[:, :, :height, columns]
    own = model.beginning(batch[count:]) or {}
    carried = {name: torch.cat([(context.carried or {})[name], values]) for name, values in own.items()}
    return dataclasses.replace(batch, canvas=canvas, carried=carried or None)
