"""Sample pictures written while training goes on."""

from pathlib import Path

import torch
from PIL import Image

from forearm.canvas import Layout, as_uint8
from forearm.files import writing
from forearm.media.pictures import channels_last, tile
from forearm.models import Predictor
from forearm.transitions.batch import Batch


@torch.no_grad()
def save_samples(path: Path, predictor: Predictor, batch: Batch, layout: Layout) -> None:
    """Write a PNG: the true canvases above, and below them the same with the predicted last frame."""
    painted = batch.canvas.clone()
    painted[..., layout.frame_columns(-1)] = predictor.predict(batch.context(layout)).to(painted)
    canvases = as_uint8(torch.cat([batch.canvas, painted]).cpu().numpy())
    picture = tile([channels_last(canvas) for canvas in canvases], columns=len(batch))
    with writing(path) as beside:
        Image.fromarray(picture).save(beside, format="PNG")
