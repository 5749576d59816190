"""The flow model: its transformations are those that it names."""

import torch
from torch.nn import functional as F

from forearm.models.flow.model import affine, convolved


def test_affine_maps_begin_as_the_identity_and_move_as_they_say():
    pictures = torch.rand(2, 3, 8, 12)
    parameters = torch.zeros(2, 2, 6)
    parameters[:, 1, 2] = 2 * 2 / 12  # sampled two pixels to the right
    moved = affine(pictures, parameters)
    torch.testing.assert_close(moved[:, 0], pictures, atol=1e-5, rtol=0)
    torch.testing.assert_close(moved[:, 1, ..., :-2], pictures[..., 2:], atol=1e-5, rtol=0)


def test_kernels_sum_to_one_and_begin_as_the_identity():
    pictures = torch.rand(2, 3, 8, 12)
    parameters = torch.zeros(2, 3, 25)
    parameters[:, 1, 12], parameters[:, 1, 14] = -1, 1  # two pixels to the right of the middle, alone
    parameters[1, 2] = torch.rand(25)
    moved = convolved(pictures, parameters)
    torch.testing.assert_close(moved[:, 0], pictures, atol=1e-4, rtol=0)
    torch.testing.assert_close(moved[:, 1, ..., :-2], pictures[..., 2:], atol=1e-4, rtol=0)
    kernel = parameters[1, 2] + F.one_hot(torch.tensor(12), 25)
    padded = F.pad(pictures[1:], [2] * 4, mode="replicate").transpose(0, 1)
    plain = F.conv2d(padded, (kernel / kernel.sum()).view(1, 1, 5, 5))
    torch.testing.assert_close(moved[1, 2], plain[:, 0], atol=1e-4, rtol=0)
