"""Blocks that are compiled or computed anew for the gradient compute the same."""

import copy
from functools import partial

import pytest
import torch
from support.canvases import noise
from support.tiny import make_layout
from torch import nn

from forearm.base.errors import ForearmError
from forearm.models import OURS, family_settings, make_model
from forearm.training.blocks import prepare_blocks


def gradients(model, batch):
    torch.manual_seed(1)
    losses = model.train()(batch)
    losses["loss"].backward()
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return losses["loss"].detach(), found


@pytest.mark.parametrize(("compiled", "checkpointed"), [(False, True), (True, True)])
@pytest.mark.parametrize("family", OURS)
def test_loss_and_gradient_are_the_same(family, compiled, checkpointed, monkeypatch):
    """By the compiler's front end alone, as its back end takes a minute; benchmarks/sizes.py runs it all."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    layout = make_layout()
    small = {"width": 16, "depth": 2, "heads": 2, "levels": 2}
    known = family_settings(family, "tiny", {})
    settings = family_settings(family, "tiny", {name: value for name, value in small.items() if name in known})
    torch.manual_seed(0)
    model, batch = make_model(family, layout, settings), noise(layout, 2)
    names = list(model.state_dict())
    loss, whole = gradients(copy.deepcopy(model), batch)
    prepare_blocks(model, compiled, checkpointed)
    other, again = gradients(model, batch)
    torch.testing.assert_close(other, loss)
    assert whole.keys() == again.keys()
    for name, gradient in whole.items():
        torch.testing.assert_close(again[name], gradient, msg=name)
    assert list(model.state_dict()) == names


def test_a_family_without_blocks_is_refused():
    with pytest.raises(ForearmError, match="no blocks for --compile"):
        prepare_blocks(nn.Linear(1, 1), False, True)
    prepare_blocks(nn.Linear(1, 1), False, False)
