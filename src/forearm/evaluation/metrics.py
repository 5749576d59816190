"""How far a predicted last frame is from the true one, in the picture and in the joints."""

import itertools
from functools import cached_property
from typing import Any

import numpy as np

from forearm.base.errors import ForearmError
from forearm.batch import Batch
from forearm.canvas import (
    CODES,
    MOVE_MINUS,
    MOVE_PLUS,
    STAY,
    Layout,
    action_codes,
    as_float,
    decode_separator,
    decode_strip,
    dominant_dimensions,
)
from forearm.evaluation.samples import Samples, Value
from forearm.evaluation.ssim import blurred, similarity_map, ssim, ssim_valid
from forearm.transitions.store import Outcomes

DYNAMIC = 0.02
"""A pixel is dynamic where the true frames differ by more than this in the mean over channels."""
MOVED = 1e-6
"""A joint has moved where its decoded positions differ by more than this, in its unit."""
PSNR_CAP = 100.0
"""PSNR in dB of two equal pictures, and of any two that are more alike than this."""
EQUAL = 1e-6
"""Errors that differ by less than this share of them are equal: batches of another size round otherwise."""

CHUNK = 64


def score(truth: Any, predicted: Any, layout: Layout, actions: Any) -> dict[str, Value]:
    """Score predictions of anything against the truth.

    Args:
        truth: (N, 3, H, W) canvases, uint8 or float in [0, 1]; NumPy or torch.
        predicted: the predicted canvases, likewise, or only their last frames (N, 3, H, w).
        layout: where everything stands on them.
        actions: (N,) code of each last action.

    Returns:
        Every metric of ``docs/metrics.md`` that one pair of arrays can give. ``motor_position_mae_per_joint`` is a
        list; what no sample defines (no move, no dynamic pixel, an action that does not occur) is None.

    Raises:
        ForearmError: shapes that do not fit, no samples, or predictions that are no numbers.
    """
    truth, predicted, codes = _array(truth), _array(predicted), _array(actions)
    if not len(truth) or len(truth) != len(predicted) or codes.shape != (len(truth),):
        raise ForearmError(
            f"{len(truth)} true canvases, {len(predicted)} predicted ones and actions of shape {codes.shape} "
            "do not make samples; give as many of each, and at least one"
        )
    parts = (slice(start, start + CHUNK) for start in range(0, len(truth), CHUNK))
    return Samples.concatenate(per_sample(Truth(layout, truth[p], codes[p]), predicted[p]) for p in parts).table()


def per_sample(truth: "Truth", predicted: np.ndarray) -> Samples:
    """The same as ``score``, sample by sample, for as many samples as fit in memory."""
    region = _last_frames(truth.layout, predicted)
    return _picture_metrics(truth, region) | _motor_metrics(truth, region)


