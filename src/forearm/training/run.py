"""The folder that a training leaves, and weights in and out of it.

Weights are safetensors and settings JSON, so opening somebody's run never executes their code.
"""

import contextlib
import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypedDict

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from forearm.base.errors import ForearmError
from forearm.base.files import Count, checked, map_array, parse_json, read_json, read_text, reason_of, writing
from forearm.base.hub import DATASET, at_hand, place_of
from forearm.canvas import MOVE_MINUS, MOVE_PLUS, STAY, Layout
from forearm.models import WorldModel, make_model
from forearm.models.renamed import current_weights
from forearm.training.config import TrainConfig
from forearm.transitions.layout import read_layout
from forearm.transitions.split import MOST_REPORTED, drawn_equally

if TYPE_CHECKING:
    from forearm.transitions.fingerprint import Known
    from forearm.transitions.store import TransitionSet

Checkpoint = Literal["best", "last"]
BEFORE_MUON = {"matrix_rate": 0.0}
"""How runs of before 2026-11-27 were trained, whose settings do not say."""


class TrainedOn(TypedDict):
    """What a run's ``config.json`` says of its data."""

    path: str
    train: Count
    actions_seen: dict[Literal["0", "1", "2"], Count]
    scenes: NotRequired[list[int]]
    directions_seen: NotRequired[dict[str, tuple[Count, Count]]]
    trained_on: NotRequired[list[str]]
    picked_on: NotRequired[list[str]]
    picked_fingerprints: NotRequired[list[str]]
    fingerprints: NotRequired[list[str]]
    weights: NotRequired[str]


class RunFacts(TypedDict):
    """What ``config.json`` has to hold; settings are checked where they are used."""

    family: str
    model: dict[str, Any]
    training: dict[str, Any]
    data: TrainedOn
    parent: NotRequired[str | None]
    fine_tuned_from: NotRequired[str | None]


class MachineFacts(TypedDict):
    """What ``machine.json`` says."""

    machine: str
    cores: Count
    threads: Count
    processes: Count
    forearm: str
    commit: str
    python: str
    torch: str


class LogEntry(TypedDict):
    """A line of ``log.jsonl``; the other values are numbers too."""

    step: Count


