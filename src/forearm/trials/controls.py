"""Controls: trials whose outcome is known without a simulator, by which success in the dream is corrected."""

from collections.abc import Mapping, Sequence

import numpy as np

from forearm.environment.imagined_worlds import ImaginedWorlds
from forearm.evaluation.agreement import SUCCESS
from forearm.evaluation.controls import CONTROLS, Controls
from forearm.trials.scorer import LOOKS, Scorer
from forearm.trials.starts import Start, pictures_of, way_of
from forearm.trials.trying import Film


def controls_of(
    worlds: ImaginedWorlds,
    starts: Sequence[Start],
    judge: Scorer,
    scores: Mapping[str, np.ndarray],
    horizon: int,
    groups: np.ndarray,
) -> Controls:
    """What is known beside what was dreamt.

    Args:
        worlds: of whose episodes the starts are.
        starts: N of them.
        judge: says of the recorded pictures what succeeded.
        scores: for each of ``CONTROLS`` those of its N trials in the dream.
        horizon: steps of these trials.
        groups: (N,) the scene of each start.
    """
    films = {"replay": recorded(worlds, starts, horizon), "still": [_waiting(start) for start in starts]}
    known = np.stack([judge.scores(films[name]) >= SUCCESS for name in CONTROLS])
    return Controls(np.stack([scores[name] for name in CONTROLS]), known, groups)


def recorded(worlds: ImaginedWorlds, starts: Sequence[Start], horizon: int) -> list[Film]:
    """What the starts' episodes show in so many steps, as films."""
    data = worlds.data
    rows = data.columns.by_episode()
    films = []
    for start in starts:
        way, _ = way_of(data, rows[worlds.episodes[start.episode]])
        used = way[: horizon + 1]
        shown = [pictures_of(data, frame) for frame in used.tolist()]
        pictures = {name: np.stack([each[name] for each in shown]) for name in shown[0]}
        films.append(
            Film(start, pictures, data.states[used], start.commands[:horizon], np.full(len(used), np.nan), done=False)
        )
    return films


def _waiting(start: Start) -> Film:
    """Nothing happens."""
    pictures = {name: np.repeat(picture[None], LOOKS + 1, axis=0) for name, picture in start.first.items()}
    nothing = np.zeros((LOOKS + 1, 0), np.float32)
    return Film(start, pictures, nothing, start.commands[:0], np.full(LOOKS + 1, np.nan), done=False)
