"""The model of family warp.

Layers that move as wholes (Wang and Adelson 1994, Representing Moving Images with Layers), each a plane that the
joints put somewhere (Hartley and Zisserman 2004) with a finer flow upon it, blended pixel by pixel with what stands
still and with what is generated (as in Finn et al. 2016, Unsupervised Learning for Physical Interaction through Video
Prediction). The flow is learned from pictures alone, by how well copies explain the truth, coarse to fine.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forearm.base.errors import ForearmError
from forearm.batch import Batch, Prediction
from forearm.canvas import Layout
from forearm.models.blocks import grid_positions, initialise, patchify, transformer
from forearm.models.joints import JOINT_WEIGHT, SHARP, SMOOTH, JointHeadModel, JointState, state_mlp
from forearm.models.losses import charbonnier, picture_loss
from forearm.models.warp.config import WarpConfig
from forearm.models.warp.losses import motion_loss
from forearm.models.warp.memory import memory_encoder, memory_heads, memory_size, mistrust
from forearm.models.warp.motion import copy, homographies, per_pixel, pixel_coordinates, project
from forearm.models.warp.novelty import novelty, novelty_classifier, novelty_loss

SINGLE = 0.2
"""Share of the loss with which remembered and generated pictures learn by themselves, before the blend trusts them."""
STILL = 0.02
"""The change of a joint, as a share of the largest in training, about which pictures begin to change: with a tenth of
it they are copied to the last bit of 8."""
FINE = 0.2
"""Scale of the flow beside the homographies, so that it begins slowly."""
DECAY = 0.01
"""By how much a training step's changes count in what moves change in the mean."""


@dataclass(frozen=True)
class CameraPrediction:
    """What is predicted for one camera of h × w pixels, and from what."""

    box: tuple[slice, slice]
    """Its rows and columns in a frame."""
    before: Tensor
    """(B, 3, h, w) the previous picture."""
    coordinates: Tensor
    """(B, K, h, w, 2) where each moving layer's pixels come from."""
    copies: Tensor
    """(B, 1 + K, 3, h, w) the previous picture as it is and as the layers move it."""
    weights: Tensor
    """(B, 1 + K + 2, h, w) shares of the copies, of the remembered and of the generated picture; they sum to 1."""
    remembered: Tensor
    """(B, 3, h, w) what memory has of the joints as they will be."""
    generated: Tensor
    """(B, 3, h, w) what is generated."""
    picture: Tensor
    """(B, 3, h, w) the blend."""
    hidden: Tensor
    """(B, C, h, w) what the blend was decided from."""

    @torch.no_grad()
    def variance(self) -> Tensor:
        """Variance of the blended sources about the picture, mean over channels, (B, h, w)."""
        sources = (*self.copies.unbind(1), self.remembered, self.generated)
        far = torch.stack([(source - self.picture).square().mean(dim=1) for source in sources], dim=1)
        return (self.weights * far).sum(dim=1)


