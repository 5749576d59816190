"""Warp and paint: the next frame is the previous one, moved; only what cannot be copied is painted.

Layers that move as wholes (Wang and Adelson 1994, Representing Moving Images with Layers), each a plane that the joints
put somewhere (Hartley and Zisserman 2004) with a finer flow upon it, blended pixel by pixel with what stands still and
with what is painted (as in Finn et al. 2016, Unsupervised Learning for Physical Interaction through Video Prediction).
The flow is learned from pictures alone, by how well copies explain the truth, coarse to fine.
"""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forearm.batch import Batch, Prediction, draw_strip
from forearm.canvas import Camera, Layout
from forearm.errors import ForearmError
from forearm.models.blocks import grid_positions, initialise, patchify, require_heads, transformer
from forearm.models.flow import copy, halve, homographies, pixel_places, project
from forearm.models.world_model import Family, WorldModel

SMOOTH, SHARP = 1, 6
"""How many frequencies joint positions are told in (Tancik et al. 2020): to motion and transformer, which would learn
few trajectories by heart from more, and to memory, as pictures change fast."""
MEMORY = 64
"""Features of the joints that a remembered picture is made of, and its longest side in pixels."""
MISTRUST = 50.0
"""How far memory loses trust where it fails to recall the present picture; in 1 / squared difference of grey."""
REMEMBERING = 0.2
"""Share of the loss with which remembered and painted pictures learn by themselves, before the blend trusts them."""
STILL = 0.02
"""The change of a joint, as a share of the largest in training, about which pictures begin to change: with a tenth of
it they are copied to the last bit of 8."""
FINE = 0.2
"""Scale of the flow beside the homographies, so that it begins slowly."""
COARSEST = 8
"""Pixels a side down to which pictures are halved for the coarse-to-fine loss."""
SHARPNESS = 30.0
"""How strictly the best layer answers for a pixel; in 1 / difference of grey."""
IMAGINED = 4
"""How many imagined requests the judge of what is known is shown beside each that training makes."""
UNHEARD = 0.05
"""How likely a request is one of the imagined, before it is looked at."""
FORGETTING = 0.01
"""By how much a training step's changes count in what moves change in the mean."""


@dataclass(frozen=True)
class WarpConfig:
    """Size of the model, and what it practises.

    ``layers`` move beside the one that stands still. ``features`` channels a pixel go from the transformer to the
    convolutions, which have ``refine`` channels. ``synthetic_stay`` is the share of training transitions that are
    replaced by a frame that stays itself under no action, so that STAY is known where no recording has it.
    ``reversed_pairs`` shows half of the transitions backwards under the opposite action, which is right where a
    change undone is the opposite change. ``tint`` is by how much the colours of a transition's pictures are made
    brighter or darker, ``joint_noise`` how far its joints are shifted, as a share of the widest range among those of
    their unit (the change stays right): where episodes are few, both keep the model from learning them by heart.
    ``squares`` weighs the picture's squared error beside its robust one: real recordings want few, simulated ones many
    (docs/results.md).
    """

    width: int = 384
    depth: int = 4
    heads: int = 6
    layers: int = 2
    features: int = 12
    refine: int = 16
    synthetic_stay: float = 0.1
    reversed_pairs: bool = False
    tint: float = 0.2
    joint_noise: float = 0.0
    squares: float = 1.5

    def __post_init__(self) -> None:
        require_heads(self.width, self.heads)
        for name in ("depth", "layers", "features", "refine"):
            if getattr(self, name) < 1:
                raise ForearmError(f"{name} is {getattr(self, name)}; it has to be at least 1")
        if not 0 <= self.synthetic_stay < 1:
            raise ForearmError(f"synthetic_stay is {self.synthetic_stay}; it has to lie in [0, 1)")
        for name in ("tint", "joint_noise"):
            if not 0 <= getattr(self, name) < 1:
                raise ForearmError(f"{name} is {getattr(self, name)}; it has to lie in [0, 1)")
        if not 0 <= self.squares < math.inf:
            raise ForearmError(f"squares is {self.squares}; it has to be 0 or more")


