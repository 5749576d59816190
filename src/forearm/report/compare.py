"""From evaluations of several runs on the same samples to one page that says which is best, and how sure that is."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from markupsafe import Markup

from forearm.canvas import CODE_NAMES, CODES, Layout
from forearm.evaluation import METRICS, MODEL, PERSISTENCE, Interval, Metric
from forearm.evaluation.samples import Resampled, Samples, percentiles, resample
from forearm.evaluation.saved import Saved
from forearm.media.colours import css_colour
from forearm.media.pictures import channels_last
from forearm.report.figures import SERIES, image, line_chart
from forearm.report.headline import KEY_FIGURES, listed
from forearm.report.lineage import Kin, draw
from forearm.report.numbers import NOTHING, number, short, unit_of
from forearm.report.page import OPEN_EXAMPLES, flattened, template

GENERATOR = '<meta name="generator" content="forearm compare" />'
"""What tells a comparison from other files, so that it may be replaced."""
COLUMNS = (
    *KEY_FIGURES,
    "psnr",
    "acting_joint_direction_accuracy",
    "counterfactual_mse",
    "counterfactual_order",
    "k_way_accuracy",
    "controllability_psnr",
)
"""The metrics of the leaderboard, from left to right; those that no run has are left out."""
SHOWN_FRAME = 96
"""About how many pixels wide a frame is shown."""


@dataclass(frozen=True)
class Entrant:
    """A run that is compared; config and log as its folder holds them."""

    name: str
    saved: Saved
    layout: Layout
    config: dict[str, Any]
    log: list[dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Contender:
    """A line of the leaderboard: the model of an entrant, or a baseline, named ``baseline``, beside it."""

    name: str
    entrant: Entrant
    samples: Samples
    metrics: dict[str, Any]
    intervals: dict[str, Any]
    colour: str = ""
    baseline: str = ""

    def rival(self, metric: Metric) -> bool:
        """Whether it may win or lose here; a baseline's rule decides some figures."""
        return self.metrics.get(metric.name) is not None and (not self.baseline or metric.fair(self.baseline))


def render(entrants: list[Entrant], kin: list[Kin]) -> str:
    """The comparison as one HTML page that needs nothing else.

    Args:
        entrants: the runs, all evaluated on the same samples, in the same order.
        kin: these runs and their ancestors.
    """
    contest = Contest(entrants)
    first = entrants[0]
    first_sentence, second_sentence = headline(contest)
    colours = {run.name: run.colour for run in contest.runs}
    return template("compare.html").render(
        generator=Markup(GENERATOR),
        headline=first_sentence,
        details=" ".join(filter(None, (second_sentence, details(contest)))),
        tiles=[_tile(contest, standing) for standing in contest.standings],
        data=first.saved.figures["data"],
        samples=len(first.saved.rows),
        episodes=len(np.unique(first.saved.episodes)),
        newest=max(entrant.saved.figures["date"] for entrant in entrants)[:10],
        runs=contest.runs,
        columns=[(metric, unit_of(first.layout, metric)) for metric in contest.columns],
        costs=COSTS,
        rows=_rows(contest),
        matrices=[_matrix(contest, metric) for metric in contest.columns],
        actions=[
            {"code": code, "name": CODE_NAMES[code], "colour": css_colour(first.layout.palette[code])} for code in CODES
        ],
        cards=list(_cards(contest)),
        open_cards=OPEN_EXAMPLES,
        curves=_curves(contest),
        rollouts=_rollouts(contest),
        settings=_settings(entrants),
        lineage=draw(kin, colours) if any(relative.parent for relative in kin) else None,
        nothing=NOTHING,
    )


# Who is better


@dataclass(frozen=True)
class Standing:
    """Who leads on a metric: the best run, the second, the best baseline, and how sure their distances are.

    over_second, over_baseline: "better", "level" or "worse", seen from the leader; None where nothing can be said.
    """

    metric: Metric
    leader: Contender
    second: Contender | None
    over_second: str | None
    baseline: Contender | None
    over_baseline: str | None


