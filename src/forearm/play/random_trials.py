"""Trials without a page: random actions, each predicted, carried out and kept, and a table of them."""

from collections.abc import Iterable, Iterator

import numpy as np

from forearm.canvas import CODES, MOVE_PLUS
from forearm.media.words import NOTHING
from forearm.play.live import LiveSession
from forearm.play.state import percent
from forearm.play.trials import Summary, Trial

SMALLEST = 0.2
"""The least value of a continuous move that is drawn."""


def random_trials(session: LiveSession, total: int, seed: int) -> Iterator[Trial]:
    """Carry out random actions until the session's folder holds so many trials.

    Every action of every dimension comes once, in random order, before any comes again; those that lead out of the
    bounds are left out, and continuous moves have a random size.

    Raises:
        ForearmError: the arm fails; trials until then are kept.
    """
    trials, discrete = session.folder.trials, session.layout.discrete
    rng = np.random.default_rng([seed, len(trials)])
    waiting: list[tuple[int, int]] = []
    while len(trials) < total:
        if not waiting:
            pairs = [(dimension, code) for dimension in range(len(session.layout.actions)) for code in CODES]
            waiting = [pairs[i] for i in rng.permutation(len(pairs))]
        dimension, code = waiting.pop()
        is_sized = not discrete and code >= MOVE_PLUS
        session.choose(dimension, float(rng.uniform(SMALLEST, 1)) if is_sized else None)
        if session.forbidden(session.actions()[code]) is None:
            session.step(code)
            yield trials[-1]


COLUMNS = ("trial", "action", "expected", "error", "unchanged", "time")
SIDES, WIDTHS = "><>>>>", (5, 32, 8, 7, 9, 6)


def table(trials: list[Trial], new: Iterable[Trial]) -> Iterator[str]:
    """A line for each trial as it comes, and in the end the means of all ``trials``, with the error's 95% interval.

    Errors are roots of mean squared errors, as shares of the range from black to white.
    """
    yield _row(*COLUMNS)
    for trial in new:
        errors = (percent(mse) or NOTHING for mse in (trial.expected_mse, trial.mse, trial.unchanged_mse))
        yield _row(str(len(trials)), trial.action, *errors, f"{trial.action_seconds:.1f} s")
    mean = Summary.of(trials)
    errors = (percent(mse) or NOTHING for mse in (mean.expected_mse, mean.mse, mean.unchanged_mse))
    yield _row("mean", f"of {mean.count} trials", *errors, "")
    if mean.interval:
        low, high = map(percent, mean.interval)
        yield f"95% interval of the mean error: {low} to {high}"


def _row(*cells: str) -> str:
    aligned = (f"{cell:{side}{width}}" for cell, side, width in zip(cells, SIDES, WIDTHS, strict=True))
    return "  ".join(aligned).rstrip()
