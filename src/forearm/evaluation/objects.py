"""Objects found in pictures: how far each of them moved, whatever a model thinks of it.

A small convolutional network is shown a picture, a box around an object in it, and a later picture, and says where the
object is now. It learns from true pictures alone. It knows no object by name, so it also finds objects that it never
saw. On predicted pictures it measures how far a model pushes them; on true held-out pictures its error is the floor.
"""

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forearm.base.errors import ForearmError
from forearm.canvas import Layout, as_uint8
from forearm.evaluation.learned import chunks, fit, frame_pictures, kept_or_learned, shrunk
from forearm.evaluation.metrics import Truth, mean_where
from forearm.evaluation.samples import Samples, Value
from forearm.transitions.objects import PUSHED, Motions
from forearm.transitions.store import Columns, TransitionSet, frames_of

READ_OBJECTS = (
    "object_position_error",
    "object_position_error_untouched",
    "object_direction_accuracy",
    "object_motion_slope",
    "object_contact_accuracy",
)
"""The metrics that are read from pictures."""
OBJECT_METRICS = (*READ_OBJECTS, "object_mse_pushed", "object_mse_untouched")
FILE = "object-readout.safetensors"
"""Where the network is kept in the folder of the dataset whose pictures it learned."""
RECIPE = {"version": 1, "steps": 600, "pairs": 16, "rate": 3e-3, "decay": 0.01, "side": 64, "pictures": 6000}
"""How it is trained: ``pairs`` of pictures a step, of cameras of ``side`` pixels; at most so many ``pictures``."""
FEWEST = 200
"""With fewer training pictures than these nothing is learned."""
WINDOW = 20
"""Sides of the square of pixels around an object that is looked at finely; a multiple of 4."""
FAR = 10
"""Learned are pairs of pictures that are up to so many steps apart."""
STEADY = 0.1
"""A camera is fixed if the boxes of objects that nobody moves stay where they are, to so many pixels of the median."""
ALIKE = np.cos(np.pi / 4)
"""An object moves the right way if the angle between the read and the true shift is below 45°."""
LEAST = 1.0
"""A shift that is read as less than so many millimetres has no direction."""
SHOWN = 8
"""So many samples with a pushed object are kept, of which the report shows the one of median error."""


