"""What several runs show of the same samples under every action, side by side."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from forearm.canvas import CODES, Layout
from forearm.evaluation import MODEL
from forearm.evaluation.saved import Saved
from forearm.media.pictures import channels_last
from forearm.report.html import image

SHOWN_FRAME = 96
"""About how many pixels wide a frame is shown."""


def samples_side_by_side(evaluations: dict[str, Saved], layout: Layout) -> Iterator[dict[str, Any]]:
    """The drawn samples that all runs have, each with what happened and what every run shows.

    Args:
        evaluations: of each run by its name, on the same samples.
    """
    drawn = [saved.examples.row.tolist() for saved in evaluations.values()]
    for row in drawn[0]:
        if all(row in rows for rows in drawn):
            yield _sample(evaluations, layout, row)


def _sample(evaluations: dict[str, Saved], layout: Layout, row: int) -> dict[str, Any]:
    first = next(iter(evaluations.values()))
    examples, k = first.examples, _index(first, row)
    joint, acting = layout.joints[examples.acting[k]], int(examples.acting[k])
    after = examples.positions_after[k][:, acting]
    scored = int(np.flatnonzero(first.rows == row)[0])
    errors = {run: float(saved.samples[MODEL].sums["val_mse"][scored]) for run, saved in evaluations.items()}
    best = min(errors.values()) if len(errors) > 1 else None
    return {
        "row": row,
        "code": int(examples.code[k]),
        "joint": f"{joint.name} in {joint.unit}" if joint.unit else joint.name,
        "before": _shown(layout, examples.truth[k][..., layout.frame_columns(-2)]),
        "value": _position(examples.before[k][acting]),
        "outcomes": [
            {
                "image": _shown(layout, examples.outcomes[k][code]) if examples.known[k][code] else None,
                "value": _position(after[code]) if examples.known[k][code] else "",
            }
            for code in CODES
        ],
        "runs": [
            {
                "name": run,
                "error": f"{errors[run]:.5f}",
                "best": errors[run] == best,
                "under": _predictions(saved, layout, row, after),
            }
            for run, saved in evaluations.items()
        ],
    }


def _predictions(saved: Saved, layout: Layout, row: int, after: np.ndarray) -> list[dict[str, Any]]:
    """What a run shows under every action; after: (C,) true positions of the acting joint, NaN where unknown."""
    examples, k = saved.examples, _index(saved, row)
    positions = examples.positions_under[k][:, int(examples.acting[k])]
    return [
        {
            "image": _shown(layout, examples.under[k][code]),
            "value": _position(positions[code]),
            "off": _position(positions[code] - after[code], "+") if np.isfinite(after[code]) else "",
            "guess": code in saved.figures["guesses"],
        }
        for code in CODES
    ]


def _index(saved: Saved, row: int) -> int:
    return int(np.flatnonzero(saved.examples.row == row)[0])


def _shown(layout: Layout, region: np.ndarray) -> dict[str, Any]:
    """A frame without its strip, whose values stand below it as numbers."""
    return image(channels_last(region[:, : layout.frame_height]), SHOWN_FRAME)


def _position(value: float, sign: str = "-") -> str:
    return f"{value:{sign}.2f}".replace("-", "−")
