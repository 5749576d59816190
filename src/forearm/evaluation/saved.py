"""An evaluation on disk, sample by sample, from which runs are compared.

``samples.parquet`` holds a row for each sample and predictor: ``predictor`` (``model`` or a baseline's name), ``row``
of the dataset, ``group`` (the independent group it is of), and for every metric its sum under the metric's name and
its weight under ``<name>.weight``, so that metric = Σ sums / Σ weights; lists for a metric per joint. ``examples.npz``
holds the samples that are drawn as pictures, arrays as ``Examples`` says. Neither holds code.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from forearm.base.errors import ForearmError
from forearm.base.files import Between, Count, checked, read_arrays, read_json
from forearm.canvas import CODES, Layout
from forearm.evaluation.catalogue import CATALOGUE, METRICS
from forearm.evaluation.evaluation import Evaluation
from forearm.evaluation.examples import Example
from forearm.evaluation.intervals import intervals
from forearm.evaluation.metrics import of_moves
from forearm.evaluation.samples import MODEL, Interval, Samples
from forearm.recordings.tables import TableFile
from forearm.transitions.store import TransitionSet

METRICS_FILE, SAMPLES_FILE, EXAMPLES_FILE = "metrics.json", "samples.parquet", "examples.npz"


class BaselineFigures(TypedDict):
    """A baseline in ``metrics.json``."""

    metrics: dict[str, Any]
    intervals: dict[str, Interval]


class TrainingFigures(TypedDict):
    """How long a run was trained."""

    steps: Count
    samples: Count
    seconds: Annotated[float, Between(0)]


class LatencyFigures(TypedDict):
    """Milliseconds."""

    single_ms: Annotated[float, Between(0)]
    per_sample_ms: Annotated[float, Between(0)]


class FedBackFigures(TypedDict):
    """How long predictions were fed back."""

    steps: Count
    seconds: Annotated[float, Between(0)] | None


class RolloutFigures(TypedDict):
    """Errors by horizon, of each predictor by metric."""

    horizons: list[Count]
    curves: dict[str, dict[str, list[float | None]]]
    fed_back: NotRequired[FedBackFigures]


class ScoredData(TypedDict):
    """The samples that were scored."""

    path: str
    name: str
    digest: str


class Figures(TypedDict):
    """What ``metrics.json`` holds beside the metrics themselves, as far as it is read again."""

    val_mse: float
    intervals: dict[str, Interval]
    baselines: dict[str, BaselineFigures]
    guesses: list[Count]
    checkpoint: Literal["best", "last"]
    weights: str
    parameters: Count
    training: TrainingFigures
    latency: LatencyFigures
    data: ScoredData
    date: str
    rollouts: NotRequired[RolloutFigures | None]
    notes: NotRequired[str]


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
    groups: np.ndarray
    """(N,) int64, the independent group of each: an episode, or a scene that several share."""
    samples: dict[str, Samples]
    """Their metrics, the model's under ``model`` and each baseline's under its name."""
    examples: Examples

    @classmethod
    def open(cls, folder: Path, layout: Layout) -> "Saved":
        """Read an evaluation that ``forearm evaluate`` wrote of a run with that layout."""
        figures = read_figures(folder)
        figures["given"] = [metric.name for metric in CATALOGUE if metric.given(layout)]  # older ones do not say
        try:
            with closing(TableFile(folder / SAMPLES_FILE)) as file:
                table = file.table()
            predictors = np.array(table["predictor"].to_pylist())
            samples = {str(name): _read(table.filter(predictors == name)) for name in dict.fromkeys(predictors)}
            models = table.filter(predictors == MODEL)
            groups = models[_group_name(models)].to_numpy().astype(np.int64)
            saved = cls(
                figures,
                models["row"].to_numpy().astype(np.int64),
                groups,
                {name: _with_moves(of, figures, name, groups) for name, of in samples.items()},
                _examples(read_arrays(folder / EXAMPLES_FILE), layout),
            )
            if {*samples} - {MODEL} != {*figures["baselines"]} or not len(saved.rows):
                raise ValueError(f"{SAMPLES_FILE} has the samples of {', '.join(map(str, samples))}")
            if {len(one) for one in samples.values()} != {len(saved.rows)}:
                raise ValueError("predictors have different samples")
        except (ForearmError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
            raise ForearmError(f"the evaluation in {folder} is damaged: {error}; evaluate the run again") from error
        return saved

    def without(self, metric: str) -> "Saved":
        """The same without a metric."""
        baselines = {
            name: baseline | {"metrics": baseline["metrics"] | {metric: None}}
            for name, baseline in self.figures["baselines"].items()
        }
        samples = {name: of.only(each for each in of.sums if each != metric) for name, of in self.samples.items()}
        return dataclasses.replace(self, figures=self.figures | {metric: None, "baselines": baselines}, samples=samples)


def save(evaluation: Evaluation, folder: Path) -> None:
    """Write ``samples.parquet`` and ``examples.npz`` into a folder."""
    samples = {MODEL: evaluation.samples, **evaluation.baseline_samples}
    tables = [_table(name, of, evaluation.rows, evaluation.group_of_rows) for name, of in samples.items()]
    pq.write_table(pa.concat_tables(tables, promote_options="default"), folder / SAMPLES_FILE)
    examples = Examples.of(evaluation.drawn, evaluation)
    np.savez_compressed(folder / EXAMPLES_FILE, **vars(examples))


def evaluations_of(run: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The evaluations in a run's folder, each with its ``metrics.json``, that on the run's own data first."""
    for path in sorted(run.glob(f"evaluation*/{METRICS_FILE}")):
        yield path.parent, read_figures(path.parent)


