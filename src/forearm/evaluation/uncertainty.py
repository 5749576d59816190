"""Whether a model knows where it errs: the squared error that it expects, against the true one.

Patches stand for their pixels: expected and true errors are means over them. Bins of equally many patches are compared
as in Naeini et al. 2015 (Obtaining Well Calibrated Probabilities Using Bayesian Binning), and what remains without the
least certain patches as in Ilg et al. 2018 (Uncertainty Estimates and Multi-Hypotheses Networks for Optical Flow).
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from forearm.canvas import CODE_NAMES, CODES, STAY, Layout
from forearm.evaluation.asking import taken
from forearm.evaluation.intervals import LeaveOneOut, estimate, intervals
from forearm.evaluation.metrics import Truth, per_patch
from forearm.evaluation.samples import Growing, Interval, Samples, Value
from forearm.transitions.store import Outcomes

BINS = 10
REMOVED = np.linspace(0, 0.95, 20)
"""Shares of the patches that are taken away, the least certain first."""

ROWS = 1024
"""Samples whose patches are ranked at a time."""

Kinds = dict[tuple[int, int], int]
"""How often training saw each kind of action: (dimension, code) to a number; STAY is (0, STAY)."""


@dataclass(frozen=True)
class OfKind:
    """What is expected under one kind of action.

    name: what is done. seen: how often in training, None where nobody knows. samples: how many contexts were asked
    about it; expected: their mean expected error. known: of how many the outcome is known; expected_of_known and true:
    their mean expected and true error, and ratio: one by the other, with its interval.
    """

    name: str
    seen: int | None
    samples: int
    expected: float
    known: int
    expected_of_known: float | None
    true: float | None
    ratio: Value
    interval: Interval


@dataclass(frozen=True)
class Uncertainty:
    """How far a model's expected squared errors can be trusted.

    figures, intervals: by name, ``FIGURES`` says what each is. expected, true: (BINS,) means of bins with equally many
    patches, from the most to the least certain; true_intervals of the latter. uncertain_first, ideal: mean error of
    what remains without each share of ``REMOVED``, the least certain or the worst patches taken first, as a share of
    the error of all. kinds: action by action.
    """

    figures: dict[str, Value]
    intervals: dict[str, Interval]
    expected: list[float]
    true: list[float]
    true_intervals: list[tuple[float, float] | None]
    uncertain_first: list[float]
    ideal: list[float]
    kinds: list[OfKind]

    def to_json(self) -> dict[str, Any]:
        """What ``metrics.json`` holds under ``uncertainty``."""
        return {**dataclasses.asdict(self), "removed": REMOVED.tolist()}


FIGURES = {
    "expected_error_ratio": "Expected / true error over all patches: 1 is right, above 1 too unsure, below too sure.",
    "expected_error_calibration": (
        f"How far the expected error of {BINS} bins, from the most to the least certain patches, lies from the true "
        "one, as a share of the true error: 0 is right."
    ),
    "expected_error_correlation_within": (
        "How well the expected error orders the patches of a picture by their true one: mean rank correlation."
    ),
    "expected_error_correlation_between": (
        "How well the expected error orders the pictures by their true one: rank correlation."
    ),
    "expected_error_sparsification": (
        "How much of the error goes with the least certain patches, between taking patches by lot (0) and the worst "
        "ones first (1)."
    ),
}


class UncertaintyStatistics:
    """Collects what a model expects and what came true, batch by batch."""

    def __init__(self) -> None:
        self._layout: Layout | None = None
        self._patches = Growing(), Growing()
        self._dimensions: list[np.ndarray] = []
        self._means: list[tuple[np.ndarray, np.ndarray]] = []

    def add(
        self,
        truth: Truth,
        dimensions: np.ndarray,
        expected: dict[int, np.ndarray],
        under: dict[int, np.ndarray],
        outcomes: Outcomes | None,
    ) -> None:
        """Add B samples.

        Args:
            dimensions: (B,) the action dimension that each is about.
            expected: for each code the expected squared error of every pixel of the picture, (B, h, w).
            under: for each code the predicted last frames (B, 3, H, w).
            outcomes: what each action really leads to, where that is known.
        """
        self._layout, own = truth.layout, truth.codes
        h, patch = truth.layout.frame_height, truth.layout.patch
        errors = {code: _patches(_squares(region, truth.last, h), patch) for code, region in under.items()}
        uncertainty = {code: _patches(plane, patch) for code, plane in expected.items()}
        for held, of in zip(self._patches, (uncertainty, errors), strict=True):
            held.extend(taken(of, own))
        true = np.full((len(own), len(CODES)), np.nan)
        if outcomes is not None:
            for a, code in enumerate(CODES):
                known = outcomes.known[:, a]
                true[known, a] = _squares(under[code], outcomes.last[:, a], h)[known].mean((1, 2))
        true[np.arange(len(own)), own] = taken(errors, own).mean(1)
        self._means.append((np.stack([uncertainty[code].mean(1) for code in CODES], axis=1), true))
        self._dimensions.append(dimensions)

    def result(self, groups: np.ndarray, seen: Kinds | None) -> Uncertainty | None:
        """What all samples say, which come from independent groups (N,); None without any."""
        if self._layout is None:
            return None
        expected, true = (held.rows.astype(np.float64) for held in self._patches)
        asked, came = (np.concatenate(parts) for parts in zip(*self._means, strict=True))
        within, between = "expected_error_correlation_within", "expected_error_correlation_between"
        samples = _binned(expected, true) | Samples.of({within: _correlation(expected, true)})
        samples |= Samples({"expected_error_ratio": expected.mean(1)}, {"expected_error_ratio": true.mean(1)})
        table, spread = samples.table(), intervals(samples, groups)
        bins = LeaveOneOut.of(samples.only(("expected", "true")), groups)
        miss = estimate(_miss(**bins.figures), bins.weights["true"].sum(1))
        uncertain_first, ideal = _remaining(expected, true), _remaining(true, true)
        return Uncertainty(
            figures={
                "expected_error_ratio": table["expected_error_ratio"],
                "expected_error_calibration": float(_miss(np.array(table["expected"]), np.array(table["true"]))),
                within: table[within],
                between: float(_correlation(expected.mean(1)[None], true.mean(1)[None])[0]),
                "expected_error_sparsification": float((1 - uncertain_first).mean() / max((1 - ideal).mean(), 1e-12)),
            },
            intervals={
                "expected_error_ratio": spread["expected_error_ratio"],
                "expected_error_calibration": (max(miss.interval()[0], 0.0), miss.interval()[1]) if miss else None,
                within: spread[within],
                between: None,
                "expected_error_sparsification": None,
            },
            expected=table["expected"],  # type: ignore[arg-type]
            true=table["true"],  # type: ignore[arg-type]
            true_intervals=spread["true"],  # type: ignore[arg-type]
            uncertain_first=uncertain_first.tolist(),
            ideal=ideal.tolist(),
            kinds=_by_kind(self._layout, np.concatenate(self._dimensions), asked, came, groups, seen),
        )


def kinds_of(layout: Layout) -> list[tuple[tuple[int, int], str]]:
    """Every kind of action, (dimension, code), and its name: STAY, and each move of each dimension."""
    several = len(layout.actions) > 1
    moves = [
        ((e, code), f"{CODE_NAMES[code]} {dimension.name}" if several else CODE_NAMES[code])
        for e, dimension in enumerate(layout.actions)
        for code in CODES
        if code != STAY
    ]
    return [((0, STAY), CODE_NAMES[STAY]), *moves]


def count_kinds(dimensions: np.ndarray, codes: np.ndarray) -> Kinds:
    """How often each kind occurs among transitions about dimensions (N,) with codes (N,)."""
    pairs, counts = np.unique(np.stack([np.where(codes == STAY, 0, dimensions), codes]), axis=1, return_counts=True)
    return {(int(dimension), int(code)): int(count) for (dimension, code), count in zip(pairs.T, counts, strict=True)}


def _by_kind(
    layout: Layout,
    dimensions: np.ndarray,
    expected: np.ndarray,
    true: np.ndarray,
    groups: np.ndarray,
    seen: Kinds | None,
) -> list[OfKind]:
    """From dimensions (N,) and mean errors under each code, (N, 3) twice, to the kinds that were asked about."""
    kinds = []
    for (dimension, code), name in kinds_of(layout):
        asked = np.ones(len(dimensions), bool) if code == STAY else dimensions == dimension
        uncertainty, error = expected[:, CODES.index(code)], true[:, CODES.index(code)]
        known = asked & np.isfinite(error)
        if not asked.any():
            continue
        ratio = Samples({"ratio": np.where(known, uncertainty, 0)}, {"ratio": np.where(known, error, 0)})
        kinds.append(
            OfKind(
                name=name,
                seen=None if seen is None else seen.get((dimension, code), 0),
                samples=int(asked.sum()),
                expected=float(uncertainty[asked].mean()),
                known=int(known.sum()),
                expected_of_known=float(uncertainty[known].mean()) if known.any() else None,
                true=float(error[known].mean()) if known.any() else None,
                ratio=ratio.table()["ratio"],
                interval=intervals(ratio, groups)["ratio"],
            )
        )
    return kinds


def _binned(expected: np.ndarray, true: np.ndarray) -> Samples:
    """Sums and counts by sample, (N, BINS), of patches (N, P) in bins that share them equally by expected error."""
    n, patches = expected.shape
    ranks = np.empty(expected.size, np.int64)
    ranks[expected.argsort(axis=None, kind="stable")] = np.arange(expected.size)
    bins = ranks * BINS // expected.size + np.repeat(np.arange(n), patches) * BINS
    counts, *sums = (
        np.bincount(bins, values, minlength=n * BINS).reshape(n, BINS)
        for values in (np.ones(expected.size), expected.ravel(), true.ravel())
    )
    return Samples(dict(zip(("expected", "true"), sums, strict=True)), {"expected": counts, "true": counts})


def _miss(expected: np.ndarray, true: np.ndarray) -> np.ndarray:
    """How far bins (…, BINS) lie apart, as a share of the true error."""
    return np.nansum(np.abs(expected - true), axis=-1) / np.maximum(np.nansum(true, axis=-1), 1e-12)


def _remaining(order: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Mean error without each share of ``REMOVED``, the highest in order taken first, as a share of all: (20,)."""
    sums = np.concatenate([[0], error.ravel()[order.argsort(axis=None, kind="stable")].cumsum()])
    kept = np.maximum(1, np.round((1 - REMOVED) * error.size).astype(int))
    return sums[kept] / kept / max(sums[-1] / error.size, 1e-12)


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Spearman's correlation of (N, K) with (N, K), row by row: (N,); 0 where a row is all alike."""
    found = np.empty(len(a))
    for start in range(0, len(a), ROWS):  # ranks of all at once would take many times the memory
        part = slice(start, start + ROWS)
        x, y = (values - values.mean(1, keepdims=True) for values in (rankdata(of[part], axis=1) for of in (a, b)))
        found[part] = (x * y).sum(1) / np.maximum(np.sqrt((x**2).sum(1) * (y**2).sum(1)), 1e-12)
    return found


def _squares(region: np.ndarray, truth: np.ndarray, height: int) -> np.ndarray:
    """Squared error of the picture, mean over channels, (B, h, w)."""
    return ((region - truth)[:, :, :height] ** 2).mean(1)


def _patches(planes: np.ndarray, patch: int) -> np.ndarray:
    """Means over patches, (B, h, w) to (B, patches)."""
    return per_patch(planes[:, None], patch).reshape(len(planes), -1)
