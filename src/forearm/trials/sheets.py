"""Contact sheets of trials, and the folder by which a person, a program or any model judges them.

The folder holds ``tasks.json``, the text of each sheet's task by the sheet's name, and a picture ``NAME.png`` of each:
its trial from left to right, a row a camera. Whoever judges writes ``scores.json`` beside it: a number from 0 (failed)
to 1 (done) for each name. ``judge.html`` lets a person do it in a browser. Nothing uses a network.
"""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from forearm.base.errors import ForearmError
from forearm.base.files import read_json, reason_of, write_json
from forearm.media.pictures import enlarge, tile

COLUMNS = 8
"""Moments of a trial on its sheet."""
SMALL = 120
"""Pictures narrower than this are enlarged."""
TASKS, SCORES, PAGE = "tasks.json", "scores.json", "judge.html"
SECONDS = 3600
"""A program may take so long."""
GREYS, STRAY = 8, 0.002
"""Two sheets are of the same trial where no more than this share of their values differ by more than so many greys: on
another day a GPU may round otherwise."""


def contact_sheet(pictures: dict[str, np.ndarray], columns: int = COLUMNS) -> np.ndarray:
    """The trial from left to right, a row a camera, (H, W, 3) uint8.

    Args:
        pictures: camera to (T, h, w, 3) uint8.
        columns: how many moments, evenly from the first to the last.
    """
    length = len(next(iter(pictures.values())))
    moments = np.unique(np.linspace(0, length - 1, min(columns, length)).round().astype(int))
    shown = [film[moment] for film in pictures.values() for moment in moments]
    times = max(1, round(SMALL / shown[0].shape[1]))
    return tile([enlarge(picture, times) for picture in shown], len(moments), 4)


def write_sheets(
    folder: Path, films: Sequence[dict[str, np.ndarray]], tasks: Sequence[str], replace: bool = False
) -> list[str]:
    """Write what is to be judged; returns the names of the sheets.

    Args:
        folder: is made where it is missing.
        films: of each trial camera to (T, h, w, 3) uint8.
        tasks: of each trial.
        replace: remove the sheets and scores of other trials, instead of refusing to write beside them.

    Raises:
        ForearmError: the folder holds the sheets of other trials.
    """
    names = [f"trial-{number:04d}" for number in range(len(films))]
    told, sheets = dict(zip(names, tasks, strict=True)), [contact_sheet(film) for film in films]
    if replace:
        for earlier in (*folder.glob("trial-*.png"), folder / TASKS, folder / SCORES):
            earlier.unlink(missing_ok=True)
    elif (folder / TASKS).exists() and not (
        read_json(folder / TASKS) == told
        and all(_holds(folder / f"{name}.png", sheet) for name, sheet in zip(names, sheets, strict=True))
    ):
        raise ForearmError(f"{folder} holds the sheets of other trials; give another folder")
    folder.mkdir(parents=True, exist_ok=True)
    for name, sheet in zip(names, sheets, strict=True):
        Image.fromarray(sheet).save(folder / f"{name}.png")
    write_json(folder / TASKS, told)
    (folder / PAGE).write_text(_page(told), encoding="utf-8")
    return names


def _holds(path: Path, sheet: np.ndarray) -> bool:
    """Whether a file is the picture of a sheet (H, W, 3) uint8, or is no picture at all, so that it is written anew."""
    try:
        with Image.open(path) as file:
            there = np.asarray(file)
    except OSError:
        return True
    if there.shape != sheet.shape:
        return False
    return bool((np.abs(there.astype(int) - sheet) > GREYS).mean() <= STRAY)


def read_scores(folder: Path, names: Sequence[str]) -> np.ndarray:
    """The scores (n,) of sheets.

    Raises:
        ForearmError: they are not there, or one of them is missing or no number from 0 to 1.
    """
    path = folder / SCORES
    if not path.is_file():
        raise ForearmError(
            f"{len(names)} sheets wait to be judged in {folder}: open {PAGE}, or write {SCORES} with a number from 0 "
            "to 1 for each name in tasks.json, and run the same command again"
        )
    found = read_json(path)
    found = found.get("scores", found) if isinstance(found, dict) else {}
    for name in names:
        value = found.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
            raise ForearmError(f"{path} has no number from 0 to 1 for {name}; it needs one for each name in {TASKS}")
    return np.array([float(found[name]) for name in names])


def require_program(path: Path) -> None:
    """Refuse a program that cannot be called, before anything is imagined for it.

    Raises:
        ForearmError: there is no such file, or it may not be executed.
    """
    if not path.is_file():
        raise ForearmError(f"the scorer {path} cannot be run: there is no such file")
    if not os.access(path, os.X_OK):
        raise ForearmError(f"the scorer {path} cannot be run: it is not executable; see chmod +x")


def judged_by_program(program: Path, folder: Path, names: Sequence[str]) -> np.ndarray:
    """The scores that a program writes: it is called with the folder and ends with exit code 0.

    Raises:
        ForearmError: it cannot be run, it fails, or its scores are unsound.
    """
    (folder / SCORES).unlink(missing_ok=True)
    try:
        done = subprocess.run(
            [str(program.resolve()), str(folder)], capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ForearmError(f"the scorer {program} cannot be run: {reason_of(error)}") from error
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise ForearmError(f"the scorer {program} ended with {done.returncode}: {' '.join(last) or 'it said nothing'}")
    return read_scores(folder, names)


def _page(tasks: dict[str, str]) -> str:
    """A page on which a person judges the sheets beside it and saves ``scores.json``."""
    from html import escape

    cards = "\n".join(
        f'<section data-name="{name}"><h2>{escape(task) or name}</h2>'
        f'<img src="{name}.png" alt="{name}" loading="lazy" />'
        '<p><button data-score="1">done</button> <button data-score="0.5">cannot tell</button> '
        '<button data-score="0">failed</button></p></section>'
        for name, task in tasks.items()
    )
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8" /><meta name="viewport" content="width=device-width, initial-scale=1" />
<title>Judge {len(tasks)} trials</title><style>
:root {{ color-scheme: light dark; }} body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 66rem; margin: 0 auto;
padding: 1rem 1rem 6rem; }} h2 {{ font-size: 1.05rem; margin: 2rem 0 .4rem; }} img {{ max-width: 100%; }}
button {{ font: inherit; padding: .5rem 1rem; }} button.on {{ outline: 3px solid #3b6ea5; }}
footer {{ position: fixed; inset: auto 0 0; padding: .8rem 1rem; background: Canvas; border-top: 1px solid; }}
</style></head><body><h1>Does the last picture show that the task is done?</h1>
{cards}
<footer><span>0 of {len(tasks)}</span> <button id="save" disabled>Save scores.json</button></footer><script>
const scores = {{}};
for (const card of document.querySelectorAll("section")) for (const button of card.querySelectorAll("button"))
  button.onclick = () => {{
    scores[card.dataset.name] = Number(button.dataset.score);
    for (const other of card.querySelectorAll("button")) other.classList.toggle("on", other === button);
    const judged = Object.keys(scores).length;
    document.querySelector("footer span").textContent = `${{judged}} of {len(tasks)}`;
    save.disabled = judged < {len(tasks)};
  }};
const save = document.getElementById("save");
save.onclick = () => {{
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(scores, null, 1)], {{ type: "application/json" }}));
  link.download = "{SCORES}";
  link.click();
}};
</script></body></html>
"""
