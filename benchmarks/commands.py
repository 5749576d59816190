"""How well commands tell what joints will do, by what is given of the commands within a step:

python benchmarks/commands.py RECORDING...

A ridge regression learns the change of each joint over a step from its position and the commands; with three frames
also from the step before. Cells give the share of the variance that is explained in every fourth episode, which was
left out, mean over the joints that move. What `forearm build` takes is among them.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from forearm import open_recording
from forearm.transitions.meaning import Commands, find_meaning, taken

STEPS = (0.1, 0.2, 0.5)
RIDGE, HELD_OUT, MOVES = 1e-3, 4, 0.02
Rows = np.ndarray
Pair = tuple[np.ndarray, np.ndarray]


def given(kind: str, commands: Commands, pair: Pair, rows: Rows, fps: float) -> np.ndarray | None:
    """What is given of the commands between two rows each, (m, 2) to (m, K)."""
    states, actions = pair
    span = int(rows[0, 1] - rows[0, 0])

    def part(k: int, of: int, late: int) -> np.ndarray:
        """Of the k-th part of a step: targets from where the joints were at its beginning, or sums."""
        ends = np.stack([rows[:, 0] + round(span * k / of), rows[:, 0] + round(span * (k + 1) / of)], axis=1)
        found = taken(replace(commands, late=late), states, actions, ends, fps)[:, 0]
        driven = np.array(commands.joints) >= 0
        if commands.meaning == "target":
            here, there = states[ends[:, 0]][:, commands.joints], states[rows[:, 0]][:, commands.joints]
            found = found + np.where(driven, here - there, 0)
        return found

    parts = {"two": 2, "three": 3}.get(kind, 1)
    if kind == "nothing":
        return np.zeros((len(rows), 0))
    if span < parts or (commands.meaning != "target" and kind in ("mean", "last and mean", "last 2n − 1")):
        return None
    if parts > 1:
        return np.concatenate([part(k, parts, 0) for k in range(parts)], axis=1)
    late = {"last": [0], "mean": [span], "last and mean": [0, span], "last 2n − 1": [commands.late]}
    return np.concatenate([part(0, 1, rows_late) for rows_late in late[kind]], axis=1)


def explained(kind: str, commands: Commands, pairs: list[Pair], step: int, history: int, fps: float) -> float | None:
    """The share of the held-out variance that is explained."""
    inputs, changes, episodes = [], [], []
    for number, pair in enumerate(pairs):
        states = pair[0].astype(np.float64)
        begins = np.arange(step * (history - 2), len(states) - step)
        now = np.stack([begins, begins + step], axis=1)
        parts = [states[begins], given(kind, commands, pair, now, fps)]
        if history == 3:
            parts += [states[begins] - states[begins - step], given(kind, commands, pair, now - step, fps)]
        if any(part is None for part in parts):
            return None
        inputs.append(np.concatenate(parts, axis=1))  # type: ignore[arg-type]
        changes.append(states[begins + step] - states[begins])
        episodes.append(np.full(len(begins), number))
    x, y, tested = np.concatenate(inputs), np.concatenate(changes), np.concatenate(episodes) % HELD_OUT == HELD_OUT - 1
    x = (x - x[~tested].mean(axis=0)) / (x[~tested].std(axis=0) + 1e-6)
    x = np.c_[x, np.ones(len(x))]
    moved = y[~tested].std(axis=0)
    y = (y / np.where(moved > 0, moved, 1))[:, moved > MOVES * moved.max()]
    learned, count = x[~tested], (~tested).sum()
    weights = np.linalg.solve(learned.T @ learned + RIDGE * count * np.eye(x.shape[1]), learned.T @ y[~tested])
    errors = np.square(y[tested] - x[tested] @ weights).mean(axis=0)
    return float((1 - errors / np.square(y[tested]).mean(axis=0)).mean())


def main(sources: list[str]) -> None:
    """Print a table for each recording."""
    kinds = ("nothing", "last", "mean", "last 2n − 1", "last and mean", "two", "three")
    for source in sources:
        recording = open_recording(source)
        commands = find_meaning(recording)
        read = recording.read(on_skip=lambda index, reason: None)
        pairs = [(episode.states, episode.actions) for episode in read if episode.actions is not None]
        print(f"\n{Path(source).name}: {commands.found}\n")
        print(f"| step | frames | {' | '.join(kinds)} |\n|---|---|{'---:|' * len(kinds)}")
        for seconds in STEPS:
            for history in (2, 3):
                step = max(1, round(seconds * recording.fps))
                cells = [explained(kind, commands, pairs, step, history, recording.fps) for kind in kinds]
                shown = " | ".join("–" if cell is None else f"{cell:.3f}".removeprefix("0") for cell in cells)
                print(f"| {seconds:g} s | {history} | {shown} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
