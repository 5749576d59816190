"""The page on which the canvases of a recording, a dataset or a run are filtered, sorted and enlarged."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from markupsafe import Markup

from forearm.canvas import CODE_NAMES, CODES, Layout
from forearm.media.colours import css_colour
from forearm.media.pictures import channels_last, data_uri, enlarge
from forearm.media.words import figure, reading
from forearm.report.html import template
from forearm.report.wording import listed

GENERATOR = '<meta name="generator" content="forearm inspect" />'
"""Marks a file as a gallery, so that it may be replaced."""
WIDTH = 272
"""About how many pixels wide a canvas is shown; narrower ones are stored doubled."""
BANDS = (("top 10%", 0.0, 0.1), ("top 25%", 0.0, 0.25), ("lower half", 0.5, 1.0))
"""Filters by error: name, and from which to which share of the cards, the highest error first."""
GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class TransitionTable:
    """What is known of N transitions without their pictures."""

    layout: Layout
    codes: np.ndarray
    """(N,) int64, code of the last action."""
    acting: np.ndarray
    """(N,) int64, index of the joint that the action is about."""
    episodes: np.ndarray
    """(N,) int64."""
    changes: np.ndarray
    """(N,) float, how far the acting joint moved, in its unit."""
    splits: np.ndarray | None = None
    """(N,) "train" or "val"; None where there is no split."""

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def kinds(self) -> np.ndarray:
        """A number for each (acting joint, code), (N,) int64."""
        return self.acting * len(CODES) + self.codes


@dataclass(frozen=True, eq=False)
class CardPrediction:
    """What a model predicted of a transition."""

    frame: np.ndarray
    """(3, H, w) uint8, the last frame."""
    positions: np.ndarray
    """(J,) in the joints' units."""
    error: float
    """Mean squared error of the picture."""


@dataclass(frozen=True, eq=False)
class Card:
    """A transition that is shown."""

    index: int
    """Its index in the table."""
    row: int
    """Its number where it comes from."""
    canvas: np.ndarray
    """(3, H, W) uint8."""
    before: np.ndarray
    """(J,) positions in the joints' units."""
    after: np.ndarray
    """(J,) positions in the joints' units."""
    copying: float
    """Mean squared error of the picture if the frame before is taken for the last one."""
    prediction: CardPrediction | None = None

    @property
    def error(self) -> float:
        """The model's error; without a model that of copying."""
        return self.prediction.error if self.prediction else self.copying


@dataclass(frozen=True)
class Subject:
    """What a page is about."""

    what: str
    """"dataset", "recording" or "run"."""
    name: str
    facts: dict[str, Any]
    row: str = "row"
    """What a card's number counts."""
    notes: tuple[str, ...] = ()
    guesses: tuple[int, ...] = ()
    """Codes that a run never saw in training."""


def spread(kinds: np.ndarray, episodes: np.ndarray, count: int, first: np.ndarray | None = None) -> np.ndarray:
    """Draw some of N items so that all kinds and all episodes are drawn, and all kinds equally often.

    Each draw prefers an item of a kind or an episode that was not drawn yet, then of the kind drawn least often, then
    of the episode drawn least often. Remaining ties are broken by the multiples of the golden ratio, which leave no
    wide gap however many are drawn.

    Args:
        kinds: (N,) integers, the kind of each item.
        episodes: (N,) integers, the episode each item comes from.
        count: how many to draw.
        first: indices that are drawn in any case, before all others.

    Returns:
        (min(count, N),) int64 indices, increasing; the same in every call.
    """
    kinds, episodes = (np.unique(of, return_inverse=True)[1] for of in (kinds, episodes))
    seen_kinds, seen_episodes = (np.zeros(of.max(initial=-1) + 1, np.int64) for of in (kinds, episodes))
    left, order = np.ones(len(kinds), bool), np.arange(len(kinds)) * GOLDEN % 1
    forced = iter(() if first is None else first.tolist())
    for _ in range(min(count, len(kinds))):
        index = next(forced, None)
        if index is None:
            of_kind, of_episode = seen_kinds[kinds], seen_episodes[episodes]
            candidates = np.flatnonzero(left)
            for key in ((of_kind > 0) & (of_episode > 0), of_kind, of_episode, order):
                candidates = candidates[key[candidates] == key[candidates].min()]
            index = int(candidates[0])
        left[index] = False
        seen_kinds[kinds[index]] += 1
        seen_episodes[episodes[index]] += 1
    return np.flatnonzero(~left)


