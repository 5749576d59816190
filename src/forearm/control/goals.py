"""What is wanted, as a cost of predicted frames: joints, a picture, a crop in a part of it, or an object at a place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from forearm.arms.pictures import fitted
from forearm.base.errors import ForearmError
from forearm.batch import Prediction, precise
from forearm.canvas import Layout, plain
from forearm.control.tracking import Appearance

TOLERANCE = 0.1
"""Share of a full move, summed over the joints, up to which a joint goal counts as reached."""


LEAST_CONTRAST = 1e-3
"""A part of a picture with less contrast (the length of its pixels around their mean) is one even grey."""


HIDDEN = 0.4
"""Share of the clearness with which an object was first seen, below which it is hidden."""


FAR = 0.05
"""Widths of the picture: an object that was to stay and is seen so far from there spoils a plan."""


class Goal(Protocol):
    """Says how far frames are from what is wanted. ``enough`` is the cost up to which the goal counts as reached."""

    @property
    def enough(self) -> float: ...

    def cost(self, seen: Prediction) -> Tensor:
        """How far each of B predictions is from the goal, at least 0.

        Returns:
            (B,) float32.
        """
        ...


@dataclass(frozen=True)
class JointGoal:
    """Joints are to be somewhere; all others may be anywhere.

    The cost is the way still to go in moves: the sum over the joints of |target − position| / scale, where scale is
    what an action of value 1 changes (where no action drives the joint, what it changes at most from frame to frame).

    Attributes:
        layout: of the predictions.
        targets: (J,) in the joints' units, NaN where a joint may be anywhere.
        enough: moves.
    """

    layout: Layout
    targets: np.ndarray
    enough: float = TOLERANCE

    @classmethod
    def named(cls, layout: Layout, wanted: Mapping[str, float]) -> "JointGoal":
        """A goal from joints' names, with or without LeRobot's ending ``.pos``, and positions in their units."""
        if not wanted:
            raise ForearmError("a joint goal needs at least one joint, such as shoulder_pan=30")
        targets = np.full(len(layout.joints), np.nan)
        names = [plain(name) for name in layout.joint_names]
        for name, target in wanted.items():
            if plain(name) not in names:
                raise ForearmError(f"no joint {name!r}; there are {', '.join(layout.joint_names)}")
            joint = layout.joints[names.index(plain(name))]
            if not joint.low <= target <= joint.high:
                raise ForearmError(
                    f"the goal {name}={target:g} lies outside the joint's limits, "
                    f"{joint.low:.4g} to {joint.high:.4g} {joint.unit}; choose one within what the model was trained on"
                )
            targets[names.index(plain(name))] = target
        return cls(layout, targets)

    def cost(self, seen: Prediction) -> Tensor:
        positions = seen.joints(self.layout)
        targets, scales = (torch.from_numpy(each).to(positions) for each in (self.targets, joint_scales(self.layout)))
        moves = (positions - targets).abs() / scales
        return torch.where(targets.isnan(), 0, moves).sum(dim=1).float()


def joint_scales(layout: Layout) -> np.ndarray:
    """What an action of value 1 changes at each joint, (J,) in its unit; where none does, the most a frame changes."""
    scales = layout.max_velocities.copy()
    for dimension, joint in zip(layout.actions, layout.joint_of_dimension(), strict=True):
        if joint >= 0:
            scales[joint] = dimension.scale
    return scales


@dataclass(frozen=True)
class PictureGoal:
    """The cameras are to show given pictures.

    The cost is the squared error summed over a pyramid of ever smaller pictures (Burt and Adelson 1983). That of the
    pictures as they are has a narrow valley: a move away, nothing lies on anything any more, and farther away it is no
    worse. Small pictures see from afar on which side the goal lies.

    Attributes:
        layout: of the predictions.
        frame: (3, h, w) float32 in [0, 1], the cameras' pictures as they stand in a frame.
        weights: (1, h, w) float32, how much each pixel counts; 0 where the picture does not matter.
        enough: of that sum; as much as a grey level of noise makes.
    """

    layout: Layout
    frame: Tensor
    weights: Tensor
    enough: float = 1e-4

    @classmethod
    def of(
        cls, layout: Layout, pictures: Sequence[np.ndarray | None], masks: Sequence[np.ndarray | None] | None = None
    ) -> "PictureGoal":
        """A goal from a picture for each camera; None where a camera may show anything.

        Args:
            pictures: (h, w, 3) uint8 each, in the order of the layout's cameras, and in the sizes that these have there
                or that they record.
            masks: (h, w) each, in the layout's sizes, true where a picture counts; None: everywhere.
        """
        frame = torch.zeros(3, layout.frame_height, layout.frame_width)
        weights = torch.zeros(1, layout.frame_height, layout.frame_width)
        masks = [None] * len(pictures) if masks is None else masks
        if not len(pictures) == len(masks) == len(layout.cameras):
            names = ", ".join(camera.name for camera in layout.cameras)
            raise ForearmError(f"the goal has {len(pictures)} pictures; give one for each camera: {names}")
        for camera, box, picture, mask in zip(layout.cameras, layout.camera_boxes(), pictures, masks, strict=True):
            size = (camera.height, camera.width)
            if picture is None:
                continue
            if picture.ndim == 3 and picture.shape[:2] == camera.recorded_size:
                picture = fitted(camera, picture)
            if picture.shape != (*size, 3) or picture.dtype != np.uint8 or (mask is not None and mask.shape != size):
                shown = picture.shape if mask is None else mask.shape
                raise ForearmError(
                    f"the goal picture of camera {camera.name} is {'×'.join(map(str, shown[:2]))} pixels high and "
                    f"wide, not {size[0]}×{size[1]}; give it in colour and in the size that the model knows, or, "
                    "without a mask, as the camera takes it"
                )
            frame[:, *box] = torch.from_numpy(picture.copy()).permute(2, 0, 1) / 255
            weights[:, *box] = 1.0 if mask is None else torch.from_numpy(mask.astype(np.float32))
        if not weights.any():
            raise ForearmError("no pixel of the goal pictures counts; give a picture, or a mask that is not black")
        return cls(layout, frame, weights)

    def cost(self, seen: Prediction) -> Tensor:
        regions = seen.frame
        total = regions.new_zeros(len(regions))
        frame, weights = self.frame.to(regions), self.weights.to(regions)
        share = weights.sum()
        for box in self.layout.camera_boxes():
            differences, counts = (regions[..., *box] - frame[:, *box]) * weights[:, *box], weights[:, *box]
            pixels = 1.0
            while True:
                error = (differences.square() / counts.clamp_min(1e-6)).mean(dim=1).sum(dim=(1, 2))
                total = total + error * pixels / share
                if min(differences.shape[-2:]) < 2:
                    break
                differences, counts = F.avg_pool2d(differences, 2), F.avg_pool2d(counts, 2)
                pixels *= 4
        return total


@dataclass(frozen=True)
class RegionGoal:
    """Somewhere in a box of a camera's picture a given crop is to appear.

    The cost is 1 − the best normalised cross-correlation of the crop with a position in the box (Lewis 1995, Fast
    Normalized Cross-Correlation): 0 where it is there, about 1 where nothing resembles it.

    Attributes:
        crop: (3, ch, cw) float32 in [0, 1].
        rows, columns: of the box within a frame, at least as large as the crop.
        enough: 1 − correlation.
    """

    crop: Tensor
    rows: slice
    columns: slice
    enough: float = 0.05

    @classmethod
    def of(cls, layout: Layout, camera: str, box: tuple[int, int, int, int], crop: np.ndarray) -> "RegionGoal":
        """A goal from a box (x, y, width, height) of a camera's picture and a crop (ch, cw, 3) uint8."""
        number = camera_number(layout, camera)
        known, (rows, columns) = layout.cameras[number], layout.camera_boxes()[number]
        x, y, width, height = box
        if min(x, y) < 0 or min(width, height) < 1 or x + width > known.width or y + height > known.height:
            raise ForearmError(
                f"the box {x} {y} {width} {height} (x, y, width, height) leaves the picture of camera {camera}, "
                f"which is {known.width} wide and {known.height} high"
            )
        if crop.ndim != 3 or crop.shape[2] != 3 or crop.shape[0] > height or crop.shape[1] > width:
            raise ForearmError(
                f"the crop is {crop.shape[1]} wide and {crop.shape[0]} high and does not fit in a box {width} wide and "
                f"{height} high; choose a larger box"
            )
        pixels = torch.from_numpy(crop.copy()).permute(2, 0, 1) / 255
        if pixels.std() < 1e-3:
            raise ForearmError("the crop is one even grey, which is like nothing; choose one that shows something")
        top, left = rows.start + y, columns.start + x
        return cls(pixels, slice(top, top + height), slice(left, left + width))

    def cost(self, seen: Prediction) -> Tensor:
        return 1 - self.likeness(seen).amax(dim=(1, 2))

    def likeness(self, seen: Prediction) -> Tensor:
        """The correlation of the crop with each position in the box, (B, h, w) by its top left corner."""
        regions = seen.frame[..., self.rows, self.columns]
        regions = regions - regions.mean(dim=(1, 2, 3), keepdim=True)  # for the precision of what follows
        crop = self.crop.to(regions)
        crop = F.normalize((crop - crop.mean()).flatten(), dim=0).view_as(crop)
        along = F.conv2d(regions, crop[None])[:, 0]  # the crop's mean is 0, so that of what lies under it is no matter
        size, (height, width) = crop.numel(), crop.shape[-2:]
        values = precise(regions)
        squares, sums = (_box_sums(each.sum(dim=1), height, width) for each in (values.square(), values))
        lengths = (squares - sums.square() / size).clamp_min(LEAST_CONTRAST**2).sqrt()
        return along / lengths.to(along)