@dataclass(frozen=True)
class Run:
    """A run's folder: ``config.json``, ``layout.json``, ``best.safetensors``, ``last.safetensors``, ``log.jsonl``.

    ``notes.txt`` is there if the run was started with notes.
    """

    path: Path

    @classmethod
    def open(cls, path: "Run | Path | str") -> "Run":
        """Open an existing run, by its folder.

        Raises:
            ForearmError: the folder is not a run.
        """
        run = path if isinstance(path, Run) else cls(Path(path))
        if not run.config_file.is_file():
            raise ForearmError(f"{run.path} is no run (no config.json); make one with: forearm train")
        return run

    @property
    def name(self) -> str:
        return self.path.resolve().name

    @property
    def config_file(self) -> Path:
        return self.path / "config.json"

    @property
    def layout_file(self) -> Path:
        return self.path / "layout.json"

    @property
    def log_file(self) -> Path:
        return self.path / "log.jsonl"

    @property
    def notes_file(self) -> Path:
        return self.path / "notes.txt"

    @property
    def validation_file(self) -> Path:
        return self.path / "validation.json"

    @property
    def drawing_file(self) -> Path:
        return self.path / "drawing_weights.npy"

    @property
    def machine_file(self) -> Path:
        return self.path / "machine.json"

    @property
    def resume_file(self) -> Path:
        return self.path / "resume.safetensors"

    def weights_file(self, checkpoint: Checkpoint) -> Path:
        return self.path / f"{checkpoint}.safetensors"

    def config(self) -> dict[str, Any]:
        """Family, model settings, training settings and what is known of the data."""
        try:
            return checked(RunFacts, read_json(self.config_file), str(self.config_file))
        except ForearmError as error:
            raise ForearmError(f"{error}; it should have been written by forearm train") from error

    def training(self) -> TrainConfig:
        """The settings of the training."""
        told = BEFORE_MUON | self.config()["training"]
        return checked(TrainConfig, told, f"the training in {self.config_file}")

    def data_path(self) -> Path:
        """Where the dataset was that the run was trained on."""
        return Path(self.config()["data"]["path"])

    def data_folder(self) -> Path:
        """The folder of the dataset that the run was trained on: where it was, or where the download of its id is kept.

        Nothing is fetched; it may be gone.
        """
        own = self.data_path()
        kept = own if own.exists() else place_of(own, DATASET)
        return kept if (kept / DATASET.mark).is_file() else own

    def data(self, path: Path | str | None = None) -> "TransitionSet":
        """The dataset that the run was trained on, or another one, with the run's layout."""
        from forearm.transitions.store import TransitionSet  # imports pyarrow, which opening a run does without

        return TransitionSet(at_hand(Path(path or self.data_path()), DATASET)).with_layout(
            self.layout(), f"run {self.name}"
        )

    def drawing_weights(self, data: "TransitionSet") -> np.ndarray | None:
        """How often the training draws each transition of its dataset beside the others, (N,) float64; None: alike.

        Raises:
            ForearmError: they are damaged, or of another dataset.
        """
        from forearm.transitions.weights import checked_weights

        if "weights" not in self.config()["data"]:
            return None
        return checked_weights(np.array(map_array(self.drawing_file, "float64")), data, self.drawing_file)

    def is_own(self, data: "TransitionSet") -> bool:
        """Whether a dataset is the one that the run was trained on."""
        own = self.data_path()
        return data.path.resolve() in (own.resolve(), place_of(own, DATASET).resolve())

    def actions_seen(self) -> dict[int, int]:
        """How often each action code occurs in the training data."""
        return {int(code): count for code, count in self.config()["data"]["actions_seen"].items()}

    def unseen_moves(self) -> list[tuple[int, int]]:
        """The (action dimension, MOVE+ or MOVE−) that training never saw; none of a run that is older than its note."""
        seen = self.config()["data"].get("directions_seen", {})
        return [
            (i, code)
            for i, dimension in enumerate(self.layout().actions)
            for code, count in zip((MOVE_PLUS, MOVE_MINUS), seen.get(dimension.name, (1, 1)), strict=True)
            if not count
        ]

    def practised_stay(self) -> bool:
        """Whether STAY is known from synthetic transitions alone."""
        return bool(self.config()["model"].get("synthetic_stay")) and not self.actions_seen().get(STAY)

    def trained_on(self) -> set[str] | None:
        """Digests of the episodes that the run, or one that it was fine-tuned from, was trained on.

        None where nobody knows: the run is older than its note of them, and its dataset is gone.
        """
        found = self._noted("trained_on", lambda data: data.digests_of("train"))
        return None if found is None else set(found)

    def picks_apart(self) -> bool:
        """Whether the best weights were chosen by one half of the validation episodes alone, as since 2026-11-26."""
        return "picked_on" in self.config()["data"]

    def _noted(self, key: str, read: "Callable[[TransitionSet], list[str]]") -> list[str] | None:
        """What the run notes of its data, or what its dataset says where the run is older than the note; else None."""
        noted = self.config()["data"].get(key)
        if noted is not None:
            return noted
        try:
            return read(self.data())
        except ForearmError:
            return None

    def known_in(self, data: "TransitionSet") -> "Known":
        """Which episodes of a dataset the run knows from its training, wherever and however the dataset was built."""
        from forearm.transitions.fingerprint import Known, known_among

        trained_on, fingerprints = self.episodes_of("train")
        equal = np.isin(data.episode_digests, trained_on)
        near = known_among(data.fingerprints, fingerprints)
        return Known(equal | near.copies, near.same_joints & ~equal)

    def marks(self) -> dict[str, str]:
        """What tells the run's layout and its model's settings from others of the same shapes."""
        config = self.config()
        return {"layout": _digest(self.layout().to_json()), "settings": _digest([config["family"], config["model"]])}

    def episodes_of(self, split: Literal["train", "picking"]) -> tuple[list[str], list[str]]:
        """Digests and fingerprints of the episodes of a split, as far as they are known; of the run that this one was
        fine-tuned from, too.
        """
        digests, prints = {"train": ("trained_on", "fingerprints"), "picking": ("picked_on", "picked_fingerprints")}[
            split
        ]
        return (
            self._noted(digests, lambda data: data.digests_of(split)) or [],
            self._noted(prints, lambda data: data.fingerprints_of(split)) or [],
        )

    def held_out(self, data: "TransitionSet") -> np.ndarray:
        """Rows (n,) int64 of the episodes that the run was not trained on, wherever the dataset lies now.

        All rows where nobody knows what the run was trained on.
        """
        return np.flatnonzero(~self.known_in(data).copies[data.columns.episodes])

    def picked_on(self, data: "TransitionSet") -> np.ndarray:
        """Rows (n,) int64 of the episodes by which the run's best weights were chosen, wherever the dataset lies now.

        Of a run of before 2026-11-26, which chose by all validation episodes, those by which it would be chosen now: so
        older and newer runs are reported on the same samples.
        """
        from forearm.transitions.fingerprint import known_among

        digests, fingerprints = self.episodes_of("picking")
        picked = np.isin(data.episode_digests, digests) | known_among(data.fingerprints, fingerprints).copies
        return np.flatnonzero(picked[data.columns.episodes])

    def reported_on(self, data: "TransitionSet", most: int = MOST_REPORTED) -> np.ndarray:
        """Rows (n,) int64 of the held-out episodes by which the run's best weights were not chosen either.

        All held-out rows where it leaves none, as where a single group of episodes is held out. Of more than ``most``,
        so many are drawn equally from the episodes, always the same.
        """
        held_out = self.held_out(data)
        apart = np.setdiff1d(held_out, self.picked_on(data))
        return drawn_equally(apart if len(apart) else held_out, data.groups, most)

    def parent(self) -> Path | None:
        """Where the run was that this one follows; None where it follows none. It may be gone by now."""
        config = self.config()
        parent = config.get("parent", config.get("fine_tuned_from"))  # a run may be older than its key
        return Path(parent) if parent else None

    def notes(self) -> str:
        """The experimenter's notes that the run was started with; nothing where there are none."""
        return read_notes(self.notes_file) if self.notes_file.is_file() else ""

    def layout(self) -> Layout:
        """The layout the model was trained with, bounds included."""
        return read_layout(self.layout_file)

    def log(self) -> list[dict[str, Any]]:
        """What was logged while training, a dictionary an entry; a half-written last line is left out.

        Raises:
            ForearmError: the file is damaged.
        """
        if not self.log_file.exists():
            return []
        text = read_text(self.log_file)
        lines = [line for line in text.splitlines() if line.endswith("}")]
        try:
            entries = [checked(LogEntry, parse_json(line, "a line"), "a line") for line in lines]
            values = [checked(dict[str, float | bool | None], entry, "a line") for entry in entries]
        except ForearmError as error:
            raise ForearmError(f"{self.log_file} is damaged: {error}; mend or remove it") from error
        if any(one["step"] > other["step"] for one, other in pairwise(entries)):
            raise ForearmError(f"{self.log_file} is damaged: its steps are out of order; mend or remove it")
        return [{name: math.nan if v is None else v for name, v in entry.items()} for entry in values]

    def trained(self) -> dict[str, float]:
        """How long the run was trained: steps, samples seen and seconds, evaluations included."""
        last = next((entry for entry in reversed(self.log()) if "seconds" in entry), {"step": 0, "seconds": 0.0})
        samples = last["step"] * self.training().batch_size
        return {"steps": last["step"], "samples": samples, "seconds": last["seconds"]}

    def machine(self) -> dict[str, Any]:
        """What the run was trained on last, and with which versions; nothing of one that is older than its note."""
        if not self.machine_file.is_file():
            return {}
        return dict(checked(MachineFacts, read_json(self.machine_file), str(self.machine_file)))

    def weights_digest(self, checkpoint: Checkpoint) -> str:
        """What tells the weights of a checkpoint from others: 16 hexadecimal digits."""
        path = self.weights_file(checkpoint)
        if not path.is_file():
            raise _missing(path)
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]

    def load(self, checkpoint: Checkpoint = "best", device: str | torch.device = "cpu") -> WorldModel:
        """The trained model, ready to predict.

        Raises:
            ForearmError: the weights are missing, damaged, or of another model or layout.
        """
        model = self.make_model(self.weights_file(checkpoint))
        load_weights(model, self.weights_file(checkpoint))
        return model.to(device).eval()

    def untrained(self) -> WorldModel:
        """The model before its first training step, with the weights that the run's seed gives; on the CPU.

        Of a fine-tuned run too these are weights that no training has changed.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.training().seed)
            return self.make_model(None).eval()

    def make_model(self, weights: Path | None, prefix: str = "") -> WorldModel:
        """A fresh model by the run's settings, once it is known that weights fit it: else they might ask for any size.

        Args:
            weights: the file that is to fill it, if there is one.
            prefix: what stands before the model's names in it.

        Raises:
            ForearmError: the file is missing or damaged, or the settings are of another model than its weights.
        """
        config, layout = self.config(), self.layout()
        if weights is not None:
            planned = plan_model(config["family"], layout, config["model"]).state_dict()
            with _opened(weights) as file:
                names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
                if prefix and not names:
                    raise ForearmError(f"{weights} is no checkpoint of a training: it lacks the model; train anew")
                shapes = {name.removeprefix(prefix): tuple(file.get_slice(name).get_shape()) for name in names}
            _require_shapes({name: tuple(tensor.shape) for name, tensor in planned.items()}, shapes, weights)
        return make_model(config["family"], layout, config["model"])


def plan_model(family: str, layout: Layout, settings: dict[str, Any]) -> WorldModel:
    """A model without memory: what it would be, and whether its settings can be."""
    with torch.device("meta"), _Unfilled():
        return make_model(family, layout, settings)


class _Unfilled(TorchFunctionMode):
    """Draws no normal numbers where a model has no memory: that would import torch's compiler, which takes a second."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return kwargs["tensor"] if func is torch.nn.init.normal_ else func(*args, **(kwargs or {}))


