"""Counterfactual grids: a recorded transition, and what the model predicts under every action."""

from pathlib import Path

import numpy as np
from PIL import Image

from forearm.canvas import CODES, Layout
from forearm.canvas.actions import typed_name
from forearm.evaluation import PERSISTENCE, Evaluation, Example
from forearm.media.colours import heat_map
from forearm.media.pictures import channels_last, tile

EXPECTED = "expected"
"""The name of the map of the error that the model expects."""


def grid(layout: Layout, example: Example, top: float) -> np.ndarray:
    """Four canvases below each other, ground truth, STAY, MOVE+ and MOVE−: (4H, W, 3) uint8.

    Where the outcomes of other actions are known, the true frame and the error stand right of each prediction.
    """
    canvases = [channels_last(canvas) for canvas in (example.truth, *(example.under[code] for code in CODES))]
    if not example.replayed:
        return tile(canvases, columns=1)
    cells: list[np.ndarray | None] = [canvases[0], None, None]
    for code, canvas in zip(CODES, canvases[1:], strict=True):
        cells += [canvas, None, None]
        if code in example.outcomes:
            cells[-2:] = channels_last(example.outcomes[code]), heat_map(outcome_error(layout, example, code), top)
    return tile(cells, columns=3, gap=(0, layout.patch))


def outcome_error(layout: Layout, example: Example, code: int) -> np.ndarray:
    """Absolute error of what is predicted under an action whose outcome is known, mean over channels, (H, w)."""
    return _absolute_error(example.under[code][..., layout.frame_columns(-1)], example.outcomes[code])


def error_maps(layout: Layout, example: Example) -> dict[str, np.ndarray]:
    """Absolute error of the last frame, mean over channels, (H, w): the model's, the expected and persistence's.

    The expected error is the root of the expected squared error; that of the strip is 0.
    """
    columns = layout.frame_columns(-1)
    truth = example.truth[..., columns]
    regions = {"model": example.under[example.code][..., columns]}
    if PERSISTENCE in example.baselines:
        regions[PERSISTENCE] = example.baselines[PERSISTENCE]
    maps = {name: _absolute_error(region, truth) for name, region in regions.items()}
    if example.expected_error is None:
        return maps
    expected = np.pad(np.sqrt(example.expected_error), ((0, layout.strip_height), (0, 0)))
    return {"model": maps.pop("model"), EXPECTED: expected, **maps}


def _absolute_error(region: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.abs(region.astype(np.float32) - other).mean(0) / 255


def heat_top(evaluation: Evaluation) -> float:
    """The error at which the colours of all heat maps end: 99.5% of the pictures' pixels lie below."""
    maps = [
        values[: evaluation.layout.frame_height]
        for example in (*evaluation.drawn, *evaluation.best, *evaluation.worst)
        for values in error_maps(evaluation.layout, example).values()
    ]
    return max(float(np.percentile(np.stack(maps), 99.5)), 1 / 255) if maps else 1.0


def grid_name(evaluation: Evaluation, index: int) -> str:
    """File name of a grid, which names the actions that are guesses."""
    guesses = "".join(f"_{typed_name(code)}-is-a-guess" for code in evaluation.guesses)
    return f"counterfactual_{index:03d}{guesses}.png"


def save_grids(evaluation: Evaluation, folder: Path) -> None:
    """Write a grid and its error maps for every drawn example, at the canvases' own pixels."""
    folder.mkdir()
    top = heat_top(evaluation)
    for i, example in enumerate(evaluation.drawn):
        Image.fromarray(grid(evaluation.layout, example, top)).save(folder / grid_name(evaluation, i))
        maps = [heat_map(values, top) for values in error_maps(evaluation.layout, example).values()]
        Image.fromarray(tile(maps, gap=evaluation.layout.patch)).save(folder / f"error_{i:03d}.png")
