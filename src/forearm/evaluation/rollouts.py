"""How errors grow with the horizon: predictions fed back along recorded paths."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from forearm.batch import Predictor
from forearm.canvas import as_uint8
from forearm.environment import rollout
from forearm.evaluation.baselines import PERSISTENCE
from forearm.evaluation.catalogue import METRICS
from forearm.evaluation.metrics import Truth, per_sample
from forearm.evaluation.samples import MODEL, Interval, Samples, Value, differences, intervals
from forearm.transitions.store import TransitionSet

CURVES = ("psnr", "val_mse", "ssim", "acting_joint_position_mae")
"""The metrics that are measured at every horizon."""
FILMS = 3
"""How many paths are kept as pictures."""
AT_ONCE = 8
"""Paths that are followed together, so that their pictures fit in memory."""


@dataclass(frozen=True)
class Film:
    """A path as it was, and as the model imagined it from the first frame and the actions alone.

    rows, codes: (K,) int64, the transitions and the codes of their actions. start: (3, H, w) uint8, the frame that
    was known; truth, predicted: (K, 3, H, w) uint8, the frames after each step. psnr: (K,) of the predictions.
    """

    rows: np.ndarray
    codes: np.ndarray
    start: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    psnr: np.ndarray


@dataclass(frozen=True)
class Rollouts:
    """Errors by horizon, over ``paths`` paths from ``episodes`` episodes.

    horizons: (K,) how many steps were predicted, 1 to K. curves: for the model (``MODEL``) and each baseline, for each
    of ``CURVES``, K values. intervals: 95% intervals of the model's. differences: those of (the model's − the
    baseline's), paired, for each baseline.
    """

    horizons: np.ndarray
    paths: int
    episodes: int
    curves: dict[str, dict[str, list[float | None]]]
    intervals: dict[str, list[tuple[float, float] | None]]
    differences: dict[str, dict[str, list[tuple[float, float] | None]]]
    films: list[Film]

    def verdicts(self, name: str, baseline: str = PERSISTENCE) -> list[str | None]:
        """Whether the model is "better", "worse" or "level" at each horizon; None where it cannot be said."""
        of_baseline = self.differences.get(baseline, {name: [None] * len(self.horizons)})
        return [METRICS[name].verdict(difference) for difference in of_baseline[name]]

    def to_json(self) -> dict[str, Any]:
        """What ``metrics.json`` holds under ``rollouts``."""
        return {
            "horizons": self.horizons.tolist(),
            "paths": self.paths,
            "episodes": self.episodes,
            "curves": self.curves,
            "intervals": self.intervals,
            "differences": self.differences,
            "verdicts": {name: self.verdicts(name) for name in CURVES},
        }


def draw_paths(data: TransitionSet, rows: np.ndarray, horizon: int, count: int) -> np.ndarray:
    """Paths of transitions that follow one another, drawn by lot and equally from the episodes.

    The same for every model that is evaluated on these rows.

    Returns:
        (P, K) int64 rows, P ≤ ``count`` and K ≤ ``horizon``, as long as the longest path; none where nothing follows
        anything.
    """
    longest = min(horizon, data.longest_path(rows)) if count else 0
    if longest < 2:
        return np.empty((0, 0), np.int64)
    paths = data.paths(longest, rows)
    paths = paths[np.random.default_rng(0).permutation(len(paths))]
    turns, taken = [], Counter[int]()
    for episode in data.groups[paths[:, 0]].tolist():
        turns.append(taken[episode])
        taken[episode] += 1
    return paths[np.argsort(turns, kind="stable")[:count]]


def roll_out(
    predictor: Predictor,
    data: TransitionSet,
    paths: np.ndarray,
    baselines: dict[str, Predictor],
    device: torch.device | str = "cpu",
    watch: Callable[[int], None] = lambda steps: None,
) -> Rollouts | None:
    """Follow paths by a predictor's own predictions, and by the baselines'; None without paths.

    Everyone is given the frames before the first prediction and all actions. Persistence so holds the first frame
    still.

    Args:
        paths: (P, K) rows of the dataset, as ``draw_paths`` gives them.
        baselines: predictors on the CPU.
        watch: called with the number of steps that are done of all paths.
    """
    if not len(paths):
        return None
    everyone = {MODEL: (predictor, device), **{name: (baseline, "cpu") for name, baseline in baselines.items()}}
    measured: dict[str, list[Samples]] = {name: [] for name in everyone}
    films: list[Film] = []
    for start in range(0, len(paths), AT_ONCE):
        part = paths[start : start + AT_ONCE]
        for name, (who, where) in everyone.items():
            frames = _follow(who, data, part, where)
            samples = _measure(data, part, frames)
            measured[name].append(samples)
            if name == MODEL:
                wanted = range(min(len(part), FILMS - len(films)))
                films += [_film(data, part[i], frames[i], samples.sums["psnr"][i]) for i in wanted]
        watch((start + len(part)) * paths.shape[1])
    samples_of = {name: Samples.concatenate(parts) for name, parts in measured.items()}
    episodes, mine = data.groups[paths[:, 0]], samples_of[MODEL]
    return Rollouts(
        horizons=1 + np.arange(paths.shape[1]),
        paths=len(paths),
        episodes=len(np.unique(episodes)),
        curves={name: _lists(samples.table()) for name, samples in samples_of.items()},
        intervals=_lists(intervals(mine, episodes)),
        differences={name: _lists(differences(mine, samples_of[name], episodes)) for name in baselines},
        films=films,
    )


def _follow(predictor: Predictor, data: TransitionSet, paths: np.ndarray, device: torch.device | str) -> np.ndarray:
    """Frames after every step of paths (n, K): (n, K, 3, H, w) float32 in [0, 1]."""
    first = data.batch(paths[:, 0]).context().to(device)
    actions = torch.from_numpy(data.action_values(paths.ravel())[:, -1].reshape(*paths.shape, -1))
    dimensions = torch.from_numpy(data.columns.dimensions[paths])
    steps = rollout(predictor, first, actions.to(device), dimensions.to(device))
    return torch.stack([step.frame for step in steps], dim=1).float().cpu().numpy()


def _measure(data: TransitionSet, paths: np.ndarray, frames: np.ndarray) -> Samples:
    """The metrics of ``CURVES`` for frames (n, K, 3, H, w), each (n, K)."""
    steps = [per_sample(Truth.of(data.batch(rows)), frames[:, k]) for k, rows in enumerate(paths.T)]
    return Samples(
        {name: np.stack([step.sums[name] for step in steps], axis=1) for name in CURVES},
        {name: np.stack([step.weights[name] for step in steps], axis=1) for name in CURVES},
    )


def _film(data: TransitionSet, path: np.ndarray, frames: np.ndarray, psnr: np.ndarray) -> Film:
    return Film(
        rows=path,
        codes=data.codes[path],
        start=as_uint8(data.batch(path[:1]).known().frame.numpy()[0]),
        truth=as_uint8(data.last_frames(path)),
        predicted=as_uint8(frames),
        psnr=psnr,
    )


def _lists(table: dict[str, Value] | dict[str, Interval]) -> dict[str, Any]:
    """The table of metrics that have a value for each horizon, and so are lists."""
    return {name: list(values) for name, values in table.items() if isinstance(values, list)}
