"""What the page shows of a dream, as JSON."""

from typing import Any

import numpy as np

from forearm.canvas import Layout
from forearm.play.dream import Dream, Moment, Preview
from forearm.play.pictures import cameras, heat


def state_of(dream: Dream, whole: bool = False) -> dict[str, Any]:
    """Where a dream stands: the present, what each action would show, and the path so far.

    The path's pictures are told only with ``whole``; who has followed the path has seen them.
    """
    layout, now = dream.layout, dream.now
    previews = dream.previews()
    return {
        "start": {"source": dream.start.source, "number": dream.start.number, "note": dream.start.note},
        "entry": dream.entry,
        "amount": dream.amount,
        "recorded": dream.recorded(),
        "now": _now(layout, now),
        "previews": [_preview(layout, preview) for preview in previews],
        "path": [_place(layout, moment, whole) for moment in dream.path],
    }


def _now(layout: Layout, moment: Moment) -> dict[str, Any]:
    error = moment.error
    doubt = moment.taken.doubt if moment.taken else None
    return {
        "moment": moment.number,
        "pictures": cameras(layout, moment.picture),
        "joints": moment.joints.tolist(),
        "uncertainty": None if doubt is None else cameras(layout, heat(doubt)),
        "truth": None if moment.truth is None else cameras(layout, moment.truth.picture),
        "true_joints": None if moment.truth is None else moment.truth.joints.tolist(),
        "error": None if error is None else cameras(layout, heat(error)),
    }


def _preview(layout: Layout, preview: Preview) -> dict[str, Any]:
    return {
        "code": preview.action.code,
        "words": preview.action.in_words(layout),
        "pictures": cameras(layout, preview.picture),
        "joints": preview.joints.tolist(),
        "expected_error": _root(preview.expected),
        "uncertainty": None if preview.doubt is None else cameras(layout, heat(preview.doubt)),
    }


def _place(layout: Layout, moment: Moment, whole: bool) -> dict[str, Any]:
    taken = moment.taken
    return {
        "moment": moment.number,
        "pictures": cameras(layout, moment.picture) if whole else None,
        "code": taken.action.code if taken else None,
        "words": taken.action.in_words(layout) if taken else "the start",
        "expected_error": _root(taken.expected) if taken else None,
        "error": _root(moment.mse),
    }


def _root(squared: float | None) -> float | None:
    """The root of a mean squared error: a share of the range from black to white."""
    return None if squared is None else float(np.sqrt(squared))
