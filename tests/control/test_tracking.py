"""An object is found by its colours where it is, and counts as unmoved where it is hidden."""

import numpy as np
import pytest
import torch
from support.tiny import make_layout

from forearm.base.errors import ForearmError
from forearm.batch import Prediction
from forearm.canvas import Camera
from forearm.control.goals import ObjectGoal

LAYOUT = make_layout(cameras=(Camera("base", 64, 64),))
BOX = (20.0, 30.0, 26.0, 38.0)


def shown(left: int | None, top: int = 30) -> np.ndarray:
    """A wooden table (64, 64, 3) uint8, with a red object whose left upper corner is there."""
    picture = np.random.default_rng(0).integers(90, 150, (64, 64, 1)) + np.array([30, 0, -40])
    if left is not None:
        picture[top : top + 8, left : left + 6] = [200, 30, 35]
    return picture.astype(np.uint8)


def predicted(*pictures: np.ndarray) -> Prediction:
    frames = torch.zeros(len(pictures), 3, LAYOUT.height, LAYOUT.frame_width)
    frames[:, :, :64] = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2) / 255
    return Prediction(frames)


def test_the_cost_is_the_way_that_is_left() -> None:
    goal = ObjectGoal.of(LAYOUT, shown(20), "base", BOX, (43.0, 34.0))
    seen = predicted(shown(20), shown(28), shown(40), shown(30, top=33), shown(None))
    places = goal.places(seen)
    expected = torch.tensor([[23.0, 34], [31, 34], [43, 34], [33, 37], [23, 34]])
    torch.testing.assert_close(places, expected, atol=0.3, rtol=0)
    torch.testing.assert_close(goal.cost(seen), (expected - goal.target).norm(dim=1) / 64, atol=0.005, rtol=0)
    assert float(goal.cost(seen)[2]) < goal.enough < float(goal.cost(seen)[1])


def test_the_target_may_be_a_picture_that_shows_the_object_there() -> None:
    goal = ObjectGoal.of(LAYOUT, shown(20), "base", BOX, (32.0, 32.0)).as_in(shown(48, top=5))
    torch.testing.assert_close(goal.target, torch.tensor([51.0, 9.0]), atol=0.3, rtol=0)
    with pytest.raises(ForearmError, match="does not show the object"):
        goal.as_in(shown(None))
    with pytest.raises(ForearmError, match="goal picture is 8×64 pixels"):
        goal.as_in(shown(20)[:8])


@pytest.mark.parametrize(
    ("camera", "box", "target", "said"),
    [
        ("top", BOX, (43, 34), "no camera 'top'; there are base"),
        ("base", (20, 30, 70, 38), (43, 34), "is not within the picture of 64×64 pixels"),
        ("base", (20, 30, 21, 31), (43, 34), "covers 1 pixels"),
        ("base", BOX, (43, 65), "the target 43,65 is not within the picture of camera base"),
        ("base", (2, 2, 10, 10), (43, 34), "does not stand out"),
    ],
)
def test_nonsense_is_refused_in_a_line(camera: str, box, target, said: str) -> None:
    with pytest.raises(ForearmError, match=said):
        ObjectGoal.of(LAYOUT, shown(20), camera, box, target)
