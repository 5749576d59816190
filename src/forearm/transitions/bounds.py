"""Bounds of joints that a person or an earlier dataset gives, so that motor strips keep their meaning as data grow."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from forearm.base.errors import ForearmError
from forearm.base.files import checked, read_json
from forearm.base.hub import DATASET, RUN, at_hand
from forearm.canvas import Layout, plain
from forearm.transitions.layout import read_layout
from forearm.transitions.split import fit_bounds_to

Bounds = Mapping[str, tuple[float, ...]]
"""Plain joint name to its lower and upper bound and, where it is known, the largest change per frame."""
EXAMPLE = '{"shoulder_pan": [-90, 90], "gripper": [0, 100, 11]}'


def read_bounds(path: Path) -> Bounds:
    """Read bounds from a JSON file, a layout.json, or the folder or Hub id of a dataset or a run.

    A JSON file has for each joint [low, high] or [low, high, largest change per frame], in the joint's unit.

    Raises:
        ForearmError: the file is missing or holds no bounds.
    """
    path = at_hand(path, RUN, DATASET)
    path = path / "layout.json" if path.is_dir() else path
    value = read_json(path)
    if isinstance(value, dict) and "cameras" in value:
        return {plain(joint.name): (joint.low, joint.high, joint.max_velocity) for joint in read_layout(path).joints}
    try:
        given = checked(dict[str, list[float]], value, str(path))
    except ForearmError as error:
        raise ForearmError(f"{error}; bounds look like {EXAMPLE}") from None
    for name, numbers in given.items():
        if len(numbers) not in (2, 3) or not numbers[0] < numbers[1] or min(numbers[2:], default=1.0) <= 0:
            raise ForearmError(
                f"{path}: {name} has {numbers}; give [low, high] or [low, high, largest change per frame]"
            )
    return {plain(name): tuple(numbers) for name, numbers in given.items()}


def bounded(layout: Layout, positions: np.ndarray, bounds: Bounds | None) -> tuple[Layout, list[str]]:
    """The layout with the bounds given, and for other joints bounds that hold training positions (N, T, J).

    Returns:
        the layout, and a line for each joint that leaves the bounds given.

    Raises:
        ForearmError: bounds are given for a joint that the layout does not have.
    """
    fitted = fit_bounds_to(layout, positions)
    if not bounds:
        return fitted, []
    names = [plain(name) for name in layout.joint_names]
    for name in bounds:
        if name not in names:
            raise ForearmError(f"there are bounds for {name!r}, but the joints are {', '.join(names)}")
    lows, highs, speeds = fitted.lows, fitted.highs, fitted.max_velocities
    warnings = []
    for joint, name in enumerate(names):
        if name not in bounds:
            continue
        lows[joint], highs[joint], *speed = bounds[name]
        speeds[joint] = speed[0] if speed else speeds[joint]
        outside = np.mean((positions[..., joint] < lows[joint]) | (positions[..., joint] > highs[joint]))
        if outside:
            warnings.append(
                f"{name} leaves the bounds given, {lows[joint]:g} to {highs[joint]:g}, in {outside:.1%} of the "
                "training frames, where its strip shows only the bound"
            )
    return layout.with_bounds(lows, highs, speeds), warnings
