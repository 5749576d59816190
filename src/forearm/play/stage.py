"""What is played with: a trained model, its layout, and where paths begin."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch

from forearm.base.devices import device_named
from forearm.base.errors import ForearmError
from forearm.batch import Predictor
from forearm.canvas import CODES, STAY, Layout
from forearm.media.words import reading
from forearm.play.session import PlaySession
from forearm.play.starts import Recording, Simulation, Source
from forearm.play.visitors import MOST
from forearm.training.run import Checkpoint, Run

MEMORY = 2e9
"""Bytes that all sessions together may take; it bounds how long a path can become."""
LONGEST = 300


@dataclass(frozen=True)
class Stage:
    """What is played with."""

    run_name: str
    family: str
    predictor: Predictor
    """On ``device``."""
    layout: Layout
    sources: Mapping[str, Source]
    """By name; the first one is shown first."""
    actions_seen: Mapping[int, int]
    """How often each code occurs in training."""
    practised: tuple[int, ...] = ()
    """Codes that no recording shows but that training practised."""
    unseen: Sequence[tuple[int, int]] = ()
    """Moves that training never saw, as (action dimension, code)."""
    device: torch.device | str = "cpu"

    @classmethod
    def of(cls, run: Run, sources: Sequence[Source], checkpoint: Checkpoint, device: torch.device) -> Self:
        """What a run is played with, from some sources."""
        return cls(
            run.name,
            run.config()["family"],
            run.load(checkpoint, device),
            run.layout(),
            {source.name: source for source in sources},
            run.actions_seen(),
            (STAY,) if run.practised_stay() else (),
            run.unseen_moves(),
            device,
        )

    @property
    def longest(self) -> int:
        """So many steps a session may have, so that all of them fit in ``MEMORY``; at least 20."""
        state = 4 * 3 * self.layout.height * self.layout.width  # bytes
        return int(min(LONGEST, max(20, MEMORY / MOST / state)))

    def session(self) -> PlaySession:
        """A fresh session from the first source's usual start."""
        source = next(iter(self.sources.values()))
        return PlaySession(self.predictor, source.begin(source.usual), self.device, self.longest)

    def to_json(self) -> dict[str, Any]:
        """What the page has to know once."""
        layout = self.layout
        return {
            "kind": "play",
            "run": self.run_name,
            "family": self.family,
            "cameras": [{"name": c.name, "height": c.height, "width": c.width} for c in layout.cameras],
            "joints": [
                {
                    "name": j.name,
                    "unit": j.unit,
                    "low": j.low,
                    "high": j.high,
                    "bounds": [reading(j.low, j), reading(j.high, j)],
                }
                for j in layout.joints
            ],
            "dimensions": [
                {"name": dimension.name, "joint": int(joint)}
                for dimension, joint in zip(layout.actions, layout.joint_of_dimension(), strict=True)
            ],
            "discrete": layout.discrete,
            "palette": layout.palette,
            "guesses": [code for code in CODES if not self.actions_seen.get(code)],
            "unseen": self.unseen,
            "practised": self.practised,
            "sources": [
                {"name": source.name, "title": source.title, "counts": source.counts, "count": source.count}
                for source in self.sources.values()
            ],
        }


def open_stage(
    run_path: Path,
    *,
    data: Path | None = None,
    simulator: int | None = None,
    checkpoint: Checkpoint = "best",
    device: str = "auto",
) -> Stage:
    """Open a run to play with, from frames of a dataset (its own unless ``data`` is given) and in a simulator's scene.

    Without the run's own dataset it takes one of the two.
    """
    target, run = device_named(device), Run.open(run_path)
    layout = run.layout()
    sources: list[Source] = []
    if simulator is not None:
        sources.append(Simulation(layout, simulator))
    try:
        sources.append(Recording(run.data(data)))
    except ForearmError as error:
        if data is not None or not sources:
            raise ForearmError(f"{error} (choose frames to begin from with --data, or --simulator)") from error
    return Stage.of(run, sources, checkpoint, target)
