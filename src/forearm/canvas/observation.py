"""What an arm shows at one time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forearm.base.errors import ForearmError
from forearm.canvas.draw import draw_strips
from forearm.canvas.layout import Layout
from forearm.canvas.read import as_float


@dataclass(frozen=True)
class Observation:
    """What cameras and joints show at one time."""

    picture: np.ndarray
    """(h, w, 3) uint8, the cameras as they are stacked in a frame."""
    joints: np.ndarray
    """(J,) positions in the joints' units."""
    expected_error: np.ndarray | None = None
    """(h, w) float32, the squared error expected of each pixel, mean over the channels; None where it is not imagined
    or the predictor cannot say."""


def stack_pictures(layout: Layout, pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Stack the pictures of all cameras, (h, w, 3) uint8 each in the layout's order, as a frame has them.

    Raises:
        ForearmError: a picture is missing or of another size.
    """
    if len(pictures) != len(layout.cameras):
        raise ForearmError(f"{len(pictures)} pictures were given for {len(layout.cameras)} cameras; give one for each")
    stacked = np.empty((layout.frame_height, layout.frame_width, 3), np.uint8)
    for camera, picture, box in zip(layout.cameras, pictures, layout.camera_boxes(), strict=True):
        if picture.shape != (camera.height, camera.width, 3) or picture.dtype != np.uint8:
            raise ForearmError(
                f"the picture of camera {camera.name} is {picture.dtype} {picture.shape}, "
                f"not uint8 {(camera.height, camera.width, 3)}; give it in the size that the model knows"
            )
        stacked[box] = picture
    return stacked


def draw_frame(layout: Layout, observation: Observation, joints_before: np.ndarray) -> np.ndarray:
    """The frame with its strip that shows an observation, (3, H, w) float32 in [0, 1].

    Args:
        joints_before: (J,) positions in the frame before, from which the velocities follow.
    """
    frame = np.empty((3, layout.height, layout.frame_width), np.float32)
    frame[:, : layout.frame_height] = as_float(observation.picture).transpose(2, 0, 1)
    positions = np.stack([joints_before, observation.joints])[None]
    frame[:, layout.frame_height :] = draw_strips(layout, positions)[0, -1]
    return frame
