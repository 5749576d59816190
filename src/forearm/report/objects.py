"""The section on things: where pushed objects end in the predicted picture, and where they truly do."""

from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from forearm.evaluation import METRICS, PERSISTENCE, UNTRAINED, Evaluation
from forearm.media.pictures import channels_last
from forearm.media.words import NOTHING, figure
from forearm.report.html import image
from forearm.report.wording import listed, number, span

SHOWN = 320
"""About how many pixels wide a picture is shown."""
TRUE, READ = (255, 255, 255), (255, 0, 200)
"""Colours of the arrows to where an object truly ends, and to where it is found."""


def things_section(evaluation: Evaluation) -> dict[str, Any] | None:
    """What the page's section shows, or None where nothing is known of objects."""
    objects = evaluation.objects
    if objects is None:
        return None
    tables = {"true pictures (floor)": objects.floor, "this model": evaluation.metrics} | {
        name: evaluation.baselines[name].metrics for name in (UNTRAINED, PERSISTENCE) if name in evaluation.baselines
    }
    metrics = [METRICS[name] for name in objects.floor if evaluation.metrics[name] is not None]
    return {
        "claim": _claim(evaluation),
        "pictures": _pictures(evaluation),
        "row": objects.example.row if objects.example else None,
        "error": figure(objects.example.error, "mm") if objects.example else NOTHING,
        "learned": objects.pictures,
        "counts": "1 push" if objects.pushed == 1 else f"{objects.pushed:,} pushes",
        "untouched": objects.untouched,
        "who": list(tables),
        "rows": [
            {
                "metric": metric,
                "figures": [number(of[metric.name], metric, metric.unit) for of in tables.values()],
                "interval": span(evaluation.intervals[metric.name], metric),
                "verdict": evaluation.verdict(metric.name) or "",
            }
            for metric in metrics
        ],
    }


def _claim(evaluation: Evaluation) -> str:
    """How far pushed objects end from where they should, in a sentence."""
    objects, metrics = evaluation.objects, evaluation.metrics
    assert objects is not None
    error, metric = metrics["object_position_error"], METRICS["object_position_error"]
    if error is None:
        return "No pushed object can be found in these pictures."
    still = evaluation.baselines.get(PERSISTENCE)
    others = [f"{number(objects.floor[metric.name], metric, 'mm')} in true pictures"]
    others += [f"{number(still.metrics[metric.name], metric, 'mm')} in copied ones"] if still else []
    slope, right = metrics["object_motion_slope"], metrics["object_direction_accuracy"]
    return (
        f"In the predicted pictures pushed objects end {number(error, metric, 'mm')} from where they truly do, against "
        f"{listed(others)}: they move {figure(slope, 'share')} of the way that is read in the true pictures, and "
        f"{figure(right, 'share')} move in the right direction."
    )


def _pictures(evaluation: Evaluation) -> list[tuple[str, dict[str, Any]]]:
    """Before, truth and prediction of one sample, with arrows from where each pushed object was."""
    example = evaluation.objects.example if evaluation.objects else None
    if example is None:
        return []
    true, read = [(example.start, example.true, TRUE)], [(example.start, example.read, READ)]
    shown = (("before, as copying leaves it", example.before, true), ("truth", example.truth, true))
    return [
        (title, image(_with_arrows(channels_last(picture), arrows), SHOWN))
        for title, picture, arrows in (*shown, ("prediction", example.predicted, [*true, *read]))
    ]


def _with_arrows(picture: np.ndarray, arrows: list[tuple[np.ndarray, np.ndarray, tuple[int, int, int]]]) -> np.ndarray:
    """A picture (h, w, 3) enlarged, with arrows between points (k, 2) of it in colours, edged in black."""
    times = max(1, round(SHOWN / picture.shape[1]))
    page = Image.fromarray(picture.repeat(times, 0).repeat(times, 1))
    draw = ImageDraw.Draw(page)
    for starts, ends, colour in arrows:
        for start, end in zip(starts * times, ends * times, strict=True):
            for width, paint in ((5, (0, 0, 0)), (2, colour)):
                for a, b in ((start, end), *_head(start, end)):
                    draw.line([*a, *b], fill=paint, width=width)
    return np.asarray(page)


def _head(start: np.ndarray, end: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """The two strokes of an arrow's head; none where it has no length."""
    along = end - start
    length = float(np.hypot(*along))
    if length == 0:
        return []
    x, y = along / length * min(9.0, 0.5 * length)
    return [(end, end - np.array([x - side * 0.6 * y, y + side * 0.6 * x])) for side in (-1, 1)]
