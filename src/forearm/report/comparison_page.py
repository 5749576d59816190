"""The page that compares several runs on the same samples."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from markupsafe import Markup

from forearm.canvas import CODE_NAMES, CODES, STAY, Layout
from forearm.evaluation import METRICS, MODEL, PERSISTENCE, UNTRAINED, Metric
from forearm.evaluation.intervals import MIN_GROUPS, SMALLEST_EFFECT, Difference
from forearm.evaluation.leaderboard import Lead, Leaderboard, Row
from forearm.evaluation.saved import Saved
from forearm.media.colours import css_colour
from forearm.media.words import NOTHING, figure
from forearm.report.charts import SERIES, line_chart
from forearm.report.headline import comparison_details, comparison_headline
from forearm.report.html import OPEN_EXAMPLES, flattened, template
from forearm.report.lineage import LineageRun, draw
from forearm.report.recommendations import HARDLY_TRAINED
from forearm.report.side_by_side import samples_side_by_side, shown_frame
from forearm.report.training import hardly_trained, settings_lines
from forearm.report.wording import duration, number, span, unit_of

GENERATOR = '<meta name="generator" content="forearm compare" />'
"""Marks a file as a comparison, so that it may be replaced."""


@dataclass(frozen=True)
class ComparedRun:
    """A run that is compared."""

    name: str
    evaluation: Saved
    layout: Layout
    config: dict[str, Any]
    """The run's configuration, as its folder holds it."""
    log: list[dict[str, Any]]
    """The lines of the run's training log."""

    @property
    def hardly_trained(self) -> str:
        """Why it counts as hardly trained; empty if it does not."""
        return hardly_trained(self.log, self.evaluation.figures["training"]["samples"], self.config["data"]["train"])


def render(runs: list[ComparedRun], lineage: list[LineageRun]) -> str:
    """The comparison of runs, all evaluated on the same samples in the same order, as one self-contained page."""
    board = Leaderboard({run.name: run.evaluation for run in runs}, {run.name: _recipe(run) for run in runs})
    first, colours = runs[0], {run.name: f"var(--series-{i % SERIES + 1})" for i, run in enumerate(runs)}
    units = {metric.name: unit_of(first.layout, metric) for metric in board.metrics}
    first_sentence, second_sentence = comparison_headline(board)
    cards = list(samples_side_by_side({run.name: run.evaluation for run in runs}, first.layout))
    return template("comparison.html").render(
        generator=Markup(GENERATOR),
        headline=first_sentence,
        details=" ".join(filter(None, (second_sentence, comparison_details(board)))),
        hardly={run.name: run.hardly_trained for run in runs if run.hardly_trained},
        rule=HARDLY_TRAINED,
        tiles=[lead_tile(board, lead, units[lead.metric.name]) for lead in board.leads],
        data=first.evaluation.figures["data"],
        scored=len(first.evaluation.rows),
        too_few=board.too_few,
        groups=board.count,
        grouped_by=board.grouped_by,
        newest=max(run.evaluation.figures["date"] for run in runs)[:10],
        runs=runs,
        colours=colours,
        columns=[(metric, units[metric.name]) for metric in board.metrics],
        given=board.given,
        costs=COSTS,
        blocks=_blocks(board, {run.name: run.config["family"] for run in runs}),
        matrices=[_matrix(board, metric, units[metric.name]) for metric in board.metrics],
        actions=[
            {"code": code, "name": CODE_NAMES[code], "colour": css_colour(first.layout.palette[code])} for code in CODES
        ],
        cards=cards,
        hero=next((card for card in cards if card["code"] != STAY), None),
        open_cards=OPEN_EXAMPLES,
        frame=partial(shown_frame, first.layout),
        curves=_curves(runs),
        rollouts=_rollouts(runs),
        settings=differing_settings(runs),
        lineage=draw(lineage, colours) if any(run.parent for run in lineage) else None,
        nothing=NOTHING,
    )


def _recipe(run: ComparedRun) -> str:
    """Everything that made a run but its seed."""
    config = run.config | {"training": {k: v for k, v in run.config.get("training", {}).items() if k != "seed"}}
    return repr(sorted(flattened(config)))


VERDICTS = {"better": "surely better than", "worse": "surely worse than", "level": "no clear difference from"}


def undecided(board: Leaderboard, metric: Metric, difference: Difference | None) -> str:
    """Why a comparison has no verdict."""
    if metric.better == "nearest 1":
        return "not judged"
    few = board.too_few or (difference and difference.groups < MIN_GROUPS)
    return "too few to tell" if few else "not compared"


