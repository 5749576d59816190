"""Sample pictures written while training goes on."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from forearm.base.files import writing
from forearm.batch import Batch, Predictor
from forearm.canvas import CODE_NAMES, action_codes, as_uint8
from forearm.media.colours import heat_map
from forearm.media.labels import labelled
from forearm.media.pictures import channels_last, tile
from forearm.media.words import action_words, figure
from forearm.models.world_model import require_prediction

COLUMNS = 2
"""How many samples stand beside each other."""
TOP = 0.3
"""The error at which its colours end, the same at every step so that pictures of a run can be compared."""


@torch.no_grad()
def save_samples(path: Path, predictor: Predictor, batch: Batch, step: int) -> np.ndarray:
    """Write a PNG: of each sample the frame before, the truth, the prediction and its error, and the action in words.

    Args:
        step: the training's step, which stands below each sample.

    Returns:
        the picture, (h, w, 3) uint8.

    Raises:
        ForearmError: what is predicted has not the shape that the layout says.
    """
    layout, height = batch.layout, batch.layout.frame_height
    prediction = require_prediction(predictor, batch, predictor.predict(batch.context()))
    predicted = as_uint8(prediction.frame.float().cpu().numpy())
    canvases, actions = as_uint8(batch.canvas.cpu().numpy()), batch.actions[:, -1].cpu().numpy()
    samples = []
    for canvas, region, values, code in zip(canvases, predicted, actions, action_codes(actions), strict=True):
        regions = [canvas[..., layout.frame_columns(-2)], canvas[..., layout.frame_columns(-1)], region]
        before, truth, shown = (channels_last(one)[:height] for one in regions)
        error = np.abs(shown.astype(np.float32) - truth).mean(2) / 255
        columns = [("before", before), ("truth", truth), ("prediction", shown), ("error", heat_map(error, TOP))]
        name, words = CODE_NAMES[code], action_words(layout, values)
        mean = f"val_mse {figure(float(((shown.astype(np.float32) - truth) ** 2).mean() / 255**2))}"
        samples.append(labelled(columns, (f"step {step:,} · {mean}", name if name == words else f"{name} {words}")))
    sheet = tile(samples, COLUMNS)
    with writing(path) as beside:
        Image.fromarray(sheet).save(beside, format="PNG", compress_level=1)  # training waits for it
    return sheet
