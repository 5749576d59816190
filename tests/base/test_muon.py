"""What Muon does to a matrix, and that AdamW moves the others."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from forearm.base.muon import MuonAdamW, orthogonalised


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 1000))
def test_singular_values_become_alike(rows, columns, seed):
    rng = np.random.default_rng(seed)
    left, right = (np.linalg.qr(rng.normal(size=(n, n)))[0] for n in (rows, columns))
    values = np.zeros((rows, columns))
    np.fill_diagonal(values, np.geomspace(1, 0.05, min(rows, columns)))
    made = orthogonalised(torch.tensor(left @ values @ right, dtype=torch.float32)).numpy()
    inside = (left.T @ made @ right.T).diagonal()
    assert ((inside > 0.6) & (inside < 1.3)).all()


def test_muon_moves_its_own_group_and_adamw_the_others():
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 5, 3), torch.nn.Linear(4, 4)]
    mine, theirs = (torch.nn.ModuleList(layer for layer in layers) for _ in range(2))
    plain = [p.detach().clone().requires_grad_() for p in theirs[1].parameters()]
    convolution = mine[0].weight.detach().clone()
    ours = MuonAdamW(
        [{"params": [mine[0].weight], "muon": True, "weight_decay": 0.5}, {"params": mine[1].parameters()}],
        lr=0.1,
        weight_decay=0.1,
    )
    reference = torch.optim.AdamW(plain, lr=0.1, weight_decay=0.1)
    for _ in range(2):
        gradients = [torch.randn_like(p) for p in plain]
        for p, q, gradient in zip(mine[1].parameters(), plain, gradients, strict=True):
            p.grad, q.grad = gradient.clone(), gradient.clone()
        mine[0].weight.grad = torch.randn_like(convolution)
        before = mine[0].weight.detach().clone()
        ours.step()
        reference.step()
        moved = (mine[0].weight.detach() - before * (1 - 0.1 * 0.5)).flatten(1)
        assert np.allclose(torch.linalg.svdvals(moved).numpy(), 0.1, atol=0.04)
    for p, q in zip(mine[1].parameters(), plain, strict=True):
        assert torch.equal(p, q)


def test_a_tall_matrix_moves_farther_and_momentum_goes_on():
    weight = torch.nn.Parameter(torch.zeros(8, 2))
    optimizer = MuonAdamW([{"params": [weight], "muon": True}], lr=0.1, weight_decay=0.0)
    gradient = torch.randn(8, 2, generator=torch.Generator().manual_seed(0))
    weight.grad = gradient.clone()
    optimizer.step()
    assert np.allclose(torch.linalg.svdvals(weight.detach()).numpy(), 0.1 * 2, atol=0.08)  # √(8 / 2) times the rate
    assert (weight * gradient).sum() < 0, "it goes down"
    before = weight.detach().clone()
    weight.grad = torch.zeros(8, 2)
    optimizer.step()
    assert np.allclose(torch.linalg.svdvals(weight.detach() - before).numpy(), 0.2, atol=0.08)
