"""The page of an evaluation: its words, rows and pictures."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from forearm.canvas import CODE_NAMES, CODES, STAY, Layout, decode_separator
from forearm.evaluation import (
    CATALOGUE,
    FED_BACK,
    JOINT_ONLY,
    MEAN_FRAME,
    METRICS,
    NEAREST_NEIGHBOUR,
    PERSISTENCE,
    UNTRAINED,
    Evaluation,
    Example,
    Metric,
    key_metrics,
)
from forearm.media.colours import css_colour, css_gradient, heat_map
from forearm.media.pictures import channels_last
from forearm.media.words import NOTHING, action_words, figure
from forearm.report.extras import extras
from forearm.report.grids import EXPECTED, error_maps, heat_top, outcome_error
from forearm.report.headline import details, headline
from forearm.report.html import image, template
from forearm.report.objects import things_section
from forearm.report.readout import readout_section
from forearm.report.recommendations import HARDLY_TRAINED, recommend
from forearm.report.rollouts import film, rollouts_section
from forearm.report.targets import Target
from forearm.report.training import curves, hardly_trained, settings_lines, training_line
from forearm.report.uncertainty import UNSEEN, uncertainty_section
from forearm.report.wording import number, span, unit_of

OPEN_CARDS = 1
"""How many samples stand open; the others, of one and a half screens each, fold out."""
SECONDARY = (
    *("val_mse_action_1", "val_mse_action_2", "ssim", "ssim_valid", "ssim_valid_moves", "psnr"),
    *("motor_position_mae_mean", "motor_velocity_mae_mean", "motor_direction_accuracy", "motor_consistency_error"),
    *("val_mse_motor_strip", *(f"motor_position_mae_action_{code}" for code in CODES)),
    *("readout_position_mae_mean", "action_discrimination_score", "motor_discrimination_score"),
    *("counterfactual_plus_above_minus", "controllability_psnr"),
    *(f"counterfactual_mse_action_{code}" for code in CODES),
)
"""Metrics that fold out: another one says nearly the same. So do those that the action answers."""
SHOWN = {"hero": 236, "canvas": 290, "heat": 256, "small heat": 130}
"""About how many pixels wide canvases and heat maps are shown."""
BASELINE_TEXTS = {
    PERSISTENCE: "Copies the last frame: nothing changes.",
    MEAN_FRAME: "The mean of what followed this kind of action in training.",
    NEAREST_NEIGHBOUR: "What followed the training moment whose joints and action are most like these.",
    JOINT_ONLY: "Copies the last frame and moves the joints as the action moved them in training.",
    UNTRAINED: "This model with its first weights: what it answers without having learned.",
}
"""What each baseline does."""
TITLES = {
    "model": "error of this model",
    EXPECTED: "error that it expects",
    PERSISTENCE: "error of copying the last frame",
}
"""Titles of the maps of a sample's errors."""


@dataclass(frozen=True)
class Facts:
    """What a report says about a run besides its figures."""

    run_name: str
    model_type: str
    checkpoint: str
    dataset: str
    date: str
    notes: str = ""
    """The experimenter's own text."""
    targets: tuple[Target, ...] = ()
    """What the figures are measured by."""
    targets_from: str = ""
    """What set the targets."""
    settings: dict[str, Any] = field(default_factory=dict)
    """The run's configuration, nested dictionaries."""
    log: list[dict[str, Any]] = field(default_factory=list)
    """The lines of ``log.jsonl``."""
    transitions: int = 0
    """How many the run was trained on."""
    machine: dict[str, Any] = field(default_factory=dict)
    """What it was trained on, and with which versions."""
    against: dict[str, Any] | None = None
    """Another run's ``metrics.json``, shown beside this run's."""
    against_name: str = "other run"
    origin: dict[str, Any] = field(default_factory=dict)
    """What ``metrics.json`` says about model, data and date."""


def render(evaluation: Evaluation, facts: Facts) -> str:
    """The report as one HTML page that needs nothing else."""
    layout, top = evaluation.layout, heat_top(evaluation)
    trained = facts.origin.get("training", {})
    hardly = hardly_trained(facts.log, trained["samples"], facts.transitions) if trained else ""
    return template("evaluation.html").render(
        facts=facts,
        evaluation=evaluation,
        headline=headline(evaluation),
        details=details(evaluation),
        tiles=[_tile(evaluation, name, title) for name, title in _key_figures(evaluation).items()],
        targets=[_target(evaluation, target) for target in facts.targets],
        tables=_tables(evaluation, facts),
        baselines=list(evaluation.baselines),
        metrics=CATALOGUE,
        actions=[_action(evaluation, code) for code in CODES],
        hero=_hero(evaluation, top),
        trained=training_line(trained, facts.transitions, facts.machine) if trained else "",
        hardly=hardly,
        rule=HARDLY_TRAINED,
        recommendations=recommend(evaluation, facts.log, hardly),
        layout=layout,
        open_examples=OPEN_CARDS,
        widths=SHOWN | {"frame": SHOWN["canvas"] * layout.frame_width / layout.width},
        heat_maps=partial(_heat_maps, layout, top),
        heat_top=figure(top, "share"),
        outcome_heat=lambda example, code: heat_map(outcome_error(layout, example, code), top).transpose(2, 0, 1),
        gradient=css_gradient(),
        film=film(evaluation),
        things=things_section(evaluation),
        readout=readout_section(evaluation),
        rollouts=rollouts_section(evaluation),
        uncertainty=uncertainty_section(evaluation),
        extras=list(extras(layout, evaluation.extras)),
        curves=curves(facts.log),
        settings=settings_lines(facts.settings),
        nothing=NOTHING,
        baseline_texts=BASELINE_TEXTS,
    )


