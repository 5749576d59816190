"""The simulated SO-101 to be controlled, and as a predictor that is never wrong."""

import numpy as np
import torch

from forearm.batch import Batch, Prediction
from forearm.canvas import Layout, driven_joints, plain, target_changes, trajectory
from forearm.control.loop import Observation, region_of
from forearm.errors import ForearmError
from forearm.sim import CAMERAS, JOINTS, Simulator, settle
from forearm.sim.poses import Vary, sample_pose
from forearm.sim.scene import PHYSICS_HZ


class SimulatedArm:
    """A simulator seen and moved as a layout says: an amount of 1 moves a joint's target by the entry's scale.

    Args:
        simulator: at rest.
        layout: of simulated recordings: cameras and joints are among the simulator's, each entry moves a joint.
        duration: seconds of an action, those of the recordings.

    Raises:
        ForearmError: the layout has a camera, joint or action that the simulator has not.
    """

    def __init__(self, simulator: Simulator, layout: Layout, duration: float = 0.5):
        for what, wanted, known in (
            ("camera", [camera.name for camera in layout.cameras], CAMERAS),
            ("joint", [plain(name) for name in layout.joint_names], JOINTS),
            ("action that moves a joint", driven_joints(layout), JOINTS),
        ):
            for name in wanted:
                if name not in known:
                    raise ForearmError(
                        f"the simulator has no {what} {name!r} as this run has; plan with --start or --robot instead"
                    )
        self.simulator, self.layout, self.duration = simulator, layout, duration
        self._joints = [JOINTS.index(plain(name)) for name in layout.joint_names]

    def observe(self) -> Observation:
        sizes = {camera.name: (camera.height, camera.width) for camera in self.layout.cameras}
        pictures = [self.simulator.render(name, size) for name, size in sizes.items()]
        return Observation(pictures, self.simulator.joints()[self._joints])

    def act(self, amounts: np.ndarray, entry: int) -> None:
        changes = target_changes(self.layout, amounts)
        change = np.array([changes.get(name, 0.0) for name in JOINTS])
        steps = round(self.duration * PHYSICS_HZ)
        self.simulator.follow(trajectory(self.simulator.targets(), change, steps))

    def close(self) -> None:
        """Free the simulator's renderers."""
        self.simulator.close()

    def place(self, joints: np.ndarray) -> None:
        """Put the arm at rest where the layout's joints (J,) say; others stay where they are."""
        pose = self.simulator.joints()
        pose[self._joints] = joints
        self.simulator.place(pose)


class TrueDynamics:
    """The simulator as a predictor: puts the arm where a context's joints say, acts, and paints what is seen.

    An arm at rest is told by its joints alone, so nothing but the context is needed. It shows how well a planner does
    with a model that is right.
    """

    def __init__(self, arm: SimulatedArm):
        self.arm = arm

    def predict(self, batch: Batch) -> Prediction:
        """The true last frames and joints."""
        layout, before = self.arm.layout, self.arm.simulator.snapshot()
        frames = torch.empty(len(batch), 3, layout.height, layout.frame_width)
        positions = torch.empty_like(batch.positions[:, -1])
        told = (batch.positions[:, -2], batch.actions[:, -1], batch.entries)
        for i, (joints, amounts, entry) in enumerate(zip(*(values.cpu().numpy() for values in told), strict=True)):
            self.arm.place(joints)
            self.arm.act(amounts, int(entry))
            seen = self.arm.observe()
            frames[i] = torch.from_numpy(region_of(layout, seen, joints))
            positions[i] = torch.from_numpy(seen.joints)
        self.arm.simulator.restore(before)
        return Prediction(frames.to(batch.canvas), positions)


def simulated_arm(layout: Layout, seed: int, duration: float = 0.5) -> SimulatedArm:
    """A simulated arm at rest in a scene, at a pose like those of recordings; the seed decides both.

    Raises:
        ForearmError: the layout is not of simulated recordings, or the seed is negative.
    """
    if seed < 0:
        raise ForearmError(f"the simulator's seed is {seed}; choose a number from 0 up")
    arm = SimulatedArm(Simulator(seed), layout, duration)
    entry = layout.actions[0]
    vary: Vary = "acting" if len(layout.actions) == 1 else "all"
    joint = JOINTS.index(driven_joints(layout)[0])
    settle(arm.simulator, sample_pose(arm.simulator, joint, entry.scale, vary, np.random.default_rng([seed, 1])))
    return arm