class Contest:
    """The contenders, and every paired difference between them."""

    def __init__(self, entrants: list[Entrant]):
        self.runs = [
            Contender(
                name=entrant.name,
                entrant=entrant,
                samples=entrant.saved.samples[MODEL],
                metrics=entrant.saved.figures,
                intervals=entrant.saved.figures["intervals"],
                colour=f"var(--series-{i % SERIES + 1})",
            )
            for i, entrant in enumerate(entrants)
        ]
        self.baselines = list(_baselines(entrants))
        self.contenders = self.runs + self.baselines
        self.episodes = entrants[0].saved.episodes
        measured = [name for name in COLUMNS if any(run.metrics.get(name) is not None for run in self.runs)]
        self.columns = [METRICS[name] for name in measured]

    def difference(self, one: Contender, other: Contender, metric: Metric) -> Interval:
        """95% interval of (one's figure − the other's), the same episodes drawn for both; None where there is none."""
        mine, theirs = self._resampled[one], self._resampled[other]
        if metric.name not in mine or metric.name not in theirs:
            return None
        return percentiles({metric.name: mine[metric.name] - theirs[metric.name]})[metric.name]

    def verdict(self, one: Contender, other: Contender, metric: Metric) -> str | None:
        """Whether one is "better", "worse" or "level"; None where it cannot be said."""
        if not (one.rival(metric) and other.rival(metric)):
            return None
        return metric.verdict(self.difference(one, other, metric))

    @cached_property
    def standings(self) -> list[Standing]:
        """Who leads on the key figures."""
        return [self._standing(metric) for metric in self.columns if metric.name in KEY_FIGURES]

    def _standing(self, metric: Metric) -> Standing:
        leader, *others = _ranked(self.runs, metric)
        baselines = _ranked(self.baselines, metric)
        second, baseline = (group[0] if group else None for group in (others, baselines))
        return Standing(
            metric,
            leader,
            second,
            self.verdict(leader, second, metric) if second else None,
            baseline,
            self.verdict(leader, baseline, metric) if baseline else None,
        )

    @cached_property
    def _resampled(self) -> dict[Contender, Resampled]:
        if len(np.unique(self.episodes)) < 2:  # nothing to draw from, so nothing is sure
            return {contender: {} for contender in self.contenders}
        names = [metric.name for metric in self.columns]
        return {c: resample(c.samples.only(names), self.episodes) for c in self.contenders}


def _baselines(entrants: list[Entrant]) -> Iterator[Contender]:
    """Every baseline once; where runs of different training data have different ones, each with its runs' names."""
    for baseline in dict.fromkeys(name for entrant in entrants for name in entrant.saved.samples if name != MODEL):
        kinds: list[list[Entrant]] = []
        for entrant in (entrant for entrant in entrants if baseline in entrant.saved.samples):
            alike = [kind for kind in kinds if _equal(kind[0].saved.samples[baseline], entrant.saved.samples[baseline])]
            alike[0].append(entrant) if alike else kinds.append([entrant])
        for kind in kinds:
            beside = kind[0].saved
            yield Contender(
                name=baseline if len(kinds) == 1 else f"{baseline} of {listed([entrant.name for entrant in kind])}",
                entrant=kind[0],
                samples=beside.samples[baseline],
                metrics=beside.figures["baselines"][baseline]["metrics"],
                intervals=beside.figures["baselines"][baseline]["intervals"],
                baseline=baseline,
            )


def _equal(one: Samples, other: Samples) -> bool:
    return bool(np.allclose(one.sums["val_mse"], other.sums["val_mse"], rtol=1e-5))


def _ranked(contenders: list[Contender], metric: Metric) -> list[Contender]:
    """Those that are rivals on a metric, the best first."""
    rivals = [contender for contender in contenders if contender.rival(metric)]
    return sorted(rivals, key=lambda c: c.metrics[metric.name], reverse=metric.better == "higher")


def headline(contest: Contest) -> tuple[str, str]:
    """Which run leads on the key figures and whether that is sure, then how it does against the baselines.

    A single run has no one to lead, so that the baselines come first and nothing follows.
    """
    standings = contest.standings
    leads = Counter(standing.leader.name for standing in standings)
    leader = max(leads, key=lambda name: leads[name])  # of equally many, the one of the first key figure
    led = [standing for standing in standings if standing.leader.name == leader]
    against = _over_baselines(leader, contest)
    return (_over_others(leader, led, standings), against) if len(contest.runs) > 1 else (against, "")


