"""Actions as a person says them."""

import numpy as np

from forearm.canvas import CODE_NAMES, STAY, Layout, action_codes
from forearm.canvas.actions import DEAD_BAND

NAMED = 2
"""So many changes are named one by one; of more only the largest is."""


def action_words(layout: Layout, values: np.ndarray) -> str:
    """What an action (A,) does: ``STAY``, or its changes in their units, such as ``shoulder_pan +10°``.

    Values within the dead band are left out. Of more than two changes the largest is named, followed by ``…``.
    """
    if int(action_codes(values[None])[0]) == STAY:
        return CODE_NAMES[STAY]
    changed = np.flatnonzero(np.abs(values) > DEAD_BAND)
    named = changed if len(changed) <= NAMED else [np.abs(values).argmax()]
    parts = []
    for i in named:
        action = layout.actions[i]
        unit = {"deg": "°", "%": "%"}.get(action.unit, f" {action.unit}")
        parts.append(f"{action.name} {values[i] * action.scale:+.3g}{unit}".replace("-", "−").strip())
    return ", ".join(parts) + (" …" if len(changed) > NAMED else "")
