"""Who says that an imagined trial succeeded: the scorers of `forearm trial`, asked after every step."""

import tempfile
from pathlib import Path

import numpy as np

from forearm.environment.imagined_worlds import ImaginedWorlds
from forearm.environment.vector import WorldVectorEnv
from forearm.transitions import TransitionSet
from forearm.trials.scoring import judge_named
from forearm.trials.starts import Start, read_starts
from forearm.trials.trying import Film


class Judged:
    """A success function for worlds.

    Args:
        name: of the scorer, as `judge_named` takes it.
        data: the run's own, from whose true pictures scorers learn.
        env: whose imagined worlds are judged.
    """

    def __init__(self, name: str, data: TransitionSet, env: WorldVectorEnv) -> None:
        worlds = env.worlds
        assert isinstance(worlds, ImaginedWorlds)
        self._starts = {start.episode: start for start in read_starts(worlds.data, worlds.commands, worlds.episodes)}
        usual = [self._starts[number] for number in env.starts if number in self._starts]
        self._scorer = judge_named(name, data, usual, Path(tempfile.gettempdir()) / "forearm-sheets")
        self._trials: list[Start] = []
        self._shown: list[dict[str, np.ndarray]] = []

    def begin(self, starts: np.ndarray) -> None:
        """Trials begin at episodes (B,)."""
        self._trials = [self._starts[start] for start in starts.tolist()]
        self._shown = [
            {name: np.stack([trial.first[name] for trial in self._trials]) for name in self._trials[0].first}
        ]

    def __call__(self, pictures: dict[str, np.ndarray], positions: np.ndarray) -> np.ndarray:
        """Scores (B,) of what was shown until now."""
        self._shown.append({name: values.copy() for name, values in pictures.items()})
        steps = len(self._shown) - 1
        nothing = np.zeros((steps, positions.shape[1]), np.float32)
        return self._scorer.scores(
            [
                Film(
                    start,
                    {name: np.stack([shown[name][i] for shown in self._shown]) for name in pictures},
                    np.repeat(positions[i][None], steps + 1, axis=0),
                    nothing,
                    np.zeros(steps + 1),
                    False,
                )
                for i, start in enumerate(self._trials)
            ]
        )