class Truth:
    """What really happened: the last two frames, the joints in them, the action and the joint that it is about.

    last, previous: (N, 3, H, w) float; positions, before, velocities: (N, J) in units; codes, acting: (N,);
    driven: (N,) whether the action dimension names the acting joint, so that MOVE+ has to raise it.

    Args:
        canvases: (N, 3, H, W) uint8 or float in [0, 1].
        codes: (N,) code of each last action.
        dimensions: (N,) the action dimension that each last decision was about; by default the largest on the
            separator, which says nothing where several joints could have moved and none was commanded.
    """

    def __init__(self, layout: Layout, canvases: np.ndarray, codes: np.ndarray, dimensions: np.ndarray | None = None):
        if canvases.shape[1:] != (3, layout.height, layout.width):
            raise ForearmError(
                f"canvases are {canvases.shape[1:]}, the layout says (3, {layout.height}, {layout.width})"
            )
        self.layout, self.codes = layout, codes
        self.last = as_float(canvases[..., layout.frame_columns(-1)])
        self.previous = as_float(canvases[..., layout.frame_columns(-2)])
        self.positions, self.velocities = decode_strip(layout, self.last)
        self.before, _ = decode_strip(layout, self.previous)
        if dimensions is None:
            dimensions = dominant_dimensions(decode_separator(layout, canvases[..., layout.separator_columns(-1)]))
        self.driven = _named_joints(layout)[dimensions] >= 0
        self.acting = acting_joints(layout, dimensions, self.before, self.positions)

    @classmethod
    def of(cls, batch: Batch) -> "Truth":
        """The truth in a batch on the CPU."""
        codes = action_codes(batch.actions[:, -1].numpy())
        return cls(batch.layout, batch.canvas.numpy(), codes, batch.dimensions.numpy())

    def copied(self, region: np.ndarray) -> bool:
        """Whether the pictures of predicted last frames (N, 3, H, w) are those of the frames before."""
        return np.array_equal(self._pictures(region), self._pictures(self.previous))

    def similarity(self, region: np.ndarray) -> np.ndarray:
        """How alike pictures of last frames (N, 3, H, w) are to the true ones, `similarity_map`.

        Copies of the frames before, which several baselines make, are compared once.
        """
        return self._similarity_of_copies if self.copied(region) else self._similarity(region)

    @cached_property
    def dynamic(self) -> np.ndarray:
        """(N, h, w) bool, the pixels that change."""
        return self._pictures(np.abs(self.last - self.previous)).mean(1) > DYNAMIC

    @cached_property
    def energy(self) -> np.ndarray:
        """(N,) float64, the gradient energy of the true last pictures."""
        return _gradient_energy(self.last, self.layout.camera_boxes())

    @cached_property
    def _similarity_of_copies(self) -> np.ndarray:
        return self._similarity(self.previous)

    @cached_property
    def _mean(self) -> np.ndarray:
        return blurred(self._pictures(self.last))

    def _similarity(self, region: np.ndarray) -> np.ndarray:
        return similarity_map(self._pictures(region), self._pictures(self.last), self._mean)

    def _pictures(self, region: np.ndarray) -> np.ndarray:
        return region[:, :, : self.layout.frame_height]

    def of_acting(self, joints: np.ndarray) -> np.ndarray:
        """The acting joint's column of (N, J): (N,)."""
        return np.take_along_axis(joints, self.acting[:, None], axis=1)[:, 0]


def counterfactuals(truth: Truth, under: dict[int, np.ndarray]) -> Samples:
    """What the action changes: metrics of predictions from the same contexts under every action.

    Args:
        under: for each action code the predicted last frames (N, 3, H, w).
    """
    layout, h = truth.layout, truth.layout.frame_height
    under = {code: _last_frames(layout, region) for code, region in under.items()}
    pairs = itertools.combinations(CODES, 2)
    visual, strip = np.mean([_squared_errors(under[a], under[b], h) for a, b in pairs], axis=0)
    acting = {code: truth.of_acting(decode_strip(layout, region)[0]) for code, region in under.items()}
    above = acting[MOVE_PLUS] > acting[MOVE_MINUS]
    ordered = (acting[MOVE_PLUS] > acting[STAY]) & (acting[STAY] > acting[MOVE_MINUS])
    errors = {code: _squared_errors(region, truth.last, h)[0] for code, region in under.items()}
    psnrs = np.stack([_psnr(errors[code]) for code in CODES], axis=1)
    right = np.take_along_axis(psnrs, truth.codes[:, None], axis=1)[:, 0]
    others = (psnrs.sum(1) - right) / (len(CODES) - 1)
    in_order = np.stack([errors[code] for code in CODES], axis=1)
    best = np.isclose(in_order, in_order.min(1, keepdims=True), rtol=EQUAL, atol=0)
    samples = Samples.of(
        {
            "action_discrimination_score": visual,
            "motor_discrimination_score": strip,
            "counterfactual_order": (ordered, truth.driven),
            "counterfactual_plus_above_minus": (above, truth.driven),
            "controllability_psnr": right - others,
            "k_way_accuracy": np.take_along_axis(best / best.sum(1, keepdims=True), truth.codes[:, None], axis=1)[:, 0],
        }
    )
    return samples | of_moves(samples, truth.codes != STAY)