class Warp(JointHeadModel):
    """Says for every pixel where it comes from in the previous frame, how far to trust that, and what to generate.

    A transformer over the context frames' patches, conditioned on joints and actions, gives each patch fine flow and
    features; convolutions over these and the moved pictures blend. Each camera copies from itself alone. A layer is a
    plane that joints alone put somewhere: its motion leads from where they put it now to where they will. So all
    actions, and long ways as well as short ones, teach the same map of few numbers (homographies induced by one plane
    compose: Hartley and Zisserman 2004, 13.1). Where no joint is to change, the picture is the one before. What no
    copy shows is remembered: a camera's picture as it usually looks with the joints as they will be, trusted as far as
    memory recalls what is seen now, so that a scene learned by heart is not put into another. Joints have a head of
    their own, which begins with the change that the action names; they are drawn into the strip as
    ``canvas.draw_strips`` draws them.

    The expected error is learned from the errors that the model makes, which say nothing of actions that it never saw.
    Where joints and action are novel, what moves change in the mean is to be expected too.
    """

    config: WarpConfig
    mean_change: Tensor
    mean_squared_action: Tensor

    def __init__(self, layout: Layout, config: WarpConfig):
        super().__init__(layout, config)
        p, known, joints, actions = layout.patch, layout.history - 1, len(layout.joints), len(layout.actions)
        for camera in layout.cameras:
            if camera.height % p or camera.width % p:
                size = f"{camera.height}×{camera.width}"
                raise ForearmError(f"camera {camera.name} is {size}; family warp needs multiples of the patch, {p}")
        for i, camera in enumerate(layout.cameras):
            self.register_buffer(f"pixels_{i}", pixel_coordinates(camera.height, camera.width), persistent=False)

        self.embed = nn.Linear(3 * p * p * known, config.width)
        self.embed_state = state_mlp(self.numbers, config.width)
        rows, columns = layout.frame_height // p, layout.frame_width // p
        self.position_embedding = nn.Parameter(grid_positions(rows, columns, config.width))
        self.trunk = transformer(config.width, config.depth, config.heads)
        planes = len(layout.cameras) * config.layers * 8
        self.homography_head = nn.Sequential(
            nn.Linear((1 + 2 * SMOOTH) * joints, 256), nn.GELU(), nn.Linear(256, 256), nn.GELU(), nn.Linear(256, planes)
        )
        self.flow_head = nn.Linear(config.width, 2 * 2 * 2 * config.layers)
        self.feature_head = nn.Linear(config.width, p * p * config.features)
        self.memory_encoder = memory_encoder((1 + 2 * SHARP) * joints)
        self.memory_heads = memory_heads(layout.cameras)
        self.refine = nn.Conv2d(3 * (1 + config.layers) + 3 + config.features, config.refine, 3, padding=1)
        self.blend = nn.Conv2d(config.refine, 1 + config.layers + 2 + 3, 3, padding=1)
        self.error_head = nn.Conv2d(config.refine + 1, 1, 3, padding=1)
        self.novelty_classifier = novelty_classifier(joints + actions)
        self.register_buffer("mean_change", torch.zeros(layout.frame_height, layout.frame_width))
        self.register_buffer("mean_squared_action", torch.zeros(()))
        self._start()

    def _start(self) -> None:
        """Begin as a copy of the previous frame whose joints change as the action says."""
        initialise(self)
        self.start_joints()
        nn.init.zeros_(self.flow_head.weight)
        nn.init.normal_(self.homography_head[-1].weight, std=0.01)  # type: ignore[arg-type] # alike layers would stay so
        nn.init.normal_(self.blend.weight, std=0.01)
        still = torch.zeros(self.blend.out_channels)
        still[0] = 2.0
        self.blend.bias = nn.Parameter(still)
        nn.init.zeros_(self.error_head.weight)
        nn.init.constant_(self.error_head.bias, -5.0)  # type: ignore[arg-type]

    # Prediction

    def predict(self, batch: Batch) -> Prediction:
        cameras, state = self.decompose(batch)
        return self._prediction(batch, cameras, state)

    @torch.inference_mode()
    def diagnose(self, batch: Batch, truth: Tensor) -> tuple[Prediction, dict[str, Tensor]]:
        """Shares of the sources of the pictures, and the novelty of joints and action: each (B,)."""
        cameras, state = self.decompose(batch)
        pixels = self.layout.frame_height * self.layout.frame_width
        shares = torch.stack([camera.weights.sum((2, 3)) for camera in cameras]).sum(dim=0) / pixels
        return self._prediction(batch, cameras, state), {
            "copied_share": shares[:, :-2].sum(dim=1),
            "remembered_share": shares[:, -2],
            "generated_share": shares[:, -1],
            "novelty": novelty(self.novelty_classifier, self._conditions(batch)),
        }

    def decompose(self, batch: Batch) -> tuple[list[CameraPrediction], JointState]:
        """What is predicted for each camera and for the joints, and from what."""
        layout, p = self.layout, self.layout.patch
        frames = self.known_pictures(batch)
        state = self.joint_state(batch)
        condition = self.embed_state(state.conditioning)[:, None]
        tokens = self.embed(patchify(torch.cat(frames, dim=1), p) - 0.5) + self.position_embedding
        hidden = self.trunk(torch.cat([condition, tokens + condition], dim=1))[:, 1:]
        patches = hidden.unflatten(1, (-1, layout.frame_width // p))
        motion = self._motion(state)
        moved = 1 - (-((state.change.detach().abs().amax(dim=1) / STILL) ** 4)).exp()
        memory = self.memory_encoder(state.sharp)
        cameras = []
        for i, (rows, columns) in enumerate(layout.camera_boxes()):
            here = patches[:, rows.start // p : rows.stop // p, columns.start // p : columns.stop // p]
            before = frames[-1][..., rows, columns]
            cameras.append(self._camera(i, before, moved, motion[:, i], here, self.memory_heads[i](memory)))
        return cameras, state

    def _motion(self, state: JointState) -> Tensor:
        """Where the layers' planes come from: homographies from picture to picture, (B, cameras, layers, 3, 3)."""
        with torch.autocast(state.smooth.device.type, enabled=False):  # half precision would cost pixels
            planes = self.homography_head(state.smooth).unflatten(2, (len(self.layout.cameras), self.config.layers, 8))
            return (homographies(planes[0]) @ homographies(-planes[1])).float()

    def _camera(
        self, index: int, before: Tensor, moved: Tensor, motion: Tensor, patches: Tensor, memory: Tensor
    ) -> CameraPrediction:
        layers, size = self.config.layers, before.shape[-2:]
        fine = per_pixel(self.flow_head(patches), 2).float()
        features = per_pixel(self.feature_head(patches), self.layout.patch)
        flow = F.interpolate(fine, size, mode="bilinear", align_corners=False).unflatten(1, (layers, 2))
        coordinates = project(getattr(self, f"pixels_{index}"), motion) + FINE * flow.permute(0, 1, 3, 4, 2)
        copies = torch.cat([before[:, None], copy(before, coordinates)], dim=1)
        now, remembered = memory.unflatten(2, (3, *memory_size(self.layout.cameras[index]))) + 0.5
        if remembered.shape != before.shape:
            remembered = F.interpolate(remembered, size, mode="bilinear", align_corners=False)
        seen = torch.cat([copies.flatten(1, 2) - 0.5, remembered - 0.5, features], dim=1)
        hidden = F.relu(self.refine(seen.contiguous(memory_format=torch.channels_last)))
        blend = self.blend(hidden).float()
        logits, generated = blend[:, :-3], blend[:, -3:] + 0.5
        logits[:, -2] -= mistrust(now, before)[:, None, None]
        weights = moved[:, None, None, None] * logits.softmax(dim=1)
        weights[:, 0] += (1 - moved)[:, None, None]
        sources = torch.cat([copies, remembered[:, None], generated[:, None]], dim=1)
        picture = (weights[:, :, None] * sources).sum(dim=1)
        box = self.layout.camera_boxes()[index]
        return CameraPrediction(box, before, coordinates, copies, weights, remembered, generated, picture, hidden)

    def _prediction(self, batch: Batch, cameras: list[CameraPrediction], state: JointState) -> Prediction:
        frame, positions = self._frame(batch, cameras, state)
        return Prediction(frame.clamp(0, 1), positions, self._expected_error(batch, cameras))

    def _frame(self, batch: Batch, cameras: list[CameraPrediction], state: JointState) -> tuple[Tensor, Tensor]:
        """The last frame with its strip, (B, 3, H, w), and the joints' positions, (B, J)."""
        picture = batch.canvas.new_zeros(len(batch), 3, self.layout.frame_height, self.layout.frame_width)
        for camera in cameras:
            picture[..., *camera.box] = camera.picture
        positions = self.positions(batch, state)
        return self.frame(batch, picture, positions), positions

    # Uncertainty

    def _expected_error(self, batch: Batch, cameras: list[CameraPrediction]) -> Tensor:
        """The squared error to expect of each pixel, mean over channels, (B, h, w).

        That of known actions, and as far as this one is novel what a move changes in the mean.
        """
        known = batch.canvas.new_zeros(len(batch), self.layout.frame_height, self.layout.frame_width)
        for camera in cameras:
            known[:, *camera.box] = self._known_error(camera)
        novel = novelty(self.novelty_classifier, self._conditions(batch)).detach() * batch.actions[:, -1].norm(dim=1)
        return known + novel[:, None, None] * self.mean_change / self.mean_squared_action.clamp(min=1e-6)

    def _known_error(self, camera: CameraPrediction) -> Tensor:
        """The error to expect of a camera's picture where the action is known, (B, h, w)."""
        variance = 0.2 * (camera.variance() + 1e-6).log()[:, None] + 1
        inputs = torch.cat([camera.hidden.detach(), variance], dim=1)  # detached, so that it costs the picture nothing
        return self.error_head(inputs.contiguous(memory_format=torch.channels_last)).float()[:, 0].exp()

    def _conditions(self, batch: Batch) -> Tensor:
        """Joints before the action, from −1 to 1 within their bounds, and the action values, (B, J + A)."""
        joints = (batch.positions[:, -2] - self.numbers.lows) / (self.numbers.highs - self.numbers.lows) * 2 - 1
        return torch.cat([joints, batch.actions[:, -1]], dim=1)

    # Losses

    def validation_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The plain squared error of the last frame, of its picture and of its strip."""
        return self.squared_errors(batch, self._frame(batch, *self.decompose(batch))[0])

    def training_loss(self, batch: Batch) -> dict[str, Tensor]:
        """What motion, blend, joints, expected error and novelty learn from."""
        cameras, state = self.decompose(batch)
        frame = self._frame(batch, cameras, state)[0].detach()
        truth = batch.canvas[..., self.layout.frame_columns(-1)]
        visual, strip = ((frame - truth) ** 2).split([self.layout.frame_height, self.layout.strip_height], dim=2)
        joints = self.joint_loss(batch, state)
        motion, blend = torch.zeros(2, device=truth.device)
        for camera in cameras:
            true = truth[..., *camera.box]
            share = true[0, 0].numel() / visual[0, 0].numel()
            motion = motion + share * motion_loss(camera.before, camera.coordinates, true)
            single = charbonnier(camera.generated - true).mean() + charbonnier(camera.remembered - true).mean()
            blend = blend + share * SINGLE * single
            blend = blend + share * picture_loss(camera.picture, true, self.config)
        expected = self._expected_error(batch, cameras)
        uncertainty = 0.5 * (visual.mean(dim=1) / expected + expected.log()).mean()
        novel = novelty_loss(self.novelty_classifier, self._conditions(batch), len(self.layout.joints))
        self._count_changes(batch)
        return {
            "loss": motion + blend + JOINT_WEIGHT * joints + 0.01 * (uncertainty + novel),
            **{"motion": motion, "blend": blend, "joints": joints, "uncertainty": uncertainty, "novelty": novel},
            **{"visual": visual.mean(), "strip": strip.mean()},
        }

    @torch.no_grad()
    def _count_changes(self, batch: Batch) -> None:
        """Keep the mean by how much moves change each pixel: squares, per squared action value, by least squares."""
        before, after = (batch.canvas[..., self.layout.frame_columns(t)] for t in (-2, -1))
        change = (after - before)[:, :, : self.layout.frame_height].square().mean(dim=1)
        size = batch.actions[:, -1].norm(dim=1)
        self.mean_change.lerp_((size[:, None, None] * change).mean(dim=0), DECAY)
        self.mean_squared_action.lerp_(size.square().mean(), DECAY)
