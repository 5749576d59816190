"""An arm of the tiny layout whose pictures show where it is, and that fails when it is told to."""

import contextlib

import numpy as np
from support.tiny import make_layout, picture

from forearm.arms import Health
from forearm.base.errors import ForearmError
from forearm.canvas import ActionDimension, Camera, Joint, Observation, plain
from forearm.recordings import EpisodeData, RecordingSpec

JOINTS = ("shoulder_pan", "elbow_flex", "gripper")


def simulated_layout():
    """Of the simulated SO-101, tiny."""
    return make_layout(
        cameras=(Camera("base", 16, 16), Camera("wrist", 16, 16)),
        joints=tuple(Joint(name, "deg", -100, 100, 20, unit_origin="declared") for name in JOINTS),
        actions=tuple(ActionDimension(name, name, "deg", 10.0) for name in JOINTS[:2]),
    )


class TinyArm:
    """Joints pan and lift; a bar stands where pan says."""

    def __init__(self, layout=None):
        self.layout, self.duration = layout or make_layout(), 0.5
        self.joints = np.zeros(len(self.layout.joints), np.float32)
        self.background = np.random.default_rng(0).integers(0, 120, (16, 8, 3)).astype(np.uint8)
        self.said: list[str] = []
        self.fails: BaseException | None = None
        """What the next action ends with, a little more than half-way."""
        self.is_blind = False

    @contextlib.contextmanager
    def connected(self):
        self.said.append("connected")
        yield self
        self.said.append("disconnected")

    def observe(self):
        if self.is_blind:
            raise ForearmError("the robot could not be read from: camera wrist timed out; see to its cables")
        return Observation(picture(self.layout, self.joints[0], self.background), self.joints.copy())

    def step(self, action):
        self.film(action, 2)

    def film(self, action, fps):
        start, change = self.joints.copy(), np.zeros_like(self.joints)
        for value, dimension, joint in zip(
            action.values, self.layout.actions, self.layout.joint_of_dimension(), strict=True
        ):
            change[joint] += value * dimension.scale
        looks = []
        for share in np.linspace(0, 1, round(self.duration * fps) + 1):
            self.joints = (start + share * change).astype(np.float32)
            looks.append(self.observe())
            if share >= 0.5 and self.fails is not None:
                self.fails, failure = None, self.fails
                raise failure
        self.said.append("moved")
        pictures = {
            f"observation.images.{camera.name}": np.stack([self.layout.split(look.picture)[i] for look in looks])
            for i, camera in enumerate(self.layout.cameras)
        }
        states = np.stack([look.joints for look in looks])
        return EpisodeData(fps, states, states, pictures)

    def spec(self, fps):
        names = tuple(f"{plain(joint.name)}.pos" for joint in self.layout.joints)
        cameras = {f"observation.images.{c.name}": (c.height, c.width) for c in self.layout.cameras}
        return RecordingSpec(fps, names, names, cameras, units=("deg",) * len(names))

    def move_to(self, pose):
        for name, target in pose.items():
            self.joints[self.layout.joint_names.index(name)] = target

    def home(self):
        self.joints[:] = 0

    def hold(self):
        self.said.append("hold")

    def relax(self):
        self.said.append("relax")

    def health(self):
        return Health(temperature={"pan": 31.0, "lift": 34.0}, voltage={"pan": 12.1, "lift": 12.0})
