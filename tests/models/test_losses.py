"""Losses of pictures."""

import torch
from torch.nn import functional as F

from forearm.models.losses import charbonnier, picture_loss, ssim_loss, window_means
from forearm.models.settings import LearningConfig


def test_window_means_are_those_of_pooling_and_so_are_their_gradients():
    pictures = torch.rand(2, 3, 7, 5, requires_grad=True)
    fast, slow = window_means(pictures), F.avg_pool2d(pictures, 3, 1)
    torch.testing.assert_close(fast, slow)
    weights = torch.rand_like(slow)
    mine, theirs = (torch.autograd.grad((means * weights).sum(), pictures)[0] for means in (fast, slow))
    torch.testing.assert_close(mine, theirs)


def test_each_weight_weighs_its_part():
    picture, truth = torch.rand(2, 2, 3, 8, 8).unbind()
    wrong = picture - truth
    sharp = charbonnier(wrong).mean() + 0.25 * ssim_loss(picture, truth)
    for squares, weight in ((1.0, 0.0), (0.0, 1.0), (10.0, 2.0)):
        config = LearningConfig(mse_weight=squares, charbonnier_weight=weight)
        expected = squares * wrong.square().mean() + weight * sharp
        torch.testing.assert_close(picture_loss(picture, truth, config), expected)
