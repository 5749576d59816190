"""The section on rollouts: a film, the error by horizon, and recorded paths beside predicted ones."""

import base64
from typing import Any

import numpy as np

from forearm.canvas import Layout
from forearm.evaluation import MEAN_FRAME, METRICS, MODEL, PERSISTENCE, Evaluation, Film, Metric, Rollouts
from forearm.media.films import mp4
from forearm.media.labels import labelled
from forearm.media.pictures import channels_last, data_uri, enlarge, tile
from forearm.media.words import action_words, figure
from forearm.report.charts import line_chart
from forearm.report.wording import listed, number, unit_of

SHOWN = (1, 2, 3, 5, 8, 12, 20, 30, 45, 60)
"""Horizons at which a strip of pictures and the table stop."""
STRIP_WIDTH = 1000
STEPS_PER_SECOND, CRF = 4, 26
"""Of the film: its speed, and its rate factor, at which 60 steps take about 300 kB."""
CONTROLS = 72
"""Blank rows below each picture of the film, over which browsers lay the player's controls."""
TITLES = {
    "val_mse": "Squared error of the picture (lower is better)",
    "ssim": "Structural similarity of the picture (higher is better)",
    "readout_position_mae_mean": "Error of the joints that can be read from the picture",
    "object_position_error": "Error of where pushed objects are found, in mm",
    "object_motion_slope": "Motion of pushed objects / their true motion (1 is right)",
    "object_direction_accuracy": "Share of pushed objects that move in the right direction",
    "sharpness": "Gradient energy of the picture / that of the truth (1 is right)",
    "psnr": "PSNR of the picture in dB (higher is better)",
    "acting_joint_position_mae": "Error of the acting joint's position",
    "motor_position_mae_mean": "Error of the positions of all joints",
}
MEASURES = {"val_mse": "squared error", "psnr": "PSNR", "ssim": "structural similarity"}
"""By which the predicted picture is compared with the first frame."""
OPEN_CHARTS = 2
"""So many charts stand open; the others fold out."""


def rollouts_section(evaluation: Evaluation) -> dict[str, Any] | None:
    """What the page's section shows, or None where nothing was rolled out."""
    rollouts, layout = evaluation.rollouts, evaluation.layout
    if rollouts is None:
        return None
    steps, claim = len(rollouts.horizons), _claim(rollouts)
    of_mean = mean_frame_claim(rollouts, "it") if claim else mean_frame_claim(rollouts)
    stops = [horizon for horizon in SHOWN if horizon < steps] + [steps]
    measured = [METRICS[name] for name in TITLES if name in rollouts.curves[MODEL]]
    charts = [_chart(layout, rollouts, metric) for metric in measured]
    return {
        "paths": rollouts.paths,
        "groups": rollouts.groups,
        "grouped_by": rollouts.grouped_by,
        "steps": steps,
        "claim": f"{claim} {of_mean}".strip(),
        "stops": stops,
        "rows": [row for metric in measured for row in _rows(rollouts, metric, stops)],
        "charts": charts[:OPEN_CHARTS],
        "more_charts": charts[OPEN_CHARTS:],
        "strips": [_strip(layout, film, stops) for film in rollouts.films],
    }