def _hero(evaluation: Evaluation, top: float) -> dict[str, Any] | None:
    """The picture row at the head of a page: of the moves that are drawn, the one of median error; None without any."""
    layout = evaluation.layout
    moves = sorted((e for e in evaluation.drawn if e.code != STAY), key=lambda example: example.error)
    if not moves:
        return None
    example, picture_rows = moves[len(moves) // 2], slice(layout.frame_height)
    regions = {
        "before": example.truth[..., layout.frame_columns(-2)],
        "truth": example.truth[..., layout.frame_columns(-1)],
        "prediction": example.under[example.code][..., layout.frame_columns(-1)],
    }
    pictures = {name: channels_last(region[:, picture_rows]) for name, region in regions.items()}
    pictures["error"] = heat_map(error_maps(layout, example)["model"][picture_rows], top)
    values = decode_separator(layout, example.truth[None, ..., layout.separator_columns(-1)])[0]
    return {
        "action": {"name": action_words(layout, values), "colour": css_colour(layout.palette[example.code])},
        "code": example.code,
        "row": example.row,
        "moves": len(moves),
        "error": example.error,
        "pictures": [(name, image(pixels, SHOWN["hero"])) for name, pixels in pictures.items()],
    }


# Figures in tables


Rows = list[dict[str, Any]]


def _tables(evaluation: Evaluation, facts: Facts) -> dict[str, dict[str, Rows]]:
    """The tables of metrics, each with its lines by their group: then those that fold out under a title."""
    tables: dict[str, list[Metric]] = {"": [], "All other metrics": [], "Joint by joint": []}
    for metric in CATALOGUE:
        if metric.group == "outcomes" and evaluation.metrics[metric.name] is None:
            continue  # most datasets record the outcome of one action only
        if metric.name == FED_BACK and evaluation.rollouts is None:
            continue
        if metric.group == "readout" and evaluation.readout is None:
            continue
        if metric.group == "objects" and evaluation.objects is None:
            continue
        by_joint = isinstance(evaluation.metrics[metric.name], list)
        folded = metric.name in SECONDARY or metric.given(evaluation.layout)
        tables["Joint by joint" if by_joint else "All other metrics" if folded else ""].append(metric)
    return {title: _groups(evaluation, facts, metrics) for title, metrics in tables.items() if metrics}


def _groups(evaluation: Evaluation, facts: Facts, metrics: list[Metric]) -> dict[str, Rows]:
    """Lines of a table of metrics by their group; a metric that has a figure for each joint has a line for each."""
    titles = {
        "picture": "Picture",
        "joints": "Joints",
        "readout": "Joints as read from the picture",
        "objects": "Things",
        "action": "What the action does",
        "outcomes": "The action against the truth",
    }
    groups: dict[str, Rows] = {title: [] for title in titles.values()}
    for metric in metrics:
        by_joint = isinstance(evaluation.metrics[metric.name], list)
        joints = range(len(evaluation.layout.joints)) if by_joint else (None,)
        groups[titles[metric.group]] += [_row(evaluation, facts, metric, joint) for joint in joints]
    return {title: rows for title, rows in groups.items() if rows}


def _row(evaluation: Evaluation, facts: Facts, metric: Metric, joint: int | None = None) -> dict[str, Any]:
    """A line of the metrics table; ``joint`` where the metric has a figure for each joint."""

    def cell(table: dict[str, Any]) -> Any:
        value = table.get(metric.name)
        if joint is None:
            return value
        return value[joint] if isinstance(value, list) and joint < len(value) else None

    joints = evaluation.layout.joints
    unit = joints[joint].unit if joint is not None else unit_of(evaluation.layout, metric)
    persistence = evaluation.baselines.get(PERSISTENCE)
    skill = cell(persistence.skill) if persistence else None
    if persistence and not _has_ratio(evaluation.layout, metric, cell(persistence.metrics), joint):
        skill = None
    best = _best(
        [cell(baseline.metrics) for name, baseline in evaluation.baselines.items() if metric.fair(name)], metric
    )
    return {
        "metric": metric,
        "given": metric.given(evaluation.layout),
        "joint": joints[joint].name if joint is not None else "",
        "value": number(cell(evaluation.metrics), metric, unit),
        "interval": span(cell(evaluation.intervals), metric),
        "baselines": [
            {
                "value": number(cell(baseline.metrics), metric),
                "best": best is not None and cell(baseline.metrics) == best,
                "ahead": joint is None and evaluation.verdict(metric.name, name) == "worse",
            }
            for name, baseline in evaluation.baselines.items()
        ],
        "samples": _population(evaluation, metric),
        "skill": figure(skill, "share", signed=True),
        "verdict": (evaluation.verdict(metric.name) if joint is None else None) or "",
        "against": number(cell(facts.against), metric) if facts.against else "",
    }


def _best(values: list[Any], metric: Metric) -> float | None:
    """The best of several figures; None with fewer than two."""
    defined = [value for value in values if value is not None]
    return min(defined, key=metric.loss) if len(defined) > 1 else None


def _population(evaluation: Evaluation, metric: Metric) -> int:
    """How many samples define a metric."""
    weights = evaluation.samples.weights[metric.name]
    return int((weights.reshape(len(weights), -1) > 0).any(axis=1).sum())


def _has_ratio(layout: Layout, metric: Metric, error: Any, joint: int | None) -> bool:
    """Whether a baseline's error is large enough that a share of it means something: a tenth of a grey level."""
    if not isinstance(error, float):
        return False
    if metric.unit != "joint":
        return error >= UNSEEN**2
    ranges = layout.highs - layout.lows
    return error >= UNSEEN * (ranges[joint] if joint is not None else ranges.min())


def _key_figures(evaluation: Evaluation) -> dict[str, str]:
    """What the tiles show: without a reader, what the action gives stands for what would be read."""
    given = evaluation.given if evaluation.readout else ()
    return key_metrics(given, fed_back_for=evaluation.fed_back_for)


def _tile(evaluation: Evaluation, name: str, title: str) -> dict[str, Any]:
    """A key figure of the model, of persistence, and of another baseline that is surely better."""
    metric = METRICS[name]
    baseline, ahead, verdict = (
        evaluation.baselines.get(PERSISTENCE),
        evaluation.ahead(name),
        evaluation.verdict(name) or "",
    )
    unit = unit_of(evaluation.layout, metric)
    value = number(evaluation.metrics[name], metric, unit)
    illegible = name == "readout_position_mae" and not evaluation.legible
    words = "no clear difference" if verdict == "level" else verdict
    if not verdict:
        words = "too few to tell" if baseline and evaluation.metrics[name] is not None else "not compared"
    if illegible:
        verdict = ""
    return {
        "title": title,
        "value": "cannot tell" if illegible else value,
        "illegible": value if illegible else "",
        "persistence": number(baseline.metrics[name], metric, unit) if baseline else NOTHING,
        "floor": number(evaluation.readout.floor[name], metric, unit)
        if evaluation.readout and name in evaluation.readout.floor
        else "",
        "verdict": verdict,
        "words": words,
        "ahead": f"{ahead} {number(evaluation.baselines[ahead].metrics[name], metric)}" if ahead else "",
        "arrow": metric.arrow,
        "given": metric.given(evaluation.layout),
    }


def _target(evaluation: Evaluation, target: Target) -> dict[str, Any]:
    metric, value, interval = target.metric, evaluation.metrics[target.name], evaluation.intervals[target.name]
    unit = unit_of(evaluation.layout, metric)
    verdict = target.verdict(value, interval, evaluation.groups)
    return {
        "metric": metric,
        "target": f"{target.sign} {number(target.value, metric, unit)}",
        "value": number(value, metric, unit),
        "interval": span(interval, metric),
        "verdict": verdict,
        "colour": {"reached": "better", "missed": "worse"}.get(verdict, "level"),
    }


def _action(evaluation: Evaluation, code: int) -> dict[str, Any]:
    names = (f"val_mse_action_{code}", f"motor_position_mae_action_{code}")
    return {
        "code": code,
        "name": CODE_NAMES[code],
        "colour": css_colour(evaluation.layout.palette[code]),
        "seen": evaluation.actions_seen.get(code, 0),
        "samples": evaluation.validated[code],
        "guess": code in evaluation.guesses,
        "figures": [number(evaluation.metrics[name], METRICS[name]) for name in names],
    }


# Pictures


def _heat_maps(layout: Layout, top: float, example: Example, about: int) -> list[tuple[str, dict[str, Any]]]:
    """The maps of a sample's errors, each with its title; colours end at ``top``."""
    maps = error_maps(layout, example)
    return [(TITLES[name], image(heat_map(values, top), about)) for name, values in maps.items()]
