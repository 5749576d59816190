"""What a joint's numbers are measured in: declared by the recording, given by a person, or guessed."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from forearm.base.errors import ForearmError

VELOCITY_WORDS = (".vel", "_vel", "velocity")
HALF_TURN = 180
"""No finger turns so many degrees; a hand's values beyond are bytes or the like."""
HAND_WORDS = ("gripper", "hand", "finger", "jaw")
SPELLINGS = {
    "deg": ("degree", "degrees", "°"),
    "rad": ("radian", "radians"),
    "%": ("percent",),
    "ticks": ("tick", "steps"),
    "m": ("meter", "metre", "meters", "metres"),
    "mm": ("millimeter", "millimetre", "millimeters", "millimetres"),
    "none": (),
}
"""Each unit that ``--units`` takes, with further spellings of it."""


def unit_named(word: str) -> str | None:
    """A unit by any of its spellings, ``""`` for ``none``; None where it is not known."""
    word = word.strip().lower()
    found = next((unit for unit, others in SPELLINGS.items() if word == unit or word in others), None)
    return "" if found == "none" else found


def declared_units(declared: Any, joints: Sequence[str]) -> tuple[str, ...] | None:
    """The units that a feature declares: a list in the order of the joints, names with units, or one for all."""
    if isinstance(declared, dict):
        declared = [declared.get(joint) for joint in joints]
    elif isinstance(declared, str):
        declared = [declared] * len(joints)
    if not isinstance(declared, list) or len(declared) != len(joints):
        return None
    if not all(isinstance(unit, str) for unit in declared):
        return None
    known = (unit_named(unit) for unit in declared)
    return tuple(unit if name is None else name for unit, name in zip(declared, known, strict=True))


def given_units(words: Sequence[str], joints: Sequence[str]) -> dict[int, str]:
    """The units that a person gives, by the joint's index.

    Args:
        words: a unit for all joints, or pairs ``JOINT UNIT`` or ``JOINT=UNIT``, where JOINT is a name with or without
            ``.pos`` or a pattern for a group of joints, such as ``left_*``. A name counts more than a pattern, and a
            pattern more than a unit for all; the order says nothing.
        joints: names.

    Raises:
        ForearmError: a unit or a joint is not known, or a joint is given two units.
    """
    given: dict[int, tuple[int, str]] = {}
    pattern, waiting = "*", False
    for part in (part for word in words for part in word.rsplit("=", 1)):
        unit = unit_named(part)
        if unit is None:
            if waiting or (pattern := part) == "":
                raise ForearmError(f"--units has {part!r}, which is no unit; give one of {', '.join(SPELLINGS)}")
            waiting = True
            continue
        bare = pattern.removesuffix(".pos")
        chosen = [i for i, joint in enumerate(joints) if fnmatchcase(joint.removesuffix(".pos"), bare)]
        if not chosen:
            raise ForearmError(f"--units has joint {pattern!r}, but there are only {', '.join(joints)}")
        rank = 0 if not waiting else 1 if set(bare) & set("*?[") else 2
        for joint in chosen:
            before, other = given.get(joint, (-1, unit))
            if before == rank and other != unit:
                raise ForearmError(f"--units gives {joints[joint]} both {other or 'none'} and {unit or 'none'}")
            if rank >= before:
                given[joint] = rank, unit
        pattern, waiting = "*", False
    if waiting:
        raise ForearmError(f"--units gives {pattern!r} no unit; give one of {', '.join(SPELLINGS)}")
    return {joint: unit for joint, (_, unit) in given.items()}


def doubtful_units(units: Sequence[str], guessed: Sequence[str]) -> dict[str, str]:
    """Units of angles that contradict the range of the values: unit to the one that the values look like."""
    pairs = set(zip(units, guessed, strict=True))
    return {unit: other for unit, other in (("deg", "rad"), ("rad", "deg"), ("rad", "ticks")) if (unit, other) in pairs}


def guess_units(joints: Sequence[str], low: np.ndarray, high: np.ndarray) -> tuple[str, ...]:
    """Guess each joint's unit from its name and its lowest and highest value (J,).

    One arm has one unit: servo ticks reach beyond any angle in degrees, degrees beyond 2π, and LeRobot's
    normalised −100…100 touches its ends. A gripper or hand may have its own: a share or percentage of opening,
    or bytes. A velocity, as of a base, is no angle.

    Returns:
        ``ticks``, ``deg``, ``rad``, ``%`` or an empty string for each joint.
    """
    hand, velocity = (
        np.array([any(word in joint.lower() for word in words) for joint in joints], bool)
        for words in (HAND_WORDS, VELOCITY_WORDS)
    )
    reach = np.maximum(np.abs(low), np.abs(high))
    others = reach[~hand & ~velocity]
    arm = float(np.max(others if len(others) else reach, initial=0.0))
    if arm > 400:
        unit = "ticks"
    elif arm <= 2 * np.pi + 0.1:
        unit = "rad"
    elif 99.5 <= arm <= 100.01:
        unit = "%"
    else:
        unit = "deg"
    guess = [_hand_unit(unit, low[i], high[i]) if hand[i] else unit for i in range(len(joints))]
    return tuple("" if velocity[i] else guess[i] for i in range(len(joints)))


def _hand_unit(arm: str, low: float, high: float) -> str:
    if arm == "ticks":
        return arm
    if low >= -0.01 and high <= 1.01 and (arm == "rad" or high - low > 0.5):
        return ""
    beyond = max(abs(low), abs(high)) > 2 * np.pi + 0.1  # of what an angle in radians can be
    if (arm != "rad" or beyond) and low >= -0.5 and high <= 100.5:
        return "%"
    if (arm == "rad" and beyond) or (low >= -0.5 and high > HALF_TURN):
        return ""
    return arm
