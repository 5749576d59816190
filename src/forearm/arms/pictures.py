"""A camera's picture in the size of a run."""

from collections.abc import Mapping

import av
import numpy as np
from av.video.reformatter import Interpolation

from forearm.canvas import Camera, Layout, Observation, cut_or_padded, scaled_size, stack_pictures
from forearm.recordings.features import CAMERA_PREFIX
from forearm.recordings.video import EXACT

SURE = 8.0
"""How sure a shift has to be, in standard deviations; pictures of two scenes are not."""


def shrunk(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A camera's picture (H, W, 3) uint8 in another size (h, w), as ``forearm build`` makes it."""
    if picture.shape[:2] == size:
        return picture
    method = Interpolation.AREA if size[0] < picture.shape[0] or size[1] < picture.shape[1] else Interpolation.BICUBIC
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    return frame.reformat(width=size[1], height=size[0], format="rgb24", interpolation=method | EXACT).to_ndarray()


def observed(layout: Layout, pictures: Mapping[str, np.ndarray], joints: np.ndarray) -> Observation:
    """What cameras show, as a layout has it.

    Args:
        layout: whose cameras are taken.
        pictures: feature key or plain name of a camera to its picture (H, W, 3) uint8, of any size.
        joints: (J,) of the layout.
    """
    plain = {name.removeprefix(CAMERA_PREFIX): picture for name, picture in pictures.items()}
    seen = [fitted(camera, plain[camera.name.removeprefix(CAMERA_PREFIX)]) for camera in layout.cameras]
    return Observation(stack_pictures(layout, seen), joints)


def fitted(camera: Camera, picture: np.ndarray) -> np.ndarray:
    """A camera's picture (H, W, 3) uint8 in the size and shape that it has on a canvas."""
    return cut_or_padded(shrunk(picture, scaled_size(picture.shape[:2], camera)), camera)


def camera_shift(before: np.ndarray, after: np.ndarray) -> tuple[float, float, float]:
    """How far a picture of a scene lies beside another one of it, as where a camera was moved.

    By phase correlation of the pictures' edges (Kuglin & Hines 1975), which lighting changes little.

    Args:
        before: (H, W, 3) uint8.
        after: of the same size.

    Returns:
        pixels to the right, pixels down, and how sure that is: the peak of the correlation over its standard deviation.
        Chance gives 4 to 6.
    """
    spectra = [np.fft.rfft2(_edges(picture)) for picture in (before, after)]
    cross = spectra[1] * spectra[0].conj()
    surface = np.fft.irfft2(cross / np.maximum(np.abs(cross), 1e-9), s=before.shape[:2])
    down, right = np.unravel_index(surface.argmax(), surface.shape)
    height, width = surface.shape
    return (
        float(right - width * (right > width // 2)),
        float(down - height * (down > height // 2)),
        float(surface.max() / max(surface.std(), 1e-9)),
    )


def _edges(picture: np.ndarray) -> np.ndarray:
    """The slopes of a picture's brightness, fading towards its border, (H, W)."""
    grey = picture.astype(np.float32).mean(axis=2)
    down, right = np.gradient(grey)
    fade = np.outer(np.hanning(grey.shape[0]), np.hanning(grey.shape[1]))
    return np.hypot(down, right) * fade
