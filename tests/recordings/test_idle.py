"""When an arm moves: noise and single ticks are no motion, slow motion is."""

import numpy as np
import pytest

from forearm.recordings.idle import active_rows, moving

UNITS = ("deg", "deg", "%")


@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize("fps", [10.0, 30.0])
def test_only_pauses_are_idle(noise, fps):
    seconds = np.arange(0, 12, 1 / fps)
    states = np.random.default_rng(0).normal(0, noise, (len(seconds), 3))
    states[:, 1] += np.interp(seconds, [3, 5, 6, 9], [0, 30, 30, 60])
    kept = active_rows(states, UNITS, fps)
    assert (kept.start / fps, kept.stop / fps) == pytest.approx((3, 9), abs=0.4)
    moves = moving(states, UNITS, fps)
    assert not moves[:, 0].any()
    assert not moves[(seconds > 5.4) & (seconds < 5.6)].any()


@pytest.mark.parametrize("rows", [0, 1, 2, 40])
def test_an_arm_that_never_moves_has_no_active_row(rows):
    assert active_rows(np.ones((rows, 3)), UNITS, 10) == slice(0, 0)
