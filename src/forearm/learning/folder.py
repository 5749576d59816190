"""What learning keeps on disk. Everything is written whole, and what is there decides what comes next.

A folder holds ``settings.json``; ``recordings/``, LeRobot v3.0, one a cycle and those of the locked and the wide set;
``data/``, the datasets built of them; ``runs/``, what each cycle trained; ``cycles/``, a file a cycle; ``run``, the
accepted run; and ``STOP``, where somebody wants learning to end.
"""

import dataclasses
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forearm.base.errors import ForearmError
from forearm.base.files import checked, read_json, write_json, writing_folder
from forearm.learning.judging import Judged
from forearm.learning.newness import Newness
from forearm.learning.settings import CHANGEABLE
from forearm.learning.trials import Trial, trials_in
from forearm.training.run import Run

STOP_FILE = "STOP"
LOCKED, WIDE = "locked", "wide"
AGAIN = ("resume.safetensors", "samples")
"""What an accepted run does without."""


@dataclass(frozen=True)
class Begun:
    """What a cycle decided when it began, so that it goes on alike after an interruption."""

    share: float
    """Of the joints' bounds, in which the arm moves."""
    allowed: list[list[list[bool]]]
    """(A, bins, 3): the cells that the arm can act in within that range."""
    scores: list[list[list[float | None]]] | None
    """(A, bins, 3): the error that the run expects in each cell, None where nobody knows; None altogether where cells
    are chosen otherwise."""


@dataclass(frozen=True)
class Cycle:
    """What came of a cycle. Cycle 0 is the run that learning starts from."""

    number: int
    actions: int
    """Recorded until then, without the locked and the wide set."""
    scene: int
    """How often the scene had been rearranged at its end."""
    share: float
    """Of the joints' bounds, in which the arm moved."""
    covered: bool
    """Whether each cell within that range has been visited."""
    verified: Judged | None
    """Error on fresh moments drawn at random, before training on them; None of cycle 0, or without moves."""
    newness: Newness | None
    """How new its moments were; None of cycle 0."""
    locked: Judged | None
    """Error of its run on the locked set; None where its predictions are no numbers."""
    wide: Judged | None
    """Error of its run on the wide set, if there is one."""
    change: Judged | None
    """Locked error of its run minus that of the run accepted before; None of cycle 0."""
    accepted: bool
    """Whether its run took the place of the one before."""
    better: bool
    """Whether it is surely better on the locked set."""
    record_seconds: float
    """Spent with the arm since the last start of the command."""
    train_seconds: float
    """Spent with building, training and judging since the last start of the command."""


@dataclass(frozen=True)
class LearnFolder:
    """The folder of one arm that learns on."""

    path: Path

    def begin(self, facts: Mapping[str, Any]) -> None:
        """Begin, or go on with the same settings; those that decide no recording may differ.

        Raises:
            ForearmError: the folder holds something else, other settings, or a stop file.
        """
        file = self.path / "settings.json"
        if not file.exists():
            if self.path.exists() and any(entry.name[0] != "." for entry in self.path.iterdir()):
                raise ForearmError(f"{self.path} exists and is no folder of forearm learn; choose another --out")
            self.path.mkdir(parents=True, exist_ok=True)
        else:
            begun = checked(dict[str, Any], read_json(file), str(file))
            differing = [n for n, value in facts.items() if n not in CHANGEABLE and begun.get(n) != value]
            if differing:
                raise ForearmError(
                    f"{self.path} was begun with other {', '.join(differing)}; give the same to go on, or choose "
                    "another --out"
                )
        if self.stop_file.exists():
            raise ForearmError(f"{self.stop_file} is there; remove it to go on")
        write_json(file, dict(facts))

    @property
    def stop_file(self) -> Path:
        """If it is there, learning ends after the action under way."""
        return self.path / STOP_FILE

    @property
    def run(self) -> Path:
        """The accepted run."""
        return self.path / "run"

    def recording(self, name: str) -> Path:
        """A recording; while it is being recorded its episodes are in the folder ``NAME.partial`` beside it."""
        return self.path / "recordings" / name

    def data(self, name: str) -> Path:
        """A dataset."""
        return self.path / "data" / name

    def candidate(self, cycle: int) -> Path:
        """The run that a cycle trained."""
        return self.path / "runs" / cycle_name(cycle)

    def trials(self, name: str) -> list[Trial]:
        """The trials of a recording, as far as they are recorded."""
        recording = self.recording(name)
        return trials_in(recording, recording.with_name(f"{name}.partial"))

    def begun(self, cycle: int) -> Begun | None:
        """What a cycle decided when it began, if it has begun."""
        file = self._cycle(cycle, ".begun")
        return checked(Begun, read_json(file), str(file)) if file.exists() else None

    def write_begun(self, cycle: int, begun: Begun) -> None:
        """Keep what a cycle decided."""
        self._write(self._cycle(cycle, ".begun"), begun)

    def cycles(self) -> list[Cycle]:
        """What came of the cycles so far."""
        found: list[Cycle] = []
        while (file := self._cycle(len(found))).exists():
            found.append(checked(Cycle, read_json(file), str(file)))
        return found

    def write_cycle(self, cycle: Cycle) -> None:
        """Keep what came of a cycle."""
        self._write(self._cycle(cycle.number), cycle)

    def accept(self, run: Run) -> None:
        """Put a run in the place of the accepted one, in one step, unless it is there already."""
        if self.run.is_dir() and Run(self.run).weights_digest("best") == run.weights_digest("best"):
            return
        with writing_folder(self.run, replace=True) as beside:
            shutil.copytree(run.path, beside, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*AGAIN, "evaluation"))

    def _cycle(self, number: int, kind: str = "") -> Path:
        return self.path / "cycles" / f"{cycle_name(number)}{kind}.json"

    def _write(self, file: Path, value: Any) -> None:
        file.parent.mkdir(exist_ok=True)
        write_json(file, dataclasses.asdict(value))


def cycle_name(number: int) -> str:
    """What a cycle's recording, dataset, run and file are called."""
    return f"cycle_{number:03d}"
