"""Joints read from pictures: where the painted arm stands, whatever a model's strip says.

A small convolutional network learns the joints from the true pictures of a training part, never from the strip. On
predicted pictures it is a joint figure that means the same for every family. Its error on true held-out pictures is the
floor: no prediction can be told from the truth by less.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forearm.base.errors import ForearmError
from forearm.canvas import STAY, decode_strip
from forearm.evaluation.learned import chunks, fit, frame_pictures, kept_or_learned, shrunk
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

    network: "JointNetwork"
    size: tuple[int, int]
    """Height and width to which pictures are shrunk."""
    pictures: int
    """How many it learned from."""
    legibility: Legibility | None = field(default=None, repr=False)
    """What ``tested`` found; before, every joint counts as readable."""

    @torch.inference_mode()
    def read(self, pictures: np.ndarray) -> np.ndarray:
        """Joints of pictures (N, 3, h, w), uint8 or float in [0, 1], without strips: (N, J) in the joints' units."""
        network, parts = self.network, [shrunk(part, self.size) for part in chunks(pictures)]
        return torch.cat([network(part) * network.spread + network.centre for part in parts]).double().numpy()

    def tested(self, data: TransitionSet, rows: np.ndarray) -> "Reader":
        """The same reader with its errors on the true last pictures of some transitions."""
        frames = _frames(data, rows, -1)
        read = np.concatenate([self.read(frame_pictures(data, part)) for part in chunks(frames)])
        errors = np.abs(read - data.states[frames]).mean(0)
        of_mean = np.abs(self.network.centre.numpy() - data.states[frames]).mean(0)
        return dataclasses.replace(self, legibility=Legibility(errors, of_mean))

    @property
    def readable(self) -> np.ndarray:
        """(J,) bool, the joints whose readings count."""
        return np.ones(len(self.network.centre), bool) if self.legibility is None else self.legibility.readable


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
        return cls(reader.pictures, floor.only(READ_METRICS).table(), *arrays)

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
        read, strip = (
            self._before if truth.copied(region) else self._read(region),
            decode_strip(truth.layout, region)[0],
        )
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
    size = _size(data)

    def learn(network: JointNetwork) -> None:
        parts = [(255 * shrunk(frame_pictures(data, part), size)).round().byte() for part in chunks(frames)]
        _learn(network, torch.cat(parts), torch.from_numpy(data.states[frames]))

    return Reader(
        kept_or_learned(data, FILE, _blank(size, len(data.layout.joints)), [RECIPE, size], learn), size, len(frames)
    )


def _size(data: TransitionSet) -> tuple[int, int]:
    """Height and width to which a dataset's pictures are shrunk."""
    height, width = data.layout.frame_height, data.layout.frame_width
    shrink = max(1.0, (height * width / RECIPE["pixels"]) ** 0.5)
    return max(8, round(height / shrink)), max(8, round(width / shrink))


class JointNetwork(nn.Sequential):
    """From pictures (n, 3, h, w) to joints (n, J) in their units.

    centre, spread: (J,) mean and standard deviation of the joints in training.
    """

    centre: Tensor
    spread: Tensor

    def __init__(self, size: tuple[int, int], joints: int):
        cells = -(-size[0] // 8) * -(-size[1] // 8)
        layers: Sequence[nn.Module] = (
            *(nn.Conv2d(3, 16, 5, 2, 2), nn.GroupNorm(4, 16), nn.ReLU()),
            *(nn.Conv2d(16, 32, 3, 2, 1), nn.GroupNorm(4, 32), nn.ReLU()),
            *(nn.Conv2d(32, 64, 3, 2, 1), nn.GroupNorm(4, 64), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(64 * cells, 128), nn.ReLU(), nn.Linear(128, joints)),
        )
        super().__init__(*layers)
        self.register_buffer("centre", torch.zeros(joints))
        self.register_buffer("spread", torch.ones(joints))


def _blank(size: tuple[int, int], joints: int) -> JointNetwork:
    """A network of the right shape that has learned nothing."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        return JointNetwork(size, joints)


def _learn(network: JointNetwork, pictures: Tensor, states: Tensor) -> None:
    """Learn joints (F, J) from shrunk pictures (F, 3, h, w) uint8.

    Light, noise and blur vary, so that a prediction is read by where the arm stands and not by how sharp it is.
    """
    centre, spread = network.centre.copy_(states.mean(0)), network.spread.copy_(states.std(0).clamp_min(1e-6))

    def loss(random: torch.Generator) -> Tensor:
        rows = torch.randint(len(pictures), (int(RECIPE["batch"]),), generator=random)
        shown = _varied(pictures[rows].float() / 255, random)
        return F.smooth_l1_loss(network(shown), (states[rows] - centre) / spread, beta=0.1)

    fit(network, loss, RECIPE)


def _varied(pictures: Tensor, random: torch.Generator) -> Tensor:
    """Pictures (B, 3, h, w) in other light, with noise, and half of them blurred."""

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random)

    each = (len(pictures), 1, 1, 1)
    lit = pictures * (1 + 0.2 * drawn(*each)).clamp(0.5, 1.5) + 0.05 * drawn(*each) + 0.02 * drawn(*pictures.shape)
    return torch.where(drawn(*each) > 0, lit, F.avg_pool2d(lit, 3, 1, 1, count_include_pad=False))


def _frames(data: TransitionSet, rows: np.ndarray, of: int | slice = slice(None)) -> np.ndarray:
    """Rows of the frames of transitions, each once, at most ``pictures`` of them, always the same."""
    frames = np.unique(data.columns.frames[rows, of])
    return np.sort(np.random.default_rng(0).permutation(frames)[: int(RECIPE["pictures"])])
