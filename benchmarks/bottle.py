"""What a model says of one thing of a known colour in a real recording, apart from the rest of the picture:

    python benchmarks/bottle.py RUN... --data DATASET [--hues 20 60] [--camera cam_high]

writes docs/benchmarks/bottle.md. Nothing but its colour tells where the thing is: pixels of a hue, saturated and
bright enough, in the true pictures before and after. The thing stands where its middle moves by less than half a
pixel and its area by less than a tenth; it is lifted or lowered where its middle moves up or down by more than a
pixel, and more than sideways; or else it is moved. Its pixels are those of its colour before or after, and those next
to them. How far it moves in a predicted picture is read in the same way. Episodes are what is independent.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.colors import rgb_to_hsv
from measuring import ROOT, circumstances, command, write_table
from scipy.ndimage import binary_dilation

from forearm.evaluation.intervals import LeaveOneOut
from forearm.evaluation.samples import Samples
from forearm.training.run import Run
from forearm.transitions.loader import batches
from forearm.transitions.store import TransitionSet

PAGE = ROOT / "docs" / "benchmarks" / "bottle.md"
SATURATED, BRIGHT = 0.45, 0.35
"""Of a pixel of the thing, at least."""
FEWEST = 12
"""Pixels of a thing that is in view."""
STILL, MOVED = 0.5, 1.0
"""Pixels that its middle moves, at most and at least."""
SAME_AREA = 0.1
KINDS = ("stands", "is lifted or lowered", "is otherwise moved", "in all")
BATCH = 64


@dataclass(frozen=True)
class Pictures:
    """One camera's pictures of N transitions, (N, h, w, 3) float32 in [0, 1]: before, after, and as predicted."""

    before: np.ndarray
    after: np.ndarray
    predicted: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="transitions that no run was trained on")
    parser.add_argument("--hues", type=float, nargs=2, default=(20.0, 60.0), help="degrees, from and to")
    parser.add_argument("--camera", help="the first by default")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows, notes = [], ""
    for path in arguments.runs:
        run = Run.open(path)
        data = run.data(arguments.data)
        pictures, episodes = predicted_pictures(run, data, arguments.camera)
        found, notes = figures(pictures, episodes, arguments.hues)
        rows += [f"| {run.name} | {kind} | {' | '.join(cells)} |" for kind, cells in found.items()]
    lines = [
        "# A thing of a known colour in a real recording",
        "",
        f"{circumstances()}. Made by `{command()}`.",
        "",
        "Pixels of the thing are found by their colour in the true pictures. *Of copying's* is the squared error on",
        "them as a share of what the picture before has there, with a 95 % interval over episodes; *how far* is the",
        "motion of the colour's middle in the predicted pictures along its true motion (least squares), of those",
        "that move; *px off* how far that middle lies from the true one, beside where the picture before has it.",
        "",
        notes,
        "",
        "| run | the thing | transitions | MSE | copying's MSE | of copying's | how far | px off | px off, copying |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
        *rows,
    ]
    write_table(PAGE, "\n".join(lines) + "\n")


def predicted_pictures(run: Run, data: TransitionSet, camera: str | None) -> tuple[Pictures, np.ndarray]:
    """What a run predicts of all transitions of a dataset, and the episode of each."""
    model, layout = run.load("best").eval(), data.layout
    names = [each.name for each in layout.cameras]
    rows, columns = layout.camera_boxes()[names.index(camera) if camera else 0]
    parts: list[list[np.ndarray]] = [[], [], []]
    for batch in batches(data, data.rows(), BATCH):
        with torch.inference_mode():
            frames = [batch.canvas[..., layout.frame_columns(t)] for t in (-2, -1)]
            frames.append(model.predict(batch.context()).frame)
        for part, frame in zip(parts, frames, strict=True):
            part.append(frame[..., rows, columns].permute(0, 2, 3, 1).numpy())
    return Pictures(*(np.concatenate(part) for part in parts)), data.columns.episodes


def coloured(pictures: np.ndarray, hues: Sequence[float]) -> np.ndarray:
    """Which pixels are of the thing's colour, (N, h, w) bool."""
    hue, saturation, value = np.moveaxis(rgb_to_hsv(pictures.clip(0, 1)), -1, 0)
    low, high = (degrees / 360 for degrees in hues)
    return (hue >= low) & (hue <= high) & (saturation >= SATURATED) & (value >= BRIGHT)


def middles(masks: np.ndarray) -> np.ndarray:
    """The middle (x, y) of masks (N, h, w) in pixels, (N, 2); NaN of an empty one."""
    y, x = np.mgrid[: masks.shape[1], : masks.shape[2]]
    count = masks.sum((1, 2))
    with np.errstate(invalid="ignore"):
        return np.stack([(masks * axis).sum((1, 2)) / count for axis in (x, y)], axis=1)


def figures(pictures: Pictures, episodes: np.ndarray, hues: Sequence[float]) -> tuple[dict[str, list[str]], str]:
    """The cells of the table by what becomes of the thing, and how many transitions are left out."""
    before, after, predicted = (coloured(each, hues) for each in (pictures.before, pictures.after, pictures.predicted))
    areas = np.stack([before.sum((1, 2)), after.sum((1, 2))])
    seen = (areas >= FEWEST).all(axis=0)
    grown = np.abs(areas[1] - areas[0]) / np.maximum(areas.max(axis=0), 1)
    start, motion = middles(before), middles(after) - middles(before)
    far, (sideways, upright) = np.linalg.norm(motion, axis=1), np.abs(motion).T
    vertical = (upright > MOVED) & (upright > sideways)
    kinds = {
        "stands": seen & (far < STILL) & (grown < SAME_AREA),
        "is lifted or lowered": seen & vertical,
        "is otherwise moved": seen & (far > MOVED) & ~vertical,
        "in all": seen,
    }
    masks = np.stack([binary_dilation(mask) for mask in before | after])
    wrong, copied = (
        (((each - pictures.after) ** 2).mean(axis=3) * masks).sum((1, 2))
        for each in (pictures.predicted, pictures.before)
    )
    went = middles(predicted) - start
    went[predicted.sum((1, 2)) < FEWEST] = 0  # it has dissolved: it is nowhere else
    cells = {}
    for kind in KINDS:
        of = kinds[kind]
        pixels = masks[of].sum()
        share = LeaveOneOut.of(Samples({"share": wrong[of]}, {"share": copied[of]}), episodes[of]).estimate("share")
        span = "" if share is None else " ({:.2f} to {:.2f})".format(*share.interval())
        moves = (went[of] * motion[of]).sum() / (motion[of] ** 2).sum()
        cells[kind] = [
            str(of.sum()),
            f"{wrong[of].sum() / pixels:.5f}",
            f"{copied[of].sum() / pixels:.5f}",
            f"{wrong[of].sum() / copied[of].sum():.2f}{span}",
            "–" if kind == "stands" else f"{moves:.2f}",
            f"{np.linalg.norm(went[of] - motion[of], axis=1).mean():.2f}",
            f"{far[of].mean():.2f}",
        ]
    apart = (
        f"{len(seen)} transitions of {len(np.unique(episodes))} episodes; in {np.sum(~seen)} the thing is not in view."
    )
    return cells, apart


if __name__ == "__main__":
    main()
