"""How a camera's picture of another shape is made to fit the size that it has on a canvas."""

import numpy as np

from forearm.canvas.layout import Camera


def scaled_size(recorded: tuple[int, int], camera: Camera) -> tuple[int, int]:
    """The size (h, w) to which a picture of a recorded size (h, w) is scaled before `cut_or_padded`."""
    if camera.fit == "squeeze":
        return camera.height, camera.width
    ratios = camera.height / recorded[0], camera.width / recorded[1]
    scale = max(ratios) if camera.fit == "crop" else min(ratios)
    return max(1, round(recorded[0] * scale)), max(1, round(recorded[1] * scale))


def cut_or_padded(picture: np.ndarray, camera: Camera) -> np.ndarray:
    """The middle of a picture (h, w, 3) in the camera's size, with black beyond its edges."""
    for axis, wanted in enumerate((camera.height, camera.width)):
        surplus = picture.shape[axis] - wanted
        if surplus > 0:
            picture = picture.take(range(surplus // 2, surplus // 2 + wanted), axis)
        elif surplus < 0:
            before = -surplus // 2
            picture = np.pad(picture, [(before, -surplus - before) if a == axis else (0, 0) for a in range(3)])
    return picture


def box_in_camera(boxes: np.ndarray, recorded: tuple[int, int], camera: Camera) -> np.ndarray:
    """Boxes (…, 4) in a picture of a recorded size (h, w) as boxes in what `cut_or_padded` makes of it.

    Both are left, top, right and bottom as fractions of the picture's width and height.
    """
    scaled = np.array(scaled_size(recorded, camera)[::-1] * 2, boxes.dtype)
    wanted = np.array((camera.width, camera.height) * 2, boxes.dtype)
    return (boxes * scaled - np.trunc((scaled - wanted) / 2)) / wanted