def lead_tile(board: Leaderboard, lead: Lead, unit: str) -> dict[str, Any]:
    """What a tile says of a key metric: who leads, the best figure, the second and the best baseline."""
    metric = lead.metric
    remarks = []
    for other, verdict, where in (
        (lead.second, lead.over_second, "second"),
        (lead.baseline, lead.over_baseline, "best baseline"),
    ):
        if other is not None:
            if other is lead.second and not lead.ahead:
                text, verdict = f"{lead.run.name} and {other.name} differ by less than {SMALLEST_EFFECT:.0%}", None
            else:
                why = undecided(board, metric, board.difference(lead.run, other, metric))
                text = f"{VERDICTS[verdict]} {other.name}" if verdict else f"{other.name}: {why}"
            remarks.append((text, f"{where}, {number(other.metrics[metric.name], metric)}", verdict or ""))
    return {
        "title": lead.title,
        "arrow": metric.arrow,
        "name": lead.run.name if lead.ahead else "no run leads",
        "value": number(lead.run.metrics[metric.name], metric, unit),
        "remarks": remarks,
    }


# The leaderboard


COSTS = ("parameters", "training time", "steps", "samples seen", "latency, one sample", "latency, each of a batch")
"""The last columns of the leaderboard, in all of which lower is better."""


def _blocks(board: Leaderboard, families: dict[str, str]) -> dict[str, list[dict[str, Any]]]:
    """The lines of the leaderboard in blocks: runs, untrained models, baselines; the best of each first."""
    return {title: _rows(board, rows, families) for title, rows in _kinds(board).items() if rows}


def _kinds(board: Leaderboard) -> dict[str, list[Row]]:
    """The rows by kind, in the order in which a page names them."""
    untrained = [row for row in board.baselines if row.baseline == UNTRAINED]
    others = [row for row in board.baselines if row.baseline != UNTRAINED]
    return {"Runs": board.runs, "Untrained: the runs' first weights": untrained, "Baselines": others}


def _rows(board: Leaderboard, rows: list[Row], families: dict[str, str]) -> list[dict[str, Any]]:
    """Lines of the leaderboard, the best by the first metric first."""
    ranked = board.ranked(rows, board.metrics[0])
    ranked += [row for row in rows if row not in ranked]
    scales = {metric.name: _scale(board, metric) for metric in board.metrics}
    return [
        {
            "name": row.name,
            "baseline": row.baseline,
            "family": families.get(row.name, ""),
            "checkpoint": row.metrics["checkpoint"] if not row.baseline else "",
            "cells": [_cell(board, row, metric, scales[metric.name]) for metric in board.metrics],
            "costs": _costs(row),
        }
        for row in ranked
    ]


def _cell(board: Leaderboard, row: Row, metric: Metric, scale: tuple[float, float]) -> dict[str, Any]:
    value, interval = row.metrics.get(metric.name), row.intervals.get(metric.name)
    competing = board.ranked(board.rows, metric)
    low, high = scale

    def position(figure: float) -> float:
        return round(100 * min(max((figure - low) / (high - low), 0), 1), 1) if high > low else 50.0

    values = [other.metrics[metric.name] for other in competing]
    mark = ""
    if row in competing and values[0] != values[-1]:
        level = board.verdict(competing[0], row, metric) == "level"
        mark = "best" if value == values[0] else "≈ best" if level else "worst" if value == values[-1] else ""
    return {
        "value": number(value, metric),
        "exact": NOTHING if value is None else repr(value),
        "sort": "" if value is None else repr(value),
        "interval": span(interval, metric),
        "mark": mark,
        "competes": row in competing,
        "at": position(value) if value is not None else None,
        "from": position(interval[0]) if interval else None,
        "to": position(interval[1]) if interval else None,
    }


def _scale(board: Leaderboard, metric: Metric) -> tuple[float, float]:
    """The ends of a column's small axes: the range of all intervals of the rows that compete."""
    ends = [
        end
        for row in board.rows
        if row.competes(metric)
        for end in (row.metrics[metric.name], *(row.intervals.get(metric.name) or ()))
    ]
    return (min(ends), max(ends)) if ends else (0.0, 0.0)


def _costs(row: Row) -> list[dict[str, str]]:
    if row.baseline:
        return [{"value": NOTHING, "sort": ""} for _ in COSTS]
    figures = row.metrics
    trained, latency = figures["training"], figures["latency"]
    return [
        {"value": text, "sort": repr(value)}
        for value, text in (
            (figures["parameters"], _count(figures["parameters"])),
            (trained["seconds"], duration(trained["seconds"])),
            (trained["steps"], f"{trained['steps']:,}"),
            (trained["samples"], f"{trained['samples']:,}"),
            (latency["single_ms"], duration(latency["single_ms"] / 1000)),
            (latency["per_sample_ms"], duration(latency["per_sample_ms"] / 1000)),
        )
    ]


