"""Joints and actions as the numbers that every family is given, and what predicts and draws the joints."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from forearm.batch import Batch, Prediction, draw_strip
from forearm.canvas import Layout
from forearm.models.augmentation import half_ranges
from forearm.models.losses import charbonnier, picture_loss
from forearm.models.settings import LearningConfig
from forearm.models.world_model import WorldModel

SMOOTH, SHARP = 1, 6
"""Frequencies of the joints' Fourier features (Tancik et al. 2020): few for motion and conditioning, which would learn
few trajectories by heart from more, and many for memory, as pictures change fast."""
FARTHEST = 2.0
"""Half ranges from the middle at which positions are clipped: training holds none beyond 1, and a joint that never
moved would be as many away as its range is narrow."""
JOINT_WEIGHT = 0.1
"""Of the joints' loss beside the picture's."""


@dataclass(frozen=True)
class JointState:
    """Joints, as the parts of a model are given them."""

    change: Tensor
    """(B, J) of the last step, as a share of each joint's ``max_velocity``."""
    conditioning: Tensor
    """(B, K) past positions, actions, the change and what comes of it."""
    smooth: Tensor
    """(2, B, M) the joints as they are and as they will be, in few frequencies: for where things stand."""
    sharp: Tensor
    """(2, B, N) the same in many frequencies: for how things look."""
    correction: Tensor | None = None
    """(B, J) what pictures add to the change, as a share of ``max_velocity``; None where they are not asked."""


class JointNumbers(nn.Module):
    """Scales joints and actions of one layout; it has no weights."""

    lows: Tensor
    highs: Tensor
    most: Tensor
    reach: Tensor
    frequencies: Tensor
    drives: Tensor

    def __init__(self, layout: Layout):
        super().__init__()
        known, joints, actions = layout.history - 1, len(layout.joints), len(layout.actions)
        self.size = known * joints + (known - 1) * joints + known * actions
        """Of what ``inputs`` gives."""
        self.conditioning_size = self.size + joints + 4 * SMOOTH * joints
        """K of ``JointState.conditioning``."""
        drives = np.zeros((actions, joints))
        for i, (action, joint) in enumerate(zip(layout.actions, layout.joint_of_dimension(), strict=True)):
            if joint >= 0:
                drives[i, joint] = action.scale / layout.joints[joint].max_velocity
        bounds = {"lows": layout.lows, "highs": layout.highs, "most": layout.max_velocities}
        for name, values in {**bounds, "reach": half_ranges(layout), "drives": drives}.items():
            self.register_buffer(name, torch.from_numpy(values).float(), persistent=False)
        self.register_buffer("frequencies", 2.0 ** torch.arange(SHARP, device="cpu") * math.pi / 2, persistent=False)

    def inputs(self, batch: Batch) -> Tensor:
        """Known positions from −1 to 1 within their bounds, their changes, and all action values: (B, size)."""
        positions = batch.positions[:, :-1]
        scaled = _clipped((positions - self.lows) / (self.highs - self.lows) * 2 - 1)
        past = _clipped(positions.diff(dim=1) / self.most)
        return torch.cat([scaled.flatten(1), past.flatten(1), batch.actions.flatten(1)], dim=1)

    def named_change(self, batch: Batch) -> Tensor:
        """The change of the joints that the last action names, (B, J) as a share of the largest."""
        return (batch.actions[:, -1, :, None] * self.drives).sum(dim=1)  # autocast would make a product coarse

    def state(self, batch: Batch, inputs: Tensor, change: Tensor) -> JointState:
        """The joints before and after a change, (B, J) as a share of the largest; nothing learns through it."""
        ahead = change.detach()
        before = (batch.positions[:, -2] - (self.lows + self.highs) / 2) / self.reach
        after = before + ahead * self.most / self.reach
        both = _clipped(torch.stack([before, after]))
        smooth, sharp = self._fourier(both, SMOOTH), self._fourier(both, SHARP)
        return JointState(
            change,
            torch.cat([inputs, ahead, *smooth], dim=1),
            torch.cat([both, smooth], dim=2),
            torch.cat([both, sharp], dim=2),
        )

    def smooth(self, positions: Tensor) -> Tensor:
        """Positions (B, J) in their units, as in ``JointState.smooth``: (B, M)."""
        scaled = _clipped((positions - (self.lows + self.highs) / 2) / self.reach)
        return torch.cat([scaled, self._fourier(scaled, SMOOTH)], dim=1)

    def _fourier(self, values: Tensor, count: int) -> Tensor:
        angles = (values[..., None] * self.frequencies[:count]).flatten(-2)
        return torch.cat([angles.sin(), angles.cos()], dim=-1)


def _clipped(scaled: Tensor) -> Tensor:
    return scaled.clamp(-FARTHEST, FARTHEST)


def state_mlp(numbers: JointNumbers, width: int) -> nn.Sequential:
    """Embeds a conditioning, (B, K) to (B, width)."""
    return nn.Sequential(nn.Linear(numbers.conditioning_size, width), nn.GELU(), nn.Linear(width, width))


