"""What is uploaded of a run, a dataset or a recording: its own files, a card, and no path of this machine."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from forearm.base.errors import ForearmError
from forearm.base.files import read_json, read_text, write_json
from forearm.base.hub import DATASET, RECORDING, RUN, Kind
from forearm.report.card import data_card, run_card
from forearm.training.run import Run

TEXTS = {".html", ".json", ".jsonl", ".txt"}
"""Endings of files in which paths may stand."""


def pack(folder: Path, out: Path, hub_id: str, *, licence: str = "", dataset: str = "") -> Kind:
    """Put what is uploaded into an empty folder, with its card, and say what kind it is.

    Args:
        dataset: of a run, the Hub id of what it was trained on; its name alone stays otherwise.

    Raises:
        ForearmError: the folder is neither a run, a dataset nor a recording, or a run has no weights.
    """
    kind = next((each for each in (DATASET, RUN, RECORDING) if (folder / each.mark).is_file()), None)
    if kind is None:
        raise ForearmError(f"{folder} is neither a run, nor a dataset, nor a LeRobot data set; nothing to upload")
    if dataset and kind is not RUN:
        raise ForearmError(f"{folder} is a {kind.title}: --dataset belongs to a run; leave it out")
    if kind is not RUN:
        _copy(folder, out, kind, {})
        card = data_card(folder, hub_id, kind.title, licence)
    else:
        run = Run.open(folder)
        run.load()  # whatever is damaged is said here, not by those who fetch it
        trained_on = dataset or run.data_path().name
        names = _names(run, trained_on)
        _copy(folder, out, kind, names)
        config = read_json(out / "config.json")
        config["data"]["path"] = trained_on
        write_json(out / "config.json", config)
        card = _renamed(run_card(run, hub_id, trained_on, licence), names)
    (out / "README.md").write_text(card, encoding="utf-8")
    return kind


def _names(run: Run, trained_on: str) -> dict[str, str]:
    """For each path of this machine that a run's files may hold, the longest first, what stands there instead."""
    paths = {str(run.data_path()): trained_on, str(run.path.resolve()): run.name}
    config: dict[str, Any] = run.config()
    for key in ("parent", "fine_tuned_from"):
        if config.get(key):
            paths[str(config[key])] = Path(config[key]).name
    for path in run.path.glob("evaluation*/metrics.json"):
        data = read_json(path).get("data", {})
        if "path" in data:
            paths.setdefault(data["path"], data["name"])
    found = paths | {os.path.relpath(path): name for path, name in paths.items()}
    return {path: found[path] for path in sorted(found, key=len, reverse=True) if "/" in path}


def _copy(folder: Path, out: Path, kind: Kind, names: dict[str, str]) -> None:
    """Copy the files of a kind, with names in place of paths."""
    for pattern in kind.parts:
        for path in sorted(folder.glob(pattern if not pattern.endswith("**") else f"{pattern}/*")):
            target = out / path.relative_to(folder)
            if not path.is_file() or target.exists():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            if names and path.suffix in TEXTS:
                target.write_text(_renamed(read_text(path), names), encoding="utf-8")
            else:
                shutil.copyfile(path, target)


def _renamed(text: str, names: dict[str, str]) -> str:
    """A text with names in place of paths, as JSON or as plain text has them."""
    for path, name in names.items():
        for written in (json.dumps(path)[1:-1], path):
            text = text.replace(written, name)
    return text
