"""What the page shows of learning, and what people say on it. Learning writes, the server's thread reads."""

import threading
from typing import Any

import numpy as np

from forearm.canvas import CODE_NAMES, Layout
from forearm.learning.cells import listed, past_errors, visits_of
from forearm.learning.folder import Cycle
from forearm.learning.loop import Learner
from forearm.media.pictures import data_uri
from forearm.media.words import action_words, reading

STAGES = {
    "": "begins",
    "locked": "records the locked set",
    "wide": "records the wide set",
    "plan": "decides what to record",
    "verify": "verifies: predicts, acts, compares",
    "explore": "explores: records where it is weakest",
    "build": "builds a dataset",
    "retrain": "trains",
    "judge": "judges the new run",
    "ended": "has ended",
}
WAITING = 0.5
"""Seconds between two looks at whether a person has answered."""


class Board:
    """The latest state, and what people have said.

    Args:
        where: the world in words.
    """

    def __init__(self, where: str):
        self._where = where
        self._answered = threading.Event()
        self._learner: Learner | None = None
        self.waiting = ""
        """What a person is asked for at present."""
        self.state: dict[str, Any] = {"stage": "", "doing": "begins", "where": where}

    def show(self, learner: Learner) -> None:
        """Show what a learner has come to; called by its own thread."""
        self._learner = learner
        self.state = state_of(learner, self._where)

    def ask(self, wanted: str) -> None:
        """Wait until a person has rearranged the scene; ``wanted`` says how.

        Raises:
            Stopped: there is a stop file.
        """
        self._answered.clear()
        self.waiting = wanted
        try:
            while not self._answered.wait(WAITING):
                if self._learner is not None:
                    self._learner.explorer.require_going_on()
        finally:
            self.waiting = ""

    def say_rearranged(self) -> None:
        """The scene was rearranged: by a person who was asked, or of their own accord."""
        if self.waiting:
            self._answered.set()
        elif self._learner is not None:
            self._learner.rearranged = True

    def stop(self) -> None:
        """End learning after the action under way."""
        if self._learner is not None and not self._learner.outcome:
            self._learner.folder.stop_file.touch()

    def to_json(self) -> dict[str, Any]:
        """The latest state."""
        return self.state | {"waiting": self.waiting}


def state_of(learner: Learner, where: str) -> dict[str, Any]:
    """All that the page shows, ready for JSON."""
    grid, begun = learner.grid, learner.begun
    cells = [trial.cell for trial in learner.trials]
    visits = learner.explorer.visited + visits_of(grid.shape, cells)
    errors = past_errors(grid.shape, cells, [trial.error for trial in learner.trials])
    allowed = np.ones(grid.shape, bool) if begun is None else np.array(begun.allowed)
    return {
        "where": where,
        "run": learner.first.name,
        "out": str(learner.folder.path),
        "stage": learner.stage,
        "doing": STAGES.get(learner.stage, learner.stage),
        "outcome": learner.outcome,
        "stopping": learner.folder.stop_file.exists() and not learner.outcome,
        "actions": len(learner.trials),
        "budget": learner.settings.actions,
        "scene": learner.trials[-1].scene if learner.trials else 0,
        "rearranged": learner.rearranged,
        "choose": learner.settings.choose,
        "target": learner.settings.target,
        "share": begun.share if begun else learner.settings.range_start,
        "covered": int((allowed & (visits > 0)).sum()),
        "reachable": int(allowed.sum()),
        "codes": list(CODE_NAMES),
        "joints": _joints(grid.layout, grid.shape[1]),
        "visits": visits.tolist(),
        "errors": listed(errors),
        "allowed": allowed.tolist(),
        "cycles": [_cycle(cycle) for cycle in learner.cycles],
        "training": {name: learner.training.get(name) for name in ("step", "steps", "loss", "val_loss")},
        "latest": _latest(learner),
    }


def _joints(layout: Layout, bins: int) -> list[dict[str, Any]]:
    found = []
    for dimension, joint in zip(layout.actions, layout.joint_of_dimension(), strict=True):
        driven = layout.joints[joint]
        edges = np.linspace(driven.low, driven.high, bins + 1).tolist()
        found.append({"name": dimension.name, "edges": [reading(edge, driven) for edge in edges]})
    return found


def _cycle(cycle: Cycle) -> dict[str, Any]:
    judged = {name: getattr(cycle, name) for name in ("locked", "wide", "verified", "change")}
    return {
        **{name: value and {"value": value.value, "interval": value.interval} for name, value in judged.items()},
        **{name: getattr(cycle, name) for name in ("number", "actions", "scene", "share", "accepted", "better")},
        "newness": cycle.newness and vars(cycle.newness),
        "seconds": cycle.record_seconds + cycle.train_seconds,
    }


def _latest(learner: Learner) -> dict[str, Any] | None:
    if learner.latest is None:
        return None
    trial, shown = learner.latest
    layout = learner.grid.layout
    return {
        "action": action_words(layout, learner.grid.action(trial.cell).values),
        "purpose": trial.purpose,
        "error": trial.error,
        "expected_error": trial.expected_error,
        "unchanged_error": trial.unchanged_error,
        "pictures": [
            {"title": title, "cameras": [data_uri(picture) for picture in layout.split(frame)]}
            for title, frame in (("before", shown.before), ("predicted", shown.predicted), ("after", shown.after))
        ],
    }
