"""Pieces that the families share."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from forearm.models.blocks import Attention, grid_positions, patchify, unpatchify


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.sampled_from([1, 2, 4]))
def test_patches_put_together_again_are_the_picture(batch, channels, rows, columns, patch):
    picture = torch.rand(batch, channels, rows * patch, columns * patch)
    patches = patchify(picture, patch)
    assert patches.shape == (batch, rows * columns, patch * patch * channels)
    assert torch.equal(unpatchify(patches, patch, rows * patch, columns * patch), picture)


def test_patches_come_in_raster_order():
    picture = torch.arange(6.0).reshape(1, 1, 2, 3).repeat_interleave(4, 2).repeat_interleave(4, 3)
    assert patchify(picture, 4).mean(-1).tolist() == [[0, 1, 2, 3, 4, 5]]


def test_every_place_has_its_own_code():
    codes = grid_positions(5, 7, 32)
    assert codes.shape == (35, 32)
    assert torch.pdist(codes).min() > 0.1
    # The first half codes the row alone, the second the column alone.
    grid = codes.reshape(5, 7, 32)
    assert torch.equal(grid[:, 0, :16], grid[:, 6, :16])
    assert torch.equal(grid[0, :, 16:], grid[4, :, 16:])


def test_attention_is_the_textbook_one():
    torch.manual_seed(0)
    attention, tokens = Attention(16, 2).double(), torch.randn(2, 5, 16, dtype=torch.float64)
    q, k, v = attention.qkv(tokens).chunk(3, dim=-1)
    heads = []
    for head in (slice(0, 8), slice(8, 16)):
        weights = (q[..., head] @ k[..., head].transpose(1, 2) / 8**0.5).softmax(-1)
        heads.append(weights @ v[..., head])
    torch.testing.assert_close(attention(tokens), attention.out(torch.cat(heads, -1)))


@pytest.mark.parametrize("places", [[3, 0, 4, 1, 2]])
def test_attention_treats_tokens_as_a_set(places):
    attention, tokens = Attention(8, 2), torch.randn(1, 5, 8)
    torch.testing.assert_close(attention(tokens)[:, places], attention(tokens[:, places]))
