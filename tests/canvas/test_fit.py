"""Pictures of any shape come out in a camera's size; only squeezing changes their proportions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forearm.canvas import Camera, cut_or_padded, scaled_size

FITS = ("squeeze", "crop", "letterbox")


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 64), st.sampled_from(FITS))
def test_every_picture_fits(height, width, side, fit):
    camera = Camera("base", side, side, fit=fit)
    scaled = scaled_size((height, width), camera)
    assert cut_or_padded(np.ones((*scaled, 3), np.uint8), camera).shape == (side, side, 3)
    if fit == "crop":
        assert min(scaled) >= side
    if fit == "letterbox":
        assert max(scaled) <= side


@pytest.mark.parametrize(("fit", "columns"), [("crop", (1, 5)), ("letterbox", None)])
def test_the_middle_stays_in_the_middle(fit, columns):
    camera = Camera("base", 4, 4, fit=fit)
    picture = np.arange(1, 7, dtype=np.uint8)[None, :, None] * np.ones((4, 1, 3), np.uint8)
    if fit == "crop":
        np.testing.assert_array_equal(cut_or_padded(picture, camera), picture[:, slice(*columns)])
    else:
        shrunk = picture[:2, 1:5]
        fitted = cut_or_padded(shrunk, camera)
        np.testing.assert_array_equal(fitted[1:3], shrunk)
        assert not fitted[[0, 3]].any()
