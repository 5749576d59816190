"""What several runs predict for the same samples under every action, side by side."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from forearm.canvas import Layout
from forearm.evaluation import MODEL
from forearm.evaluation.saved import Saved
from forearm.media.pictures import channels_last
from forearm.media.words import figure
from forearm.report.html import image

SHOWN_FRAME = 96
"""About how many pixels wide a frame is shown."""


def samples_side_by_side(evaluations: dict[str, Saved], layout: Layout) -> Iterator[dict[str, Any]]:
    """The drawn samples that all runs have, each with what happened and what every run predicts."""
    drawn = [saved.examples.row.tolist() for saved in evaluations.values()]
    for row in drawn[0]:
        if all(row in rows for rows in drawn):
            yield _sample(evaluations, layout, row)


def _sample(evaluations: dict[str, Saved], layout: Layout, row: int) -> dict[str, Any]:
    first = next(iter(evaluations.values()))
    examples, k = first.examples, _index(first, row)
    joint, acting = layout.joints[examples.acting[k]], int(examples.acting[k])
    scored = int(np.flatnonzero(first.rows == row)[0])
    errors = {run: float(saved.samples[MODEL].sums["val_mse"][scored]) for run, saved in evaluations.items()}
    best = min(errors.values()) if len(errors) > 1 else None
    return {
        "row": row,
        "code": int(examples.code[k]),
        "joint": joint,
        "previous": examples.truth[k][..., layout.frame_columns(-2)],
        "before": examples.before[k][acting],
        "known": examples.known[k],
        "outcomes": examples.outcomes[k],
        "after": examples.positions_after[k][:, acting],
        "runs": [
            {
                "name": run,
                "error": figure(errors[run]),
                "best": errors[run] == best,
                "under": saved.examples.under[i],
                "positions": saved.examples.positions_under[i][:, int(saved.examples.acting[i])],
                "guesses": saved.figures["guesses"],
            }
            for run, saved in evaluations.items()
            for i in [_index(saved, row)]
        ],
    }


def _index(saved: Saved, row: int) -> int:
    return int(np.flatnonzero(saved.examples.row == row)[0])


def shown_frame(layout: Layout, region: np.ndarray) -> dict[str, Any]:
    """A frame (3, H, w) uint8 without its strip, whose values stand below it as numbers."""
    return image(channels_last(region[:, : layout.frame_height]), SHOWN_FRAME)