def against_outcomes(truth: Truth, under: dict[int, np.ndarray], outcomes: Outcomes | None) -> Samples:
    """How far predictions under every action are from what each of them really leads to.

    Args:
        under: for each action code the predicted last frames (N, 3, H, w).
        outcomes: of the same samples; without them no sample defines any of these metrics.
    """
    n, layout = len(truth.codes), truth.layout
    if outcomes is None or not outcomes.known.any():
        undefined = np.zeros(n), np.zeros(n)
        return Samples.of(dict.fromkeys(OUTCOME_METRICS, undefined))
    h, known = layout.frame_height, outcomes.known
    imagined = np.stack([_last_frames(layout, under[code]) for code in CODES], axis=1)
    real = np.where(known[..., None, None, None], outcomes.last, 0)
    errors = np.stack([_squared_errors(imagined[:, a], real[:, a], h)[0] for a in CODES], axis=1)
    off = [np.abs(decode_strip(layout, imagined[:, a])[0] - decode_strip(layout, real[:, a])[0]) for a in CODES]
    joints = np.stack([truth.of_acting(joints) for joints in off], axis=1)
    not_taken = known & (truth.codes[:, None] != np.array(CODES))
    pairs = list(itertools.combinations(CODES, 2))
    both = np.stack([known[:, a] & known[:, b] for a, b in pairs], axis=1)
    effects = [_squared_errors(real[:, a], real[:, b], h)[0] for a, b in pairs]
    misses = [_squared_errors(imagined[:, a] - imagined[:, b], real[:, a] - real[:, b], h)[0] for a, b in pairs]
    effect, _ = mean_where(np.stack(effects, axis=1), both)
    miss, _ = mean_where(np.stack(misses, axis=1), both)
    return Samples.of(
        {
            "counterfactual_mse": mean_where(errors, not_taken),
            **{f"counterfactual_mse_action_{code}": (errors[:, code], known[:, code]) for code in CODES},
            "counterfactual_position_mae": mean_where(joints, not_taken),
        }
    ) | Samples({"counterfactual_effect_error": miss}, {"counterfactual_effect_error": effect})


OUTCOME_METRICS = (
    "counterfactual_mse",
    *(f"counterfactual_mse_action_{code}" for code in CODES),
    "counterfactual_position_mae",
    "counterfactual_effect_error",
)


def _picture_metrics(truth: Truth, region: np.ndarray) -> Samples:
    h = truth.layout.frame_height
    squares = (region - truth.last) ** 2
    visual = squares[:, :, :h].mean((1, 2, 3), dtype=np.float64)
    per_pixel = squares[:, :, :h].mean(1)
    dynamic, moves = truth.dynamic, truth.codes != STAY
    cameras = truth.layout.camera_boxes()
    similarity = truth.similarity(region)
    inner = ssim_valid(similarity, cameras)
    energy, true_energy = (of * moves for of in (_gradient_energy(region, cameras), truth.energy))
    samples = Samples.of(
        {
            "val_mse": visual,
            "val_mse_visual": visual,
            "ssim": ssim(similarity),
            "ssim_valid": (inner, np.isfinite(inner)),
            "psnr": _psnr(visual),
            "val_mse_motor_strip": squares[:, :, h:].mean((1, 2, 3), dtype=np.float64),
            **{f"val_mse_action_{code}": (visual, truth.codes == code) for code in CODES},
            "val_mse_static": mean_where(per_pixel, ~dynamic),
            "val_mse_dynamic": mean_where(per_pixel, dynamic),
        }
    )
    return samples | of_moves(samples, moves) | Samples({"sharpness": energy}, {"sharpness": true_energy})


OF_MOVES = ("val_mse", "psnr", "ssim", "ssim_valid", "controllability_psnr")
"""Metrics that are also taken over moves alone, as copying the last frame is all but right under STAY."""


def of_moves(samples: Samples, moves: np.ndarray) -> Samples:
    """Those of ``OF_MOVES`` that samples have, over the moves (N,) among them, each as ``<name>_moves``."""
    names = [name for name in OF_MOVES if name in samples.sums]
    return Samples(
        {f"{name}_moves": samples.sums[name] * moves for name in names},
        {f"{name}_moves": samples.weights[name] * moves for name in names},
    )


def _gradient_energy(frames: np.ndarray, cameras: list[tuple[slice, slice]]) -> np.ndarray:
    """Sum of squared differences of neighbouring pixels of one camera in frames (N, 3, H, w): (N,) float64."""
    pictures = [frames[:, :, rows, columns] for rows, columns in cameras]
    return sum(
        np.square(np.diff(picture, axis=axis)).sum((1, 2, 3), dtype=np.float64)
        for picture in pictures
        for axis in (2, 3)
    )


