"""Joints read from pictures: where the painted arm stands, whatever a model's strip says.

A small convolutional network learns the joints from the true pictures of a training part, never from the strip. On
predicted pictures it is a joint figure that means the same for every family. Its error on true held-out pictures is the
floor: no prediction can be told from the truth by less.
"""

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from forearm.base.errors import ForearmError
from forearm.base.files import MOST_BYTES, writing
from forearm.canvas import STAY, decode_strip
from forearm.evaluation.metrics import MOVED, Truth
from forearm.evaluation.samples import Samples, Value
from forearm.transitions.store import TransitionSet

READ_METRICS = (
    "readout_position_mae",
    "readout_position_mae_mean",
    "readout_position_mae_per_joint",
    "readout_agreement_mae",
    "readout_direction_accuracy",
)
FILE = "readout.safetensors"
"""Where the network is kept in the folder of the dataset whose pictures it learned."""
RECIPE = {"version": 1, "steps": 600, "batch": 32, "rate": 2e-3, "decay": 0.05, "pixels": 128 * 64, "pictures": 4000}
"""How it is trained: a file of another recipe is not used. ``pixels``: pictures are shrunk to about as many;
``pictures``: so many are drawn from larger training parts. 600 steps take half a minute of one core."""
FEWEST = 200
"""With fewer training pictures than these nothing is learned."""
READABLE = 0.75
"""A joint can be read if the floor is below this share of the error of always naming the training mean."""
CHUNK = 64


@dataclass(frozen=True)
class Legibility:
    """How well joints are read from the true pictures of the scored samples."""

    floor: np.ndarray
    """(J,) mean absolute error on true pictures, in the joints' units."""
    of_mean: np.ndarray
    """(J,) that of always naming the training mean."""

    @property
    def readable(self) -> np.ndarray:
        """(J,) bool: whether a joint can be read at all."""
        return self.floor < READABLE * self.of_mean


@dataclass(frozen=True)
class Reader:
    """A network that has learned joints from true pictures."""

    network: nn.Sequential
    centre: Tensor
    """(J,) mean position in training, in the joints' units."""
    spread: Tensor
    """(J,) standard deviation in training."""
    size: tuple[int, int]
    """Height and width to which pictures are shrunk."""
    pictures: int
    """How many it learned from."""
    legibility: Legibility | None = field(default=None, repr=False)
    """What ``tested`` found; before, every joint counts as readable."""

    @torch.inference_mode()
    def read(self, pictures: np.ndarray) -> np.ndarray:
        """Joints of pictures (N, 3, h, w), uint8 or float in [0, 1], without strips: (N, J) in the joints' units."""
        parts = [_shrunk(part, self.size) for part in _chunks(pictures)]
        return torch.cat([self.network(part) * self.spread + self.centre for part in parts]).double().numpy()

    def tested(self, data: TransitionSet, rows: np.ndarray) -> "Reader":
        """The same reader with its errors on the true last pictures of some transitions."""
        frames = _frames(data, rows, -1)
        read = np.concatenate([self.read(_pictures(data, part)) for part in _chunks(frames)])
        errors = np.abs(read - data.states[frames]).mean(0)
        of_mean = np.abs(self.centre.numpy() - data.states[frames]).mean(0)
        return dataclasses.replace(self, legibility=Legibility(errors, of_mean))

    @property
    def readable(self) -> np.ndarray:
        """(J,) bool, the joints whose readings count."""
        return np.ones(len(self.centre), bool) if self.legibility is None else self.legibility.readable


@dataclass(frozen=True)
class Readout:
    """What a report says of the joints that are read from pictures."""

    pictures: int
    """How many true pictures the reader learned from."""
    floor: dict[str, Value]
    """The metrics of ``READ_METRICS`` of the true pictures of the scored samples."""
    floor_per_joint: list[float]
    """Mean absolute error on true pictures, in the joints' units."""
    mean_per_joint: list[float]
    """That of always naming the training mean."""
    readable: list[bool]
    """Whether a joint can be read; a joint that cannot is in no figure."""

    @classmethod
    def of(cls, reader: Reader, floor: Samples) -> "Readout":
        """From a reader that was tested, and the true pictures' samples."""
        assert reader.legibility is not None
        known = reader.legibility
        arrays = known.floor.tolist(), known.of_mean.tolist(), known.readable.tolist()
        return cls(reader.pictures, floor.table(), *arrays)

    def to_json(self) -> dict[str, Any]:
        """What ``metrics.json`` holds under ``readout``."""
        return dataclasses.asdict(self)


