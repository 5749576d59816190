"""Sample pictures written while training goes on."""

from pathlib import Path

import torch
from PIL import Image

from forearm.batch import Batch, Predictor
from forearm.canvas import as_uint8
from forearm.files import writing
from forearm.media.pictures import channels_last, tile


@torch.no_grad()
def save_samples(path: Path, predictor: Predictor, batch: Batch) -> None:
    """Write a PNG: the true canvases above, and below them the same with the predicted last frame."""
    painted = batch.canvas.clone()
    painted[..., batch.layout.frame_columns(-1)] = predictor.predict(batch.context()).frame.to(painted)
    canvases = as_uint8(torch.cat([batch.canvas, painted]).cpu().numpy())
    picture = tile([channels_last(canvas) for canvas in canvases], columns=len(batch))
    with writing(path) as beside:
        Image.fromarray(picture).save(beside, format="PNG")