@dataclass(frozen=True)
class Motors:
    """Joints, as the parts of the model are told of them.

    change: (B, J) predicted, as a share of each joint's ``max_velocity``. known: (B, K) past positions, actions, the
    change and what comes of it. smooth: (2, B, M) and sharp: (2, B, N), the joints as they are and as they will be, in
    few frequencies for where things stand, and in many for how they look.
    """

    change: Tensor
    known: Tensor
    smooth: Tensor
    sharp: Tensor


@dataclass(frozen=True)
class View:
    """What is predicted for one camera of h × w pixels, and from what.

    box: its rows and columns in a frame. before: (B, 3, h, w) the previous picture. places: (B, K, h, w, 2) where
    each moving layer's pixels come from. copies: (B, 1 + K, 3, h, w) the previous picture as it is and as the layers
    move it. weights: (B, 1 + K + 2, h, w) shares of the copies, of the remembered and of the painted picture, which
    add up to 1. remembered, painted, picture: (B, 3, h, w) what the joints call to mind, what is painted, the blend.
    hidden: (B, C, h, w) what the blend was decided from.
    """

    box: tuple[slice, slice]
    before: Tensor
    places: Tensor
    copies: Tensor
    weights: Tensor
    remembered: Tensor
    painted: Tensor
    picture: Tensor
    hidden: Tensor

    @torch.no_grad()
    def spread(self) -> Tensor:
        """How far the blended sources lie apart: their variance about the picture, mean over channels, (B, h, w)."""
        sources = (*self.copies.unbind(1), self.remembered, self.painted)
        far = torch.stack([(source - self.picture).square().mean(dim=1) for source in sources], dim=1)
        return (self.weights * far).sum(dim=1)


