"""What makes a step of the gradients."""

import torch
from torch import Tensor

from forearm.base.muon import MuonAdamW
from forearm.models import WorldModel
from forearm.training.config import TrainConfig


def make_optimizer(model: WorldModel, config: TrainConfig, recorded: bool = False) -> MuonAdamW:
    """Muon for the hidden matrices that the model names, AdamW for all else.

    Vectors (biases, norms, tokens) and position tables are not decayed. Rates lie on the device where steps are
    ``recorded``, as numbers of the processor would be recorded for good.
    """
    hidden = {id(p) for p in model.hidden_matrices()} if config.matrix_rate else set()
    named = [(name, p) for name, p in model.named_parameters() if id(p) not in hidden]
    decayed = [p for name, p in named if p.ndim > 1 and "position_embedding" not in name]
    others = [p for name, p in named if p.ndim <= 1 or "position_embedding" in name]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    if hidden:
        matrices = [p for p in model.parameters() if id(p) in hidden]
        decay = config.weight_decay * config.learning_rate / config.matrix_rate  # a step decays all matrices alike
        groups.append({"params": matrices, "weight_decay": decay, "muon": True})
    if recorded:
        device = named[0][1].device
        groups = [{**group, "lr": torch.tensor(config.learning_rate, device=device)} for group in groups]
    settings = {"betas": (0.9, config.beta2), "fused": True, "capturable": recorded}
    return MuonAdamW(groups, lr=config.learning_rate, **settings)


def set_rate(optimizer: MuonAdamW, rate: float, config: TrainConfig) -> None:
    """Set the learning rate of AdamW's groups, and that of Muon's to the same share of its highest."""
    for group in optimizer.param_groups:
        mine = rate / config.learning_rate * config.matrix_rate if group["muon"] else rate
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(mine)
        else:
            group["lr"] = mine
