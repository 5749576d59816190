"""Counterfactual grids: a moment as it was, and as the model imagines it under every action."""

from pathlib import Path

import numpy as np
from PIL import Image

from forearm.canvas import CODE_NAMES, CODES, Layout
from forearm.evaluation import PERSISTENCE, Evaluation, Example
from forearm.report.figures import heat_map


def grid(example: Example) -> np.ndarray:
    """Four canvases below each other, ground truth, STAY, MOVE+ and MOVE−: (4H, W, 3) uint8."""
    return np.concatenate([picture(canvas) for canvas in (example.truth, *(example.under[code] for code in CODES))])


def picture(canvas: np.ndarray) -> np.ndarray:
    """(3, H, W) to (H, W, 3)."""
    return canvas.transpose(1, 2, 0)


def error_maps(layout: Layout, example: Example) -> dict[str, np.ndarray]:
    """Absolute error of the last frame, mean over channels, (H, w): the model's and persistence's."""
    columns = layout.frame_columns(-1)
    truth = example.truth[..., columns].astype(np.float32)
    regions = {"model": example.under[example.code][..., columns]}
    if PERSISTENCE in example.baselines:
        regions[PERSISTENCE] = example.baselines[PERSISTENCE]
    return {name: np.abs(region - truth).mean(0) / 255 for name, region in regions.items()}


def heat_top(evaluation: Evaluation) -> float:
    """The error at which the colours of all heat maps end: all but half a percent of the picture lies below."""
    maps = [
        values[: evaluation.layout.frame_height]
        for example in (*evaluation.drawn, *evaluation.best, *evaluation.worst)
        for values in error_maps(evaluation.layout, example).values()
    ]
    return max(float(np.percentile(np.stack(maps), 99.5)), 1 / 255) if maps else 1.0


def grid_name(evaluation: Evaluation, index: int) -> str:
    """File name of a grid; it says which of its actions are guesses."""
    guesses = "".join(f"_{CODE_NAMES[code].replace('−', '-')}-is-a-guess" for code in evaluation.guesses)
    return f"counterfactual_{index:03d}{guesses}.png"


def save_grids(evaluation: Evaluation, folder: Path) -> None:
    """Write a grid and its error maps for every drawn example, at the canvases' own pixels."""
    folder.mkdir()
    top = heat_top(evaluation)
    for i, example in enumerate(evaluation.drawn):
        Image.fromarray(grid(example)).save(folder / grid_name(evaluation, i))
        gap = np.full((evaluation.layout.height, evaluation.layout.patch, 3), 255, np.uint8)
        coloured = [heat_map(values, top) for values in error_maps(evaluation.layout, example).values()]
        side_by_side = [part for values in coloured for part in (gap, values)][1:]
        Image.fromarray(np.concatenate(side_by_side, axis=1)).save(folder / f"error_{i:03d}.png")