def _over_others(leader: str, led: list[Standing], standings: list[Standing]) -> str:
    where = f"all {len(led)} key figures" if len(led) == len(standings) else listed(_titles(led))
    sure = [standing for standing in led if standing.over_second == "better"]
    if all(standing.over_second is None for standing in led):
        how = "though nothing says how surely"
    elif len(sure) == len(led):
        how = "surely ahead of the second" + (" on each" if len(led) > 1 else "")
    elif sure:
        how = f"surely ahead of the second on {listed(_titles(sure))}"
    else:
        how = "but nowhere surely ahead of the second"
    others: dict[str, list[Standing]] = {}
    for standing in standings:
        if standing not in led:
            others.setdefault(standing.leader.name, []).append(standing)
    rest = "".join(f"; {name} leads on {listed(_titles(theirs))}" for name, theirs in others.items())
    return f"{leader} leads on {where}, {how}{rest}."


def _over_baselines(leader: str, contest: Contest) -> str:
    """How the leading run does against the best baseline of each key figure."""
    (run,) = [run for run in contest.runs if run.name == leader]
    verdicts: dict[str, list[str]] = {"better": [], "level": [], "worse": []}
    for standing in contest.standings:
        metric, title = standing.metric, KEY_FIGURES[standing.metric.name]
        against = {rival.name: contest.verdict(run, rival, metric) for rival in contest.baselines}
        if ahead := [rival.name for rival in _ranked(contest.baselines, metric) if against[rival.name] == "worse"]:
            verdicts["worse"].append(f"{title} ({ahead[0]})")
        elif known := set(filter(None, against.values())):
            verdicts["level" if "level" in known else "better"].append(title)
    who = "It" if len(contest.runs) > 1 else leader
    if not any(verdicts.values()):
        return "Nothing says how surely it differs from the baselines."
    if not verdicts["level"] and not verdicts["worse"]:
        return f"{who} surely beats every baseline on all of them."
    words = {
        "better": "beats every baseline on",
        "level": "is level with a baseline on",
        "worse": "loses to a baseline on",
    }
    return f"{who} {'; '.join(f'{words[verdict]} {listed(titles)}' for verdict, titles in verdicts.items() if titles)}."


def _titles(standings: list[Standing]) -> list[str]:
    return [KEY_FIGURES[standing.metric.name] for standing in standings]


def details(contest: Contest) -> str:
    """What makes the comparison less sure than it looks."""
    sentences = []
    episodes = len(np.unique(contest.episodes))
    if episodes == 1:
        sentences.append("All samples are from one episode, so no difference can be called real.")
    elif episodes < 10:
        sentences.append(f"Only {episodes} episodes, so this is a rough judgement.")
    unseen: dict[tuple[int, ...], list[str]] = {}
    for run in contest.runs:
        unseen.setdefault(tuple(run.metrics["guesses"]), []).append(run.name)
    for codes, names in unseen.items():
        if codes:
            actions = listed([CODE_NAMES[code] for code in codes])
            sentences.append(f"{listed(names)} never saw {actions} in training; what is shown under it is a guess.")
    return " ".join(sentences)


def _tile(contest: Contest, standing: Standing) -> dict[str, Any]:
    metric, leader = standing.metric, standing.leader
    unit = unit_of(leader.entrant.layout, metric)
    remarks = []
    for other, verdict, where in (
        (standing.second, standing.over_second, "second"),
        (standing.baseline, standing.over_baseline, "best baseline"),
    ):
        if other is not None:
            words = {"better": "surely better than", "worse": "surely worse than", "level": "no clear difference from"}
            text = f"{words.get(verdict or '', 'not compared with')} {other.name}"
            remarks.append((text, f"{where}, {short(other.metrics[metric.name], metric)}", verdict or ""))
    return {
        "title": KEY_FIGURES[metric.name],
        "arrow": "↓" if metric.better == "lower" else "↑",
        "name": leader.name,
        "colour": leader.colour,
        "value": short(leader.metrics[metric.name], metric, unit),
        "remarks": remarks,
    }


# The leaderboard


COSTS = (
    ("parameters", "lower"),
    ("training time", "lower"),
    ("steps", "lower"),
    ("samples seen", "lower"),
    ("latency, one sample", "lower"),
    ("latency, each of a batch", "lower"),
)


def _rows(contest: Contest) -> list[dict[str, Any]]:
    """The lines of the leaderboard, the best by the first metric first."""
    first = contest.columns[0]
    ranked = _ranked(contest.contenders, first)
    ranked += [contender for contender in contest.contenders if contender not in ranked]
    scales = {metric.name: _scale(contest, metric) for metric in contest.columns}
    return [
        {
            "name": contender.name,
            "baseline": contender.baseline,
            "colour": contender.colour,
            "family": contender.entrant.config["family"] if not contender.baseline else "",
            "checkpoint": contender.metrics["checkpoint"] if not contender.baseline else "",
            "cells": [_cell(contest, contender, metric, scales[metric.name]) for metric in contest.columns],
            "costs": _costs(contender),
        }
        for contender in ranked
    ]