def read_notes(path: Path) -> str:
    """An experimenter's own text."""
    try:
        return read_text(path)
    except ForearmError as error:
        raise ForearmError(f"the notes cannot be read: {error}") from error


def load_weights(model: WorldModel, path: Path) -> None:
    """Fill a model with the weights of a file."""
    weights, metadata = read_tensors(path)
    fill(model, weights, path)
    require_marks(path, metadata, {"layout": _digest(model.layout.to_json())})


def require_marks(path: Path, found: Mapping[str, str], marks: Mapping[str, str]) -> None:
    """Refuse a file of another training; a file may be older than a mark.

    Raises:
        ForearmError: a mark differs.
    """
    for name, file in (("layout", "layout.json"), ("settings", "config.json")):
        if name in marks and found.get(name, marks[name]) != marks[name]:
            raise ForearmError(f"{path} was trained with another {file}; restore the one that came with it")


def save_weights(path: Path, model: WorldModel) -> None:
    """Write a model's weights, and what tells its layout from others: the same shapes may go with other bounds."""
    save_tensors(path, model.state_dict(), {"layout": _digest(model.layout.to_json())})


def fill(model: WorldModel, weights: Mapping[str, Tensor], path: Path) -> None:
    """Fill a model with weights that were read from ``path``."""
    mine = model.state_dict()
    weights = current_weights(weights, mine)
    _require_shapes(
        {n: (t.shape, t.dtype) for n, t in mine.items()}, {n: (t.shape, t.dtype) for n, t in weights.items()}, path
    )
    for name, tensor in weights.items():
        if not torch.isfinite(tensor).all():
            raise ForearmError(f"{path} is damaged: {name} holds something else than finite numbers; restore the file")
    model.load_state_dict(weights)


