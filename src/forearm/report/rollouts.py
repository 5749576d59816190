"""The section on rollouts: the error by horizon, and recorded paths beside predicted ones."""

from typing import Any

import numpy as np

from forearm.canvas import Layout
from forearm.evaluation import METRICS, MODEL, PERSISTENCE, Evaluation, Film, Metric, Rollouts
from forearm.media.pictures import channels_last, data_uri, enlarge, tile
from forearm.report.charts import line_chart
from forearm.report.wording import short, unit_of

SHOWN = (1, 2, 3, 5, 8, 12, 16, 20)
"""Horizons at which a film and the table stop."""
FILM_WIDTH = 1000
TITLES = {
    "psnr": "Picture, PSNR in dB (higher is better)",
    "val_mse": "Picture, val_mse (lower is better)",
    "ssim": "Picture, structural similarity (higher is better)",
    "acting_joint_position_mae": "Position of the acting joint, error",
}


def rollouts_section(evaluation: Evaluation) -> dict[str, Any] | None:
    """What the page's section shows, or None where nothing was rolled out."""
    rollouts, layout = evaluation.rollouts, evaluation.layout
    if rollouts is None:
        return None
    stops = [horizon for horizon in SHOWN if horizon <= len(rollouts.horizons)]
    return {
        "paths": rollouts.paths,
        "episodes": rollouts.episodes,
        "steps": len(rollouts.horizons),
        "claim": _claim(rollouts),
        "stops": stops,
        "rows": [row for name in TITLES for row in _rows(rollouts, METRICS[name], stops)],
        "charts": [_chart(layout, rollouts, METRICS[name]) for name in TITLES],
        "films": [_film(layout, film, stops) for film in rollouts.films],
    }


def _claim(rollouts: Rollouts) -> str:
    """At which steps the prediction is surely better than the first frame; empty where no interval is known."""
    measures = {"val_mse": "squared error", "psnr": "PSNR", "ssim": "structural similarity"}
    if any(None in rollouts.verdicts(name) for name in measures):
        return ""
    claims = [f"by {title} {_steps(rollouts.verdicts(name))}" for name, title in measures.items()]
    return f"The predicted picture is surely nearer to the truth than the first frame {', '.join(claims)}."


def _steps(verdicts: list[str | None]) -> str:
    """At which of the steps the verdict is "better"."""
    better = [step for step, verdict in enumerate(verdicts, start=1) if verdict == "better"]
    if not better:
        return "at no step"
    if len(better) == len(verdicts):
        return f"at each of {len(verdicts)} steps"
    unbroken = better[-1] - better[0] + 1 == len(better) > 1
    return f"at steps {better[0]} to {better[-1]}" if unbroken else f"at {len(better)} of {len(verdicts)} steps"


def _chart(layout: Layout, rollouts: Rollouts, metric: Metric) -> tuple[str, Any]:
    """A metric by horizon: the model with its interval, persistence, and the baselines that differ from it."""
    curves = {name: of[metric.name] for name, of in rollouts.curves.items()}
    shown = {
        ("this model" if name == MODEL else name): (rollouts.horizons, np.array(values, float))
        for name, values in curves.items()
        if name in (MODEL, PERSISTENCE) or values != curves.get(PERSISTENCE)
    }
    unit = unit_of(layout, metric) if metric.unit == "joint" else ""
    interval = np.array([pair or (np.nan, np.nan) for pair in rollouts.intervals[metric.name]])
    title = TITLES[metric.name] + (f" in {unit}" if unit else "")
    return title, line_chart(shown, "steps ahead", metric.name, bands={"this model": interval.T})


def _rows(rollouts: Rollouts, metric: Metric, stops: list[int]) -> list[dict[str, Any]]:
    """The model's and persistence's line of the table."""
    verdicts = rollouts.verdicts(metric.name)
    lines = []
    for who in (MODEL, PERSISTENCE):
        if who in rollouts.curves:
            values = rollouts.curves[who][metric.name]
            cells = [
                {"value": short(values[stop - 1], metric), "verdict": (who == MODEL and verdicts[stop - 1]) or ""}
                for stop in stops
            ]
            lines.append({"metric": metric if who == MODEL else None, "who": who, "cells": cells})
    return lines


def _film(layout: Layout, film: Film, stops: list[int]) -> dict[str, Any]:
    """Truth above and prediction below, with the actions that led to each stop."""
    before = [0, *stops[:-1]]
    return {
        "row": int(film.rows[0]),
        "codes": sorted(set(film.codes.tolist())),
        "stops": [
            {"step": stop, "codes": film.codes[last:stop].tolist(), "psnr": f"{film.psnr[stop - 1]:.1f}"}
            for last, stop in zip(before, stops, strict=True)
        ],
        "src": data_uri(_strip(layout, film, stops)),
    }


def _strip(layout: Layout, film: Film, stops: list[int]) -> np.ndarray:
    """Frames side by side in black, each in a cell of one width, (height, width, 3) uint8."""
    gap = max(1, layout.patch // 4)
    shown = np.array(stops) - 1
    rows = [[film.start, *frames[shown]] for frames in (film.truth, film.predicted)]
    frames = [channels_last(frame) for row in rows for frame in row]
    strip = np.pad(tile(frames, columns=len(stops) + 1, gap=2 * gap, fill=0), ((gap, gap), (gap, gap), (0, 0)))
    return enlarge(strip, max(1, round(FILM_WIDTH / strip.shape[1])))
