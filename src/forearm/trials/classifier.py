"""Success learned from true pictures: a network sees how an episode began and how it looks now, and says if it is done.

Where the dataset knows objects it learns whether one of them has been raised; its box at the start is marked. It also
learns how far that object has come, or else a raised arm would be taken for a raised object. Elsewhere it learns to
tell the last frames of an episode from those before, as of demonstrations that reach their goals. It learns from no
imagined picture. Light, noise and blur vary, so that it looks at what is shown, not at how sharp it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forearm.base.errors import ForearmError
from forearm.canvas import Layout
from forearm.evaluation.learned import fit, kept_or_learned
from forearm.transitions import TransitionSet
from forearm.trials.starts import RAISED

FILE = "success.safetensors"
"""Where the network is kept in the folder of the dataset whose pictures it learned."""
RECIPE = {"version": 2, "steps": 1500, "batch": 32, "rate": 2e-3, "matrix_rate": 0.02, "decay": 0.05, "side": 64}
"""How it is trained, on pictures of ``side`` pixels."""
UNIT, FARTHEST = 0.05, 6.0
"""Metres in which is told how far an object has come, and how many of them at most."""
LAST, BEFORE = 2, 0.6
"""Where nothing is known of objects: so many last frames are done, and such a share of the first is not."""
FEWEST = 100
"""Frames of either kind that are needed."""


@dataclass(frozen=True)
class Examples:
    """Frames (n,) of a dataset with those in which their episodes begin, and what is known of them."""

    first: np.ndarray
    """(n,) int64."""
    now: np.ndarray
    """(n,) int64."""
    boxes: np.ndarray
    """(n, C, 4) float32, the object in the first frame, in shares of the pictures; NaN where it is not seen."""
    shifts: np.ndarray
    """(n, 3) float32, how far the object has come since the first frame, in UNIT; NaN where no objects are known."""
    done: np.ndarray
    """(n,) bool."""

    @classmethod
    def of(cls, data: TransitionSet, rows: np.ndarray) -> "Examples":
        """Those of a dataset's transitions."""
        cameras = len(data.layout.cameras)
        parts: list[tuple[np.ndarray, ...]] = []
        chosen = np.isin(np.arange(len(data.columns)), rows)
        for own in data.columns.by_episode().values():
            if not chosen[own].all():
                continue
            frames = np.unique(data.columns.frames[own])
            if data.objects is None:
                before = frames[: int(BEFORE * len(frames))]
                now = np.concatenate([before, frames[-LAST:]])
                done = np.arange(len(now)) >= len(before)
                boxes, shifts = (np.full((len(now), *shape), np.nan, np.float32) for shape in ((cameras, 4), (3,)))
                parts.append((now * 0 + frames[0], now, boxes, shifts, done))
                continue
            positions, boxes = data.objects.at(frames)
            for number in np.flatnonzero(np.isfinite(positions).all(axis=(0, 2))):  # not every episode has every object
                moved = positions[:, number] - positions[0, number]
                box = np.repeat(boxes[:1, number], len(frames), 0)
                shifts = (moved / UNIT).clip(-FARTHEST, FARTHEST).astype(np.float32)
                parts.append((frames * 0 + frames[0], frames, box, shifts, moved[:, 2] > RAISED))
        nothing = np.zeros(0, np.int64)
        boxes, shifts = (np.zeros((0, *shape), np.float32) for shape in ((cameras, 4), (3,)))
        parts.append((nothing, nothing, boxes, shifts, np.zeros(0, bool)))
        return cls(*(np.concatenate(column) for column in zip(*parts, strict=True)))


