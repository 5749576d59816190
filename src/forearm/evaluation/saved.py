"""An evaluation on disk, sample by sample, from which runs are compared.

``samples.parquet`` holds a row for each sample and predictor: ``predictor`` (``model`` or a baseline's name), ``row``
and ``episode`` of the dataset, and for every metric its sum under the metric's name and its weight under
``<name>.weight``, so that metric = Σ sums / Σ weights; lists for a metric per joint. ``examples.npz`` holds the
samples that are drawn as pictures, arrays as ``Examples`` says. Neither holds code.
"""

import dataclasses
import hashlib
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from forearm.base.errors import ForearmError
from forearm.base.files import read_json
from forearm.canvas import CODES
from forearm.evaluation.evaluation import Evaluation
from forearm.evaluation.examples import Example
from forearm.evaluation.samples import MODEL, Samples
from forearm.transitions.store import TransitionSet

METRICS_FILE, SAMPLES_FILE, EXAMPLES_FILE = "metrics.json", "samples.parquet", "examples.npz"


@dataclass(frozen=True)
class Examples:
    """K samples under each of the C action codes, as arrays."""

    row: np.ndarray
    """(K,) int64, row in the dataset."""
    code: np.ndarray
    """(K,) int64, code of the action that was taken."""
    acting: np.ndarray
    """(K,) int64, index of the acting joint."""
    truth: np.ndarray
    """(K, 3, H, W) uint8, the recorded canvas."""
    under: np.ndarray
    """(K, C, 3, H, w) uint8, the predicted last frames."""
    known: np.ndarray
    """(K, C) bool, whether the true outcome of the action is known."""
    outcomes: np.ndarray
    """(K, C, 3, H, w) uint8, the true last frames; black where unknown."""
    before: np.ndarray
    """(K, J) float64, positions of the previous frame in the joints' units."""
    positions_under: np.ndarray
    """(K, C, J) float64, positions of ``under``."""
    positions_after: np.ndarray
    """(K, C, J) float64, positions of ``outcomes``; NaN where unknown."""

    @classmethod
    def of(cls, examples: list[Example], evaluation: Evaluation) -> "Examples":
        """The arrays of an evaluation's examples; the action that was taken is known to lead to what was recorded."""
        columns = evaluation.layout.frame_columns(-1)

        def outcomes(example: Example) -> dict[int, tuple[np.ndarray, np.ndarray]]:
            others = {code: (last, example.positions_after[code]) for code, last in example.outcomes.items()}
            return others | {example.code: (example.truth[..., columns], example.positions)}

        really = [outcomes(example) for example in examples]
        black, nowhere = np.zeros_like(examples[0].truth[..., columns]), np.full_like(examples[0].before, np.nan)
        return cls(
            row=np.array([example.row for example in examples]),
            code=np.array([example.code for example in examples]),
            acting=np.array([example.acting for example in examples]),
            truth=np.array([example.truth for example in examples]),
            under=np.array([[example.under[code][..., columns] for code in CODES] for example in examples]),
            known=np.array([[code in known for code in CODES] for known in really]),
            outcomes=np.array([[known.get(code, (black, None))[0] for code in CODES] for known in really]),
            before=np.array([example.before for example in examples]),
            positions_under=np.array([[example.positions_under[code] for code in CODES] for example in examples]),
            positions_after=np.array([[known.get(code, (None, nowhere))[1] for code in CODES] for known in really]),
        )


@dataclass(frozen=True)
class Saved:
    """What the folder of an evaluation holds."""

    figures: dict[str, Any]
    """Its ``metrics.json``."""
    rows: np.ndarray
    """(N,) int64, the scored samples."""
    episodes: np.ndarray
    """(N,) int64, the episode of each."""
    samples: dict[str, Samples]
    """Their metrics, the model's under ``model`` and each baseline's under its name."""
    examples: Examples

    @classmethod
    def open(cls, folder: Path) -> "Saved":
        """Read an evaluation that ``forearm evaluate`` wrote."""
        figures = read_json(folder / METRICS_FILE)
        try:
            table = pq.read_table(folder / SAMPLES_FILE)
            predictors = table["predictor"].to_numpy(zero_copy_only=False)
            samples = {name: _read(table.filter(predictors == name)) for name in dict.fromkeys(predictors)}
            models = table.filter(predictors == MODEL)
            with np.load(folder / EXAMPLES_FILE, allow_pickle=False) as arrays:
                examples = Examples(**{field.name: arrays[field.name] for field in dataclasses.fields(Examples)})
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, pa.ArrowException) as error:
            raise ForearmError(f"the evaluation in {folder} is damaged: {error}; evaluate the run again") from error
        return cls(figures, models["row"].to_numpy(), models["episode"].to_numpy(), samples, examples)


def save(evaluation: Evaluation, folder: Path) -> None:
    """Write ``samples.parquet`` and ``examples.npz`` into a folder."""
    samples = {MODEL: evaluation.samples, **evaluation.baseline_samples}
    tables = [_table(name, of, evaluation.rows, evaluation.episode_of_rows) for name, of in samples.items()]
    pq.write_table(pa.concat_tables(tables, promote_options="default"), folder / SAMPLES_FILE)
    examples = Examples.of(evaluation.drawn, evaluation)
    np.savez_compressed(folder / EXAMPLES_FILE, **vars(examples))


def evaluations_of(run: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The evaluations in a run's folder, each with its ``metrics.json``, that on the run's own data first."""
    for path in sorted(run.glob(f"evaluation*/{METRICS_FILE}")):
        yield path.parent, read_json(path)


def scored_on(figures: dict[str, Any]) -> str | None:
    """The digest of the samples that a ``metrics.json`` is about; None in one of an older forearm."""
    return figures.get("data", {}).get("digest")


def digest_of(data: TransitionSet, rows: np.ndarray) -> str:
    """A digest of scored samples, wherever their dataset lies: 16 hexadecimal digits.

    It covers rows, episodes with their pictures, actions, joint positions, and names and sizes of the cameras.
    """
    layout, episodes = data.layout, data.columns.episodes[rows]
    cameras = [(camera.name, camera.height, camera.width) for camera in layout.cameras]
    digest = hashlib.sha256(json.dumps([cameras, layout.joint_names]).encode())
    digest.update("".join(data.episode_digests[np.unique(episodes)]).encode())
    for values in (rows, episodes, data.columns.actions[rows], data.positions(rows)):
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()[:16]


def _table(predictor: str, samples: Samples, rows: np.ndarray, episodes: np.ndarray) -> pa.Table:
    columns = {"predictor": pa.array([predictor] * len(rows)), "row": pa.array(rows), "episode": pa.array(episodes)}
    for name, sums in samples.sums.items():
        columns |= {name: _column(sums), f"{name}.weight": _column(samples.weights[name])}
    return pa.table(columns)


def _column(values: np.ndarray) -> pa.Array:
    return pa.array(values if values.ndim == 1 else list(values))


def _read(table: pa.Table) -> Samples:
    """The samples of one predictor; metrics that it was not measured by are null."""
    names = [name.removesuffix(".weight") for name in table.column_names if name.endswith(".weight")]
    measured = [name for name in names if table[name].null_count < len(table)]

    def values(name: str) -> np.ndarray:
        cells = table[name].to_numpy()
        return np.stack(cells) if cells.dtype == object else cells

    return Samples({name: values(name) for name in measured}, {name: values(f"{name}.weight") for name in measured})