class Finder(nn.Module):
    """Finds objects again: from a picture with boxes, and a later picture, to the middles of the boxes there.

    Coarsely first: both pictures pass one encoder; an object is described by the mean of what lies in its box; a head
    sees how alike each place of the later picture is, what changed there, and how far it is from the box, and gives the
    place a weight; the answer is the mean place. Then finely: a second network sees the pixels around the box and those
    around that place, and says by how much they are apart.
    """

    def __init__(self, channels: int = 16, hidden: int = 12):
        super().__init__()
        self.encoder = nn.Sequential(
            *(nn.Conv2d(3, channels, 5, 2, 2), nn.GroupNorm(4, channels), nn.ReLU()),
            *(nn.Conv2d(channels, channels, 3, 1, 1), nn.GroupNorm(4, channels), nn.ReLU()),
            nn.Conv2d(channels, channels, 3, 1, 1),
        )
        self.changes = nn.Conv2d(2 * (channels + 3), hidden, 1)
        self.head = nn.Sequential(
            *(nn.Conv2d(hidden + 4, hidden, 3, 1, 1), nn.GroupNorm(4, hidden), nn.ReLU()),
            *(nn.Conv2d(hidden, hidden, 3, 1, 2, dilation=2), nn.ReLU(), nn.Conv2d(hidden, 1, 1)),
        )
        self.scales = nn.Parameter(torch.full((channels + 3,), 0.25))
        self.fine = nn.Sequential(
            *(nn.Conv2d(7, 32, 5, 2, 2), nn.GroupNorm(4, 32), nn.ReLU()),
            *(nn.Conv2d(32, 32, 3, 1, 1), nn.GroupNorm(4, 32), nn.ReLU()),
            *(nn.Conv2d(32, 48, 3, 2, 1), nn.GroupNorm(4, 48), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(48 * (WINDOW // 4) ** 2, 64), nn.ReLU(), nn.Linear(64, 2)),
        )

    def forward(self, before: Tensor, after: Tensor, sample: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Where n objects are now, coarsely and finely, (n, 2) pixels from the left and the top each.

        Args:
            before: (b, 3, h, w) pictures with even sides.
            after: the later ones.
            sample: (n,) int64, in which of the b pictures each object is.
            boxes: (n, 4) left, top, right, bottom of each object before, pixels.
        """
        first, later = self._features(torch.cat([before, after])).chunk(2)
        coarse = self._coarse(first, later, sample, boxes)
        around = _window((boxes[:, :2] + boxes[:, 2:]) / 2), _window(coarse.detach())
        pixels = [_sampled(of[sample], at) for of, at in zip((before, after), around, strict=True)]
        seen = torch.cat([*pixels, _within(around[0][..., 0], around[0][..., 1], boxes)[:, None]], 1)
        return coarse, coarse.detach() + self.fine(seen)

    def _features(self, pictures: Tensor) -> Tensor:
        """(b, D, h / 2, w / 2)."""
        return torch.cat([self.encoder(pictures), 2 * F.avg_pool2d(pictures, 2) - 1], 1)

    def _coarse(self, first: Tensor, later: Tensor, sample: Tensor, boxes: Tensor) -> Tensor:
        n, (rows, columns) = len(boxes), first.shape[-2:]
        y, x = torch.meshgrid(*(2 * torch.arange(size) + 1.0 for size in (rows, columns)), indexing="ij")
        mask = _within(x, y, boxes) + 1e-6
        looks = torch.einsum("nchw,nhw->nc", first[sample], mask) / mask.sum((1, 2))[:, None]
        alike = -((later[sample] - looks[:, :, None, None]) ** 2 * self.scales.abs()[:, None, None]).sum(1)
        middles = (boxes[:, :2] + boxes[:, 2:]) / 2
        dx, dy = (((of - middle[:, None, None]) / 16) for of, middle in ((x, middles[:, 0]), (y, middles[:, 1])))
        changes = self.changes(torch.cat([later, later - first], 1))[sample]
        seen = torch.cat([changes, torch.stack([alike, mask, dx, dy], 1)], 1)
        weights = (self.head(seen)[:, 0] + alike).flatten(1).softmax(1).view(n, rows, columns)
        return torch.stack([(weights * x).sum((1, 2)), (weights * y).sum((1, 2))], 1)


def _within(x: Tensor, y: Tensor, boxes: Tensor) -> Tensor:
    """How far places (h, w) or (n, h, w) lie in boxes (n, 4), from 0 to 1: (n, h, w)."""
    left, top, right, bottom = boxes[:, :, None, None].unbind(1)
    sides = (x - left, right - x, y - top, bottom - y)
    inside = torch.ones(1)
    for side in sides:
        inside = inside * (side / 2 + 0.5).clamp(0, 1)
    return inside


def _window(middles: Tensor) -> Tensor:
    """The places of ``WINDOW`` × ``WINDOW`` pixels around middles (n, 2): (n, WINDOW, WINDOW, 2) of x and y."""
    steps = torch.arange(WINDOW) - (WINDOW - 1) / 2
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    return middles[:, None, None] + torch.stack([x, y], -1)


def _sampled(pictures: Tensor, places: Tensor) -> Tensor:
    """Pictures (n, 3, h, w) at places (n, k, k, 2) in pixels, interpolated: (n, 3, k, k)."""
    size = torch.tensor(pictures.shape[:1:-1])
    return F.grid_sample(pictures, 2 * places / size - 1, padding_mode="border", align_corners=False)


class ObjectNetwork(nn.Module):
    """A `Finder`, and how the fixed cameras see the table.

    fixed: (C,) bool, which cameras do not move. projection: (C, 11), for each the numbers a of
    u · (1 + a8 x + a9 y + a10 z) = a0 + a1 x + a2 y + a3 z, and likewise v with a4 … a7; u and v are fractions of the
    picture, x, y and z metres.
    """

    fixed: Tensor
    projection: Tensor

    def __init__(self, cameras: int) -> None:
        super().__init__()
        self.finder = Finder()
        self.register_buffer("fixed", torch.zeros(cameras))
        self.register_buffer("projection", torch.zeros(cameras, 11, dtype=torch.float64))


@dataclass(frozen=True)
class ObjectReader:
    """A network that has learned to find objects in true pictures."""

    network: ObjectNetwork
    layout: Layout
    """Of the pictures that it reads."""
    pictures: int
    """How many it learned from."""

    @property
    def cameras(self) -> list[int]:
        """Indices of the cameras that do not move."""
        return np.flatnonzero(self.network.fixed.numpy()).tolist()

    def places(self, before: np.ndarray, after: np.ndarray, motions: Motions) -> np.ndarray:
        """Where objects are found, (n, K, C, 2), as fractions of each camera's picture.

        NaN where a camera moves, or the middle of the object's box lies outside its picture before or after. If both
        pictures are equal, an object is found where it was.

        Args:
            before: (n, 3, h, w) pictures without strips, uint8 or float in [0, 1].
            after: the later ones.
            motions: of which the boxes before are shown to the network.
        """
        found = np.full((*motions.boxes.shape[:1], *motions.boxes.shape[2:4], 2), np.nan)
        visible = visible_objects(motions.boxes)
        for camera in self.cameras:
            sample, number = np.nonzero(visible[:, :, camera])
            if len(sample):
                first, later = (_camera_pictures(of, self.layout, camera) for of in (before, after))
                boxes = motions.boxes[sample, 0, number, camera]
                found[sample, number, camera] = self._found(first, later, sample, boxes)
        return found

    @torch.inference_mode()
    def _found(self, before: Tensor, after: Tensor, sample: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        finder, size = self.network.finder, np.array(before.shape[:1:-1])
        inside = boxes * np.tile(size, 2)
        known, which = torch.from_numpy(inside.astype(np.float32)), torch.from_numpy(sample)
        moved = finder(before, after, which, known)[1] - finder(before, before, which, known)[1]
        return (moved.double().numpy() + _middles(inside)) / size

    def shifts(self, places: np.ndarray, motions: Motions) -> np.ndarray:
        """How far along the table objects moved, (n, K, 2) millimetres, from where they are found (n, K, C, 2).

        One picture does not show how high an object is, so the height is taken from the truth. Mean over the cameras
        that see it; NaN where none does.
        """
        middles = _middles(motions.boxes[:, 0])
        moved = []
        for camera in self.cameras:
            a = self.network.projection[camera].numpy()
            before = _on_table(a, middles[:, :, camera], motions.heights[:, 0])
            moved.append(1000 * (_on_table(a, places[:, :, camera], motions.heights[:, 1]) - before))
        if not moved:
            return np.full((*motions.shifts.shape[:2], 2), np.nan)
        known = np.isfinite(moved).all(-1, keepdims=True)
        mean = np.where(known, moved, 0).sum(0) / np.where(known.any(0), known.sum(0), np.nan)
        return np.round(mean, 3)  # what rounding leaves of no shift is none


@dataclass(frozen=True)
class ObjectExample:
    """A sample with a pushed object, as the report shows it; arrows go from ``start`` to ``true`` and to ``read``."""

    row: int
    error: float
    """Mean position error of its pushed objects, millimetres."""
    before: np.ndarray
    """(3, h, w) uint8, the picture of the first fixed camera."""
    truth: np.ndarray
    """The later one."""
    predicted: np.ndarray
    """What was predicted of it."""
    start: np.ndarray
    """(k, 2) pixels from the left and the top: where each pushed object was."""
    true: np.ndarray
    """Where it truly ended."""
    read: np.ndarray
    """Where it is found in the prediction."""


@dataclass(frozen=True)
class Objects:
    """What a report says of objects."""

    names: tuple[str, ...]
    pictures: int
    """How many true pictures the reader learned from; 0 without a reader."""
    pushed: int
    """How many objects were pushed, over all samples, and can be found."""
    untouched: int
    touched: int
    """How many were touched, whether they moved or not."""
    shift: float | None
    """Mean true shift of the pushed objects, millimetres."""
    base_rate: float | None
    """The better of always saying that an object moved and of never saying so."""
    floor: dict[str, Value]
    """The metrics of ``OBJECT_METRICS`` of the true pictures of the scored samples."""
    example: ObjectExample | None = None

    def to_json(self) -> dict[str, Any]:
        """What ``metrics.json`` holds under ``objects``."""
        return {name: value for name, value in vars(self).items() if name != "example"}


class ObjectSight:
    """What is to be said of the objects in some samples; without their truth no sample defines any metric.

    Args:
        reader: finds them in pictures, if there is one.
        motions: how they truly moved up to the last frames of the n samples, if that is known.
        truth: of the samples.
        before: (n, 3, H, w) the frames from which they moved.
    """

    def __init__(self, reader: ObjectReader | None, motions: Motions | None, truth: Truth, before: np.ndarray):
        self._reader, self.motions, self._layout = reader, motions, truth.layout
        self._before, self._after = self._pictures(before), self._pictures(truth.last)

    def _pictures(self, region: np.ndarray) -> np.ndarray:
        """Of frames (n, 3, H, w) with strips: (n, 3, h, w)."""
        return region[:, :, : self._layout.frame_height]

    @cached_property
    def seen(self) -> np.ndarray:
        """(n, K) bool, which objects can be found: those that a fixed camera sees before and after."""
        assert self._reader is not None
        assert self.motions is not None
        return np.any(visible_objects(self.motions.boxes)[:, :, self._reader.cameras], axis=-1)

    @property
    def pushed(self) -> np.ndarray:
        """(n, K) bool, which of those were pushed along the table."""
        assert self.motions is not None
        return self.seen & (np.linalg.norm(self.motions.shifts[..., :2], axis=-1) >= PUSHED)

    def samples(self, region: np.ndarray) -> Samples:
        """``OBJECT_METRICS`` of predicted (or true) last frames (n, 3, H, w), float in [0, 1]."""
        nothing, pictures = np.zeros(len(region)), self._pictures(region)
        if self.motions is None:
            return Samples.of(dict.fromkeys(OBJECT_METRICS, (nothing, nothing)))
        errors = ((pictures - self._after) ** 2).mean(1)
        pushed, untouched = self._masks
        pixels = Samples.of(
            {"object_mse_pushed": mean_where(errors, pushed), "object_mse_untouched": mean_where(errors, untouched)}
        )
        if self._reader is None:
            return Samples.of(dict.fromkeys(READ_OBJECTS, (nothing, nothing))) | pixels
        places = self._reader.places(self._before, pictures, self.motions)
        return self._read(self._reader.shifts(places, self.motions)) | pixels

    def _read(self, read: np.ndarray) -> Samples:
        """The metrics of shifts that are read, (n, K, 2) millimetres."""
        assert self.motions is not None
        true, pushed, still = self.motions.shifts[..., :2], self.pushed, self.seen & self.motions.untouched
        along, far, length = (read * true).sum(-1), np.linalg.norm(true, axis=-1), np.linalg.norm(read, axis=-1)
        right = (length >= LEAST) & (along > ALIKE * length * far)
        moved = length >= PUSHED
        of_objects = {
            "object_position_error": (np.linalg.norm(read - true, axis=-1), pushed),
            "object_position_error_untouched": (length, still),
            "object_direction_accuracy": (right, pushed),
            "object_contact_accuracy": (moved == pushed, pushed | still),
        }
        sums = {name: np.where(of, values, 0).sum(1, dtype=np.float64) for name, (values, of) in of_objects.items()}
        weights = {name: of.sum(1, dtype=np.float64) for name, (_, of) in of_objects.items()}
        sums["object_motion_slope"] = np.where(pushed, along, 0).sum(1)
        weights["object_motion_slope"] = np.where(pushed, far**2, 0).sum(1)
        return Samples(sums, weights)

    @cached_property
    def _masks(self) -> tuple[np.ndarray, np.ndarray]:
        """(n, h, w) bool, twice: pixels of pushed objects, and pixels of untouched ones alone."""
        assert self.motions is not None
        boxes = object_masks(self._layout, self.motions.boxes)
        pushed, untouched = self.motions.pushed, self.motions.untouched
        of_pushed = (boxes & pushed[..., None, None]).any(1)
        return of_pushed, (boxes & untouched[..., None, None]).any(1) & ~of_pushed


class ObjectStatistics:
    """Counts objects while samples stream by, and keeps a few with a pushed one for pictures."""

    def __init__(self, names: tuple[str, ...], reader: ObjectReader | None):
        self._names, self._reader = names, reader
        self._counts = {"pushed": 0, "untouched": 0, "touched": 0}
        self._shifts: list[np.ndarray] = []
        self._kept: list[tuple[float, ObjectExample]] = []

    def add(self, sight: ObjectSight, rows: np.ndarray, truth: Truth, predicted: np.ndarray) -> None:
        """Add samples, of rows (n,), of which last frames (n, 3, H, w) were predicted."""
        motions = sight.motions
        if motions is None:
            return
        self._counts["touched"] += int(motions.touched.sum())
        if self._reader is None:
            return
        pushed = sight.pushed
        self._counts["pushed"] += int(pushed.sum())
        self._counts["untouched"] += int((sight.seen & motions.untouched).sum())
        self._shifts.append(np.linalg.norm(motions.shifts[..., :2], axis=-1)[pushed])
        for i in np.flatnonzero(pushed.any(1)).tolist():
            order = np.random.default_rng(int(rows[i])).random()
            if len(self._kept) < SHOWN or order < self._kept[-1][0]:
                one = slice(i, i + 1)
                example = _example(self._reader, int(rows[i]), motions[one], truth, i, predicted[i], pushed[i])
                self._kept = sorted([*self._kept, (order, example)], key=lambda pair: pair[0])[:SHOWN]

    def result(self, floor: Samples) -> Objects | None:
        """What was found; None where nothing is known of objects.

        Args:
            floor: what is read from the true pictures of the same samples.
        """
        if not self._names:
            return None
        shifts, counts = np.concatenate(self._shifts or [np.empty(0)]), self._counts
        judged = counts["pushed"] + counts["untouched"]
        examples = sorted((example for _, example in self._kept), key=lambda example: example.error)
        return Objects(
            names=self._names,
            pictures=self._reader.pictures if self._reader else 0,
            **counts,
            shift=float(shifts.mean()) if len(shifts) else None,
            base_rate=max(counts["pushed"], counts["untouched"]) / judged if judged else None,
            floor=floor.only(OBJECT_METRICS).table(),
            example=examples[len(examples) // 2] if examples else None,
        )


def _example(
    reader: ObjectReader, row: int, motions: Motions, truth: Truth, i: int, predicted: np.ndarray, pushed: np.ndarray
) -> ObjectExample:
    """The i-th of some samples, with the pushed ones (K,) of its objects; ``motions`` are of it alone."""
    layout, camera = truth.layout, reader.cameras[0]
    rows, columns = layout.camera_boxes()[camera]
    frames = [frame[None, :, : layout.frame_height] for frame in (truth.previous[i], truth.last[i], predicted)]
    places = reader.places(frames[0], frames[2], motions)
    read, true = reader.shifts(places, motions)[0], motions.shifts[0, :, :2]
    shown = np.isfinite(places[0, :, camera]).all(-1) & pushed
    before, after = _middles(motions.boxes[0, :, :, camera])
    size = np.array((columns.stop - columns.start, rows.stop - rows.start))
    return ObjectExample(
        row,
        float(np.linalg.norm(read - true, axis=-1)[pushed].mean()),
        *(as_uint8(frame[0, :, rows, columns]) for frame in frames),
        *(points[shown] * size for points in (before, after, places[0, :, camera])),
    )


def visible_objects(boxes: np.ndarray) -> np.ndarray:
    """(n, K, C) bool: whether the middle of a box (n, 2, K, C, 4) lies inside the camera's picture before and after."""
    middles = _middles(boxes)
    return np.all((middles > 0) & (middles < 1), axis=(1, -1))


def object_masks(layout: Layout, boxes: np.ndarray) -> np.ndarray:
    """(n, K, h, w) bool: the pixels that an object's boxes (n, 2, K, C, 4), before or after, touch in any camera."""
    n, _, objects, _, _ = boxes.shape
    masks = np.zeros((n, objects, layout.frame_height, layout.frame_width), bool)
    for camera, (rows, columns) in enumerate(layout.camera_boxes()):
        height, width = rows.stop - rows.start, columns.stop - columns.start
        left, top, right, bottom = np.moveaxis(boxes[:, :, :, camera, :, None], -2, 0)
        y, x = np.arange(height), np.arange(width)
        in_rows = (y > top * height - 1) & (y < bottom * height)  # NaN is in none
        in_columns = (x > left * width - 1) & (x < right * width)
        masks[:, :, rows, columns] |= (in_rows[..., :, None] & in_columns[..., None, :]).any(1)
    return masks


def object_reader_of(data: TransitionSet) -> ObjectReader:
    """The reader of a dataset: learned from its training part, and kept in its folder if that can be written to.

    Raises:
        ForearmError: nothing is known of objects, there are too few training pictures, or no camera is fixed.
    """
    if data.objects is None:
        raise ForearmError(f"{data.path} does not know where objects are")
    rows, layout = data.rows("train"), data.layout
    drawn = _drawn(data, rows)
    if len(drawn) < FEWEST:
        raise ForearmError(f"{data.path} has {len(drawn)} training pictures with objects, fewer than {FEWEST}")
    recipe = [RECIPE, [(camera.height, camera.width) for camera in layout.cameras]]

    def learn(network: ObjectNetwork) -> None:
        motions = data.motions(rows)
        assert motions is not None
        assert data.objects is not None
        positions, boxes = data.objects.at(drawn.frames)
        network.fixed.copy_(torch.from_numpy(_fixed(layout, motions)))
        network.projection.copy_(torch.from_numpy(_projections(positions, _middles(boxes))))
        if network.fixed.any():
            _learn(network, data, drawn)

    reader = ObjectReader(kept_or_learned(data, FILE, _blank(layout), recipe, learn), layout, len(drawn))
    if not reader.cameras:
        raise ForearmError(f"no camera of {data.path} stands still while objects do")
    return reader


def _blank(layout: Layout) -> ObjectNetwork:
    """A network of the right shape that has learned nothing."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        return ObjectNetwork(len(layout.cameras))


@dataclass(frozen=True)
class Drawn:
    """Pictures of whole episodes, from which pairs are drawn."""

    frames: np.ndarray
    """(F,) rows of the dataset's frames, episode by episode in the order of time."""
    last: np.ndarray
    """(F,) for each the index, among these, of the last one of its episode."""
    step: int
    """From one frame of a transition to the next there are usually so many."""

    def __len__(self) -> int:
        return len(self.frames)

    def pairs(self, count: int, random: torch.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Indices of ``count`` pictures and of later ones, up to ``FAR`` steps on."""
        first = torch.randint(len(self), (count,), generator=random).numpy()
        gap = torch.randint(1, FAR + 1, (count,), generator=random).numpy() * self.step
        return first, np.minimum(first + gap, self.last[first])


def _drawn(data: TransitionSet, rows: np.ndarray) -> Drawn:
    """As many whole episodes of some rows as have ``pictures`` pictures, always the same."""
    chosen = Columns(*(getattr(data.columns, field.name)[rows] for field in dataclasses.fields(Columns)))
    there = [frames for frames in frames_of(chosen, len(data.episodes)) if len(frames)]
    order = np.random.default_rng(0).permutation(len(there))
    held = np.cumsum([len(there[number]) for number in order])
    parts = [there[number] for number in order[: max(1, np.searchsorted(held, RECIPE["pictures"], "right"))]]
    ends = np.repeat(np.cumsum([len(part) for part in parts]) - 1, [len(part) for part in parts])
    frames = np.concatenate(parts)
    place = dict(zip(frames.tolist(), range(len(frames)), strict=True))
    steps = [place[last] - place[before] for before, last in chosen.frames[:, -2:].tolist() if before in place]
    return Drawn(frames, ends, max(1, round(float(np.median(steps)))))


def _fixed(layout: Layout, motions: Motions) -> np.ndarray:
    """(C,) float32: 1 for a camera in which objects that nobody touches stay where they are."""
    middles = _middles(motions.boxes) * np.array([(camera.width, camera.height) for camera in layout.cameras])
    moved = np.linalg.norm(middles[:, 1] - middles[:, 0], axis=-1)
    still = motions.untouched[..., None] & visible_objects(motions.boxes)
    each = [moved[..., camera][still[..., camera]] for camera in range(len(layout.cameras))]
    return np.array([len(of) and np.median(of) < STEADY for of in each], np.float32)


def _projections(positions: np.ndarray, middles: np.ndarray) -> np.ndarray:
    """How each of C cameras sees the table (``ObjectNetwork.projection``), from where objects are and are seen.

    Least squares of least norm: where all objects are equally high, height has no say.

    Args:
        positions: (n, K, 3) metres.
        middles: (n, K, C, 2) fractions of the camera's picture.
    """
    found = np.zeros((middles.shape[2], 11))
    for camera, seen in enumerate(np.moveaxis(middles, 2, 0)):
        inside = ((seen > 0) & (seen < 1)).all(-1)
        place, (u, v) = positions[inside].astype(np.float64), seen[inside].astype(np.float64).T
        one, none = np.c_[np.ones(len(place)), place], np.zeros((len(place), 4))
        equations = np.concatenate([np.c_[one, none, -u[:, None] * place], np.c_[none, one, -v[:, None] * place]])
        if len(equations):
            found[camera] = np.linalg.lstsq(equations, np.concatenate([u, v]), rcond=None)[0]
    return found


def _on_table(projection: np.ndarray, places: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """Where along the table (…, 2), metres, an object is that is seen at places (…, 2) and is at heights (…,)."""
    a, z = projection, heights[..., None]
    u, v = places[..., :1], places[..., 1:]
    left = np.stack([a[1:3] - u * a[8:10], a[5:7] - v * a[8:10]], axis=-2)
    right = np.stack([u * (1 + a[10] * z) - a[0] - a[3] * z, v * (1 + a[10] * z) - a[4] - a[7] * z], axis=-2)
    return np.linalg.solve(left, right)[..., 0]


def _learn(network: ObjectNetwork, data: TransitionSet, drawn: Drawn) -> None:
    """Find objects of true pictures again in later true pictures of the same episode.

    Pairs are mirrored, and light, noise and blur vary, so that a prediction is read by where things are and not by how
    sharp it is. In three of four pairs an object moved.
    """
    assert data.objects is not None
    positions, boxes = data.objects.at(drawn.frames)
    cameras = np.flatnonzero(network.fixed.numpy()).tolist()
    pictures = [
        torch.cat(
            [
                (255 * _camera_pictures(frame_pictures(data, part), data.layout, camera)).round().byte()
                for part in chunks(drawn.frames)
            ]
        )
        for camera in cameras
    ]
    pairs = int(RECIPE["pairs"])

    def loss(random: torch.Generator) -> Tensor:
        number = int(torch.randint(len(cameras), (1,), generator=random))
        first, later = drawn.pairs(8 * pairs, random)
        moved = np.linalg.norm(positions[later] - positions[first], axis=-1)
        order = np.argsort((np.nan_to_num(moved) < PUSHED / 1000).all(1), kind="stable")
        chosen = np.concatenate([order[: 3 * pairs // 4], order[len(order) - pairs // 4 :]])
        first, later = first[chosen], later[chosen]
        both = np.stack([boxes[first], boxes[later]], axis=1)
        sample, which = np.nonzero(visible_objects(both)[:, :, cameras[number]])
        shown = torch.cat([pictures[number][first], pictures[number][later]]).float() / 255
        size = np.tile(np.array(shown.shape[:1:-1], np.float32), 2)
        where = torch.from_numpy(both[sample, :, which, cameras[number]] * size)
        shown, where = _mirrored(shown, where, random)
        before, after = _varied(shown, random).chunk(2)
        coarse, fine = network.finder(before, after, torch.from_numpy(sample), where[:, 0])
        middles = (where[:, 1, :2] + where[:, 1, 2:]) / 2
        return F.smooth_l1_loss(coarse, middles, beta=0.3) + 2 * F.smooth_l1_loss(fine, middles, beta=0.1)

    fit(network, loss, RECIPE)


def _mirrored(pictures: Tensor, boxes: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Pictures (n, 3, h, w) and boxes (m, 2, 4) in pixels, perhaps left for right, top for bottom, and x for y."""
    (height, width), flips = pictures.shape[-2:], torch.rand(3, generator=random) < 0.5
    left, top, right, bottom = boxes.unbind(-1)
    if flips[0]:
        pictures, left, right = pictures.flip(3), width - right, width - left
    if flips[1]:
        pictures, top, bottom = pictures.flip(2), height - bottom, height - top
    if flips[2] and height == width:
        pictures, left, top, right, bottom = pictures.transpose(2, 3), top, left, bottom, right
    return pictures, torch.stack([left, top, right, bottom], -1)


def _varied(pictures: Tensor, random: torch.Generator) -> Tensor:
    """Pairs of pictures, (2n, 3, h, w) first all before and then all after, in other light, with noise; half of those
    after are blurred.
    """
    pairs = pictures.unflatten(0, (2, -1))
    each = (pairs.shape[1], 1, 1, 1)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random)

    pairs = pairs * (1 + 0.2 * drawn(*each)).clamp(0.5, 1.5) + 0.05 * drawn(*each)
    after = torch.where(drawn(*each) > 0, pairs[1], F.avg_pool2d(pairs[1], 3, 1, 1, count_include_pad=False))
    after = after * (1 + 0.03 * drawn(*each))
    return torch.cat([pairs[0], after]) + 0.02 * drawn(*pictures.shape)


def _middles(boxes: np.ndarray) -> np.ndarray:
    """Of boxes (…, 4): (…, 2)."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def _camera_pictures(pictures: np.ndarray, layout: Layout, camera: int) -> Tensor:
    """One camera of pictures (n, 3, h, w), float32 in [0, 1], shrunk to even sides of at most ``side`` pixels."""
    rows, columns = layout.camera_boxes()[camera]
    height, width = rows.stop - rows.start, columns.stop - columns.start
    shrink = max(1.0, max(height, width) / RECIPE["side"])
    size = max(8, 2 * round(height / shrink / 2)), max(8, 2 * round(width / shrink / 2))
    return shrunk(pictures[:, :, rows, columns], size)
