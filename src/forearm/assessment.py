"""From a run and data to its report: the evaluation's figures, the report's page."""

import datetime
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from forearm.canvas import Layout
from forearm.devices import device_named
from forearm.errors import ForearmError
from forearm.evaluation.baselines import fitted_baselines, standard_baselines
from forearm.evaluation.evaluate import evaluate
from forearm.files import read_json
from forearm.models.world_model import Predictor
from forearm.report import Facts, write_report
from forearm.training.run import Checkpoint, Run
from forearm.transitions.batch import Batch
from forearm.transitions.loader import batches
from forearm.transitions.store import TransitionSet

Watch = Callable[[int, int], None]


def assess(
    run_path: Path,
    *,
    data: Path | None = None,
    split: Literal["auto", "val", "all"] = "auto",
    checkpoint: Checkpoint = "best",
    notes: Path | None = None,
    against: Path | None = None,
    samples: int = 8,
    batch_size: int = 16,
    device: str = "auto",
    watch: Watch = lambda done, total: None,
) -> Path:
    """Score a run on a dataset and write metrics.json, report.html and grids; return the report's path.

    They go to ``evaluation/`` in the run's folder, or to ``evaluation-NAME/`` for a dataset that is not the run's own.

    Raises:
        ForearmError: run, data, notes, device or the run to compare with are missing or do not fit.
    """
    for option, value in (("samples", samples), ("batch_size", batch_size)):
        if value < 1:
            raise ForearmError(f"{option} is {value}; it has to be at least 1")
    place = device_named(device)
    run = Run.open(run_path)
    config, layout = run.config(), run.layout()
    own = Path(config["data"]["path"])
    transitions = TransitionSet(data or own)
    transitions.require_fit(layout, f"run {run.name}")
    is_own = transitions.path.resolve() == own.resolve()
    rows = transitions.rows("val" if split == "val" or (split == "auto" and is_own) else None)
    if not len(rows):
        raise ForearmError(f"{transitions.path} has no validation transitions; evaluate it with --split all")
    facts = Facts(
        run_name=run.name,
        model_type=config["family"],
        checkpoint=str(run.weights_file(checkpoint)),
        dataset=str(transitions.path),
        date=datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        notes=_read_notes(notes),
        settings={"model": config["model"], "training": config["training"]},
        log=run.log(),
        against_name=Run.open(against).name if against else "",
        against=_metrics_of(against) if against else None,
    )
    model = run.load(checkpoint, place)
    baselines, cautions = _baselines(own, layout, run)
    if is_own and split == "all":
        cautions.append("The scored samples include those of training, which the nearest neighbour knows by heart.")
    evaluation = evaluate(
        model,
        _watched(batches(transitions, rows, batch_size, layout), len(rows), watch),
        layout,
        episodes=transitions.columns.episodes,
        actions_seen={int(code): count for code, count in config["data"]["actions_seen"].items()},
        baselines=baselines,
        samples=samples,
        device=place,
        cautions=tuple(cautions),
    )
    folder = run.path / ("evaluation" if is_own else f"evaluation-{transitions.path.resolve().name}")
    return write_report(evaluation, facts, folder)


def _baselines(training: Path, layout: Layout, run: Run) -> tuple[dict[str, Predictor], list[str]]:
    """All baselines, fitted on what the run was trained on; only persistence, and a caution, if that is gone."""
    try:
        data = TransitionSet(training)
        data.require_fit(layout, f"run {run.name}")
        return fitted_baselines(data, layout), []
    except ForearmError as error:
        caution = f"Persistence is the only baseline, as the others are fitted on the training's dataset: {error}."
        return standard_baselines(layout), [caution]


def _read_notes(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ForearmError(f"the notes {path} cannot be read: {reason}") from error


def _metrics_of(run: Path) -> dict:
    path = run / "evaluation" / "metrics.json"
    if not path.is_file():
        raise ForearmError(f"{run} has not been evaluated; do so first: forearm evaluate {run}")
    return read_json(path)


def _watched(source: Iterator[Batch], total: int, watch: Watch) -> Iterator[Batch]:
    done = 0
    watch(done, total)
    for batch in source:
        yield batch
        done += len(batch)
        watch(done, total)