def _cell(contest: Contest, contender: Contender, metric: Metric, scale: tuple[float, float]) -> dict[str, Any]:
    value, interval = contender.metrics.get(metric.name), contender.intervals.get(metric.name)
    rivals = _ranked(contest.contenders, metric)
    low, high = scale

    def place(figure: float) -> float:
        return round(100 * min(max((figure - low) / (high - low), 0), 1), 1) if high > low else 50.0

    values = [rival.metrics[metric.name] for rival in rivals]
    mark = ""
    if contender in rivals and values[0] != values[-1]:
        mark = "best" if value == values[0] else "worst" if value == values[-1] else ""
    return {
        "value": brief(value, metric),
        "exact": number(value, metric),
        "sort": "" if value is None else repr(value),
        "interval": " to ".join(brief(end, metric) for end in interval) if interval else NOTHING,
        "mark": mark,
        "rival": contender in rivals,
        "at": place(value) if value is not None else None,
        "from": place(interval[0]) if interval else None,
        "to": place(interval[1]) if interval else None,
    }


def brief(value: Any, metric: Metric) -> str:
    """A figure as short as a table of many columns needs it; the unit stands at the column's head."""
    return number(value, metric) if metric.unit == "share" else short(value, metric).replace("-", "−")


def _scale(contest: Contest, metric: Metric) -> tuple[float, float]:
    """From where to where the little axes of a column run: over all intervals of those who are rivals."""
    ends = [
        end
        for contender in contest.contenders
        if contender.rival(metric)
        for end in (contender.metrics[metric.name], *(contender.intervals.get(metric.name) or ()))
    ]
    return (min(ends), max(ends)) if ends else (0.0, 0.0)


def _costs(contender: Contender) -> list[dict[str, str]]:
    if contender.baseline:
        return [{"value": NOTHING, "sort": ""} for _ in COSTS]
    figures = contender.metrics
    trained, latency = figures["training"], figures["latency"]
    return [
        {"value": text, "sort": repr(value)}
        for value, text in (
            (figures["parameters"], _count(figures["parameters"])),
            (trained["seconds"], _duration(trained["seconds"])),
            (trained["steps"], f"{trained['steps']:,}"),
            (trained["samples"], f"{trained['samples']:,}"),
            (latency["single_ms"], _latency(latency["single_ms"])),
            (latency["per_sample_ms"], _latency(latency["per_sample_ms"])),
        )
    ]


def _count(value: int) -> str:
    return f"{value / 1e6:.3g} M" if value >= 1e6 else f"{value / 1e3:.3g} k" if value >= 1e3 else str(value)


def _latency(milliseconds: float) -> str:
    return f"{milliseconds:.3g} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.3g} s"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


# Which differences are real


def _matrix(contest: Contest, metric: Metric) -> dict[str, Any]:
    """Every run against every other contender on one metric."""
    opponents = _ranked(contest.contenders, metric)
    runs = _ranked(contest.runs, metric)
    unit = unit_of(contest.runs[0].entrant.layout, metric)
    return {
        "metric": metric,
        "title": KEY_FIGURES.get(metric.name, ""),
        "opponents": opponents,
        "rows": [(run, [_duel(contest, run, other, metric) for other in opponents]) for run in runs],
        "pairs": [
            (run.name, other.name, _duel(contest, run, other, metric))
            for i, run in enumerate(runs)
            for other in opponents
            if other not in runs[: i + 1]
        ],
        "unit": unit,
    }


def _duel(contest: Contest, run: Contender, other: Contender, metric: Metric) -> dict[str, str] | None:
    if run is other:
        return None
    verdict = contest.verdict(run, other, metric) or ""
    return {
        "verdict": verdict,
        "sign": {"better": "▲", "level": "≈", "worse": "▼"}.get(verdict, NOTHING),
        "difference": _signed(run.metrics[metric.name] - other.metrics[metric.name], metric),
        "interval": _signed_span(contest.difference(run, other, metric), metric),
    }


def _signed(value: float, metric: Metric) -> str:
    text = number(abs(value), metric).removesuffix(" dB")
    return f"{'+' if value > 0 else '−' if value < 0 else ''}{text}"


def _signed_span(interval: Interval, metric: Metric) -> str:
    if not isinstance(interval, tuple):
        return NOTHING
    return " to ".join(_signed(end, metric) for end in interval)


