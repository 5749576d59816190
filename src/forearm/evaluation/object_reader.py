"""Reading from pictures where objects are: a network that has learned it from true pictures alone.

A small convolutional network is shown a picture, a box around an object in it, and a later picture, and says where the
object is now. It knows no object by name, so it also finds objects that it never saw.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forearm.base.errors import ForearmError
from forearm.canvas import Layout
from forearm.evaluation.finder import CELL, Finder
from forearm.evaluation.learned import chunks, fit, frame_pictures, kept_or_learned, shrunk
from forearm.evaluation.projection import box_middles, fit_projections, fixed_cameras, on_table, visible_objects
from forearm.transitions.objects import PUSHED, Motions
from forearm.transitions.store import Columns, TransitionSet, frames_of

FILE = "object-readout.safetensors"
"""Where the network is kept in the folder of the dataset whose pictures it learned."""
RECIPE = {
    "version": 3,
    "steps": 3000,
    "pairs": 16,
    "rate": 3e-3,
    "matrix_rate": 0.02,
    "decay": 0.01,
    "side": 64,
    "pictures": 6000,
}
"""How it is trained: ``pairs`` of pictures a step, of cameras of ``side`` pixels; at most so many ``pictures``."""
FEWEST = 200
"""With fewer training pictures than these nothing is learned."""
STRAY = 5.0
"""How many pixels beside the truth the fine network begins when it learns: standard deviation, at most."""
NEAR = 10
"""Half of the pairs of pictures that are learned are up to so many steps apart, the others anywhere in an episode."""


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


class Seen:
    """Objects in pictures, as a `Finder` takes them.

    Args:
        pictures: (b, 3, h, w) before.
        sample: (n,) in which of them each object is.
        boxes: (n, 4) shares of the picture.
    """

    def __init__(self, pictures: Tensor, sample: np.ndarray, boxes: np.ndarray):
        self.size = np.array(pictures.shape[:1:-1])
        self.which = torch.from_numpy(sample)
        self.boxes = torch.from_numpy((boxes * np.tile(self.size, 2)).astype(np.float32))
        self.middles = (self.boxes[:, :2] + self.boxes[:, 2:]) / 2


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

    @torch.inference_mode()
    def offsets(self, before: np.ndarray, motions: Motions, sought: np.ndarray | None = None) -> np.ndarray:
        """How far from the middles of their boxes objects are found where nothing has moved, (n, K, C, 2) pixels.

        NaN for an object that is not sought, where a camera moves, or where the middle of the object's box lies outside
        its picture before or after.

        Args:
            before: (n, 3, h, w) pictures without strips, uint8 or float in [0, 1].
            motions: of which the boxes before are shown to the network.
            sought: (n, K) bool, which objects; all by default.
        """
        found = np.full((*motions.boxes.shape[:1], *motions.boxes.shape[2:4], 2), np.nan)
        visible = visible_objects(motions.boxes)
        if sought is not None:
            visible &= sought[..., None]
        for camera in self.cameras:
            sample, number = np.nonzero(visible[:, :, camera])
            if len(sample):
                picture = _camera_pictures(before, self.layout, camera)
                seen = Seen(picture, sample, motions.boxes[sample, 0, number, camera])
                at = self.network.finder(picture, picture, seen.which, seen.boxes, seen.middles)
                found[sample, number, camera] = at - seen.middles
        return found

    @torch.inference_mode()
    def places(self, before: np.ndarray, after: np.ndarray, motions: Motions, offsets: np.ndarray) -> np.ndarray:
        """Where objects are found, (n, K, C, 2), as fractions of each camera's picture; NaN where ``offsets`` is.

        Args:
            before: (n, 3, h, w) pictures without strips, uint8 or float in [0, 1].
            after: the later ones. If both are equal, an object is found where it was.
            motions: of which the boxes before are shown to the network.
            offsets: of ``before``; they are taken off, so that a bias of the network is no motion.
        """
        known = np.isfinite(offsets).all(-1)
        found = np.where(known[..., None], box_middles(motions.boxes[:, 0]), np.nan)
        for camera in self.cameras:
            first, later = (_camera_pictures(of, self.layout, camera) for of in (before, after))
            differ = (first != later).flatten(1).any(1).numpy()
            sample, number = np.nonzero(known[:, :, camera] & differ[:, None])
            if len(sample):
                seen = Seen(first, sample, motions.boxes[sample, 0, number, camera])
                near = self.network.finder.coarsely(first, later, seen.which, seen.boxes)
                at = self.network.finder(first, later, seen.which, seen.boxes, near).double().numpy()
                found[sample, number, camera] = (at - offsets[sample, number, camera]) / seen.size
        return found

    def shifts(self, places: np.ndarray, motions: Motions) -> np.ndarray:
        """How far along the table objects moved, (n, K, 2) millimetres, from where they are found (n, K, C, 2).

        One picture does not show how high an object is, so the height is taken from the truth. Mean over the cameras
        that see it; NaN where none does.
        """
        middles = box_middles(motions.boxes[:, 0])
        moved = []
        for camera in self.cameras:
            a = self.network.projection[camera].numpy()
            before = on_table(a, middles[:, :, camera], motions.heights[:, 0])
            moved.append(1000 * (on_table(a, places[:, :, camera], motions.heights[:, 1]) - before))
        if not moved:
            return np.full((*motions.shifts.shape[:2], 2), np.nan)
        known = np.isfinite(moved).all(-1, keepdims=True)
        mean = np.where(known, moved, 0).sum(0) / np.where(known.any(0), known.sum(0), np.nan)
        return np.round(mean, 3)  # what rounding leaves of no shift is none


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
        network.fixed.copy_(torch.from_numpy(fixed_cameras(layout, motions)))
        network.projection.copy_(torch.from_numpy(fit_projections(positions, box_middles(boxes))))
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
        """Indices of ``count`` pictures and of later ones, half up to ``NEAR`` steps on, half anywhere."""
        first = torch.randint(len(self), (count,), generator=random).numpy()
        left = self.last[first] - first
        near = np.minimum(torch.randint(1, NEAR + 1, (count,), generator=random).numpy() * self.step, left)
        far = np.ceil(torch.rand(count, generator=random).numpy() * left).astype(np.int64)
        return first, first + np.where(torch.rand(count, generator=random).numpy() < 0.5, near, far)


def _drawn(data: TransitionSet, rows: np.ndarray) -> Drawn:
    """As many whole episodes of some rows as have ``pictures`` pictures, at least ``FEWEST``, always the same."""
    chosen = Columns(*(getattr(data.columns, field.name)[rows] for field in dataclasses.fields(Columns)))
    there = [frames for frames in frames_of(chosen, len(data.episodes)) if len(frames)]
    if not there:  # a pure test set
        return Drawn(np.zeros(0, np.int64), np.zeros(0, np.int64), 1)
    order = np.random.default_rng(0).permutation(len(there))
    held = np.cumsum([len(there[number]) for number in order])
    count = max(np.searchsorted(held, RECIPE["pictures"], "right"), 1 + np.searchsorted(held, FEWEST))
    parts = [there[number] for number in order[:count]]
    ends = np.repeat(np.cumsum([len(part) for part in parts]) - 1, [len(part) for part in parts])
    frames = np.concatenate(parts)
    place = dict(zip(frames.tolist(), range(len(frames)), strict=True))
    steps = [place[last] - place[before] for before, last in chosen.frames[:, -2:].tolist() if before in place]
    return Drawn(frames, ends, max(1, round(float(np.median(steps)))))


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
        first, later, moved = first[chosen], later[chosen], moved[chosen]
        both = np.stack([boxes[first], boxes[later]], axis=1)
        seen = visible_objects(both)[:, :, cameras[number]]
        sample, which = _some(np.nonzero(seen & ~(moved >= PUSHED / 1000)), np.nonzero(seen & (moved >= PUSHED / 1000)))
        shown = torch.cat([pictures[number][first], pictures[number][later]]).float() / 255
        size = np.tile(np.array(shown.shape[:1:-1], np.float32), 2)
        where = torch.from_numpy(both[sample, :, which, cameras[number]] * size)
        shown, where = _mirrored(shown, where, random)
        before, after = _varied(shown, random).chunk(2)
        pictured = (before, after, torch.from_numpy(sample), where[:, 0])
        middles = (where[:, 1, :2] + where[:, 1, 2:]) / 2
        astray = STRAY * torch.rand(len(middles), 1, generator=random) * torch.randn(middles.shape, generator=random)
        coarse = network.finder.coarsely(*pictured)
        fine = network.finder.corrected(*pictured, middles + astray)
        return F.smooth_l1_loss(coarse, middles, beta=0.3) + 2 * F.smooth_l1_loss(fine, middles, beta=0.1)

    fit(network, loss, RECIPE, network.finder.hidden_matrices())


def _some(still: tuple[np.ndarray, ...], moved: tuple[np.ndarray, ...]) -> list[np.ndarray]:
    """Numbers of pictures and of objects: all that moved, and of those that stood still at most half as many."""
    kept = slice(None, None, max(1, 2 * len(still[0]) // max(1, len(moved[0]))))
    return [np.concatenate([of[kept], all_of]) for of, all_of in zip(still, moved, strict=True)]


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


def _camera_pictures(pictures: np.ndarray, layout: Layout, camera: int) -> Tensor:
    """One camera of pictures (n, 3, h, w), float32 in [0, 1], shrunk to at most ``side`` pixels a side."""
    rows, columns = layout.camera_boxes()[camera]
    height, width = rows.stop - rows.start, columns.stop - columns.start
    shrink = max(1.0, max(height, width) / RECIPE["side"])
    size = tuple(max(2 * CELL, CELL * round(side / shrink / CELL)) for side in (height, width))
    return shrunk(pictures[:, :, rows, columns], (size[0], size[1]))
