"""The files of an evaluation, written whole or not at all."""

import shutil
from pathlib import Path
from typing import Any

from forearm.base.files import write_json, writing_folder
from forearm.evaluation import Evaluation
from forearm.evaluation.saved import METRICS_FILE, save
from forearm.report.evaluation_page import Facts, render
from forearm.report.grids import save_grids


def write_report(evaluation: Evaluation, facts: Facts, folder: Path) -> Path:
    """Write the files of an evaluation, in place of those of an earlier one.

    ``metrics.json``, ``report.html``, ``grids/*.png``, and for comparisons ``samples.parquet`` and ``examples.npz``.
    The whole folder is replaced in one step, so that files of two evaluations never stand together.

    Returns:
        The path of ``report.html``.
    """
    folder = Path(folder)
    with writing_folder(folder, replace=True) as new:
        write_json(new / METRICS_FILE, evaluation.to_json() | _origin(evaluation, facts))
        save(evaluation, new)
        (new / "report.html").write_text(render(evaluation, facts), encoding="utf-8")
        save_grids(evaluation, new / "grids")
        for other in folder.glob("*"):  # what somebody else put there stays
            taken = (new / other.name).exists()
            if other.is_dir() and other.name not in ("grids", ".new"):  # an earlier forearm left .new
                shutil.copytree(other, new / f"{other.name}{'.before' * taken}", symlinks=True)
            elif other.is_file() and not taken:
                shutil.copy2(other, new / other.name, follow_symlinks=False)
    return folder / "report.html"


def _origin(evaluation: Evaluation, facts: Facts) -> dict[str, Any]:
    """What ``metrics.json`` holds besides the figures."""
    metrics, intervals = evaluation.metrics, evaluation.intervals
    targets = [
        {
            "target": str(target),
            "verdict": target.verdict(metrics[target.name], intervals[target.name], evaluation.groups),
        }
        for target in facts.targets
    ]
    return {**facts.origin, "notes": facts.notes, "targets": targets, "targets_from": facts.targets_from}