def film(evaluation: Evaluation) -> dict[str, Any] | None:
    """The first of the followed paths as a film, truth beside prediction; None where nothing was rolled out.

    Returns:
        ``src``, an H.264 film, and ``poster``, a picture, as data URIs; ``width`` and ``height`` in pixels; ``steps``,
        ``row`` and ``seconds``.
    """
    if evaluation.rollouts is None:
        return None
    first = evaluation.rollouts.films[0]
    frames = film_frames(evaluation.layout, first)
    height, width = frames[0].shape[:2]
    return {
        "src": f"data:video/mp4;base64,{base64.b64encode(mp4(frames, STEPS_PER_SECOND, crf=CRF)).decode()}",
        "poster": data_uri(frames[len(frames) // 2], "photo"),
        "width": width,
        "height": height,
        "steps": len(first.rows),
        "row": int(first.rows[0]),
        "seconds": len(frames) / STEPS_PER_SECOND,
    }


def film_frames(layout: Layout, film: Film) -> list[np.ndarray]:
    """The known frame and every step, K + 1 pictures (H, W, 3) uint8: truth and prediction with their names."""
    steps = len(film.rows)
    captions = [
        (f"start of {steps} steps", "both show the recorded frame"),
        *((f"step {k} of {steps}", action_words(layout, action)) for k, action in enumerate(film.actions, start=1)),
    ]
    pictures = zip([film.start, *film.truth], [film.start, *film.predicted], captions, strict=True)

    def shown(frame: np.ndarray) -> np.ndarray:
        return channels_last(frame)[: layout.frame_height]

    return [
        np.pad(page, ((0, CONTROLS), (0, 0), (0, 0)), constant_values=255)
        for page in (labelled([("truth", shown(t)), ("imagined", shown(p))], caption) for t, p, caption in pictures)
    ]


def mean_frame_claim(rollouts: Rollouts, subject: str = "the predicted picture") -> str:
    """From which step on the prediction is no better than the mean frame; empty where there is no mean frame."""
    if MEAN_FRAME not in rollouts.curves:
        return ""
    better, sure = rollouts.better_than(MEAN_FRAME)
    surely, doubt = ("surely ", "") if sure else ("", ", but the episodes are too few to be sure")
    nearer, steps = f"{surely}nearer to the truth than the mean frame", len(better)
    if sure and set(rollouts.verdicts("val_mse", MEAN_FRAME)) == {"level"}:
        return _in_paths(rollouts, MEAN_FRAME, {"val_mse": ""}, subject)
    first = better.index(False) if False in better else steps
    if 0 < first < steps and not any(better[first:]):
        return f"From step {first + 1} on {subject} is no longer {nearer}{doubt}."
    return f"{subject.capitalize()} is {nearer} {_steps(better)}{doubt}."


def _claim(rollouts: Rollouts) -> str:
    """How the prediction compares with the first frame: where that is sure, at which steps; else in how many paths.

    Empty where no interval is known.
    """
    verdicts = {name: rollouts.verdicts(name) for name in MEASURES}
    if any(None in of for of in verdicts.values()):
        return ""
    subject, sentences = "the predicted picture", []
    for verdict, words in (
        ("better", "surely nearer to the truth than"),
        ("worse", "surely further from the truth than"),
    ):
        by_steps: dict[str, list[str]] = {}
        for name, title in MEASURES.items():
            if verdict in verdicts[name]:
                by_steps.setdefault(_steps([of == verdict for of in verdicts[name]]), []).append(title)
        if by_steps:
            where = "; ".join(f"{steps} by {listed(titles)}" for steps, titles in by_steps.items())
            sentences.append(f"{subject.capitalize()} is {words} the first frame {where}.")
            subject = "it"
    level = {name: title for name, title in MEASURES.items() if set(verdicts[name]) == {"level"}}
    return " ".join([*sentences, _in_paths(rollouts, PERSISTENCE, level, subject)]).strip()


def _in_paths(rollouts: Rollouts, baseline: str, measures: dict[str, str], subject: str) -> str:
    """In how many paths the prediction ends nearer to the truth, by measures that are sure at no step."""
    if not measures:
        return ""
    by_count: dict[int, list[str]] = {}
    for name, title in measures.items():
        by_count.setdefault(rollouts.ahead[baseline][name][-1], []).append(title)
    counts = [
        f"in {paths} of {rollouts.paths} paths" + (f" by {listed(titles)}" if all(titles) else "")
        for paths, titles in by_count.items()
    ]
    few = min(by_count) > rollouts.paths / 2
    doubt = "too few paths to be sure of any step" if few else "sure at no step"
    rival = {PERSISTENCE: "first frame", MEAN_FRAME: "mean frame"}[baseline]
    last = len(rollouts.horizons)
    return f"At step {last} {subject} is nearer to the truth than the {rival} {listed(counts)}: {doubt}."


def _steps(at: list[bool]) -> str:
    """At which of the steps something holds."""
    holds = [step for step, is_so in enumerate(at, start=1) if is_so]
    if not holds:
        return "at no step"
    if len(holds) == len(at):
        return f"at each of {len(at)} steps"
    unbroken = holds[-1] - holds[0] + 1 == len(holds) > 1
    return f"at steps {holds[0]} to {holds[-1]}" if unbroken else f"at {len(holds)} of {len(at)} steps"


def _chart(layout: Layout, rollouts: Rollouts, metric: Metric) -> tuple[str, Any]:
    """A metric by horizon: the model with its interval, persistence, and the baselines that differ from it."""
    shown = {
        ("this model" if who == MODEL else who): (rollouts.horizons, np.array(values, float))
        for who, values in _distinct(rollouts, metric.name).items()
    }
    if metric.name in rollouts.floor:
        shown["true pictures (floor)"] = rollouts.horizons, np.array(rollouts.floor[metric.name], float)
    unit = unit_of(layout, metric) if metric.unit == "joint" else ""
    interval = np.array([pair or (np.nan, np.nan) for pair in rollouts.intervals[metric.name]])
    title = TITLES[metric.name] + (f" in {unit}" if unit else "")
    return title, line_chart(shown, "steps ahead", "", bands={"this model": interval.T})


def _rows(rollouts: Rollouts, metric: Metric, stops: list[int]) -> list[dict[str, Any]]:
    """The lines of the table: the model's, persistence's and those of the baselines that differ from it."""
    verdicts = rollouts.verdicts(metric.name)
    return [
        {
            "metric": metric if who == MODEL else None,
            "who": who,
            "cells": [
                {"value": number(values[stop - 1], metric), "verdict": (who == MODEL and verdicts[stop - 1]) or ""}
                for stop in stops
            ],
        }
        for who, values in _distinct(rollouts, metric.name).items()
    ]


def _distinct(rollouts: Rollouts, name: str) -> dict[str, list[float | None]]:
    """The values of a metric by horizon, of the model, of persistence, and of the baselines that differ from it."""
    curves = {who: of[name] for who, of in rollouts.curves.items()}
    still = curves.get(PERSISTENCE)
    return {who: values for who, values in curves.items() if who in (MODEL, PERSISTENCE) or values != still}


def _strip(layout: Layout, film: Film, stops: list[int]) -> dict[str, Any]:
    """Truth above and prediction below, with the actions that led to each stop."""
    before = [0, *stops[:-1]]
    return {
        "row": int(film.rows[0]),
        "codes": sorted(set(film.codes.tolist())),
        "stops": [
            {"step": stop, "codes": film.codes[last:stop].tolist(), "psnr": figure(film.psnr[stop - 1])}
            for last, stop in zip(before, stops, strict=True)
        ],
        "src": data_uri(_pictures(layout, film, stops)),
    }


def _pictures(layout: Layout, film: Film, stops: list[int]) -> np.ndarray:
    """Frames side by side in black, each in a cell of one width, (height, width, 3) uint8."""
    gap = max(1, layout.patch // 4)
    shown = np.array(stops) - 1
    rows = [[film.start, *frames[shown]] for frames in (film.truth, film.predicted)]
    frames = [channels_last(frame) for row in rows for frame in row]
    strip = np.pad(tile(frames, columns=len(stops) + 1, gap=2 * gap, fill=0), ((gap, gap), (gap, gap), (0, 0)))
    return enlarge(strip, max(1, round(STRIP_WIDTH / strip.shape[1])))
