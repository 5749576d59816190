"""The few samples that are shown as pictures, kept while the validation set streams by."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from forearm.batch import Batch
from forearm.canvas import CODES, STAY, as_uint8, decode_strip
from forearm.evaluation.metrics import Truth, picture_error
from forearm.transitions.store import Outcomes


@dataclass(frozen=True)
class Example:
    """One validation sample under every action.

    truth: (3, H, W) uint8, what was recorded. under: for each code the same canvas with that action and what the
    model predicts, (3, H, W) uint8; under the sample's own ``code`` this is the prediction that is scored.
    baselines: last frames that the baselines predict, (3, H, w) uint8. before, positions: true joint positions,
    (J,) float64 in units; positions_under: the predicted ones for each code. acting: index of the joint that the
    action drives. error: the sample's ``val_mse``. Where it is known what an action really leads to: outcomes, the
    true last frames (3, H, w) uint8, positions_after, the true positions (J,), and errors_under, the mean squared
    error of the picture predicted under that action. expected_error: the squared error that the model expects of each
    pixel of the picture that is scored, (h, w), if it expects any.
    """

    row: int
    code: int
    error: float
    truth: np.ndarray
    under: dict[int, np.ndarray]
    baselines: dict[str, np.ndarray]
    acting: int
    before: np.ndarray
    positions: np.ndarray
    positions_under: dict[int, np.ndarray]
    outcomes: dict[int, np.ndarray] = field(default_factory=dict)
    positions_after: dict[int, np.ndarray] = field(default_factory=dict)
    errors_under: dict[int, float] = field(default_factory=dict)
    expected_error: np.ndarray | None = None

    @property
    def replayed(self) -> bool:
        """Whether it is known what other actions than the one taken lead to."""
        return len(self.outcomes) > 1


EXTREMES = 2
"""How many of the best and of the worst samples are kept."""
STAY_SHARE = 4
"""One in so many samples that are drawn is a STAY."""


class Gallery:
    """Chooses examples in one pass: ``size`` at random, most of them moves, and the best and the worst moves.

    The random choice depends on the sample's row alone, so that every model evaluated on a dataset shows the same.
    """

    def __init__(self, size: int):
        self.size = size
        self._drawn: dict[int, list[tuple[float, Example]]] = {code: [] for code in CODES}
        self._best: list[tuple[float, Example]] = []
        self._worst: list[tuple[float, Example]] = []

    def consider(self, row: int, code: int, error: float, make: Callable[[], Example]) -> None:
        """Keep a sample if it is among the first by any of the three orders; only then ``make`` is called."""
        random = np.random.default_rng(row).random()
        orders = [(self._drawn[code], random, self.size)]
        if code != STAY:
            orders += [(self._best, error, EXTREMES), (self._worst, -error, EXTREMES)]
        wanted = [(kept, key, size) for kept, key, size in orders if len(kept) < size or (size and key < kept[-1][0])]
        example = make() if wanted else None
        for kept, key, size in wanted:
            kept.append((key, example))  # type: ignore[arg-type]
            kept.sort(key=lambda pair: pair[0])
            del kept[size:]

    def drawn(self) -> list[Example]:
        """The random choice: moves in turn, and one STAY in four, which all look alike; more where moves are few."""
        stays = [pair[1] for pair in self._drawn[STAY]]
        in_turn = itertools.zip_longest(*(kept for code, kept in self._drawn.items() if code != STAY))
        moves = [pair[1] for pair in itertools.chain(*in_turn) if pair]
        few = max(self.size // STAY_SHARE, self.size - len(moves))
        return moves[: self.size - min(few, len(stays))] + stays[:few]

    def best(self) -> list[Example]:
        """Moves of the lowest error, the best first."""
        return [example for _, example in self._best]

    def worst(self) -> list[Example]:
        """Moves of the highest error, the worst first."""
        return [example for _, example in self._worst]


def example_of(
    i: int,
    batch: Batch,
    truth: Truth,
    under: dict[int, np.ndarray],
    baselines: dict[str, np.ndarray],
    error: float,
    outcomes: Outcomes | None,
    expected_error: np.ndarray | None,
) -> Example:
    """The i-th sample of a batch, from what was predicted of all."""
    layout, one = truth.layout, batch[i : i + 1]
    real = {code: outcomes.last[i, code] for code in CODES if outcomes.known[i, code]} if outcomes else {}
    canvases = {}
    for code, regions in under.items():
        canvas = (one if code == truth.codes[i] else one.under(code)).canvas.numpy()[0].copy()
        canvas[..., layout.frame_columns(-1)] = regions[i]
        canvases[code] = as_uint8(canvas)
    return Example(
        row=int(batch.rows[i]),
        code=int(truth.codes[i]),
        error=float(error),
        truth=as_uint8(one.canvas.numpy()[0]),
        under=canvases,
        baselines={name: as_uint8(regions[i]) for name, regions in baselines.items()},
        acting=int(truth.acting[i]),
        before=truth.before[i],
        positions=truth.positions[i],
        positions_under={code: decode_strip(layout, regions[i : i + 1])[0][0] for code, regions in under.items()},
        outcomes={code: as_uint8(region) for code, region in real.items()},
        positions_after={code: decode_strip(layout, region[None])[0][0] for code, region in real.items()},
        errors_under={code: picture_error(layout, under[code][i], region) for code, region in real.items()},
        expected_error=None if expected_error is None else expected_error[i],
    )
