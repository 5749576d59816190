"""Where objects are in a camera's picture, and where on the table that is."""

import numpy as np

from forearm.canvas import Layout
from forearm.transitions.objects import Motions

STEADY = 0.1
"""A camera is fixed if the boxes of objects that nobody moves stay where they are, to so many pixels of the median."""


def box_middles(boxes: np.ndarray) -> np.ndarray:
    """Of boxes (…, 4): (…, 2)."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def visible_objects(boxes: np.ndarray) -> np.ndarray:
    """(n, K, C) bool: whether the middle of a box (n, 2, K, C, 4) lies inside the camera's picture before and after."""
    middles = box_middles(boxes)
    return np.all((middles > 0) & (middles < 1), axis=(1, -1))


def object_masks(layout: Layout, boxes: np.ndarray) -> np.ndarray:
    """(n, K, h, w) bool: the pixels that an object's boxes (n, 2, K, C, 4), before or after, touch in any camera."""
    n, _, objects, _, _ = boxes.shape
    masks = np.zeros((n, objects, layout.frame_height, layout.frame_width), bool)
    for camera, (rows, columns) in enumerate(layout.camera_boxes()):
        height, width = rows.stop - rows.start, columns.stop - columns.start
        left, top, right, bottom = np.moveaxis(boxes[:, :, :, camera, :, None], -2, 0)
        y, x = np.arange(height), np.arange(width)
        in_rows = (y > top * height - 1) & (y < bottom * height)  # NaN is in none
        in_columns = (x > left * width - 1) & (x < right * width)
        masks[:, :, rows, columns] |= (in_rows[..., :, None] & in_columns[..., None, :]).any(1)
    return masks


def fixed_cameras(layout: Layout, motions: Motions) -> np.ndarray:
    """(C,) float32: 1 for a camera in which objects that nobody touches stay where they are."""
    middles = box_middles(motions.boxes) * np.array([(camera.width, camera.height) for camera in layout.cameras])
    moved = np.linalg.norm(middles[:, 1] - middles[:, 0], axis=-1)
    still = motions.untouched[..., None] & visible_objects(motions.boxes)
    each = [moved[..., camera][still[..., camera]] for camera in range(len(layout.cameras))]
    return np.array([len(of) and np.median(of) < STEADY for of in each], np.float32)


def fit_projections(positions: np.ndarray, middles: np.ndarray) -> np.ndarray:
    """How each of C cameras sees the table (``ObjectNetwork.projection``), from where objects are and are seen.

    Least squares of least norm: where all objects are equally high, height has no say.

    Args:
        positions: (n, K, 3) metres.
        middles: (n, K, C, 2) fractions of the camera's picture.
    """
    found = np.zeros((middles.shape[2], 11))
    for camera, seen in enumerate(np.moveaxis(middles, 2, 0)):
        inside = ((seen > 0) & (seen < 1)).all(-1)
        place, (u, v) = positions[inside].astype(np.float64), seen[inside].astype(np.float64).T
        one, none = np.c_[np.ones(len(place)), place], np.zeros((len(place), 4))
        equations = np.concatenate([np.c_[one, none, -u[:, None] * place], np.c_[none, one, -v[:, None] * place]])
        if len(equations):
            found[camera] = np.linalg.lstsq(equations, np.concatenate([u, v]), rcond=None)[0]
    return found


def on_table(projection: np.ndarray, places: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """Where along the table (…, 2), metres, an object is that is seen at places (…, 2) and is at heights (…,)."""
    a, z = projection, heights[..., None]
    u, v = places[..., :1], places[..., 1:]
    left = np.stack([a[1:3] - u * a[8:10], a[5:7] - v * a[8:10]], axis=-2)
    right = np.stack([u * (1 + a[10] * z) - a[0] - a[3] * z, v * (1 + a[10] * z) - a[4] - a[7] * z], axis=-2)
    return np.linalg.solve(left, right)[..., 0]