class SuccessNetwork(nn.Module):
    """From 7 channels of each camera, (n, C, 7, side, side), its start, its present and a mask, to 4 numbers (n, 4):
    the logit of success, and how far the object has come."""

    def __init__(self, cameras: int) -> None:
        super().__init__()

        def encoder() -> nn.Sequential:
            return nn.Sequential(
                *(nn.Conv2d(7, 16, 5, 2, 2), nn.GroupNorm(4, 16), nn.ReLU()),
                *(nn.Conv2d(16, 32, 3, 2, 1), nn.GroupNorm(4, 32), nn.ReLU()),
                *(nn.Conv2d(32, 48, 3, 2, 1), nn.GroupNorm(4, 48), nn.ReLU()),
                *(nn.Conv2d(48, 48, 3, 2, 1), nn.GroupNorm(4, 48), nn.ReLU(), nn.Flatten()),
            )

        self.encoders = nn.ModuleList(encoder() for _ in range(cameras))
        cells = (int(RECIPE["side"]) // 16) ** 2
        self.head = nn.Sequential(nn.Linear(48 * cells * cameras, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 4))

    def forward(self, seen: Tensor) -> Tensor:
        parts = [encoder(seen[:, camera]) for camera, encoder in enumerate(self.encoders)]
        return self.head(torch.cat(parts, 1))

    def hidden(self) -> list[nn.Parameter]:
        """The weights of all layers but the last, which Muon moves."""
        return [weight for weight in self.parameters() if weight.ndim > 1][:-1]


@dataclass(frozen=True)
class SuccessClassifier:
    """A network that has learned success, and the layout of the pictures that it reads."""

    network: SuccessNetwork
    layout: Layout
    of_objects: bool
    """Whether it judges one object, whose box at the start it has to be given."""

    @torch.inference_mode()
    def probability(self, first: np.ndarray, now: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """How likely it is done, (n,) float64.

        Args:
            first: (n, h, w, 3) uint8, the cameras' pictures at the start, as they stand in a frame.
            now: the later ones.
            boxes: (n, C, 4) the object at the start, in shares; NaN where it is not seen.
        """
        return torch.sigmoid(self.network(_seen(first, now, boxes, self.layout))[:, 0]).double().numpy()


def classifier_of(data: TransitionSet) -> SuccessClassifier:
    """The classifier of a dataset: learned from its training part, and kept in its folder if that can be written to.

    Raises:
        ForearmError: too few frames of the training part are done, or too few are not.
    """
    examples = Examples.of(data, data.rows("train"))
    yes, no = np.flatnonzero(examples.done), np.flatnonzero(~examples.done)
    if min(len(yes), len(no)) < FEWEST:
        what = "show a raised object" if data.objects is not None else "end an episode"
        raise ForearmError(
            f"success cannot be learned from {data.path}: {len(yes)} of its training frames {what} and {len(no)} do "
            f"not, and {FEWEST} of either are needed; judge by --success object, picture or a scorer of your own"
        )
    layout = data.layout

    def learn(network: SuccessNetwork) -> None:
        half = int(RECIPE["batch"]) // 2

        def loss(random: torch.Generator) -> Tensor:
            drawn = [of[torch.randint(len(of), (half,), generator=random).numpy()] for of in (yes, no)]
            rows = np.concatenate(drawn)
            seen = _seen(
                data.frames[examples.first[rows]], data.frames[examples.now[rows]], examples.boxes[rows], layout
            )
            logits, shifts = network(_varied(seen, random)).split([1, 3], dim=1)
            wanted = torch.from_numpy(examples.done[rows]).float()
            right = F.binary_cross_entropy_with_logits(logits[:, 0], wanted)
            if data.objects is None:
                return right
            return right + F.smooth_l1_loss(shifts, torch.from_numpy(examples.shifts[rows]))

        network.train()
        fit(network, loss, RECIPE, network.hidden())

    recipe = [RECIPE, [(camera.height, camera.width) for camera in layout.cameras], LAST, BEFORE, RAISED]
    return SuccessClassifier(
        kept_or_learned(data, FILE, _blank(len(layout.cameras)), recipe, learn), layout, data.objects is not None
    )


def _blank(cameras: int) -> SuccessNetwork:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        return SuccessNetwork(cameras)


def _seen(first: np.ndarray, now: np.ndarray, boxes: np.ndarray, layout: Layout) -> Tensor:
    """What the network sees, (n, C, 7, side, side) float32."""
    side, cameras = int(RECIPE["side"]), []
    centres = (np.arange(side) + 0.5) / side
    for camera, (rows, columns) in enumerate(layout.camera_boxes()):
        pictures = [
            torch.from_numpy(np.ascontiguousarray(of[:, rows, columns])).permute(0, 3, 1, 2) / 255
            for of in (first, now)
        ]
        shown = [p if p.shape[-2:] == (side, side) else F.interpolate(p, (side, side), mode="area") for p in pictures]
        left, top, right, bottom = np.moveaxis(boxes[:, camera], -1, 0)[:, :, None]
        inside = ((left <= centres) & (centres < right))[:, None] & ((top <= centres) & (centres < bottom))[:, :, None]
        cameras.append(torch.cat([*shown, torch.from_numpy(inside).float()[:, None]], 1))
    return torch.stack(cameras, 1)


def _varied(seen: Tensor, random: torch.Generator) -> Tensor:
    """The same in other light and with noise; the later pictures of half of them blurred."""

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random)

    light = (1 + 0.15 * drawn(len(seen), 1, 1, 1, 1)).clamp(0.5, 1.5)
    first, now, mask = seen[:, :, :3] * light, seen[:, :, 3:6] * light, seen[:, :, 6:]
    blurred = F.avg_pool2d(now.flatten(0, 1), 3, 1, 1, count_include_pad=False).view_as(now)
    now = torch.where(drawn(len(seen), 1, 1, 1, 1) > 0, now, blurred)
    return torch.cat([first + 0.02 * drawn(*first.shape), now + 0.02 * drawn(*now.shape), mask], 2)


def stacked(pictures: Sequence[dict[str, np.ndarray]], layout: Layout) -> np.ndarray:
    """Pictures by camera as they stand in a frame, (n, h, w, 3) uint8."""
    frames = np.zeros((len(pictures), layout.frame_height, layout.frame_width, 3), np.uint8)
    for frame, shown in zip(frames, pictures, strict=True):
        for camera, (rows, columns) in zip(layout.cameras, layout.camera_boxes(), strict=True):
            frame[rows, columns] = shown[camera.name]
    return frames
