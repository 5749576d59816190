"""The simulated SO-101 as a world, and as a predictor that is never wrong."""

from dataclasses import dataclass

import numpy as np
import torch

from forearm.batch import Batch, Prediction
from forearm.canvas import Action, Layout, Observation, draw_frame
from forearm.environment.environment import Environment
from forearm.sim.arm import SimulatedArm

STATE = "simulator"
"""By which a prediction carries the simulator's state."""


@dataclass(frozen=True)
class Simulated:
    """What the simulator shows, and the state in which it does."""

    observation: Observation
    snapshot: np.ndarray


class SimulatedEnvironment(Environment[Simulated]):
    """The simulated SO-101; a start is the number of a random pose.

    Args:
        arm: may be shared.
        seed: decides the poses.
    """

    def __init__(self, arm: SimulatedArm, seed: int):
        self.arm, self.layout, self.seed = arm, arm.layout, seed

    @classmethod
    def in_scene(cls, layout: Layout, seed: int) -> "SimulatedEnvironment":
        """A scene and poses that a seed decides; raises as `SimulatedArm.in_scene`."""
        return cls(SimulatedArm.in_scene(layout, seed), seed)

    def observe(self) -> Observation:
        return self.state.observation

    def begin(self, start: int) -> Simulated:
        self.arm.settle(start % len(self.layout.actions), np.random.default_rng([self.seed, start]))
        return self._seen()

    def after(self, state: Simulated, action: Action) -> Simulated:
        self.arm.simulator.restore(state.snapshot)
        self.arm.step(action)
        return self._seen()

    def _seen(self) -> Simulated:
        return Simulated(self.arm.observe(), self.arm.simulator.snapshot())


class TrueDynamics:
    """The simulator as a predictor: acts in the state that a context shows, and draws what is seen.

    An arm at rest is determined by its joints alone; free objects start where the simulator has them. A prediction
    carries the state behind it, in which one that is fed back goes on. It shows how well a planner does with a model
    that is right.
    """

    def __init__(self, arm: SimulatedArm):
        self.arm = arm

    def predict(self, batch: Batch) -> Prediction:
        """The true last frames and joints."""
        arm, before = self.arm, self.arm.simulator.snapshot()
        states = batch.carried[STATE].cpu().numpy() if batch.carried and arm.simulator.objects else None
        frames, positions, after = [], [], []
        inputs = (batch.positions[:, -2], batch.actions[:, -1], batch.dimensions)
        for row, (joints, values, dimension) in enumerate(zip(*(each.cpu().numpy() for each in inputs), strict=True)):
            arm.simulator.restore(before if states is None else states[row])
            if states is None and not (arm.simulator.objects and np.allclose(arm.joints(), joints, atol=1e-4)):
                arm.place(joints)
            arm.step(Action(values, int(dimension)))
            seen = arm.observe()
            frames.append(draw_frame(arm.layout, seen, joints))
            positions.append(seen.joints)
            after.append(arm.simulator.snapshot())
        arm.simulator.restore(before)
        frame, joints = (torch.from_numpy(np.stack(each)).to(batch.canvas) for each in (frames, positions))
        return Prediction(frame, joints, carried={STATE: torch.from_numpy(np.stack(after))})
