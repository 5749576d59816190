"""How errors grow with the horizon: predictions fed back along recorded paths."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch

from forearm.batch import Predictor
from forearm.canvas import as_uint8
from forearm.environment import rollout_steps
from forearm.evaluation.baselines import MEAN_FRAME, PERSISTENCE
from forearm.evaluation.catalogue import FED_BACK, FED_BACK_SECONDS, FED_BACK_STEPS, METRICS, lasting
from forearm.evaluation.intervals import Differences, difference_spans, differences, intervals, verdicts
from forearm.evaluation.metrics import Truth, per_sample
from forearm.evaluation.object_reader import ObjectReader
from forearm.evaluation.objects import ObjectSight
from forearm.evaluation.readout import Reader, Sight
from forearm.evaluation.samples import MODEL, Interval, Samples, Value, ratio
from forearm.transitions.split import in_turn
from forearm.transitions.store import TransitionSet

CURVES = ("psnr", "val_mse", "ssim", "sharpness", "acting_joint_position_mae", "motor_position_mae_mean")
"""The metrics that are measured at every horizon."""
READ_CURVES = ("readout_position_mae_mean",)
"""Those that are measured too where joints are read from the pictures."""
OBJECT_CURVES = ("object_position_error", "object_motion_slope", "object_direction_accuracy")
"""Those that are measured too where objects are found in the pictures: from the start to each step."""
FLOOR = "floor"
FILMS = 3
"""How many paths are kept as pictures."""
AT_ONCE = 8
"""Paths that are followed together."""
RIVALS = (PERSISTENCE, MEAN_FRAME)
"""The baselines against which rollouts are judged."""
ENOUGH = 6
"""Paths are only so long that this many groups of episodes have one, where there are as many."""


@dataclass(frozen=True)
class Film:
    """A path as it was, and as the model imagined it from the first frame and the actions alone."""

    rows: np.ndarray
    """(K,) int64, the transitions."""
    codes: np.ndarray
    """(K,) int64, the codes of their actions."""
    actions: np.ndarray
    """(K, A) float32, the action values."""
    start: np.ndarray
    """(3, H, w) uint8, the frame that was known."""
    truth: np.ndarray
    """(K, 3, H, w) uint8, the true frames after each step."""
    predicted: np.ndarray
    """(K, 3, H, w) uint8, the predicted ones."""
    psnr: np.ndarray
    """(K,) dB, of the predictions."""


@dataclass(frozen=True)
class FedBack:
    """How alike pictures are to the truth after ``FED_BACK_SECONDS`` of each path, or at the end of shorter paths."""

    steps: int
    seconds: float | None
    """How long these steps last; None where nobody knows."""
    starts: np.ndarray
    """(P,) int64, the row of the dataset with which each path begins."""
    similarity: dict[str, np.ndarray]
    """(P,) SSIM of each path, of the model and each baseline."""

    @classmethod
    def of(cls, similarity: dict[str, np.ndarray], starts: np.ndarray, step: float | None) -> "FedBack":
        """From the SSIM (P, K) of paths at each of K steps; a step lasts so many seconds, or nobody knows."""
        longest = next(iter(similarity.values())).shape[1]
        steps = min(longest, max(1, round(FED_BACK_SECONDS / step)) if step else FED_BACK_STEPS)
        after = {who: values[:, steps - 1] for who, values in similarity.items()}
        return cls(steps, steps * step if step else None, starts, after)

    @property
    def lasts(self) -> str:
        """How long that is, in words."""
        return lasting(self.steps, self.seconds)

    def samples(self, rows: np.ndarray, groups: Callable[[np.ndarray], np.ndarray]) -> dict[str, Samples]:
        """The metric ``FED_BACK`` of the model and each baseline at scored samples.

        A path counts at the sample with which it begins; if that was not drawn, at the nearest one of its group. So the
        metric is the mean over the paths, and its groups are those of the paths.

        Args:
            rows: (N,) int64, the scored rows, of which one at least is of the group of each path.
            groups: the group of each of some rows of the dataset.
        """
        of_rows, places = groups(rows), []
        for start, group in zip(self.starts, groups(self.starts), strict=True):
            alike = np.flatnonzero(of_rows == group)
            places.append(alike[np.abs(rows[alike] - start).argmin()])
        weights = np.bincount(places, minlength=len(rows)).astype(np.float64)
        return {
            who: Samples({FED_BACK: np.bincount(places, values, len(rows))}, {FED_BACK: weights})
            for who, values in self.similarity.items()
        }

    def to_json(self) -> dict[str, Any]:
        """What ``metrics.json`` holds of it beside the metric."""
        return {"steps": self.steps, "seconds": self.seconds}


@dataclass(frozen=True)
class Rollouts:
    """Errors by horizon, over ``paths`` paths from ``groups`` independent groups (``grouped_by`` episodes or scenes).

    horizons: (K,) how many steps were predicted, 1 to K. curves: for the model (``MODEL``) and each baseline, for each
    of ``CURVES``, K values. intervals: 95% intervals of the model's. differences: (the model's − the baseline's),
    paired, for each baseline. floor: what is read from the true pictures, for those of ``READ_CURVES`` and
    ``OBJECT_CURVES`` that were measured, K values.
    """

    horizons: np.ndarray
    paths: int
    groups: int
    grouped_by: str
    curves: dict[str, dict[str, list[float | None]]]
    intervals: dict[str, list[tuple[float, float] | None]]
    differences: dict[str, Differences]
    films: list[Film]
    ahead: dict[str, dict[str, list[int]]]
    """For each of ``RIVALS``, by metric: in how many paths the model is better, at each horizon."""
    fed_back: FedBack
    floor: dict[str, list[float | None]] = field(default_factory=dict)

    def verdicts(self, name: str, baseline: str = PERSISTENCE) -> list[str | None]:
        """Whether the model is "better", "worse" or "level" at each horizon; None where it cannot be said.

        Holm's correction is for all horizons and metrics, against persistence and the mean frame.
        """
        return [self._verdicts.get((name, baseline, k)) for k in range(len(self.horizons))]

    @cached_property
    def _verdicts(self) -> dict[tuple[Any, ...], str | None]:
        return verdicts(
            {
                (name, baseline, k): difference
                for baseline in RIVALS
                for name in self.curves[MODEL]
                if METRICS[name].fair(baseline)
                for k, difference in enumerate(self.differences.get(baseline, {}).get(name, ()))
            }
        )

    def better_than(self, baseline: str, name: str = "val_mse") -> tuple[list[bool], bool]:
        """Whether the model is better than a baseline at each horizon, and whether that is sure.

        Where there is no verdict on some horizon the means decide on all, and that is not sure.
        """
        verdicts = self.verdicts(name, baseline)
        if None not in verdicts:
            return [verdict == "better" for verdict in verdicts], True
        mine, theirs = (np.array(self.curves[who][name], float) for who in (MODEL, baseline))
        return (mine < theirs if METRICS[name].better == "lower" else mine > theirs).tolist(), False

    def to_json(self) -> dict[str, Any]:
        """What ``metrics.json`` holds under ``rollouts``."""
        return {
            "horizons": self.horizons.tolist(),
            "paths": self.paths,
            "groups": self.groups,
            "grouped_by": self.grouped_by,
            "curves": self.curves,
            "fed_back": self.fed_back.to_json(),
            "floor": self.floor,
            "intervals": self.intervals,
            "ahead": self.ahead,
            "differences": {name: difference_spans(found) for name, found in self.differences.items()},
            "verdicts": {name: self.verdicts(name) for name in self.curves[MODEL]},
        }


def draw_paths(data: TransitionSet, rows: np.ndarray, horizon: int, count: int) -> np.ndarray:
    """Paths of transitions that follow one another, drawn by lot and equally from the episodes.

    The same for every model that is evaluated on these rows.

    Returns:
        (P, K) int64 rows, P ≤ ``count`` and K ≤ ``horizon``. K is as large as ``ENOUGH`` groups of episodes allow, or
        all of those that have paths, if they are fewer. None where nothing follows anything.
    """
    places, groups = data.path_places(rows), data.groups[rows]
    of_groups = np.zeros(groups.max(initial=0) + 1, np.int64)
    np.maximum.at(of_groups, groups, places)
    lengths = np.sort(of_groups[of_groups > 1])[::-1]
    longest = min(horizon, lengths[:ENOUGH].min(initial=horizon)) if len(lengths) and count else 0
    if longest < 2:
        return np.empty((0, 0), np.int64)
    paths = data.paths(longest, rows)
    return paths[in_turn(data.groups[paths[:, 0]], count)]


def roll_out(
    predictor: Predictor,
    data: TransitionSet,
    paths: np.ndarray,
    baselines: dict[str, Predictor],
    device: torch.device | str = "cpu",
    watch: Callable[[int], None] = lambda steps: None,
    reader: Reader | None = None,
    finder: ObjectReader | None = None,
) -> Rollouts | None:
    """Follow paths by a predictor's own predictions, and by the baselines'; None without paths.

    Everyone is given the frames before the first prediction and all actions. Persistence so holds the first frame
    still. Frames of ``AT_ONCE`` paths at one step are in memory, and all those of ``FILMS`` paths.

    Args:
        paths: (P, K) rows of the dataset, as ``draw_paths`` gives them.
        baselines: predictors on the CPU.
        watch: called with the number of steps that are done of all paths.
        reader: reads joints from pictures.
        finder: finds objects in them.
    """
    if not len(paths):
        return None
    everyone = {MODEL: (predictor, device), **{name: (baseline, "cpu") for name, baseline in baselines.items()}}
    measured: dict[str, list[Samples]] = {name: [] for name in (*everyone, FLOOR)}
    read = (*(READ_CURVES if reader else ()), *(OBJECT_CURVES if finder else ()))
    films: list[Film] = []
    for start in range(0, len(paths), AT_ONCE):
        part = paths[start : start + AT_ONCE]
        filmed = min(len(part), max(0, FILMS - start))
        walks = {name: _walk(who, data, part, where) for name, (who, where) in everyone.items()}
        steps: dict[str, list[Samples]] = {name: [] for name in measured}
        start_frames = data.batch(part[:, 0]).known().frame.numpy()
        shown = []
        for k, rows in enumerate(part.T):
            truth = Truth.of(data.batch(rows))
            motions = data.motions(part[:, 0], rows) if finder else None
            joints, objects = Sight(reader, truth), ObjectSight(finder, motions, truth, start_frames)
            for name, walk in walks.items():
                frames = next(walk)
                found = joints.samples(frames) | objects.samples(frames)
                steps[name].append(per_sample(truth, frames).only(CURVES) | found.only(read))
                if name == MODEL:
                    shown.append(as_uint8(frames[:filmed]))
            steps[FLOOR].append((joints.samples(truth.last) | objects.floor()).only(read))
            watch(start * paths.shape[1] + len(part) * (k + 1))
        for name, of in steps.items():
            measured[name].append(_by_horizon(of))
        psnr = measured[MODEL][-1].sums["psnr"]
        films += [_film(data, part[i], np.stack([frames[i] for frames in shown]), psnr[i]) for i in range(filmed)]
    samples_of = {name: Samples.concatenate(parts) for name, parts in measured.items() if name != FLOOR or read}
    floor = samples_of.pop(FLOOR, None)
    of_rows, grouped_by = data.independent_groups(np.unique(paths))
    groups, mine = of_rows[paths[:, 0]], samples_of[MODEL]
    return Rollouts(
        horizons=1 + np.arange(paths.shape[1]),
        paths=len(paths),
        groups=len(np.unique(groups)),
        grouped_by=grouped_by,
        curves={name: _lists(samples.table()) for name, samples in samples_of.items()},
        intervals=_lists(intervals(mine, groups)),
        differences={name: _lists(differences(mine, samples_of[name], groups)) for name in baselines},
        films=films,
        floor=_lists(floor.table()) if floor else {},
        ahead={name: _ahead(mine, samples_of[name]) for name in RIVALS if name in baselines},
        fed_back=FedBack.of(
            {name: samples.sums["ssim"] for name, samples in samples_of.items()},
            paths[:, 0],
            data.layout.action_duration,
        ),
    )


def _walk(
    predictor: Predictor, data: TransitionSet, paths: np.ndarray, device: torch.device | str
) -> Iterator[np.ndarray]:
    """Frames after each step of paths (n, K): K times (n, 3, H, w) float32 in [0, 1]."""
    first = data.batch(paths[:, 0]).context().to(device)
    actions = torch.from_numpy(data.action_values(paths.ravel())[:, -1].reshape(*paths.shape, -1))
    dimensions = torch.from_numpy(data.columns.dimensions[paths])
    for step in rollout_steps(predictor, first, actions.to(device), dimensions.to(device)):
        yield step.frame.float().cpu().numpy()


def _by_horizon(steps: list[Samples]) -> Samples:
    """The metrics of n paths at each of K steps, each (n,), as metrics (n, K)."""
    names = steps[0].sums
    return Samples(
        {name: np.stack([step.sums[name] for step in steps], axis=1) for name in names},
        {name: np.stack([step.weights[name] for step in steps], axis=1) for name in names},
    )


def _ahead(mine: Samples, theirs: Samples) -> dict[str, list[int]]:
    """For metrics (n, K) of n paths at each of K steps: in how many paths the one is better than the other."""

    def losses(samples: Samples, name: str) -> np.ndarray:
        values = ratio(samples.sums[name], samples.weights[name])
        if METRICS[name].better == "nearest 1":
            return np.abs(values - 1)
        return values if METRICS[name].better == "lower" else -values

    return {name: (losses(mine, name) < losses(theirs, name)).sum(0).tolist() for name in mine.sums}


def _film(data: TransitionSet, path: np.ndarray, predicted: np.ndarray, psnr: np.ndarray) -> Film:
    return Film(
        rows=path,
        codes=data.codes[path],
        actions=data.action_values(path)[:, -1],
        start=as_uint8(data.batch(path[:1]).known().frame.numpy()[0]),
        truth=as_uint8(data.last_frames(path)),
        predicted=predicted,
        psnr=psnr,
    )


def _lists(table: dict[str, Value] | dict[str, Interval] | Differences) -> dict[str, Any]:
    """The table of metrics that have a value for each horizon, and so are lists."""
    return {name: list(values) for name, values in table.items() if isinstance(values, list)}
