"""The files of an evaluation, written whole or not at all."""

import os
import shutil
from pathlib import Path
from typing import Any

from forearm.base.errors import ForearmError
from forearm.base.files import write_json, writing_folder
from forearm.evaluation import Evaluation
from forearm.evaluation.saved import EXAMPLES_FILE, METRICS_FILE, SAMPLES_FILE, save
from forearm.report.evaluation_page import Facts, render
from forearm.report.grids import save_grids


def write_report(evaluation: Evaluation, facts: Facts, folder: Path) -> Path:
    """Write the files of an evaluation, in place of those of an earlier one.

    ``metrics.json``, ``report.html``, ``grids/*.png``, and for comparisons ``samples.parquet`` and ``examples.npz``.
    They are written beside first, so that a failure keeps the earlier files.

    Returns:
        The path of ``report.html``.

    Raises:
        ForearmError: the folder cannot be written.
    """
    folder = Path(folder)
    beside = folder / ".new"
    shutil.rmtree(beside, ignore_errors=True)
    with writing_folder(beside) as new:
        write_json(new / METRICS_FILE, evaluation.to_json() | _origin(evaluation, facts))
        save(evaluation, new)
        (new / "report.html").write_text(render(evaluation, facts), encoding="utf-8")
        save_grids(evaluation, new / "grids")
    try:
        shutil.rmtree(folder / "grids", ignore_errors=True)
        for name in ("grids", METRICS_FILE, "report.html", SAMPLES_FILE, EXAMPLES_FILE):
            os.replace(beside / name, folder / name)
        beside.rmdir()
    except OSError as error:
        raise ForearmError(f"{folder} cannot be written: {error.strerror}; choose another place") from error
    return folder / "report.html"


def _origin(evaluation: Evaluation, facts: Facts) -> dict[str, Any]:
    """What ``metrics.json`` holds besides the figures."""
    metrics, intervals = evaluation.metrics, evaluation.intervals
    targets = [
        {"target": str(target), "verdict": target.verdict(metrics[target.name], intervals[target.name])}
        for target in facts.targets
    ]
    return {**facts.origin, "notes": facts.notes, "targets": targets, "targets_from": facts.targets_from}
