"""Where tensors are computed, by the names that ``--device`` takes."""

import torch

from forearm.base.errors import ForearmError


def device_named(name: str) -> torch.device:
    """The device of a name; auto is a CUDA GPU where there is one, else the CPU.

    Raises:
        ForearmError: there is no such device, or not here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ForearmError(f"no device {name!r}; choose auto, cpu, cuda, cuda:1 (and so on) or mps") from None
    here = {
        "cpu": True,
        "cuda": (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not here.get(device.type):
        raise ForearmError(f"PyTorch sees no device {name} here; choose --device auto or cpu")
    return device
