"""Sample pictures written while training goes on."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from forearm.canvas import Layout, as_uint8
from forearm.files import writing
from forearm.models import Predictor
from forearm.transitions.batch import Batch


@torch.no_grad()
def save_samples(path: Path, predictor: Predictor, batch: Batch, layout: Layout) -> None:
    """Write a PNG: the true canvases above, and below them the same with the predicted last frame."""
    painted = batch.canvas.clone()
    painted[..., layout.frame_columns(-1)] = predictor.predict(batch.context(layout)).to(painted)
    rows = [np.concatenate(list(canvases.cpu().numpy()), axis=2) for canvases in (batch.canvas, painted)]
    picture = as_uint8(np.concatenate(rows, axis=1).transpose(1, 2, 0))
    with writing(path) as beside:
        Image.fromarray(picture).save(beside, format="PNG")
