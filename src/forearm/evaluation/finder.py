"""A network that finds objects again in a later picture."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WINDOW = 20
"""Sides of the square of pixels around an object that is looked at finely; a multiple of 4."""
CELL = 4
"""Sides of the squares of pixels that are told apart coarsely."""
ROUNDS = 3
"""How often a place is corrected. Each correction falls short by the same share, so what is left dwindles."""


class Finder(nn.Module):
    """Finds objects again: from a picture with boxes, and a later picture, to the middles of the boxes there.

    Coarsely first: both pictures pass one encoder; an object is described by the mean of what lies in its box; a head
    sees how alike each place of the later picture is, what changed there, and how far it is from the box, and gives the
    place a weight; the answer is the mean place. Then finely: a second network sees the pixels around the box and those
    around a place, and says how far from there the object is. It is asked again from where that leads to.
    """

    def __init__(self, channels: int = 16, hidden: int = 12):
        super().__init__()
        self.encoder = nn.Sequential(
            *(nn.Conv2d(3, channels, 5, 2, 2), nn.GroupNorm(4, channels), nn.ReLU()),
            *(nn.Conv2d(channels, channels, 3, 2, 1), nn.GroupNorm(4, channels), nn.ReLU()),
            nn.Conv2d(channels, channels, 3, 1, 1),
        )
        self.changes = nn.Conv2d(2 * (channels + 3), hidden, 1)
        self.head = nn.Sequential(
            *(nn.Conv2d(hidden + 4, hidden, 3, 1, 1), nn.GroupNorm(4, hidden), nn.ReLU()),
            *(nn.Conv2d(hidden, hidden, 3, 1, 2, dilation=2), nn.ReLU(), nn.Conv2d(hidden, 1, 1)),
        )
        self.scales = nn.Parameter(torch.full((channels + 3,), 0.25))
        self.fine = nn.Sequential(
            *(nn.Conv2d(7, 32, 5, 2, 2), nn.GroupNorm(4, 32), nn.ReLU()),
            *(nn.Conv2d(32, 32, 3, 1, 1), nn.GroupNorm(4, 32), nn.ReLU()),
            *(nn.Conv2d(32, 48, 3, 2, 1), nn.GroupNorm(4, 48), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(48 * (WINDOW // 4) ** 2, 64), nn.ReLU(), nn.Linear(64, 2)),
        )

    def hidden_matrices(self) -> list[nn.Parameter]:
        """The weights of all layers but the last ones of the head and of the fine network."""
        last = (self.head[-1].weight, self.fine[-1].weight)
        return [p for p in self.parameters() if p.ndim > 1 and not any(p is of for of in last)]

    def coarsely(self, before: Tensor, after: Tensor, sample: Tensor, boxes: Tensor) -> Tensor:
        """About where n objects are now, (n, 2) pixels from the left and the top.

        Args:
            before: (b, 3, h, w) pictures with sides that are multiples of ``CELL``.
            after: the later ones.
            sample: (n,) int64, in which of the b pictures each object is.
            boxes: (n, 4) left, top, right, bottom of each object before, pixels.
        """
        first, later = self._features(torch.cat([before, after])).chunk(2)
        return self._coarse(first, later, sample, boxes)

    def corrected(self, before: Tensor, after: Tensor, sample: Tensor, boxes: Tensor, at: Tensor) -> Tensor:
        """Where the objects are, (n, 2) pixels, as seen from places (n, 2) near which they are."""
        around = _window((boxes[:, :2] + boxes[:, 2:]) / 2), _window(at)
        pixels = [_sampled(of[sample], places) for of, places in zip((before, after), around, strict=True)]
        seen = torch.cat([*pixels, _within(around[0][..., 0], around[0][..., 1], boxes)[:, None]], 1)
        return at + self.fine(seen)

    def forward(self, before: Tensor, after: Tensor, sample: Tensor, boxes: Tensor, at: Tensor) -> Tensor:
        """The places to which ``ROUNDS`` corrections lead from places (n, 2)."""
        for _ in range(ROUNDS):
            at = self.corrected(before, after, sample, boxes, at)
        return at

    def _features(self, pictures: Tensor) -> Tensor:
        """(b, D, h / CELL, w / CELL)."""
        return torch.cat([self.encoder(pictures), 2 * F.avg_pool2d(pictures, CELL) - 1], 1)

    def _coarse(self, first: Tensor, later: Tensor, sample: Tensor, boxes: Tensor) -> Tensor:
        n, (rows, columns) = len(boxes), first.shape[-2:]
        y, x = torch.meshgrid(*(CELL * (torch.arange(size) + 0.5) for size in (rows, columns)), indexing="ij")
        mask = _within(x, y, boxes) + 1e-6
        looks = torch.einsum("nchw,nhw->nc", first[sample], mask) / mask.sum((1, 2))[:, None]
        alike = -((later[sample] - looks[:, :, None, None]) ** 2 * self.scales.abs()[:, None, None]).sum(1)
        middles = (boxes[:, :2] + boxes[:, 2:]) / 2
        dx, dy = (((of - middle[:, None, None]) / 16) for of, middle in ((x, middles[:, 0]), (y, middles[:, 1])))
        changes = self.changes(torch.cat([later, later - first], 1))[sample]
        seen = torch.cat([changes, torch.stack([alike, mask, dx, dy], 1)], 1)
        weights = (self.head(seen)[:, 0] + alike).flatten(1).softmax(1).view(n, rows, columns)
        return torch.stack([(weights * x).sum((1, 2)), (weights * y).sum((1, 2))], 1)


def _within(x: Tensor, y: Tensor, boxes: Tensor) -> Tensor:
    """How far places (h, w) or (n, h, w) lie in boxes (n, 4), from 0 to 1: (n, h, w)."""
    left, top, right, bottom = boxes[:, :, None, None].unbind(1)
    sides = (x - left, right - x, y - top, bottom - y)
    inside = torch.ones(1)
    for side in sides:
        inside = inside * (side / 2 + 0.5).clamp(0, 1)
    return inside


def _window(middles: Tensor) -> Tensor:
    """The places of ``WINDOW`` × ``WINDOW`` pixels around middles (n, 2): (n, WINDOW, WINDOW, 2) of x and y."""
    steps = torch.arange(WINDOW) - (WINDOW - 1) / 2
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    return middles[:, None, None] + torch.stack([x, y], -1)


def _sampled(pictures: Tensor, places: Tensor) -> Tensor:
    """Pictures (n, 3, h, w) at places (n, k, k, 2) in pixels, interpolated: (n, 3, k, k)."""
    size = torch.tensor(pictures.shape[:1:-1])
    return F.grid_sample(pictures, 2 * places / size - 1, padding_mode="border", align_corners=False)
