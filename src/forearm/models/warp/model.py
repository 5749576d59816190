"""The model of family warp.

Layers that move as wholes (Wang and Adelson 1994, Representing Moving Images with Layers), each a plane that the
joints put somewhere (Hartley and Zisserman 2004) with a finer flow upon it, blended pixel by pixel with what stands
still and with what is generated (as in Finn et al. 2016, Unsupervised Learning for Physical Interaction through Video
Prediction). The flow is learned from pictures alone, by how well copies explain the truth, coarse to fine.
"""

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forearm.base.errors import ForearmError
from forearm.batch import FIRST_FRAME, FIRST_POSITIONS, Batch, Prediction
from forearm.canvas import Layout
from forearm.models.blocks import initialise
from forearm.models.convolutions import UNetBody
from forearm.models.joints import JOINT_WEIGHT, SHARP, SMOOTH, JointHeadModel, JointState, state_mlp
from forearm.models.kinematics import JOINTS, arms
from forearm.models.losses import charbonnier, picture_loss
from forearm.models.warp.anchor import Anchor
from forearm.models.warp.config import WarpConfig
from forearm.models.warp.contact import ContactNetwork
from forearm.models.warp.correction import JointCorrection
from forearm.models.warp.losses import motion_loss, pixel_weights
from forearm.models.warp.maps import JointMaps
from forearm.models.warp.memory import memory_encoder, memory_heads, memory_size, mistrust
from forearm.models.warp.motion import copy, enlarge, motion_between, pixel_coordinates, project
from forearm.models.warp.novelty import novelty, novelty_classifier, novelty_loss

SINGLE = 0.2
"""Share of the loss with which remembered and generated pictures learn by themselves, before the blend trusts them."""
STILL = 0.02
"""The change of a joint, as a share of the largest in training, about which pictures begin to change. Where every joint
changes by a tenth of it or less, each pixel keeps its learned share of the last picture (.9975 before training)."""
FINE = 0.2
"""Scale of the flow beside the homographies, so that it begins slowly."""
ANCHOR = tuple(field.name for field in fields(Anchor))
LARGE = 16
"""Side of patches from which pictures are so large that the blend is decided for squares of 4 × 4 pixels, not 2 × 2."""
DECAY = 0.01
"""By how much a training step's changes count in what moves change in the mean."""


@dataclass(frozen=True)
class CameraPrediction:
    """What is predicted for one camera of h × w pixels, and from what."""

    box: tuple[slice, slice]
    """Its rows and columns in a frame."""
    before: Tensor
    """(B, 3, h, w) the previous picture."""
    pixels: Tensor
    """(h, w, 2) the places of its pixels."""
    coordinates: Tensor
    """(B, K, h / s, w / s, 2) where each moving layer's pixels come from, of every s-th row and column."""
    full_coordinates: Tensor
    """(B, K, h, w, 2) the same of every pixel."""
    sources: tuple[Tensor, ...]
    """Pictures, (B, 3, h, w) each: the previous one as it is and as the K layers move it, the first one of a rollout
    likewise, what memory has of the joints as they will be, and what is generated."""
    weights: Tensor
    """(B, N, h, w) shares of the N sources; they sum to 1."""
    picture: Tensor
    """(B, 3, h, w) the blend."""
    hidden: Tensor
    """(B, C, h / s, w / s) what the blend was decided from."""

    @torch.no_grad()
    def variance(self) -> Tensor:
        """Variance of the blended sources about the picture, mean over channels, of every s-th pixel."""
        s = self.picture.shape[-1] // self.hidden.shape[-1]
        picture = self.picture[..., ::s, ::s]
        far = [(source[..., ::s, ::s] - picture).square().mean(dim=1) for source in self.sources]
        return (self.weights[..., ::s, ::s] * torch.stack(far, dim=1)).sum(dim=1)