def _box_sums(values: Tensor, height: int, width: int) -> Tensor:
    """Sums of values (B, h, w) over every box, (B, h − height + 1, w − width + 1), by a summed-area table."""
    table = F.pad(values.cumsum(dim=-1).cumsum(dim=-2), (1, 0, 1, 0))
    rows = table[:, height:] - table[:, :-height]
    return rows[..., width:] - rows[..., :-width]


@dataclass(frozen=True)
class ObjectGoal:
    """An object is to be somewhere in a camera's picture.

    The cost is its distance from there in widths of the picture. Its place is read from the predicted pictures by its
    colours, as `Appearance` has learned them from the first picture; where it is hidden it counts as not moved.

    Attributes:
        layout: of the predictions.
        camera: index of the camera in whose picture it is looked for.
        appearance: how the object looks there.
        target: (2,) where it is to be, pixels right and down.
        enough: widths of the picture; about a pixel of a small one.
        anywhere: look for it in the whole picture, not only near its way to the target.
    """

    layout: Layout
    camera: int
    appearance: Appearance
    target: Tensor
    enough: float = 0.02
    anywhere: bool = False

    @classmethod
    def of(
        cls,
        layout: Layout,
        picture: np.ndarray,
        camera: str,
        box: tuple[float, float, float, float],
        target: tuple[float, float],
    ) -> "ObjectGoal":
        """A goal from what is seen now.

        Args:
            layout: of the predictions.
            picture: (h, w, 3) uint8, the cameras' pictures as they stand in a frame.
            camera: the name of the one in which the object is shown.
            box: left, top, right and bottom of the object, pixels of that camera's picture.
            target: where its middle is to be, pixels right and down.

        Raises:
            ForearmError: no such camera, the box or the target leave its picture, or the object does not stand out.
        """
        number = camera_number(layout, camera)
        place = layout.camera_boxes()[number]
        shown = torch.from_numpy(picture[place].copy()).permute(2, 0, 1).float() / 255
        return cls(layout, number, Appearance.of(shown, box), torch.zeros(2)).at(target)

    def at(self, target: tuple[float, float]) -> "ObjectGoal":
        """The same object is to be at another place, pixels right and down.

        Raises:
            ForearmError: it is not within the camera's picture.
        """
        known = self.layout.cameras[self.camera]
        if not (0 <= target[0] <= known.width and 0 <= target[1] <= known.height):
            raise ForearmError(
                f"the target {target[0]:g},{target[1]:g} is not within the picture of camera {known.name}, which is "
                f"{known.width} wide and {known.height} high"
            )
        return replace(self, target=torch.tensor(target, dtype=torch.float32))

    def as_in(self, picture: np.ndarray) -> "ObjectGoal":
        """The same object is to be where a picture (h, w, 3) uint8 of the camera shows it.

        Raises:
            ForearmError: the picture has another size, or does not show the object.
        """
        known, height, width = self.layout.cameras[self.camera], *picture.shape[:2]
        if (height, width) != (known.height, known.width):
            raise ForearmError(
                f"the goal picture is {height}×{width} pixels high and wide, not {known.height}×{known.width}; give it "
                "in the size that the model knows"
            )
        shown = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255
        middle, likely = self.appearance.locate(shown, self.target, reach=float(width + height))
        if float(likely) < HIDDEN:
            raise ForearmError("the goal picture does not show the object; give one from the same camera and scene")
        return replace(self, target=middle[0])

    def places(self, seen: Prediction) -> Tensor:
        """Where the object is in each of B predictions, (B, 2) pixels of the camera's picture."""
        known = self.layout.cameras[self.camera]
        reach = float(known.width + known.height) if self.anywhere else None
        pictures = seen.frame[..., *self.layout.camera_boxes()[self.camera]]
        middle, likely = self.appearance.locate(pictures, self.target, reach)
        return torch.where((likely < HIDDEN)[:, None], self.appearance.at.to(middle), middle)

    def cost(self, seen: Prediction) -> Tensor:
        places = self.places(seen)
        return (places - self.target.to(places)).norm(dim=1) / self.layout.cameras[self.camera].width


