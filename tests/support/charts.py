"""Charts of pages that many tests write."""

import contextlib
import pickle
import sys
from collections.abc import Iterator
from unittest import mock

from markupsafe import Markup

from forearm.report import charts


@contextlib.contextmanager
def drawn_once() -> Iterator[None]:
    """A curve that pages show again comes from memory: to draw curves takes half the time of a page."""
    draw, drawn = charts.line_chart, {}

    def line_chart(*figures: object, **options: object) -> Markup:
        key = pickle.dumps((figures, options))
        if key not in drawn:
            drawn[key] = draw(*figures, **options)
        return drawn[key]

    with contextlib.ExitStack() as patches:
        for name, module in [*sys.modules.items()]:
            if name.startswith("forearm.report.") and getattr(module, "line_chart", None) is draw:
                patches.enter_context(mock.patch.object(module, "line_chart", line_chart))
        yield
