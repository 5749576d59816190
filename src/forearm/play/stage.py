"""What is played with: a trained model, its layout, and where paths begin."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from forearm.base.devices import device_named
from forearm.base.errors import ForearmError
from forearm.batch import Predictor
from forearm.canvas import CODES, STAY, Layout
from forearm.play.session import PlaySession
from forearm.play.starts import Recording, Simulation, Source
from forearm.play.visitors import MOST
from forearm.training.run import Checkpoint, Run
from forearm.transitions import TransitionSet

MEMORY = 2e9
"""Bytes that all sessions together may take; it bounds how long a path can become."""
LONGEST = 300


@dataclass(frozen=True)
class Stage:
    """What is played with.

    predictor: on ``device``. actions_seen: how often training showed each code. practised: codes that no recording
    shows but that training practised. sources: by name, the first one first to be shown.
    """

    run_name: str
    family: str
    predictor: Predictor
    layout: Layout
    sources: Mapping[str, Source]
    actions_seen: Mapping[int, int]
    practised: tuple[int, ...] = ()
    device: torch.device | str = "cpu"

    @property
    def longest(self) -> int:
        """So many steps a session may have, so that all of them fit in ``MEMORY``; at least 20."""
        moment = 4 * 3 * self.layout.height * self.layout.width
        return int(min(LONGEST, max(20, MEMORY / MOST / moment)))

    def session(self) -> PlaySession:
        """A fresh session from the first source's usual start."""
        source = next(iter(self.sources.values()))
        return PlaySession(self.predictor, source.begin(source.usual), self.device, self.longest)

    def to_json(self) -> dict[str, Any]:
        """What the page has to know once."""
        layout = self.layout
        return {
            "run": self.run_name,
            "family": self.family,
            "cameras": [{"name": c.name, "height": c.height, "width": c.width} for c in layout.cameras],
            "joints": [{"name": j.name, "unit": j.unit, "low": j.low, "high": j.high} for j in layout.joints],
            "dimensions": [
                {"name": dimension.name, "unit": dimension.unit, "scale": dimension.scale, "joint": int(joint)}
                for dimension, joint in zip(layout.actions, layout.joint_of_dimension(), strict=True)
            ],
            "discrete": layout.discrete,
            "palette": layout.palette,
            "guesses": [code for code in CODES if not self.actions_seen.get(code)],
            "practised": self.practised,
            "sources": [{"name": source.name, "count": source.count} for source in self.sources.values()],
        }


def open_stage(
    run_path: Path,
    *,
    data: Path | None = None,
    simulator: int | None = None,
    checkpoint: Checkpoint = "best",
    device: str = "auto",
) -> Stage:
    """Open a run to play with.

    Args:
        run_path: the run's folder.
        data: the dataset whose moments to begin from; the run's own by default, which only ``simulator`` makes
            dispensable.
        simulator: a scene of the simulated SO-101 to begin in and to have beside as truth.
        checkpoint: which weights.
        device: where to predict.

    Raises:
        ForearmError: run, weights or data are missing, damaged, or do not fit each other or the simulator.
    """
    place = device_named(device)
    run = Run.open(run_path)
    config, layout = run.config(), run.layout()
    model = run.load(checkpoint, place)
    sources: list[Source] = []
    if simulator is not None:
        sources.append(Simulation(layout, simulator))
    try:
        sources.append(Recording(TransitionSet(data or Path(config["data"]["path"])), layout, f"run {run.name}"))
    except ForearmError as error:
        if data is not None or not sources:
            raise ForearmError(f"{error} (choose moments to begin from with --data, or --simulator)") from error
    seen = {int(code): count for code, count in config["data"]["actions_seen"].items()}
    practised = (STAY,) if config["model"].get("synthetic_stay") and not seen.get(STAY) else ()
    by_name = {source.name: source for source in sources}
    return Stage(run.name, config["family"], model, layout, by_name, seen, practised, place)
