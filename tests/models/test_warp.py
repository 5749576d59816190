"""Warp and paint: copies within each camera alone, draws what it says of the joints, and learns to move things."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.canvases import assert_answer_is_not_read, diagnosed, noise
from support.tiny import make_layout, write_data
from torch.nn import functional as F

from forearm.base.errors import ForearmError
from forearm.base.files import read_json, write_json
from forearm.batch import FIRST_FRAME, Batch
from forearm.canvas import ActionDimension, Camera, Joint, Layout, draw_strips
from forearm.evaluation.metrics import score
from forearm.models import family_settings, make_model
from forearm.models.augmentation import augmented
from forearm.models.joints import JointNumbers
from forearm.models.kinematics import JOINTS
from forearm.models.warp.anchor import UNTRACED, Anchor, averaged
from forearm.models.warp.config import WarpConfig
from forearm.models.warp.losses import motion_loss, pixel_weights
from forearm.models.warp.model import Warp, blended, sharpened
from forearm.models.warp.motion import (
    copy,
    enlarge,
    exponential,
    halve,
    homographies,
    motion_between,
    pixel_coordinates,
    project,
)
from forearm.models.warp.novelty import novelty_loss
from forearm.report.assessment import assess
from forearm.training.config import TrainConfig
from forearm.training.loop import start_run, train
from forearm.transitions.loader import TrainingSteps

SMALL = {"width": 8, "levels": 1, "layers": 2}

LAYOUTS = {
    "two cameras": make_layout(),
    "one camera": make_layout(cameras=(Camera("base", 8, 8),)),
    "side by side": make_layout(stacking="horizontal"),
    "history of 4": make_layout(history=4),
    "unlike cameras": make_layout(cameras=(Camera("base", 12, 8), Camera("wrist", 4, 8), Camera("top", 20, 8))),
    "large patches": make_layout(cameras=(Camera("base", 32, 16),), patch=16, separator=16),
    "continuous": make_layout(
        actions=(ActionDimension("pan", "pan"), ActionDimension("lift", "lift"), ActionDimension("x")), discrete=False
    ),
}


SO101 = make_layout(
    cameras=(Camera("base", 12, 8), Camera("wrist", 4, 8)),
    joints=tuple(Joint(f"{name}.pos", "%" if name == "gripper" else "deg", -90.0, 90.0, 30.0) for name in JOINTS),
    actions=(ActionDimension("shoulder_pan", "shoulder_pan.pos"),),
)


def a_model(layout: Layout, seed: int = 0, **changes) -> Warp:
    """A small model in which nothing is zero any more, so that it moves and paints wildly."""
    torch.manual_seed(seed)
    model = Warp(layout, WarpConfig(**SMALL | changes)).eval()
    for weight in model.parameters():
        weight.data += 0.1 * torch.randn_like(weight)
    return model


@pytest.mark.parametrize("name", LAYOUTS)
@torch.no_grad()
def test_paints_the_last_frame_of_every_layout(name):
    layout = LAYOUTS[name]
    model, batch = a_model(layout), noise(layout)
    painted = model.predict(batch.context()).frame
    assert painted.shape == (2, 3, layout.height, layout.frame_width)
    assert painted.dtype == torch.float32
    assert 0 <= painted.min() <= painted.max() <= 1
    region = batch.canvas[..., layout.frame_columns(-1)]
    losses = model.validation_loss(batch)
    assert set(losses) == {"loss", "visual", "strip"}
    free, _ = model._frame(batch, *model.decompose(batch))
    torch.testing.assert_close(losses["loss"], ((free - region) ** 2).mean())


@settings(max_examples=10, deadline=None)
@given(
    heights=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    width=st.integers(1, 4),
    stacking=st.sampled_from(["vertical", "horizontal"]),
    history=st.integers(2, 4),
    joints=st.integers(1, 7),
    dimensions=st.integers(1, 3),
)
def test_any_layout_is_learned_and_predicted(heights, width, stacking, history, joints, dimensions):
    patch = 4
    sides = [(h * patch, width * patch)[:: 1 if stacking == "vertical" else -1] for h in heights]
    layout = make_layout(
        cameras=tuple(Camera(f"camera_{i}", *side) for i, side in enumerate(sides)),
        joints=tuple(Joint(f"joint_{i}") for i in range(joints)),
        actions=tuple(ActionDimension(f"entry_{i}", "joint_0") for i in range(dimensions)),
        patch=patch,
        separator=patch,
        stacking=stacking,
        history=history,
    )
    model, batch = a_model(layout), noise(layout)
    assert torch.isfinite(model.predict(batch.context()).frame).all()
    losses = model.train().training_loss(batch)
    losses["loss"].backward()
    assert all(torch.isfinite(value) for value in losses.values())


@torch.no_grad()
def test_never_reads_the_last_frame():
    assert_answer_is_not_read(a_model(make_layout()))
    assert_answer_is_not_read(a_model(COMMANDS))


COMMANDS = make_layout(cameras=(Camera("base", 8, 8),), action_is="target")


def blocked(layout: Layout) -> Batch:
    """Commands that the joints follow, but not where the picture shows something white."""
    batch = noise(layout, 64)
    canvas, positions = batch.canvas.clone(), batch.positions.clone()
    canvas[:, :, : layout.frame_height] *= 0.3
    white = torch.arange(64) % 2 == 0
    canvas[white, :, 2:5, 2:5] = 1.0
    change = batch.actions[:, -1] @ JointNumbers(layout).drives * torch.from_numpy(layout.max_velocities).float()
    positions[:, -2] = 0.0
    positions[:, -1] = torch.where(white[:, None], 0.0, change)
    return dataclasses.replace(batch, canvas=canvas, positions=positions)


def test_pictures_tell_where_a_command_is_stopped():
    batch = blocked(COMMANDS)
    error = {}
    for corrected in (False, True):
        torch.manual_seed(0)
        model = Warp(COMMANDS, WarpConfig(**SMALL, joint_correction=corrected))
        optimiser = torch.optim.Adam(model.parameters(), 1e-2)
        for _ in range(60):
            optimiser.zero_grad()
            model.joint_loss(batch, model.decompose(batch)[1]).backward()
            optimiser.step()
        with torch.no_grad():
            predicted = model.predict(batch.context()).positions
        error[corrected] = (predicted - batch.positions[:, -1]).abs().mean().item()
    assert error[True] < 0.3 * error[False]


def test_where_actions_are_changes_pictures_correct_no_joint():
    assert Warp(make_layout(), WarpConfig(**SMALL)).joint_correction is None
    model, batch = a_model(COMMANDS), noise(COMMANDS)
    assert model.decompose(batch)[1].correction.shape == (2, len(COMMANDS.joints))


@pytest.mark.parametrize("name", LAYOUTS)
@torch.no_grad()
def test_copies_come_from_the_same_camera_alone(name):
    layout = LAYOUTS[name]
    model, batch = a_model(layout), noise(layout)
    model.flow_head.bias += 3.0
    batch.canvas[:] = 1.0  # strips, separators and other frames are white
    for i, (rows, columns) in enumerate(layout.camera_boxes()):
        batch.canvas[..., layout.frame_columns(-2)][..., rows, columns] = 0.2 * (i + 1)
    views, _ = model.decompose(batch.context())
    for i, view in enumerate(views):
        assert view.coordinates.abs().max() > 1.2  # it does look beyond the edge
        for source in view.sources[:-2]:
            torch.testing.assert_close(source, torch.full_like(source, 0.2 * (i + 1)))


@torch.no_grad()
def test_without_motion_and_with_full_trust_it_copies_exactly():
    layout = make_layout()
    torch.manual_seed(0)
    model, batch = Warp(layout, WarpConfig(**SMALL)).eval(), noise(layout)
    for layer in range(2):
        model.blend.weight.zero_()
        model.blend.bias.zero_()
        model.blend.bias[4 * layer : 4 * layer + 4] = 1e4  # one for each pixel of a square of 2 × 2
        model.homography_head[-1].weight.zero_()
        painted = model.predict(batch.context()).frame[:, :, : layout.frame_height]
        before = batch.canvas[..., layout.frame_columns(-2)][:, :, : layout.frame_height]
        torch.testing.assert_close(painted, before, atol=1e-5, rtol=0)


@torch.no_grad()
def test_copies_exactly_where_no_joint_is_to_move():
    layout = make_layout()
    model, batch = a_model(layout), noise(layout)
    for still in (model.joint_head, model.joint_mlp[-1]):
        still.weight.zero_()
        still.bias.zero_()
    before = batch.canvas[..., layout.frame_columns(-2)][:, :, : layout.frame_height]

    def change():
        return (model.predict(batch.context()).frame[:, :, : layout.frame_height] - before).abs()

    assert change().max() < 1 / 255
    stillness = model.blend.bias[-4:].clone()
    model.blend.bias[-4:] = -6.0  # it has learned that things change by themselves
    assert change().mean() > 0.02
    model.blend.bias[-4:] = stillness
    for joint in (1, 0):
        for direction in (-1, 1):
            model.joint_head.bias[:] = 0
            model.joint_head.bias[joint] = direction * 0.5
            far = float(model.decompose(batch.context())[1].change.abs().max())
            assert change().mean() > 0.02
            model.joint_head.bias[joint] *= 0.002 / far  # of the largest in training
            assert change().max() < 1 / 255
            model.joint_head.bias[joint] *= 20
            assert change().mean() > 0.02


@torch.no_grad()
def test_the_way_there_leads_back_and_through_what_lies_between():
    """Layers move as if they were planes: from a to b to c as from a to c, and no way at all is none."""
    layout = make_layout()
    model = a_model(layout)
    stands = torch.randn(3, 4, model.homography_head[0].in_features)

    def motion(a, b):
        return motion_between(*model.planes(stands[[a, b]]))

    torch.testing.assert_close(motion(0, 1) @ motion(1, 2), motion(0, 2), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(motion(0, 0), torch.eye(3).expand(4, 2, 2, 3, 3), atol=1e-5, rtol=0)
    assert (motion(0, 1) - motion(0, 0)).abs().max() > 0.1


@torch.no_grad()
def test_half_precision_does_not_move_pixels():
    layout = make_layout()
    model, batch = a_model(layout), noise(layout)
    model.flow_head.weight.zero_()
    exact, _ = model.decompose(batch)
    with torch.autocast("cpu", torch.bfloat16):
        coarse, _ = model.decompose(batch)
    for a, b in zip(exact, coarse, strict=True):
        assert (a.coordinates - b.coordinates).abs().max() < 1e-3


@torch.no_grad()
def test_trusts_memory_only_where_it_recalls_what_is_seen():
    layout = make_layout()
    model, batch = a_model(layout), noise(layout)
    model.blend.weight.zero_()
    model.blend.bias.zero_()
    for memory in model.memory_heads:
        memory.weight.zero_()
        memory.bias.fill_(0.2)  # whatever the joints: a grey of 0.7
    known = batch.canvas[..., layout.frame_columns(-2)]
    known[0], known[1] = 0.7, 0.3
    views, _ = model.decompose(batch)
    for view in views:
        alike = torch.full_like(view.weights[0], 1 / view.weights.shape[1])
        torch.testing.assert_close(view.weights[0], alike)  # nothing speaks against any source
        assert view.weights[1, -2].max() < 1e-4


@torch.no_grad()
def test_begins_with_the_change_that_the_action_names():
    layout = make_layout()
    model, batch = Warp(layout, WarpConfig(**SMALL)).eval(), noise(layout)
    _, motors = model.decompose(batch)
    degrees = motors.change * model.numbers.most
    torch.testing.assert_close(degrees[:, 0], batch.actions[:, -1, 0] * layout.actions[0].scale)
    assert not degrees[:, 1].any()


@torch.no_grad()
def test_the_strip_is_drawn_as_the_canvas_draws_it():
    layout = make_layout()
    model, batch = a_model(layout), noise(layout, n=64)
    views, motors = model.decompose(batch)
    frame, after = model._frame(batch, views, motors)
    drawn = draw_strips(layout, torch.stack([batch.positions[:, -2], after], dim=1).numpy())[:, -1]
    strip = frame[:, :, layout.frame_height :]
    for channel in strip.unbind(1):
        np.testing.assert_allclose(channel, drawn, atol=1e-6)


@torch.no_grad()
def test_velocity_is_the_change_of_position():
    layout = make_layout()
    model, batch = a_model(layout), noise(layout, n=64)
    strips = torch.from_numpy(draw_strips(layout, batch.positions.numpy()))
    for t in range(layout.history):
        batch.canvas[..., layout.frame_columns(t)][:, :, layout.frame_height :] = strips[:, t, None]
    scores = score(batch.canvas, model.predict(batch.context()).frame, layout, np.ones(64, int))
    assert scores["motor_position_mae_mean"] > 1
    assert scores["motor_consistency_error"] < 1e-4


def test_knows_where_it_errs_and_learns_that_without_touching_the_picture():
    """The left half of each frame is dark and stays so, the right half is noise."""
    layout = make_layout(cameras=(Camera("base", 16, 16),))
    model = a_model(layout).train()
    losses = model.training_loss(noise(layout))
    (losses["uncertainty"] + losses["novelty"]).backward()
    touched = {name for name, weight in model.named_parameters() if weight.grad is not None and weight.grad.any()}
    assert {name.split(".")[0] for name in touched} == {"error_head", "novelty_classifier"}

    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for step in range(61):
        batch = noise(layout, n=16, seed=step)
        for t in range(2):
            batch.canvas[..., layout.frame_columns(t)][..., :8] = 0
        optimizer.zero_grad()
        if step < 60:
            model.training_loss(batch)["loss"].backward()
            optimizer.step()
    figures = diagnosed(model.eval(), batch)
    shares = figures["copied_share"] + figures["remembered_share"] + figures["generated_share"]
    torch.testing.assert_close(shares, torch.ones(16))
    uncertainty = model.predict(batch.context()).expected_error
    assert uncertainty.shape == (16, 16, 16)
    assert uncertainty[..., 9:].mean() > 2 * uncertainty[..., :7].mean()


def test_doubts_what_it_was_never_asked():
    """Pan went up alone, from −40 to 0, and each time all pixels brightened by 0.3; lift has never moved."""
    layout = make_layout(actions=(ActionDimension("pan", "pan"), ActionDimension("lift", "lift")))

    def moments(seed, pan=1.0, lift=0.0, at=(-40.0, 0.0)):
        batch, random = noise(layout, n=16, seed=seed), np.random.default_rng(seed)
        batch.canvas[..., layout.frame_columns(-2)] *= 0.7
        batch.canvas[..., layout.frame_columns(-1)] = batch.canvas[..., layout.frame_columns(-2)] + 0.3
        batch.positions[..., 0] = torch.from_numpy(random.uniform(*at, (16, 1)))
        batch.positions[..., 1] = 0
        batch.actions[:] = torch.tensor([pan, lift])
        return batch

    model = a_model(layout).train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for step in range(200):
        optimizer.zero_grad()
        loss = novelty_loss(model.novelty_classifier, model._conditions(augmented(moments(step), model.config)), 2)
        loss.backward()
        optimizer.step()
        model._count_changes(moments(step))
    model.eval()

    def added(**changes):
        context = moments(1000, **changes).context()
        known = torch.stack([model._known_error(view) for view in model.decompose(context)[0]]).detach().mean()
        return float(model.predict(context).expected_error.detach().mean() - known)

    assert 0 <= added() < 0.01
    assert abs(added(pan=0.0)) < 1e-6  # to ask for nothing changes nothing, beyond rounding
    assert added(pan=-1.0) > 0.03
    assert added(pan=0.0, lift=1.0) > 0.06
    assert added(at=(30.0, 40.0)) > 0.03
    assert added(pan=0.0, lift=1.0) < 0.1  # nothing is expected beyond what a move changes: 0.3²


def test_what_changes_usually_is_that_of_a_whole_move():
    layout = make_layout(actions=(ActionDimension("pan", "pan"),), discrete=False)
    model = a_model(layout)
    for step in range(5):
        batch = noise(layout, n=30, seed=step)
        batch.actions[:10], batch.actions[10:20], batch.actions[20:] = 0, -1, 0.5
        for rows, change in ((slice(0, 10), 0.0), (slice(10, 20), 0.04), (slice(20, 30), 0.02)):
            before = 0.5 * batch.canvas[rows][..., layout.frame_columns(-2)]
            batch.canvas[rows, ..., layout.frame_columns(-2)] = before
            batch.canvas[rows, ..., layout.frame_columns(-1)] = before + change**0.5
        model._count_changes(batch)
    usual = model.mean_change / model.mean_squared_action
    torch.testing.assert_close(usual, torch.full_like(usual, 0.04), atol=1e-5, rtol=0)


@torch.no_grad()
def test_joint_maps_show_where_the_arm_is_and_what_a_move_changes_there():
    layout = make_layout(cameras=(Camera("base", 12, 8), Camera("wrist", 4, 8)))
    model, batch = a_model(layout, joint_maps=4), noise(layout)
    batch.actions.zero_()
    now = model.joint_state(batch.context()).smooth[0]
    before, change = model._maps(torch.stack([now, now])).chunk(2, dim=1)
    assert before.flatten(2).std(dim=2).min() > 0  # not alike everywhere
    assert not change.any()
    moved = model._maps(torch.stack([now, now + 0.5]))
    assert torch.equal(moved[:, : before.shape[1]], before)
    assert moved[:, before.shape[1] :].abs().amax(dim=1).min() > 0


@torch.no_grad()
def test_contact_begins_by_changing_nothing_and_tells_places_and_ways_apart():
    plain, told = (Warp(SO101, WarpConfig(**SMALL | {"levels": 2, "contact": width})).eval() for width in (0, 8))
    told.load_state_dict(plain.state_dict(), strict=False)
    batch = noise(SO101)
    assert torch.equal(plain.predict(batch.context()).frame, told.predict(batch.context()).frame)
    contact, features = a_model(SO101, levels=2, contact=8).contact, torch.zeros(1, 32, 4, 2)
    smooth, here, there = torch.zeros(2, 1, 18), torch.zeros(1, 6), torch.full((1, 6), 30.0)
    stays, goes = (contact(features, contact.tell(smooth, here, after)) for after in (here, there))
    assert (stays - goes).abs().amax(dim=(1, 2, 3)).min() > 0
    cells = stays[0].flatten(1).T
    assert len(cells.unique(dim=0)) == 8  # no two places alike, of two cameras that stand above each other


def test_gradients_reach_all_weights_of_contact():
    model = a_model(SO101, contact=8).train()
    model.training_loss(noise(SO101, n=4))["loss"].backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in model.contact.parameters())


def test_gradients_reach_all_weights():
    layout = make_layout()
    model = a_model(layout).train()
    model.training_loss(noise(layout, n=4))["loss"].backward()
    idle = [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert not idle


def test_soon_beats_copying(tmp_path):
    """A bar that jumps by two pixels, on backgrounds that validation has never seen."""
    cameras = (Camera("base", 16, 16),)
    data = write_data(tmp_path / "data", make_layout(cameras=cameras), episodes=24, val=4)
    torch.manual_seed(0)
    model = Warp(data.layout, WarpConfig(width=16, levels=2))
    steps = TrainingSteps(data, data.rows("train"), batch_size=16, seed=0)
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    for step in range(100):
        optimizer.zero_grad()
        model(steps[step][0])["loss"].backward()
        optimizer.step()
    rows = data.rows("val")
    batch = data.batch(rows[data.codes[rows] != 0])
    layout, columns = data.layout, data.layout.frame_columns(-1)
    copied = batch.canvas[..., layout.frame_columns(-2)]
    with torch.no_grad():
        painted = model.eval().predict(batch.context()).frame
        stayed = model.predict(batch.under(0)).frame
    h = layout.frame_height
    truth = batch.canvas[..., columns]
    assert ((painted - truth)[:, :, :h] ** 2).mean() < 0.5 * ((copied - truth)[:, :, :h] ** 2).mean()
    assert ((stayed - copied)[:, :, :h] ** 2).mean() < 0.1 * ((copied - truth)[:, :, :h] ** 2).mean()


@pytest.mark.parametrize("practised", [0.1, 0.0])
def test_a_report_says_that_staying_was_only_practised(tmp_path, practised):
    data = write_data(tmp_path / "data")
    settings = family_settings("warp", "tiny", SMALL | {"synthetic_stay": practised})
    run = start_run(tmp_path / "run", "warp", settings, TrainConfig(steps=1), data)
    facts = read_json(run.config_file)
    facts["data"]["actions_seen"]["0"] = 0
    write_json(run.config_file, facts)
    train(run, data, device="cpu")
    page = assess(run.path, rollouts=0, device="cpu")
    figures = read_json(page.parent / "metrics.json")
    assert any("STAY was practised" in warning for warning in figures["warnings"]) == (practised > 0)
    assert {"copied_share", "novelty", "expected_error_per_patch"} <= set(figures["extras"])


def test_what_changes_counts_more():
    before, truth = torch.zeros(2, 1, 3, 16, 16).unbind()
    truth = truth.clone()
    truth[..., 4:6, 4:6] = 0.5
    weights = pixel_weights(before, truth, more=3.0)
    near = torch.zeros(1, 1, 16, 16, dtype=torch.bool)
    near[..., 3:7, 3:7] = True
    torch.testing.assert_close(weights.mean(), torch.tensor(1.0))
    torch.testing.assert_close(weights[near], 4 * weights[~near][:16])
    assert torch.equal(pixel_weights(before, truth, more=0.0), torch.ones(1, 1, 16, 16))
    still, motion = pixel_coordinates(16, 16).expand(1, 1, -1, -1, -1), []
    for more in (0.0, 3.0):
        motion.append(motion_loss(before, still, truth, pixel_weights(before, truth, more)))
    assert motion[1] > 2 * motion[0] > 0  # all of the error lies where it changes


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"width": 12}, "multiple of 8"),
        ({"levels": 0}, "levels is 0"),
        ({"layers": 0}, "layers is 0"),
        ({"mse_weight": float("nan")}, "mse_weight is nan"),
        ({"mse_weight": -1}, "mse_weight is -1"),
        ({"change_weight": -1.0}, "change_weight is -1"),
        ({"joint_maps": -1}, "joint_maps is -1"),
        ({"contact": -1}, "contact is -1"),
        ({"contact": 8}, "needs an SO-101's joints in degrees and its gripper in %.* these are pan, lift"),
        ({"levels": 2.0}, "levels is 2.0, not a whole number"),
    ],
)
def test_impossible_settings_are_refused_in_one_line(changes, says):
    with pytest.raises(ForearmError, match=says) as failure:
        make_model("warp", make_layout(), family_settings("warp", "tiny", changes))
    assert "\n" not in str(failure.value)


def test_whole_numbers_will_do_for_a_weight():
    settings = family_settings("warp", "tiny", {"mse_weight": 3})
    assert make_model("warp", make_layout(), settings).config.mse_weight == 3
    assert type(settings["mse_weight"]) is float


def test_cameras_that_patches_do_not_divide_are_refused():
    layout = make_layout(cameras=(Camera("base", 6, 8), Camera("wrist", 10, 8)))
    with pytest.raises(ForearmError, match="camera base is 6×8; family warp needs multiples of the patch, 4"):
        Warp(layout, WarpConfig(**SMALL))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-0.2, 0.2), min_size=8, max_size=8))
def test_a_motion_and_its_negative_undo_each_other(numbers):
    places, motion = pixel_coordinates(6, 4).double(), torch.tensor(numbers)
    there = project(places, homographies(motion))
    back = torch.stack([project(there[i : i + 1], homographies(-motion)) for i in range(6)]).flatten(0, 1)
    torch.testing.assert_close(back, places, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(project(places, homographies(torch.zeros(3, 8))), places.expand(3, -1, -1, -1))


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 10), st.integers(0, 1000))
def test_the_matrix_exponential_is_exact(largest, seed):
    matrices = torch.from_numpy(np.random.default_rng(seed).uniform(-largest, largest, (20, 3, 3)))
    torch.testing.assert_close(exponential(matrices), torch.matrix_exp(matrices), rtol=1e-8, atol=1e-9)


def test_projects_as_the_definition_says():
    matrices = torch.eye(3) + 0.1 * torch.randn(2, 5, 3, 3, generator=torch.Generator().manual_seed(0))
    places = pixel_coordinates(6, 4)
    seen = torch.einsum("bkij,hwj->bkhwi", matrices, torch.cat([places, torch.ones(6, 4, 1)], dim=-1))
    torch.testing.assert_close(project(places, matrices), seen[..., :2] / seen[..., 2:])


def test_copies_whole_pixels_exactly_and_the_edge_beyond_it():
    picture = torch.rand(1, 3, 4, 6)
    places = pixel_coordinates(4, 6)[None, None] + torch.tensor([2 / 6 * 2, 0])
    moved = copy(picture, places)[:, :, 0]
    torch.testing.assert_close(moved[..., :4], picture[..., 2:])
    torch.testing.assert_close(moved[..., 4:], picture[..., -1:].expand(-1, -1, -1, 2))


def test_places_mean_the_same_at_half_the_size():
    torch.testing.assert_close(halve(pixel_coordinates(8, 4)[None, None])[0, 0], pixel_coordinates(4, 2))


def test_displacements_are_the_same_in_large():
    """Those of a homography, as everywhere but at the edge, and of each layer and axis apart."""
    matrices = torch.eye(3) + torch.tensor([[0.1, 0.02, 0.05], [-0.03, -0.1, 0.02], [0.02, 0.01, 0.0]])
    small, large = (project(at, matrices[None]) - at for at in (pixel_coordinates(8, 12), pixel_coordinates(16, 24)))
    enlarged = enlarge(torch.stack([small, -small], dim=1), (16, 24))
    inner = (slice(1, -1), slice(1, -1))
    torch.testing.assert_close(enlarged[:, 0][:, *inner], large[:, *inner], atol=2e-3, rtol=0)
    torch.testing.assert_close(enlarged[:, 1], -enlarged[:, 0])


def test_a_blend_is_the_weighted_sum():
    weights, sources = torch.rand(2, 4, 5, 6).softmax(dim=1), torch.rand(4, 2, 3, 5, 6)
    torch.testing.assert_close(blended(weights, sources), torch.einsum("bkhw,kbchw->bchw", weights, sources))


@torch.no_grad()
def test_pictures_fed_back_do_not_blur():
    """All is copied from where a layer moves it, half a pixel a step: thirteen steps are as sharp as one."""
    texture = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    start, pixels = F.interpolate(texture, 16, mode="bilinear"), pixel_coordinates(16, 16)
    shares = torch.zeros(1, 2, 16, 16)
    shares[:, 1] = 1.0

    def moved(by):
        return copy(start, (pixels + torch.tensor([by / 8, 0.0]))[None, None])[:, :, 0]

    anchor, picture, repeated = Anchor.at(start, torch.zeros(1, 1, 8)), start, start
    there = (pixels + torch.tensor([0.5 / 8, 0.0]))[None, None]
    for _ in range(13):
        anchor = anchor.traced(pixels, there, shares)
        repeated = copy(repeated, there)[:, :, 0]
        picture, anchor = anchor.composite(pixels, pixels[None, None], copy(picture, there)[:, :, 0], shares[:, 0])
    kept = (..., slice(1, 7))
    errors = [float((of - moved(6.5))[kept].square().mean()) for of in (picture, repeated)]
    assert errors[0] < 0.1 * errors[1]


@torch.no_grad()
def test_what_no_longer_looks_like_the_anchor_is_not_copied_from_it():
    pixels, kept = pixel_coordinates(16, 16), torch.zeros(1, 16, 16)
    anchor = Anchor.at(torch.zeros(1, 3, 16, 16), torch.zeros(1, 1, 8))
    blend = torch.zeros(1, 3, 16, 16)
    blend[..., 8:] = 0.8
    picture, used = anchor.composite(pixels, pixels[None, None], blend, kept)
    torch.testing.assert_close(picture, blend)
    assert used.trust[..., :3].min() > 0.99, "away from the edge between what agrees and what does not"
    assert used.trust[..., 11:].max() < 0.01


@torch.no_grad()
def test_an_anchor_finds_again_what_was_out_of_sight():
    """Nothing is traced any more, but the joints put the layer where it was seen first."""
    coarse = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    anchor = Anchor.at(F.interpolate(coarse, 16, mode="bilinear"), torch.zeros(1, 1, 8))
    lost = dataclasses.replace(anchor, trust=torch.zeros(1, 1, 16, 16))
    pixels, blurred = pixel_coordinates(16, 16), torch.full((1, 3, 16, 16), 0.5)
    shifted = (pixels + torch.tensor([0.25, 0.0]))[None, None]
    seen = copy(anchor.picture, shifted)[:, :, 0]
    blurred = 0.8 * seen + 0.2 * blurred
    picture, used = lost.composite(pixels, shifted, blurred, torch.zeros(1, 16, 16))
    assert (picture - seen).square().mean() < 0.6 * (blurred - seen).square().mean()
    assert used.trust.max() <= UNTRACED


@pytest.mark.parametrize("name", LAYOUTS)
@torch.no_grad()
def test_goes_on_from_its_own_predictions(name):
    """The first prediction is the blend alone; the next are given its anchors or, where several frames are known, the
    first frame, for each transition its own."""
    layout = LAYOUTS[name]
    model, batch = a_model(layout), noise(layout, n=3)
    first = model.predict(batch.context())
    blend, _ = model._frame(batch, *model.decompose(batch))
    torch.testing.assert_close(first.frame, blend.clamp(0, 1))
    following = batch.context().then(first, batch.actions[:, -1], batch.dimensions)
    second = model.predict(following)
    alone = model.predict(following[1:2])
    torch.testing.assert_close(second.frame[1:2], alone.frame, atol=1e-4, rtol=0)
    unanchored = model.predict(dataclasses.replace(following, carried=None))
    assert (second.frame - unanchored.frame).abs().max() > 1e-3
    kept = FIRST_FRAME if layout.history > 2 else "picture_0"
    torch.testing.assert_close(second.carried[kept], first.carried[kept])
    if layout.history > 2:
        assert torch.equal(first.carried[kept], model.known_pictures(batch)[-1])
        without = a_model(layout, first_frame=False)
        assert not without.predict(batch.context()).carried


@given(st.integers(0, 1000), st.floats(1, 20))
@settings(max_examples=25, deadline=None)
def test_sharpened_shares_grow_where_they_are_larger(seed, power):
    shares = torch.randn(2, 5, 3, 3, generator=torch.Generator().manual_seed(seed)).softmax(dim=1)
    sharp = sharpened(shares, power)
    torch.testing.assert_close(sharp.sum(dim=1), torch.ones(2, 3, 3))
    assert (sharp.amax(dim=1) >= shares.amax(dim=1) - 1e-6).all()
    assert torch.equal(sharp.argmax(dim=1), shares.argmax(dim=1))
    torch.testing.assert_close(sharpened(shares, 1.0), shares)


@pytest.mark.parametrize("name", LAYOUTS)
@torch.no_grad()
def test_what_is_fed_back_is_sharpened_where_several_frames_are_known(name):
    layout = LAYOUTS[name]
    model, batch = a_model(layout), noise(layout, n=3)
    prediction = model.predict(batch.context())
    assert a_model(layout, sharpening=1.0).predict(batch.context()).mode is None
    if layout.history == 2:
        assert prediction.mode is None
        return
    cameras, _ = model.decompose(batch.context())
    for camera in cameras:
        sources = torch.stack(camera.sources, dim=1)
        shares = camera.weights**model.config.sharpening
        wanted = (shares / shares.sum(dim=1, keepdim=True))[:, :, None] * sources
        torch.testing.assert_close(prediction.mode[..., *camera.box], wanted.sum(dim=1).clamp(0, 1), atol=1e-5, rtol=0)
    mean = a_model(layout, sharpening=1.0).predict(batch.context())
    torch.testing.assert_close(prediction.frame, mean.frame)  # a single step is told by the mean


def test_what_is_carried_is_as_bright_as_the_rest():
    layout = LAYOUTS["history of 4"]
    model, batch = a_model(layout), noise(layout, n=3)
    batch = dataclasses.replace(batch, carried=model.beginning(batch))
    lit = augmented(batch, WarpConfig(width=8, levels=2, joint_noise=0.1, synthetic_stay=0.0))
    assert not torch.equal(lit.carried[FIRST_FRAME], batch.carried[FIRST_FRAME])
    for name, values in model.beginning(lit).items():
        torch.testing.assert_close(lit.carried[name], values)


@pytest.mark.parametrize("window", [3, 9])
def test_means_over_windows_are_those_of_pooling(window):
    pictures = torch.rand(2, 3, 10, 16, generator=torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(pictures, (window // 2,) * 4, mode="replicate")
    pooled = torch.nn.functional.avg_pool2d(padded, window, 1)
    torch.testing.assert_close(averaged(pictures, window), pooled)


@torch.no_grad()
def test_no_expected_error_is_larger_than_any_can_be():
    layout = LAYOUTS["history of 4"]
    model, batch = a_model(layout), noise(layout)
    model.error_head.bias += 200
    assert model.predict(batch.context()).expected_error.isfinite().all()
    known = model._known_error(model.decompose(batch)[0][0])
    assert known.max() == 1
