"""Recording episodes of any arm, until they are assembled into a LeRobot v3.0 recording."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forearm.base.errors import ForearmError
from forearm.base.files import checked, locked, read_json, require_absent, write_json
from forearm.recordings.features import RecordingSpec
from forearm.recordings.staging import EpisodeData, stage_episode, staged_episodes
from forearm.recordings.writer import assemble

SETTINGS_FILE = "settings.json"


@dataclass(frozen=True)
class Recorder:
    """Gathers episodes in ``out`` + ".partial" until they are complete.

    After an interruption, a recorder with the same ``out`` and settings goes on. Processes may share it.
    """

    out: Path
    """A folder that does not exist yet."""
    spec: RecordingSpec
    """What is the same in every episode."""
    settings: Mapping[str, Any]
    """What decides the episodes, ready for JSON."""
    keep: str | None = None
    """The file in the recording, such as ``meta/simulation.json``, in which the settings are kept; None: in none."""

    @property
    def partial(self) -> Path:
        """Where the staged episodes are."""
        return self.out.parent / f"{self.out.name}.partial"

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Begin a recording, or go on with one of the same settings; `stage` the episodes within, then `finish`.

        Raises:
            ForearmError: ``out`` exists, a recording with other settings was interrupted there, or another process is
                recording there.
        """
        with locked(self.partial):
            self._begin()
            yield

    def _begin(self) -> None:
        try:
            require_absent(self.out)
        except ForearmError as taken:
            left = f"; {self.partial} is what a stopped recording left" if self.partial.is_dir() else ""
            raise ForearmError(f"{taken}{left}") from None
        path = self.partial / SETTINGS_FILE
        if not path.exists():
            write_json(path, self.settings)
            return
        begun = checked(dict[str, Any], read_json(path), str(path))
        differing = [name for name, value in self.settings.items() if begun.get(name) != value]
        if differing:
            raise ForearmError(
                f"{self.partial} holds a recording with other {', '.join(differing)}; "
                "record with the same settings to go on, or remove it to begin anew"
            )

    def staged(self) -> list[int]:
        """The indices of the episodes that are recorded already, in order."""
        return staged_episodes(self.partial)

    def stage(self, episode_index: int, episode: EpisodeData) -> None:
        """Record one episode, whole or not at all; see `stage_episode`."""
        stage_episode(self.partial, episode_index, episode)

    def finish(self) -> None:
        """Assemble the recording; see `assemble`."""
        assemble(self.partial, self.out, spec=self.spec, notes={self.keep: self.settings} if self.keep else {})
        shutil.rmtree(self.partial)
