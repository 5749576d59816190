"""Canvases on one page, to browse: which of many are shown, and the page that filters, sorts and enlarges them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from forearm.canvas import CODE_NAMES, CODES, Joint, Layout
from forearm.media.colours import css_colour
from forearm.media.pictures import channels_last, data_uri, enlarge
from forearm.report.headline import listed
from forearm.report.page import template

GENERATOR = '<meta name="generator" content="forearm inspect" />'
"""What tells a gallery from other files, so that it may be replaced."""
WIDTH = 272
"""About how many pixels wide a canvas is shown; narrower ones are stored doubled."""
BANDS = (("top 10%", 0.0, 0.1), ("top 25%", 0.0, 0.25), ("lower half", 0.5, 1.0))
"""What the page filters errors by: of the cards, the highest error first, from which share to which."""
GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Holdings:
    """What N transitions are, known without a look at their pictures.

    codes, acting, episodes: (N,) int64, code of the last action, index of the joint that it is about, episode;
    changes: (N,) how far that joint moved, in its unit; splits: (N,) "train" or "val", or None where there is none.
    """

    layout: Layout
    codes: np.ndarray
    acting: np.ndarray
    episodes: np.ndarray
    changes: np.ndarray
    splits: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def kinds(self) -> np.ndarray:
        """A number for each (acting joint, code), (N,) int64."""
        return self.acting * len(CODES) + self.codes


@dataclass(frozen=True, eq=False)
class Foreseen:
    """What a model predicted: the last frame (3, H, w) uint8, the joints read from it (J,), the picture's mean squared
    error."""

    frame: np.ndarray
    positions: np.ndarray
    error: float


@dataclass(frozen=True, eq=False)
class Card:
    """A transition that is shown.

    place: its place in the holdings; row: its number where it comes from. canvas: (3, H, W) uint8. before, after:
    (J,) positions in the joints' units. copying: mean squared error of the picture if the frame before is taken for
    the last one.
    """

    place: int
    row: int
    canvas: np.ndarray
    before: np.ndarray
    after: np.ndarray
    copying: float
    foreseen: Foreseen | None = None

    @property
    def error(self) -> float:
        """The model's error, or without one that of copying."""
        return self.foreseen.error if self.foreseen else self.copying


@dataclass(frozen=True)
class Subject:
    """What a page is about: "dataset", "recording" or "run", its name, the facts that are known, and notes.

    row: what a card's number counts. guesses: codes that a run never saw in training.
    """

    what: str
    name: str
    facts: dict[str, Any]
    row: str = "row"
    notes: tuple[str, ...] = ()
    guesses: tuple[int, ...] = ()


def spread(kinds: np.ndarray, episodes: np.ndarray, amount: int, first: np.ndarray | None = None) -> np.ndarray:
    """Draw some of N things so that all kinds and all episodes are seen, and all kinds equally often.

    Each draw takes a thing of a kind or an episode not seen yet, as long as there is one; of these, one of the kind
    seen least often; of these, one of the episode seen least often. What is then left to choose is spread evenly: the
    multiples of the golden ratio leave no wide gap, however many are drawn.

    Args:
        kinds: (N,) integers, the kind of each thing.
        episodes: (N,) integers, the episode each thing comes from.
        amount: how many to draw.
        first: places that are drawn in any case, before all others.

    Returns:
        (min(amount, N),) int64 places, increasing; always the same.
    """
    kinds, episodes = (np.unique(of, return_inverse=True)[1] for of in (kinds, episodes))
    seen_kinds, seen_episodes = (np.zeros(of.max(initial=-1) + 1, np.int64) for of in (kinds, episodes))
    left, order = np.ones(len(kinds), bool), np.arange(len(kinds)) * GOLDEN % 1
    forced = iter(() if first is None else first.tolist())
    for _ in range(min(amount, len(kinds))):
        place = next(forced, None)
        if place is None:
            of_kind, of_episode = seen_kinds[kinds], seen_episodes[episodes]
            places = np.flatnonzero(left)
            for key in ((of_kind > 0) & (of_episode > 0), of_kind, of_episode, order):
                places = places[key[places] == key[places].min()]
            place = int(places[0])
        left[place] = False
        seen_kinds[kinds[place]] += 1
        seen_episodes[episodes[place]] += 1
    return np.flatnonzero(~left)


