"""Which episodes train and which validate, and the bounds that the training part gives."""

from collections import Counter

import numpy as np

from forearm.base.errors import ForearmError
from forearm.canvas import Layout

MOST_REPORTED = 2_000
"""Transitions that a run is reported on unless more are asked for."""

MARGIN = 0.05
"""Bounds reach this share of the seen range beyond it, so that validation is rarely clipped."""


def split_episodes(episodes: np.ndarray, kinds: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Draw validation episodes so that every kind of action has its share of them.

    An episode counts as the kind that most of its transitions are of. A whole episode goes one way, so no frame
    of a validation episode is ever trained on.

    Args:
        episodes: (N,) int64 episode of each transition, or of its group, if several have to go one way.
        kinds: (N,) int64 kind of action of each transition.
        share: part of the episodes to validate on, in [0, 1]; 0 trains on all, 1 validates on all.
        seed: of the draw.

    Returns:
        (N,) bool, True where a transition validates.

    Raises:
        ForearmError: fewer than two episodes to share out.
    """
    if not 0 <= share <= 1:
        raise ForearmError(f"the validation share is {share}; it has to lie between 0 and 1")
    if share in (0, 1):
        return np.full(len(episodes), share == 1)
    numbers, places = np.unique(episodes, return_inverse=True)
    if len(numbers) < 2:
        raise ForearmError(
            f"{len(episodes)} transition(s) in {len(numbers)} episode(s) cannot be split into training and validation; "
            "record at least 2 episodes, or 2 moments with every action (or build with --val 0 or --val 1)"
        )
    counts = np.zeros((len(numbers), kinds.max() + 1), np.int64)
    np.add.at(counts, (places, kinds), 1)
    main_kinds = counts.argmax(axis=1)
    random = np.random.default_rng(seed)
    chosen: list[int] = []
    owed = 0.0  # carried from group to group, so that many small groups still add up to the share
    for kind in np.unique(main_kinds):
        group = numbers[main_kinds == kind]
        owed += share * len(group)
        count = min(int(owed + 0.5), len(group))
        owed -= count
        chosen += random.permutation(group)[:count].tolist()
    chosen = chosen or [int(random.choice(numbers))]
    if len(chosen) == len(numbers):
        chosen.pop()
    return np.isin(episodes, chosen)


def in_turn(groups: np.ndarray, most: int) -> np.ndarray:
    """Places of at most ``most`` of (N,) members, drawn by lot, one of each group in turn until a group has no more.

    The draw is always the same.
    """
    places = np.random.default_rng(0).permutation(len(groups))
    turns, taken = [], Counter[int]()
    for group in groups[places].tolist():
        turns.append(taken[group])
        taken[group] += 1
    return places[np.argsort(turns, kind="stable")[:most]]


def drawn_equally(rows: np.ndarray, groups: np.ndarray, most: int) -> np.ndarray:
    """At most ``most`` of rows (n,), in order, drawn equally from the groups (N,) of all rows; always the same."""
    return rows if len(rows) <= most else np.sort(rows[in_turn(groups[rows], most)])


def fit_bounds_to(layout: Layout, positions: np.ndarray) -> Layout:
    """The layout with bounds that hold training positions (N, T, J), in the joints' units, with a margin."""
    lows, highs = positions.min((0, 1)), positions.max((0, 1))
    speeds = np.abs(np.diff(positions, axis=1)).max((0, 1))
    # A joint that never moved still needs an interval around where it stands.
    least = np.maximum(1e-3, 0.01 * np.abs(highs))
    margins = np.maximum(MARGIN * (highs - lows), least)
    return layout.with_bounds(lows - margins, highs + margins, np.maximum((1 + MARGIN) * speeds, least))
