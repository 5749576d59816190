"""What a page says of a training: one line, whether it was long enough, curves and settings."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from markupsafe import Markup

from forearm.report.charts import line_chart
from forearm.report.html import flattened
from forearm.report.wording import count, duration

HALVED = 0.5
"""A validation loss that fell to less than this between the last two evaluations is still falling steeply."""
TERMS = {"visual": "squared error of the picture", "strip": "squared error of the motor strip"}
"""Losses that training and validation measure alike, and what they are."""

Log = list[dict[str, Any]]


def training_line(trained: dict[str, Any], transitions: int, machine: dict[str, Any]) -> str:
    """Steps, samples, time, machine, versions and commit of a training, as far as they are known."""
    passes = trained["samples"] / transitions if transitions else 0
    words = f"Trained for {count(trained['steps'], 'step')} with {count(trained['samples'], 'sample')}"
    words += f", {passes:,.1f} times its {count(transitions, 'transition')}" if transitions else ""
    words += f", in {duration(trained['seconds'])}" if trained["seconds"] else ""
    if not machine:
        return f"{words}."
    threads = count(machine["threads"], "thread")
    processes = f" in each of {machine['processes']} processes" if machine["processes"] > 1 else ""
    commit = f" (commit {machine['commit']})" if machine["commit"] else ""
    forearm = f"Forearm {machine['forearm']}".rstrip()  # one that was not installed has no version
    versions = f"{forearm}{commit}, PyTorch {machine['torch']}, Python {machine['python']}"
    return f"{words}, on {machine['machine']} with {threads}{processes}. {versions}."


def hardly_trained(log: Log, samples: int, transitions: int) -> str:
    """Why a run counts as hardly trained; empty if it does not.

    It does if it saw fewer samples than its data has, or if its validation loss fell to less than half between the
    last two evaluations.
    """
    if transitions and samples < transitions:
        return f"it saw {count(samples, 'sample')}, fewer than the {transitions:,} transitions of its data"
    losses = [entry["val_loss"] for entry in log if "val_loss" in entry]
    if len(losses) > 1 and 0 < losses[-1] < HALVED * losses[-2]:
        return "its validation loss fell to less than half between the last two evaluations"
    return ""


def curves(log: Log) -> list[tuple[str, Markup]]:
    """Charts by step: each loss that training and validation measure alike, learning rate, norm of the gradient."""
    common = [name for name in TERMS if any(name in e for e in log) and any(f"val_{name}" in e for e in log)]
    charts = [(TERMS[name].capitalize(), {name: "training", f"val_{name}": "validation"}, True) for name in common]
    if not common:  # what each minimises, which may differ
        charts = [("Training loss", {"loss": "training"}, True), ("Validation loss", {"val_loss": "validation"}, True)]
    charts += [("Learning rate", {"learning_rate": "learning rate"}, False)]
    charts += [("Norm of the gradient", {"gradient_norm": "gradient norm"}, True)]
    return [(title, chart) for title, names, log_scale in charts for chart in _chart(log, title, names, log_scale)]


def _chart(log: Log, title: str, names: dict[str, str], log_scale: bool) -> Iterator[Markup]:
    series = {label: _series(log, name) for name, label in names.items() if any(name in entry for entry in log)}
    if series:
        positive = all((values > 0).all() for _, values in series.values())
        yield line_chart(series, "step", "", log_scale and positive)


def _series(log: Log, name: str) -> tuple[np.ndarray, np.ndarray]:
    entries = [entry for entry in log if name in entry]
    return np.array([entry["step"] for entry in entries]), np.array([entry[name] for entry in entries], float)


def settings_lines(settings: dict[str, Any]) -> list[tuple[str, str]]:
    """A run's settings, those without effect left out: the number of steps where minutes set the end."""
    training = settings.get("training", {})
    if training.get("minutes"):
        training = {name: value for name, value in training.items() if name != "steps"}
    return list(flattened(settings | {"training": training} if training else settings))
