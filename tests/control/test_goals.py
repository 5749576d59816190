"""Costs are 0 where the goal is, grow with the distance, and nonsense is refused in one line."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.bars import seen_at
from support.tiny import make_layout

from forearm.arms.pictures import observed
from forearm.base.errors import ForearmError
from forearm.batch import Prediction
from forearm.canvas import Camera, Layout, draw_frame
from forearm.control.goals import JointGoal, PictureGoal, RegionGoal

LAYOUT = make_layout()
WITHIN = st.floats(-40, 40)


def regions_at(*pans: float, lift: float = 0.0, layout: Layout = LAYOUT) -> torch.Tensor:
    """Frames with strips (B, 3, H, w) of the bar's world."""
    places = [np.array([pan, lift]) for pan in pans]
    return torch.from_numpy(np.stack([draw_frame(layout, seen_at(layout, place), place) for place in places]))


def pictures_at(pan: float, layout: Layout = LAYOUT) -> list[np.ndarray]:
    return layout.split(seen_at(layout, np.array([pan, 0.0])).picture)


@given(WITHIN, WITHIN, WITHIN)
def test_a_joint_goal_counts_the_moves_that_are_left(pan: float, lift: float, target: float) -> None:
    regions = regions_at(pan, lift=lift)
    one = JointGoal.named(LAYOUT, {"pan.pos": target}).cost(Prediction(regions))
    both = JointGoal.named(LAYOUT, {"pan": target, "lift": -5.0}).cost(Prediction(regions))
    assert one.shape == (1,)
    at = torch.tensor([[pan, lift]], dtype=torch.float32)
    told = JointGoal.named(LAYOUT, {"pan": target}).cost(Prediction(torch.rand_like(regions), at))
    assert float(told) == pytest.approx(float(one), abs=1e-4)  # numbers go before what the strip shows
    assert float(one) == pytest.approx(abs(pan - target) / 10, abs=1e-4)  # a move of pan is 10°
    # No action drives lift: its most change from frame to frame, 15°, is the measure.
    assert float(both) == pytest.approx(abs(pan - target) / 10 + abs(lift + 5) / 15, abs=1e-4)


def test_a_picture_goal_sees_from_afar_on_which_side_it_lies() -> None:
    large = make_layout(cameras=(Camera("base", 64, 64), Camera("wrist", 64, 64)))
    goal = PictureGoal.of(large, pictures_at(21, large))
    regions = regions_at(21, 11, 1, -9, layout=large)
    costs = goal.cost(Prediction(regions))
    assert costs[0] == 0
    assert (costs.diff() > 0).all()
    plain = (regions[1:, :, :128] - goal.frame).square().mean((1, 2, 3))
    assert plain.std() < 0.01 * plain.mean()  # the squared error of the pictures themselves sees nothing there


def test_a_picture_as_the_camera_takes_it_is_shrunk_as_the_recordings_were() -> None:
    cameras = [replace(camera, recorded_size=(48, 64)) for camera in LAYOUT.cameras]
    layout, photo = replace(LAYOUT, cameras=tuple(cameras)), np.random.default_rng(0).integers(0, 256, (48, 64, 3))
    photos = {"base": photo.astype(np.uint8), "wrist": photo[::-1].astype(np.uint8)}
    arm = observed(layout, photos, np.zeros(2, np.float32))
    goal, same = (PictureGoal.of(layout, each) for each in (list(photos.values()), layout.split(arm.picture)))
    torch.testing.assert_close(goal.frame, same.frame)
    with pytest.raises(ForearmError, match="64×48 pixels"):
        PictureGoal.of(layout, [np.zeros((64, 48, 3), np.uint8)] * 2)


def test_what_a_mask_leaves_out_does_not_count() -> None:
    spoilt = regions_at(20)
    spoilt[:, :, :8] = 0.7  # the first camera
    half = PictureGoal.of(LAYOUT, [None, pictures_at(20)[1]])
    masked = PictureGoal.of(LAYOUT, pictures_at(20), [np.zeros((8, 8), bool), np.ones((8, 8), bool)])
    for goal in (half, masked):
        assert float(goal.cost(Prediction(spoilt))) == 0
        assert float(goal.cost(Prediction(regions_at(10)))) > 0.01
    assert float(PictureGoal.of(LAYOUT, pictures_at(20)).cost(Prediction(spoilt))) > 0.01
    torch.testing.assert_close(*(goal.cost(Prediction(regions_at(0, 10))) for goal in (half, masked)))