def render(subject: Subject, holdings: Holdings, cards: list[Card]) -> str:
    """The gallery as one HTML page that needs nothing else, and shows all its cards where scripts are off.

    Args:
        holdings: all transitions, of which the cards are a part.
        cards: those that are shown, in order.
    """
    layout = holdings.layout
    errors = np.array([card.error for card in cards])
    highest_first = np.argsort(-errors, kind="stable")
    shares = np.empty(len(cards))
    shares[highest_first] = (np.arange(len(cards)) + 0.5) / len(cards)
    predicted = any(card.foreseen for card in cards)
    shown = np.array([card.place for card in cards])
    joints = [layout.joints[j].name for j in np.unique(holdings.acting[shown])]
    return template("gallery.html").render(
        generator=Markup(GENERATOR),
        subject=subject,
        headline=_headline(subject, holdings),
        total=len(holdings),
        episodes=len(np.unique(holdings.episodes)),
        episode_choices=[(episode, episode) for episode in np.unique(holdings.episodes[shown]).tolist()],
        seen=_seen(holdings),
        actions=[_action(layout, subject, code) for code in CODES],
        shown_codes=np.unique(holdings.codes[shown]).tolist(),
        joint_choices=[(name, name) for name in joints],
        splits=[] if holdings.splits is None else np.unique(holdings.splits[shown]).tolist(),
        predicted=predicted,
        bands=list(_bands(errors, shares)),
        cards=[_shown(holdings, card, float(share)) for card, share in zip(cards, shares, strict=True)],
        frame=f"{layout.frame_width} / {layout.height}",
        before=100 * layout.frame_columns(-2).start / (layout.width - layout.frame_width),
    )


def _headline(subject: Subject, holdings: Holdings) -> str:
    """What is to be seen: the actions, the joints they were about, and how often."""
    names = [CODE_NAMES[code] for code in CODES if (holdings.codes == code).any()]
    acting = [holdings.layout.joints[j].name for j in np.unique(holdings.acting)]
    joints = acting[0] if len(acting) == 1 else f"{len(acting)} joints"
    foreseen = f", and what {subject.name} foresaw" if subject.what == "run" else ""
    return f"{len(holdings):,} moments: what {listed(names)} did to {joints}{foreseen}."


def _seen(holdings: Holdings) -> list[dict[str, Any]]:
    """How often each action was about each joint, and how far it moved it in the median."""
    rows, layout = [], holdings.layout
    for j in np.unique(holdings.acting):
        cells = []
        for code in CODES:
            of_both = holdings.changes[(holdings.acting == j) & (holdings.codes == code)]
            moved = _change(float(np.median(of_both)), layout.joints[j]) if len(of_both) else ""
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
    """What to filter errors by: the shares from which to which, and in words; shares: (N,) of cards that err more."""
    for name, low, high in BANDS:
        within = errors[(shares > low) & (shares < high)]
        if len(within):
            limit = f"≥ {within.min():.2g}" if low == 0 else f"≤ {within.max():.2g}"
            yield f"{low:g}-{high:g}", f"{name}: {limit}"


def _shown(holdings: Holdings, card: Card, share: float) -> dict[str, Any]:
    layout, acting = holdings.layout, int(holdings.acting[card.place])
    change = float(holdings.changes[card.place])
    return {
        "place": card.place,
        "row": card.row,
        "episode": int(holdings.episodes[card.place]),
        "code": int(holdings.codes[card.place]),
        "joint": layout.joints[acting],
        "split": "" if holdings.splits is None else str(holdings.splits[card.place]),
        "change": _change(change, layout.joints[acting]),
        "motion": f"{abs(change):.6g}",
        "error": f"{card.error:.6f}",
        "copying": f"{card.copying:.6f}",
        "share": f"{share:.4f}",
        "canvas": _sharp(layout, card.canvas),
        "predicted": _sharp(layout, card.foreseen.frame) if card.foreseen else None,
        "positions": [
            {
                "joint": joint,
                "acting": j == acting,
                "before": _position(card.before[j], joint),
                "after": _position(card.after[j], joint),
                "predicted": _position(card.foreseen.positions[j], joint) if card.foreseen else "",
            }
            for j, joint in enumerate(layout.joints)
        ],
    }


def _sharp(layout: Layout, region: np.ndarray) -> dict[str, Any]:
    """Part of a canvas as a picture; small canvases doubled, as lossy formats blur the colours of neighbours."""
    pixels, times = channels_last(region), 2 if layout.width < WIDTH else 1
    height, width = pixels.shape[:2]
    return {"src": data_uri(enlarge(pixels, times), "photo"), "width": width, "height": height}


def _position(value: float, joint: Joint) -> str:
    return f"{value:.{2 if _wide(joint) else 3}f}".replace("-", "−")


def _change(value: float, joint: Joint) -> str:
    """A change with its sign; none where it is too small to show."""
    text = f"{value:+.{1 if _wide(joint) else 3}f}"
    return text.replace("-", "−") if float(text) else text[1:]


def _wide(joint: Joint) -> bool:
    """Whether hundredths of the joint's unit tell enough, as they do not for radians."""
    return joint.unit in ("deg", "%", "ticks") or joint.high - joint.low > 10