class Sight:
    """What a reader makes of some samples; without a reader no sample defines any of ``READ_METRICS``."""

    def __init__(self, reader: Reader | None, truth: Truth):
        self._reader, self._truth = reader, truth

    @cached_property
    def _before(self) -> np.ndarray:
        return self._read(self._truth.previous)

    def samples(self, region: np.ndarray) -> Samples:
        """``READ_METRICS`` of predicted (or true) last frames (N, 3, H, w)."""
        truth, shape = self._truth, self._truth.positions.shape
        if self._reader is None:
            shapes = {name: shape if name.endswith("_per_joint") else shape[:1] for name in READ_METRICS}
            return Samples.of({name: (np.zeros(of), np.zeros(of)) for name, of in shapes.items()})
        readable = np.tile(self._reader.readable, (shape[0], 1))
        read, strip = self._read(region), decode_strip(truth.layout, region)[0]
        errors, acting = np.abs(read - truth.positions), truth.of_acting(readable)
        change = truth.positions - truth.before
        moves = (truth.codes != STAY) & acting
        right = np.sign(truth.of_acting(read - self._before)) == np.sign(truth.of_acting(change))
        return Samples.of(
            {
                "readout_position_mae": (truth.of_acting(errors), moves),
                "readout_position_mae_mean": (
                    np.where(readable, errors, 0).sum(1) / np.maximum(readable.sum(1), 1),
                    readable.max(axis=1),
                ),
                "readout_position_mae_per_joint": (errors, readable),
                "readout_agreement_mae": (truth.of_acting(np.abs(read - strip)), acting),
                "readout_direction_accuracy": (right, moves & (np.abs(truth.of_acting(change)) > MOVED)),
            }
        )

    def _read(self, region: np.ndarray) -> np.ndarray:
        assert self._reader is not None
        return self._reader.read(region[:, :, : self._truth.layout.frame_height])


def reader_of(data: TransitionSet) -> Reader:
    """The reader of a dataset: learned from its training part, and kept in its folder if that can be written to.

    Equal training parts give equal readers, whichever run asks.

    Raises:
        ForearmError: there are too few training pictures.
    """
    frames = _frames(data, data.rows("train"))
    if len(frames) < FEWEST:
        raise ForearmError(f"{data.path} has {len(frames)} training pictures, fewer than {FEWEST}")
    blank = _blank(data, len(frames))
    digest = hashlib.sha256(json.dumps([RECIPE, blank.size, *sorted(data.digests_of("train"))]).encode()).hexdigest()
    path = data.path / FILE
    if kept := _kept(path, blank, digest):
        return kept
    parts = [(255 * _shrunk(_pictures(data, part), blank.size)).round().byte() for part in _chunks(frames)]
    reader = _fitted(blank, torch.cat(parts), torch.from_numpy(data.states[frames]))
    with contextlib.suppress(ForearmError, OSError):  # in a folder of somebody else's it is learned anew
        tensors = reader.network.state_dict() | {"centre": reader.centre, "spread": reader.spread}
        with writing(path) as new:
            save_file(tensors, new, {"digest": digest})
    return reader