def test_a_region_goal_is_the_best_normalised_cross_correlation() -> None:
    seen = torch.rand(3, 3, 20, 18, generator=torch.Generator().manual_seed(0))
    seen[1] = 0.5  # one even grey
    goal = RegionGoal(seen[2, :, 5:10, 4:8].clone(), slice(2, 19), slice(1, 17))
    best = []
    for picture in seen[..., goal.rows, goal.columns].double().numpy():
        patches = np.lib.stride_tricks.sliding_window_view(picture, (3, 5, 4))[0].reshape(-1, 60)
        crop = goal.crop.double().numpy().ravel() - goal.crop.mean().item()
        patches = patches - patches.mean(axis=1, keepdims=True)
        lengths = np.linalg.norm(patches, axis=1).clip(1e-9) * np.linalg.norm(crop)
        best.append((patches @ crop / lengths).max())
    np.testing.assert_allclose(goal.cost(Prediction(seen)), 1 - np.array(best), atol=1e-4)


def test_a_region_goal_finds_the_crop_anywhere_in_its_box_and_nowhere_else() -> None:
    regions = torch.rand(3, 3, LAYOUT.height, LAYOUT.frame_width, generator=torch.Generator().manual_seed(0))
    crop = (torch.rand(4, 3, 3, generator=torch.Generator().manual_seed(1)) * 255).to(torch.uint8)
    goal = RegionGoal.of(LAYOUT, "wrist", (1, 0, 6, 6), crop.numpy())
    # the wrist camera's pictures begin in row 8; in the second frame the crop is darker, in the third outside the box
    regions[0, :, 10:14, 4:7] = crop.permute(2, 0, 1) / 255
    regions[1, :, 8:12, 1:4] = crop.permute(2, 0, 1) / 510 + 0.1
    regions[2, :, 12:16, 5:8] = crop.permute(2, 0, 1) / 255
    costs = goal.cost(Prediction(regions))
    assert (costs[:2] < 1e-5).all()
    assert costs[2] > 0.3
    assert (costs < goal.enough).tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: JointGoal.named(LAYOUT, {}), "at least one joint, such as shoulder_pan=30"),
        (lambda: JointGoal.named(LAYOUT, {"elbow": 3}), "no joint 'elbow'; there are pan, lift"),
        (lambda: JointGoal.named(LAYOUT, {"pan": 46}), "pan=46 lies outside the joint's limits, -45 to 45 deg"),
        (lambda: JointGoal.named(LAYOUT, {"pan": float("nan")}), "pan=nan lies outside"),
        (lambda: PictureGoal.of(LAYOUT, pictures_at(0)[:1]), "1 pictures; give one for each camera: base, wrist"),
        (
            lambda: PictureGoal.of(LAYOUT, [pictures_at(0)[0], np.zeros((9, 8, 3), np.uint8)]),
            "the goal picture of camera wrist is 9×8 pixels high and wide, not 8×8",
        ),
        (lambda: PictureGoal.of(LAYOUT, [np.zeros((8, 8), np.uint8), None]), "give it in colour"),
        (lambda: PictureGoal.of(LAYOUT, pictures_at(0), [np.ones((8, 9), bool), None]), "camera base is 8×9"),
        (lambda: PictureGoal.of(LAYOUT, [None, None]), "no pixel of the goal pictures counts"),
        (lambda: RegionGoal.of(LAYOUT, "top", (0, 0, 4, 4), CROP), "no camera 'top'; there are base, wrist"),
        (lambda: RegionGoal.of(LAYOUT, "base", (5, 0, 4, 4), CROP), "the box 5 0 4 4 .* leaves the picture"),
        (lambda: RegionGoal.of(LAYOUT, "base", (0, 0, 2, 2), CROP), "3 wide and 3 high and does not fit in a box 2"),
        (lambda: RegionGoal.of(LAYOUT, "base", (0, 0, 4, 4), 0 * CROP), "the crop is one even grey"),
    ],
)
def test_nonsense_is_one_clear_line(make, said: str) -> None:
    with pytest.raises(ForearmError, match=said):
        make()


CROP = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
