"""A world that is known exactly: a bright bar stands where the first joint says, and every action does what it says."""

import numpy as np
import torch

from forearm.batch import Prediction
from forearm.canvas import Action, Layout, Observation, draw_frame
from forearm.control.goals import Goal, JointGoal, PictureGoal, RegionGoal
from support.tiny import picture


def seen_at(layout: Layout, joints: np.ndarray) -> Observation:
    """What the cameras show when the joints (J,) are there."""
    background = np.full((layout.frame_height, layout.frame_width, 3), 40, np.uint8)
    frame = picture(layout, float(joints[0]), background)
    return Observation(frame, np.asarray(joints, np.float32))


def moved(layout: Layout, joints: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Where joints (J,) are after an action (A,), which ends at the joints' bounds."""
    there = np.array(joints, np.float64)
    for dimension, joint, value in zip(layout.actions, layout.joint_of_dimension(), values, strict=True):
        there[joint] += dimension.scale * value
    return np.clip(there, layout.lows, layout.highs)


def goals(layout: Layout, pan: float) -> list[Goal]:
    """One of each kind, all reached where the pan joint is at ``pan``."""
    pictures = layout.split(seen_at(layout, np.array([pan, 0])).picture)
    return [
        JointGoal.named(layout, {"pan": pan}),
        PictureGoal.of(layout, pictures),
        RegionGoal.of(layout, "wrist", (3, 1, 5, 3), pictures[1][1:4, 3:8]),
    ]


class BarArm:
    """An arm of that world."""

    def __init__(self, layout: Layout, joints):
        self.layout, self.joints, self.acted = layout, np.array(joints, float), []

    def observe(self) -> Observation:
        return seen_at(self.layout, self.joints)

    def step(self, action: Action) -> None:
        self.acted.append((action.values.tolist(), action.dimension))
        self.joints = moved(self.layout, self.joints, action.values)


class BarDynamics:
    """Predicts that world without error, and counts what it was asked."""

    def __init__(self, layout: Layout):
        self.layout, self.asked = layout, []

    def predict(self, batch):
        self.asked.append(len(batch))
        regions, positions = [], []
        for joints, values in zip(batch.positions[:, -2].numpy(), batch.actions[:, -1].numpy(), strict=True):
            there = seen_at(self.layout, moved(self.layout, joints, values))
            regions.append(draw_frame(self.layout, there, joints))
            positions.append(there.joints)
        return Prediction(torch.from_numpy(np.stack(regions)), torch.from_numpy(np.stack(positions)))
