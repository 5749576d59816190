"""The section on uncertainty: calibration of the expected error, how well it finds errors, and unknown actions."""

from typing import Any

import numpy as np

from forearm.canvas import CODE_NAMES, STAY
from forearm.evaluation import Evaluation
from forearm.evaluation.uncertainty import BINS, FIGURES, REMOVED, OfKind, Uncertainty
from forearm.media.words import figure
from forearm.report.charts import line_chart
from forearm.report.wording import listed, span

TENTH = int(np.flatnonzero(np.isclose(REMOVED, 0.1))[0])
UNSEEN = 0.1 / 255
"""A tenth of a grey level: what lies below can neither be seen nor be divided by."""
NAMED = 3
"""So many unknown moves are named one by one."""


def uncertainty_section(evaluation: Evaluation) -> dict[str, Any] | None:
    """What the page's section shows, or None for a model that expects no error."""
    uncertainty = evaluation.uncertainty
    if uncertainty is None:
        return None
    return {
        "claims": [claim for claim in (_size(uncertainty), _order(uncertainty), _unknown(uncertainty)) if claim],
        "texts": FIGURES,
        "figures": uncertainty.figures,
        "intervals": uncertainty.intervals,
        "charts": [
            ("Error of ten equal groups of patches, ordered by expected error", _calibration(uncertainty)),
            ("Mean error of the remaining patches as patches are removed", _sparsification(uncertainty)),
        ],
        "kinds": [_kind(kind) for kind in uncertainty.kinds],
    }


def _kind(kind: OfKind) -> dict[str, Any]:
    """A line of the table, in which all figures are of the same samples: those of known outcome, if there are any."""
    measured = kind.true is not None and kind.true >= UNSEEN**2
    return {
        "name": kind.name,
        "seen": kind.seen,
        "samples": kind.known or kind.samples,
        "expected": kind.expected if kind.expected_of_known is None else kind.expected_of_known,
        "true": kind.true,
        "ratio": kind.ratio if measured else None,
        "interval": kind.interval if measured else None,
    }


def _size(uncertainty: Uncertainty) -> str:
    ratio, interval = uncertainty.figures["expected_error_ratio"], uncertainty.intervals["expected_error_ratio"]
    if ratio is None:
        return "The model made no error, so that its expected error cannot be judged."
    spread = f" (95% interval {span(interval)})" if interval else ""
    return f"The model expects {figure(ratio)} times the squared error that it makes{spread}."


def _order(uncertainty: Uncertainty) -> str:
    if uncertainty.figures["expected_error_ratio"] is None:
        return ""
    held, most = (1 - (1 - REMOVED[TENTH]) * curve[TENTH] for curve in (uncertainty.uncertain_first, uncertainty.ideal))
    share = f"The tenth of the patches with the highest expected error holds {figure(held, 'share')} of the error."
    return f"{share} The worst tenth holds {figure(most, 'share')}."


def _unknown(uncertainty: Uncertainty) -> str:
    """How much more error is expected of moves that training never saw, and whether it is made."""
    moves = [kind for kind in uncertainty.kinds if kind.name != CODE_NAMES[STAY]]
    unknown, known = ([kind for kind in moves if (kind.seen == 0) == never] for never in (True, False))
    if not unknown or any(kind.seen is None for kind in moves):
        return ""
    if not known:
        return "Training saw none of these moves."
    few = len(unknown) <= NAMED
    names = listed([kind.name for kind in unknown]) if few else f"{len(unknown)} of {len(moves)} moves"
    expected = _mean(unknown, "expected", "samples") / max(_mean(known, "expected", "samples"), 1e-12)
    claim = (
        f"Training never saw {names}. The model expects {figure(expected)} times the error of the moves that it knows."
    )
    if all(any(kind.known for kind in kinds) for kinds in (unknown, known)):
        true = _mean(unknown, "true", "known") / max(_mean(known, "true", "known"), 1e-12)
        claim += f" The true error is {figure(true)} times as large."
    return claim


def _mean(kinds: list[OfKind], what: str, weight: str) -> float:
    """Mean over the samples of some kinds, those without any left out."""
    pairs = [(getattr(kind, what), getattr(kind, weight)) for kind in kinds if getattr(kind, weight)]
    return sum(value * count for value, count in pairs) / sum(count for _, count in pairs)


def _calibration(uncertainty: Uncertainty) -> Any:
    tenths = 1 + np.arange(BINS)
    curves = {"true error": uncertainty.true, "expected error": uncertainty.expected}
    series = {name: (tenths, np.array(values, float)) for name, values in curves.items()}
    spread = np.array([pair or (np.nan, np.nan) for pair in uncertainty.true_intervals], float).T
    positive = all((values[np.isfinite(values)] > 0).all() for _, values in series.values())
    return line_chart(series, "group of patches", "squared error", log=positive, bands={"true error": spread})


def _sparsification(uncertainty: Uncertainty) -> Any:
    taken = 100 * REMOVED
    series = {
        "highest expected error first": (taken, np.array(uncertainty.uncertain_first)),
        "worst first (ideal)": (taken, np.array(uncertainty.ideal)),
        "at random": (taken, np.ones_like(taken)),
    }
    return line_chart(series, "patches removed, %", "share of the mean error")
