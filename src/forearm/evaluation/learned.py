"""Networks that learn to read something from true pictures, and are kept in the folder of the dataset."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from forearm.base.errors import ForearmError
from forearm.base.files import MOST_BYTES, writing
from forearm.base.muon import MuonAdamW
from forearm.transitions.store import TransitionSet

Network = TypeVar("Network", bound=nn.Module)
CHUNK = 64


def kept_or_learned(
    data: TransitionSet, file: str, blank: Network, recipe: Sequence[Any], learn: Callable[[Network], None]
) -> Network:
    """A network that has learned from the training part of a dataset, whose folder keeps it if that can be written to.

    Equal training parts give equal networks, whichever run asks.

    Args:
        data: the dataset.
        file: the file's name in its folder.
        blank: the network before it has learned; buffers are kept like weights.
        recipe: how it learns, ready for JSON; a file of another recipe is not used.
        learn: what it has to go through, where no such file is there.
    """
    content = json.dumps([*recipe, *sorted(data.digests_of("train"))])
    digest, path = hashlib.sha256(content.encode()).hexdigest(), data.path / file
    if not _kept(path, blank, digest):
        learn(blank)
        with contextlib.suppress(ForearmError, OSError), writing(path) as new:  # in somebody else's folder: learn anew
            save_file(blank.state_dict(), new, {"digest": digest})
    return blank.eval().requires_grad_(False)


def fit(
    network: nn.Module,
    loss: Callable[[torch.Generator], Tensor],
    recipe: Mapping[str, Any],
    hidden: Sequence[nn.Parameter] = (),
) -> None:
    """Lower a loss, drawn anew for each of the recipe's ``steps``, at its ``rate`` and ``decay``; always the same.

    Muon moves the ``hidden`` matrices at the recipe's ``matrix_rate``, AdamW all else.
    """
    others = [p for p in network.parameters() if not any(p is of for of in hidden)]
    groups: list[dict[str, Any]] = [{"params": others, "weight_decay": recipe["decay"]}]
    rates = [recipe["rate"]]
    if hidden:
        rates.append(recipe["matrix_rate"])
        decay = recipe["decay"] * recipe["rate"] / recipe["matrix_rate"]
        groups.append({"params": list(hidden), "weight_decay": decay, "muon": True})
    optimiser = MuonAdamW(groups, lr=recipe["rate"])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rates, total_steps=recipe["steps"])
    random = torch.Generator().manual_seed(0)
    for _ in range(recipe["steps"]):
        optimiser.zero_grad()
        loss(random).backward()
        optimiser.step()
        schedule.step()


def shrunk(pictures: np.ndarray, size: tuple[int, int]) -> Tensor:
    """Pictures (n, 3, h, w) as float32 in [0, 1], each pixel the mean of those that it stands for."""
    values = torch.from_numpy(np.ascontiguousarray(pictures)).float()
    values = values / 255 if pictures.dtype == np.uint8 else values
    return values if values.shape[-2:] == size else F.interpolate(values, size, mode="area")


def frame_pictures(data: TransitionSet, frames: np.ndarray) -> np.ndarray:
    """Pictures of a dataset's frames (F,): (F, 3, h, w) uint8."""
    return data.frames[frames].transpose(0, 3, 1, 2)


def chunks(values: np.ndarray) -> Iterator[np.ndarray]:
    """Values (n, …) in parts of at most ``CHUNK``."""
    return (values[start : start + CHUNK] for start in range(0, len(values), CHUNK))


def _kept(path: Path, blank: nn.Module, digest: str) -> bool:
    """Fill a network from a file; not if there is none, or one of another recipe, other data or other shapes."""
    if not path.is_file() or path.stat().st_size > MOST_BYTES:
        return False
    try:
        with safe_open(path, "pt") as file:
            if (file.metadata() or {}).get("digest") != digest:
                return False
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        known = blank.state_dict()  # loading others would leave the weights that do fit
        if {name: of.shape for name, of in tensors.items()} != {name: of.shape for name, of in known.items()}:
            return False
        if not all(torch.isfinite(values).all() for values in tensors.values()):
            return False
        blank.load_state_dict(tensors)
    except (OSError, SafetensorError, KeyError, RuntimeError):
        return False
    return True