def _motor_metrics(truth: Truth, region: np.ndarray) -> Samples:
    positions, velocities = decode_strip(truth.layout, region)
    errors = np.abs(positions - truth.positions)
    change, true_change = positions - truth.before, truth.positions - truth.before
    moves = truth.codes != STAY
    moved = (np.abs(true_change) > MOVED) & moves[:, None]
    right = (np.sign(change) == np.sign(true_change)) & moved
    moved_joints = moved.sum(1)
    return Samples.of(
        {
            "motor_position_mae_mean": errors.mean(1),
            "motor_velocity_mae_mean": np.abs(velocities - truth.velocities).mean(1),
            "motor_direction_accuracy": (right.sum(1) / np.maximum(moved_joints, 1), moved_joints),
            "motor_consistency_error": np.abs(velocities - change).mean(1),
            "motor_position_mae_per_joint": errors,
            **{f"motor_position_mae_action_{code}": (errors.mean(1), truth.codes == code) for code in CODES},
            "acting_joint_direction_accuracy": (truth.of_acting(right), truth.of_acting(moved)),
            "acting_joint_position_mae": truth.of_acting(errors),
        }
    )


def _squared_errors(regions: np.ndarray, others: np.ndarray, frame_height: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean squared error of pictures and of strips, both (N,)."""
    squares = (regions - others) ** 2
    pictures, strips = squares[:, :, :frame_height], squares[:, :, frame_height:]
    return pictures.mean((1, 2, 3), dtype=np.float64), strips.mean((1, 2, 3), dtype=np.float64)


def picture_error(layout: Layout, region: np.ndarray, other: np.ndarray) -> float:
    """Mean squared error of the pictures in two frame regions (3, H, w)."""
    return float(_squared_errors(region[None], other[None], layout.frame_height)[0][0])


def mean_where(values: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean of each sample's values (N, …) under its mask, and whether the mask holds anything: both (N,)."""
    axes = tuple(range(1, values.ndim))
    count = mask.sum(axes)
    return np.where(mask, values, 0).sum(axes, dtype=np.float64) / np.maximum(count, 1), count > 0


def per_patch(planes: np.ndarray, patch: int) -> np.ndarray:
    """Means over patches and channels, (B, C, h, w) to (B, rows, columns)."""
    b, c, h, w = planes.shape
    return planes.reshape(b, c, h // patch, patch, w // patch, patch).mean((1, 3, 5))


def _psnr(errors: np.ndarray) -> np.ndarray:
    return -10 * np.log10(np.maximum(errors, 10 ** (-PSNR_CAP / 10)))


def acting_joints(layout: Layout, dimensions: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The joint that each action is about, (N,) int64: that of its dimension (N,), else the one that changed most.

    Positions before and after the action are (N, J) in the joints' units.
    """
    named = _named_joints(layout)[dimensions]
    most_changed = (np.abs(after - before) / (layout.highs - layout.lows)).argmax(1)
    return np.where(named >= 0, named, most_changed)


def _named_joints(layout: Layout) -> np.ndarray:
    """The joint that each action dimension is about, (A,): the one it drives, else the one of its name, else −1."""
    names = layout.joint_names
    by_name = [names.index(dimension.name) if dimension.name in names else -1 for dimension in layout.actions]
    driven = layout.joint_of_dimension()
    return np.where(driven >= 0, driven, by_name)


def _last_frames(layout: Layout, predicted: np.ndarray) -> np.ndarray:
    if predicted.shape[1:] == (3, layout.height, layout.width):
        predicted = predicted[..., layout.frame_columns(-1)]
    if predicted.shape[1:] != (3, layout.height, layout.frame_width):
        raise ForearmError(
            f"predictions are {predicted.shape[1:]}, the layout says (3, {layout.height}, {layout.width}), "
            f"or (3, {layout.height}, {layout.frame_width}) for the last frame alone"
        )
    if not np.isfinite(predicted).all():
        raise ForearmError("the predictions hold values that are no numbers (NaN or infinite); did training diverge?")
    return as_float(predicted)


def _array(value: Any) -> np.ndarray:
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
