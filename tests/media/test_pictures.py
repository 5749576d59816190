"""Pictures are laid out, enlarged and embedded without a pixel changed, and films hold every frame as long as said."""

import base64
import io

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from forearm.media.colours import OVERLAY, TURBO, css_colour, css_gradient, heat_map
from forearm.media.films import gif, mp4
from forearm.media.labels import labelled
from forearm.media.pictures import PHOTO_PIXELS, data_uri, enlarge, tile

RNG = np.random.default_rng(0)


def noise(h, w, channels=3):
    return RNG.integers(1, 255, (h, w, channels), dtype=np.uint8)


def opened(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


@settings(deadline=None, max_examples=40)
@given(
    shapes=st.lists(st.one_of(st.none(), st.tuples(st.integers(1, 5), st.integers(1, 5))), min_size=1, max_size=7),
    columns=st.integers(1, 8),
    gap=st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_tiles_hold_every_picture_once_in_reading_order(shapes, columns, gap):
    pictures = [None if shape is None else np.full((*shape, 3), i + 1, np.uint8) for i, shape in enumerate(shapes)]
    if all(picture is None for picture in pictures):
        return
    sheet = tile(pictures, columns, gap, fill=0)
    for i, picture in enumerate(pictures):
        assert (sheet[..., 0] == i + 1).sum() == (0 if picture is None else picture[..., 0].size)
    corners = [np.argwhere(sheet[..., 0] == i + 1).min(0) for i, picture in enumerate(pictures) if picture is not None]
    columns = min(columns, len(pictures))
    cells = [(i // columns, i % columns) for i, picture in enumerate(pictures) if picture is not None]
    for (one, cell), (other, next_cell) in zip(
        zip(corners, cells, strict=True), list(zip(corners, cells, strict=True))[1:], strict=False
    ):
        if cell[0] == next_cell[0]:
            assert one[0] == other[0]
            assert one[1] < other[1]
        else:
            assert one[0] < other[0]


def test_equal_tiles_are_concatenated_with_gaps():
    a, b = noise(4, 6), noise(4, 6)
    white = np.full((4, 2, 3), 255, np.uint8)
    np.testing.assert_array_equal(tile([a, b], gap=2), np.concatenate([a, white, b], axis=1))
    np.testing.assert_array_equal(tile([a, b], columns=1), np.concatenate([a, b]))


def test_enlarged_pixels_are_squares():
    picture = noise(3, 4)
    large = enlarge(picture, 3)
    assert large.shape == (9, 12, 3)
    for y, x in np.ndindex(9, 12):
        assert (large[y, x] == picture[y // 3, x // 3]).all()


@pytest.mark.parametrize("how", ["exact", "fast"])
@pytest.mark.parametrize("channels", [3, 4])
def test_exact_uris_give_the_pixels_back(how, channels):
    picture = noise(7, 9, channels)
    np.testing.assert_array_equal(np.asarray(opened(data_uri(picture, how))), picture)


def test_large_pictures_are_photos_unless_said_otherwise():
    side = int(PHOTO_PIXELS**0.5)
    assert data_uri(noise(side, side)).startswith("data:image/png;")
    assert data_uri(noise(side + 1, side)).startswith("data:image/webp;")
    assert data_uri(noise(2, 2), "photo").startswith("data:image/webp;")


@pytest.mark.parametrize("scale", [TURBO, OVERLAY])
def test_heat_runs_from_one_end_of_its_scale_to_the_other(scale):
    heat = heat_map(np.array([[0, 0.2, 0.4, 9.0]]), 0.4, scale)
    assert heat.shape == (1, 4, scale.shape[1])
    np.testing.assert_array_equal(heat[0, [0, 2, 3]], scale[[0, -1, -1]])
    np.testing.assert_array_equal(heat[0, 1], scale[128])
    np.testing.assert_array_equal(heat_map(np.zeros((1, 1)), 0, scale)[0, 0], scale[0])


def test_the_overlay_is_transparent_where_there_is_no_error():
    assert OVERLAY[0, 3] == 0
    assert (np.diff(OVERLAY[:, 3].astype(int)) >= 0).all()


def test_a_gradient_begins_and_ends_as_its_scale():
    stops = css_gradient().removeprefix("linear-gradient(to right, ").removesuffix(")").split(", ")
    assert [stops[0], stops[-1]] == [css_colour(TURBO[0]), css_colour(TURBO[-1])]


def test_a_gif_repeats_and_holds_its_last_frame():
    film = Image.open(io.BytesIO(gif([noise(8, 8) for _ in range(3)], 0.5, last=2)))
    durations = []
    for i in range(film.n_frames):
        film.seek(i)
        durations.append(film.info["duration"])
    assert (durations, film.info["loop"]) == ([500, 500, 2000], 0)


def test_an_mp4_holds_every_frame(tmp_path):
    (tmp_path / "film.mp4").write_bytes(mp4([np.full((16, 16, 3), grey, np.uint8) for grey in (0, 200)], 10, held=3))
    with av.open(str(tmp_path / "film.mp4")) as film:
        greys = [frame.to_ndarray(format="rgb24").mean() for frame in film.decode(video=0)]
    np.testing.assert_allclose(greys, [0, 0, 0, 200, 200, 200], atol=3)


def test_labelled_pictures_stand_below_their_titles():
    page = labelled([("seen", noise(48, 48)), ("foreseen", None)], ("cost 1", "next: STAY"), (slice(0, 6), slice(0, 6)))
    assert page.shape[0] % 2 == page.shape[1] % 2 == 0
    left, right = page[38 : 38 + 384, 12 : 12 + 384], page[38 : 38 + 384, 408 : 408 + 384]
    assert len(np.unique(left.reshape(-1, 3), axis=0)) > 100
    assert len(np.unique(right.reshape(-1, 3), axis=0)) == 1
