"""Writing a report's files."""

import os
import shutil
from pathlib import Path

from forearm.errors import ForearmError
from forearm.evaluation import Evaluation
from forearm.files import write_json, writing_folder
from forearm.report.grids import save_grids
from forearm.report.page import Facts, render


def write_report(evaluation: Evaluation, facts: Facts, folder: Path) -> Path:
    """Write ``metrics.json``, ``report.html`` and ``grids/*.png``, in place of those of an earlier evaluation.

    All is written beside first, so that a failure leaves what was there.

    Returns:
        The path of ``report.html``.

    Raises:
        ForearmError: the folder cannot be written.
    """
    folder = Path(folder)
    beside = folder / ".new"
    shutil.rmtree(beside, ignore_errors=True)
    with writing_folder(beside) as new:
        write_json(new / "metrics.json", evaluation.to_json())
        (new / "report.html").write_text(render(evaluation, facts), encoding="utf-8")
        save_grids(evaluation, new / "grids")
    try:
        shutil.rmtree(folder / "grids", ignore_errors=True)
        for name in ("grids", "metrics.json", "report.html"):
            os.replace(beside / name, folder / name)
        beside.rmdir()
    except OSError as error:
        raise ForearmError(f"{folder} cannot be written: {error.strerror}; choose another place") from error
    return folder / "report.html"