def _count(value: int) -> str:
    return figure(value / 1e6, "M") if value >= 1e6 else f"{value:,}"


# Which differences are real


def _matrix(board: Leaderboard, metric: Metric, unit: str) -> dict[str, Any]:
    """Every run against every other row on one metric: runs, untrained models, baselines; the best of each first."""
    opponents = [row for rows in _kinds(board).values() for row in board.ranked(rows, metric)]
    runs = board.ranked(board.runs, metric)
    return {
        "metric": metric,
        "title": board.key_metrics.get(metric.name, ""),
        "opponents": opponents,
        "rows": [(run, [_pair(board, run, other, metric) for other in opponents]) for run in runs],
        "pairs": [
            (run.name, other.name, _pair(board, run, other, metric))
            for i, run in enumerate(runs)
            for other in opponents
            if other not in runs[: i + 1]
        ],
        "unit": unit,
    }


def _pair(board: Leaderboard, run: Row, other: Row, metric: Metric) -> dict[str, str] | None:
    if run is other:
        return None
    verdict, difference = board.verdict(run, other, metric) or "", board.difference(run, other, metric)
    return {
        "verdict": verdict,
        "sign": {"better": "▲", "level": "≈", "worse": "▼"}.get(verdict, ""),
        "words": {"level": "no clear difference", "": undecided(board, metric, difference)}.get(
            verdict, f"surely {verdict}"
        ),
        "difference": number(run.metrics[metric.name] - other.metrics[metric.name], metric, signed=True),
        "interval": span(difference.interval if difference else None, metric, signed=True),
    }


# Curves, settings


def _curves(runs: list[ComparedRun]) -> list[tuple[str, Markup]]:
    logs = {run.name: [entry for entry in run.log if "val_loss" in entry] for run in runs}
    charts = []
    for title, key, scale in (("steps", "step", 1), ("minutes", "seconds", 60)):
        series = {
            name: (np.array([e.get(key, np.nan) for e in log]) / scale, np.array([e["val_loss"] for e in log], float))
            for name, log in logs.items()
        }
        if any(len(x) for x, _ in series.values()):
            charts.append((f"Validation loss against {title}", line_chart(series, title, "loss", True)))
    return charts


def _rollouts(runs: list[ComparedRun]) -> list[tuple[Metric, Markup]]:
    """Error against horizon: every run, and persistence beside them."""
    by_run = {run.name: run.evaluation.figures.get("rollouts") for run in runs}
    known = {name: rollouts for name, rollouts in by_run.items() if rollouts}
    if not known:
        return []
    names = dict.fromkeys(name for rollouts in known.values() for name in rollouts["curves"][MODEL])
    charts = []
    for name in (name for name in names if name in METRICS):
        series = {run: _curve(rollouts, MODEL, name) for run, rollouts in by_run.items()}
        still = next(iter(known.values()))
        if name in still["curves"].get(PERSISTENCE, {}):
            series[PERSISTENCE] = _curve(still, PERSISTENCE, name)
        charts.append((METRICS[name], line_chart(series, "steps ahead", name)))
    return charts


def _curve(rollouts: dict[str, Any] | None, who: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    if not rollouts:  # it keeps its place, so that every run has one colour
        return np.empty(0), np.empty(0)
    values = rollouts["curves"][who].get(name, [None] * len(rollouts["horizons"]))
    return np.array(rollouts["horizons"]), np.array([np.nan if value is None else value for value in values], float)


def _settings_of(config: dict[str, Any]) -> dict[str, Any]:
    data = {name: config["data"].get(name) for name in ("path", "train", "val")}
    return {name: config.get(name) for name in ("family", "fine_tuned_from", "model", "training")} | {"data": data}


def differing_settings(runs: list[ComparedRun]) -> list[tuple[str, list[str]]]:
    """The settings in which the runs differ, each with its value for every run.

    The parent is in the lineage. Of what the data hold, only their path and size are shown.
    """
    flat = [dict(settings_lines(_settings_of(run.config))) for run in runs]
    names = dict.fromkeys(name for settings in flat for name in settings)
    rows = [(name, [settings.get(name, NOTHING) for settings in flat]) for name in names]
    return [(name, values) for name, values in rows if len(set(values)) > 1]
