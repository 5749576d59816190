"""A folder that plays a run in the browser: the page of `forearm play` with onnxruntime-web in the server's place.

All files are scripts, pictures are in them, and nothing is fetched: so the page also opens from the disk.
"""

import gzip
import json
import tempfile
from base64 import b64encode
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch

from forearm.base.errors import ForearmError
from forearm.base.files import require_absent, writing_folder
from forearm.canvas import CODES, Action, Layout, counterfactual
from forearm.environment import RecordedEnvironment
from forearm.export.onnx_file import export_onnx
from forearm.media.colours import OVERLAY
from forearm.media.words import DECIMALS, figure, unit_behind
from forearm.play.runtime import GLUE, SCRIPT, VERSION, WASM, runtime
from forearm.play.session import USUAL_VALUE
from forearm.play.stage import Stage
from forearm.play.starts import Recording
from forearm.play.state import AT_BOUND, HEAT_TOP, cameras, words
from forearm.training.run import Checkpoint, Run
from forearm.transitions import TransitionSet

VALUES = [round(0.05 * i, 2) for i in range(1, 21)]
"""How far a continuous action may go, as the page's slider has it."""
STEPS = 12
"""How many recorded steps come with a start, as the truth beside what is imagined."""
FROM_PLAY = ("app.css", "page.js", "play.js", "local.js")
NOTICE = f"""This page holds onnxruntime-web {VERSION} ({SCRIPT}, and runtime.js made of {GLUE} and {WASM}).
Copyright (c) Microsoft Corporation. Licensed under the MIT License.
"""


@dataclass(frozen=True)
class Page:
    """What was written."""

    index: Path
    """Its page."""
    difference: float
    """The largest difference between the model in it and PyTorch's."""
    starts: int
    bytes: int


def export_page(
    run: Run,
    out: Path,
    *,
    data: Path | None = None,
    starts: int = 8,
    checkpoint: Checkpoint = "best",
    runtime_folder: Path | None = None,
) -> Page:
    """Write a static page that plays a run from some moments of a dataset.

    Raises:
        ForearmError: the folder exists, there is no dataset or runtime, or the family cannot be exported.
    """
    if starts < 1:
        raise ForearmError(f"starts is {starts}; the page needs at least 1")
    require_absent(out, "--page")
    recorded = Recording(run.data(data))
    stage = Stage.of(run, [recorded], checkpoint, torch.device("cpu"))
    rows = _rows(recorded.data, starts)
    ort = runtime(runtime_folder)
    with tempfile.TemporaryDirectory() as there, writing_folder(out) as new:
        file = Path(there) / "model.onnx"
        difference = export_onnx(run, file, checkpoint, feed_back=True)
        pages = resources.files("forearm.play") / "page"
        for name in FROM_PLAY:
            (new / name).write_bytes((pages / name).read_bytes())
        index = (pages / "index.html").read_text(encoding="utf-8")
        (new / "index.html").write_text(_offline(index), encoding="utf-8")
        (new / SCRIPT).write_bytes(ort[SCRIPT])
        _script(new / "runtime.js", GLUE=ort[GLUE].decode(), WASM=_packed(ort[WASM]))
        _script(new / "model.js", MODEL=_packed(file.read_bytes()))
        _script(new / "run.js", RUN=_facts(stage, recorded, rows))
        (new / "NOTICE.txt").write_text(NOTICE, encoding="utf-8")
        size = sum(each.stat().st_size for each in new.iterdir())
    return Page(out / "index.html", difference, len(rows), size)


def _rows(data: TransitionSet, count: int) -> list[int]:
    """Rows to begin at, spread over the validation episodes; over all where none validates."""
    rows = data.rows("val")
    rows = rows if len(rows) else data.rows()
    episodes = data.columns.episodes[rows]
    first = rows[np.unique(episodes, return_index=True)[1]]
    pool = first if len(first) >= count else rows
    return pool[np.unique(np.linspace(0, len(pool) - 1, count).round().astype(int))].tolist()


