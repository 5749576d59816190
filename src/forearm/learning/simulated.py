"""Learning in the simulator, whose scenes are loaded or pushed about; it imports MuJoCo."""

import numpy as np

from forearm.canvas import Layout, plain
from forearm.learning.cells import Cell
from forearm.sim.arm import SimulatedArm
from forearm.sim.filming import SETTLING
from forearm.sim.names import JOINTS
from forearm.sim.operator import Operator
from forearm.sim.poses import NOMINAL, is_usable
from forearm.sim.simulator import Simulator
from forearm.sim.tasks.push import Push
from forearm.sim.tasks.task import Unsuitable, pose_task
from forearm.sim.teleoperation import carry_out

PUSHES = 10
"""Draws of an object and a place to which it may be pushed."""


class SimulatedWorld:
    """The simulated SO-101. Scene 0 of the learner is the one of the seed, all others follow from it.

    Args:
        layout: of the run.
        seed: of the first scene.
        push: whether the arm rearranges the learner's scene itself, by pushing a free object.

    Raises:
        ForearmError: the seed is negative, or the layout is not of simulated recordings.
    """

    def __init__(self, layout: Layout, seed: int, push: bool = False):
        self.layout, self.seed, self.push = layout, seed, push
        self._places = [JOINTS.index(plain(name)) for name in layout.joint_names]
        self._pushed = 0
        self.arm, self.scene_seed = self._load(seed), seed

    def enter(self, scene: int, wide: bool, told: bool) -> None:
        """Load a scene, or push on until it is reached, unless it is the present one."""
        seed = self.seed
        if wide or (scene and not self.push):
            seed = int(np.random.SeedSequence([self.seed, int(wide), scene]).generate_state(1)[0])
        if seed != self.scene_seed:
            self.arm.close()
            self.arm, self.scene_seed = self._load(seed), seed
        while self.push and not wide and self._pushed < scene:
            self._pushed += 1
            push_somewhere(self.arm.simulator, np.random.default_rng([self.seed, self._pushed]))

    def allows(self, pose: np.ndarray, cell: Cell) -> bool:
        """Whether the arm touches nothing, and is seen, all along the action and its reverse."""
        dimension = self.layout.actions[cell[0]]
        joint = JOINTS.index(plain(dimension.joint or dimension.name))
        return is_usable(self.arm.simulator, self._whole(pose), joint, dimension.scale)

    def rest(self, pose: np.ndarray) -> None:
        """Put the arm there at once."""
        self.arm.simulator.place(self._whole(pose))
        self.arm.simulator.step(self.arm.simulator.targets(), SETTLING)

    def _load(self, seed: int) -> SimulatedArm:
        self._pushed = 0
        arm = SimulatedArm.in_scene(self.layout, seed, world=Push.world if self.push else None)
        if self.push:
            pose_task(arm.simulator, Push, np.random.default_rng(seed))
        return arm

    def _whole(self, pose: np.ndarray) -> np.ndarray:
        whole = NOMINAL.copy()
        whole[self._places] = pose
        return whole


class PushOnwards(Push):
    """Push one of the objects from where it is now to a place nearby."""

    def arrange(self) -> None:
        self.target = int(self.rng.integers(len(self.simulator.objects)))
        self.start = self.object_at(self.target)[:2]
        self.goal = self._goal()


def push_somewhere(simulator: Simulator, rng: np.random.Generator) -> None:
    """Let the arm push one of the free objects aside; where none can be pushed, all are put elsewhere.

    Raises:
        ForearmError: the scene allows neither.
    """
    for _ in range(PUSHES):
        simulator.place(NOMINAL)
        try:
            task = PushOnwards(simulator, rng)
        except Unsuitable:
            continue
        carry_out(task, Operator(simulator, 0.0, rng))
        return
    pose_task(simulator, Push, rng)
