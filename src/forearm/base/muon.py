"""Muon for some parameters of a network, AdamW for the others."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
ITERATIONS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the polynomial that brings singular values near 1 in few iterations (Jordan 2024, see `MuonAdamW`)."""


class MuonAdamW(torch.optim.AdamW):
    """Muon for the groups of parameters that say ``"muon": True``, AdamW for the others.

    Muon (Jordan et al. 2024, Muon: An optimizer for hidden layers in neural networks) moves a matrix by its momentum
    with all singular values made alike, so a layer learns what many inputs agree on no faster than what few tell. A
    convolution is a matrix of its outputs by all else. PyTorch's own takes no convolutions, and its half precision is
    slower on a CPU for matrices as small as these.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], **settings: Any):
        super().__init__([{"muon": False, **group} for group in groups], **settings)

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override] # a closure would compute gradients after Muon has moved
        """One step; the gradients of what Muon moves are gone after it."""
        for group in self.param_groups:
            for parameter in group["params"] if group["muon"] else ():
                if parameter.grad is not None:
                    self._move(parameter, group)
                    parameter.grad = None  # AdamW passes over it
        super().step()

    def _move(self, parameter: nn.Parameter, group: dict[str, Any]) -> None:
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(gradient, 1 - MOMENTUM)
        matrix = gradient.lerp(state["momentum"], MOMENTUM).flatten(1)  # Nesterov's momentum
        rate = group["lr"] * max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        change = orthogonalised(matrix).view_as(parameter)
        if isinstance(rate, Tensor):  # on a GPU, where a number would be recorded for good
            parameter.sub_(rate * change)
        else:
            parameter.add_(change, alpha=-rate)


def orthogonalised(matrix: Tensor) -> Tensor:
    """The matrix (n, m) with singular values of about 1 (0.7 to 1.2), by Newton and Schulz's iteration."""
    a, b, c = COEFFICIENTS
    wide = matrix.mT if matrix.shape[0] > matrix.shape[1] else matrix
    wide = wide / (wide.norm() + 1e-7)
    for _ in range(ITERATIONS):
        squares = wide @ wide.mT
        wide = torch.addmm(wide, torch.addmm(squares, squares, squares, beta=b, alpha=c), wide, beta=a)
    return wide.mT if matrix.shape[0] > matrix.shape[1] else wide