def _offline(index: str) -> str:
    """The page of `forearm play` with its scripts beside it."""
    scripts = "".join(f'<script src="{name}"></script>\n' for name in SCRIPTS)
    served = '<script src="/page.js"></script>\n<script src="/own.js"></script>\n'
    assert served in index
    return index.replace(served, scripts).replace('href="/app.css"', 'href="app.css"')


SCRIPTS = (SCRIPT, "runtime.js", "model.js", "run.js", "page.js", "local.js", "play.js")


def _script(path: Path, **values: Any) -> None:
    """A script that sets constants: it loads from the disk, where a page may fetch nothing."""
    lines = (f"const {name} = {json.dumps(value, ensure_ascii=False)};\n" for name, value in values.items())
    path.write_text("".join(lines), encoding="utf-8")


def _packed(content: bytes) -> str:
    return b64encode(gzip.compress(content, 9, mtime=0)).decode()


def _facts(stage: Stage, recorded: Recording, rows: list[int]) -> dict[str, Any]:
    """What the page has to know of a run, its words, and the moments that it begins from."""
    layout = stage.layout
    about = stage.to_json()
    about["sources"] = [{"name": recorded.name, "title": recorded.title, "counts": "moment", "count": len(rows)}]
    values = [1.0] if layout.discrete else VALUES
    return {
        "stage": about,
        "known": layout.history - 1,
        "height": layout.frame_height,
        "width": layout.frame_width,
        "boxes": [[r.start, r.stop, c.start, c.stop] for r, c in layout.camera_boxes()],
        "joints": [
            {"decimals": DECIMALS.get(j.unit, 2 if j.high - j.low > 10 else 4), "unit": unit_behind(j.unit)}
            for j in layout.joints
        ],
        "value": 1.0 if layout.discrete else USUAL_VALUE,
        "values": values,
        "words": [
            [[words(layout, _action(layout, i, c, v)) for v in values] for c in CODES] for i in _dimensions(layout)
        ],
        "reach": [
            [f"±{figure(v * layout.actions[i].scale, layout.actions[i].unit)}" for v in values]
            for i in _dimensions(layout)
        ],
        "bound": AT_BOUND,
        "heatTop": HEAT_TOP,
        "overlay": OVERLAY.tolist(),
        "longest": stage.longest,
        "starts": [_start(recorded, row) for row in rows],
    }


def _dimensions(layout: Layout) -> range:
    return range(len(layout.actions))


def _action(layout: Layout, dimension: int, code: int, value: float) -> Action:
    nothing = np.zeros((1, len(layout.actions)), np.float32)
    values = counterfactual(layout, nothing, code, np.array([dimension]))[0]
    return Action(values if layout.discrete else values / USUAL_VALUE * value, dimension)


def _start(recorded: Recording, row: int) -> dict[str, Any]:
    """A moment, the frames before it, and what was recorded after it."""
    data, layout = recorded.data, recorded.data.layout
    known = data.columns.frames[row, :-1]
    before = data.action_values(np.array([row]))[0, :-1]
    world, steps = RecordedEnvironment(data), list[dict[str, Any]]()
    world.reset(row)
    while len(steps) < STEPS and (action := world.recorded()) is not None:
        world.step(action)
        frame = world.observe()
        if frame is None:
            break
        steps.append(
            {
                "action": action.values.tolist(),
                "dimension": action.dimension,
                "code": action.code,
                "words": words(layout, action),
                "pictures": cameras(layout, frame.picture),
                "joints": frame.joints.tolist(),
            }
        )
    return {
        "note": recorded.begin(row).note,
        "known": [
            {"pictures": cameras(layout, np.asarray(data.frames[i])), "joints": data.states[i].tolist()} for i in known
        ],
        "actions": before.tolist(),
        "steps": steps,
    }
