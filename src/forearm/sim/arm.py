"""The simulated arm as a layout sees and moves it."""

import contextlib
from collections.abc import Iterator, Mapping

import numpy as np

from forearm.arms import Health
from forearm.arms import film as film_arm
from forearm.arms.arm import recording_spec
from forearm.arms.filming import move_to
from forearm.arms.protocol import Vary, require_whole_frames
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
from forearm.recordings import EpisodeData, RecordingSpec
from forearm.recordings.features import CAMERA_PREFIX
from forearm.recordings.objects import ObjectNames
from forearm.sim.filming import SimulatedDriver, settle
from forearm.sim.names import CAMERAS, JOINTS, PHYSICS_HZ, UNITS
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
        self._home = simulator.joints()
        self._slack = False
        sizes = {
            name: camera.recorded_size or (camera.height, camera.width)
            for name, camera in zip(self._cameras, layout.cameras, strict=True)
        }
        self._driver = SimulatedDriver(simulator, sizes)

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

    @contextlib.contextmanager
    def connected(self) -> Iterator["SimulatedArm"]:
        """Where it stands now is its home."""
        self._home = self.simulator.joints()
        yield self

    def step(self, action: Action) -> None:
        """Carry out an action."""
        targets, change = self.simulator.targets(), self._change(action)
        if self.layout.action_is == "target":  # the mean of recorded targets is held; a ramp to it would fall short
            self.simulator.step(targets + change, self.duration)
        else:
            self.simulator.follow(trajectory(targets, change, round(self.duration * PHYSICS_HZ)))

    def film(self, action: Action, fps: int) -> EpisodeData:
        """Carry out an action, filmed in the recorded size; the first frame is the present, the last one the end.

        Where actions come from recorded targets, they are ramped to, not held as in `step`.

        Raises:
            ForearmError: an action is no whole number of frames, or the arm is slack.
        """
        require_whole_frames(self.duration, fps)
        return film_arm(self._driver, [self._change(action)], duration=self.duration, fps=fps)

    def spec(self, fps: int) -> RecordingSpec:
        """Of recordings of what `film` returns."""
        return recording_spec(JOINTS, UNITS, self._driver.sizes, fps, tuple(self._object_names().names()))

    def move_to(self, pose: Mapping[str, float]) -> None:
        """Move joints slowly to positions (plain name to the joint's unit); the others stay.

        Raises:
            ForearmError: the simulator has no such joint, or it cannot go there, or the arm is slack.
        """
        self._require_stiff()
        limits = dict(zip(JOINTS, self.simulator.limits.T.tolist(), strict=True))
        for name, value in pose.items():
            low, high = limits.get(name, (-np.inf, np.inf))
            if value < low or value > high:
                raise ForearmError(f"{name} cannot go to {value:g}; it goes from {low:.1f} to {high:.1f}")
        move_to(self._driver, pose)

    def home(self) -> None:
        """Move slowly to where it stood when it was connected."""
        self.move_to(dict(zip(JOINTS, self._home.tolist(), strict=True)))

    def hold(self) -> None:
        """Stay where it is, stiff."""
        self.simulator.stiffen()
        self._slack = False

    def relax(self) -> None:
        """Let the servos go slack; the arm falls for half a second, and `hold` makes it stiff again."""
        self.simulator.relax()
        self._slack = True
        self.simulator.step(self.simulator.targets(), 0.5)

    def health(self) -> Health:
        """The servos' load alone: a simulated one has no temperature and no voltage."""
        return Health(load=dict(zip(JOINTS, (100 * self.simulator.load()).tolist(), strict=True)))

    def _change(self, action: Action) -> np.ndarray:
        """By how much an action changes the targets of all joints, (6,)."""
        self._require_stiff()
        ahead = dict(zip(JOINTS, (self.simulator.targets() - self.simulator.joints()).tolist(), strict=True))
        changes = target_changes(self.layout, action.values, ahead)
        return np.array([changes.get(name, 0.0) for name in JOINTS])

    def _require_stiff(self) -> None:
        if self._slack:
            raise ForearmError("the arm is slack, so it cannot act; let it hold its position first")

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
        names = self._object_names()
        told, boxes = [], names.truth(self.simulator.environment()[None]).boxes[0]
        for number, thing in enumerate(self.simulator.objects):
            for camera, name in zip(self.layout.cameras, self._cameras, strict=True):
                box = boxes[number, CAMERAS.index(name)]
                if box.min() > 0 and box.max() < 1:
                    told.append(f"the {thing.words} at {camera.name}:{','.join(f'{side:.3f}' for side in box)}")
                    break
        return ", ".join(told)

    def _object_names(self) -> ObjectNames:
        return ObjectNames(tuple(thing.name for thing in self.simulator.objects), CAMERAS)

    def close(self) -> None:
        """Free the simulator's renderers."""
        self.simulator.close()