class Warp(WorldModel):
    """Says for every pixel where it comes from in the previous frame, how far to trust that, and what to paint.

    A transformer over the context frames' patches, told joints and actions, gives each patch fine flow and features;
    convolutions over these and the moved pictures blend. Each camera copies from itself alone. A layer
    is a plane that joints alone put somewhere: its motion leads from where they put it now to where they will, so that
    all actions, and long ways as well as short ones, teach the same map of few numbers (as homographies induced by one
    plane compose, Hartley and Zisserman 2004, 13.1). Where no joint is to change, the picture is the one before. What
    no copy shows is remembered: a camera's picture as it usually looks with the joints as they will be, trusted as far
    as memory recalls what is seen now: so a scene that was learned by heart is not painted into another. Joints have a
    head of their own, which begins with the change that the action names; they are drawn into the strip as
    ``canvas.draw_strips`` draws them.

    The error that it expects is learned from the errors that it makes, which say nothing of actions that it never saw.
    So a judge learns to tell the joints and actions of training from imagined ones (Gutmann and Hyvärinen 2010,
    Noise-Contrastive Estimation), and where it does not know them, what moves change in the mean is to be expected too.
    """

    lows: Tensor
    highs: Tensor
    most: Tensor
    reach: Tensor
    waves: Tensor
    changed: Tensor
    asked: Tensor

    def __init__(self, layout: Layout, config: WarpConfig):
        super().__init__(layout)
        self.config = config
        p, moments, joints, actions = layout.patch, layout.history - 1, len(layout.joints), len(layout.actions)
        for camera in layout.cameras:
            if camera.height % p or camera.width % p:
                size = f"{camera.height}×{camera.width}"
                raise ForearmError(f"camera {camera.name} is {size}; family warp needs multiples of the patch, {p}")
        bounds = {"lows": layout.lows, "highs": layout.highs, "most": layout.max_velocities, "reach": _reach(layout)}
        for name, values in bounds.items():
            self.register_buffer(name, torch.from_numpy(values).float(), persistent=False)
        self.register_buffer("waves", 2.0 ** torch.arange(SHARP) * math.pi / 2, persistent=False)
        for i, camera in enumerate(layout.cameras):
            self.register_buffer(f"places_{i}", pixel_places(camera.height, camera.width), persistent=False)

        known = moments * joints + (moments - 1) * joints + moments * actions
        told = known + joints + 4 * SMOOTH * joints
        self.change = nn.Linear(known, joints)
        self.change_beyond = nn.Sequential(nn.Linear(known, 64), nn.GELU(), nn.Linear(64, joints))
        self.embed = nn.Linear(3 * p * p * moments, config.width)
        self.embed_state = nn.Sequential(
            nn.Linear(told, config.width), nn.GELU(), nn.Linear(config.width, config.width)
        )
        self.places = nn.Parameter(grid_positions(layout.frame_height // p, layout.frame_width // p, config.width))
        self.trunk = transformer(config.width, config.depth, config.heads)
        planes = len(layout.cameras) * config.layers * 8
        self.stand = nn.Sequential(
            nn.Linear((1 + 2 * SMOOTH) * joints, 256), nn.GELU(), nn.Linear(256, 256), nn.GELU(), nn.Linear(256, planes)
        )
        self.fine = nn.Linear(config.width, 2 * 2 * 2 * config.layers)
        self.features = nn.Linear(config.width, p * p * config.features)
        after = (1 + 2 * SHARP) * joints
        self.recall = nn.Sequential(nn.Linear(after, 128), nn.GELU(), nn.Linear(128, MEMORY), nn.GELU())
        self.memories = nn.ModuleList(nn.Linear(MEMORY, 3 * h * w) for h, w in map(_memory_size, layout.cameras))
        seen = 3 * (1 + config.layers) + 3 + config.features
        self.refine = nn.Conv2d(seen, config.refine, 3, padding=1)
        self.blend = nn.Conv2d(config.refine, 1 + config.layers + 2 + 3, 3, padding=1)
        self.doubting = nn.Conv2d(config.refine + 1, 1, 3, padding=1)
        self.judge = nn.Sequential(
            nn.Linear(joints + actions, 64), nn.GELU(), nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 1)
        )
        self.register_buffer("changed", torch.zeros(layout.frame_height, layout.frame_width))
        self.register_buffer("asked", torch.zeros(()))
        self._start()

    def _start(self) -> None:
        """Begin as a copy of the previous frame whose joints change as the action says."""
        initialise(self)
        for last in (self.change, self.change_beyond[-1], self.fine):
            nn.init.zeros_(last.weight)  # type: ignore[arg-type]
        nn.init.normal_(self.stand[-1].weight, std=0.01)  # type: ignore[arg-type] # alike layers would stay alike
        nn.init.normal_(self.blend.weight, std=0.01)
        still = torch.zeros(self.blend.out_channels)
        still[0] = 2.0
        self.blend.bias = nn.Parameter(still)
        nn.init.zeros_(self.doubting.weight)
        nn.init.constant_(self.doubting.bias, -5.0)  # type: ignore[arg-type]
        entries = len(self.layout.actions)
        with torch.no_grad():
            for i, (entry, joint) in enumerate(zip(self.layout.actions, self.layout.joint_of_entry(), strict=True)):
                if joint >= 0:
                    self.change.weight[joint, i - entries] = entry.scale / self.layout.joints[joint].max_velocity

    def predict(self, batch: Batch) -> Prediction:
        views, motors = self.explain(batch)
        positions = self._positions(batch, motors.change)
        return Prediction(self._frame(batch, views, positions).clamp(0, 1), positions, self._expected(batch, views))

    def explain(self, batch: Batch) -> tuple[list[View], Motors]:
        """What is predicted for each camera and for the joints, and from what."""
        layout, p = self.layout, self.layout.patch
        frames = [batch.canvas[:, :, : layout.frame_height, layout.frame_columns(t)] for t in range(layout.history - 1)]
        motors = self._motors(batch)
        told = self.embed_state(motors.known)[:, None]
        tokens = self.embed(patchify(torch.cat(frames, dim=1), p) - 0.5) + self.places
        hidden = self.trunk(torch.cat([told, tokens + told], dim=1))[:, 1:]
        patches = hidden.unflatten(1, (-1, layout.frame_width // p))
        motion = self._motion(motors)
        moved = 1 - (-((motors.change.detach().abs().amax(dim=1) / STILL) ** 4)).exp()
        recalled = self.recall(motors.sharp)
        views = []
        for i, (rows, columns) in enumerate(layout.camera_boxes()):
            here = patches[:, rows.start // p : rows.stop // p, columns.start // p : columns.stop // p]
            before = frames[-1][..., rows, columns]
            views.append(self._view(i, before, moved, motion[:, i], here, self.memories[i](recalled)))
        return views, motors

    def _motors(self, batch: Batch) -> Motors:
        positions = batch.positions[:, :-1]
        scaled = (positions - self.lows) / (self.highs - self.lows) * 2 - 1
        past = positions.diff(dim=1) / self.most
        known = torch.cat([scaled.flatten(1), past.flatten(1), batch.actions.flatten(1)], dim=1)
        with torch.autocast(known.device.type, enabled=False):  # half precision would cost tenths of a degree
            change = self.change(known) + self.change_beyond(known)
        ahead = change.detach()
        before = (positions[:, -1] - (self.lows + self.highs) / 2) / self.reach
        after = before + ahead * self.most / self.reach
        both = torch.stack([before, after])
        smooth, sharp = self._waves(both, SMOOTH), self._waves(both, SHARP)
        return Motors(
            change,
            torch.cat([known, ahead, *smooth], dim=1),
            torch.cat([both, smooth], dim=2),
            torch.cat([both, sharp], dim=2),
        )

    def _motion(self, motors: Motors) -> Tensor:
        """Where the layers' planes come from: homographies from camera to camera, (B, cameras, layers, 3, 3)."""
        with torch.autocast(motors.smooth.device.type, enabled=False):  # half precision would cost pixels
            stand = self.stand(motors.smooth).unflatten(2, (len(self.layout.cameras), self.config.layers, 8))
            return (homographies(stand[0]) @ homographies(-stand[1])).float()

    def _waves(self, places: Tensor, count: int) -> Tensor:
        angles = (places[..., None] * self.waves[:count]).flatten(-2)
        return torch.cat([angles.sin(), angles.cos()], dim=-1)

    def _view(
        self, camera: int, before: Tensor, moved: Tensor, motion: Tensor, patches: Tensor, memory: Tensor
    ) -> View:
        layers, size = self.config.layers, before.shape[-2:]
        fine = _pixels(self.fine(patches), 2).float()
        features = _pixels(self.features(patches), self.layout.patch)
        flow = F.interpolate(fine, size, mode="bilinear", align_corners=False).unflatten(1, (layers, 2))
        places = project(getattr(self, f"places_{camera}"), motion) + FINE * flow.permute(0, 1, 3, 4, 2)
        copies = torch.cat([before[:, None], copy(before, places)], dim=1)
        now, remembered = memory.unflatten(2, (3, *_memory_size(self.layout.cameras[camera]))) + 0.5
        if remembered.shape != before.shape:
            remembered = F.interpolate(remembered, size, mode="bilinear", align_corners=False)
        seen = torch.cat([copies.flatten(1, 2) - 0.5, remembered - 0.5, features], dim=1)
        hidden = F.relu(self.refine(seen.contiguous(memory_format=torch.channels_last)))
        said = self.blend(hidden).float()
        trust, painted = said[:, :-3], said[:, -3:] + 0.5
        trust[:, -2] -= MISTRUST * _mistaken(now, before)[:, None, None]
        weights = moved[:, None, None, None] * trust.softmax(dim=1)
        weights[:, 0] += (1 - moved)[:, None, None]
        sources = torch.cat([copies, remembered[:, None], painted[:, None]], dim=1)
        picture = (weights[:, :, None] * sources).sum(dim=1)
        box = self.layout.camera_boxes()[camera]
        return View(box, before, places, copies, weights, remembered, painted, picture, hidden)

    def _positions(self, batch: Batch, change: Tensor) -> Tensor:
        """Joint positions after a change that is a share of the largest, (B, J) in the joints' units."""
        return (batch.positions[:, -2] + change.clamp(-1, 1) * self.most).clamp(self.lows, self.highs)

    def _frame(self, batch: Batch, views: list[View], positions: Tensor) -> Tensor:
        """The last frame with its strip, (B, 3, H, w); velocities are those of the positions that are drawn."""
        frame = batch.canvas.new_zeros(len(batch), 3, self.layout.height, self.layout.frame_width)
        for view in views:
            frame[..., *view.box] = view.picture
        frame[:, :, self.layout.frame_height :] = draw_strip(self.layout, batch.positions[:, -2], positions)[:, None]
        return frame

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """In evaluation the plain squared error of the last frame; in training what flow and blend learn from."""
        if self.training:
            batch = self._practise(batch)
        views, motors = self.explain(batch)
        truth = batch.canvas[..., self.layout.frame_columns(-1)]
        error = (self._frame(batch, views, self._positions(batch, motors.change)).detach() - truth) ** 2
        visual, strip = error.split([self.layout.frame_height, self.layout.strip_height], dim=2)
        watched = {"visual": visual.mean(), "strip": strip.mean()}
        if not self.training:
            return {"loss": error.mean(), **watched}
        true_change = (batch.positions[:, -1] - batch.positions[:, -2]) / self.most
        joints = _robust(10 * (motors.change - true_change)).mean() / 10
        copied, blended = torch.zeros(2, device=truth.device)
        for view in views:
            true = truth[..., *view.box]
            share = true[0, 0].numel() / visual[0, 0].numel()
            copied = copied + share * _copying_loss(view, true)
            alone = _robust(view.painted - true).mean() + _robust(view.remembered - true).mean()
            blended = blended + share * REMEMBERING * alone
            blended = blended + share * self._blending_loss(view.picture, true)
        expected = self._expected(batch, views)
        doubted = 0.5 * (visual.mean(dim=1) / expected + expected.log()).mean()
        judged = self._judging_loss(batch)
        self._count_changes(batch)
        parts = {"copied": copied, "blended": blended, "joints": joints, "doubted": doubted, "judged": judged}
        return {"loss": copied + blended + 0.1 * joints + 0.01 * (doubted + judged), **parts, **watched}

    def _blending_loss(self, picture: Tensor, truth: Tensor) -> Tensor:
        """Robust, so that what can be known is sharp; squares, so that nothing is painted boldly where one guesses."""
        wrong = picture - truth
        return _robust(wrong).mean() + self.config.squares * wrong.square().mean() + 0.25 * _unlikeness(picture, truth)

    @torch.inference_mode()
    def diagnose(self, batch: Batch) -> dict[str, Tensor]:
        """Where pictures come from, as shares, and how far joints and action are unlike training's: each (B,)."""
        views, _ = self.explain(batch)
        pixels = self.layout.frame_height * self.layout.frame_width
        shares = torch.stack([view.weights.sum((2, 3)) for view in views]).sum(dim=0) / pixels
        return {
            "copied_share": shares[:, :-2].sum(dim=1),
            "remembered_share": shares[:, -2],
            "painted_share": shares[:, -1],
            "unheard_of": self._unheard_of(self._request(batch)),
        }

    def _expected(self, batch: Batch, views: list[View]) -> Tensor:
        """The error of what is known, and what a move usually changes as far as this one is not, (B, h, w)."""
        known = batch.canvas.new_zeros(len(batch), self.layout.frame_height, self.layout.frame_width)
        for view in views:
            known[:, *view.box] = self._known_error(view)
        unheard_of = self._unheard_of(self._request(batch)).detach() * batch.actions[:, -1].norm(dim=1)
        return known + unheard_of[:, None, None] * self.changed / self.asked.clamp(min=1e-6)

    def _known_error(self, view: View) -> Tensor:
        """The error to be expected of a picture, mean over channels, where the model knows the action, (B, h, w)."""
        spread = 0.2 * (view.spread() + 1e-6).log()[:, None] + 1
        clues = torch.cat([view.hidden.detach(), spread], dim=1)  # detached, so that doubting costs the picture nothing
        return self.doubting(clues.contiguous(memory_format=torch.channels_last)).float()[:, 0].exp()

    def _request(self, batch: Batch) -> Tensor:
        """Joints before the action, from −1 to 1 within their bounds, and its amounts, (B, J + A)."""
        joints = (batch.positions[:, -2] - self.lows) / (self.highs - self.lows) * 2 - 1
        return torch.cat([joints, batch.actions[:, -1]], dim=1)

    def _unheard_of(self, request: Tensor) -> Tensor:
        """The probability that training never asked for the like, (B,)."""
        return (self._judge(request) + math.log(UNHEARD / (1 - UNHEARD))).sigmoid()

    def _judge(self, request: Tensor) -> Tensor:
        """How much likelier a request is among the imagined than in training: the logarithm of the ratio, (B,)."""
        return self.judge(3 * request)[:, 0].float()  # threefold, as it has to tell apart what lies close together

    def _judging_loss(self, batch: Batch) -> Tensor:
        real = self._request(batch)
        imagined = self._imagined(real.repeat(IMAGINED, 1))
        return F.softplus(self._judge(real)).mean() + F.softplus(-self._judge(imagined)).mean()

    def _imagined(self, request: Tensor) -> Tensor:
        """Requests (B, J + A) with some joints anywhere, or with other amounts, of one action entry mostly, or both."""

        def chance(share: float) -> Tensor:
            return torch.rand(len(request), 1, device=request.device) < share

        joints, amounts = request.split([len(self.layout.joints), len(self.layout.actions)], dim=1)
        moved = torch.rand_like(joints) < torch.rand_like(joints[:, :1]) * chance(0.5)
        joints = torch.where(moved, 1.2 * (2 * torch.rand_like(joints) - 1), joints)
        other = 2 * torch.rand_like(amounts) - 1
        other = torch.where(chance(0.5), other.sign(), other)
        alone = torch.rand_like(amounts).argsort(dim=1) == 0
        other = torch.where(chance(0.75), other * alone, other)
        return torch.cat([joints, torch.where(chance(0.75), other, amounts)], dim=1)

    @torch.no_grad()
    def _count_changes(self, batch: Batch) -> None:
        """Keep in mind by how much moves change each pixel: squares, for as much as is asked, by least squares."""
        before, after = (batch.canvas[..., self.layout.frame_columns(t)] for t in (-2, -1))
        change = (after - before)[:, :, : self.layout.frame_height].square().mean(dim=1)
        amount = batch.actions[:, -1].norm(dim=1)
        self.changed.lerp_((amount[:, None, None] * change).mean(dim=0), FORGETTING)
        self.asked.lerp_(amount.square().mean(), FORGETTING)

    def _practise(self, batch: Batch) -> Batch:
        """The batch in other light and from other joints, some reversed, some in which nothing is done or changes."""
        canvas, positions, actions = batch.canvas.clone(), batch.positions.clone(), batch.actions.clone()
        last, previous = self.layout.frame_columns(-1), self.layout.frame_columns(-2)
        if self.config.reversed_pairs and self.layout.history == 2:
            back = torch.rand(len(batch), device=canvas.device) < 0.5
            canvas[back, ..., previous], canvas[back, ..., last] = (
                batch.canvas[back][..., last],
                batch.canvas[back][..., previous],
            )
            positions[back] = positions[back].flip(1)
            actions[back] = -actions[back]
        tints = 1 + self.config.tint * (2 * torch.rand(len(batch), 3, 1, 1, device=canvas.device) - 1)
        canvas[:, :, : self.layout.frame_height] *= tints
        shifts = torch.randn(len(batch), 1, positions.shape[2], device=canvas.device)
        positions = positions + self.config.joint_noise * self.reach * shifts
        still = torch.rand(len(batch), device=canvas.device) < self.config.synthetic_stay
        canvas[still, ..., last] = canvas[still][..., previous]
        positions[still, -1] = positions[still, -2]
        actions[still, -1] = 0
        return dataclasses.replace(batch, canvas=canvas, positions=positions, actions=actions)


def _pixels(patches: Tensor, side: int) -> Tensor:
    """Lay out what is said of each patch, (B, rows, columns, side² · C) to (B, C, rows · side, columns · side)."""
    cells = patches.unflatten(3, (side, side, -1)).transpose(2, 3)
    return cells.flatten(1, 2).flatten(2, 3).permute(0, 3, 1, 2)


def _reach(layout: Layout) -> np.ndarray:
    """Half the widest range among the joints of one unit, for each joint (J,): what only jitters is to look still."""
    ranges = (layout.highs - layout.lows) / 2
    units = np.array([joint.unit for joint in layout.joints])
    return np.array([ranges[units == unit].max() for unit in units])


def _memory_size(camera: Camera) -> tuple[int, int]:
    """Height and width in which a camera's picture is remembered: its own, divided until it is small."""
    shrink = math.ceil(max(camera.height, camera.width) / MEMORY)
    return math.ceil(camera.height / shrink), math.ceil(camera.width / shrink)


def _mistaken(recalled: Tensor, seen: Tensor) -> Tensor:
    """By how much memory fails to recall what is seen: mean squared error of each picture, (B,)."""
    return (recalled - F.interpolate(seen, recalled.shape[-2:], mode="area")).square().mean((1, 2, 3)).detach()


def _robust(differences: Tensor) -> Tensor:
    """Charbonnier's penalty: squares near zero, and no more than absolute values where nothing fits."""
    return (differences.square() + 1e-4).sqrt() - 1e-2


def _copying_loss(view: View, truth: Tensor) -> Tensor:
    """How badly the best layer explains each pixel, at half the size and smaller.

    Each pixel teaches the layer that explains it best, whatever the blend makes of it; small pictures see far motion,
    whose details would fit anywhere.
    """
    before, places, levels = view.before, view.places, []
    while min(truth.shape[-2:]) >= 2 * COARSEST and not any(side % 2 for side in truth.shape[-2:]):
        truth, before, places = F.avg_pool2d(truth, 2), F.avg_pool2d(before, 2), halve(places)
        copies = torch.cat([before[:, None], copy(before, places)], dim=1)
        errors = _robust(copies - truth[:, None]).mean(dim=2)
        levels.append((math.log(copies.shape[1]) - torch.logsumexp(-SHARPNESS * errors, dim=1).mean()) / SHARPNESS)
    return torch.stack(levels).mean() if levels else truth.new_zeros(())


def _unlikeness(a: Tensor, b: Tensor) -> Tensor:
    """1 − structural similarity over windows of 3 × 3, as in Godard et al. 2017 (Monocular Depth Estimation)."""
    mean_a, mean_b = _window_means(a), _window_means(b)
    product, squares = mean_a * mean_b, mean_a**2 + mean_b**2
    spread, together = _window_means(a * a + b * b) - squares, _window_means(a * b) - product
    likeness = (2 * product + 0.01**2) * (2 * together + 0.03**2)
    return (1 - likeness / ((squares + 0.01**2) * (spread + 0.03**2))).mean()


def _window_means(pictures: Tensor) -> Tensor:
    """Means over windows of 3 × 3, (…, h, w) to (…, h − 2, w − 2); four times as fast as pooling."""
    rows = pictures[..., :-2, :] + pictures[..., 1:-1, :] + pictures[..., 2:, :]
    return (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]) / 9


FAMILY = Family(
    "warp",
    Warp,
    {
        "so101": WarpConfig(),
        "tiny": WarpConfig(width=128, depth=2, heads=2),
    },
)
