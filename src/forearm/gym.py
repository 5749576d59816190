"""Runs and the simulator's tasks as Gymnasium environments.

Importing this registers ``forearm/Imagined-v0`` and ``forearm/Simulated-v0``, for `gymnasium.make`, and for
`gymnasium.make_vec`, which steps several worlds at once. See docs/environment.md.
"""

import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch

from forearm.base.errors import ForearmError
from forearm.batch import Predictor
from forearm.environment.imagined_worlds import ImaginedWorlds, largest_expected_errors
from forearm.environment.vector import Success, WorldEnv, WorldVectorEnv
from forearm.training.run import Checkpoint, Run

LOOKED_AT, USUAL_QUANTILE = 64, 0.95
"""Recorded episodes by which the usual bound is found, and which quantile of them it is."""


def imagined_vector(
    run: Run | Path | str,
    data: Path | str | None = None,
    num_envs: int = 1,
    *,
    checkpoint: Checkpoint = "best",
    device: str = "cpu",
    most_expected_error: float | None = None,
    **trial: Any,
) -> WorldVectorEnv:
    """What a run imagines.

    Args:
        run: trained on commands, or its folder.
        data: the dataset in whose episodes trials begin; by default that of the run. Usual starts are the episodes that
            the run was not trained on.
        num_envs: how many worlds.
        checkpoint: which weights of the run.
        device: of the model.
        most_expected_error: a larger one ends a trial by abstention; by default `usual_bound`.
        trial: further arguments of `WorldVectorEnv`.

    Raises:
        ForearmError: run or data cannot be opened, actions are no commands, or an argument is unsound.
    """
    run = Run.open(run)
    opened = run.data(data)
    digest = run.weights_digest(checkpoint)
    worlds = ImaginedWorlds(_loaded(run, checkpoint, device, digest), opened, run.held_out(opened), num_envs, device)
    bound = most_expected_error
    if bound is None:
        bound = usual_bound(run, checkpoint, device, digest, opened.path)
    elif not math.isinf(bound) and not worlds.expects_errors():
        raise ForearmError(f"{run.path} does not say what error it expects; leave most_expected_error out")
    return WorldVectorEnv(worlds, num_envs, most_expected_error=bound, **trial)


def imagined(**arguments: Any) -> WorldEnv:
    """As `imagined_vector`, one world."""
    return WorldEnv(imagined_vector(**arguments))


def simulated_vector(num_envs: int = 1, success: Success | None = None, **arguments: Any) -> WorldVectorEnv:
    """The simulator's tasks, with their own success unless another is given.

    Args:
        num_envs: how many worlds.
        success: as of `WorldVectorEnv`.
        arguments: of `SimulatedWorlds`, such as ``recording`` or ``task`` and ``seed``, and of `WorldVectorEnv`.
    """
    from forearm.environment.simulated_worlds import SimulatedWorlds  # needs MuJoCo

    own = {name: arguments.pop(name) for name in ("horizon", "starts", "render_mode") if name in arguments}
    return WorldVectorEnv(SimulatedWorlds(count=num_envs, **arguments), num_envs, success, **own)


def simulated(**arguments: Any) -> WorldEnv:
    """As `simulated_vector`, one world."""
    return WorldEnv(simulated_vector(**arguments))


@lru_cache(maxsize=4)
def _loaded(run: Run, checkpoint: Checkpoint, device: str, digest: str) -> Predictor:
    """A run's model; ``digest`` is that of its weights. Worlds share it, for predicting changes nothing."""
    return run.load(checkpoint, device)


@lru_cache(maxsize=16)
@torch.inference_mode()
def usual_bound(run: Run, checkpoint: Checkpoint, device: str, digest: str, otherwise: Path) -> float:
    """What `USUAL_QUANTILE` of the run's validation episodes stay below where the run imagines them.

    Each is imagined from its first frame by its own actions. Its largest expected error counts, mean over a picture:
    what is fed back is less certain than what follows a true frame, and no reason to give up by itself.

    Args:
        run: whose model and validation rows.
        checkpoint: which weights.
        device: of the model.
        digest: of the weights.
        otherwise: the dataset whose held-out rows are taken where that of the run is gone.

    Returns:
        infinity where the model does not say what error it expects.
    """
    own = run.data_folder()
    path = own if (own / "dataset.json").is_file() else otherwise
    model, data = _loaded(run, checkpoint, device, digest), run.data(path)
    rows = data.rows("val") if run.is_own(data) else run.held_out(data)
    rows = rows if len(rows) else data.rows()
    firsts = rows[data.leaders[rows] < 0]
    firsts = firsts[np.linspace(0, len(firsts) - 1, min(len(firsts), LOOKED_AT)).astype(int)]
    largest = largest_expected_errors(model, data, firsts, device)
    return math.inf if largest is None else float(np.quantile(largest, USUAL_QUANTILE))


for _kind in ("imagined", "simulated"):
    gymnasium.register(
        f"forearm/{_kind.capitalize()}-v0",
        entry_point=f"{__name__}:{_kind}",
        vector_entry_point=f"{__name__}:{_kind}_vector",
    )