# The same samples side by side


def _cards(contest: Contest) -> Iterator[dict[str, Any]]:
    """The drawn samples that all runs have, each with what happened and what every run shows."""
    first = contest.runs[0].entrant
    everywhere = set.intersection(*(set(run.entrant.saved.examples.row.tolist()) for run in contest.runs))
    for k, row in enumerate(first.saved.examples.row.tolist()):
        if row in everywhere:
            yield _card(contest, k, row)


def _card(contest: Contest, k: int, row: int) -> dict[str, Any]:
    entrant = contest.runs[0].entrant
    layout, examples = entrant.layout, entrant.saved.examples
    joint, acting = layout.joints[examples.acting[k]], int(examples.acting[k])
    after = examples.positions_after[k][:, acting]
    place = int(np.flatnonzero(entrant.saved.rows == row)[0])
    errors = [float(run.samples.sums["val_mse"][place]) for run in contest.runs]
    return {
        "row": row,
        "code": int(examples.code[k]),
        "joint": f"{joint.name} in {joint.unit}" if joint.unit else joint.name,
        "before": _shown(layout, examples.truth[k][..., layout.frame_columns(-2)]),
        "value": _position(examples.before[k][acting]),
        "outcomes": [
            {
                "image": _shown(layout, examples.outcomes[k][code]) if examples.known[k][code] else None,
                "value": _position(after[code]) if examples.known[k][code] else "",
            }
            for code in CODES
        ],
        "runs": [
            _answer(run, row, after, error, error == min(errors) and len(errors) > 1)
            for run, error in zip(contest.runs, errors, strict=True)
        ],
    }


def _answer(run: Contender, row: int, after: np.ndarray, error: float, best: bool) -> dict[str, Any]:
    """What a run shows under every action."""
    layout, examples = run.entrant.layout, run.entrant.saved.examples
    k = int(np.flatnonzero(examples.row == row)[0])
    acting = int(examples.acting[k])
    positions = examples.positions_under[k][:, acting]
    return {
        "name": run.name,
        "colour": run.colour,
        "error": f"{error:.5f}",
        "best": best,
        "under": [
            {
                "image": _shown(layout, examples.under[k][code]),
                "value": _position(positions[code]),
                "off": _position(positions[code] - after[code], "+") if np.isfinite(after[code]) else "",
                "guess": code in run.metrics["guesses"],
            }
            for code in CODES
        ],
    }


def _shown(layout: Layout, region: np.ndarray) -> dict[str, Any]:
    """A frame without its strip, whose values stand below it as numbers."""
    return image(channels_last(region[:, : layout.frame_height]), SHOWN_FRAME)


def _position(value: float, sign: str = "-") -> str:
    return f"{value:{sign}.2f}".replace("-", "−")


# Curves, settings


def _curves(contest: Contest) -> list[tuple[str, Markup]]:
    logs = {run.name: [entry for entry in run.entrant.log if "val_loss" in entry] for run in contest.runs}
    charts = []
    for title, key, scale in (("steps", "step", 1), ("minutes", "seconds", 60)):
        series = {
            name: (np.array([e.get(key, np.nan) for e in log]) / scale, np.array([e["val_loss"] for e in log], float))
            for name, log in logs.items()
        }
        if any(len(x) for x, _ in series.values()):
            charts.append((f"Validation loss against {title}", line_chart(series, title, "loss", True)))
    return charts


def _rollouts(contest: Contest) -> list[tuple[Metric, Markup]]:
    """Error against horizon: every run, and persistence beside them."""
    told = {run.name: run.metrics.get("rollouts") for run in contest.runs}
    known = {name: rollouts for name, rollouts in told.items() if rollouts}
    if not known:
        return []
    names = dict.fromkeys(name for rollouts in known.values() for name in rollouts["curves"][MODEL])
    charts = []
    for name in (name for name in names if name in METRICS):
        series = {run: _curve(rollouts, MODEL, name) for run, rollouts in told.items()}
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


def _settings(entrants: list[Entrant]) -> list[tuple[str, list[str]]]:
    """The settings in which the runs differ, each with its value for every run; the parent is in the lineage."""
    flat = [dict(flattened(entrant.config | {"parent": None})) for entrant in entrants]
    names = dict.fromkeys(name for settings in flat for name in settings)
    rows = [(name, [settings.get(name, NOTHING) for settings in flat]) for name in names]
    return [(name, values) for name, values in rows if len(set(values)) > 1]
