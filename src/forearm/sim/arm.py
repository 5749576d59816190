"""The simulated arm as a layout sees and moves it."""

import numpy as np

from forearm.base.errors import ForearmError
from forearm.canvas import (
    Action,
    Layout,
    Observation,
    action_seconds,
    driven_joints,
    plain,
    stack_pictures,
    target_changes,
    trajectory,
)
from forearm.recordings.objects import ObjectNames
from forearm.sim.filming import settle
from forearm.sim.names import CAMERA_PREFIX, CAMERAS, JOINTS, PHYSICS_HZ, Vary
from forearm.sim.objects import World
from forearm.sim.poses import sample_pose
from forearm.sim.simulator import Simulator


class SimulatedArm:
    """A simulator seen and moved as a layout says: an action value of 1 moves a joint's target by the scale, or, where
    actions come from recorded targets, holds it by the scale away from the joint.

    Everything of it has to be called from one thread, as OpenGL wants it.

    Args:
        simulator: at rest.
        layout: of simulated recordings: cameras and joints are among the simulator's, each action moves a joint.
        duration: seconds of an action; those of the layout by default.

    Raises:
        ForearmError: the layout has a camera, joint or action that the simulator has not.
    """

    def __init__(self, simulator: Simulator, layout: Layout, duration: float | None = None):
        self._cameras = [camera.name.removeprefix(CAMERA_PREFIX) for camera in layout.cameras]
        joints = [plain(name) for name in layout.joint_names]
        for what, names, known in (
            ("camera", self._cameras, CAMERAS),
            ("joint", joints, JOINTS),
            ("joint for the action", driven_joints(layout), JOINTS),
        ):
            for name in names:
                if name not in known:
                    raise ForearmError(
                        f"the simulated SO-101 has no {what} {name!r} as this run has; "
                        "leave --simulator out for a run that was not trained on its recordings"
                    )
        self.simulator, self.layout, self.duration = simulator, layout, action_seconds(layout, duration)
        self._joints = [JOINTS.index(name) for name in joints]

    @classmethod
    def in_scene(
        cls, layout: Layout, seed: int, duration: float | None = None, world: World | None = None
    ) -> "SimulatedArm":
        """An arm in a scene of its own, which the seed decides; objects are fixed unless a world has free ones.

        Raises:
            ForearmError: the seed is negative, or the layout is not of simulated recordings.
        """
        if seed < 0:
            raise ForearmError(f"the simulator's seed is {seed}; choose a number from 0 up")
        return cls(Simulator(seed, world), layout, duration)

    def settle(self, dimension: int, rng: np.random.Generator) -> None:
        """Rest at a random pose, like those of recordings, from which an action dimension can be moved."""
        joint = JOINTS.index(driven_joints(self.layout)[dimension])
        vary: Vary = "acting" if len(self.layout.actions) == 1 else "all"
        settle(self.simulator, sample_pose(self.simulator, joint, self.layout.actions[dimension].scale, vary, rng))

    def observe(self) -> Observation:
        """Look, at rest."""
        sizes = [(camera.height, camera.width) for camera in self.layout.cameras]
        pictures = [self.simulator.render(name, size) for name, size in zip(self._cameras, sizes, strict=True)]
        return Observation(stack_pictures(self.layout, pictures), self.joints())

    def joints(self) -> np.ndarray:
        """The layout's joints (J,), in their units."""
        return self.simulator.joints()[self._joints]

    def step(self, action: Action) -> None:
        """Carry out an action."""
        targets = self.simulator.targets()
        ahead = dict(zip(JOINTS, (targets - self.simulator.joints()).tolist(), strict=True))
        changes = target_changes(self.layout, action.values, ahead)
        change = np.array([changes.get(name, 0.0) for name in JOINTS])
        if self.layout.action_is == "target":  # the mean of recorded targets is held; a ramp to it would fall short
            self.simulator.step(targets + change, self.duration)
        else:
            self.simulator.follow(trajectory(targets, change, round(self.duration * PHYSICS_HZ)))

    def place(self, joints: np.ndarray) -> None:
        """Put the arm at rest where the layout's joints (J,) say; others stay where they are."""
        pose = self.simulator.joints()
        pose[self._joints] = joints
        self.simulator.place(pose)

    def objects_seen(self) -> str:
        """The free objects in words, and the box of each in the first camera that shows its middle, in shares of the
        picture; empty where there are none."""
        if not self.simulator.objects:
            return ""
        names = ObjectNames(tuple(thing.name for thing in self.simulator.objects), CAMERAS)
        told, boxes = [], names.truth(self.simulator.environment()[None]).boxes[0]
        for number, thing in enumerate(self.simulator.objects):
            for camera, name in zip(self.layout.cameras, self._cameras, strict=True):
                box = boxes[number, CAMERAS.index(name)]
                if box.min() > 0 and box.max() < 1:
                    told.append(f"the {thing.words} at {camera.name}:{','.join(f'{side:.3f}' for side in box)}")
                    break
        return ", ".join(told)

    def close(self) -> None:
        """Free the simulator's renderers."""
        self.simulator.close()