def read_figures(folder: Path) -> dict[str, Any]:
    """The ``metrics.json`` of an evaluation; one of an older forearm, which does not name its data, may lack much.

    Raises:
        ForearmError: it is missing, or holds something else.
    """
    path = folder / METRICS_FILE
    value = read_json(path)
    kind = Figures if isinstance(value, dict) and "data" in value else dict[str, Any]
    figures = checked(kind, value, str(path))
    for table in (figures, *(baseline["metrics"] for baseline in figures.get("baselines", {}).values())):
        for name in METRICS.keys() & table.keys():
            checked(list[float | None] if name.endswith("_per_joint") else float | None, table[name], f"{path}: {name}")
    for who, curves in ((figures.get("rollouts") or {}).get("curves") or {}).items():
        if MODEL not in figures["rollouts"]["curves"] or any(
            len(curve) != len(figures["rollouts"]["horizons"]) for curve in curves.values()
        ):
            raise ForearmError(f"{path}: the rollouts of {who} are of other lengths")
    return figures


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


def _table(predictor: str, samples: Samples, rows: np.ndarray, groups: np.ndarray) -> pa.Table:
    columns = {"predictor": pa.array([predictor] * len(rows)), "row": pa.array(rows), "group": pa.array(groups)}
    for name, sums in samples.sums.items():
        columns |= {name: _column(sums), f"{name}.weight": _column(samples.weights[name])}
    return pa.table(columns)


def _group_name(table: pa.Table) -> str:
    return "group" if "group" in table.column_names else "episode"  # its name before 2026-11-26


def _column(values: np.ndarray) -> pa.Array:
    return pa.array(values if values.ndim == 1 else list(values))


def _read(table: pa.Table) -> Samples:
    """The samples of one predictor; metrics that it was not measured by are null."""
    names = [name.removesuffix(".weight") for name in table.column_names if name.endswith(".weight")]
    measured = [name for name in names if table[name].null_count < len(table)]

    def values(name: str) -> np.ndarray:
        found = np.array(table[name].to_pylist(), np.float64)
        if not np.isfinite(found).all():
            raise ValueError(f"{name} holds something else than finite numbers")
        return found

    samples = Samples({name: values(name) for name in measured}, {name: values(f"{name}.weight") for name in measured})
    if "val_mse" not in measured or any(samples.weights[n].shape != s.shape for n, s in samples.sums.items()):
        raise ValueError(f"{SAMPLES_FILE} lacks metrics or weights")
    return samples


def _with_moves(samples: Samples, figures: dict[str, Any], predictor: str, groups: np.ndarray) -> Samples:
    """Samples with the metrics of moves, which evaluations of before 2026-11-26 lack; their figures are put in too."""
    if "val_mse_moves" in samples.sums:
        return samples
    more = of_moves(samples, 1 - samples.weights["val_mse_action_0"])
    baseline = figures["baselines"].get(predictor)
    (figures if baseline is None else baseline["metrics"]).update(more.table())
    (figures if baseline is None else baseline)["intervals"].update(intervals(more, groups))
    return samples | more


def _examples(arrays: dict[str, np.ndarray], layout: Layout) -> Examples:
    """Examples whose arrays fit one another and the layout."""
    k, c, joints = len(arrays["row"]), len(CODES), len(layout.joints)
    last, whole = (3, layout.height, layout.frame_width), (3, layout.height, layout.width)
    for name, kind, shape in (
        *((name, "i", (k,)) for name in ("row", "code", "acting")),
        ("truth", "u", (k, *whole)),
        ("under", "u", (k, c, *last)),
        ("known", "b", (k, c)),
        ("outcomes", "u", (k, c, *last)),
        ("before", "f", (k, joints)),
        ("positions_under", "f", (k, c, joints)),
        ("positions_after", "f", (k, c, joints)),
    ):
        if arrays[name].shape != shape or arrays[name].dtype.kind != kind:
            raise ValueError(f"{name} in {EXAMPLES_FILE} is {arrays[name].dtype} {arrays[name].shape}, not {shape}")
    for name, count in (("code", c), ("acting", joints)):
        if not ((arrays[name] >= 0) & (arrays[name] < count)).all():
            raise ValueError(f"{name} in {EXAMPLES_FILE} is out of range")
    return Examples(**{field.name: arrays[field.name] for field in dataclasses.fields(Examples)})