@dataclass(frozen=True)
class KeepingGoal:
    """A goal that may not be reached by moving some objects.

    The cost is the goal's, and more for each object that is seen elsewhere than at first.

    Attributes:
        goal: what is wanted besides.
        kept: each object at the place where it is.
        price: of an object that moves by ``FAR``, in the unit of the goal's cost.
    """

    goal: Goal
    kept: tuple[ObjectGoal, ...]
    price: float

    @classmethod
    def of(cls, goal: Goal, kept: Sequence[ObjectGoal], present: Prediction) -> "KeepingGoal":
        """An object that moves by ``FAR`` costs as much as all that is still to do at present."""
        kept = tuple(replace(each, anywhere=True) for each in kept)
        return cls(goal, kept, max(float(goal.cost(present)), goal.enough))

    @property
    def enough(self) -> float:
        return self.goal.enough

    def moved(self, seen: Prediction) -> Tensor:
        """How far the objects are seen from where they stood, summed, (B,) in widths of the picture."""
        return torch.stack([(object.cost(seen) - object.enough).clamp_min(0) for object in self.kept]).sum(dim=0)

    def cost(self, seen: Prediction) -> Tensor:
        return self.goal.cost(seen) + self.price / FAR * self.moved(seen)


def inner(goal: Goal) -> Goal:
    """What is wanted besides keeping objects where they are."""
    return goal.goal if isinstance(goal, KeepingGoal) else goal


def camera_number(layout: Layout, camera: str) -> int:
    """The index of the camera of that name.

    Raises:
        ForearmError: there is none.
    """
    names = [known.name for known in layout.cameras]
    if camera not in names:
        raise ForearmError(f"no camera {camera!r}; there are {', '.join(names)}")
    return names.index(camera)
