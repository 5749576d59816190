"""Canvases can be drawn and read back, whatever the layout; and other people's canvases can be read too."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support.canvases import decode, preset_layout

from forearm.base.errors import ForearmError
from forearm.base.files import checked
from forearm.canvas import (
    STAY,
    ActionDimension,
    Camera,
    Joint,
    Layout,
    action_codes,
    as_uint8,
    counterfactual,
    decode_strip,
    draw,
)

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "so101_canvases"
SO101_JOINTS = tuple(
    Joint(name) for name in ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
)
PAN = (ActionDimension("shoulder_pan", "shoulder_pan", "deg", 10.0),)


@st.composite
def layouts(draw_from):
    patch = draw_from(st.sampled_from([2, 4]))
    stacking = draw_from(st.sampled_from(["vertical", "horizontal"]))
    sizes = st.integers(1, 5).map(lambda k: k * patch)
    shared = draw_from(sizes)
    others = draw_from(st.lists(sizes, min_size=1, max_size=3))
    cameras = tuple(
        Camera(f"c{i}", *((size, shared) if stacking == "vertical" else (shared, size)))
        for i, size in enumerate(others)
    )
    joints = tuple(
        Joint(f"j{i}", "deg", low, low + span, 1.5 * span)  # a change within the bounds is never clipped
        for i, (low, span) in enumerate(
            draw_from(st.lists(st.tuples(st.floats(-200, 100), st.floats(0.5, 300)), min_size=1, max_size=8))
        )
    )
    dimensions = tuple(ActionDimension(f"a{i}") for i in range(draw_from(st.integers(1, 6))))
    return Layout(
        cameras=cameras,
        joints=joints,
        actions=dimensions[: patch * 2],
        patch=patch,
        separator=patch * draw_from(st.integers(1, 2)),
        discrete=draw_from(st.booleans()),
        history=draw_from(st.integers(2, 4)),
        stacking=stacking,
        palette=draw_from(
            st.sampled_from([((255, 0, 0), (0, 255, 0), (0, 0, 255)), ((128, 128, 128), (255, 255, 0), (0, 40, 200))])
        ),
    )


def random_moments(layout, n, seed):
    random = np.random.default_rng(seed)
    frames = random.integers(0, 256, (n, layout.history, layout.frame_height, layout.frame_width, 3), np.uint8)
    positions = random.uniform(layout.lows, layout.highs, (n, layout.history, len(layout.joints)))
    actions = random.uniform(-1, 1, (n, layout.history - 1, len(layout.actions))).astype(np.float32)
    return frames, positions, np.sign(actions) if layout.discrete else actions


@settings(max_examples=60, deadline=None)
@given(layouts(), st.integers(0, 2**32 - 1))
def test_decode_undoes_draw(layout, seed):
    frames, positions, actions = random_moments(layout, 3, seed)
    canvases = draw(layout, frames, positions, actions)
    assert canvases.shape == (3, 3, layout.height, layout.width)
    assert canvases.shape[2] % layout.patch == 0
    assert canvases.shape[3] % layout.patch == 0

    exact = decode(layout, canvases)
    np.testing.assert_array_equal(as_uint8(exact.frames), frames)
    span = layout.highs - layout.lows
    np.testing.assert_allclose(exact.positions / span, positions / span, atol=1e-5)
    np.testing.assert_allclose(exact.velocities[:, 1:] / span, np.diff(positions, axis=1) / span, atol=1e-5)
    np.testing.assert_allclose(exact.velocities[:, 0] / span, 0, atol=1e-5)
    np.testing.assert_allclose(exact.actions, actions, atol=1e-5)

    rounded = decode(layout, as_uint8(canvases))
    half_a_grey = 0.5 / 255 + 1e-5
    assert np.all(np.abs(rounded.positions - positions) <= half_a_grey * span)
    assert np.all(np.abs(rounded.velocities[:, 1:] - np.diff(positions, axis=1)) <= half_a_grey * 2 * 1.5 * span)
    np.testing.assert_array_equal(as_uint8(rounded.frames), frames)


@settings(max_examples=40, deadline=None)
@given(layouts())
def test_places_tile_the_canvas(layout):
    taken = np.zeros((layout.height, layout.width), int)
    for t in range(layout.history):
        for y, x in layout.camera_boxes():
            taken[:, layout.frame_columns(t)][y, x] += 1
        taken[layout.frame_height :, layout.frame_columns(t)] += 1
    for t in range(layout.history - 1):
        for rows in layout.action_rows():
            taken[rows, layout.separator_columns(t)] += 1
    assert np.all(taken == 1)


@settings(max_examples=40, deadline=None)
@given(layouts())
def test_layout_survives_json(layout):
    assert checked(Layout, json.loads(json.dumps(layout.to_json())), "the layout") == layout


def test_positions_outside_the_bounds_are_clipped():
    layout = preset_layout("tiny", ("front",), (Joint("pan", "deg", -10, 10, 5),), PAN_FREE)
    frames = np.zeros((1, 2, 64, 64, 3), np.uint8)
    moments = decode(layout, draw(layout, frames, np.array([[[-20.0], [20.0]]]), np.zeros((1, 1, 1))))
    np.testing.assert_allclose(moments.positions[0, :, 0], [-10, 10], atol=1e-5)
    np.testing.assert_allclose(moments.velocities[0, :, 0], [0, 5], atol=1e-5)


PAN_FREE = (ActionDimension("pan", "pan", "deg", 10.0),)


def test_the_classical_canvas_has_its_sizes():
    layout = preset_layout("so101", ("base", "wrist"), SO101_JOINTS, PAN)
    assert (layout.height, layout.width) == (464, 480)
    assert layout.grid == (29, 30)
    assert (layout.frame_height, layout.frame_width, layout.strip_height) == (448, 224, 16)


def test_strip_wraps_to_two_rows_on_the_tiny_canvas():
    layout = preset_layout("tiny", ("base", "wrist"), SO101_JOINTS, PAN)
    assert layout.strip_height == 16
    cells = layout.strip_cells()
    assert cells[7] == (slice(128, 136), slice(56, 64))
    assert cells[8] == (slice(136, 144), slice(0, 8))
    canvas = draw(layout, np.zeros((1, 2, 128, 64, 3), np.uint8), np.full((1, 2, 6), 90.0), np.ones((1, 1, 1)))
    assert np.all(canvas[0, :, 136:, 32:64] == 0), "unused cells are black"


@pytest.mark.parametrize(("value", "colour"), [(0, (1, 0, 0)), (1, (0, 1, 0)), (-1, (0, 0, 1)), (0.5, (0.5, 0.5, 0))])
def test_separator_colours(value, colour):
    layout = preset_layout("tiny", ("base",), SO101_JOINTS, PAN, discrete=False)
    canvas = draw(layout, np.zeros((1, 2, 64, 64, 3), np.uint8), np.zeros((1, 2, 6)), np.full((1, 1, 1), value))
    np.testing.assert_allclose(canvas[0, :, :, layout.separator_columns(0)].mean((1, 2)), colour, atol=1e-6)


def test_codes_and_counterfactuals():
    layout = preset_layout(
        "tiny", ("base",), SO101_JOINTS[:2], (ActionDimension("a"), ActionDimension("b")), discrete=False
    )
    actions = np.array([[0.5, -0.25], [0.1, -0.75], [0.0, 0.001]], np.float32)
    assert action_codes(actions).tolist() == [1, 2, 0]
    assert np.all(counterfactual(layout, actions, STAY) == 0)
    np.testing.assert_allclose(counterfactual(layout, actions, 1)[:2], [[0.5, -0.25], [-0.1, 0.75]])
    np.testing.assert_array_equal(counterfactual(layout, actions, 2, np.array([0, 1, 0]))[2], [-0.5, 0])
    for code in (0, 1, 2):
        taken = counterfactual(layout, actions, code)
        assert np.all(action_codes(taken) == code)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"patch": 7}, "not divisible by the patch 7"),
        ({"separator": 12}, "separator 12 is not divisible"),
        ({"history": 1}, "at least 2 frames"),
        ({"cameras": ()}, "at least one camera"),
        ({"cameras": (Camera("a", 64, 64), Camera("b", 64, 32))}, "need one width"),
        ({"joints": (Joint("pan", "deg", 3, 3),)}, "no interval"),
        ({"cameras": (Camera("base", 8, 8, recorded_size=(48, 0)),)}, "no pixels"),
        ({"cameras": (Camera("base", 8, 8, fps=0.0),)}, "0.0 pictures a second"),
        ({"actions": (ActionDimension("pan", "pan", "deg", 0.0),)}, "scale 0.0"),
        ({"joints": (Joint("pan", unit_origin="told"),)}, "unit_origin is 'told'"),
        ({"actions": (ActionDimension("elbow", "elbow"),)}, "does not have"),
    ],
)
def test_impossible_layouts_are_refused_in_one_line(change, says):
    good = preset_layout("tiny", ("base",), (Joint("pan"),), PAN_FREE).to_json()
    with pytest.raises(ForearmError, match=re.escape(says)) as caught:
        checked(Layout, {**good, **json.loads(json.dumps(change, default=vars))}, "the layout")
    assert "\n" not in str(caught.value)


def test_what_older_layouts_lack_is_written_only_where_it_is_known():
    """Weights know their layout by a digest of its JSON, which therefore has to stay what it was."""
    layout = preset_layout("tiny", ("base",), (Joint("pan"), Joint("lift", unit_origin="given")), PAN_FREE)
    pan, lift = layout.to_json()["joints"]
    assert set(pan) == {"name", "unit", "low", "high", "max_velocity"}
    assert lift["unit_origin"] == "given"


def test_foreign_json_is_refused():
    with pytest.raises(ForearmError, match="the layout lacks"):
        checked(Layout, {"cameras": []}, "the layout")


# Two grids by somebody else: four canvases below each other, and a table of what they show.


def real_grid(number):
    pixels = np.asarray(Image.open(REAL / f"counterfactual_{number:03d}.png").convert("RGB"))
    canvases = pixels.reshape(4, 464, 480, 3).transpose(0, 3, 1, 2)
    lines = (REAL / f"motor_decoded_{number:03d}.txt").read_text().splitlines()
    table = np.array(
        [[float(v) for v in line.split("|")[1:]] for line in lines if line.startswith("J") and "Pos" not in line]
    )
    return canvases, table  # (4, 3, 464, 480) uint8; (6, 5): GT, STAY, MOVE+, MOVE− positions, GT velocity


@pytest.mark.skipif(not REAL.is_dir(), reason="the real grids are not here")
def test_real_grids_decode_to_their_tables():
    layout = preset_layout("so101", ("base", "wrist"), SO101_JOINTS, PAN)
    as_greys = layout.with_bounds(np.zeros(6), np.ones(6), np.ones(6))
    grids = [real_grid(number) for number in (0, 2)]
    last = layout.frame_columns(-1)
    greys = np.concatenate([decode_strip(as_greys, canvases[..., last])[0] for canvases, _ in grids])
    truth = np.concatenate([table[:, :4].T for _, table in grids])
    # Nobody wrote down the bounds of these canvases: position = low + grey · (high − low), by least squares.
    fits = [np.linalg.lstsq(np.stack([1 - g, g], 1), p, rcond=None)[0] for g, p in zip(greys.T, truth.T, strict=True)]
    lows, highs = np.array(fits).T
    layout = layout.with_bounds(lows, highs, np.ones(6))
    positions, _ = decode_strip(layout, np.concatenate([canvases[..., last] for canvases, _ in grids]))
    assert np.all(np.abs(positions - truth) <= (highs - lows) * 0.5 / 255)
    actions = decode(layout, np.concatenate([canvases for canvases, _ in grids])).actions[:, 0, 0]
    np.testing.assert_allclose(actions.reshape(2, 4), [[1, 0, 1, -1], [1, 0, 1, -1]], atol=0.02)