def render(subject: Subject, table: TransitionTable, cards: list[Card]) -> str:
    """The gallery as one HTML page that needs nothing else, and shows all its cards where scripts are off."""
    layout = table.layout
    errors = np.array([card.error for card in cards])
    highest_first = np.argsort(-errors, kind="stable")
    shares = np.empty(len(cards))
    shares[highest_first] = (np.arange(len(cards)) + 0.5) / len(cards)
    predicted = any(card.prediction for card in cards)
    shown = np.array([card.index for card in cards])
    joints = [layout.joints[j].name for j in np.unique(table.acting[shown])]
    return template("gallery.html").render(
        generator=Markup(GENERATOR),
        subject=subject,
        headline=_headline(subject, table),
        total=len(table),
        episodes=len(np.unique(table.episodes)),
        episode_choices=[(episode, episode) for episode in np.unique(table.episodes[shown]).tolist()],
        seen=_seen(table),
        actions=[_action(layout, subject, code) for code in CODES],
        shown_codes=np.unique(table.codes[shown]).tolist(),
        joint_choices=[(name, name) for name in joints],
        splits=[] if table.splits is None else np.unique(table.splits[shown]).tolist(),
        predicted=predicted,
        bands=list(_bands(errors, shares)),
        cards=list(zip(cards, shares.tolist(), strict=True)),
        table=table,
        sharp=partial(_sharp, layout),
        frame=f"{layout.frame_width} / {layout.height}",
        before=100 * layout.frame_columns(-2).start / (layout.width - layout.frame_width),
    )


def _headline(subject: Subject, table: TransitionTable) -> str:
    """How many transitions there are, and which actions on which joints."""
    names = [CODE_NAMES[code] for code in CODES if (table.codes == code).any()]
    acting = [table.layout.joints[j].name for j in np.unique(table.acting)]
    joints = acting[0] if len(acting) == 1 else f"{len(acting)} joints"
    predicted = f" {subject.name} predicts each of them." if subject.what == "run" else ""
    return f"{len(table):,} transitions show {listed(names)} on {joints}.{predicted}"


def _seen(table: TransitionTable) -> list[dict[str, Any]]:
    """How often each action was about each joint, and how far it moved it in the median."""
    rows, layout = [], table.layout
    for j in np.unique(table.acting):
        cells = []
        for code in CODES:
            of_both = table.changes[(table.acting == j) & (table.codes == code)]
            moved = reading(float(np.median(of_both)), layout.joints[j], signed=True, unit=True) if len(of_both) else ""
            cells.append({"code": code, "count": len(of_both), "moved": moved})
        rows.append({"joint": layout.joints[j], "cells": cells})
    return rows


def _action(layout: Layout, subject: Subject, code: int) -> dict[str, Any]:
    return {
        "code": code,
        "name": CODE_NAMES[code],
        "colour": css_colour(layout.palette[code]),
        "guess": code in subject.guesses,
    }


def _bands(errors: np.ndarray, shares: np.ndarray) -> Iterator[tuple[str, str]]:
    """Filters by error: bounds of ``shares`` (N,), of cards with a higher error, and the filter in words."""
    for name, low, high in BANDS:
        within = errors[(shares > low) & (shares < high)]
        if len(within):
            limit = f"≥ {figure(within.min())}" if low == 0 else f"≤ {figure(within.max())}"
            yield f"{low:g}-{high:g}", f"{name}: {limit}"


def _sharp(layout: Layout, region: np.ndarray) -> dict[str, Any]:
    """Part of a canvas as a picture; small canvases doubled, as lossy formats blur the colours of neighbours."""
    pixels, times = channels_last(region), 2 if layout.width < WIDTH else 1
    height, width = pixels.shape[:2]
    return {"src": data_uri(enlarge(pixels, times), "photo"), "width": width, "height": height}