class StateEmbedding(nn.Module):
    """Joints and actions as one embedding, for families that draw the joints themselves."""

    def __init__(self, layout: Layout, width: int):
        super().__init__()
        self.numbers = JointNumbers(layout)
        self.mlp = state_mlp(self.numbers, width)

    def forward(self, batch: Batch) -> Tensor:
        """(B, 1, width), to be added to tokens."""
        state = self.numbers.state(batch, self.numbers.inputs(batch), self.numbers.named_change(batch))
        return self.mlp(state.conditioning)[:, None]


class JointHeadModel(WorldModel):
    """A world model that predicts the joints with a head of their own, and draws them into the strip.

    The head begins with the change that the action names. A family that predicts the cameras' part of a frame in one
    piece has to say ``picture`` alone.
    """

    def __init__(self, layout: Layout, config: LearningConfig):
        super().__init__(layout, config)
        self.config = config
        self.numbers = JointNumbers(layout)
        joints = len(layout.joints)
        self.joint_head = nn.Linear(self.numbers.size, joints)
        self.joint_mlp = nn.Sequential(nn.Linear(self.numbers.size, 64), nn.GELU(), nn.Linear(64, joints))

    def start_joints(self) -> None:
        """Begin with the change that the action names; to be called once all weights are drawn."""
        nn.init.zeros_(self.joint_head.weight)
        nn.init.zeros_(self.joint_mlp[-1].weight)  # type: ignore[arg-type]
        with torch.no_grad():
            self.joint_head.weight[:, -len(self.layout.actions) :] = self.numbers.drives.T

    def joint_state(self, batch: Batch) -> JointState:
        """The joints as they are and as they are predicted to be."""
        inputs = self.numbers.inputs(batch)
        with torch.autocast(inputs.device.type, enabled=False):  # half precision would cost tenths of a degree
            change = self.joint_head(inputs) + self.joint_mlp(inputs)
        return self.numbers.state(batch, inputs, change)

    def joint_loss(self, batch: Batch, state: JointState) -> Tensor:
        """Charbonnier's penalty of the predicted changes, without and with what pictures add."""
        true_change = (batch.positions[:, -1] - batch.positions[:, -2]) / self.numbers.most
        predicted = [state.change]
        if state.correction is not None:
            predicted.append(state.change.detach() + state.correction)
        return sum(charbonnier(10 * (change - true_change)).mean() / 10 for change in predicted)  # type: ignore[return-value]

    def positions(self, batch: Batch, state: JointState) -> Tensor:
        """Joint positions after the predicted change, (B, J) in the joints' units."""
        change = state.change if state.correction is None else state.change + state.correction
        after = batch.positions[:, -2] + change.clamp(-1, 1) * self.numbers.most
        return after.clamp(self.numbers.lows, self.numbers.highs)

    def frame(self, batch: Batch, picture: Tensor, positions: Tensor) -> Tensor:
        """The last frame (B, 3, H, w) from its picture and the positions that are drawn into its strip."""
        strip = draw_strip(self.layout, batch.positions[:, -2], positions)[:, None]
        return torch.cat([picture, strip.to(picture).expand(-1, 3, -1, -1)], dim=2)

    def squared_errors(self, batch: Batch, frame: Tensor) -> dict[str, Tensor]:
        """Mean squared errors of a last frame, of its picture and of its strip."""
        error = (frame - batch.canvas[..., self.layout.frame_columns(-1)]) ** 2
        visual, strip = error.split([self.layout.frame_height, self.layout.strip_height], dim=2)
        return {"loss": error.mean(), "visual": visual.mean(), "strip": strip.mean()}

    def known_pictures(self, batch: Batch) -> list[Tensor]:
        """The cameras' parts of the known frames, (B, 3, h, w) each."""
        layout = self.layout
        return [batch.canvas[:, :, : layout.frame_height, layout.frame_columns(t)] for t in range(layout.history - 1)]

    def picture(self, batch: Batch, state: JointState) -> Tensor:
        """The cameras' part of the last frame, (B, 3, h, w) float32; it need not lie in [0, 1]."""
        raise NotImplementedError

    def predict(self, batch: Batch) -> Prediction:
        state = self.joint_state(batch)
        positions = self.positions(batch, state)
        return Prediction(self.frame(batch, self.picture(batch, state), positions).clamp(0, 1), positions)

    def training_loss(self, batch: Batch) -> dict[str, Tensor]:
        """What picture and joints learn from."""
        state = self.joint_state(batch)
        picture = self.picture(batch, state)
        truth = batch.canvas[:, :, : self.layout.frame_height, self.layout.frame_columns(-1)]
        errors = self.squared_errors(batch, self.frame(batch, picture.detach(), self.positions(batch, state).detach()))
        joints = self.joint_loss(batch, state)
        loss = picture_loss(picture, truth, self.config) + JOINT_WEIGHT * joints
        return {"loss": loss, "joints": joints, "visual": errors["visual"], "strip": errors["strip"]}

    def validation_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Plain squared errors of the last frame."""
        state = self.joint_state(batch)
        return self.squared_errors(batch, self.frame(batch, self.picture(batch, state), self.positions(batch, state)))