class Warp(JointHeadModel):
    """Says for every pixel where it comes from in the previous frame, how far to trust that, and what to generate.

    A U-Net over the context frames, conditioned on joints and actions, gives fine flow, the shares of the blend and
    what is generated; its convolutions do in a new scene what they do in known ones. Joint maps can show it where the
    arm is and will be. Each camera copies from itself alone. A layer is a plane that joints alone put somewhere: its
    motion leads from where they put it now to where they will. So all actions, and long ways as well as short ones,
    teach the same map of few numbers (homographies induced by one plane compose: Hartley and Zisserman 2004, 13.1).
    Where no joint is to change, the picture is the one before. What no copy shows is remembered: a camera's picture as
    it usually looks with the joints as they will be, trusted as far as memory recalls what is seen now, so that a
    scene learned by heart is not put into another. Joints have a head of their own, which begins with the change that
    the action names; where actions are commands, pictures correct it. They are drawn into the strip as
    ``canvas.draw_strips`` draws them.

    The expected error is learned from the errors that the model makes, which say nothing of actions that it never saw.
    Where joints and action are novel, what moves change in the mean is to be expected too.
    """

    config: WarpConfig
    only_still: Tensor
    only_memory: Tensor
    mean_change: Tensor
    mean_squared_action: Tensor

    def __init__(self, layout: Layout, config: WarpConfig):
        super().__init__(layout, config)
        self.shrink = math.gcd(layout.patch, 2 if layout.patch < LARGE else 4)
        p, known, joints, actions = layout.patch, layout.history - 1, len(layout.joints), len(layout.actions)
        for camera in layout.cameras:
            if camera.height % p or camera.width % p:
                size = f"{camera.height}×{camera.width}"
                raise ForearmError(f"camera {camera.name} is {size}; family warp needs multiples of the patch, {p}")
        for i, camera in enumerate(layout.cameras):
            for shrink in {1, self.shrink}:
                pixels = pixel_coordinates(camera.height // shrink, camera.width // shrink)
                self.register_buffer(f"pixels_{i}_{shrink}", pixels, persistent=False)

        self.first_frame = config.first_frame and known > 1
        maps, copies = (2 + self.first_frame) * config.joint_maps, (1 + self.first_frame) * (1 + config.layers)
        conditioning, frame_size = 4 * config.width, (layout.frame_height, layout.frame_width)
        self.embed_state = nn.Sequential(state_mlp(self.numbers, conditioning), nn.SiLU())
        self.body = UNetBody(
            3 * (known + self.first_frame),
            frame_size,
            config.width,
            config.levels,
            conditioning,
            everywhere=False,
            square=self.shrink,
            further=maps,
        )
        self.contact = None
        if config.contact:
            if not arms(layout):
                raise ForearmError(
                    f"contact is {config.contact}; it needs an SO-101's joints in degrees and its gripper in %, "
                    f"{', '.join(JOINTS)}, and these are {', '.join(layout.joint_names)}; leave it out"
                )
            self.contact = ContactNetwork(layout, self.body, config.contact)
        told = ((1 + 2 * SMOOTH) * joints, p, self.shrink, config.joint_maps)
        self.joint_maps = nn.ModuleList(JointMaps(camera, *told) for camera in layout.cameras if config.joint_maps)
        planes = len(layout.cameras) * config.layers * 8
        self.homography_head = nn.Sequential(
            nn.Linear((1 + 2 * SMOOTH) * joints, 256), nn.GELU(), nn.Linear(256, 256), nn.GELU(), nn.Linear(256, planes)
        )
        hidden = config.width + maps
        self.flow_head = nn.Conv2d(hidden, 2 * config.layers, 3, padding=1)
        self.memory_encoder = memory_encoder((1 + 2 * SHARP) * joints)
        self.memory_heads = memory_heads(layout.cameras)
        self.blend = nn.Conv2d(hidden, (copies + 2 + 3 + 1) * self.shrink**2, 3, padding=1)
        self.error_head = nn.Conv2d(hidden + 1, self.shrink**2, 3, padding=1)
        self.joint_correction = None  # changes, unlike commands, say themselves where the joints get
        if config.joint_correction and layout.action_is is not None:
            self.joint_correction = JointCorrection(hidden, self.numbers.conditioning_size, joints)
        self.novelty_classifier = novelty_classifier(joints + actions)
        for name, source in (("only_still", 0), ("only_memory", copies)):  # shares of the blend's sources
            self.register_buffer(name, torch.eye(copies + 2, device="cpu")[source], persistent=False)
        self.register_buffer("mean_change", torch.zeros(layout.frame_height, layout.frame_width))
        self.register_buffer("mean_squared_action", torch.zeros(()))
        self._start()

    def _start(self) -> None:
        """Begin as a copy of the previous frame whose joints change as the action says."""
        initialise(self)
        self.start_joints()
        for begins_at_nothing in (self.joint_correction, self.contact):
            if begins_at_nothing is not None:
                begins_at_nothing.start()
        nn.init.zeros_(self.flow_head.weight)
        nn.init.zeros_(self.flow_head.bias)  # type: ignore[arg-type]
        nn.init.normal_(self.homography_head[-1].weight, std=0.01)  # type: ignore[arg-type] # alike layers would stay so
        nn.init.normal_(self.blend.weight, std=0.01)
        cells = self.shrink**2
        biases = torch.zeros(self.blend.out_channels)
        biases[:cells], biases[-cells:] = 2.0, 6.0
        self.blend.bias = nn.Parameter(biases)
        nn.init.zeros_(self.error_head.weight)
        nn.init.constant_(self.error_head.bias, -5.0)  # type: ignore[arg-type]

    def without_effect(self) -> Mapping[str, str]:
        settings = {}
        if self.layout.history == 2:
            several = "it is for several known frames, and the data have one; build with --history 3, or leave it out"
            settings = dict.fromkeys(("first_frame", "sharpening"), several)
        if self.layout.action_is is None:
            settings["joint_correction"] = (
                "it is for commands, and these actions are changes of the joints; leave it out"
            )
        return settings

    def hidden_layers(self) -> Iterable[nn.Module]:
        """The U-Net, contact and what reads the joints, but for the last layers."""
        contact = () if self.contact is None else (self.contact,)
        return *contact, self.body, self.joint_maps, self.embed_state, self.homography_head[:-1], self.memory_encoder

    # Prediction

    @property
    def looks_back(self) -> bool:
        return self.first_frame

    def beginning(self, batch: Batch) -> Mapping[str, Tensor] | None:
        if not self.first_frame:
            return None
        return {FIRST_FRAME: self.known_pictures(batch)[-1], FIRST_POSITIONS: batch.positions[:, -2]}

    def predict(self, batch: Batch) -> Prediction:
        return self._prediction(batch, *self.decompose(batch))

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
        s = self.shrink
        frames = self.known_pictures(batch)
        state = self.joint_state(batch)
        begun = batch.carried or self.beginning(batch) if self.first_frame else None
        joints = state.smooth if begun is None else self._with_first(state.smooth, begun[FIRST_POSITIONS])
        maps = self._maps(joints)
        pictures = frames if begun is None else [*frames, begun[FIRST_FRAME]]
        features, _ = self.body.features(
            torch.cat(pictures, dim=1) - 0.5, self.embed_state(state.conditioning), maps, self._at_places(batch, state)
        )
        hidden = (features, F.silu(maps))
        now, after, *earlier = self.planes(joints)
        motions = [motion_between(each, after) for each in (now, *earlier)]
        still = (-((state.change.detach().abs().amax(dim=1) / STILL) ** 4)).exp()
        memory = self.memory_encoder(state.sharp)
        places, cameras = [], []
        for i, (rows, columns) in enumerate(self.layout.camera_boxes()):
            here = torch.cat([each[..., _shrunk(rows, s), _shrunk(columns, s)] for each in hidden], dim=1)
            places.append(here)
            shown = [picture[..., rows, columns] for picture in pictures[len(frames) - 1 :]]
            moved = [motion[:, i] for motion in motions]
            cameras.append(self._camera(i, shown, still, moved, here, self.memory_heads[i](memory)))
        if self.joint_correction is not None:
            state = replace(state, correction=self.joint_correction(places, state.conditioning))
        return cameras, state

    def _at_places(self, batch: Batch, state: JointState) -> Callable[[Tensor], Tensor] | None:
        """What contact adds to the U-Net's features; None without it."""
        if self.contact is None:
            return None
        before = batch.positions[:, -2]
        told = self.contact.tell(state.smooth, before, before + state.change.detach() * self.numbers.most)
        return functools.partial(self.contact, told=told)

    def _with_first(self, joints: Tensor, positions: Tensor) -> Tensor:
        """Joints now and later (2, B, M), and where a rollout began, (3, B, M)."""
        return torch.cat([joints, self.numbers.smooth(positions)[None]])

    def _maps(self, joints: Tensor) -> Tensor:
        """What joints (N, B, M) say of each place of a frame, (B, N · joint_maps, h / s, w / s)."""
        h, w = (side // self.shrink for side in (self.layout.frame_height, self.layout.frame_width))
        maps = joints.new_zeros(joints.shape[1], len(joints) * self.config.joint_maps, h, w)
        for (rows, columns), joint_maps in zip(self.layout.camera_boxes(), self.joint_maps, strict=False):
            maps[..., _shrunk(rows, self.shrink), _shrunk(columns, self.shrink)] = joint_maps(joints)
        return maps

    def planes(self, joints: Tensor) -> Tensor:
        """Where joints (N, B, M) put the layers: logarithms of homographies, (N, B, cameras, layers, 8)."""
        with torch.autocast(joints.device.type, enabled=False):  # half precision would cost pixels
            return self.homography_head(joints).unflatten(2, (len(self.layout.cameras), self.config.layers, 8))

    def _camera(
        self,
        index: int,
        shown: Sequence[Tensor],
        still: Tensor,
        motions: Sequence[Tensor],
        features: Tensor,
        memory: Tensor,
    ) -> CameraPrediction:
        """One camera's picture from those ``shown``, the last and perhaps the first, and the layers' motion since."""
        before, motion = shown[0], motions[0]
        layers, size, shrink = self.config.layers, (before.shape[-2], before.shape[-1]), self.shrink
        coarse, pixels = (getattr(self, f"pixels_{index}_{s}") for s in (shrink, 1))
        flow = self.flow_head(features).float().unflatten(1, (layers, 2))
        coordinates = project(coarse, motion) + FINE * flow.permute(0, 1, 3, 4, 2)
        full = pixels + enlarge(coordinates - coarse, size)
        copies = copy(before, full)
        now, remembered = memory.unflatten(2, (3, *memory_size(self.layout.cameras[index]))) + 0.5
        if remembered.shape != before.shape:
            remembered = F.interpolate(remembered, size, mode="bilinear", align_corners=False)
        copied = [before, *copies.unbind(2)]
        for first, since in zip(shown[1:], motions[1:], strict=True):
            copied += [first, *copy(first, project(pixels, since)).unbind(2)]
        blend = F.pixel_shuffle(self.blend(features).float(), shrink)
        logits, generated, stillness = blend.split([len(copied) + 2, 3, 1], dim=1)
        logits = logits - (mistrust(now, before)[:, None] * self.only_memory)[:, :, None, None]
        only_still = self.only_still[:, None, None]
        weights = logits.softmax(dim=1).lerp(only_still, still[:, None, None, None] * stillness.sigmoid())
        sources = (*copied, remembered, generated + 0.5)
        picture = blended(weights, sources)
        box = self.layout.camera_boxes()[index]
        return CameraPrediction(box, before, pixels, coordinates, full, sources, weights, picture, features)

    def _prediction(self, batch: Batch, cameras: list[CameraPrediction], state: JointState) -> Prediction:
        expected, mode = self._expected_error(batch, cameras), self._mode(batch, cameras)
        cameras, carried = self._carried(batch, cameras, state)
        frame, positions = self._frame(batch, cameras, state)
        return Prediction(frame.clamp(0, 1), positions, expected, carried, mode)

    def _mode(self, batch: Batch, cameras: list[CameraPrediction]) -> Tensor | None:
        """The pictures to feed back, (B, 3, h, w): each pixel mostly from its likeliest source.

        A mean of where a thing may be is blurred, and the next step blurs it again, until nothing is left to move.
        """
        if self.layout.history == 2 or self.config.sharpening == 1:  # anchors keep single known frames sharp
            return None
        return self._stood(
            batch, (blended(sharpened(each.weights, self.config.sharpening), each.sources) for each in cameras)
        ).clamp(0, 1)

    def _carried(
        self, batch: Batch, cameras: list[CameraPrediction], state: JointState
    ) -> tuple[list[CameraPrediction], Mapping[str, Tensor]]:
        """The cameras, and what to carry along: the first frame where several are known, or else anchors.

        From anchors the cameras are copied where predictions are fed back.
        """
        if self.layout.history > 2:  # anchors would leave shards of the arm (docs/log/2026-11-27-flagship.md)
            return cameras, batch.carried or self.beginning(batch) or {}
        planes = self.planes(state.smooth)
        anchored: list[CameraPrediction] = []
        anchors: dict[str, Tensor] = {}
        for i, camera in enumerate(cameras):
            known = {name: batch.carried[f"{name}_{i}"] for name in ANCHOR} if batch.carried else {}
            anchor = Anchor(**known) if known else Anchor.at(camera.before, planes[0][:, i])
            anchor = anchor.traced(camera.pixels, camera.full_coordinates, camera.weights[:, :-2])
            if known:
                direct = project(camera.pixels, motion_between(anchor.planes, planes[1][:, i]))
                picture, anchor = anchor.composite(camera.pixels, direct, camera.picture, camera.weights[:, 0])
                camera = replace(camera, picture=picture)
            anchored.append(camera)
            anchors |= {f"{name}_{i}": getattr(anchor, name) for name in ANCHOR}
        return anchored, anchors

    def _frame(self, batch: Batch, cameras: list[CameraPrediction], state: JointState) -> tuple[Tensor, Tensor]:
        """The last frame with its strip, (B, 3, H, w), and the joints' positions, (B, J)."""
        positions = self.positions(batch, state)
        return self.frame(batch, self._stood(batch, (camera.picture for camera in cameras)), positions), positions

    def _stood(self, batch: Batch, pictures: Iterable[Tensor]) -> Tensor:
        """The cameras' pictures where they stand in a frame, (B, 3, h, w)."""
        frame = batch.canvas.new_zeros(batch.canvas.shape[0], 3, self.layout.frame_height, self.layout.frame_width)
        for box, picture in zip(self.layout.camera_boxes(), pictures, strict=True):
            frame[..., *box] = picture
        return frame

    # Uncertainty

    def _expected_error(self, batch: Batch, cameras: list[CameraPrediction]) -> Tensor:
        """The squared error to expect of each pixel, mean over channels, (B, h, w).

        That of known actions, and as far as this one is novel what a move changes in the mean.
        """
        known = batch.canvas.new_zeros(batch.canvas.shape[0], self.layout.frame_height, self.layout.frame_width)
        for camera in cameras:
            known[:, *camera.box] = self._known_error(camera)
        novel = novelty(self.novelty_classifier, self._conditions(batch)).detach() * batch.actions[:, -1].norm(dim=1)
        return known + novel[:, None, None] * self.mean_change / self.mean_squared_action.clamp(min=1e-6)

    def _known_error(self, camera: CameraPrediction) -> Tensor:
        """The error to expect of a camera's picture where the action is known, (B, h, w)."""
        variance = 0.2 * (camera.variance() + 1e-6).log()[:, None] + 1
        inputs = torch.cat([camera.hidden.detach(), variance], dim=1)  # detached, so that it costs the picture nothing
        logarithm = F.pixel_shuffle(self.error_head(_packed(inputs)).float(), self.shrink)[:, 0]
        return logarithm.clamp(max=0).exp()  # no error of a picture is larger than 1; pictures fed back led to infinity

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
            weights = pixel_weights(camera.before, true, self.config.change_weight)
            motion = motion + share * motion_loss(camera.before, camera.coordinates, true, weights)
            single = sum(charbonnier(source - true).mean() for source in camera.sources[-2:])
            blend = blend + share * SINGLE * single
            blend = blend + share * picture_loss(camera.picture, true, self.config, weights)
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


def blended(weights: Tensor, sources: Sequence[Tensor]) -> Tensor:
    """The sum of pictures (B, 3, h, w), each times its share of weights (B, N, h, w)."""
    picture = torch.zeros_like(sources[0])
    for share, source in zip(weights.split(1, dim=1), sources, strict=True):
        picture = torch.addcmul(picture, share, source)
    return picture


def sharpened(weights: Tensor, power: float) -> Tensor:
    """Shares of sources (B, N, h, w) raised to a power, so that the larger ones grow; they sum to 1 again."""
    return (power * weights.clamp(min=1e-12).log()).softmax(dim=1)


def _shrunk(pixels: slice, shrink: int) -> slice:
    """Rows or columns of a map that is 1 / ``shrink`` as large as the frame."""
    return slice(pixels.start // shrink, pixels.stop // shrink)


def _packed(pictures: Tensor) -> Tensor:
    """As convolutions of few channels are fastest."""
    return pictures.contiguous(memory_format=torch.channels_last)