def _blank(data: TransitionSet, pictures: int) -> Reader:
    """A reader of the right shape that has learned nothing."""
    height, width, joints = data.layout.frame_height, data.layout.frame_width, len(data.layout.joints)
    shrink = max(1.0, (height * width / RECIPE["pixels"]) ** 0.5)
    size = max(8, round(height / shrink)), max(8, round(width / shrink))
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        cells = -(-size[0] // 8) * -(-size[1] // 8)
        layers: Sequence[nn.Module] = (
            *(nn.Conv2d(3, 16, 5, 2, 2), nn.GroupNorm(4, 16), nn.ReLU()),
            *(nn.Conv2d(16, 32, 3, 2, 1), nn.GroupNorm(4, 32), nn.ReLU()),
            *(nn.Conv2d(32, 64, 3, 2, 1), nn.GroupNorm(4, 64), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(64 * cells, 128), nn.ReLU(), nn.Linear(128, joints)),
        )
    return Reader(nn.Sequential(*layers), torch.zeros(joints), torch.ones(joints), size, pictures)


def _fitted(blank: Reader, pictures: Tensor, states: Tensor) -> Reader:
    """The reader after it has learned joints (F, J) from shrunk pictures (F, 3, h, w) uint8; always the same.

    Light, noise and blur vary, so that a prediction is read by where the arm stands and not by how sharp it is.
    """
    centre, spread = states.mean(0), states.std(0).clamp_min(1e-6)
    network, steps, batch = blank.network, int(RECIPE["steps"]), int(RECIPE["batch"])
    optimiser = torch.optim.AdamW(network.parameters(), lr=RECIPE["rate"], weight_decay=RECIPE["decay"])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RECIPE["rate"], total_steps=steps)
    random = torch.Generator().manual_seed(0)
    for _ in range(steps):
        rows = torch.randint(len(pictures), (batch,), generator=random)
        shown = _varied(pictures[rows].float() / 255, random)
        loss = F.smooth_l1_loss(network(shown), (states[rows] - centre) / spread, beta=0.1)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return dataclasses.replace(blank, network=network.eval().requires_grad_(False), centre=centre, spread=spread)


def _varied(pictures: Tensor, random: torch.Generator) -> Tensor:
    """Pictures (B, 3, h, w) in other light, with noise, and half of them blurred."""

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random)

    each = (len(pictures), 1, 1, 1)
    lit = pictures * (1 + 0.2 * drawn(*each)).clamp(0.5, 1.5) + 0.05 * drawn(*each) + 0.02 * drawn(*pictures.shape)
    return torch.where(drawn(*each) > 0, lit, F.avg_pool2d(lit, 3, 1, 1, count_include_pad=False))


def _kept(path: Path, blank: Reader, digest: str) -> Reader | None:
    """The reader that a file holds; None if there is none, or one of another recipe, other data or other shapes."""
    if not path.is_file() or path.stat().st_size > MOST_BYTES:
        return None
    try:
        with safe_open(path, "pt") as file:
            if (file.metadata() or {}).get("digest") != digest:
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        known = {name: tensors.pop(name).float() for name in ("centre", "spread")}
        if any(values.shape != blank.centre.shape for values in known.values()) or not all(
            torch.isfinite(values).all() for values in (*tensors.values(), *known.values())
        ):
            return None
        blank.network.load_state_dict(tensors)
    except (OSError, SafetensorError, KeyError, RuntimeError):
        return None
    return dataclasses.replace(blank, network=blank.network.eval().requires_grad_(False), **known)


def _frames(data: TransitionSet, rows: np.ndarray, of: int | slice = slice(None)) -> np.ndarray:
    """Rows of the frames of transitions, each once, at most ``pictures`` of them, always the same."""
    frames = np.unique(data.columns.frames[rows, of])
    return np.sort(np.random.default_rng(0).permutation(frames)[: int(RECIPE["pictures"])])


def _chunks(values: np.ndarray) -> Iterator[np.ndarray]:
    return (values[start : start + CHUNK] for start in range(0, len(values), CHUNK))


def _pictures(data: TransitionSet, frames: np.ndarray) -> np.ndarray:
    """(F, 3, h, w) uint8."""
    return data.frames[frames].transpose(0, 3, 1, 2)


def _shrunk(pictures: np.ndarray, size: tuple[int, int]) -> Tensor:
    """Pictures (n, 3, h, w) as float32 in [0, 1], each pixel the mean of those that it stands for."""
    values = torch.from_numpy(np.ascontiguousarray(pictures)).float()
    return F.interpolate(values / 255 if pictures.dtype == np.uint8 else values, size, mode="area")
