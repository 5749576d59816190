"""What a joint's numbers are probably measured in, for display only."""

from collections.abc import Sequence

import numpy as np

HAND_WORDS = ("gripper", "hand", "finger", "jaw")


def guess_units(joints: Sequence[str], low: np.ndarray, high: np.ndarray) -> tuple[str, ...]:
    """Guess each joint's unit from its name and its lowest and highest value (J,).

    One arm has one unit: servo ticks reach beyond any angle in degrees, degrees beyond 2π, and LeRobot's
    normalised −100…100 touches its ends. A gripper or hand may have its own: a share or percentage of opening.

    Returns:
        ``ticks``, ``deg``, ``rad``, ``%`` or an empty string for each joint.
    """
    hand = np.array([any(word in joint.lower() for word in HAND_WORDS) for joint in joints], bool)
    reach = np.maximum(np.abs(low), np.abs(high))
    arm = float(np.max(reach[~hand] if (~hand).any() else reach, initial=0.0))
    if arm > 400:
        unit = "ticks"
    elif arm <= 2 * np.pi + 0.1:
        unit = "rad"
    elif 99.5 <= arm <= 100.01:
        unit = "%"
    else:
        unit = "deg"
    return tuple(_hand_unit(unit, low[i], high[i]) if hand[i] else unit for i in range(len(joints)))


def _hand_unit(arm: str, low: float, high: float) -> str:
    if arm == "rad" and low >= -0.01 and high <= 1.01:
        return ""
    if arm == "deg" and low >= -0.5 and high <= 100.5:
        return "%"
    return arm
