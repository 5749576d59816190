"""Sample pictures written while training goes on."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from forearm.base.files import writing
from forearm.batch import Batch, Predictor
from forearm.canvas import as_uint8


@torch.no_grad()
def save_samples(path: Path, predictor: Predictor, batch: Batch) -> None:
    """Write a PNG: the true canvases above, and below them the same with the predicted last frame."""
    predicted = batch.canvas.clone()
    predicted[..., batch.layout.frame_columns(-1)] = predictor.predict(batch.context()).frame.to(predicted)
    rows = [np.concatenate(as_uint8(canvases.cpu().numpy()), axis=2) for canvases in (batch.canvas, predicted)]
    with writing(path) as beside:
        Image.fromarray(np.concatenate(rows, axis=1).transpose(1, 2, 0)).save(beside, format="PNG")
