"""What learning says on the console: how far it is, and a line for each cycle."""

from typing import Protocol

from rich.console import Console

from forearm.learning.folder import Cycle
from forearm.learning.judging import Judged
from forearm.learning.loop import Learner


class Advance(Protocol):
    """Is told how many actions are done, of how many, and what else is to be said."""

    def __call__(self, done: int, total: int | None, now: str = "") -> None: ...


class Teller:
    """Shows how far a learner is, and prints each cycle once.

    Args:
        advance: is told how many actions are done, of how many.
        console: where to print.
    """

    def __init__(self, advance: Advance, console: Console):
        self._advance, self._console, self._told = advance, console, 0

    def __call__(self, learner: Learner) -> None:
        """Tell what is new."""
        self._advance(len(learner.trials), learner.settings.actions, learner.stage)
        for cycle in learner.cycles[self._told :]:
            self._console.print(line_of(cycle), soft_wrap=True, markup=False)
        self._told = len(learner.cycles)


def line_of(cycle: Cycle) -> str:
    """A cycle in a line; errors are mean squared errors of pictures after moves."""
    parts = [f"cycle {cycle.number}: {cycle.actions} actions", f"locked error {figure(cycle.locked)}"]
    if cycle.wide:
        parts.append(f"wide {figure(cycle.wide)}")
    if cycle.verified:
        parts.append(f"fresh moments {figure(cycle.verified)}")
    if cycle.newness:
        parts.append(f"{cycle.newness.unlike:.0%} of the batch looks new")
    if cycle.number:
        parts.append("accepted, surely better" if cycle.better else "accepted" if cycle.accepted else "rejected")
    return ", ".join(parts)


def figure(judged: Judged | None) -> str:
    """An error with its 95% interval."""
    if judged is None:
        return "no number"
    interval = f" ({judged.interval[0]:.2g} to {judged.interval[1]:.2g})" if judged.interval else ""
    return f"{judged.value:.3g}{interval}"
