"""How much time passes in a step is chosen by how fast the pictures change."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.recordings import CAMERA, make_recording, write_video

from forearm.recordings import open_recording
from forearm.transitions.pace import LONGEST, SHARE, SHORTEST, choose_step, copying_shares, possible_steps


@given(fps=st.integers(1, 240), stride=st.floats(0.005, 3))
def test_steps_are_multiples_of_the_stride_at_about_video_rate(fps, stride):
    steps, rows = possible_steps(fps, stride), max(1, round(stride * fps))
    assert steps
    assert all(step % rows == 0 for step in steps), "so that transitions follow one another"
    assert all(step <= LONGEST * fps + 0.5 for step in steps) or len(steps) == 1
    assert steps[0] >= SHORTEST * fps - 0.5
    assert steps[0] == rows or steps[0] - rows < SHORTEST * fps - 0.5, "none is left out"


@pytest.mark.parametrize(
    ("fps", "rows"), [(30, [3, 6]), (10, [1, 2]), (25, [2, 4]), (15, [2]), (60, [6, 12]), (3, [1])]
)
def test_steps_at_usual_rates(fps, rows):
    assert possible_steps(fps, 0.1) == rows


def clip(speed, noise=0.0, seed=0, n=300):
    """A wave that moves by so many radians a row, seen at a moment, one, two, three and six rows later."""
    random = np.random.default_rng(seed)
    began = random.uniform(0, 2 * np.pi, n)[:, None, None]
    waves = np.sin(began + speed * np.array([0, 1, 2, 3, 6])[:, None] + np.arange(0, 6, 0.1))
    return (waves + noise * random.normal(size=waves.shape)).astype(np.float32)


@given(speed=st.floats(0.02, 0.5), seed=st.integers(0, 99))
def test_copying_errs_as_far_as_things_have_moved(speed, seed):
    """Of a wave copying has 2 − 2 cos(way) of the mean frame's error, (way)² for short ways."""
    found = copying_shares([clip(speed, seed=seed)])
    np.testing.assert_allclose(found, 2 - 2 * np.cos(speed * np.array([3, 6])), rtol=0.1, atol=2e-3)


@settings(max_examples=30)
@given(speed=st.floats(0.05, 0.25), noise=st.floats(0.1, 0.6))
def test_noise_is_not_taken_for_motion(speed, noise):
    assume(noise > 2 * speed)
    clean, noisy = (copying_shares([clip(speed, n, n=4000)]) for n in (0, noise))
    assert np.abs(noisy - clean).max() < 0.12
    assert np.array_equal(noisy < SHARE, clean < SHARE) or np.abs(clean - SHARE).min() < 0.12


@pytest.mark.parametrize(
    ("shares", "step"), [((0.1, 0.33), 0.2), ((0.1, 0.34), 0.1), ((0.33, 0.34), 0.1), ((0.34, 0.4), 0.1)]
)
def test_copying_may_have_a_third(shares, step, monkeypatch):
    monkeypatch.setattr("forearm.transitions.pace._clips", lambda *about: [None])
    monkeypatch.setattr("forearm.transitions.pace.copying_shares", lambda clips: shares)
    found, why = choose_step([SimpleNamespace(fps=10)], [CAMERA], 0.1)
    assert found == step
    assert ("though" in why) == (min(shares) > 1 / 3)


@pytest.mark.parametrize(
    ("rows", "step", "says"),
    [
        (80, 0.2, "0.2 s, the longest in which copying has less than"),
        (6, 0.1, "0.1 s, the shortest, though copying has"),
    ],
    ids=["slow", "fast"],
)
def test_a_recording_gets_a_step_and_the_reason(tmp_path, rows, step, says):
    """A bar crosses the picture in so many rows."""
    recording = open_recording(make_recording(tmp_path / "set", lengths=(60, 60)))
    for path in (tmp_path / "set").rglob("*.mp4"):
        pictures = np.zeros((60, 48, 64, 3), np.uint8)
        for row, picture in enumerate(pictures):
            picture[:, np.arange(64) - 64 * row // rows & 63 < 24] = 200
        write_video(path, pictures)
    found, why = choose_step([recording], [CAMERA], 0.1)
    assert found == step
    assert why.startswith(says)
    assert choose_step([recording], [CAMERA], 0.3) == (0.3, "0.3 s, the shortest at this rate and stride")
    for path in (tmp_path / "set").rglob("*.mp4"):
        path.write_bytes(b"")
    assert choose_step([recording], [CAMERA], 0.1) == (0.2, "0.2 s; no picture could be looked at")