def _require_shapes(mine: Mapping[str, Any], theirs: Mapping[str, Any], path: Path) -> None:
    theirs = current_weights(theirs, mine)
    for name in sorted(mine.keys() | theirs.keys()):
        if name not in mine or name not in theirs or mine[name] != theirs[name]:
            raise ForearmError(
                f"{path} holds another model or layout: weights {name} do not fit; "
                "check config.json, or train anew what an older forearm has trained"
            )


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write tensors as safetensors, whole or not at all."""
    with writing(path) as beside:
        try:
            safetensors.torch.save_file({k: v.contiguous().cpu() for k, v in tensors.items()}, beside, metadata)
        except safetensors.SafetensorError as error:
            raise OSError(str(error)) from error


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read tensors and metadata of a safetensors file."""
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    if not path.is_file():
        raise _missing(path)
    try:
        with safetensors.safe_open(path, "pt") as file:
            yield file
    except MemoryError as error:
        size = path.stat().st_size / 1e9
        raise ForearmError(f"{path} is {size:.1f} GB, more than memory holds; did forearm train write it?") from error
    except (safetensors.SafetensorError, OSError, RuntimeError, ValueError) as error:
        raise ForearmError(f"{path} is damaged: {reason_of(error)}; train again or restore the file") from error


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _missing(weights: Path) -> ForearmError:
    return ForearmError(f"{weights} is missing; train the run first, or let its training go on with --resume")
