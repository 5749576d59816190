"""What a run imagines of actions that follow one another."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from forearm.base.devices import device_named
from forearm.base.errors import ForearmError
from forearm.canvas import STAY, Action, Layout, Observation, counterfactual
from forearm.canvas.actions import code_named
from forearm.environment.imagined import ImaginedEnvironment
from forearm.training.run import Checkpoint, Run


def imagine(
    run: Run | Path | str,
    actions: Sequence[str | np.ndarray],
    *,
    start: int = 0,
    data: Path | str | None = None,
    checkpoint: Checkpoint = "best",
    device: str = "auto",
) -> list[Observation]:
    """Predict what the cameras and joints show after each of some actions, the first from a recorded frame.

    Args:
        run: the run, or its folder.
        actions: each ``STAY``, ``MOVE+`` or ``MOVE-``, after the name of its action dimension where there are several
            (``elbow_flex MOVE+``); or (A,) signed action values in [−1, 1].
        start: the row of the dataset from which it begins: before that transition's last action.
        data: the dataset; that of the run's training by default.
        checkpoint: which weights.
        device: where to predict.

    Returns:
        one observation an action: ``picture`` (h, w, 3) uint8, ``joints`` (J,) in their units, ``expected_error``.
    """
    run, target = Run.open(run), device_named(device)
    layout = run.layout()
    transitions = run.data(data)
    transitions.require_row(start)
    taken = [action_of(layout, action) for action in actions]
    world = ImaginedEnvironment(run.load(checkpoint, target), target)
    world.reset(transitions.batch(np.array([start])).context())
    return [world.step(action) for action in taken]


def action_of(layout: Layout, action: str | np.ndarray) -> Action:
    """An action from its words, or from (A,) action values."""
    names = [dimension.name for dimension in layout.actions]
    if not isinstance(action, str):
        values = np.asarray(action, np.float32)
        if values.shape != (len(names),) or not (np.abs(values) <= 1).all():
            raise ForearmError(f"action {action} is not {len(names)} values in [−1, 1], for {', '.join(names)}")
        return Action(values, int(np.abs(values).argmax()))
    *before, last = action.split() or [""]
    code, name = code_named(last), " ".join(before) or names[0]
    if code is None or name not in names or (not before and len(names) > 1 and code != STAY):
        raise ForearmError(f"no action {action!r}; say STAY, MOVE+ or MOVE-, after one of {', '.join(names)}")
    nothing, dimension = np.zeros((1, len(names)), np.float32), names.index(name)
    return Action(counterfactual(layout, nothing, code, np.array([dimension]))[0], dimension)
