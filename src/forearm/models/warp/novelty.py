"""Novelty: whether training ever saw the like of joints and an action.

A classifier learns to tell the joints and actions of training from sampled ones (Gutmann and Hyvärinen 2010,
Noise-Contrastive Estimation). It looks at conditions (B, J + A): the joints before the action, from −1 to 1 within
their bounds, and the action values.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NEGATIVES = 4
"""Sampled conditions that the classifier is shown beside each of training."""
PRIOR = 0.05
"""Probability that conditions are sampled ones, before they are looked at."""


def novelty_classifier(inputs: int) -> nn.Sequential:
    """From conditions to a logit."""
    return nn.Sequential(nn.Linear(inputs, 64), nn.GELU(), nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 1))


def logits(classifier: nn.Module, conditions: Tensor) -> Tensor:
    """Logarithm of how much likelier conditions are among the sampled ones than in training, (B,)."""
    return classifier(3 * conditions)[:, 0].float()  # threefold, as it has to tell apart what lies close together


def novelty(classifier: nn.Module, conditions: Tensor) -> Tensor:
    """Probability that training never saw the like of conditions, (B,)."""
    return (logits(classifier, conditions) + math.log(PRIOR / (1 - PRIOR))).sigmoid()


def novelty_loss(classifier: nn.Module, conditions: Tensor, joints: int) -> Tensor:
    """Cross-entropy of telling training's conditions from sampled ones."""
    negatives = sampled(conditions.repeat(NEGATIVES, 1), joints)
    return F.softplus(logits(classifier, conditions)).mean() + F.softplus(-logits(classifier, negatives)).mean()


def sampled(conditions: Tensor, joints: int) -> Tensor:
    """Conditions with some joints anywhere, or with other action values, of one dimension mostly, or with both."""

    def chance(share: float) -> Tensor:
        return torch.rand(len(conditions), 1, device=conditions.device) < share

    positions, actions = conditions[:, :joints], conditions[:, joints:]
    moved = torch.rand_like(positions) < torch.rand_like(positions[:, :1]) * chance(0.5)
    positions = torch.where(moved, 1.2 * (2 * torch.rand_like(positions) - 1), positions)
    other = 2 * torch.rand_like(actions) - 1
    other = torch.where(chance(0.5), other.sign(), other)
    alone = torch.rand_like(actions).argsort(dim=1) == 0
    other = torch.where(chance(0.75), other * alone, other)
    return torch.cat([positions, torch.where(chance(0.75), other, actions)], dim=1)
